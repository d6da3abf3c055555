"""A store in the memory of this process."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable
from typing import Final
from weakref import WeakValueDictionary

from agentkeys.secret import Secret
from agentkeys.stores.contract import ANY, Expected, Found, Stored, Version
from agentkeys.stores.contract.checks import check_expected, check_secret, check_text
from agentkeys.stores.contract.threads import Turn, in_thread

__all__ = ["MemoryStore"]


class _Cell:
    """The cell that stores of one name share."""

    def __init__(self) -> None:
        self.secret: Secret | None = None


_cells: Final[WeakValueDictionary[str, _Cell]] = WeakValueDictionary()
# A named cell stays for the next store of its name. An unnamed cell is freed with its last store.
_named: Final[dict[str, _Cell]] = {}
_turn: Final = Turn()


# A process id may be reused, and a forked child has the token of its parent.
_token: Final = secrets.token_hex(8)
_PATIENCE: Final = 30.0
"""Seconds to wait for a note."""


def names() -> frozenset[str]:
    """Return the names in use in this process, for the pytest plugin."""
    with _turn.lock:
        return frozenset(_named)


def forget(name: str) -> None:
    """Make the next store of this name an empty one. Existing stores keep their content."""
    with _turn.lock:
        _named.pop(name, None)
        _cells.pop(name, None)


class MemoryStore:
    """A secret in the memory of this process, for tests and for short-lived keys.

    Stores of one name share their secret in the whole process, until it ends.

    Args:
        name: its name. By default a new unique name; then the secret is lost with the store.
    """

    readable = True
    atomic = True
    is_at_work = False

    def __init__(self, name: str | None = None) -> None:
        self._name = check_text("the name", secrets.token_hex(8) if name is None else name)
        self.address = f"memory:{self._name}"
        with _turn.lock:
            self._cell = _cells.setdefault(self._name, _Cell())
            if name is not None:
                _named[self._name] = self._cell

    async def probe(self) -> None:
        """Do nothing: memory can always keep a secret."""

    async def read(self) -> Stored:
        """Return the content of the store."""
        return Stored.of(self._cell.secret)

    async def write(self, secret: Secret, *, expected: Expected = ANY) -> Version:
        """Store *secret*; see `Store.write`."""
        return self._put(check_secret(secret), expected)

    async def write_noted(
        self, secret: Secret, *, expected: Expected = ANY, note: Callable[[Found], object]
    ) -> Version:
        """Store *secret*, after *note* has the identity of this process."""
        check_secret(secret)
        check_expected(expected, Stored.of(self._cell.secret).version, self.describe())
        await in_thread(lambda _: note(_here()), timeout=_PATIENCE, store=self.describe())
        return await self.write(secret, expected=expected)

    async def is_as_found(self, found: Found) -> bool:
        """Return whether the note names this process."""
        return found == _here()

    async def remove(self, *, expected: Expected = ANY) -> None:
        """Remove the secret; see `Store.remove`."""
        self._put(None, expected)

    def describe(self) -> str:
        """Return the place of the secret."""
        return f"{self._name} in the memory of this process"

    def __repr__(self) -> str:
        return f"MemoryStore({self._name!r})"

    def _put(self, secret: Secret | None, expected: Expected) -> Version:
        with _turn.lock:
            check_expected(expected, Stored.of(self._cell.secret).version, self.describe())
            self._cell.secret = secret
        return Stored.of(secret).version


def _here() -> Found:
    return Found(f"the memory of process {os.getpid()}", f"{os.getpid()} {_token}")
