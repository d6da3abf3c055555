"""While a key is rotated neither its secret nor the new one is anywhere but where it belongs."""

from __future__ import annotations

import asyncio
import json
import logging
import pickle
import sys
import textwrap
from typing import TYPE_CHECKING, Any

import pytest
from chaos import BASE, Fickle, client_of, keys_of, spying
from leaks import shown
from rotating import Rotation, age, either, rotation_at

from agentkeys import (
    AgentKeysError,
    Secret,
    StoredToken,
    abort,
    adopt,
    announced,
    rotate,
    status,
)
from agentkeys.server.faults import CREATES, DELETES, Answer, MalformedJson, Reset
from agentkeys.stores import DotenvStore

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

pytestmark = pytest.mark.asyncio

# It gets the secret, looks for it and the old one in all processes and in the files below its
# folder, and keeps it.
KEEPER = """
    import pathlib, sys
    secrets = [sys.stdin.buffer.read()]
    folder = pathlib.Path(sys.argv[1])
    kept = folder / "kept"
    if kept.exists():
        secrets.append(kept.read_bytes())
        kept.unlink()
    proc = pathlib.Path("/proc")
    places = [*proc.glob("[0-9]*/cmdline"), *proc.glob("[0-9]*/environ")]
    looked = len(places)
    places += [path for path in folder.rglob("*") if path.is_file()]
    found = []
    for place in places:
        try:
            text = place.read_bytes()
        except OSError:
            continue
        found += [str(place) for secret in secrets if secret in text]
    (folder / "found").write_text(f"{looked >= 4} {len(secrets)} {found}")
    kept.write_bytes(secrets[0])
"""


@pytest.fixture
def keeper(tmp_path) -> str:
    (tmp_path / "keeper.py").write_text(textwrap.dedent(KEEPER))
    return f"command:{sys.executable} {tmp_path}/keeper.py {tmp_path}"


@pytest.fixture
def seen(caplog, capfd) -> Callable[[], str]:
    """Give all that was logged and printed."""
    caplog.set_level(logging.DEBUG)

    def seen() -> str:
        records = [vars(record) for record in caplog.records]
        text = f"{caplog.text}{records}{capfd.readouterr()}"
        assert "api-keys" in text, "nothing was logged or printed"
        return text

    return seen


@either
async def test_no_process_and_no_file_shows_either(which, keeper, tmp_path, seen):
    """While the store is written: no command line, no environment, no journal."""
    async with rotation_at(which) as rotation:
        made = await rotation.keys.create("another")
        (tmp_path / "kept").write_text(made.secret.reveal())
        await adopt(rotation.keys, made.id, into=keeper)
        asyncio.get_running_loop().set_debug(True)
        await rotate(rotation.keys, "another", into=keeper, then=lambda: None)
        assert (tmp_path / "found").read_text() == "True 2 []"
        new = (tmp_path / "kept").read_text()
        assert await rotation.service.is_live(new)
        said = seen()
        for secret in (new, made.secret.reveal()):
            assert secret not in said
            assert not [each for each in _texts(tmp_path / "home") if secret in each]


def _texts(folder: Path) -> list[str]:
    texts = [each.read_text() for each in folder.rglob("*") if each.is_file()]
    assert texts, "there is no journal"
    return texts


def _saying(secret: Secret) -> None:
    raise ValueError(f"what I got was {secret.reveal()}")


def _reading(rotation: Rotation) -> Callable[[], None]:
    def then() -> None:
        secret = asyncio.run(rotation.store.read()).secret
        raise ValueError(f"what it holds is {secret.reveal()}")

    return then


async def _happy(rotation: Rotation) -> None:
    await rotation.rotate(grace=0)


async def _graceful(rotation: Rotation) -> None:
    await rotation.rotate(grace=5)
    age(5)
    await rotation.sweep(dry_run=True)
    await rotation.sweep()


async def _lost(rotation: Rotation) -> None:
    rotation.service.faults.add(CREATES, Reset(), when="after")
    await rotation.rotate(grace=0)


async def _malformed(rotation: Rotation) -> None:
    rotation.service.faults.add(CREATES, MalformedJson(), when="after")
    await rotation.rotate(grace=0)


