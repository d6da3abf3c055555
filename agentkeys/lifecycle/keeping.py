"""Putting a secret into a store, and being sure of it."""

from __future__ import annotations

import asyncio
import math
from typing import TYPE_CHECKING

from agentkeys.errors import AgentKeysError, StoreConflictError, StoreError
from agentkeys.lifecycle import disk
from agentkeys.lifecycle.looking import CannotLook, Holds, Lacks
from agentkeys.stores import ABSENT, ANY
from agentkeys.stores.contract import RecognizableStore

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from agentkeys.lifecycle.looking import Look
    from agentkeys.secret import Secret
    from agentkeys.stores import Store
    from agentkeys.stores.contract import Found

__all__ = ["Keeping"]


class Keeping:
    """Keeps one secret in one store.

    Args:
        store: the store.
        replace: whether a secret that it holds may be replaced.

    """

    def __init__(self, store: Store, *, replace: bool) -> None:
        self._store = store
        self._expected = ANY if replace or not store.readable else ABSENT
        self.address = store.address
        self.place = store.describe()

    async def check(self) -> None:
        """See that the store can keep a secret, and holds none that would be lost.

        Raises:
            StoreError: it cannot, or does.

        """
        try:
            await self._store.probe()
            holds = self._expected is ABSENT and (await self._store.read()).secret is not None
        except AgentKeysError:
            raise
        except Exception as error:  # noqa: BLE001  # a store may be anybody's
            failure = self._error(type(error).__name__)
        else:
            if not holds:
                return
            failure = StoreConflictError(
                f"{self.place} holds a secret already, which would be lost: choose another place,"
                " or allow it to be replaced (replace=True, or --replace)",
                store=self.place,
            )
        raise failure

    async def keep(
        self, secret: Secret, seconds: float, note: Callable[[Found | None], object]
    ) -> StoreError | None:
        """Write *secret*; return None if the store holds it now, or else why not.

        It may take so many seconds, and half as many to look whether the store holds it. In a
        thread, *note* is told what the store was directly before it is written; if it raises
        `StoreError`, nothing is.
        """
        failure = await self._failure(self._written(secret, note), seconds)
        match await self._looked(secret, seconds / 2):
            # What the store holds counts; what it says, only if it cannot be read.
            case Holds():
                return None
            case CannotLook() if failure is None:
                return None
        return failure or self._error("something else than what was written is read back")

    async def _written(self, secret: Secret, note: Callable[[Found | None], object]) -> None:
        if isinstance(self._store, RecognizableStore):
            await self._store.write_noted(secret, expected=self._expected, note=note)
        else:
            await disk.in_thread(lambda: note(None))
            await self._store.write(secret, expected=self._expected)

    async def _looked(self, secret: Secret, seconds: float) -> Look:
        """Look whether the store holds *secret*: it is this very one, so there is no other."""
        if not self._store.readable:
            return CannotLook("it is write-only")
        try:
            async with asyncio.timeout(None if seconds == math.inf else seconds):
                is_held = (await self._store.read()).secret == secret
        except Exception as error:  # noqa: BLE001  # a store may be anybody's
            return CannotLook(type(error).__name__)
        return Holds() if is_held else Lacks()

    async def _failure(self, writing: Awaitable[object], seconds: float) -> StoreError | None:
        limit = asyncio.timeout(None if seconds == math.inf else seconds)
        try:
            async with limit:
                await writing
        except StoreError as error:
            return error
        except AgentKeysError as error:
            reason = str(error)
        except TimeoutError:
            reason = f"it took more than {round(seconds, 2):g} s: give it a longer timeout"
        except Exception as error:  # noqa: BLE001  # a store may be anybody's, and say the secret
            reason = type(error).__name__
        else:
            return None
        return self._error(reason)

    def _error(self, reason: str) -> StoreError:
        return StoreError(f"{self.place} cannot keep the secret: {reason}", store=self.place)
