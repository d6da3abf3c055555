"""A key that was replaced outlives the proof of its successor, and its own last use."""

from __future__ import annotations

import shutil
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import attrs
import pytest
from chaos import SERVICES
from rotating import age, earlier, either, entries, rotation_at
from samples import agentity

from agentkeys import (
    PasswordLogin,
    RotationInProgressError,
    Secret,
    StillInUseError,
    status,
    sweep,
)
from agentkeys.lifecycle.journal import FileJournal
from agentkeys.lifecycle.machine.moments import Moment, now
from agentkeys.lifecycle.machine.states import Retiring
from agentkeys.server.faults import DELETES, LISTS, Answer, Reset
from agentkeys.stores import DotenvStore

if TYPE_CHECKING:
    from rotating import Rotation

pytestmark = pytest.mark.asyncio
DAY = 86400.0


async def is_retiring(rotation: Rotation, **how: Any) -> bool:
    """Sweep, and tell whether the old key lives on; it is told as that, or as gone."""
    swept = await rotation.sweep(**how)
    lives = await rotation.service.is_live(rotation.secret)
    assert (swept.retiring, swept.retired) in {
        ((rotation.old.id,), ()),
        ((), (rotation.old.id,)),
    }, swept
    assert swept.unresolved == ()
    assert lives == bool(swept.retiring)
    assert await rotation.lawful() == "new"
    return lives


@pytest.mark.parametrize("which", SERVICES)
async def test_it_lives_for_its_grace(which):
    """No less, and after that the next sweep deletes it; the one after has nothing to do."""
    async with rotation_at(which) as rotation:
        await rotation.rotate(grace=timedelta(minutes=10))
        age(590)
        assert await is_retiring(rotation)
        with pytest.raises(RotationInProgressError) as raised:
            await rotation.rotate()
        assert type(raised.value) is RotationInProgressError
        assert str(rotation.old.id) in str(raised.value)
        assert raised.value.key_id == rotation.old.id
        age(10)
        assert not await is_retiring(rotation)
        rotation.service.requests.clear()
        assert (await rotation.sweep()).retired == ()
        assert list(rotation.service.requests) == []
        await rotation.rotate()


@either
async def test_force_ends_it_at_once(which):
    """Whoever forces that has looked."""
    async with rotation_at(which) as rotation:
        await rotation.rotate(grace=DAY)
        assert not await is_retiring(rotation, force=True)


@either
async def test_a_dry_run_changes_nothing(which):
    """It says what a sweep would do, and that does it."""
    async with rotation_at(which) as rotation:
        await rotation.rotate(grace=10)
        before = snapshot()
        assert (await rotation.sweep(dry_run=True)).retiring == (rotation.old.id,)
        assert (await rotation.sweep(dry_run=True, force=True)).retired == (rotation.old.id,)
        assert snapshot() == before
        assert await rotation.service.is_live(rotation.secret)
        age(10)
        before = snapshot()
        assert (await rotation.sweep(dry_run=True)).retired == (rotation.old.id,)
        assert snapshot() == before
        assert await rotation.service.is_live(rotation.secret)
        assert not await is_retiring(rotation)


def snapshot() -> dict[str, bytes]:
    folder = FileJournal.folder().parent
    return {str(each): each.read_bytes() for each in folder.rglob("*") if each.is_file()}


# Where the service tells of uses.


@pytest.mark.parametrize("ago", [0, 70, 99, 101])
async def test_a_use_after_the_switch_begins_it_anew(ago):
    """It is counted from that use, and not from the sweep that sees it."""
    async with rotation_at("agentry") as rotation:
        await rotation.rotate(grace=100)
        age(150)
        await used(rotation, ago)
        assert await is_retiring(rotation) == (ago < 100)
        if ago < 100:
            [known] = (await status(rotation.keys)).retiring
            left = (known.retires_at - datetime.now(UTC)).total_seconds()
            assert 90 - ago < left <= 101 - ago


async def used(rotation: Rotation, ago: float) -> None:
    """Use the old key so many seconds ago."""
    rotation.service.clock.advance(-ago)
    await rotation.use(rotation.secret)
    rotation.service.clock.advance(ago)


