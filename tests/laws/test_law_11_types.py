"""Law 11: a record's field is of any type that a service may have, and always strict."""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime
from typing import Annotated, Any, Literal, NewType, Optional, Union

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentkeys import Secret
from agentkeys.agentity import ApiKey, NewApiKey
from agentkeys.agentry import _Listing
from agentkeys.transport.reading.convert import (
    BadValue,
    Milliseconds,
    Reader,
    Seconds,
    as_spelt,
    camel_case,
)
from agentkeys.transport.reading.kinds import Fault


class Status(str, enum.Enum):  # noqa: UP042  # as many write it
    ACTIVE = "active"
    REVOKED = "revoked"


class Level(enum.IntEnum):
    LOW = 1
    HIGH = 2


class Open(enum.Enum):
    KNOWN = "known"
    OTHER = ""

    @classmethod
    def _missing_(cls, _: object) -> Open:
        return cls.OTHER


@attrs.frozen
class Owner:
    user_id: int
    is_admin: bool = False


@attrs.frozen
class Node:
    name: str
    children: tuple[Node, ...] = ()


@attrs.frozen
class Folder:
    name: str
    parent: Folder | None = None


@attrs.frozen
class Positive:
    n: int = attrs.field(validator=attrs.validators.gt(0))


KeyId = NewType("KeyId", str)
AT = datetime(2024, 1, 1, tzinfo=UTC)
NO_STR = [5, True, None, [], {}]

# A type, what JSON is read as what, what is refused, and how that is named.
TYPES: dict[str, tuple[Any, list[tuple[Any, Any]], list[Any], str]] = {
    "bool": (bool, [(True, True), (False, False)], [0, 1, "true", None, []], "a boolean"),
    "int": (int, [(0, 0), (2**64 - 1, 2**64 - 1)], [True, 1.0, "1", None, 2**64], "an integer"),
    "float": (float, [(0.5, 0.5), (1, 1.0)], [True, "1", None], "a number"),
    "str": (str, [("", ""), ("x", "x")], NO_STR, "a string"),
    "str | int": (str | int, [("x", "x"), (5, 5)], [True, 1.5, None], "a string or an integer"),
    "Union": (Union[int, str], [("x", "x"), (5, 5)], [True, None], "an integer or a string"),  # noqa: UP007
    "int | bool": (int | bool, [(True, True), (1, 1)], ["1", None], "an integer or a boolean"),
    "date": (
        date,
        [("2024-02-29", date(2024, 2, 29))],
        ["2024-02-30", "20240229", "2024-W01-1", "2024-02-29T00:00:00Z", "", 5, None],
        "an ISO 8601 date",
    ),
    "Seconds": (
        Seconds,
        [(1704067200, AT), (1704067200.5, AT.replace(microsecond=500_000)), (-1, None)],
        ["1704067200", True, None, 1704067200000, 1e300],
        "a time in seconds since 1970",
    ),
    "Milliseconds": (
        Milliseconds,
        [(1704067200000, AT), (1704067200001, AT.replace(microsecond=1000))],
        ["1704067200000", True, None, 10**17],
        "a time in milliseconds since 1970",
    ),
    "Literal": (
        Literal["a", "b", 1, None],  # noqa: PYI061  # as it is allowed
        [("a", "a"), (1, 1), (None, None)],
        ["c", True, 1.0, [], {}],
        '"a" or "b" or 1 or null',
    ),
    "a str Enum": (
        Status,
        [("active", Status.ACTIVE)],
        ["ACTIVE", "", *NO_STR],
        '"active" or "revoked"',
    ),
    "an IntEnum": (Level, [(2, Level.HIGH)], [3, True, 1.0, "1", None], "1 or 2"),
    "an open Enum": (Open, [("known", Open.KNOWN), ("new", Open.OTHER)], NO_STR, '"known" or ""'),
    "a record": (
        Owner,
        [({"user_id": 1}, Owner(1)), ({"user_id": 1, "is_admin": True}, Owner(1, True))],
        [None, [], "x"],
        "an object",
    ),
    "tuple": (tuple[str, ...], [([], ()), (["a"], ("a",))], ["a", None, {}], "an array"),
    "list": (list[Owner], [([{"user_id": 1}], [Owner(1)])], ["a", None, {}], "an array"),
    "Sequence": (Sequence[int], [([1], (1,))], [1, None], "an array"),
    "dict": (
        dict[str, int],
        [({}, {}), ({"a": 1}, {"a": 1})],
        [{"a": True}, [], None],
        "an object of integers",
    ),
    "Mapping": (Mapping[str, Status], [({"a": "active"}, {"a": Status.ACTIVE})], [[]], "an object"),
    "Secret": (Secret, [("x", Secret("x"))], ["", *NO_STR], "a string that is not empty"),
    "NewType": (KeyId, [("x", "x")], NO_STR, "a string"),
    "Annotated": (Annotated[str, "whatever"], [("x", "x")], NO_STR, "a string"),
    "Any": (Any, [(None, None), ({"a": [1]}, {"a": [1]})], [], ""),
    "dict of Any": (dict[str, Any], [({"a": [1]}, {"a": [1]})], [[], None], "an object of values"),
}
EACH = pytest.mark.parametrize(("kind", "good", "bad", "words"), TYPES.values(), ids=TYPES.keys())


