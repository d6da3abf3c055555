"""Durations are read as people write them, and what is ambiguous is refused in a sentence."""

from __future__ import annotations

import pytest

from agentkeys import InvalidArgumentError, durations


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("90d", 90 * 86400.0),
        ("24h", 86400.0),
        ("15m", 900.0),
        ("30s", 30.0),
        ("1.5h", 5400.0),
        ("0s", 0.0),
        ("0", 0.0),
    ],
)
def test_a_number_and_its_unit(text, seconds):
    """Days, hours, minutes and seconds; zero is zero of whatever."""
    assert durations.parsed(text) == seconds


@pytest.mark.parametrize("text", ["90", "1.5", "3600"])
def test_a_number_alone_is_refused(text):
    """It may mean seconds or days, and the sentence says how to say which."""
    with pytest.raises(InvalidArgumentError, match=f"has no unit: write {text}s"):
        durations.parsed(text)


WORDS = ["", "d", "1D", "1M", "1w", "1y", "-1d", "1 d", " 1d", "1d\n", "1d12h", "1e3s", "inf"]
OTHERS = ["nan", "\u0663d", "1,5h", ".5h", "1.h", "a day", "0x10s"]


@pytest.mark.parametrize("text", [*WORDS, *OTHERS])
def test_anything_else_is_refused(text):
    """M may be a month; a digit of another script is none; a sign has no meaning."""
    with pytest.raises(InvalidArgumentError, match="is not a duration"):
        durations.parsed(text)
