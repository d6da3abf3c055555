"""What an editor knows of the package: jedi completes it, ty understands it.

mypy and pyright read the programs in `typing/` too, by a command of their own.
"""

from __future__ import annotations

import importlib
import inspect
import re
import subprocess
import sys
from pathlib import Path

import jedi
import pytest

import agentkeys
import agentkeys.sync

pytestmark = pytest.mark.slow

MODULES = ["agentkeys", "agentkeys.sync", "agentkeys.stores", "agentkeys.server"]
# jedi infers no type alias of a Literal.
UNKNOWN = {"agentkeys.stores.Expected"}
ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "tests" / "typing"


@pytest.mark.parametrize("module", MODULES)
def test_jedi_knows_every_public_name(module):
    """Though it is imported when it is first used: vim, Spyder and Jupyter ask jedi."""
    names = importlib.import_module(module).__all__
    known = {n for n in names if jedi.Script(f"from {module} import {n}\n{n}").infer(2, 0)}
    assert {f"{module}.{name}" for name in set(names) - known} <= UNKNOWN


def test_the_stub_has_the_public_names():
    """`__init__.pyi` is what editors read instead of the package."""
    stub = (Path(agentkeys.__file__).with_suffix(".pyi")).read_text()
    exported = set(re.findall(r"(\w+) as \1\b", stub)) | {"__version__"}
    assert exported == set(agentkeys.__all__)


@pytest.mark.parametrize("module", ["agentkeys", "agentkeys.sync", "agentkeys.stores"])
def test_tab_shows_public_names_only(module):
    """In a notebook, which asks the module itself."""
    imported = importlib.import_module(module)
    assert dir(imported) == sorted(imported.__all__)
    offered = jedi.Interpreter(f"{module}.", [{"agentkeys": agentkeys}]).complete()
    assert {each.name for each in offered} == set(imported.__all__)


@pytest.mark.parametrize(
    "shown",
    [
        *(agentkeys.AgentityClient, agentkeys.AgentryClient, agentkeys.issue, agentkeys.lease),
        *(agentkeys.sync.AgentityClient, agentkeys.sync.AgentryClient, agentkeys.sync.issue),
        *(agentkeys.sync.rotate, agentkeys.sync.sweep, agentkeys.sync.audit),
    ],
    ids=lambda each: f"{each.__module__}.{each.__name__}",
)
def test_help_shows_the_arguments_with_their_units(shown):
    """`?` in a notebook shows the docstring of the very object."""
    text = inspect.getdoc(shown)
    named = re.findall(r"^    (\w+): ", text, re.MULTILINE)
    taken = [name for name in inspect.signature(shown).parameters if name != "options"]
    assert set(taken) <= set(named)
    assert re.search(r"^    timeout: seconds", text, re.MULTILINE)


def test_the_blocking_client_takes_no_session():
    """And its help names none."""
    assert "session:" not in inspect.getdoc(agentkeys.sync.AgentryClient)
    assert "session:" in inspect.getdoc(agentkeys.AgentryClient)


def test_ty_finds_what_is_wrong_and_nothing_else():
    """In the programs that mypy and pyright check here.

    It does not follow a function through a decorator with a type variable of its own, and takes
    what comes of it for unknown; so what is asserted of types is not asked of it.
    """
    ran = subprocess.run(
        [sys.executable, "-m", "ty", "check", "--output-format=concise", str(FOLDER)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    found = re.findall(r"^(\S+?):(\d+):\d+: \w+\[([\w-]+)\]", ran.stdout, re.MULTILINE)
    assert found, ran.stdout + ran.stderr
    wrong = [
        (path, number, rule)
        for path, number, rule in found
        if rule != "type-assertion-failure"
        and "type: ignore" not in (ROOT / path).read_text().splitlines()[int(number) - 1]
    ]
    assert wrong == []
