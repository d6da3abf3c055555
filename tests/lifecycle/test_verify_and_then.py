"""What a caller of `rotate` brings: how the new secret is tried, and how its users are told."""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING, Any

import pytest
from aiohttp import web
from attempts import watched
from chaos import BASE, SERVICES
from leaks import shown
from rotating import age, either, rotation_at

from agentkeys import (
    Announcement,
    InvalidArgumentError,
    RotationError,
    Secret,
    announced,
    status,
)
from agentkeys.lifecycle.driving.callbacks import tried
from agentkeys.lifecycle.journal import FileJournal
from agentkeys.server.faults import CREATES, Answer
from agentkeys.stores import MemoryStore

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

pytestmark = pytest.mark.asyncio


class NewKeys:
    """Answers listings that bear another token than the first one did, so many times."""

    def __init__(self, status_: int, times: float) -> None:
        self._status = status_
        self._times = times
        self._known: str | None = None
        self.asked = 0

    @property
    def middleware(self) -> Any:
        @web.middleware
        async def refuse(request: web.Request, handler: Callable[..., Any]) -> Any:
            token = request.headers.get("Authorization", "")
            self._known = self._known or token
            if token != self._known:
                self.asked += 1
                if self.asked <= self._times:
                    said = {"name": "x", "message": f"no {token}"}
                    return web.json_response(said, status=self._status)
            return await handler(request)

        return refuse


async def test_a_key_that_is_not_known_yet_is_tried_again():
    """Some services need a while; the old key is in the store meanwhile."""
    new = NewKeys(401, 3)
    async with rotation_at("agentry", middlewares=[new.middleware]) as rotation:
        await rotation.rotate()
        assert new.asked == 4
        assert await rotation.lawful() == "new"


@pytest.mark.parametrize("status_", [403, 404])
async def test_any_answer_that_shows_the_key_is_known_will_do(status_):
    """It may not list, or not there: the service knows it all the same."""
    new = NewKeys(status_, 1)
    async with rotation_at("agentry", middlewares=[new.middleware]) as rotation:
        await rotation.rotate()
        assert new.asked == 1
        assert await rotation.lawful() == "new"


@pytest.mark.parametrize("status_", [401, 500])
async def test_a_key_that_is_never_known_is_deleted(status_, tmp_path):
    """The store is as it was, and its error says so without a secret."""
    new = NewKeys(status_, float("inf"))
    async with rotation_at("agentry", middlewares=[new.middleware]) as rotation:
        with pytest.raises(RotationError) as raised:
            await rotation.rotate(verify_within=0.3)
        assert f"answered {status_}" in str(raised.value)
        assert "deleted" in str(raised.value)
        assert "ag_" not in str(raised.value)
        assert new.asked > 1
        assert await rotation.is_unchanged()
        assert (await status()).under_way == ()


async def test_nothing_is_sent_with_a_new_key_of_agentity():
    """Its documentation names no call for one."""
    async with rotation_at("agentity") as rotation:
        await rotation.rotate()
        routes = [each.route.split()[0] for each in rotation.service.requests]
        assert routes == ["GET", "POST"]


def _raising(secret: Secret) -> None:
    raise ValueError(f"it is not {secret.reveal()} that works")


async def _raising_later(secret: Secret) -> None:
    _raising(secret)


class _Callable:
    async def __call__(self, secret: Secret) -> bool:
        return not secret


VERIFIES = [lambda _: False, _raising, _raising_later, _Callable()]


@either
@pytest.mark.parametrize("verify", VERIFIES, ids=["False", "raises", "async", "callable"])
async def test_a_verification_that_fails(which, verify):
    """The new key is deleted, the store is as before, and what it says is masked."""
    made: list[Secret] = []

    def verifies(secret: Secret) -> Any:
        made.append(secret)
        return verify(secret)

    async with rotation_at(which) as rotation:
        with watched() as (records, _), pytest.raises(RotationError) as raised:
            await rotation.rotate(verify=verifies, verify_within=0)
        assert await rotation.is_unchanged()
        [new] = {secret.reveal() for secret in made}
        assert not await rotation.service.is_live(new)
        said = shown(raised.value) + "".join(str(vars(record)) for record in records)
        assert new not in said
        assert rotation.secret.reveal() not in said
        assert (await status()).under_way == ()
        assert (await rotation.rotate(verify=lambda _: None)).replaced.id == rotation.old.id


