"""How the benchmarks measure: rounds interleaved, medians of the ratios of one run."""

from __future__ import annotations

import statistics
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

ROUNDS = 15


def cpu_seconds(work: Callable[[], object]) -> float:
    """Return the CPU time of this process, all threads of it, that *work* takes."""
    begun = time.process_time()
    work()
    return time.process_time() - begun


def wall_seconds(work: Callable[[], object]) -> float:
    """Return the time on the clock that *work* takes."""
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun


def compare(
    works: Mapping[str, Callable[[], object]],
    clock: Callable[[Callable[[], object]], float] = cpu_seconds,
    *,
    rounds: int = ROUNDS,
) -> tuple[dict[str, float], dict[str, float]]:
    """Return the median seconds of each of *works*, and the median of its ratio to the first.

    One round of each after the other, so that whatever else the machine does meets all of them.
    """
    for work in works.values():  # a warm-up
        work()
    taken: dict[str, list[float]] = {name: [] for name in works}
    for _ in range(rounds):
        for name, work in works.items():
            taken[name].append(clock(work))
    first = taken[next(iter(works))]
    seconds = {name: statistics.median(each) for name, each in taken.items()}
    ratios = {
        name: statistics.median(one / base for one, base in zip(each, first, strict=True))
        for name, each in taken.items()
    }
    return seconds, ratios


def report(title: str, rows: list[tuple[str, str, str]]) -> None:
    """Print a table: what, figure, target."""
    print(f"\n{title}")
    for what, figure, target in rows:
        print(f"  {what:<34} {figure:>22}   {target}".rstrip())
