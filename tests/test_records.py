"""Records become JSON, a dict and a table, and none of these has a secret."""

from __future__ import annotations

import csv
import io
import json
import pickle
from datetime import UTC, datetime

import attrs
import pandas as pd
import pytest
from samples import agentity, agentry

from agentkeys import InvalidArgumentError, Page, Secret, issue, status
from agentkeys import agentity as of_agentity
from agentkeys import agentry as of_agentry
from agentkeys.lifecycle import Issued
from agentkeys.records import Collected, Record
from agentkeys.server import LocalService
from agentkeys.stores import MemoryStore
from agentkeys.sync import AgentryClient
from agentkeys.sync import LocalService as BlockingLocalService

AT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
SECRET = Secret("agk_live_abc123def456")
KEY = of_agentity.ApiKey(42, "bot", AT, AT)
NEW = of_agentity.NewApiKey(42, "bot", AT, AT, SECRET)
AGENTRY = of_agentry.ApiKey("key_1", "ci", "ag_a", AT, permissions={"read_inbox": True})
RECORDS = [KEY, NEW, AGENTRY, Issued(AGENTRY, "MY_KEY in /app/.env", ("key_0",))]


@pytest.mark.parametrize("record", RECORDS, ids=lambda each: type(each).__name__)
def test_a_record_is_json(record):
    """All that the service sent but a secret, by name, with times that can be read again."""
    document = json.loads(json.dumps(record.to_dict()))
    names = {each.name for each in attrs.fields(type(record)) if each.init}
    hidden = {name for name in names if isinstance(getattr(record, name), Secret)}
    assert set(document) == names - hidden
    assert SECRET.reveal() not in json.dumps(document)
    for name in document:
        if isinstance(getattr(record, name), datetime):
            assert datetime.fromisoformat(document[name]) == getattr(record, name)


def test_what_is_in_a_record_is_json_as_well():
    """A record in a record, a tuple, permissions."""
    assert RECORDS[3].to_dict() == {
        "key": AGENTRY.to_dict(),
        "store": "MY_KEY in /app/.env",
        "recovered": ["key_0"],
    }
    assert AGENTRY.to_dict()["permissions"] == {"read_inbox": True}


def test_a_record_is_read_by_name():
    """As a mapping, with the values as they are; the secret is not in it."""
    assert dict(NEW) == {"id": 42, "nickname": "bot", "created_at": AT, "updated_at": AT}
    assert NEW["created_at"] is AT
    assert NEW.get("key") is None
    with pytest.raises(KeyError):
        NEW["key"]
    assert dict(KEY) == {**KEY}
    assert KEY
    assert of_agentity.ApiKey(42, "bot", AT, AT) == KEY
    assert hash(KEY) == hash(of_agentity.ApiKey(42, "bot", AT, AT))
    assert pickle.loads(pickle.dumps(KEY)) == KEY


def test_pandas_makes_a_table_of_records():
    """One row a key, one column a field."""
    frame = pd.DataFrame(Collected([KEY, KEY]))
    assert set(frame.columns) == {"id", "nickname", "created_at", "updated_at"}
    assert frame["created_at"].tolist() == [AT, AT]
    assert set(pd.DataFrame([NEW]).columns) == set(frame.columns)


def test_csv_takes_records():
    """A DictWriter reads them by name."""
    text = io.StringIO()
    writer = csv.DictWriter(text, fieldnames=list(KEY))
    writer.writeheader()
    writer.writerow(KEY.to_dict())
    assert text.getvalue().splitlines()[1].startswith("42,bot,2026-01-02T03:04:05+00:00")


def test_a_page_iterates():
    """Over its items; and it is JSON."""
    page = Page((KEY, KEY), "token")
    assert list(page) == [KEY, KEY]
    assert page.to_dict() == {"items": [KEY.to_dict()] * 2, "next_page_token": "token"}


@pytest.mark.asyncio
async def test_what_is_collected_is_a_list_that_shows_as_a_table():
    """It is a list in all else, and is pickled as one."""
    async with LocalService() as service:
        async with agentry(service.url, service.agentry_token) as client:
            keys = client.inbox(service.inbox_id).api_keys
            await keys.create("ci")
            found = await keys.list().collect()
    assert isinstance(found, list)
    assert "<table>" in found._repr_html_()
    assert type(pickle.loads(pickle.dumps(found))) is list


@pytest.mark.asyncio
async def test_a_listing_that_is_used_wrongly_says_what_to_write():
    """Awaited, or iterated over without `async`."""
    client = agentry("http://127.0.0.1:1", "token")
    with pytest.raises(TypeError, match=r"cannot be awaited: write `async for .*collect"):
        await client.api_keys.list()
    with pytest.raises(TypeError, match="is async: write `async for"):
        list(client.api_keys.list())


def test_a_blocking_listing_that_is_used_wrongly_says_what_to_write():
    """Awaited, or iterated over with `async`."""
    with AgentryClient("token") as client:
        listing = client.api_keys.list()
        with pytest.raises(TypeError, match=r"do not await it: write `for key in"):
            listing.__await__()
        with pytest.raises(TypeError, match=r"blocking client: write `for key in"):
            aiter(listing)


@pytest.mark.asyncio
async def test_both_services_take_a_name():
    """Code that serves both needs not know that Agentity calls it a nickname."""
    async with LocalService() as service:
        login = of_agentity.PasswordLogin(service.email, service.password)
        async with (
            agentity(service.url, login) as one,
            agentry(service.url, service.agentry_token) as other,
        ):
            for keys in (one.api_keys, other.inbox(service.inbox_id).api_keys):
                assert (await keys.create(name="ci")).name == "ci"
            assert (await one.api_keys.create(nickname="second")).name == "second"
            for wrong in ({}, {"nickname": "a", "name": "a"}):
                with pytest.raises(InvalidArgumentError, match="once"):
                    await one.api_keys.create(**wrong)


@pytest.mark.asyncio
async def test_what_functions_return_is_json(tmp_path, monkeypatch):
    """What the journal knows, with scopes and times."""
    monkeypatch.setenv("AGENTKEYS_HOME", str(tmp_path))
    async with LocalService() as service:
        async with agentry(service.url, service.agentry_token) as client:
            issued = await issue(client.inbox(service.inbox_id).api_keys, "bot", into=MemoryStore())
            document = json.loads(json.dumps((await status()).to_dict()))
    assert issued.to_dict()["key"]["name"].startswith("bot~")
    [kept] = document["kept"]
    assert kept["name"] == "bot"
    assert kept["scope"]["id"] == service.inbox_id


def test_all_records_are_of_one_base():
    """So that what is said of records holds for each of them."""
    for each in RECORDS:
        assert isinstance(each, Record)
    with BlockingLocalService() as service:
        with AgentryClient(service.agentry_token, base_url=service.url) as client:
            assert client.api_keys.list().collect()._repr_html_()
