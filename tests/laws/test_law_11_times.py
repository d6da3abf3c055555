"""Law 11: a time is read in every form that a service may write it in."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st
from samples import INBOX_KEY, agentry
from wire import Wire, answer

from agentkeys.transport.reading.convert import BadValue, Reader, as_spelt

READER = Reader(as_spelt)


@attrs.frozen
class At:
    at: datetime
    ended: datetime | None = None


NEW_YEAR = datetime(2024, 1, 1, tzinfo=UTC)
TIMES = {
    # RFC 3339, 5.6: small letters, and another character than T
    "2024-01-01t00:00:00z": NEW_YEAR,
    "2024-01-01T00:00:00z": NEW_YEAR,
    "2024-01-01 00:00:00Z": NEW_YEAR,
    "2024-01-01 00:00:00z": NEW_YEAR,
    "2024-01-01_00:00:00Z": NEW_YEAR,
    "2024-01-01 00:00:00": NEW_YEAR,
    "2024-01-01t00:00:00": NEW_YEAR,
    # offsets
    "2024-01-01T00:00:00+00:00": NEW_YEAR,
    "2024-01-01T00:00:00-00:00": NEW_YEAR,
    "2024-01-01t02:30:00+02:30": NEW_YEAR,
    "2023-12-31 19:00:00-05:00": NEW_YEAR,
    "2024-01-01T01:00:00+0100": NEW_YEAR,
    "2024-01-01T01:00:00+01": NEW_YEAR,
    "2024-01-01 01:00:00 +0100": NEW_YEAR,
    # any number of digits
    "2024-01-01T00:00:00.5Z": NEW_YEAR + timedelta(milliseconds=500),
    "2024-01-01t00:00:00.5z": NEW_YEAR + timedelta(milliseconds=500),
    "2024-01-01T00:00:00.0000000001Z": NEW_YEAR,
    "2024-01-01T00:00:00.123456789z": NEW_YEAR + timedelta(microseconds=123_456),
    "2024-01-01T00:00:00." + "0" * 5 + "19Z": NEW_YEAR + timedelta(microseconds=1),
    "2024-01-01T00:00:00." + "9" * 40 + "Z": NEW_YEAR + timedelta(microseconds=999_999),
    # a leap second
    "2023-12-31T23:59:60Z": NEW_YEAR,
    "2023-12-31t23:59:60.25z": NEW_YEAR + timedelta(microseconds=250_000),
    "2023-12-31T15:59:60-08:00": NEW_YEAR,
    # without seconds, as ISO 8601 allows
    "2024-01-01T00:00Z": NEW_YEAR,
    "2024-01-01 00:00z": NEW_YEAR,
    # what no datetime can hold is the first or the last one
    "0000-02-29T00:00:00Z": datetime.min.replace(tzinfo=UTC),
    "0001-01-01T00:00:00Z": datetime.min.replace(tzinfo=UTC),
    "0001-01-01T00:00:00+14:00": datetime.min.replace(tzinfo=UTC),
    "9999-12-31T23:59:59.999999-12:00": datetime.max.replace(tzinfo=UTC),
    "9999-12-31T23:59:60Z": datetime.max.replace(tzinfo=UTC),
}
NO_TIMES = [
    "",
    "yesterday",
    "2024-01-01",
    "20240101",
    "2024-01-01Z",
    "2024-01-01T",
    "2024-01-01+01:00",
    "12:00:00Z",
    "2024-13-01T00:00:00Z",
    "2024-02-30 00:00:00z",
    "0000-02-30T00:00:00Z",
    "2024-01-01T25:00:00z",
    "2024-01-01T00:60:00Z",
    "2024-01-01T00:00:61Z",
    "2024-01-01T00:00:00+24:00",
    " 2024-01-01T00:00:00Z",
    "2024-01-01T00:00:00Z ",
    "2024-01-01T00:00:00z\n",
    "\N{ARABIC-INDIC DIGIT TWO}024-01-01T00:00:00z",
    "2024-01-01T00:00:00 Europe/Berlin",
    1704067200,
    True,
]


@pytest.mark.parametrize(("text", "moment"), TIMES.items(), ids=repr)
def test_a_time_is_read_however_it_is_written(text, moment):
    """As RFC 3339 allows, and some more; it is aware, and in UTC."""
    assert READER.read(At, {"at": text, "ended": text}) == At(moment, moment)
    found = READER.read(At, {"at": text}).at
    assert found.tzinfo is UTC


@pytest.mark.parametrize("text", NO_TIMES, ids=repr)
def test_what_is_no_time_is_refused(text):
    """With the path, and what should stand there."""
    assert READER.read(At, {"at": text}) == BadValue("$.at", "an ISO 8601 time")


@given(
    st.datetimes(datetime(2, 1, 1), datetime(9998, 12, 31)),  # noqa: DTZ001  # the offset follows
    st.integers(-14 * 60, 14 * 60),
    st.sampled_from("Tt _"),
    st.integers(0, 9),
)
def test_every_time_of_every_offset_is_the_moment_that_it_names(naive, minutes, between, digits):
    """Whatever stands between, and however many digits there are."""
    zone = timezone(timedelta(minutes=minutes))
    moment = naive.replace(tzinfo=zone, microsecond=naive.microsecond if digits >= 6 else 0)
    fraction = f".{moment.microsecond:06}{'0' * 9}"[: digits + 1] if digits else ""
    sign = "-" if minutes < 0 else "+"
    offset = f"{sign}{abs(minutes) // 60:02}:{abs(minutes) % 60:02}" if minutes else "z"
    text = f"{moment:%H:%M:%S}{fraction}{offset}"
    day = moment.date().isoformat()
    expected = moment if digits else moment.replace(microsecond=0)
    assert READER.read(At, {"at": f"{day}{between}{text}"}) == At(expected)


@pytest.mark.asyncio
async def test_one_odd_time_does_not_make_a_listing_unreadable():
    """All of its keys are there."""
    odd = {**INBOX_KEY, "api_key_id": "odd", "created_at": "2016-12-31t23:59:60z"}
    body = {"api_keys": [INBOX_KEY, odd, INBOX_KEY]}
    async with Wire(answer(200, body)) as wire, agentry(wire.url) as client:
        keys = await client.api_keys.list().collect()
    assert [key.id for key in keys] == ["key_1", "odd", "key_1"]
    assert keys[1].created_at == datetime(2017, 1, 1, tzinfo=UTC)
