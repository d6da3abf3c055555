"""Which keys are meant: a function of the keys, the criteria and the time."""

from __future__ import annotations

import csv
import io
import json
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from wire import answer, hang

from agentkeys.agentity import ApiKey as AgentityKey
from agentkeys.agentry import ApiKey
from agentkeys.cli.bulk.choosing import ORDERS, Criteria, chosen, missing, shared

NOW = datetime(2026, 6, 1, tzinfo=UTC)
DAY = 86400.0


def key(key_id: str, name: str, age: float = 0, idle: float | None = None) -> ApiKey:
    """Return a key of so many days, last used so many days ago."""
    used = None if idle is None else NOW - timedelta(days=idle)
    return ApiKey(key_id, name, "ag_", NOW - timedelta(days=age), used_at=used)


KEYS = [
    key("k1", "ci", age=100, idle=1),
    key("k2", "ci", age=50),
    key("k3", "bot-1", age=10, idle=5),
    key("k4", "k1", age=1),
]


def ids(**criteria: object) -> list[str]:
    return [each.id for each in chosen(KEYS, Criteria(**criteria), NOW)]


@pytest.mark.parametrize(
    ("criteria", "expected"),
    [
        ({}, ["k1", "k2", "k3", "k4"]),
        ({"ids": ("k2",)}, ["k2"]),
        ({"words": ("bot-1",)}, ["k3"]),
        ({"words": ("ci", "k3")}, ["k1", "k2", "k3"]),
        ({"words": ("k1",)}, ["k1"]),  # an id before a name
        ({"words": ("c*",)}, []),  # a word is no pattern
        ({"names": ("c?", "bot-*")}, ["k1", "k2", "k3"]),
        ({"names": ("CI",)}, []),
        ({"older_than": 50 * DAY}, ["k1", "k2"]),
        ({"unused_for": 5 * DAY}, ["k2", "k3"]),  # k2 was never used since it was made
        ({"names": ("ci",), "older_than": 60 * DAY}, ["k1"]),
        ({"words": ("ci",), "unused_for": 2 * DAY}, ["k2"]),
        ({"sort": "created"}, ["k1", "k2", "k3", "k4"]),
        ({"sort": "-created"}, ["k4", "k3", "k2", "k1"]),
        ({"sort": "name"}, ["k3", "k1", "k2", "k4"]),
        ({"sort": "-used"}, ["k1", "k3", "k2", "k4"]),
        ({"sort": "-created", "limit": 2}, ["k4", "k3"]),
    ],
    ids=str,
)
def test_all_criteria_must_hold(criteria, expected):
    """Ids, names, patterns, ages, uses; then the order, then the limit."""
    assert ids(**criteria) == expected


NAMES = st.sampled_from(["a", "b", "ci-1", "k1"])
LISTS = st.lists(
    st.builds(key, st.uuids().map(str), NAMES, st.integers(0, 9), st.none() | st.integers(0, 9)),
    max_size=8,
)
CRITERIA = st.builds(
    Criteria,
    words=st.lists(NAMES, max_size=2).map(tuple),
    names=st.lists(st.sampled_from(["*", "c*", "a"]), max_size=2).map(tuple),
    older_than=st.none() | st.integers(0, 9).map(lambda days: days * DAY),
    unused_for=st.none() | st.integers(0, 9).map(lambda days: days * DAY),
    sort=st.none() | st.sampled_from(ORDERS),
    limit=st.none() | st.integers(1, 4),
)


@given(LISTS, CRITERIA)
def test_choosing_invents_and_repeats_nothing(keys, criteria):
    """What is chosen is of the list, each key once, and to choose again changes nothing."""
    found = chosen(keys, criteria, NOW)
    assert len({each.id for each in found}) == len(found)
    assert all(each in keys and criteria.admits(each, NOW) for each in found)
    assert criteria.limit is None or len(found) <= criteria.limit
    assert chosen(found, criteria, NOW) == found


def test_a_word_that_no_key_has_is_missing():
    """Whether the other criteria hold for the others is another matter."""
    criteria = Criteria(ids=("k9", "k1"), words=("ci", "nobody"), older_than=1000 * DAY)
    assert missing(KEYS, criteria) == ["k9", "nobody"]


def test_a_name_that_several_keys_have_is_shared():
    """But not if the word is an id."""
    assert shared(KEYS, ("ci", "bot-1", "k1")) == {"ci": ["k1", "k2"]}


def test_a_key_that_tells_no_use_has_its_age():
    """Agentity's do not; the command line refuses to ask for it."""
    old = AgentityKey(1, "a", NOW - timedelta(days=9), NOW)
    assert chosen([old], Criteria(ids=(1,), older_than=9 * DAY), NOW) == [old]


LIST = ("agentry", "list", "--tenant")
DELETE = ("agentry", "delete", "--tenant")
KEY = {"name": "ci", "prefix": "ag_1", "created_at": "2026-01-01T00:00:00Z"}


