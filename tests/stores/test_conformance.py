"""Every store of ours passes the suite that others run on theirs."""

from __future__ import annotations

import shutil

from agentkeys.stores import CommandStore, DotenvStore, MemoryStore
from agentkeys.testing import store_conformance

NAME = "AGENTITY_API_KEY"
SAVE = 'umask 077; cat >"$1"'


def kept(folder):
    file = folder / "kept"
    # Bytes, for the line ends are part of it.
    return file.read_bytes().decode() if file.exists() else None


TestMemoryStore = store_conformance(lambda folder: MemoryStore(str(folder)))

TestDotenvStore = store_conformance(
    lambda folder: DotenvStore(folder / ".env", NAME),
    broken=lambda folder: DotenvStore(folder / "nowhere" / ".env", NAME),
    exchange=lambda folder: shutil.copy(folder / ".env", folder / "b").replace(folder / ".env"),
)

TestCommandStore = store_conformance(
    lambda folder: CommandStore(["sh", "-c", SAVE, "sh", str(folder / "kept")]), kept=kept
)
