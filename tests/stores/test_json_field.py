"""A field of a JSON object is read, written and removed in its text."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentkeys import Secret
from agentkeys.stores.json_field import FieldError, field_in, with_field, without_field

pytestmark = pytest.mark.slow

NAME = "KEY"
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)
STYLES = [{}, {"indent": 2}, {"separators": (" ,", " : ")}, {"ensure_ascii": False}]
TEXTS = st.builds(
    lambda fields, style, ends: f"{ends}{json.dumps(fields, **style)}{ends}",
    st.dictionaries(st.text() | st.just(NAME), VALUES, max_size=5),
    st.sampled_from(STYLES),
    st.sampled_from(["", " ", "\n"]),
)


@given(TEXTS, st.text(min_size=1))
def test_a_field_is_written_and_all_else_is_kept(text, value):
    """The others have their values and their order; the field is where it was, or comes last."""
    changed = with_field(Secret(text), NAME, Secret(value))
    assert field_in(changed, NAME) == Secret(value)
    expected = {**json.loads(text), NAME: value}
    assert [*json.loads(changed.reveal()).items()] == [*expected.items()]


@given(TEXTS)
def test_a_field_is_removed_and_all_else_is_kept(text):
    """Without the field the text stays as it is."""
    expected = json.loads(text)
    was_there = NAME in expected
    expected.pop(NAME, None)
    changed = without_field(Secret(text), NAME).reveal()
    assert [*json.loads(changed).items()] == [*expected.items()]
    assert was_there or changed == text


def test_what_json_would_change_is_kept_to_the_byte():
    """Digits, spaces, escapes and a name of others that is there twice."""
    text = '{"a":1.10,"KEY" :"%s", "a": 1e400 ,"b":"\\u00e9"}'
    changed = with_field(Secret(text % "old"), NAME, Secret('ne"w'))
    assert changed.reveal() == text % 'ne\\"w'


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "not a JSON object"),
        ("[]", "not a JSON object"),
        ('"a"', "not a JSON object"),
        ("{", "not a JSON object"),
        ('{"a": 1} b', "not a JSON object"),
        ("[" * 60_000, "not a JSON"),
        ('{"KEY": {}}', "not a string"),
        ('{"KEY": "a", "KEY": null}', "twice"),
    ],
    ids=["empty", "list", "str", "half", "more", "deep", "object", "twice"],
)
def test_what_has_no_such_field_is_refused(text, said):
    """With a clause that has none of the text."""
    with pytest.raises(FieldError, match=said):
        field_in(Secret(text), NAME)


@pytest.mark.parametrize("text", ["{}", '{"KEY": null}', '{"key": "a"}'])
def test_a_field_that_is_not_there_is_none(text):
    """Null is none as well."""
    assert field_in(Secret(text), NAME) is None
