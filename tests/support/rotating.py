"""A key that is rotated on a local service, and the laws that hold whatever happens to it."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

import attrs
import pytest
from chaos import BASE, client_of, keys_of
from samples import agentry

from agentkeys import Secret, issue, rotate, status, sweep
from agentkeys.lifecycle.machine.moments import Moment
from agentkeys.lifecycle.machine.retiring import WRITE_PATIENCE
from agentkeys.lifecycle.machine.states import Restoring, Retiring, Writing
from agentkeys.lifecycle.remembering import opened
from agentkeys.server import LocalService
from agentkeys.stores import MemoryStore

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from agentkeys import Rotated, Store, Swept

__all__ = ["Rotation", "age", "earlier", "either", "entries", "let_writes_be_late", "rotation_at"]

either: Any = pytest.mark.parametrize(
    "which", ["agentry", pytest.param("agentity", marks=pytest.mark.long)]
)
"""The laws are the same for both services, and one of them hashes a password at each start."""


@attrs.frozen
class Rotation:
    """Keys of a service, a store, and the key that was issued into it."""

    service: Any
    keys: Any
    store: Any
    old: Any
    secret: Secret

    async def rotate(self, **how: Any) -> Rotated[Any]:
        return await rotate(self.keys, BASE, into=how.pop("into", self.store), **how)

    async def sweep(self, **how: Any) -> Swept:
        return await sweep(self.keys, **how)

    async def listed(self) -> dict[Any, Any]:
        """Return the keys of that base name, by their ids."""
        listed = await self.keys.list().collect()
        return {key.id: key for key in listed if key.name.partition("~")[0] == BASE}

    async def stored(self) -> Secret | None:
        return (await self.store.read()).secret

    async def is_unchanged(self) -> bool:
        """Whether the old key is the only one, works, and is the one that the store holds."""
        assert set(await self.listed()) == {self.old.id}
        assert await self.stored() == self.secret
        return await self.service.is_live(self.secret)

    async def lawful(self) -> str:
        """See that the laws hold; return which key the store holds, "old" or "new".

        It holds a live key; nobody has lost sight of any; the old one is gone only if the new one
        is stored.
        """
        which = await self.lawful_without_the_journal()
        known = await status(self.keys)
        assert known.unreadable == ()
        seen = (*known.kept, *known.under_way, *known.retiring)
        # Of an answer that could not be read there is no id, but a name that nobody else has.
        ids = {each.key_id for each in seen} | {each.retires for each in seen}
        names = {each.key_name for each in seen if each.key_id is None}
        lost = [key for key in (await self.listed()).values() if key.name not in names]
        assert {key.id for key in lost} <= ids, "a key is alive that nobody knows of"
        return which

    async def lawful_without_the_journal(self) -> str:
        """See that the laws hold that hold at any time, whoever was killed."""
        stored = await self.stored()
        assert stored is not None, "the store holds nothing any more"
        assert await self.service.is_live(stored), "the store holds a dead key"
        which = "old" if stored == self.secret else "new"
        is_there = self.old.id in await self.listed()
        assert which == "new" or is_there, "the old key is gone, and is not replaced"
        return which

    async def at_rest(self, **how: Any) -> tuple[str, Swept]:
        """Sweep until nothing changes any more, and see that the laws hold."""
        before, swept = None, await self.sweep(**how)
        while before != (before := (await status(self.keys), tuple(await self.listed()))):
            swept = await self.sweep(**how)
        return await self.lawful(), swept

    async def use(self, secret: Secret) -> None:
        """Use a key, so that the service tells so of it."""
        async with agentry(self.service.url, secret) as client:
            await keys_of(self.service, client).list(limit=1).first()


def earlier(moment: Moment, seconds: float) -> Moment:
    """Return a moment as it would have been noted so many seconds before."""
    uptime = moment.uptime - seconds
    return Moment(moment.wall - seconds, moment.boot if uptime >= 0 else None, max(uptime, 0.0))


def age(seconds: float, turn: Any = earlier) -> int:
    """Let what retires have begun to do so that much earlier; return how many keys do."""
    found = opened().claim(lambda _: True)
    retiring = [each for each in found.entries if isinstance(each.entry.state, Retiring)]
    for owned in retiring:
        state = owned.entry.state
        since, switched = turn(state.since, seconds), turn(state.switched, seconds)
        owned.note(
            attrs.evolve(owned.entry, state=attrs.evolve(state, since=since, switched=switched))
        )
    found.release()
    return len(retiring)


def let_writes_be_late(seconds: float = WRITE_PATIENCE) -> None:
    """Let what was being written, by whoever has died, have been begun so much earlier."""
    found = opened().claim(lambda _: True)
    for owned in found.entries:
        state = owned.entry.state
        if isinstance(state, Writing | Restoring):
            begun = earlier(state.begun, seconds)
            owned.note(attrs.evolve(owned.entry, state=attrs.evolve(state, begun=begun)))
    found.release()


def entries() -> list[Any]:
    """Return what the journal remembers."""
    return [each.entry for each in opened().remembered(lambda _: True).entries]


@contextlib.asynccontextmanager
async def rotation_at(
    which: str, store: Store | None = None, *, middlewares: Any = (), **settings: Any
) -> AsyncIterator[Rotation]:
    """Give a key that was issued into a store, one of this process if no other is given."""
    store = MemoryStore() if store is None else store
    async with (
        LocalService(middlewares=middlewares) as service,
        client_of(service, which, **settings) as client,
    ):
        keys = keys_of(service, client)
        issued = await issue(keys, BASE, into=store)
        secret = (await store.read()).secret
        assert secret is not None
        service.requests.clear()
        yield Rotation(service, keys, store, issued.key, secret)
