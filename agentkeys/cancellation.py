"""What must be waited for though the caller is cancelled: its clean-up, or an answer to act on."""

from __future__ import annotations

import asyncio
import sys
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["outlast"]


async def outlast(future: asyncio.Future[Any], *, timeout: float | None = None) -> None:
    """Wait for *future*, however often the caller is cancelled meanwhile.

    Args:
        future: what to wait for. What comes of it is not looked at.
        timeout: seconds to wait for it at most; None for ever.

    Raises:
        asyncio.CancelledError: in the end, if the caller was cancelled meanwhile.

    """
    now = asyncio.get_running_loop().time
    end = None if timeout is None else now() + timeout
    cancellation = None
    with _cancelled_once():
        while not future.done():
            left = None if end is None else end - now()
            if left is not None and left <= 0:
                break
            try:
                await asyncio.wait((future,), timeout=left)
            except asyncio.CancelledError as error:
                cancellation = error
    if cancellation is not None:
        try:
            raise cancellation
        finally:
            del cancellation  # or error, traceback and this frame would keep each other alive


def _cancelled_once() -> AbstractContextManager[object]:
    """Keep anyio from cancelling again at every turn of the loop, which burns a whole core.

    Its scopes cancel until the task has left them, and nothing but a scope of its own stops that.
    Whoever is cancelled by it has imported it.
    """
    scope: Callable[..., AbstractContextManager[object]] | None
    scope = getattr(sys.modules.get("anyio"), "CancelScope", None)
    return nullcontext() if scope is None else scope(shield=True)
