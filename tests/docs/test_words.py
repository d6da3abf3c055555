"""The pages are for readers in a hurry: no long sentences, and one word for one thing."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
# The reference is made of docstrings.
PAGES = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    *(each for each in sorted((ROOT / "docs").glob("*.md")) if each.stem != "reference"),
]
LONGEST = 40
"""Words of a sentence. Most have fewer than 20."""
NOT_PROSE = re.compile(r"^ *(```+).*?^ *\1 *$|<!--.*?-->", re.MULTILINE | re.DOTALL)
CODE = re.compile(r"`[^`\n]*`")
TARGET = re.compile(r"(?<=\])\([^)\s]*\)")
PARAGRAPH = re.compile(r"\n\s*\n|\n(?=\s*(?:[-|]|\d+\.) )")
SENTENCE = re.compile(r"(?<=[.!?:;])\s+| \| ")


def sentences(text: str) -> list[str]:
    """Return the sentences, list items and table cells of a page, each code as one word."""
    prose = TARGET.sub("", CODE.sub("code", NOT_PROSE.sub("\n\n", text)))
    return [each for block in PARAGRAPH.split(prose) for each in SENTENCE.split(block)]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_no_sentence_is_too_long(page):
    """Or it says two things, and a reader who is no native speaker reads it twice."""
    assert [each for each in sentences(page.read_text()) if len(each.split()) > LONGEST] == []


def test_a_long_sentence_would_be_found():
    """In a paragraph, an item and a cell; a page has some of each."""
    long = "word " * (LONGEST + 1)
    for text in (f"{long}.\n", f"- item\n- {long}\n", f"| cell | {long}|\n"):
        assert max(len(each.split()) for each in sentences(text)) > LONGEST
    assert [
        each for each in sentences("One. Two; three:\n\n```sh\nfour\n```\n") if "four" in each
    ] == []


GLOSSARY = (ROOT / "docs" / "glossary.md").read_text()
TERMS = re.findall(r"^\| ([\w`, -]+) \| ", GLOSSARY, re.MULTILINE)


def test_each_word_has_one_meaning():
    """No word is in the glossary twice."""
    terms = [each for each in TERMS if each != "word"]
    assert len(terms) > 40
    assert sorted(set(terms)) == sorted(terms)


@pytest.mark.parametrize("page", ["errors", "issuing", "rotation", "timeouts-and-retries"])
def test_a_try_is_no_attempt(page):
    """A try is a request, an entry is what the journal keeps; `attempts` is a name in code."""
    text = (ROOT / "docs" / f"{page}.md").read_text()
    assert "glossary.md#" in text
    assert [each for each in sentences(text) if re.search(r"\battempt", each)] == []
