"""A secret shows nowhere in the blocking client either: law 10."""

from __future__ import annotations

import pytest
from leaks import shown
from samples import NEW_KEY, SECRET
from wire import answer, close, hang

from agentkeys import AgentKeysError, PasswordLogin, sync

TOKEN = "bearer-S3NT1NEL-token"
PASSWORD = "pass-S3NT1NEL"
SENTINELS = ["S3NT1NEL", SECRET]


def assert_no_leak(text: str) -> None:
    assert not [n for n, sentinel in enumerate(SENTINELS) if sentinel in text]


@pytest.mark.parametrize(
    "trouble",
    [answer(500), answer(401), close, hang, answer(201, {**NEW_KEY, "id": "42"}), answer(201, [])],
    ids=["500", "401", "closed", "late", "mistyped", "a list"],
)
@pytest.mark.parametrize("given", [TOKEN, PasswordLogin("me@example.com", PASSWORD)])
def test_a_call_that_fails_shows_none(wire, agentity, given, trouble):
    """In no frame of ours, from the waiting thread to the socket."""
    client = agentity(wire(trouble).url, given)
    with pytest.raises(AgentKeysError) as caught:
        client.api_keys.create("x", timeout=0.2)
    text = shown(caught.value)
    assert "portal.py" in text
    assert_no_leak(text)


@pytest.mark.parametrize(
    "make",
    [
        lambda: sync.AgentityClient(TOKEN, base_url="http://elsewhere"),
        lambda: sync.AgentityClient(TOKEN + " "),
        lambda: sync.AgentryClient(TOKEN, timeout=0),
        lambda: sync.AgentryClient("ag_x", proxy=f"socks://{TOKEN}"),
        lambda: sync.AgentryClient("ag_x", base_url=f"https://{TOKEN}@x"),
        lambda: sync.register("a:b", PASSWORD, name="x"),
        lambda: sync.login("a:b", PASSWORD),
        lambda: sync.login("me@x", "pw", proxy=f"socks://{TOKEN}"),
        lambda: sync.register("me@example.com", PASSWORD, name="", base_url="https://x"),
        lambda: sync.register("me@x", "pw", name="x", proxy=f"socks://{TOKEN}"),
        lambda: sync.register("me@x", "pw", name="x", base_url=f"https://{TOKEN}@x"),
    ],
)
def test_what_cannot_be_made_shows_none(make):
    """Clients and registrations that are refused."""
    with pytest.raises(AgentKeysError) as caught:
        make()
    assert_no_leak(shown(caught.value))


@pytest.mark.parametrize("reply", [answer(409), answer(201, {"id": 5}), close, answer(401)])
def test_a_registration_that_fails_shows_none(wire, reply):
    """Nor does one that the service refuses."""
    url = wire(reply).url
    with pytest.raises(AgentKeysError) as caught:
        sync.register("me@example.com", PASSWORD, name="Me", base_url=url)
    assert_no_leak(shown(caught.value))


def test_reprs_show_none(wire, agentity, agentry):
    """Of clients, scopes, collections, listings and new keys."""
    one, two = agentity(wire(answer(201, NEW_KEY)).url, TOKEN), agentry("https://x", TOKEN)
    new = one.api_keys.create("x")
    things = [one, two, one.api_keys, one.api_keys.list(), two.agent, two.agent.pod("p"), new]
    things += [two.inbox("i"), two.inbox("i").api_keys, two.agent.api_keys]
    assert_no_leak(
        " ".join(f"{thing!r} {vars(thing) if thing is not new else ''}" for thing in things)
    )
    assert repr(two) == "<AgentryClient of https://x> (blocking)"
