"""The words for faults: all that there are, what each may be, and what is refused at once."""

from __future__ import annotations

import math

import pytest

from agentkeys.errors import InvalidArgumentError
from agentkeys.server import LocalService, faults
from agentkeys.server.agentity.routes import Agentity
from agentkeys.server.agentry.routes import Agentry
from agentkeys.server.faults import (
    AGENTITY,
    AGENTRY,
    ALL,
    CREATES,
    DELETES,
    LISTS,
    LOGIN,
    REFRESH,
    REGISTER,
    Answer,
    Close,
    CycledCursors,
    Delay,
    EmptyPage,
    HalfBody,
    Html,
    HugeBody,
    MalformedJson,
    Redirect,
    RepeatedCursor,
    Reset,
    Trickle,
    WrongLength,
)

SECRET = "ag_0123456789abcdef"


def template(route):
    return f"{route.method} {route.path.replace(':[^/]+', '')}"


def test_every_route_has_its_name():
    """The routes that faults know are those that the services have."""
    services = (Agentity(*[None] * 5), Agentry(*[None] * 5))
    agentity, agentry = ({template(each) for each in service.routes()} for service in services)
    assert (agentity, agentry) == (AGENTITY, AGENTRY)
    assert agentity | agentry == ALL
    assert (len(CREATES), len(LISTS), len(DELETES)) == (6, 6, 6)
    assert ALL - CREATES - LISTS - DELETES == REGISTER | LOGIN | REFRESH


@pytest.mark.parametrize(
    ("route", "sentence"),
    [
        ("POST /auth/apikeys", r"did you mean 'POST /auth/api-keys'\?"),
        ("DELETE /auth/api-keys/5", r"did you mean 'DELETE /auth/api-keys/{id}'\?"),
        ("/auth/api-keys", r"did you mean '\w+ /auth/api-keys'"),
        ("CREATES", r"there is no route 'CREATES'$"),
        ({"POST /auth/api-keys", "GET /"}, "there is no route 'GET /'"),
        (CREATES & LISTS, "this group is empty"),
        (5, "a route must be a str"),
        ([5], "there is no route '5'"),
        (f"GET /x?apiKey={SECRET}", r"there is no route 'GET /x\?apiKey=\*+'"),
    ],
)
def test_a_route_that_is_none_is_refused_at_once(route, sentence):
    """With the one that may have been meant, and without a secret that was pasted."""
    service = LocalService()
    with pytest.raises(InvalidArgumentError, match=sentence) as caught:
        service.faults.add(route, Reset())
    assert SECRET not in str(caught.value)
    assert list(service.faults) == []


@pytest.mark.parametrize(
    ("route", "kind", "how", "sentence"),
    [
        (CREATES, Reset, {}, "parentheses"),
        (CREATES, 500, {}, "parentheses"),
        (CREATES, Reset(), {"when": "during"}, '"before" the commit or "after"'),
        (CREATES, Reset(), {"times": 0}, "1 or more"),
        (CREATES, Reset(), {"times": -1}, "1 or more"),
        (CREATES, Reset(), {"times": 1.5}, "1 or more"),
        (CREATES, Reset(), {"times": True}, "1 or more"),
        (CREATES, Reset(), {"times": "once"}, "1 or more"),
        (
            LISTS & AGENTRY,
            RepeatedCursor(),
            {"when": "before"},
            "before the commit there is no page",
        ),
        (LISTS, RepeatedCursor(), {}, "only Agentry's listings"),
        ("GET /auth/api-keys", EmptyPage(), {}, "only Agentry's listings"),
        (CREATES, CycledCursors(), {}, "only Agentry's listings"),
    ],
)
def test_a_fault_that_cannot_be_is_refused_at_once(route, kind, how, sentence):
    """With a sentence that says why, and nothing is added."""
    service = LocalService()
    with pytest.raises(InvalidArgumentError, match=sentence):
        service.faults.add(route, kind, **how)
    assert list(service.faults) == []


@pytest.mark.parametrize(
    "make",
    [
        lambda: Answer(100),
        lambda: Answer(600),
        lambda: Answer(True),
        lambda: Answer("500"),
        lambda: Answer(204, "text"),
        lambda: Answer(200, object()),
        lambda: Answer(200, "\ud800"),
        lambda: Answer(200, None, {"A": "b\r\nC: d"}),
        lambda: Answer(200, None, {"A": "\ud800"}),
        lambda: Answer(200, None, {"A:": "b"}),
        lambda: Answer(200, None, {"": "b"}),
        lambda: Answer(200, None, {"A": 5}),
        lambda: Answer(200, None, ["A"]),
        lambda: Answer(200, None, {"content-length": "5"}),
        lambda: Answer(200, None, {"Transfer-Encoding": "chunked"}),
        lambda: Html(1000),
        lambda: MalformedJson(0),
        lambda: Redirect("http://x\r\n"),
        lambda: Redirect(None),
        lambda: Redirect("http://x", 200),
        lambda: Delay(-1),
        lambda: Delay(math.nan),
        lambda: Delay("1"),
        lambda: Trickle(-0.1),
        lambda: WrongLength(0),
        lambda: WrongLength(0.5),
        lambda: HugeBody(1),
        lambda: CycledCursors(0),
    ],
)
def test_a_kind_that_cannot_be_is_refused_at_once(make):
    """One sentence, which quotes nothing that was given."""
    with pytest.raises(InvalidArgumentError) as caught:
        make()
    assert "\n" not in str(caught.value)
    assert caught.value.__context__ is None


@pytest.mark.parametrize(
    "kind",
    [
        Answer(200, {"key": SECRET}, {"Authorization": f"Bearer {SECRET}"}),
        Answer(200, SECRET),
        Redirect(f"http://elsewhere.test/?apiKey={SECRET}"),
    ],
)
def test_no_secret_shows_in_a_fault(kind):
    """Neither a body, nor a header, nor an address is in its repr."""
    service = LocalService()
    fault = service.faults.add(CREATES, kind)
    for shown in (kind, fault, list(service.faults), service.faults):
        assert SECRET not in repr(shown)
        assert SECRET not in str(shown)


def test_a_fault_says_what_it_is():
    """Its repr is for the failure of a test."""
    service = LocalService()
    one = service.faults.add("POST /auth/api-keys", Reset(), when="after")
    assert repr(one) == "<Fault Reset() after POST /auth/api-keys, times=1>"
    more = service.faults.add(LISTS & AGENTRY, CycledCursors())
    first = "GET /agent/v0/api-keys"
    assert repr(more) == f"<Fault CycledCursors(length=2) after {first} and 4 more, times='always'>"
    assert repr(service.faults) == "<Faults: 2>"
    assert (one.when, one.times, one.kind) == ("after", 1, Reset())
    assert one.routes == {"POST /auth/api-keys"}


def test_the_kinds_are_data():
    """Equal if they say the same, and frozen."""
    assert HalfBody() == HalfBody()
    assert WrongLength(1) != WrongLength(2)
    assert Close() != Reset()
    with pytest.raises(AttributeError):
        Trickle().pace = 2
    assert faults.__all__ == sorted(faults.__all__, key=lambda name: (not name.isupper(), name))
