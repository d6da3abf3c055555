"""What starting costs: imports and the command line, over an empty Python."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

from measure import compare, report, wall_seconds

if TYPE_CHECKING:
    from collections.abc import Callable

STARTS = {
    "an empty Python": ("-c", "pass"),
    "import agentkeys": ("-c", "import agentkeys"),
    "the async client": ("-c", "from agentkeys import AgentryClient; AgentryClient('ag_x')"),
    "the blocking client": (
        "-c",
        "from agentkeys.sync import AgentryClient; AgentryClient('ag_x')",
    ),
    "agentkeys --help": ("-m", "agentkeys", "--help"),
}
TARGETS = {"import agentkeys": 15, "agentkeys --help": 120}


def child_seconds(work: Callable[[], object]) -> float:
    """Return the CPU time of the process that *work* starts and waits for."""
    import resource  # not on Windows

    begun = resource.getrusage(resource.RUSAGE_CHILDREN)
    work()
    ended = resource.getrusage(resource.RUSAGE_CHILDREN)
    return ended.ru_utime + ended.ru_stime - begun.ru_utime - begun.ru_stime


def run() -> None:
    """Print the milliseconds of each."""
    works: dict[str, Callable[[], object]] = {
        name: lambda arguments=arguments: subprocess.run(
            [sys.executable, *arguments], check=True, capture_output=True
        )
        for name, arguments in STARTS.items()
    }
    clock, cpu = (
        {name: 1000 * (taken - seconds["an empty Python"]) for name, taken in seconds.items()}
        for seconds, _ in (compare(works, each, rounds=7) for each in (wall_seconds, child_seconds))
    )
    report(
        "Start, time on the clock over an empty Python, and CPU time",
        [
            (
                name,
                f"{clock[name]:.0f} ms, {cpu[name]:.0f} ms",
                f"at most {TARGETS[name]} ms" if name in TARGETS else "",
            )
            for name in works
        ],
    )
