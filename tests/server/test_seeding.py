"""`seed` makes keys that are there before a test begins, with ages."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from agentkeys import AgentityClient, AgentryClient, PasswordLogin
from agentkeys.errors import InvalidArgumentError
from agentkeys.server import has_valid_checksum

pytestmark = pytest.mark.asyncio
MADE = datetime(2025, 3, 1, 12, tzinfo=UTC)
USED = MADE + timedelta(days=30)


async def test_keys_of_agentity(service):
    """They are listed with the time that they were given, and they are live."""
    seeded = await service.seed(["a", "b"], service="agentity", created_at=MADE)
    login = PasswordLogin(service.email, service.password)
    async with AgentityClient(login, base_url=service.url) as client:
        listed = await client.api_keys.list().collect()
    assert [(key.id, key.name, key.created_at) for key in listed] == [
        (key.id, key.name, MADE) for key in seeded
    ]
    assert all([await service.is_live(key.secret) for key in seeded])
    assert all(has_valid_checksum(key.secret.reveal()) for key in seeded)


@pytest.mark.parametrize("place", [{}, {"inbox_id": "demo@agentkeys.local"}, {"pod_id": "demo"}])
async def test_keys_of_agentry(service, place):
    """Of the tenant, an inbox or a pod; with the time of the last use, and they work."""
    seeded = await service.seed(["a"], service="agentry", created_at=MADE, used_at=USED, **place)
    async with AgentryClient(service.agentry_token, base_url=service.url) as client:
        (key,) = await client.api_keys.list().collect()
    assert (key.id, key.name, key.created_at) == (seeded[0].id, "a", MADE)
    assert key.used_at == USED
    assert {"inbox_id": key.inbox_id, "pod_id": key.pod_id} == {
        "inbox_id": None,
        "pod_id": None,
        **place,
    }


async def test_a_seeded_key_shows_no_secret(service):
    """Not by its repr."""
    (key,) = await service.seed(["a"], service="agentry")
    assert key.secret.reveal() not in repr(key)


WRONG = {
    "one text": ({"keys": "abc", "service": "agentry"}, "a list of names"),
    "an empty name": ({"keys": [""], "service": "agentry"}, "1 to 255"),
    "a NUL": ({"keys": ["a\0"], "service": "agentry"}, "NUL"),
    "no such service": ({"keys": ["a"], "service": "agenty"}, '"agentity" or "agentry"'),
    "an inbox of Agentity": ({"keys": ["a"], "service": "agentity", "inbox_id": "x"}, "no inboxes"),
    "a use with Agentity": ({"keys": ["a"], "service": "agentity", "used_at": USED}, "was used"),
    "no such account": ({"keys": ["a"], "service": "agentity", "email": "x@y.z"}, "no account"),
    "no such inbox": ({"keys": ["a"], "service": "agentry", "inbox_id": "x"}, "no such inbox"),
    "no such pod": ({"keys": ["a"], "service": "agentry", "pod_id": "x"}, "no such pod"),
    "two places": ({"keys": ["a"], "service": "agentry", "inbox_id": "x", "pod_id": "y"}, "one of"),
    "a nickname twice": ({"keys": ["a", "a"], "service": "agentity"}, "already exists"),
    "a use before": (
        {"keys": ["a"], "service": "agentry", "created_at": USED, "used_at": MADE},
        "before created_at",
    ),
    "no time zone": (
        {"keys": ["a"], "service": "agentry", "created_at": MADE.replace(tzinfo=None)},
        "time zone",
    ),
    "the year 9999": (
        {"keys": ["a"], "service": "agentry", "created_at": MADE.replace(year=9999)},
        "1970 to 9998",
    ),
}


@pytest.mark.parametrize("wrong", WRONG)
async def test_what_cannot_be_is_refused(service, api, wrong):
    """With a sentence, and no key is made: not even those before it."""
    arguments, sentence = WRONG[wrong]
    with pytest.raises(InvalidArgumentError, match=sentence):
        await service.seed(**arguments)
    assert await api.ids(api.tenant) == []
    token = await api.access_token()
    assert (await api.send("GET", api.account, token=token)).json == {"apiKeys": []}
