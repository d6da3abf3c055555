"""`rotate`: one key replaces another, which lives on until that is proven and known."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import attempt_files
import attrs
import pytest
from chaos import BASE, SERVICES, client_of
from rotating import age, either, entries, rotation_at

from agentkeys import (
    InvalidArgumentError,
    JournalError,
    RotationError,
    RotationInProgressError,
    Secret,
    adopt,
    issue,
    rotate,
    status,
)
from agentkeys.lifecycle.journal import FileJournal
from agentkeys.stores import DotenvStore, MemoryStore

if TYPE_CHECKING:
    from rotating import Rotation

pytestmark = pytest.mark.asyncio


def verbs(rotation: Rotation) -> list[str]:
    """Return what was asked for since the last time, but for logins."""
    seen = [each.route for each in rotation.service.requests]
    rotation.service.requests.clear()
    return [route.split()[0] for route in seen if "/auth/token" not in route]


async def refused(call: Any, rotation: Rotation, kind: type[Exception] = RotationError) -> str:
    """See that nothing was changed; return why."""
    with pytest.raises(kind) as raised:
        await call
    assert await rotation.is_unchanged()
    assert (await status()).under_way == (await status()).retiring == ()
    return str(raised.value)


# What it costs, and what it gives.


@pytest.mark.parametrize("which", SERVICES)
async def test_it_takes_one_listing_one_create_and_one_verification(which, tmp_path):
    """And later one deletion, after one more look whether the old key is in use."""
    async with rotation_at(which, DotenvStore(tmp_path / ".env", "KEY")) as rotation:
        before = datetime.now(UTC)
        rotated = await rotation.rotate(grace=10)
        assert verbs(rotation) == ["GET", "POST", *["GET"] * (which == "agentry")]
        assert rotated.replaced.id == rotation.old.id
        assert rotated.store == rotation.store.describe()
        assert timedelta(seconds=10) <= rotated.retires_at - before < timedelta(seconds=20)
        assert set(await rotation.listed()) == {rotation.old.id, rotated.key.id}
        assert await rotation.lawful() == "new"
        verbs(rotation)
        assert (await rotation.sweep()).retiring == (rotation.old.id,)
        assert verbs(rotation) == []
        assert age(10) == 1
        assert (await rotation.sweep()).retired == (rotation.old.id,)
        assert verbs(rotation) == ["GET", "DELETE"]
        assert set(await rotation.listed()) == {rotated.key.id}
        assert not await rotation.service.is_live(rotation.secret)
        [kept] = (await status(rotation.keys)).kept
        assert (kept.id, kept.key_id) == (rotated.rotation, rotated.key.id)


@pytest.mark.parametrize("which", SERVICES)
async def test_without_grace_the_old_key_goes_at_once(which):
    """It is gone when the call returns, and the ledger holds the new one alone."""
    async with rotation_at(which) as rotation:
        rotated = await rotation.rotate(grace=0)
        assert set(await rotation.listed()) == {rotated.key.id}
        assert [each.key_id for each in entries()] == [rotated.key.id]
        assert await rotation.lawful() == "new"
        again = await rotation.rotate(grace=timedelta(0))
        assert again.replaced.id == rotated.key.id


# Which key is replaced.


@either
async def test_the_ledger_knows_which_key_it_is(which):
    """There may be others of that base name, and a newer one."""
    async with rotation_at(which) as rotation:
        await issue(rotation.keys, BASE, into=MemoryStore())
        await rotation.keys.create(BASE)
        rotated = await rotation.rotate()
        assert rotated.replaced.id == rotation.old.id


@either
async def test_what_the_ledger_does_not_know_is_asked(which):
    """All keys of that base name are candidates, with a nonce or without; no other is."""
    async with rotation_at(which) as rotation:
        bare = await rotation.keys.create(f"{BASE}x")
        other = await rotation.keys.create("another")
        made = await rotation.keys.create(BASE)
        place = MemoryStore()
        with pytest.raises(RotationError, match="nothing was changed") as raised:
            await rotation.rotate(into=place)
        assert f"{rotation.old.id} ({rotation.old.name})" in str(raised.value)
        assert f"{made.id} ({BASE})" in str(raised.value)
        for each in (bare, other):
            assert str(each.id) not in str(raised.value).partition("it may be")[2].split()
        assert await place.read() == await MemoryStore().read()
        await rotation.keys.delete(made.id)
        rotated = await rotation.rotate(into=place, replaces=(await _moved(rotation)))
        assert rotated.replaced.id == rotation.old.id


async def _moved(rotation: Rotation) -> Any:
    """Take the secret out of where the ledger knows it to be."""
    await rotation.store.remove()
    return rotation.old.id


async def test_no_candidate(state):
    """Then it says so."""
    async with rotation_at("agentry") as rotation:
        said = await refused(rotate(rotation.keys, "nobody", into=MemoryStore()), rotation)
        assert "no key of that name is listed" in said
        assert "replaces=ID" in said


@either
async def test_a_store_that_holds_another_secret(which):
    """Whose it is cannot be told, unless the caller does; and then it is taken for that."""
    async with rotation_at(which) as rotation:
        made = await rotation.keys.create(f"{BASE}x")
        await rotation.store.write(made.secret)
        with pytest.raises(RotationError, match="another secret than the journal says"):
            await rotation.rotate()
        if which == "agentry":  # it shows how a secret begins
            with pytest.raises(RotationError, match="another secret than that of the key"):
                await rotation.rotate(replaces=rotation.old.id)
        rotated = await rotate(
            rotation.keys, f"{BASE}x", into=rotation.store, replaces=made.id, grace=0
        )
        assert rotated.replaced.id == made.id
        assert await rotation.service.is_live(await rotation.stored())
        assert rotation.old.id in {key.id for key in await rotation.keys.list().collect()}


@either
async def test_an_empty_store(which):
    """The caller must say which key it is; then its place gets the new secret."""
    async with rotation_at(which) as rotation:
        await rotation.store.remove()
        with pytest.raises(RotationError, match="holds no secret"):
            await rotation.rotate()
        assert set(await rotation.listed()) == {rotation.old.id}
        rotated = await rotation.rotate(replaces=rotation.old.id)
        assert await rotation.lawful() == "new"
        assert rotated.replaced.id == rotation.old.id


@either
async def test_a_key_that_is_not_listed(which):
    """Somebody has deleted it: there is nothing to replace, and no key is made."""
    async with rotation_at(which) as rotation:
        await rotation.keys.delete(rotation.old.id)
        for how in ({}, {"replaces": rotation.old.id}):
            with pytest.raises(RotationError, match="not listed"):
                await rotation.rotate(**how)
        assert await rotation.listed() == {}
        assert await rotation.stored() == rotation.secret


async def test_two_answers_to_which_key_it_is():
    """The ledger and the caller must not contradict each other."""
    async with rotation_at("agentry") as rotation:
        made = await rotation.keys.create("another")
        said = await refused(rotation.rotate(replaces=made.id), rotation)
        assert rotation.old.id in said
        assert made.id in said


async def test_a_store_of_another_name():
    """Its key is called otherwise, and that name is said."""
    async with rotation_at("agentry") as rotation:
        said = await refused(rotate(rotation.keys, "another", into=rotation.store), rotation)
        assert BASE in said


@pytest.mark.parametrize("folder", ["keys", "attempts"])
async def test_a_journal_that_cannot_be_read(folder):
    """It may say which key it is, so nothing is guessed."""
    async with rotation_at("agentry") as rotation:
        place = FileJournal.folder().with_name(folder)
        for path in attempt_files.files(FileJournal.ledger()):
            path.rename(place / f"{path.stem}.{'key' if folder == 'keys' else 'attempt'}")
        [path] = attempt_files.files(place)
        path.write_text('{"format": 99}\n')
        with pytest.raises(JournalError, match="format 99"):
            await rotation.rotate()
        assert await rotation.is_unchanged()


@either
async def test_a_key_that_another_store_holds_too(which):
    """It would be dead there; and what cannot be read may hold it."""
    async with rotation_at(which) as rotation:
        other = MemoryStore()
        await other.write(rotation.secret)
        await adopt(rotation.keys, rotation.old.id, into=other)
        with pytest.raises(RotationError, match="too, and would stop working") as raised:
            await rotation.rotate()
        assert other.address in str(raised.value)
        assert await rotation.is_unchanged()
        await other.write(Secret("another one"))
        assert (await rotation.rotate(grace=0)).replaced.id == rotation.old.id


# What the new key may do.


@pytest.mark.parametrize("flags", [None, {}, {"read_inbox": True, "read_api_key": False}])
async def test_permissions_are_inherited(flags):
    """No more and no fewer, also if there are none at all."""
    async with rotation_at("agentry") as rotation, client_of(rotation.service, "agentry") as client:
        keys = client.agent.inbox(rotation.service.inbox_id).api_keys
        store = MemoryStore()
        await issue(keys, "reader", into=store, permissions=flags)
        for _ in range(2):
            rotated = await rotate(keys, "reader", into=store, grace=0)
            assert rotated.key.permissions == rotated.replaced.permissions == flags


@pytest.mark.parametrize("flags", [{}, {"read_inbox": True}])
async def test_a_key_with_permissions_is_not_made_anew_without(flags):
    """The human surface takes none."""
    async with rotation_at("agentry") as rotation, client_of(rotation.service, "agentry") as client:
        made = await client.agent.inbox(rotation.service.inbox_id).api_keys.create(
            "x", permissions=flags
        )
        store = MemoryStore()
        await store.write(made.secret)
        for keys in (rotation.keys, client.api_keys):
            with pytest.raises(InvalidArgumentError):
                await rotate(keys, "x", into=store, replaces=made.id)
        assert (await store.read()).secret == made.secret
        assert len(await client.api_keys.list().collect()) == 2


@pytest.mark.parametrize("surface", ["human", "agent"])
@pytest.mark.parametrize("kind", ["inbox", "pod"])
async def test_a_limited_key_is_not_made_anew_without_that_limit(surface, kind):
    """An inbox's key, or a pod's, among those of the tenant."""
    async with rotation_at("agentry") as rotation, client_of(rotation.service, "agentry") as client:
        service = rotation.service
        ids = {"inbox": service.inbox_id, "pod": service.pod_id}
        made = await getattr(client.agent, kind)(ids[kind]).api_keys.create("x")
        store = MemoryStore()
        await store.write(made.secret)
        keys = client.api_keys if surface == "human" else client.agent.api_keys
        with pytest.raises(InvalidArgumentError, match=kind):
            await rotate(keys, "x", into=store, replaces=made.id)
        assert await service.is_live(made.secret)
        assert len(await client.api_keys.list().collect()) == 2


# Names.


@either
@pytest.mark.parametrize("name", [BASE, f"{BASE}~abcdef", "ag_live_token~x", "ключ ~ 🔑"])
async def test_a_key_of_an_exact_name(which, name):
    """It is replaced by one with a nonce, and no other key of its name is touched."""
    async with rotation_at(which) as rotation:
        store = MemoryStore()
        issued = await issue(rotation.keys, name, into=store, exact_name=True)
        # One that has that name as well, where the service allows it.
        twin = await rotation.keys.create(name if which == "agentry" else f"{name} ")
        rotated = await rotate(rotation.keys, name, into=store, grace=0)
        assert rotated.replaced.id == issued.key.id
        assert rotated.key.name.startswith(f"{name}~")
        left = {key.id for key in await rotation.keys.list().collect()}
        assert left == {rotation.old.id, twin.id, rotated.key.id}
        assert (await rotate(rotation.keys, name, into=store)).replaced.id == rotated.key.id


async def test_a_name_that_looks_like_a_secret_is_masked():
    """In every sentence and log."""
    async with rotation_at("agentry") as rotation:
        name = f"ag_{'x' * 38}"
        store = MemoryStore()
        await issue(rotation.keys, name, into=store)
        with pytest.raises(RotationError) as raised:
            await rotate(rotation.keys, name, into=store, then=_failing)
        assert name not in str(raised.value)
        assert name not in "".join((await rotation.sweep()).unresolved)
        with pytest.raises(RotationInProgressError) as raised:
            await rotate(rotation.keys, name, into=store)
        assert name not in str(raised.value)


async def _failing() -> None:
    raise RuntimeError("nobody is there")


@either
async def test_a_scope_of_the_callers_own(which):
    """As it was given to `issue`, for a service whose address changes."""
    async with rotation_at(which) as rotation:
        scope = attrs.evolve(rotation.keys.scope, realm="https://ours.test")
        store = MemoryStore()
        await issue(rotation.keys, "moving", into=store, scope=scope)
        with pytest.raises(RotationError, match="has no entry"):
            await rotate(rotation.keys, "moving", into=store)
        rotated = await rotate(rotation.keys, "moving", into=store, scope=scope)
        [found] = (await status(scope=scope)).retiring
        assert (found.scope.realm, found.retires) == (scope.realm, rotated.replaced.id)
        assert (await rotation.sweep()).retiring == ()
        assert (await rotation.sweep(scope=scope, force=True)).retired == (rotated.replaced.id,)