async def test_a_use_before_the_switch_does_not_matter():
    """The old key was in use until then, of course."""
    async with rotation_at("agentry") as rotation:
        await used(rotation, 5)
        await rotation.rotate(grace=2, max_grace=2)
        age(2)
        assert not await is_retiring(rotation)


@pytest.mark.parametrize("most", [None, 30])
async def test_a_key_that_is_always_used_is_a_matter_for_a_person(most):
    """After seven graces if nothing else was said; it is named with its last use, and kept."""
    async with rotation_at("agentry") as rotation:
        await rotation.rotate(grace=10, max_grace=most)
        longest = 70 if most is None else most
        for _ in range(longest // 10 - 1):
            age(10)
            await rotation.use(rotation.secret)
            assert await is_retiring(rotation)
        age(10)
        for _ in range(2):
            used = datetime.now(UTC).isoformat(timespec="minutes").partition("+")[0]
            await rotation.use(rotation.secret)
            swept = await rotation.sweep()
            [sentence] = swept.unresolved
            assert str(rotation.old.id) in sentence
            assert used[:15] in sentence
            assert "--force" in sentence
            assert (swept.retiring, swept.retired) == ((), ())
            assert await rotation.service.is_live(rotation.secret)
            with pytest.raises(StillInUseError, match=f"{used[:15]}.*sweep --force") as raised:
                await rotation.rotate()
            assert raised.value.key_id == rotation.old.id
        assert not await is_retiring(rotation, force=True)
        await rotation.rotate()


async def test_uses_do_not_let_the_journal_grow_with_each_sweep():
    """One line a grace, at most."""
    async with rotation_at("agentry") as rotation:
        await rotation.rotate(grace=100)
        age(100)
        await rotation.use(rotation.secret)
        await rotation.sweep()
        before = snapshot()
        for _ in range(5):
            await rotation.use(rotation.secret)
            await rotation.sweep()
        assert snapshot() == before


# Clocks.


def rebooted(moment: Moment, seconds: float) -> Moment:
    """Return a moment of an earlier boot, as the clock on the wall tells it."""
    return Moment(moment.wall - seconds, "another boot", 5.0)


async def test_it_goes_on_over_a_reboot():
    """Or what lasts a month would never end on a laptop."""
    async with rotation_at("agentry") as rotation:
        await rotation.rotate(grace=30 * DAY)
        age(29 * DAY, rebooted)
        assert await is_retiring(rotation)
        age(1 * DAY, rebooted)
        assert not await is_retiring(rotation)


async def test_a_use_before_the_last_boot_is_remembered():
    """Though the machine has not been up for so long."""
    async with rotation_at("agentry") as rotation:
        await rotation.rotate(grace=200 * DAY)
        age(300 * DAY, rebooted)
        await used(rotation, 100 * DAY)
        for _ in range(2):
            assert await is_retiring(rotation)
            assert (await status()).unreadable == ()
        [known] = (await status()).retiring
        left = known.retires_at - datetime.now(UTC)
        assert timedelta(days=99) < left < timedelta(days=101)


@pytest.mark.parametrize("boot", ["another boot", None])
async def test_a_clock_that_was_set_back(boot):
    """What no clock can tell counts from the first sweep that sees it."""
    async with rotation_at("agentry") as rotation:
        await rotation.rotate(grace=10)
        age(365 * DAY, lambda moment, seconds: Moment(moment.wall + seconds, boot, 1e9))
        assert await is_retiring(rotation)
        [entry] = [each for each in entries() if isinstance(each.state, Retiring)]
        assert abs(entry.state.since.wall - now().wall) < 5
        age(9)
        assert await is_retiring(rotation)
        age(2)
        assert not await is_retiring(rotation)


@pytest.mark.parametrize("wall", [-365 * DAY, 365 * DAY])
async def test_a_clock_that_is_set_does_not_matter_within_a_boot(wall):
    """It was a year behind or ahead, and it is counted all the same."""
    if now().boot is None:
        pytest.skip("this machine does not name its boots")
    async with rotation_at("agentry") as rotation:
        if wall > 0:  # or it looks like a use after the switch, and is taken for one
            await rotation.use(rotation.secret)
        await rotation.rotate(grace=20)
        age(19, lambda m, s: attrs.evolve(earlier(m, s), wall=m.wall + wall))
        assert await is_retiring(rotation)
        age(1)
        assert not await is_retiring(rotation)


@pytest.mark.parametrize("seconds", [365 * DAY, 3600])
async def test_a_service_whose_clock_is_ahead(seconds):
    """Its key looks used in time to come: it is kept, and in the end a person is asked."""
    async with rotation_at("agentry") as rotation:
        await rotation.rotate(grace=10)
        rotation.service.clock.advance(seconds)
        await rotation.use(rotation.secret)
        age(10)
        assert await is_retiring(rotation)
        age(60)
        assert "still in use" in (await rotation.sweep()).unresolved[0]
        assert await rotation.service.is_live(rotation.secret)


# What must be so before it is deleted.


@either
async def test_a_store_that_was_changed_since(which):
    """Somebody has put the old secret back, or another one: nothing is deleted, forced or not."""
    for other in ("old", "another"):
        async with rotation_at(which) as rotation:
            await rotation.rotate(grace=10)
            new = await rotation.stored()
            await rotation.store.write(rotation.secret if other == "old" else Secret(other))
            age(10)
            for force in (False, True):
                [sentence] = (await rotation.sweep(force=force)).unresolved
                assert "no longer holds the new secret" in sentence
                assert len(await rotation.listed()) == 2
            await rotation.store.write(new)
            assert not await is_retiring(rotation)


@either
async def test_a_store_that_is_empty_or_gone(which, tmp_path):
    """It may be another place: that proves nothing."""
    folder = tmp_path / "app"
    folder.mkdir()
    path = folder / ".env"
    async with rotation_at(which, DotenvStore(path, "KEY")) as rotation:
        await rotation.rotate(grace=10)
        text = path.read_text()
        age(10)
        for harm in (path.unlink, lambda: path.write_text(""), lambda: shutil.rmtree(folder)):
            harm()
            for force in (False, True):
                swept = await rotation.sweep(force=force)
                assert len(swept.unresolved) == 1, swept
                assert len(await rotation.listed()) == 2
        folder.mkdir()
        path.write_text(text)
        assert not await is_retiring(rotation)


@either
async def test_a_service_that_fails(which):
    """What could not be listed is retired later, and so is what could not be deleted."""
    async with rotation_at(which) as rotation:
        await rotation.rotate(grace=10)
        age(10)
        rotation.service.faults.add(LISTS, Answer(503), times="always")
        with pytest.raises(Exception, match="503"):
            await rotation.sweep(timeout=0.5)
        rotation.service.faults.clear()
        rotation.service.faults.add(DELETES, Answer(403), times="always")
        [sentence] = (await rotation.sweep()).unresolved
        assert "could not be deleted" in sentence
        assert await rotation.lawful() == "new"
        rotation.service.faults.clear()
        assert not await is_retiring(rotation)


@either
async def test_a_deletion_whose_answer_is_lost(which):
    """The key is gone, and the next sweep sees that."""
    async with rotation_at(which) as rotation:
        rotation.service.faults.add(DELETES, Reset(), when="after", times="always")
        rotation.service.faults.add(DELETES, Reset(), when="before", times="always")
        await rotation.rotate(grace=0, timeout=2)
        rotation.service.faults.clear()
        await rotation.sweep()
        assert (await status()).retiring == ()
        assert await rotation.lawful() == "new"


async def test_a_key_that_somebody_deleted_meanwhile():
    """Then it has retired."""
    async with rotation_at("agentry") as rotation:
        await rotation.rotate(grace=10)
        await rotation.keys.delete(rotation.old.id)
        assert (await rotation.sweep()).retiring == (rotation.old.id,)
        age(10)
        assert (await rotation.sweep()).retired == (rotation.old.id,)


async def test_another_account_does_not_retire_it():
    """It does not see the key, which proves nothing; the one whose key it is deletes it."""
    async with rotation_at("agentity") as rotation:
        await rotation.service.add_account("other@example.com", "correct horse")
        await rotation.rotate(grace=10)
        age(10)
        login = PasswordLogin("other@example.com", "correct horse")
        async with agentity(rotation.service.url, login) as other:
            swept = await sweep(other.api_keys)
        [sentence] = swept.unresolved
        assert "these credentials do not show" in sentence
        assert swept.retired == ()
        assert not await is_retiring(rotation)
