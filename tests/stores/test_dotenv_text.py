"""One entry is changed, and every other byte stays."""

from __future__ import annotations

import io
import logging
import re

import pytest
from dotenv import dotenv_values
from hypothesis import given
from hypothesis import strategies as st

from agentkeys import Secret
from agentkeys.stores.dotenv.editing import values, with_entry, without_entry

NAME = "AGENTITY_API_KEY"
INTERPOLATED = re.compile(r"\$\{[^}]*\}")


def set_in(text, value, name=NAME):
    edited = with_entry(Secret(text), name, Secret(value))
    return None if edited is None else edited.reveal()


def removed_from(text, name=NAME):
    return without_entry(Secret(text), name).reveal()


def read_by_a_program(text):
    """Return what a program gets that opens the file as text and loads it, as most do."""
    return dotenv_values(stream=io.StringIO(text.removeprefix("\ufeff"), newline=None))


def others(text):
    return {name: value for name, value in read_by_a_program(text).items() if name != NAME}


@pytest.fixture(autouse=True)
def _quiet():
    """Let python-dotenv not complain of lines that are broken on purpose."""
    logger = logging.getLogger("dotenv.main")
    logger.setLevel(logging.ERROR)
    yield
    logger.setLevel(logging.NOTSET)


# A line, and what becomes of it when its value is set to `new`.
@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("{}=old", "{}=new"),
        ("{}=", "{}=new"),
        ("{}", "{}=new"),
        ("export {}", "export {}=new"),
        ("{}='old'", "{}='new'"),
        ('{}="old"', '{}="new"'),
        ("{}='o\\'l\\\\d'", "{}='new'"),
        ('{}="o\nl\nd"', '{}="new"'),
        ("'{}'=old", "'{}'=new"),
        ("export {}=old", "export {}=new"),
        ("export   {} = old", "export   {} = new"),
        ("  {}=old", "  {}=new"),
        ("{}=old # why", "{}=new # why"),
        ("{}='old'# why", "{}='new'# why"),
        ("{}='old' # it's", "{}='new' # it's"),
        ("{}= # why", "{}=new # why"),
        ("{}=#old", "{}=new"),
        ("{}=o#ld", "{}=new"),
        ("{}=old  ", "{}=new  "),
        ("{} # why", "{}=new # why"),
    ],
)
@pytest.mark.parametrize("end", ["\n", "\r\n", ""])
def test_a_line_keeps_its_shape(line, expected, end):
    """Its `export`, its quotes, its spaces, its comment and its end stay."""
    before = f"# first{end or chr(10)}\nA=1{end or chr(10)}"
    after = f"B='2'{end}" if end else ""
    text = f"{before}{line.format(NAME)}{end}{after}"
    assert set_in(text, "new") == f"{before}{expected.format(NAME)}{end}{after}"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "N=new\n"),
        ("\ufeff", "\ufeffN=new\n"),
        ("A=1", "A=1\nN=new\n"),
        ("A=1\n", "A=1\nN=new\n"),
        ("A=1\n\n", "A=1\n\nN=new\n"),
        ("A=1\r\n", "A=1\r\nN=new\r\n"),
        ("A=1\r\nB=2", "A=1\r\nB=2\r\nN=new\r\n"),
        ("# only this", "# only this\nN=new\n"),
        ("AN=1\nNA=2\n# N=3\n", "AN=1\nNA=2\n# N=3\nN=new\n"),
    ],
)
def test_a_new_entry_comes_last(text, expected):
    """On a line of its own, which ends as the others do."""
    assert set_in(text, "new", "N") == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("N=1", ""),
        ("A=1\nN=1\nB=2\n", "A=1\nB=2\n"),
        ("A=1\n\n\n  export N='1\n2' # why\n\nB=2\n", "A=1\n\n\n\nB=2\n"),
        ("A=1\r\n# N\r\nN=1\r\n", "A=1\r\n# N\r\n"),
        ("\ufeffN=1\nB=2\n", "\ufeffB=2\n"),
        ("A=1\n", "A=1\n"),
    ],
)
def test_an_entry_goes_with_its_line(text, expected):
    """And with nothing around it."""
    assert removed_from(text, "N") == expected


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("A=1\n", "a\0b"),
        ("A=1\n", "${HOME}"),
        ("A=1\n", "x${Y:-z}"),
        ("A='it never ends\n", "a'b"),
    ],
)
def test_what_would_be_read_otherwise_is_not_written(text, value):
    """No entry is written that a program would not get as it was meant, or that hurts another."""
    assert set_in(text, value) is None