@either
async def test_a_verification_is_tried_again_before_the_store_is_touched(which):
    """With the secret of the new key, which works by then."""
    seen: list[bool] = []
    async with rotation_at(which) as rotation:

        async def verify(secret: Secret) -> bool:
            assert await rotation.stored() == rotation.secret
            assert await rotation.service.is_live(secret)
            seen.append(secret != rotation.secret)
            return len(seen) == 3

        await rotation.rotate(verify=verify)
        assert seen == [True] * 3
        assert await rotation.lawful() == "new"


async def test_what_a_verification_says_is_masked_whatever_form_a_secret_has():
    """A service to come may give its secrets no form by which they are known."""
    why = await tried(_raising, Secret("open sesame"), 0)
    assert why is not None
    assert "open sesame" not in why


async def test_a_verification_that_hangs_ends_with_the_call():
    """And then there is time to delete the new key."""
    async with rotation_at("agentry") as rotation:
        with pytest.raises(RotationError, match="no time left"):
            await rotation.rotate(verify=lambda _: asyncio.Event().wait(), timeout=1)
        assert await rotation.is_unchanged()


@pytest.mark.parametrize("name", ["verify", "then"])
async def test_what_is_no_function_is_refused(name):
    """Before anything is sent."""
    async with rotation_at("agentry") as rotation:
        rotation.service.requests.clear()
        with pytest.raises(InvalidArgumentError, match=name):
            await rotation.rotate(**{name: "reload"})
        assert list(rotation.service.requests) == []


# Whoever uses the key is told before the grace of the old one begins.


@pytest.mark.parametrize("which", SERVICES)
@pytest.mark.parametrize("is_async", [True, False])
async def test_they_are_told_when_the_secret_is_stored(which, is_async):
    """Of the rotation, and with no secret."""
    told: list[Announcement] = []
    async with rotation_at(which) as rotation:

        async def later(announcement: Announcement) -> None:
            assert await rotation.stored() != rotation.secret
            told.append(announcement)

        then = later if is_async else told.append
        rotated = await rotation.rotate(then=then, grace=0)
        [announcement] = told
        assert announcement == Announcement(
            rotated.rotation, BASE, rotated.key.id, rotation.old.id, rotation.store.address
        )
        assert await rotation.lawful() == "new"


def _nobody() -> None:
    raise OSError("nobody is there")


@either
async def test_what_was_not_told_is_owed(which):
    """The old key does not retire until they are told; a sweep that brings that does it."""
    async with rotation_at(which) as rotation:
        with pytest.raises(RotationError, match="nobody is there") as raised:
            await rotation.rotate(then=_nobody, grace=10)
        assert rotation.store.describe() in str(raised.value)
        assert str(raised.value.key_id) in str(raised.value)
        assert await rotation.lawful() == "new"
        age(10_000)
        for force in (False, True):
            swept = await rotation.sweep(force=force)
            [sentence] = swept.unresolved
            assert "have not been told" in sentence
            assert swept.retired == ()
        [retiring] = (await status(rotation.keys)).retiring
        assert (retiring.retires, retiring.retires_at) == (rotation.old.id, None)
        [sentence] = (await rotation.sweep(then=_nobody)).unresolved
        assert "nobody is there" in sentence
        told: list[Announcement] = []
        assert (await rotation.sweep(then=told.append)).retiring == (rotation.old.id,)
        assert [each.rotation for each in told] == [retiring.id]
        [retiring] = (await status(rotation.keys)).retiring
        assert retiring.retires_at is not None
        age(9)
        assert (await rotation.sweep(then=told.append)).retiring == (rotation.old.id,)
        age(1)
        assert (await rotation.sweep(then=told.append)).retired == (rotation.old.id,)
        assert len(told) == 1


