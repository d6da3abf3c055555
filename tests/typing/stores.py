"""What type checkers must say of stores. It is checked, and never run."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import assert_type

from agentkeys import Secret
from agentkeys.stores import (
    ABSENT,
    ANY,
    AtWork,
    CommandStore,
    DotenvStore,
    Expected,
    FileStore,
    IdentifiedStore,
    KeyringStore,
    MemoryStore,
    Store,
    Stored,
    Version,
    VersionedStore,
    check_expected,
    check_secret,
    in_thread,
    open_store,
)
from agentkeys.testing import store_conformance


async def use(store: Store) -> None:
    assert_type(await store.read(), Stored)
    stored = await store.read()
    assert_type(stored.secret, Secret | None)
    assert_type(await store.write(Secret("x"), expected=stored.version), Version)
    await store.write(Secret("x"), expected=ABSENT)
    await store.remove(expected=ANY)
    await store.remove(expected=None)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    await store.write("x")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    assert_type(store.address, str)
    assert_type(store.readable, bool)
    assert_type(store.describe(), str)


async def every_store() -> None:
    await use(open_store("memory:x"))
    await use(MemoryStore())
    await use(DotenvStore(Path(".env"), "NAME", allow_tracked=True))
    await use(FileStore(Path("key"), allow_tracked=True))
    await use(KeyringStore("service", "name", timeout=5))
    await use(CommandStore(["tee", "x"], timeout=5))
    await use("memory:x")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


class Mine(AtWork):
    """A store of somebody else's."""

    readable = True
    atomic = True
    address = "mine:x"

    def describe(self) -> str:
        return "my place"

    async def probe(self) -> None:
        await in_thread(lambda stop: stop.wait(0), timeout=1, store=self.describe())

    async def read(self) -> Stored:
        return await self._waited_for(self._looked, timeout=1, store=self.describe())

    async def previous(self) -> Stored:
        return Stored.of(None)

    async def identity(self) -> str:
        return "there is one"

    async def write(self, secret: Secret, *, expected: Expected = ANY) -> Version:
        check_expected(expected, ABSENT, self.describe())
        return Version.of(check_secret(secret))

    async def remove(self, *, expected: Expected = ANY) -> None:
        check_expected(expected, ABSENT, self.describe())

    def _looked(self, stop: threading.Event) -> Stored:
        return Stored.of(None)


async def a_store_of_somebody_else() -> None:
    mine = Mine()
    await use(mine)
    previous: VersionedStore = mine
    identified: IdentifiedStore = mine
    assert_type(await previous.previous(), Stored)
    assert_type(await identified.identity(), str)
    assert_type(mine.is_at_work, bool)
    assert_type(await in_thread(lambda _: 5, timeout=1, store="mine"), int)


TestMine = store_conformance(lambda folder: DotenvStore(folder / ".env", "NAME"))
TestBroken = store_conformance(lambda _: MemoryStore(), broken=lambda _: MemoryStore("x"))
TestWriteOnly = store_conformance(
    lambda folder: CommandStore(["tee", str(folder / "x")]),
    kept=lambda folder: (folder / "x").read_text(),
)
