"""What type checkers must say of stores. It is checked, and never run."""

from __future__ import annotations

from pathlib import Path
from typing import assert_type

from agentkeys import Secret
from agentkeys.stores import (
    ABSENT,
    ANY,
    CommandStore,
    DotenvStore,
    FileStore,
    KeyringStore,
    MemoryStore,
    Store,
    Stored,
    Version,
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


TestMine = store_conformance(lambda folder: DotenvStore(folder / ".env", "NAME"))
TestBroken = store_conformance(lambda _: MemoryStore(), broken=lambda _: MemoryStore("x"))
TestWriteOnly = store_conformance(
    lambda folder: CommandStore(["tee", str(folder / "x")]),
    kept=lambda folder: (folder / "x").read_text(),
)
