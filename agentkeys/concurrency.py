"""Several at a time, and never more than a given number."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable

__all__ = ["run_each"]

T = TypeVar("T")


async def run_each(
    items: Iterable[T], work: Callable[[T], Awaitable[object]], *, jobs: int
) -> None:
    """Do *work* for each of *items*, for at most *jobs* of them at once.

    An error ends all of it, as a cancellation does: what is under way is cancelled and awaited, and
    nothing more is begun.
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