def test_an_unclosed_line_is_not_closed():
    """A quote that never ends is left so: the entry behind it would become a part of it."""
    text = set_in("A='it never ends\n", "plain")
    assert text == f"A='it never ends\n{NAME}=plain\n"
    assert removed_from(text) == "A='it never ends\n"


def test_a_name_that_stands_twice_is_seen_twice():
    """So that a store can refuse it."""
    assert values(Secret("N=1\nA=2\nexport N='3'\n"), "N") == [Secret("1"), Secret("3")]
    assert values(Secret("N\n"), "N") == [Secret("")]
    assert values(Secret("# N=1\n"), "N") == []


blank = st.sampled_from(["", " ", "\t", "  "])
comment = st.sampled_from(["", " # why", "\t#x='", ' # "'])
# No value ends in a backslash: python-dotenv before 1.2.3 takes the quote behind it as escaped.
written = st.one_of(
    st.from_regex(r"[A-Za-z0-9_./:@%+=~^$-]{0,12}", fullmatch=True),
    st.from_regex(r"'([^'\\\0\r]|\\'|\\\\x){0,12}'", fullmatch=True),
    st.from_regex(r'"([^"\\\0\r$]|\\"|\\n){0,12}"', fullmatch=True),
)


def entries(names):
    """Make lines like ``export NAME = 'value' # why``."""
    return st.builds(
        "{}{}{}{}={}{}{}".format,
        blank,
        st.sampled_from(["", "export ", "export\t"]),
        names,
        blank,
        blank,
        written,
        comment,
    )


lines = st.one_of(
    entries(st.sampled_from(["A", "B_2", "agentity_api_key", f"{NAME}_2", "lower"])),
    st.sampled_from(["", "   ", "# a comment", f"# {NAME}=no", "A", "=broken", "two words"]),
)
secrets = st.one_of(
    st.from_regex(r"agk_live_[A-Za-z0-9]{4,40}", fullmatch=True),
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1),
    st.text("'\"\\ #$\n\r=`ab", min_size=1),
)
surroundings = st.lists(lines, max_size=5)
ends = st.sampled_from(["\n", "\r\n"])


@given(surroundings, entries(st.just(NAME)), surroundings, ends, secrets)
def test_only_the_entry_changes(before, entry, after, end, secret):
    """Whatever stands around it, and whatever the secret is."""
    head = "".join(line + end for line in ["\ufeff", *before])
    tail = "".join(line + end for line in after)
    text = set_in(head + entry + end + tail, secret)
    if text is None:
        assert INTERPOLATED.search(secret) or "\\" in secret
        return
    assert text.startswith(head)
    assert text.endswith(end + tail)
    assert read_by_a_program(text)[NAME] == secret
    assert others(text) == others(head + entry + end + tail)
    changed = text[len(head) : len(text) - len(end + tail)]
    assert changed.partition("=")[0] == entry.partition("=")[0]
    assert removed_from(text) == head + tail
    assert set_in(text, secret) == text


@given(surroundings, ends, st.booleans(), secrets)
def test_a_new_entry_changes_nothing_else(before, end, ended, secret):
    """What stands there stays; and taking the entry away again gives it back."""
    text = end.join(before) + (end if ended else "")
    edited = set_in(text, secret)
    if edited is None:
        assert INTERPOLATED.search(secret) or "\\" in secret
        return
    assert edited.startswith(text)
    assert read_by_a_program(edited)[NAME] == secret
    assert others(edited) == others(text)
    assert removed_from(edited) in {text, text + "\n", text + end}


@given(st.text("AN=_'\"\\# \n\r\texport"), secrets)
def test_no_text_is_too_odd(text, secret):
    """An entry is set as it is meant, and all others are read as before, or nothing is done."""
    edited = set_in(text, secret, "N")
    if edited is not None and len(values(Secret(text), "N")) < 2:
        ours = read_by_a_program(edited)
        assert ours.pop("N") == secret
        theirs = read_by_a_program(text)
        theirs.pop("N", None)
        assert ours == theirs
