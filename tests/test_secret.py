from __future__ import annotations

import copy
import json
import pickle
import traceback

import pytest

from agentkeys import Secret
from agentkeys.masking import mask

VALUE = "agk_live_Tr0ub4dor"


def test_a_secret_is_revealed_when_asked():
    """`reveal` is the one way out."""
    assert Secret(VALUE).reveal() == VALUE


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_a_secret_cannot_be_pickled(protocol):
    """Pickling a Secret is a TypeError, in every protocol."""
    with pytest.raises(TypeError, match="cannot be pickled"):
        pickle.dumps(Secret(VALUE), protocol)


def test_a_secret_is_no_json():
    """The json module refuses a Secret."""
    with pytest.raises(TypeError):
        json.dumps({"key": Secret(VALUE)})


def test_copying_a_secret_gives_itself():
    """Neither copy makes a second one."""
    secret = Secret(VALUE)
    assert copy.copy(secret) is secret
    assert copy.deepcopy([secret])[0] is secret


def test_a_secret_has_no_attributes_to_read_or_change():
    """`vars` fails, and nothing can be set."""
    secret = Secret(VALUE)
    with pytest.raises(TypeError):
        vars(secret)
    with pytest.raises(AttributeError):
        secret._open = lambda: "other"
    with pytest.raises(AttributeError):
        del secret._open


def test_secrets_compare_by_value():
    """Equal values are equal secrets; a str is never equal to one."""
    assert Secret(VALUE) == Secret(VALUE)
    assert hash(Secret(VALUE)) == hash(Secret(VALUE))
    assert Secret(VALUE) != Secret("other")
    assert Secret(VALUE) != VALUE
    assert Secret("\ud800") != Secret("\ud801")
    assert not Secret("")


def test_a_secret_holds_a_str_and_does_not_show_what_else_it_got():
    """Anything but a str is a TypeError that names the type alone."""
    with pytest.raises(TypeError, match="not bytes") as caught:
        Secret(VALUE.encode())
    frames = traceback.TracebackException.from_exception(caught.value, capture_locals=True).stack
    assert VALUE not in repr(frames[-1].locals)


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("your key agk_live_abc123 is bad", "your key agk_live_********** is bad"),
        ("ag_abc.def-1_2!", "ag_**********!"),
        ("(x_ag_abc)", "(x_ag_**********)"),
        ("flag_name", "flag_name"),
        ("token%3Dag_abc", "token%3Dag_**********"),
        (r"line\nag_abc", r"line\nag_**********"),
        ("AGK_LIVE_abc", "AGK_LIVE_**********"),
        ('{"apiKey": "abc"}', '{"apiKey": "**********"}'),
        ("api_key=abc&b", "api_key=**********&b"),
        ("https://x/mcp?apiKey=abc&b=1", "https://x/mcp?apiKey=**********&b=1"),
        ("", ""),
    ],
)
def test_what_looks_like_a_key_is_masked(text, masked):
    """Everything of the form agk_live_... or ag_..., and an apiKey= in a URL, is masked."""
    assert mask(text) == masked


def test_known_secrets_are_masked_in_every_form():
    """A secret is masked as it is, percent-encoded, and as it stands in JSON and HTML."""
    secret = Secret('p"ä/ß-Tr0ub4dor-3')
    forms = [
        'p"ä/ß-Tr0ub4dor-3',
        "p%22%C3%A4%2F%C3%9F-Tr0ub4dor-3",
        "p%22%c3%a4%2f%c3%9f-Tr0ub4dor-3",
        'p\\"\\u00e4/\\u00df-Tr0ub4dor-3',
        'p\\"ä\\/ß-Tr0ub4dor-3',
        "p&quot;ä/ß-Tr0ub4dor-3",
    ]
    shown = mask(" ".join(forms), [secret, Secret("")])
    assert set(shown.split()) == {"**********"}
