from __future__ import annotations

import json
import re
import subprocess
import sys
import tomllib
from itertools import chain
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.version import Version

ROOT = Path(__file__).parents[1]

# The first version without a published advisory, by November 2026. Left out are those of which none
# is published, or none later than 2024.
FIRST_SOUND = {
    "PyJWT": "2.13.0",  # CVE-2026-32597, CVE-2026-48522 to 48526
    "aiobotocore": "3.9.0",  # no advisory: 3.8.0 takes the certificate of another host
    "aiohttp": "3.14.3",  # CVE-2026-69244
    "click": "8.3.3",  # CVE-2026-7246
    "orjson": "3.11.6",  # CVE-2025-67221
    "pytest": "9.0.3",  # CVE-2025-71176
    "python-dotenv": "1.2.2",  # CVE-2026-28684
}

NO_ANSWER = {
    "skipped": {"dependencies": [{"name": "click", "skip_reason": "not found on PyPI"}]},
    "nothing asked": {"dependencies": []},
}


def floors() -> dict[str, Version]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    lists = [project["dependencies"], *project["optional-dependencies"].values()]
    lowest: dict[str, Version] = {}
    for requirement in map(Requirement, chain.from_iterable(lists)):
        if requirement.name != project["name"]:
            [floor] = [Version(each.version) for each in requirement.specifier]
            lowest[requirement.name] = min(floor, lowest.get(requirement.name, floor))
    return lowest


def verdict(answer: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, ROOT / ".ci" / "audit.py", "lowest"]
    return subprocess.run(command, input=answer, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("name", FIRST_SOUND)
def test_no_floor_admits_a_version_with_an_advisory(name):
    """Whoever installs the lowest version that we allow installs no known vulnerability."""
    assert floors()[name] >= Version(FIRST_SOUND[name])


def test_every_dependency_has_a_floor():
    """One without would admit every version there ever was."""
    assert len(floors()) > 20


def test_an_advisory_fails_the_audit():
    """With its id and the version to go to."""
    advisory = {"id": "PYSEC-1", "aliases": ["CVE-1"], "fix_versions": ["8.3.3"]}
    found = {"name": "click", "version": "8.1.8", "vulns": [advisory]}
    skipped = {"name": "rich", "skip_reason": "not found on PyPI"}
    said = verdict(json.dumps({"dependencies": [skipped, found]}))
    assert said.returncode == 1
    assert "click 8.1.8: PYSEC-1 (CVE-1), fixed in 8.3.3" in said.stdout


def test_a_sound_set_passes_the_audit():
    """And says what the index did not know."""
    sound = {"name": "click", "version": "8.3.3", "vulns": []}
    skipped = {"name": "rich", "skip_reason": "not found on PyPI"}
    said = verdict(json.dumps({"dependencies": [skipped, sound]}))
    assert said.returncode == 0
    assert re.search("1 packages?, no advisory\n.*not known to the index: rich", said.stdout)


@pytest.mark.parametrize("answer", ["", "Traceback", *map(json.dumps, NO_ANSWER.values())])
def test_no_answer_is_no_advisory_and_no_audit(answer):
    """An index that does not answer fails nothing, and nobody may read that all was looked up."""
    said = verdict(answer)
    assert said.returncode == 0
    assert said.stdout == "pip-audit on the lowest set: the index has no answer, did not run\n"
