"""What belongs to its process is neither copied nor pickled, and says what to do instead."""

from __future__ import annotations

import copy
import pickle

import pytest

from agentkeys import AgentityClient, AgentryClient, PasswordLogin, TokenPair, agentity, sync
from agentkeys.credentials import Renewable, Token
from agentkeys.server import LocalService


class Vault(Renewable):
    async def fetch(self, caller, timeout) -> Token: ...


ASYNC, BLOCKING = AgentryClient("token"), sync.AgentryClient("token")
FROM_A_CLIENT, LISTING, ANOTHER = "from its client again", "list again", "make a new one"
OURS = {
    "client": (ASYNC, ANOTHER),
    "another service's client": (AgentityClient("token"), ANOTHER),
    "collection": (ASYNC.api_keys, FROM_A_CLIENT),
    "surface": (ASYNC.agent, FROM_A_CLIENT),
    "collection of a pod": (ASYNC.agent.pod("p").api_keys, FROM_A_CLIENT),
    "listing": (ASYNC.api_keys.list(), LISTING),
    "blocking client": (BLOCKING, ANOTHER),
    "blocking collection": (BLOCKING.api_keys, FROM_A_CLIENT),
    "blocking surface": (BLOCKING.agent, FROM_A_CLIENT),
    "blocking inbox": (BLOCKING.inbox("i"), FROM_A_CLIENT),
    "blocking listing": (BLOCKING.api_keys.list(), LISTING),
    "local service": (LocalService(), ANOTHER),
    "blocking local service": (sync.LocalService(), ANOTHER),
    "password": (PasswordLogin("me@example.com", "pw"), ANOTHER),
    "pair": (TokenPair("a", "b"), ANOTHER),
    "credentials of one's own": (Vault(), ANOTHER),
}


@pytest.mark.parametrize("way", [copy.copy, copy.deepcopy, pickle.dumps])
@pytest.mark.parametrize(("ours", "instead"), OURS.values(), ids=OURS.keys())
def test_it_says_that_it_cannot_and_what_can(way, ours, instead):
    """Its name, why, and what to do; no word of a lock or a Context inside of it."""
    with pytest.raises(TypeError, match=f"{type(ours).__name__} cannot be copied.*{instead}"):
        way(ours)


@pytest.mark.parametrize("way", [copy.deepcopy, pickle.dumps])
@pytest.mark.parametrize("holder", [ASYNC.inbox("i"), ASYNC.agent.pod("p"), [ASYNC], {"c": ASYNC}])
def test_what_holds_one_is_told_the_same(way, holder):
    """The sentence comes through whatever it is in."""
    with pytest.raises(TypeError, match="cannot be copied or pickled"):
        way(holder)


def test_records_are_copied_as_ever():
    """What was fetched is data."""
    at = agentity.datetime.fromisoformat("2026-01-01T00:00:00Z")
    key = agentity.ApiKey(1, "a", at, at)
    assert copy.deepcopy(key) == pickle.loads(pickle.dumps(key)) == key
    assert copy.deepcopy(ASYNC.api_keys.scope) == ASYNC.api_keys.scope
