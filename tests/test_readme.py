"""What the README says is true."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

README = (Path(__file__).parent.parent / "README.md").read_text()
CODE = re.findall(r"```python\n(.*?)```", README, re.DOTALL)


def test_the_blocking_code_runs_as_it_stands():
    """The same without `await`."""
    done = subprocess.run(
        [sys.executable, "-X", "dev", "-W", "error", "-c", CODE[1]],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.stdout, done.stderr) == ("['staging-agent']\n", "")


def test_the_first_code_runs_as_it_stands():
    """Ten lines, a new key's secret, and the list of keys."""
    done = subprocess.run(
        [sys.executable, "-X", "dev", "-W", "error", "-c", CODE[0]],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.stderr == ""
    secret, names = done.stdout.splitlines()
    assert re.fullmatch(r"agk_live_[0-9A-Za-z]{38}", secret)
    assert names == "['production-agent']"
