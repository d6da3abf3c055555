"""`adopt` takes in a key that was issued by hand; `status` tells of all that is remembered."""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING, Any

import attempt_files
import attrs
import pytest
from chaos import BASE, SERVICES, Fickle, place_at
from lifecycle import left
from rotating import either, rotation_at

from agentkeys import (
    AgentKeysError,
    ConfigurationError,
    DeadlineExceededError,
    InvalidArgumentError,
    RotationError,
    Secret,
    StoreError,
    adopt,
    issue,
    rotate,
    status,
    sync,
)
from agentkeys.lifecycle.journal import FileJournal
from agentkeys.stores import DotenvStore, MemoryStore, open_store

if TYPE_CHECKING:
    from chaos import Place

pytestmark = pytest.mark.asyncio


async def by_hand(place: Place, name: str = BASE) -> tuple[Any, MemoryStore]:
    """Make a key, and put its secret into a store."""
    made = await place.keys.create(name)
    store = MemoryStore()
    await store.write(made.secret)
    return made, store


@pytest.mark.parametrize("which", SERVICES)
@pytest.mark.parametrize("name", [BASE, f"{BASE}~abcdef"])
async def test_a_key_made_by_hand_is_rotated_like_any_other(which, name):
    """By the name that it has, without a nonce."""
    async with place_at(which) as place:
        made, store = await by_hand(place, name)
        known = await adopt(place.keys, made.id, into=store)
        assert (known.name, known.key_name, known.key_id) == (BASE, name, made.id)
        assert (known.store, known.state, known.retires) == (store.address, "kept", None)
        assert known.scope.is_at(place.keys.scope)
        assert (await status(place.keys)).kept == (known,)
        rotated = await rotate(place.keys, BASE, into=store, grace=0)
        assert rotated.replaced.id == made.id
        assert [each.key_id for each in (await status()).kept] == [rotated.key.id]
        assert await place.service.is_live((await store.read()).secret)


@pytest.mark.parametrize("what", ["adopted there", "held elsewhere"])
async def test_what_a_killed_writer_has_left_is_there_for_a_sweep(tmp_path, what):
    """By it a sweep proves that a secret was never stored: who only looks must not remove it."""
    async with place_at("agentry") as place:
        made, store = await by_hand(place)
        there = DotenvStore(tmp_path / ".env", "KEY")
        await there.write(made.secret)
        left_behind = tmp_path / ".env.agentkeys-next"
        left_behind.write_text("OTHER=half\n")
        left_behind.chmod(0o600)
        await adopt(place.keys, made.id, into=there)
        if what == "held elsewhere":
            await adopt(place.keys, made.id, into=store)
            with pytest.raises(RotationError, match="would stop working there"):
                await rotate(place.keys, BASE, into=store)
        assert left_behind.exists()


async def test_a_name_of_the_callers_own():
    """By that it is rotated from then on."""
    async with place_at("agentry") as place:
        made, store = await by_hand(place, "whatever it was called")
        assert (await adopt(place.keys, made.id, into=store, name=BASE)).name == BASE
        assert (await rotate(place.keys, BASE, into=store)).replaced.id == made.id


@either
async def test_adopting_twice_remembers_it_once(which):
    """One after the other, or many at once."""
    async with place_at(which) as place:
        made, store = await by_hand(place)
        calls = (adopt(place.keys, made.id, into=store) for _ in range(5))
        first, *others = await asyncio.gather(*calls)
        assert {each.id for each in others} == {first.id}
        assert (await adopt(place.keys, made.id, into=store)).id == first.id
        assert len((await status()).kept) == 1


async def test_an_issued_key_is_known_already():
    """It stays one entry."""
    async with rotation_at("agentry") as rotation:
        [known] = (await status(rotation.keys)).kept
        assert await adopt(rotation.keys, rotation.old.id, into=rotation.store) == known
        assert (await status()).kept == (known,)


async def test_a_key_that_was_adopted_wrongly_can_be_adopted_again():
    """Agentity does not tell how a secret begins; so what the store holds now counts."""
    async with place_at("agentity") as place:
        made, store = await by_hand(place)
        await store.write(Secret("another one"))
        await adopt(place.keys, made.id, into=store)
        await store.write(made.secret)
        await adopt(place.keys, made.id, into=store)
        assert (await rotate(place.keys, BASE, into=store)).replaced.id == made.id


