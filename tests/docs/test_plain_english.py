"""Docstrings and texts use the field's words: they are for readers in a hurry, too."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "agentkeys"
FILES = sorted(PACKAGE.rglob("*.py"))
# Words of a translation, and what to write instead.
BANNED = {
    r"\bwhoever\b|\bwhomever\b": "the caller, the process, the user",
    r"\bsomebody\b|\beverybody\b|\banybody\b": "another user, another program, any user",
    r"\ball the same\b": "nevertheless",
    r"\bgoes astray\b|\bborn dead\b|\bfor good\b": "what happens, in the field's words",
    r"\bhands? (over|on|back)\b": "passes, returns",
    r"\btry(ing)? (it )?again\b.*\bcall\b|\btried again\b": "retried",
    r"\bcannot be right\b": "is invalid",
    r"\blooked (at|into)\b": "read, checked",
    r"\bis no (Secret|str|id|address|name)\b": "is not a ...",
    r"\bif nothing else is said\b|\bunless something else is said\b": "by default",
    r"\bin the end\b": "at the end",
}


def texts(source: str) -> list[tuple[int, str]]:
    """Return the docstrings and the other texts of several words, each with its line."""
    return [
        (node.lineno, node.value)
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and " " in node.value
    ]


def found_in(source: str) -> list[str]:
    return [
        f"line {line}: {found[0]!r}: write {instead}"
        for line, text in texts(source)
        for pattern, instead in BANNED.items()
        if (found := re.search(pattern, " ".join(text.split())))
    ]


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(PACKAGE)))
def test_no_text_is_a_riddle(file):
    """A docstring and an error are understood without their story."""
    assert found_in(file.read_text()) == []


def test_a_riddle_would_be_found():
    """In a docstring, over a line end, and in an f-string."""
    assert found_in('def f():\n    """Wait for\n    whoever comes."""\n') != []
    assert found_in('x = f"it was looked\\n at by {y}"\n') != []
    assert found_in('"""Wait for the caller."""\n') == []
