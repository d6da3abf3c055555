"""`abort` takes a rotation back, as long as the old key is there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import attrs
import pytest
from chaos import BASE, SERVICES
from rotating import age, either, entries, rotation_at

from agentkeys import (
    AgentKeysError,
    InvalidArgumentError,
    RotationError,
    Secret,
    abort,
    announced,
    issue,
    status,
)
from agentkeys.lifecycle.driving.hands import digest_of
from agentkeys.lifecycle.journal import FileJournal
from agentkeys.lifecycle.machine.moments import now
from agentkeys.lifecycle.machine.states import Asking, Ousting, Restoring, Retiring, Writing
from agentkeys.server.faults import CREATES, DELETES, LISTS, Answer, Reset
from agentkeys.stores import DotenvStore, MemoryStore

if TYPE_CHECKING:
    from collections.abc import Callable

    from rotating import Rotation

pytestmark = pytest.mark.asyncio


def leave(turn: Callable[[Any], Any]) -> None:
    """Leave the entry of the rotation as it is left by who dies at another step."""
    [owned] = FileJournal().claim(lambda _: True).entries
    owned.note(turn(owned.entry))
    owned.release()


def in_state(turn: Callable[[Any], Any]) -> Callable[[Any], Any]:
    return lambda entry: attrs.evolve(entry, state=turn(entry.state))


def as_writing(state: Retiring) -> Writing:
    return Writing(state.key_id, state.digest, True, state.switched, 0.0, state.found)


def as_ousting(state: Retiring) -> Ousting:
    return Ousting(state.key_id, state.digest, state.switched, state.found)


async def is_back(rotation: Rotation) -> bool:
    """Whether all is as it was before, so that it can be rotated again."""
    assert await rotation.is_unchanged()
    assert [each.key_id for each in (await status()).kept] == [rotation.old.id]
    assert (await status()).under_way == (await status()).retiring == ()
    rotated = await rotation.rotate()
    return rotated.replaced.id == rotation.old.id


@pytest.mark.parametrize("which", SERVICES)
@pytest.mark.parametrize("as_text", [True, False])
async def test_after_the_switch_the_old_secret_is_put_back(which, as_text, tmp_path):
    """And the new key is deleted, in this order."""
    async with rotation_at(which, DotenvStore(tmp_path / ".env", "KEY")) as rotation:
        text = (tmp_path / ".env").read_text()
        rotated = await rotation.rotate()
        secret = rotation.secret.reveal() if as_text else rotation.secret
        assert await abort(rotation.keys, BASE, secret=secret) == (rotated.key.id,)
        assert (tmp_path / ".env").read_text() == text
        assert await is_back(rotation)


@either
async def test_before_the_switch_the_new_key_is_deleted(which):
    """No secret is needed: the store holds the old one."""
    async with rotation_at(which) as rotation:
        rotation.service.faults.add(CREATES, Reset(), when="after", times="always")
        rotation.service.faults.add(DELETES, Answer(403), times="always")
        with pytest.raises(AgentKeysError):
            await rotation.rotate(timeout=1)
        rotation.service.faults.clear()
        [left] = set(await rotation.listed()) - {rotation.old.id}
        assert await abort(rotation.keys, BASE) == (left,)
        assert await is_back(rotation)


@pytest.mark.parametrize("which", SERVICES)
@pytest.mark.parametrize("end", [-4, None])
async def test_a_wrong_secret_is_refused(which, end):
    """The store keeps the new one, which works; also if it begins like the right one."""
    async with rotation_at(which) as rotation:
        rotated = await rotation.rotate()
        wrong = rotation.secret.reveal()[:end] + "wxyz"
        with pytest.raises(RotationError, match="not the secret of") as raised:
            await abort(rotation.keys, BASE, secret=wrong)
        assert wrong not in str(raised.value)
        assert raised.value.key_id == rotated.key.id
        assert await rotation.lawful() == "new"
        assert [each.state for each in (await status()).retiring] == ["retiring"]
        assert await abort(rotation.keys, BASE, secret=rotation.secret) == (rotated.key.id,)


@either
async def test_without_the_secret_it_stays(which):
    """This store keeps no old one, and the sentence says what to give."""
    async with rotation_at(which) as rotation:
        await rotation.rotate()
        with pytest.raises(RotationError, match="pass it"):
            await abort(rotation.keys, BASE)
        assert await rotation.lawful() == "new"
        with pytest.raises(InvalidArgumentError):
            await abort(rotation.keys, BASE, secret=42)  # type: ignore[arg-type]


@either
async def test_there_is_nothing_to_take_back(which):
    """Nothing was begun, or it is over, or it is another key's."""
    async with rotation_at(which) as rotation:
        with pytest.raises(RotationError, match="no rotation"):
            await abort(rotation.keys, BASE, secret=rotation.secret)
        await rotation.rotate(grace=0)
        for name in (BASE, "another"):
            with pytest.raises(RotationError, match="no rotation"):
                await abort(rotation.keys, name, secret=rotation.secret)
        assert await rotation.lawful() == "new"


