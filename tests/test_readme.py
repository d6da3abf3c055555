"""What the README says is true."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

README = (Path(__file__).parent.parent / "README.md").read_text()
PROGRAMS = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
TESTS = re.findall(r"```python (\w+\.py)\n(.*?)```", README, re.DOTALL)
PRINTED = {
    "async": r"agk_live_[0-9A-Za-z]{38}\n\['production-agent'\]\n",
    "blocking": r"\['staging-agent'\]\n",
    "issue": r"support-bot~[a-z2-7]{6} -> SUPPORT_BOT_KEY in \S+\n1 deleted, 1 left\n",
}


def run(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Run Python in an empty folder, which is the home directory too."""
    home = {"HOME": str(folder), "AGENTKEYS_HOME": str(folder / "home")}
    return subprocess.run(
        [sys.executable, "-X", "dev", "-W", "error", *words],
        capture_output=True,
        cwd=folder,
        env=os.environ | home,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.slow
@pytest.mark.parametrize(("number", "printed"), [*enumerate(PRINTED.values())], ids=PRINTED)
def test_a_program_runs_as_it_stands(tmp_path, number, printed):
    """Copied and run, it prints what the README promises, and no warning."""
    done = run(tmp_path, "-c", PROGRAMS[number])
    assert done.stderr == ""
    assert re.fullmatch(printed, done.stdout)


@pytest.mark.slow
def test_the_example_of_a_test_passes(tmp_path):
    """In a suite that has nothing else, with the fixtures that come along."""
    [(name, code)] = TESTS
    (tmp_path / name).write_text(code)
    done = run(tmp_path, "-m", "pytest", "-q", "-p", "no:asyncio", name)
    assert "1 passed" in done.stdout, done