async def _orphaned(rotation: Rotation) -> None:
    rotation.service.faults.add(DELETES, Answer(403), times="always")
    await rotation.rotate(verify=lambda _: False, verify_within=0)


async def _unverified(rotation: Rotation) -> None:
    await rotation.rotate(verify=_saying, verify_within=0)


async def _untold(rotation: Rotation) -> None:
    try:
        await rotation.rotate(then=_reading(rotation))
    finally:
        assert (await rotation.sweep(then=_reading(rotation))).unresolved
        await announced(rotation.keys, BASE)


async def _taken_back(rotation: Rotation) -> None:
    await rotation.rotate()
    await abort(rotation.keys, BASE, secret=rotation.secret.reveal())


async def _wrongly_taken_back(rotation: Rotation) -> None:
    await rotation.rotate()
    await abort(rotation.keys, BASE, secret=f"{rotation.secret.reveal()}x")


async def _replaced_twice(rotation: Rotation) -> None:
    await rotation.rotate()
    await rotation.rotate()


WAYS = [
    *(_happy, _graceful, _lost, _malformed, _orphaned, _unverified),
    *(_untold, _taken_back, _wrongly_taken_back, _replaced_twice),
]
FAILING = {_orphaned, _unverified, _untold, _wrongly_taken_back, _replaced_twice}


@either
@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
async def test_no_log_no_error_and_no_journal_shows_them(which, way, tmp_path, seen):
    """Whatever happens: only the file that keeps a secret has one in it."""
    made: dict[Any, Secret] = {}
    path = tmp_path / ".env"
    asyncio.get_running_loop().set_debug(True)
    async with rotation_at(which, DotenvStore(path, "KEY"), middlewares=[spying(made)]) as rotation:
        text = ""
        try:
            await way(rotation)
        except AgentKeysError as error:
            text = shown(error) + repr(pickle.dumps(error)) + json.dumps(vars(error), default=repr)
        assert bool(text) == (way in FAILING)
        text += repr(await status()) + repr(pickle.dumps(await status()))
        text += "".join(_texts(tmp_path / "home")) + seen()
        assert len(made) > 1
        for secret in made.values():
            assert secret.reveal() not in text
        holding = [each for each in tmp_path.rglob("*") if each.is_file() and _holds(each, made)]
        assert holding == [path]


def _holds(path: Path, made: dict[Any, Secret]) -> bool:
    return any(secret.reveal() in path.read_text() for secret in made.values())


@either
async def test_what_is_returned_shows_no_secret(which):
    """It may be printed, pickled and logged."""
    made: dict[Any, Secret] = {}
    told: list[Any] = []
    async with rotation_at(which, middlewares=[spying(made)]) as rotation:
        rotated = await rotation.rotate(then=told.append)
        found = [rotated, *told, await status(), await rotation.sweep(force=True)]
        for each in found:
            said = f"{each!r} {each} {pickle.dumps(each)!r}"
            assert pickle.loads(pickle.dumps(each)) == each
            assert not [secret for secret in made.values() if secret.reveal() in said]


@either
@pytest.mark.parametrize(
    "mood", ["probe fails", "read fails", "write fails before", "write fails after", "write lies"]
)
async def test_a_store_that_says_them_is_not_quoted(which, mood, seen):
    """A store of a user's raises errors with the secret in them: neither is shown."""
    made: dict[Any, Secret] = {}
    async with rotation_at(which, Fickle(), middlewares=[spying(made)]) as rotation:
        rotation.store.moods = {mood}
        text = ""
        try:
            await rotation.rotate(timeout=3)
        except AgentKeysError as error:
            text = shown(error)
        rotation.store.moods = set()
        text += seen()
        assert not [secret for secret in made.values() if secret.reveal() in text]


async def test_a_token_that_is_stored_shows_nowhere(seen):
    """Neither in a repr, nor in a log, nor by pickling."""
    async with rotation_at("agentry") as rotation:
        credentials = StoredToken(rotation.store)
        async with client_of(rotation.service, "agentry") as client:
            client._session._credentials = credentials
            await keys_of(rotation.service, client).list().collect()
        with pytest.raises(TypeError):
            pickle.dumps(credentials)
        text = f"{credentials!r} {credentials} {vars(credentials)} {seen()}"
        assert rotation.secret.reveal() not in text