@either
async def test_the_deletion_has_begun(which):
    """There is no way back, and the next sweep goes forward."""
    async with rotation_at(which) as rotation:
        await rotation.rotate()
        leave(in_state(as_ousting))
        with pytest.raises(RotationError, match="has begun"):
            await abort(rotation.keys, BASE, secret=rotation.secret)
        assert (await rotation.sweep()).retired == (rotation.old.id,)
        assert await rotation.lawful() == "new"


@either
async def test_the_old_key_is_gone(which):
    """Somebody deleted it: the new one stays."""
    async with rotation_at(which) as rotation:
        await rotation.rotate()
        await rotation.keys.delete(rotation.old.id)
        with pytest.raises(RotationError, match="no longer listed"):
            await abort(rotation.keys, BASE, secret=rotation.secret)
        assert await rotation.lawful() == "new"


@either
@pytest.mark.parametrize("grace", [0.0, 100.0])
async def test_who_died_before_it_was_noted_that_the_store_holds_it(which, grace):
    """Going back deletes no old key on the way, not even without a grace."""
    async with rotation_at(which) as rotation:
        rotated = await rotation.rotate(grace=100)

        def turn(entry: Any) -> Any:
            replaces = attrs.evolve(entry.plan.replaces, grace=grace)
            plan = attrs.evolve(entry.plan, replaces=replaces)
            return attrs.evolve(entry, plan=plan, state=as_writing(entry.state))

        leave(turn)
        with pytest.raises(RotationError, match="pass it"):
            await abort(rotation.keys, BASE)
        assert rotation.old.id in await rotation.listed()
        leave(turn)
        assert await abort(rotation.keys, BASE, secret=rotation.secret) == (rotated.key.id,)
        assert await is_back(rotation)


@either
async def test_another_try_that_may_come_late_does_not_stand_in_its_way(which):
    """It is the sweeps' matter."""
    async with rotation_at(which) as rotation:
        rotation.service.faults.add(CREATES, Reset(), when="before")
        rotated = await rotation.rotate()
        states = {type(each.state) for each in entries()}
        assert {Asking, Retiring} <= states
        assert await abort(rotation.keys, BASE, secret=rotation.secret) == (rotated.key.id,)
        assert await rotation.is_unchanged()


@either
@pytest.mark.parametrize("is_back", [True, False])
async def test_who_died_on_the_way_back(which, is_back):
    """A sweep sees what the store holds: the old secret, and the new key goes; or it stays."""
    async with rotation_at(which) as rotation:
        rotated = await rotation.rotate(grace=50)
        new = await rotation.stored()
        digest = digest_of(rotation.secret)
        leave(in_state(lambda state: Restoring(state, digest, now(), 0.0, state.found)))
        [known] = (await status()).retiring
        assert (known.state, known.retires) == ("restoring", rotation.old.id)
        if is_back:
            await rotation.store.write(rotation.secret)
            assert (await rotation.sweep()).deleted == (rotated.key.id,)
            assert await rotation.is_unchanged()
        else:
            assert (await rotation.sweep()).retiring == (rotation.old.id,)
            assert await rotation.stored() == new
            assert age(50) == 1
            assert (await rotation.sweep()).retired == (rotation.old.id,)
        assert await rotation.lawful() == ("old" if is_back else "new")