@either
async def test_it_can_be_said_that_they_were_told(which):
    """Once; the grace begins then."""
    async with rotation_at(which) as rotation:
        with pytest.raises(RotationError):
            await announced(rotation.keys, BASE)
        with pytest.raises(RotationError):
            await rotation.rotate(then=_nobody, grace=10)
        age(10_000)
        known = await announced(rotation.keys, BASE)
        assert known.retires == rotation.old.id
        assert known.retires_at is not None
        with pytest.raises(RotationError, match="told already"):
            await announced(rotation.keys, BASE)
        assert (await rotation.sweep()).retiring == (rotation.old.id,)
        age(10)
        assert (await rotation.sweep()).retired == (rotation.old.id,)
        with pytest.raises(RotationError):
            await announced(rotation.keys, BASE)


@either
async def test_that_they_were_told_deletes_nothing_itself(which):
    """Not even without a grace."""
    async with rotation_at(which) as rotation:
        with pytest.raises(RotationError):
            await rotation.rotate(then=_nobody, grace=0)
        rotation.service.requests.clear()
        await announced(rotation.keys, BASE)
        assert list(rotation.service.requests) == []
        assert (await rotation.sweep()).retired == (rotation.old.id,)


async def test_they_are_told_at_least_once():
    """If it is not known whether they were, they are told again, of the same rotation."""
    told: list[str] = []

    def half(announcement: Announcement) -> None:
        told.append(announcement.rotation)
        if len(told) < 3:
            raise TimeoutError

    async with rotation_at("agentry") as rotation:
        with pytest.raises(RotationError, match="TimeoutError"):
            await rotation.rotate(then=half)
        await rotation.sweep(then=half)
        await rotation.sweep(then=half)
        await rotation.sweep(then=half)
        assert len(told) == 3
        assert len(set(told)) == 1


async def test_one_who_is_not_told_in_time():
    """It is owed; and the call ends when it should."""
    async with rotation_at("agentry") as rotation:
        with pytest.raises(RotationError, match="it took too long"):
            await rotation.rotate(then=lambda: asyncio.Event().wait(), timeout=1)
        assert (await rotation.sweep()).unresolved != ()
        assert await rotation.lawful() == "new"


async def test_nobody_is_told_of_what_is_not_stored():
    """A create, a verification or a write that fails says nothing to anybody."""
    told: list[object] = []
    async with rotation_at("agentry") as rotation:
        rotation.service.faults.add(CREATES, Answer(400))
        with pytest.raises(Exception, match="400"):
            await rotation.rotate(then=told.append)
        with pytest.raises(RotationError):
            await rotation.rotate(then=told.append, verify=lambda _: False, verify_within=0)
        assert told == []
        assert await rotation.is_unchanged()


class Filling(MemoryStore):
    """A store after whose next write nothing can be noted any more."""

    left: int | None = None

    @property
    def journal(self) -> Path:
        [path] = FileJournal.folder().rglob("*.attempt")
        return path

    async def write(self, secret: Secret, **expected: Any) -> Any:
        version = await super().write(secret, **expected)
        if self.left is not None:
            self.left = self.journal.stat().st_size
            os.truncate(self.journal, 1 << 21)
        return version

    def make_room(self) -> None:
        os.truncate(self.journal, self.left)


@either
@pytest.mark.parametrize("tells", [True, False])
async def test_a_switch_that_cannot_be_noted(which, tells):
    """Nobody is told of what is not noted; that is owed, and the next sweep sees the store."""
    announcements: list[Announcement] = []
    then = announcements.append if tells else None
    store = Filling("filling")
    async with rotation_at(which, store) as rotation:
        store.left = 0
        if tells:
            with pytest.raises(RotationError, match="could not be told") as raised:
                await rotation.rotate(grace=0, then=then)
            assert store.describe() in str(raised.value)
        else:
            assert (await rotation.rotate(grace=0)).replaced.id == rotation.old.id
        assert announcements == []
        assert set(await rotation.listed()) > {rotation.old.id}
        store.make_room()
        assert (await rotation.sweep(then=then)).retired == (rotation.old.id,)
        assert len(announcements) == tells
        assert await rotation.lawful() == "new"
