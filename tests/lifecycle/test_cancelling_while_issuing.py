"""Cancelled at any moment: no key is left whose secret is in no store and that no file names.

The moments are not sampled: each call is made again and again, and cancelled before the first
callback that the event loop runs, before the second, and so on, until it is done first.
"""

from __future__ import annotations

import asyncio
import json
from contextlib import suppress
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import attempt_files
import pytest
from chaos import BASE, SERVICES, Fickle, Place, client_of, keys_of
from lifecycle import died_before_storing
from stepping import SteppingLoop, cancelled_everywhere

from agentkeys import AgentKeysError, issue, sweep
from agentkeys.server.faults import CREATES, DELETES, Answer, MalformedJson, Reset
from agentkeys.stores import DotenvStore, MemoryStore
from agentkeys.sync import LocalService

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from agentkeys import Store

pytestmark = pytest.mark.slow


class Scene(NamedTuple):
    """What goes wrong meanwhile."""

    faults: tuple[tuple[Any, ...], ...] = ()
    store: Callable[[Path], Store] = lambda _: MemoryStore()


SCENES = {
    "all is well": Scene(),
    "in a dotenv file": Scene(store=lambda folder: DotenvStore(folder / ".env", "KEY")),
    "the answer is lost": Scene(((CREATES, Reset(), "after"),)),
    "the request is lost": Scene(((CREATES, Reset(), "before"),)),
    "the answer cannot be read": Scene(((CREATES, MalformedJson(), "after"),)),
    "a no that was a yes": Scene(((CREATES, Answer(409), "after"),)),
    "the store fails": Scene(store=lambda _: Fickle("write fails before")),
    "nothing can be deleted": Scene(
        (
            (CREATES, Reset(), "after"),
            (DELETES, Answer(403), "before"),
            (DELETES, Answer(403), "before"),
        ),
    ),
}
AT_EVERY_RUN = {"all is well", "the answer is lost"}
scenes = pytest.mark.parametrize(
    "scene",
    [
        pytest.param(scene, id=name, marks=() if name in AT_EVERY_RUN else pytest.mark.long)
        for name, scene in SCENES.items()
    ],
)


@pytest.fixture
def service() -> Iterator[LocalService]:
    """Run a service in another thread, so that the loop under test has the client's steps only."""
    with LocalService() as service:
        yield service


def descriptors() -> list[str]:
    return sorted(
        str(path.readlink()) for path in Path("/proc/self/fd").iterdir() if path.is_symlink()
    )


def named_by_files() -> set[str]:
    """Return the names in the attempts' files; none of them is locked any more."""
    files = list(attempt_files.folder().rglob("*.attempt"))
    found = attempt_files.survey()
    assert len(found.entries) == len(files), "a file is locked, and nobody is at work"
    return {json.loads(path.read_text().splitlines()[0])["name"] for path in files}


async def listed(place: Place) -> list[Any]:
    keys = await place.keys.list().collect()
    return [key for key in keys if key.name.partition("~")[0] == BASE]


async def check(place: Place, store: Store) -> None:
    """See that every key is accounted for, and that a sweep leaves the one that is kept."""
    secret = (await store.read()).secret
    is_kept = secret is not None and await asyncio.to_thread(place.service.is_live, secret)
    assert secret is None or is_kept, "a secret is stored whose key is gone"
    names = named_by_files()
    strangers = [key for key in await listed(place) if key.name not in names]
    assert len(strangers) <= is_kept, "a key is left that nobody knows of"
    await sweep(place.keys)
    left = await listed(place)
    assert len(left) == is_kept
    for key in left:
        await place.keys.delete(key.id)
    if is_kept:
        await store.remove()


async def issuing(place: Place, store: Store) -> None:
    with suppress(AgentKeysError):
        await issue(place.keys, BASE, into=store)


@pytest.mark.parametrize("which", SERVICES)
@scenes
def test_issue_can_be_cancelled_anywhere(service, which, scene, tmp_path):
    """A key is stored, or deleted, or named by a file; and no lock or descriptor is left."""

    async def grid():
        async with client_of(service, which) as owner:
            place = Place(service, keys_of(service, owner))
            await place.keys.list().collect()
            for _ in count():
                store = scene.store(tmp_path)
                for routes, kind, when in scene.faults:
                    service.faults.add(routes, kind, when=when)
                async with client_of(service, which) as client:
                    yield client, issuing(Place(service, keys_of(service, client)), store)
                service.faults.clear()
                await check(place, store)

    before = descriptors()
    with asyncio.Runner(loop_factory=SteppingLoop) as runner:
        points = runner.run(cancelled_everywhere(grid()))
    while any(link.startswith("socket:") for link in descriptors()[len(before) :]):
        service.requests.wait(0)  # the service closes its ends a moment later
    assert not [link for link in descriptors() if "attempt" in link or ".env" in link]
    assert points >= (30 if which == "agentity" else 20)


@pytest.mark.parametrize("which", SERVICES)
def test_a_plain_create_can_be_cancelled_anywhere(service, which, caplog):
    """There is no key, or there is one warning that names it."""

    async def grid():
        async with client_of(service, which) as owner:
            place = Place(service, keys_of(service, owner))
            await place.keys.list().collect()
            for n in count():
                caplog.clear()
                name = f"{BASE}~{n}"
                async with client_of(service, which) as client:
                    yield client, keys_of(service, client).create(name)
                warned = [each.getMessage() for each in caplog.records if each.levelname != "DEBUG"]
                for key in await listed(place):
                    assert [text for text in warned if repr(name) in text], "nobody was told"
                    await place.keys.delete(key.id)
                assert len(warned) <= 1

    with asyncio.Runner(loop_factory=SteppingLoop) as runner:
        points = runner.run(cancelled_everywhere(grid()))
    assert points >= (15 if which == "agentity" else 8)


@pytest.mark.parametrize("which", SERVICES)
@pytest.mark.parametrize("is_stored", [True, False], ids=["stored", "not stored"])
def test_a_sweep_can_be_cancelled_anywhere(service, which, is_stored):
    """What it had not finished the next one finishes, and never is a key deleted that is stored."""

    async def grid():
        async with client_of(service, which) as owner:
            place = Place(service, keys_of(service, owner))
            for n in count():
                store = MemoryStore()
                nonce = "".join("abcdefghij"[int(digit)] for digit in f"{n:06}")
                new = await place.keys.create(f"{BASE}~{nonce}")
                held = attempt_files.begin(place.keys.scope, new.name, nonce)
                await died_before_storing(held, new.id, store, new.secret)
                if is_stored:
                    await store.write(new.secret)
                async with client_of(service, which) as client:
                    yield client, sweep(keys_of(service, client))
                await check(place, store)

    with asyncio.Runner(loop_factory=SteppingLoop) as runner:
        points = runner.run(cancelled_everywhere(grid()))
    assert points >= (1 if is_stored else 8)
