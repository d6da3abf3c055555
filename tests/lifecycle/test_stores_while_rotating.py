"""A store that fails at each step of `rotate`, or that somebody changes meanwhile."""

from __future__ import annotations

import pytest
from chaos import Fickle
from rotating import either, rotation_at

from agentkeys import Secret, StoreConflictError, StoreError, status

pytestmark = pytest.mark.asyncio


@either
@pytest.mark.parametrize("mood", ["probe fails", "read fails", "write fails before"])
async def test_a_store_that_fails_before_it_is_written(which, mood):
    """The new key is deleted, if there was one, and the old one is in its place."""
    async with rotation_at(which, Fickle()) as rotation:
        rotation.store.moods = {mood}
        with pytest.raises(StoreError, match="RuntimeError"):
            await rotation.rotate(timeout=3)
        rotation.store.moods = set()
        assert await rotation.is_unchanged()
        assert (await status()).under_way == ()


@either
@pytest.mark.parametrize(
    "moods",
    [
        ("write fails after",),
        ("write lies",),
        ("write hangs",),
        ("write fails after", "read fails later"),
        ("write fails before", "read fails later"),
        ("write fails after", "read hangs"),
        ("read hangs",),
    ],
    ids=" and ".join,
)
async def test_a_store_that_fails_when_it_is_written(which, moods):
    """Whatever it says, no key is lost sight of, and the old one stays if the new one is not there.

    A store of the test's own cannot be opened by a sweep, so that what it cannot see it keeps.
    """
    async with rotation_at(which, Fickle()) as rotation:
        rotation.store.moods = set(moods)
        with_error = None
        try:
            await rotation.rotate(timeout=2)
        except Exception as error:  # noqa: BLE001  # each of them is looked at below
            with_error = error
        rotation.store.moods = set()
        if "write lies" in moods:
            assert (await rotation.stored()).reveal() == "another"
            assert rotation.old.id in await rotation.listed()
        else:
            which_key, _ = await rotation.at_rest()
            assert with_error is not None or which_key == "new"
        assert rotation.old.id in await rotation.listed()


@either
async def test_a_store_that_somebody_changes_meanwhile(which):
    """The new key is deleted, that is said, and what they have put there stays."""
    async with rotation_at(which) as rotation:
        other = await rotation.keys.create("another")

        async def verify(_: Secret) -> None:
            await rotation.store.write(other.secret)

        with pytest.raises(StoreConflictError, match="deleted"):
            await rotation.rotate(verify=verify)
        assert await rotation.stored() == other.secret
        assert set(await rotation.listed()) == {rotation.old.id}
        assert (await status()).under_way == ()