@either
async def test_what_cannot_be_adopted(which):
    """The sentence says why, and nothing is remembered."""
    async with place_at(which) as place:
        made, store = await by_hand(place)
        other = await place.keys.create("another")
        unknown = 4711 if which == "agentity" else "4711"
        cases = [(unknown, store, "not listed"), (made.id, MemoryStore(), "no secret")]
        if which == "agentry":
            cases.append((other.id, store, "another key"))
        for key_id, into, why in cases:
            with pytest.raises(RotationError, match=why):
                await adopt(place.keys, key_id, into=into)
        with pytest.raises(InvalidArgumentError):
            await adopt(place.keys, made.id, into=store, name="")
        with pytest.raises(InvalidArgumentError):
            await adopt(place.keys, made.id, into=42)  # type: ignore[arg-type]
        assert await status() == await status(place.keys)
        assert (await status()).kept == ()


class Leaky(MemoryStore):
    """A store whose errors say what it holds, or that never answers."""

    hangs = False

    async def read(self) -> Any:
        if self.hangs:
            await asyncio.Event().wait()
        raise RuntimeError(self._cell.secret and self._cell.secret.reveal())


@pytest.mark.parametrize("hangs", [True, False])
async def test_a_store_that_cannot_be_read(hangs):
    """Its error is one of ours, and has no secret; it comes in time."""
    async with place_at("agentry") as place:
        made = await place.keys.create(BASE)
        store = Leaky()
        await store.write(made.secret)
        store.hangs = hangs
        kind = DeadlineExceededError if hangs else StoreError
        with pytest.raises(kind) as raised:
            await adopt(place.keys, made.id, into=store, timeout=0.2)
        assert made.secret.reveal() not in str(raised.value)
        with pytest.raises(kind) as raised:
            await rotate(place.keys, BASE, into=store, replaces=made.id, timeout=0.2)
        assert made.secret.reveal() not in str(raised.value)
        assert (await status()).kept == ()
        assert await place.ids() == [made.id]


@either
async def test_a_store_that_nobody_can_read(which, tmp_path):
    """It is taken to hold what it is said to hold, and is rotated without being read."""
    kept = tmp_path / "kept"
    into = (
        f'command:{sys.executable} -c \'import sys; open("{kept}", "w").write(sys.stdin.read())\''
    )
    async with place_at(which) as place:
        made = await place.keys.create(BASE)
        assert not open_store(into).readable
        known = await adopt(place.keys, made.id, into=into)
        assert known.digest == ""
        rotated = await rotate(place.keys, BASE, into=into, grace=0)
        assert rotated.replaced.id == made.id
        assert await place.service.is_live(kept.read_text())
        assert await place.ids() == [rotated.key.id]
        again = await rotate(place.keys, BASE, into=into, grace=10)
        assert again.replaced.id == rotated.key.id
        assert await place.service.is_live(kept.read_text())


async def test_the_blocking_twins_do_the_same(tmp_path):
    """All that is done with a key that was issued by hand."""
    await asyncio.to_thread(_blocking, DotenvStore(tmp_path / ".env", "KEY"))


def _blocking(store: DotenvStore) -> None:
    told: list[Any] = []
    with (
        sync.LocalService() as service,
        sync.AgentryClient(service.agentry_token, base_url=service.url) as client,
    ):
        keys = client.inbox(service.inbox_id).api_keys
        made = keys.create(BASE)
        asyncio.run(store.write(made.secret))
        known = sync.adopt(keys, made.id, into=store.address)
        assert sync.status(keys).kept == (known,)
        rotated = sync.rotate(keys, BASE, into=store, grace=60, then=told.append)
        assert (len(told), rotated.replaced.id) == (1, made.id)
        assert [each.retires for each in sync.status().retiring] == [made.id]
        assert sync.sweep(keys).retiring == (made.id,)
        with pytest.raises(RotationError):
            sync.announced(keys, BASE)
        assert sync.abort(keys, BASE, secret=made.secret) == (rotated.key.id,)
        assert [key.id for key in keys.list()] == [made.id]


