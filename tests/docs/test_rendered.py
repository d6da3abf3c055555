"""What the pages show of the program and its docstrings is what these say."""

from __future__ import annotations

import importlib
import re
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[2] / "docs"
EVERY = re.compile(r"^\.\. auto\w+:: (\w+)$", re.MULTILINE)


@pytest.fixture
def render(monkeypatch):
    monkeypatch.syspath_prepend(DOCS)
    return importlib.import_module("render")


def test_the_committed_text_is_what_the_program_says(render):
    """Else: python docs/render.py."""
    assert [path.name for path, text in render.pages().items() if path.read_text() != text] == []


def test_every_name_of_the_reference_can_be_read_in_the_file(render):
    """Each directive is in a comment, and what it names has a heading with text below it."""
    page = (DOCS / "reference.md").read_text()
    assert "```{" not in page
    for found in render.AUTODOC.finditer(page):
        headings = re.findall(r"^#### (\w+)\n\n\S", found[0], re.MULTILINE)
        assert [name for name in headings if name != "__version__"] == EVERY.findall(found[0])


def test_sphinx_reads_the_directives_and_not_the_text(render):
    """So its signatures link to what they name."""
    page = (DOCS / "reference.md").read_text()
    read = render.for_sphinx(page)
    assert "####" not in read
    assert EVERY.findall(read) == EVERY.findall(page)
    assert read.count("```{eval-rst}") == page.count("<!-- autodoc")
