"""When a key was used last: shown at once, written with the next commit or now and then."""

from __future__ import annotations

import contextlib
import sqlite3

import pytest
import pytest_asyncio

from agentkeys.server import LocalService

pytestmark = pytest.mark.asyncio


class Clock:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest_asyncio.fixture
async def clock():
    return Clock()


@pytest_asyncio.fixture
async def kept(api_of, tmp_path, clock):
    """A service that keeps its data, and never writes uses by itself."""
    database = f"sqlite:///{tmp_path}/keys.db"
    async with LocalService(database=database, clock=clock, used_at_interval=3600) as service:
        yield api_of(service)


def written(tmp_path):
    with contextlib.closing(sqlite3.connect(tmp_path / "keys.db")) as connection:
        return dict(connection.execute("SELECT key_id, used_at FROM agentry_keys").fetchall())


async def shown(api):
    answer = await api.send("GET", api.tenant, token=api.service.agentry_token)
    return {key["api_key_id"]: key.get("used_at") for key in answer.json["api_keys"]}


async def test_a_key_is_used_when_it_authenticates_a_request(kept, clock):
    """used_at is missing until then, shows the moment at once, and moves with each use."""
    used, unused = await kept.create(), await kept.create()
    assert await shown(kept) == {used["api_key_id"]: None, unused["api_key_id"]: None}
    for moment in ("2027-01-15T08:00:01.000Z", "2027-01-15T08:00:02.000Z"):
        clock.now += 1
        await kept.send("GET", kept.inbox, token=used["api_key"])
        assert await shown(kept) == {used["api_key_id"]: moment, unused["api_key_id"]: None}


async def test_a_refused_request_is_a_use_too(kept):
    """The key authenticated it, whatever came of it."""
    key = await kept.create()
    assert (await kept.send("GET", kept.tenant, token=key["api_key"])).status == 404
    assert (await shown(kept))[key["api_key_id"]] is not None


async def test_a_read_writes_nothing_and_the_next_commit_takes_it_along(kept, tmp_path):
    """An authenticated read costs no durable write."""
    key = await kept.create()
    await kept.send("GET", kept.inbox, token=key["api_key"])
    assert written(tmp_path)[key["api_key_id"]] is None
    await kept.create()
    assert written(tmp_path)[key["api_key_id"]] == "2027-01-15T08:00:00.000Z"


async def test_a_use_is_written_once(kept, tmp_path):
    """What a commit took along, the next one does not write again."""
    key = await kept.create()
    await kept.send("GET", kept.inbox, token=key["api_key"])
    await kept.create()
    with contextlib.closing(sqlite3.connect(tmp_path / "keys.db")) as other, other:
        other.execute("UPDATE agentry_keys SET used_at = NULL")
    await kept.create()
    assert written(tmp_path)[key["api_key_id"]] is None


async def test_a_refused_write_does_not_lose_it(kept, tmp_path):
    """A use whose transaction was refused is shown, and goes with the next commit."""
    key = await kept.create()
    answer = await kept.send("POST", kept.inbox, token=key["api_key"], data=b"{")
    assert answer.status == 400
    assert (await shown(kept))[key["api_key_id"]] is not None
    await kept.create()
    assert written(tmp_path)[key["api_key_id"]] is not None


async def test_closing_writes_it(api_of, tmp_path):
    """No use is lost by a clean end."""
    async with LocalService(database=f"sqlite:///{tmp_path}/keys.db") as service:
        api = api_of(service)
        key = await api.create()
        await api.send("GET", api.inbox, token=key["api_key"])
    assert written(tmp_path)[key["api_key_id"]] is not None


async def test_a_use_is_written_after_the_interval(api_of, tmp_path):
    """Without any other commit a use is written after the interval."""
    database = f"sqlite:///{tmp_path}/keys.db"
    async with LocalService(database=database, used_at_interval=0.01) as service:
        api = api_of(service)
        key = await api.create()
        await api.send("GET", api.inbox, token=key["api_key"])
        while written(tmp_path)[key["api_key_id"]] is None:
            await shown(api)


async def test_an_earlier_use_never_replaces_a_later_one(kept, clock, tmp_path):
    """Two processes may write the use of one key: the later moment stays."""
    key = await kept.create()
    with contextlib.closing(sqlite3.connect(tmp_path / "keys.db")) as other, other:
        other.execute("UPDATE agentry_keys SET used_at = '2999-01-01T00:00:00.000Z'")
    await kept.send("GET", kept.inbox, token=key["api_key"])
    assert (await shown(kept))[key["api_key_id"]] == "2999-01-01T00:00:00.000Z"
    await kept.create()
    assert written(tmp_path)[key["api_key_id"]] == "2999-01-01T00:00:00.000Z"