@either
async def test_who_died_on_the_way_back_goes_on(which):
    """With the secret, the same call does it."""
    async with rotation_at(which) as rotation:
        rotated = await rotation.rotate(grace=50)
        digest = digest_of(rotation.secret)
        leave(in_state(lambda state: Restoring(state, digest, now(), 0.0, state.found)))
        ids = await abort(rotation.keys, BASE, secret=rotation.secret)
        assert ids == (rotated.key.id,)
        assert await is_back(rotation)


@either
async def test_a_store_that_somebody_changed(which):
    """What they put there is not written over, and no key is deleted."""
    async with rotation_at(which) as rotation:
        await rotation.rotate()
        await rotation.store.write(Secret("theirs"))
        with pytest.raises(RotationError):
            await abort(rotation.keys, BASE, secret=rotation.secret)
        assert (await rotation.stored()).reveal() == "theirs"
        assert len(await rotation.listed()) == 2


@either
async def test_a_store_that_holds_the_old_secret_again(which):
    """Somebody has put it back by hand: the new key is deleted."""
    async with rotation_at(which) as rotation:
        rotated = await rotation.rotate()
        await rotation.store.write(rotation.secret)
        assert await abort(rotation.keys, BASE, secret=rotation.secret) == (rotated.key.id,)
        assert await is_back(rotation)


@either
async def test_a_service_that_does_not_delete(which):
    """The store holds the old secret by then, and a sweep deletes the new key."""
    async with rotation_at(which) as rotation:
        rotated = await rotation.rotate()
        rotation.service.faults.add(DELETES, Answer(403), times="always")
        with pytest.raises(RotationError, match="403"):
            await abort(rotation.keys, BASE, secret=rotation.secret)
        rotation.service.faults.clear()
        assert await rotation.lawful() == "old"
        assert (await rotation.sweep()).deleted == (rotated.key.id,)
        assert await is_back(rotation)


@either
async def test_a_service_that_does_not_list(which):
    """Nothing is changed, and it can be tried again."""
    async with rotation_at(which) as rotation:
        await rotation.rotate()
        rotation.service.faults.add(LISTS, Answer(503), times="always")
        with pytest.raises(AgentKeysError, match="503"):
            await abort(rotation.keys, BASE, secret=rotation.secret, timeout=1)
        rotation.service.faults.clear()
        assert await rotation.lawful() == "new"
        assert await abort(rotation.keys, BASE, secret=rotation.secret)


@either
async def test_two_keys_of_one_name(which):
    """It must be said which one is meant, or the wrong one's users would be taken for told."""
    async with rotation_at(which) as rotation:
        other = MemoryStore()
        await issue(rotation.keys, BASE, into=other)
        for store in (rotation.store, other):
            with pytest.raises(RotationError, match="could not be told"):
                await rotation.rotate(into=store, then=lambda: 1 / 0)
        for call in (announced(rotation.keys, BASE), abort(rotation.keys, BASE)):
            with pytest.raises(RotationError, match="name the store") as raised:
                await call
            assert rotation.store.address in str(raised.value)
            assert other.address in str(raised.value)
        assert {each.retires_at for each in (await status()).retiring} == {None}
        known = await announced(rotation.keys, BASE, into=other)
        assert known.store == other.address
        ids = await abort(rotation.keys, BASE, into=rotation.store.address, secret=rotation.secret)
        assert len(ids) == 1
        assert await rotation.stored() == rotation.secret
        assert [each.store for each in (await status()).retiring] == [other.address]