def record_of(kind: Any, **settings: Any) -> type:
    return attrs.make_class("Made", {"it": attrs.field(type=kind, **settings)}, frozen=True)


@EACH
def test_every_type_is_read_and_as_strict_as_any(kind, good, bad, words):
    """As a field, what it takes and what it refuses; the words name the type."""
    reader, record = Reader(as_spelt), record_of(kind)
    for value, expected in good:
        found = reader.read(record, {"it": value})
        assert not isinstance(found, BadValue)
        if expected is not None or value is None:
            assert found.it == expected
            assert type(found.it) is type(expected)
    for value in bad:
        fault = reader.read(record, {"it": value})
        assert isinstance(fault, BadValue), value
        assert fault.json_path == "$.it"
        assert fault.expected.startswith(words)
    assert reader.read(record, {}).expected.endswith(", and it is missing")


@EACH
def test_every_type_may_be_null_or_absent(kind, good, bad, words):
    """``X | None``: both are None, and what is wrong is as wrong."""
    reader, record = Reader(as_spelt), record_of(Optional[kind], default=None)  # noqa: UP045  # of any type
    assert reader.read(record, {"it": None}) == reader.read(record, {}) == record(None)
    for value, expected in good:
        if expected is not None:
            assert reader.read(record, {"it": value}) == record(expected)
    for value in bad:
        if value is not None:
            assert isinstance(reader.read(record, {"it": value}), BadValue)


@EACH
def test_every_type_may_stand_in_an_array_and_in_an_object(kind, good, bad, words):
    """The path has the number in the array; what an object calls its values may be anything."""
    reader = Reader(as_spelt)
    array, table = record_of(tuple[kind, ...]), record_of(dict[str, kind])
    first = good[0][0]
    assert len(reader.read(array, {"it": [value for value, _ in good]}).it) == len(good)
    assert list(reader.read(table, {"it": {"ag_name": first}}).it) == ["ag_name"]
    for value in bad:
        assert reader.read(array, {"it": [first, value]}).json_path == "$.it[1]"
        assert "ag_name" not in str(reader.read(table, {"it": {"ag_name": value}}))


