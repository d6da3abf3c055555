"""The same tests through the async client, the blocking client, and the command line."""

from __future__ import annotations

import re

import pytest
from ways import NOWHERE, SCOPES, RefusedError

AGENTRY = {name: scope for name, scope in SCOPES.items() if scope.service == "agentry"}
INBOX, POD = SCOPES["inbox"], SCOPES["agent, pod"]
every_scope = pytest.mark.parametrize("scope", SCOPES.values(), ids=SCOPES.keys())
every_service = pytest.mark.parametrize(
    "scope", [SCOPES["account"], SCOPES["tenant"]], ids=["agentity", "agentry"]
)


@every_scope
def test_a_key_is_made_listed_and_deleted(way, scope):
    """In every scope; its secret is told when it is made."""
    made = way.create(scope, "production agent")
    assert made.name == "production agent"
    assert re.fullmatch(r"(agk_live|ag)_\w{20,}", made.secret)
    assert way.list(scope) == [(made.id, made.name)]
    assert way.delete(scope, made.id) is None
    assert way.list(scope) == []


def test_each_scope_shows_what_belongs_to_it(way):
    """An inbox its own keys, a pod those of its own, the tenant all; the account is another."""
    for name, scope in SCOPES.items():
        way.create(scope, name)
    seen = {name: {key.name for key in way.list(scope)} for name, scope in SCOPES.items()}
    assert seen["account"] == {"account"}
    assert seen["tenant"] == seen["agent, tenant"] == set(AGENTRY)
    assert seen["inbox"] == seen["agent, inbox"] == {"inbox", "agent, inbox"}
    assert "agent, pod" in seen["agent, pod"]


def test_the_tenants_keys_of_one_inbox(way):
    """`inbox_id` filters the tenant's listing."""
    way.create(SCOPES["tenant"], "a")
    way.create(INBOX, "b")
    assert [key.name for key in way.list(SCOPES["tenant"], inbox_id="i")] == ["b"]


@pytest.mark.parametrize("limit", [1, 2, 100, None])
@pytest.mark.parametrize("scope", [SCOPES["tenant"], INBOX, POD], ids=["tenant", "inbox", "pod"])
def test_a_listing_is_whole_and_newest_first(way, scope, limit):
    """Whatever the size of its pages."""
    names = [way.create(scope, f"key {n}").name for n in range(5)]
    assert [key.name for key in way.list(scope, limit=limit)] == names[::-1]


def test_permissions_are_taken_on_the_agent_surface(way):
    """A key that may do little is made like any other."""
    made = way.create(POD, "reader", read_inbox=True, send=False)
    assert [key.id for key in way.list(POD)] == [made.id]


def test_a_nickname_is_unique_among_an_accounts_keys(way):
    """The second one of its name is a conflict; when the first is gone it is none."""
    first = way.create(SCOPES["account"], "twin")
    with pytest.raises(RefusedError) as caught:
        way.create(SCOPES["account"], "twin")
    assert caught.value.status == 409
    way.delete(SCOPES["account"], first.id)
    assert way.create(SCOPES["account"], "twin").name == "twin"


def test_a_name_need_not_be_unique_at_agentry(way):
    """Two keys of one name are two keys."""
    assert len({way.create(INBOX, "twin").id for _ in range(2)}) == 2


@every_scope
def test_what_is_not_there_cannot_be_deleted(way, scope):
    """404, also for what was there a moment ago."""
    made = way.create(scope, "x")
    way.delete(scope, made.id)
    with pytest.raises(RefusedError):
        way.delete(scope, made.id)
    with pytest.raises(RefusedError) as caught:
        way.delete(scope, scope.unknown_id)
    assert caught.value.status == 404
    assert way.list(scope) == []


@pytest.mark.parametrize("scope", NOWHERE.values(), ids=NOWHERE.keys())
def test_a_scope_that_is_not_there_has_no_keys(way, scope):
    """An unknown inbox or pod is a 404, to list and to create."""
    for call in (lambda: way.list(scope), lambda: way.create(scope, "x")):
        with pytest.raises(RefusedError) as caught:
            call()
        assert caught.value.status == 404


@every_service
def test_wrong_credentials_are_refused(way, scope):
    """401, for every call."""
    made = way.create(scope, "x")
    way.login, way.token = (way.login[0], "wrong"), "ag_wrong"
    for call in (
        lambda: way.list(scope),
        lambda: way.create(scope, "y"),
        lambda: way.delete(scope, made.id),
    ):
        with pytest.raises(RefusedError) as caught:
            call()
        assert caught.value.status == 401


def test_a_key_of_another_account_cannot_be_deleted(way):
    """It is refused, and stays."""
    made = way.create(SCOPES["account"], "mine")
    own, way.login = way.login, ("other@example.com", "pw")
    with pytest.raises(RefusedError):
        way.delete(SCOPES["account"], made.id)
    way.login = own
    assert [key.id for key in way.list(SCOPES["account"])] == [made.id]


@every_service
def test_bad_input_is_refused_before_it_is_sent(way, scope):
    """An empty name, and an id that would leave its segment of the path."""
    with pytest.raises(RefusedError) as caught:
        way.create(scope, "")
    assert caught.value.status is None
    with pytest.raises(RefusedError) as caught:
        way.delete(scope, "..")
    assert caught.value.status is None
