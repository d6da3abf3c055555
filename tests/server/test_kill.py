"""``kill -9`` under load: what was answered is there, what was deleted is dead, and it opens."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import random
import sys
import time
from base64 import b64encode
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import pytest
from document import see_that_it_is_named
from yarl import URL

pytestmark = [
    pytest.mark.asyncio,
    pytest.mark.skipif(os.name != "posix", reason="SIGKILL is POSIX"),
]

WORKERS = 8
# What a lock that was left behind would take is 30 seconds; a start on a slow machine is not.
OPENS_WITHIN = 15.0
# To do a run again; the machine's own timing is never quite the same.
SEED = os.environ.get("AGENTKEYS_TEST_SEED")
PATHS = ("/auth/api-keys", "/human/v0/api-keys")


@dataclass
class Known:
    """What the clients were answered. A key is in none of these while a deletion is unanswered."""

    there: dict[tuple[str, str], str] = field(default_factory=dict)
    dead: dict[tuple[str, str], str] = field(default_factory=dict)
    names: set[str] = field(default_factory=set)


class Client:
    """Speaks to a service that may be killed at any moment."""

    def __init__(self, session, ready, known: Known, chance: random.Random) -> None:
        self.session = session
        self.ready = ready
        self.known = known
        self.chance = chance
        self.tokens = {PATHS[1]: ready["agentry_token"]}

    async def send(self, method, path, token=None, **how) -> tuple[int, Any]:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        url = URL(self.ready["url"] + path, encoded=True)
        async with self.session.request(method, url, headers=headers, **how) as answer:
            see_that_it_is_named(method, path, answer.status)
            body = await answer.read()
            return answer.status, json.loads(body) if body else None

    async def login(self) -> None:
        credentials = b64encode(f"{self.ready['email']}:{self.ready['password']}".encode())
        headers = {"Authorization": f"Basic {credentials.decode()}"}
        async with self.session.post(self.ready["url"] + "/auth/token", headers=headers) as answer:
            self.tokens[PATHS[0]] = (await answer.json())["accessToken"]

    async def keep_busy(self) -> None:
        """Create and delete keys until the service is killed."""
        with contextlib.suppress(aiohttp.ClientError):
            while True:
                path = self.chance.choice(PATHS)
                mine = [key for key in self.known.there if key[0] == path]
                if mine and self.chance.random() < 0.4:
                    await self.delete(self.chance.choice(mine))
                else:
                    await self.create(path)

    async def create(self, path) -> None:
        name = f"bot {self.chance.getrandbits(64)}"
        self.known.names.add(name)
        body = {"name": name, "nickname": name}
        status, key = await self.send("POST", path, self.tokens[path], json=body)
        assert status == 201
        key_id, secret = key.get("id", key.get("api_key_id")), key.get("key", key.get("api_key"))
        self.known.there[path, str(key_id)] = secret

    async def delete(self, key) -> None:
        # From here on, until there is an answer, nobody can tell.
        secret = self.known.there.pop(key)
        status, _ = await self.send("DELETE", "/".join(key), self.tokens[key[0]])
        assert status in {200, 204}
        self.known.dead[key] = secret

    async def listed(self, path) -> list[tuple[str, str]]:
        keys, query = [], "" if path == PATHS[0] else "?limit=100"
        while True:
            _, page = await self.send("GET", path + query, self.tokens[path])
            keys += page.get("apiKeys", page.get("api_keys"))
            if not page.get("next_page_token"):
                break
            query = f"?limit=100&page_token={page['next_page_token']}"
        assert {key.get("nickname", key.get("name")) for key in keys} <= self.known.names
        return [(path, str(key.get("id", key.get("api_key_id")))) for key in keys]

    async def see_that_nothing_is_lost(self) -> None:
        """See what was answered before; what was under way may be done or not."""
        listed = [key for path in PATHS for key in await self.listed(path)]
        assert len(set(listed)) == len(listed)
        assert self.known.there.keys() <= set(listed)
        assert not self.known.dead.keys() & set(listed)
        for key, secret in sample(self.chance, self.known.there):
            if key[0] == PATHS[1]:
                assert (await self.send("GET", PATHS[1] + "?limit=1", secret))[0] == 200
        for key, secret in sample(self.chance, self.known.dead):
            assert (await self.send("DELETE", "/".join(key), self.tokens[key[0]]))[0] == 404
            assert (await self.send("GET", PATHS[1], secret))[0] == 401


def sample(chance, keys):
    return chance.sample(list(keys.items()), min(len(keys), 20))


@contextlib.asynccontextmanager
async def serving(database):
    """Run ``agentkeys serve`` on the database; it must be ready in time."""
    command = (sys.executable, "-m", "agentkeys", "serve", "--json", "--database", str(database))
    begun = time.monotonic()
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    try:
        async with asyncio.timeout(60):
            ready = json.loads(await process.stdout.readline())
        assert time.monotonic() - begun < OPENS_WITHIN
        yield process, ready
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.communicate()


async def live_and_be_killed(database, known, chance) -> None:
    """Start the service, see that nothing was lost, load it, and kill it at a random moment."""
    async with serving(database) as (process, ready), aiohttp.ClientSession() as session:
        clients = [Client(session, ready, known, chance) for _ in range(WORKERS)]
        await clients[0].login()
        for client in clients:
            client.tokens = clients[0].tokens
        await clients[0].see_that_nothing_is_lost()
        # The moment comes by the clock, so that it is anywhere: in a commit, or between two.
        asyncio.get_running_loop().call_later(chance.uniform(0.005, 0.25), process.kill)
        async with asyncio.timeout(60), asyncio.TaskGroup() as group:
            for client in clients:
                group.create_task(client.keep_busy())


async def see_what_survives(database, rounds) -> Known:
    seed = int(SEED or random.SystemRandom().getrandbits(32))
    print(f"AGENTKEYS_TEST_SEED={seed}")  # noqa: T201 - pytest shows it if the test fails
    known, chance = Known(), random.Random(seed)  # noqa: S311 - it keeps no secret
    for _ in range(rounds):
        await live_and_be_killed(database, known, chance)
    async with serving(database) as (_, ready), aiohttp.ClientSession() as session:
        client = Client(session, ready, known, chance)
        await client.login()
        await client.see_that_nothing_is_lost()
    return known


@pytest.mark.slow
async def test_what_was_answered_survives_a_kill(tmp_path):
    """Killed three times under load, the service has all that it answered, and opens at once."""
    known = await see_what_survives(tmp_path / "keys.db", 3)
    assert known.there
    assert known.dead


@pytest.mark.long
async def test_what_was_answered_survives_fifty_kills(tmp_path):
    """So it does when it is killed fifty times."""
    known = await see_what_survives(tmp_path / "keys.db", 50)
    print(f"{len(known.there)} keys there, {len(known.dead)} dead")  # noqa: T201
