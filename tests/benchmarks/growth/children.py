"""Processes of a benchmark, which say in lines of JSON what they have seen."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

PROGRAM: Final = Path(__file__).parents[1] / "fleet.py"


class Child:
    """A process that plays a role of this benchmark."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self.pid = process.pid

    def hear(self) -> Any:
        """Return what it says next."""
        assert self._process.stdout is not None
        said = self._process.stdout.readline()
        if not said:
            raise SystemExit(f"a process of the benchmark ended with {self._process.wait()}")
        return json.loads(said)

    def tell(self, word: object = "go") -> None:
        """Have it go on."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(word) + "\n")
        self._process.stdin.flush()

    def ask(self, word: object = "go") -> Any:
        """Have it go on, and return what it says then."""
        self.tell(word)
        return self.hear()

    def kill(self) -> None:
        """Kill it as the kernel does, and wait until it is gone."""
        self._process.kill()
        self._process.wait()


@contextmanager
def child(role: str, *words: str, env: Mapping[str, str] | None = None) -> Iterator[Child]:
    """Start a process for a role; it is killed at the end."""
    with subprocess.Popen(
        [sys.executable, PROGRAM, "--as", role, *words],
        env={**os.environ, **(env or {})},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield Child(process)
        finally:
            process.kill()


def say(what: object) -> None:
    """Say something to the parent."""
    print(json.dumps(what), flush=True)


async def told() -> Any:
    """Wait until the parent says something, and return that."""
    line = await asyncio.to_thread(sys.stdin.readline)
    if not line:
        raise SystemExit
    return json.loads(line)
