"""Four users, each of whom has the README and the documentation alone."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
NEEDED = {
    "another_language": ("bash", "curl", "node", "openssl"),
    "operator": ("bash", "openssl"),
}

pytestmark = pytest.mark.slow


@pytest.fixture
def folder(request, tmp_path) -> Path:
    """A copy of what the user wrote, for the user works in it."""
    name = request.param
    absent = [each for each in NEEDED.get(name, ()) if shutil.which(each) is None]
    if absent:
        pytest.skip(f"this machine has no {', '.join(absent)}")
    return Path(shutil.copytree(HERE / name, tmp_path / name))


def started(words, folder) -> subprocess.CompletedProcess[str]:
    """Run a program of the user's, with an environment that says nothing of other services."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("AGENT")}
    path = os.pathsep.join((str(Path(sys.executable).parent), kept["PATH"]))
    home = {"AGENTKEYS_HOME": str(folder / "home"), "PATH": path}
    return subprocess.run(
        words, cwd=folder, env=kept | home, capture_output=True, text=True, timeout=180, check=False
    )


@pytest.mark.parametrize("folder", ["fifty_agents"], indirect=True)
def test_an_engineer_gives_fifty_agents_a_key_each(folder):
    """And tests that, with faults, in a suite of the engineer's own."""
    (folder / "pytest.ini").write_text("[pytest]\nfilterwarnings = error\n")
    ended = started([sys.executable, "-m", "pytest", "-q", "-p", "no:asyncio"], folder)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "5 passed" in ended.stdout


@pytest.mark.parametrize("folder", ["notebook"], indirect=True)
def test_a_data_person_looks_at_ages_in_a_notebook(folder):
    """There is a plot, and no secret is saved with the notebook."""
    words = [sys.executable, "-m", "nbconvert", "--to", "notebook", "--execute", "ages.ipynb"]
    ended = started([*words, "--output", "executed"], folder)
    assert ended.returncode == 0, ended.stderr
    executed = (folder / "executed.ipynb").read_text()
    cells = json.loads(executed)["cells"]
    shown = [data for cell in cells for data in cell.get("outputs", ()) if "data" in data]
    assert sum("image/png" in each["data"] for each in shown) == 1
    assert sum("text/html" in each["data"] for each in shown) == 5
    assert "".join(shown[-1]["data"]["text/plain"]) == "['bot-10', 'notebook-bot']"
    secret = (folder / ".env").read_text().partition("=")[2].strip().strip("'\"")
    assert secret.startswith("agk_live_")
    assert "agk_live_" not in executed


@pytest.mark.parametrize("folder", ["another_language"], indirect=True)
def test_an_application_in_javascript_meets_a_fault(folder):
    """And leaves one key for each name, though an answer was lost."""
    ended = started(["bash", "session.sh"], folder)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "billing mail search\n" in ended.stdout
    assert "the answer is lost" in ended.stderr
    assert ended.stdout.endswith("\n3\n401\n")


@pytest.mark.parametrize("folder", ["operator"], indirect=True)
def test_an_operator_looks_after_two_accounts(folder):
    """With a profile for each; no secret of a password is printed, and each exit code is right."""
    ended = started(["bash", "session.sh"], folder)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    for name in ("staging", "production"):
        assert (folder / f"{name}.password").read_text().strip() not in ended.stdout + ended.stderr
    assert "production  agentity" not in ended.stdout.rpartition("# a password that is wrong")[2]
