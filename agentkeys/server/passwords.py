"""Passwords at rest: argon2id, off the event loop and off the database's thread."""

from __future__ import annotations

import asyncio
import functools
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Final, ParamSpec, TypeVar

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

if TYPE_CHECKING:
    from collections.abc import Callable

P = ParamSpec("P")
T = TypeVar("T")

# OWASP's parameters: 19 MiB, two passes, one lane.
_HASHER: Final = PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1)
# For a password that was generated and cannot be guessed, so that starting does not wait for it.
_FAST_HASHER: Final = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
_THREADS: Final = 2


def hash_unguessable(password: str) -> str:
    """Return the hash of a generated *password*; it takes under a millisecond."""
    return _FAST_HASHER.hash(password)


class Passwords:
    """Hashes and verifies passwords, each in one of a few threads of its own."""

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="agentkeys-passwords")

    async def hash(self, password: str) -> str:
        """Return the hash to store for *password*."""
        return await self._run(_HASHER.hash, password)

    async def verify(self, stored: str | None, password: str) -> bool:
        """Tell whether *password* is the one that *stored* is the hash of.

        Without a stored hash the answer is False and takes as long, so that the time does not
        tell which accounts exist.
        """
        if stored is None:
            await self.hash(password)
            return False
        return await self._run(_verify, stored, password)

    def close(self) -> None:
        """Let the threads end."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def _run(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        call = functools.partial(work, *args, **kwargs)
        return await asyncio.get_running_loop().run_in_executor(self._threads, call)


def _verify(stored: str, password: str) -> bool:
    try:
        return _HASHER.verify(stored, password)
    except (VerificationError, InvalidHashError):
        return False