@pytest.fixture
def three(run, served):
    """Make three keys of the tenant, two of them of one name; their ids, newest first."""
    for name in ("ci", "ci", 'bot, the "first"'):
        run("agentry", "create", "--tenant", name)
    return [each["api_key_id"] for each in json.loads(run(*LIST, "--json").out)]


def test_jsonl_and_csv_have_what_json_has(run, three):
    """A key a line; a name with a comma and quotes is one field."""
    whole = json.loads(run(*LIST, "--format", "json").out)
    lines = run(*LIST, "--format", "jsonl").out.splitlines()
    assert [json.loads(line) for line in lines] == whole
    rows = [*csv.DictReader(io.StringIO(run(*LIST, "--format", "csv").out))]
    assert [row["id"] for row in rows] == three
    assert rows[0]["name"] == 'bot, the "first"'
    assert [row["created_at"] for row in rows] == [each["created_at"] for each in whole]


@pytest.mark.parametrize("form", ["jsonl", "csv"])
def test_a_stream_is_written_page_by_page(start, background, wire, form):
    """The first page is there while the service is still at work on the third."""
    page = {"api_keys": [{**KEY, "api_key_id": "k1"}], "next_page_token": "2"}
    second = {"api_keys": [{**KEY, "api_key_id": "k2"}], "next_page_token": "3"}
    wire(answer(200, page), answer(200, second), hang)
    process = start(*LIST, "--format", form)
    assert process.stdout.readline()
    assert "k" in process.stdout.readline()


def test_a_limit_asks_for_no_more_pages(run, wire):
    """Than it needs; one is asked for ahead at most."""
    pages = [
        answer(200, {"api_keys": [{**KEY, "api_key_id": f"k{n}"}], "next_page_token": f"{n}"})
        for n in range(9)
    ]
    server = wire(*pages)
    assert len(run(*LIST, "--limit", "2", "--format", "jsonl").out.splitlines()) == 2
    assert len(server.requests) <= 3


def test_a_name_that_several_have_is_refused_with_the_ids(run, three):
    """Nothing is deleted; --all-of-name, the ids, and a pattern mean all of them."""
    refused = run(*DELETE, "ci")
    assert refused.code == 2
    assert all(key_id in refused.err for key_id in three[1:])
    assert len(json.loads(run(*LIST, "--json").out)) == 3
    assert run(*LIST, "ci", "--format", "jsonl").out.count("\n") == 2
    ended = run(*DELETE, "ci", "--all-of-name")
    assert {*ended.out.splitlines()} == {f"deleted {key_id}" for key_id in three[1:]}


def test_a_name_deletes_its_key(run, three):
    """As its id does."""
    assert run(*DELETE, 'bot, the "first"') == (0, f"deleted {three[0]}\n", "")


def test_a_dry_run_deletes_nothing(run, three, served):
    """It prints what `list` would."""
    ended = run(*DELETE, "--name", "c*", "--dry-run")
    assert ended.out == run(*LIST, "--name", "c*").out
    assert ended.err == "2 keys would be deleted.\n"
    assert "DELETE" not in {seen.method for seen in served.requests}


def test_standard_input_has_ids(start, three, served):
    """One a line; it needs no listing, and so no permission to list."""
    served.requests.clear()
    process = start(*DELETE, "-", stdin=-1)
    out, err = process.communicate("\n".join([*three, ""]), timeout=30)
    assert ({*out.splitlines()}, err) == ({f"deleted {key_id}" for key_id in three}, "")
    assert {seen.method for seen in served.requests} == {"DELETE"}


def test_all_needs_a_yes_where_nobody_can_be_asked(run, three):
    """A script that deletes by a pattern says that it means it."""
    assert run(*DELETE, "--all").code == 2
    assert len(json.loads(run(*LIST, "--json").out)) == 3
    assert run(*DELETE, "--all", "--yes").code == 0
    assert json.loads(run(*LIST, "--json").out) == []


def test_a_missing_key_is_said_before_the_question(terminal, three):
    """And those that are there are shown with their names, ages and uses."""
    asked = terminal(*DELETE, three[0], "nobody", columns=200)
    asked.read_until("[y/N]")
    _, _, after = asked.shown.partition("'nobody' here")
    assert after
    assert "LAST USED" in after
    assert "never" in after
    assert "just now" in after or "ago" in after
    asked.type("y\n")
    assert asked.end()[0] == 0


def test_a_list_of_what_is_not_there_ends_with_7(run, three):
    """What is there is listed."""
    ended = run(*LIST, three[0], "nobody", "--format", "jsonl")
    assert (ended.code, ended.out.count("\n")) == (7, 1)
    assert "'nobody'" in ended.err


def test_a_place_that_is_not_there_is_no_place_of_gone_keys(start, served):
    """A mistyped inbox is an error, and not a delete that is done already."""
    process = start("agentry", "delete", "nobody@acme.to", "-", stdin=-1)
    process.communicate("k1\nk2\n", timeout=30)
    assert process.returncode == 7
