"""The benchmark of a fleet runs, in its quick form: each part prints what it measured."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = Path(__file__).parents[1] / "benchmarks" / "fleet.py"
QUICK = {"sizes": 20, "keys": 40, "files": 20, "rate": 50, "seconds": 1, "leases": 2}
ROWS = {
    "plan": ["20 keys"] * 2,
    "apply": [
        *("issue, journal in PostgreSQL: 40", "rotate, journal in PostgreSQL: 40"),
        *("issue, journal in files: 20", "rotate, journal in files: 20"),
        *("issue, 1 worker: 40", "no-op, 1 worker: 40"),
        *("issue, 2 workers: 40", "no-op, 2 workers: 40"),
    ],
    "rate": ["50 a second, 2 processes"],
    "recovery": ["lease of 2 s"],
}


@pytest.mark.long
@pytest.mark.parametrize("part", ROWS)
def test_each_part_of_the_benchmark_prints_its_rows(part, postgres):
    """And counts every key, for it asserts so itself."""
    del postgres  # it skips where none can run
    options = [word for name, value in QUICK.items() for word in (f"--{name}", str(value))]
    done = subprocess.run(
        [sys.executable, PROGRAM, part, *options],
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    rows = re.findall(r"^  (\S.*?)(?=:? {2,}|: \d+ keys under way)", done.stdout, re.MULTILINE)
    assert rows == ROWS[part]
