"""Run several tasks at a time, up to a given number."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable

__all__ = ["run_each"]

T = TypeVar("T")


async def run_each(
    items: Iterable[T], work: Callable[[T], Awaitable[object]], *, jobs: int
) -> None:
    """Run *work* for each of *items*, for up to *jobs* of them at a time.

    An error stops all of it, as a cancellation does: running work is cancelled and awaited, and no
    more work is started.
    """
    import asyncio

    waiting = iter(items)

    async def worker() -> None:
        for item in waiting:
            await work(item)

    workers = [asyncio.ensure_future(worker()) for _ in range(jobs)]
    try:
        await asyncio.gather(*workers)
    finally:
        for each in workers:
            each.cancel()
        await asyncio.gather(*workers, return_exceptions=True)