@pytest.mark.parametrize(
    ("kind", "value", "fault"),
    [
        (Owner, {"user_id": "1"}, BadValue("$.it.user_id", "an integer")),
        (Owner, {}, BadValue("$.it.user_id", "an integer, and it is missing")),
        (
            list[Owner],
            [{"user_id": 1}, {}],
            BadValue("$.it[1].user_id", "an integer, and it is missing"),
        ),
        (list[list[int]], [[1], [2, "3"]], BadValue("$.it[1][1]", "an integer")),
        (dict[str, Owner], {"ag_x": {"user_id": None}}, BadValue("$.it[*].user_id", "an integer")),
        (dict[str, Owner], {"ag_x": 5}, BadValue("$.it", "an object of objects")),
        (str | Owner, {"user_id": None}, BadValue("$.it.user_id", "an integer")),
        (str | Owner, 5, BadValue("$.it", "a string or an object")),
        (Owner | None, {"user_id": None}, BadValue("$.it.user_id", "an integer")),
        (
            Node,
            {"name": "a", "children": [{"name": 5}]},
            BadValue("$.it.children[0].name", "a string"),
        ),
        (Positive, {"n": 0}, BadValue("$.it", "what Positive can be")),
    ],
)
def test_a_fault_deep_inside_is_named_exactly(kind, value, fault):
    """Where it is, and what should stand there."""
    assert Reader(as_spelt).read(record_of(kind), {"it": value}) == fault


def test_a_record_may_hold_records_of_its_own_type():
    """However deep; and what never ends is a fault and no foreign exception."""
    reader = Reader(as_spelt)
    tree = {"name": "a", "children": [{"name": "b", "children": [{"name": "c"}]}]}
    assert reader.read(Node, tree) == Node("a", (Node("b", (Node("c"),)),))
    below = {"name": "a", "parent": {"name": "b", "parent": {"name": "c"}}}
    assert reader.read(Folder, below) == Folder("a", Folder("b", Folder("c")))
    for _ in range(20_000):
        tree = {"name": "x", "children": [tree]}
        below = {"name": "x", "parent": below}
    assert reader.read(Node, tree) == BadValue("$", "fewer levels")
    assert reader.read(Folder, below) == BadValue("$", "fewer levels")


def test_defaults_are_those_of_the_record():
    """A value, what a factory makes, and what one makes of the rest; keywords and other names."""

    @attrs.frozen
    class Rich:
        a: int
        b: list[int] = attrs.field(factory=list)
        c: str = "c"
        _d: bool = True
        e: int = attrs.field(default=attrs.Factory(lambda self: self.a + 1, takes_self=True))
        f: int = attrs.field(default=7, kw_only=True)
        g: int = attrs.field(default=8, init=False)

    @attrs.frozen
    class Plain:
        a: int = attrs.field(converter=lambda n: n * 2)
        b: list[int] = attrs.field(factory=list)
        _d: bool = True
        f: int = attrs.field(default=7, kw_only=True)

    @attrs.frozen(slots=False)
    class WithoutSlots:
        a: int
        b: list[int] = attrs.field(factory=list)
        _d: bool = True
        f: int = attrs.field(default=7, kw_only=True)

    @attrs.frozen
    class WithSlots:
        a: int
        b: list[int] = attrs.field(factory=list)
        _d: bool = True
        f: int = attrs.field(default=7, kw_only=True)

    @attrs.frozen
    class After(WithSlots):
        def __attrs_post_init__(self):
            self.b.append(self.a)

    @attrs.frozen
    class Own(WithSlots):
        def __init__(self, a, d=True, f=7):  # it is a record's
            self.__attrs_init__(a, [a], d, f=f)

    @attrs.frozen(cache_hash=True, eq=True)
    class Hashed(WithSlots):
        b: tuple[int, ...] = attrs.field(factory=lambda: tuple(range(3)))

    for record in (Rich, Plain, WithoutSlots, WithSlots, After, Own, Hashed):
        attrs.resolve_types(record, globals(), locals())
        reader = Reader(as_spelt)
        first, second = reader.read(record, {"a": 1}), reader.read(record, {"a": 1})
        assert first == record(1)
        assert first.b is not second.b
        assert reader.read(record, {"a": 1, "_d": False, "f": 2}) == record(1, d=False, f=2)
        assert reader.read(record, {"a": 1, "f": None}) == BadValue("$.f", "an integer")


@pytest.mark.parametrize("kind", [bytes, set[int], tuple[int, str], dict[int, str], object(), "x"])
def test_a_type_that_is_never_read_is_said_at_once(kind):
    """To whoever writes the service, and not as a fault of what it answered."""
    with pytest.raises((TypeError, NameError)):
        Reader(as_spelt).read(record_of(kind), {"it": None})


