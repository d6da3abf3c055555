"""The man page is what the program's own help says."""

from __future__ import annotations

import os
import runpy
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from agentkeys.schemes import KEPT

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "agentkeys.1"


def test_the_man_page_is_what_the_program_says():
    """Else: python docs/man.py > docs/agentkeys.1."""
    made = runpy.run_path(str(ROOT / "docs" / "man.py"))["page"]()
    assert PAGE.read_text() == made


def test_every_line_of_it_is_text_or_a_request_that_it_makes():
    """No line of a help is read as a request of troff's, or an escape."""
    requests = {line.split()[0] for line in PAGE.read_text().splitlines() if line.startswith(".")}
    assert requests == {".TH", ".SH", ".nf", ".fi"}
    assert not any(line.startswith("'") for line in PAGE.read_text().splitlines())


def test_the_wheel_has_it():
    """Where man looks beside the programs of an environment."""
    build = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]
    shared = build["targets"]["wheel"]["shared-data"]
    assert shared == {str(PAGE.relative_to(ROOT)): "share/man/man1/agentkeys.1"}


def completed(shell: str, words: str, number: int) -> list[str]:
    """Return what *shell* is given for the last of *words*."""
    last = words.rpartition(" ")[2]
    done = subprocess.run(
        [sys.executable, "-m", "agentkeys"],
        env=os.environ
        | {"_AGENTKEYS_COMPLETE": f"{shell}_complete", "COMP_WORDS": words}
        | {"COMP_CWORD": last if shell == "fish" else str(number)},
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )
    return done.stdout.split()


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_commands_and_schemes_are_completed(shell):
    """In each shell that the page names."""
    assert "rotate" in " ".join(completed(shell, "agentkeys agentity ro", 2))
    save = " ".join(completed(shell, "agentkeys agentity create bot --save d", 5))
    assert "dotenv:" in save
    assert "file:" not in save


def test_every_scheme_that_keeps_a_secret_is_completed():
    """One that a test forgets would never be found."""
    found = completed("bash", "agentkeys agentity rotate bot --save ", 5)
    assert {each.partition(",")[2] for each in found} == {
        f"{form.partition(':')[0]}:" for form in KEPT
    }
