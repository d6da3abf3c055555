"""The page for whoever changes agentkeys names files and functions that exist."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "agentkeys"
PAGE = (ROOT / "docs" / "architecture.md").read_text()
STEPS = re.findall(r"^\| `([\w/]+\.py)` \| `([\w.]+)` \|", PAGE, re.MULTILINE)
PATHS = re.findall(r"`([\w/]+(?:\.py|/))`", PAGE)


def names_in(path: Path) -> set[str]:
    """Return the functions, classes and methods of a file."""
    names = set()
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            names.add(node.name)
            inner = node.body if isinstance(node, ast.ClassDef) else []
            names |= {f"{node.name}.{each.name}" for each in inner if hasattr(each, "name")}
    return names


def test_there_are_five_walks():
    """And each has steps."""
    walks = PAGE.partition("## Five walks")[2].partition("\n## ")[0].split("\n### ")[1:]
    assert [bool(re.search(r"^\| `", walk, re.MULTILINE)) for walk in walks] == [True] * 5


@pytest.mark.parametrize(("file", "function"), STEPS)
def test_each_step_of_a_walk_exists(file, function):
    """The function is in that file."""
    assert function in names_in(PACKAGE / file)


@pytest.mark.parametrize("path", sorted(set(PATHS)))
def test_each_file_that_is_named_exists(path):
    """From the root, from the package, or in one of its rooms."""
    rooms = [ROOT, PACKAGE, *(each.parent for each in PACKAGE.glob("*/__init__.py"))]
    assert any((room / path).exists() for room in rooms)


def test_every_room_is_on_the_page():
    """A file or folder of the package that is new says where it stands."""
    rooms = {path.name for path in PACKAGE.iterdir() if path.suffix == ".py"}
    rooms |= {f"{path.parent.name}/" for path in PACKAGE.glob("*/__init__.py")}
    assert rooms - {"__init__.py", "__main__.py"} - set(PATHS) == set()