# The converter that reads, and the one that reads again to say where a fault is.

SMALL = st.text(max_size=5)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | SMALL,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(SMALL, inner, max_size=3),
    max_leaves=5,
)
AT_TEXT = "2024-01-01T00:00:00Z"
TEXTS = [AT_TEXT, "2024-01-01t00:00:00z", "2016-12-31T23:59:60Z", "2024-01-01", "active", ""]
EDGES = [n + d for n in (0, 1, 2**63, 2**64, -(2**63)) for d in (-1, 0, 1)]


def nearly(values: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Return mostly *values*, and now and then whatever else there is in JSON."""
    return st.one_of(values, values, values, values, JSON)


VALUES = st.sampled_from([*TEXTS, *EDGES, True, False, None, 0.5]) | JSON
AGENTITYS = st.fixed_dictionaries(
    {
        "id": nearly(st.sampled_from(EDGES)),
        "nickname": nearly(SMALL),
        "createdAt": nearly(st.just(AT_TEXT)),
        "updatedAt": nearly(st.sampled_from(TEXTS)),
    },
    optional={"key": nearly(SMALL)},
)
AGENTRYS = st.fixed_dictionaries(
    dict.fromkeys(["api_key_id", "name", "prefix", "created_at"], st.just(AT_TEXT)),
    optional={
        "used_at": nearly(st.sampled_from(TEXTS)),
        "inbox_id": VALUES,
        "permissions": nearly(st.dictionaries(SMALL, st.booleans())),
    },
)
LISTINGS = st.fixed_dictionaries(
    {"api_keys": nearly(st.lists(AGENTRYS, max_size=3))}, optional={"next_page_token": VALUES}
)


def what_is_read(hook: Any, record: type, document: object) -> object:
    """Return in words what a hook makes of a document (True equals 1), or that it refuses it."""
    try:
        found = hook(document, record)
    except (Fault, KeyError, TypeError):
        return "refused"
    return repr(found)


def assert_they_agree(spell: Any, record: type, document: object) -> None:
    reader = Reader(spell)
    found = what_is_read(reader.check(record), record, document)
    assert found == what_is_read(reader._locating.structure, record, document)
    assert (found == "refused") == isinstance(reader.read(record, document), BadValue)


@pytest.mark.parametrize(
    ("spell", "record", "documents"),
    [
        (camel_case, ApiKey, AGENTITYS),
        (camel_case, NewApiKey, AGENTITYS),
        (as_spelt, _Listing, LISTINGS),
    ],
)
@given(data=st.data())
def test_what_is_refused_is_found_again(spell, record, documents, data):
    """The converter that knows the path reads and refuses what the quick one does."""
    assert_they_agree(spell, record, data.draw(documents))


@EACH
@given(data=st.data())
@settings(max_examples=60)
def test_both_converters_agree_on_every_type(kind, good, bad, words, data):
    """On what is good, what is bad, and whatever else there is in JSON; optional or not."""
    value = data.draw(st.sampled_from([*(value for value, _ in good), *bad]) | VALUES)
    assert_they_agree(as_spelt, record_of(kind), {"it": value})
    optional = record_of(Optional[kind], default=None)  # noqa: UP045  # of any type
    assert_they_agree(as_spelt, optional, {"it": value})


def test_what_is_usual_is_read_at_once():
    """Else a page would be read twice, whatever the service writes."""
    usual = {"api_key_id": "k", "name": "n", "prefix": "p", "created_at": "2024-01-01T00:00:00Z"}
    for key in (
        usual,
        {**usual, "created_at": "2024-01-01T00:00:00.000+02:00"},
        {**usual, "created_at": "2024-01-01T00:00:00"},
        {**usual, "used_at": None, "inbox_id": None, "pod_id": "p", "permissions": {"a": True}},
        {**usual, "used_at": usual["created_at"], "unknown": {}},
    ):
        reader, document = Reader(as_spelt), {"api_keys": [key]}
        hook = reader.check(_Listing)
        assert hook(document, _Listing) == reader._locating.structure(document, _Listing)