@either
async def test_status_asks_no_service_and_no_store(which):
    """It tells whose keys there are, of one place or of all."""
    async with rotation_at(which, Fickle()) as rotation:
        other = MemoryStore()
        scope = attrs.evolve(rotation.keys.scope, realm="https://elsewhere.test")
        await issue(rotation.keys, "moving", into=other, scope=scope)
        rotated = await rotation.rotate()
        rotation.service.requests.clear()
        rotation.store.moods = {"probe fails", "read fails"}
        found = await status(rotation.keys)
        assert list(rotation.service.requests) == []
        assert (found.kept, found.under_way) == ((), ())
        [retiring] = found.retiring
        assert (retiring.id, retiring.key_id) == (rotated.rotation, rotated.key.id)
        assert (retiring.retires, retiring.state) == (rotation.old.id, "retiring")
        assert abs((retiring.retires_at - rotated.retires_at).total_seconds()) < 5
        everything = await status()
        assert [each.name for each in everything.kept] == ["moving"]
        assert everything.retiring == (retiring,)
        assert await status(scope=scope) == attrs.evolve(everything, retiring=())
        assert rotation.secret.reveal() not in repr(everything)


async def test_what_status_cannot_read_it_names(state):
    """In a sentence, beside all the rest."""
    async with rotation_at("agentry"):
        [path] = attempt_files.files(FileJournal.ledger())
        path.with_name(f"{'0' * 16}.key").write_text("nonsense\n")
        found = await status()
        [sentence] = found.unreadable
        assert "0" * 16 in sentence
        assert len(found.kept) == 1
        path.with_name(f"{'0' * 16}.key").chmod(0o666)
        assert len((await status()).unreadable) == 1
        assert left(state) == []


async def test_a_ledger_that_others_may_write_to():
    """Nothing is believed of it, and nothing replaced."""
    async with rotation_at("agentry") as rotation:
        folder = FileJournal.ledger()
        folder.chmod(0o777)
        [sentence] = (await status()).unreadable
        assert str(folder) in sentence
        for call in (
            rotation.rotate(),
            rotation.rotate(replaces=rotation.old.id),
            adopt(rotation.keys, rotation.old.id, into=rotation.store),
        ):
            with pytest.raises(AgentKeysError):
                await call
        assert await rotation.is_unchanged()
        folder.chmod(0o700)
        await rotation.rotate()


async def test_a_ledger_that_others_may_write_to_from_some_time_on():
    """What was begun is not lost: the next sweep goes on when it is ours alone again."""
    async with rotation_at("agentry") as rotation:
        folder = FileJournal.ledger()
        rotated = await rotation.rotate(grace=0, then=lambda: folder.chmod(0o777))
        assert rotated.replaced.id == rotation.old.id
        assert [each.state for each in (await status()).retiring] == ["ousting"]
        folder.chmod(0o700)
        await rotation.sweep()
        assert [each.key_id for each in (await status()).kept] == [rotated.key.id]
        assert await rotation.lawful() == "new"


async def test_a_link_in_the_ledger_leads_nowhere(tmp_path):
    """The entry of the key that is replaced is named in a file that anybody may have left."""
    async with rotation_at("agentry") as rotation:
        outside = tmp_path / "outside.key"
        outside.write_text("theirs")
        [path] = attempt_files.files(FileJournal.ledger())
        path.unlink()
        path.symlink_to(outside)
        with pytest.raises(AgentKeysError):
            await rotation.rotate()
        assert outside.read_text() == "theirs"
        assert await rotation.is_unchanged()


async def test_without_a_place_for_the_journal(monkeypatch, tmp_path):
    """It says so, and nothing was sent."""
    async with place_at("agentry") as place:
        made, store = await by_hand(place)
        file = tmp_path / "file"
        file.write_text("")
        monkeypatch.setenv("AGENTKEYS_HOME", str(file))
        place.service.requests.clear()
        with pytest.raises(ConfigurationError):
            await adopt(place.keys, made.id, into=store)
