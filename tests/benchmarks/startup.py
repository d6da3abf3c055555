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


def run() -> None:
    """Print the milliseconds of each."""
    works: dict[str, Callable[[], object]] = {
        name: lambda arguments=arguments: subprocess.run(
            [sys.executable, *arguments], check=True, capture_output=True
        )
        for name, arguments in STARTS.items()
    }
    seconds, _ = compare(works, wall_seconds, rounds=11)
    empty = seconds["an empty Python"]
    report(
        "Start, time on the clock over an empty Python",
        [
            (
                name,
                f"{1000 * (seconds[name] - empty):.0f} ms",
                f"at most {TARGETS[name]} ms" if name in TARGETS else "",
            )
            for name in works
        ],
    )
