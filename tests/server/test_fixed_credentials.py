"""Credentials and places that a service is given, so that others know them beforehand."""

from __future__ import annotations

import traceback

import pytest

from agentkeys import Secret, sync
from agentkeys.errors import InvalidArgumentError
from agentkeys.server import LocalService

pytestmark = pytest.mark.asyncio
PASSWORD = "S3NT1NEL-correct-horse"
TOKEN = "ag_S3NT1NEL-correct-horse"
FIXED = {"email": "me@example.com", "password": PASSWORD, "agentry_token": TOKEN}


@pytest.mark.parametrize("of", [str, Secret])
async def test_they_are_those_that_work(api_of, of):
    """A login by the email and the password; a call by the token."""
    given = {**FIXED, "password": of(PASSWORD), "agentry_token": of(TOKEN)}
    async with LocalService(**given, accounts=["other@example.com"]) as service:
        assert (service.email, service.password, service.agentry_token) == tuple(FIXED.values())
        api = api_of(service)
        assert (await api.login("me@example.com", PASSWORD)).status == 200
        assert (await api.login("other@example.com", PASSWORD)).status == 200
        assert (await api.login("owner@agentkeys.local", PASSWORD)).status == 401
        assert await api.ids(api.tenant, token=TOKEN) == []


async def test_no_repr_shows_them():
    """Neither that of the service nor that of its blocking twin."""
    for service in (LocalService(**FIXED), sync.LocalService(**FIXED)):
        assert "S3NT1NEL" not in repr(service)
        assert "S3NT1NEL" not in repr(vars(service))
    async with LocalService(**FIXED) as service:
        assert "S3NT1NEL" not in repr(service)


async def test_a_database_follows_them(tmp_path, api_of):
    """The account gets the password that it is given, and its own again when none is given."""
    database = f"sqlite:///{tmp_path / 'keys.db'}"
    own = ""
    for password in (None, PASSWORD, "another", None):
        async with LocalService(database=database, password=password) as service:
            own = own or service.password
            assert service.password == (password or own)
            assert (await api_of(service).login()).status == 200


WRONG = [
    {"email": "nobody"},
    {"email": 5},
    {"email": "a:b@example.com"},
    {"accounts": "a@example.com"},
    {"accounts": ["nobody"]},
    {"inboxes": [""]},
    {"inboxes": "abc"},
    {"pods": [".."]},
    {"password": ""},
    {"password": "S3NT1NEL\0"},
    {"password": 5},
    {"agentry_token": ""},
    {"agentry_token": 5},
    {"agentry_token": "S3NT1NEL-correct-horse"},
    {"agentry_token": "ag_S3NT1NEL"},
    {"agentry_token": "ag_S3NT1NEL correct horse"},
]


@pytest.mark.parametrize("wrong", WRONG, ids=lambda wrong: repr(wrong).replace("\0", "0"))
@pytest.mark.parametrize("kind", [LocalService, sync.LocalService])
async def test_what_cannot_be_is_refused(wrong, kind):
    """At once, and no frame of ours shows it."""
    with pytest.raises(InvalidArgumentError) as caught:
        kind(**wrong)
    found = traceback.TracebackException.from_exception(caught.value, capture_locals=True)
    del found.stack[0]  # the test's own
    assert "S3NT1NEL" not in "".join(found.format())
