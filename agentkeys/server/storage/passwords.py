"""Hash passwords with argon2id, off the event loop and off the database's thread."""

from __future__ import annotations

import asyncio
import functools
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Final, ParamSpec, TypeVar

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from agentkeys.secret import Secret
from agentkeys.server.http.refusals import Refusal

if TYPE_CHECKING:
    from collections.abc import Callable

P = ParamSpec("P")
T = TypeVar("T")

# OWASP's parameters: 19 MiB, two passes, one lane.
_HASHER: Final = PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1)
# For a generated password, which cannot be guessed, so that the start is fast.
_FAST_HASHER: Final = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
_THREADS: Final = 2
MOST_WAITING: Final = 64
"""The number of callers that may wait for a thread: about half a second of work."""


def hash_unguessable(password: Secret) -> Secret:
    """Return the hash of a generated *password*; this takes under a millisecond."""
    return Secret(_FAST_HASHER.hash(password.reveal()))


def hash_of(password: Secret) -> Secret:
    """Return the hash to store for a *password* that can be guessed; this is slow on purpose."""
    return Secret(_HASHER.hash(password.reveal()))


def is_hash_of(stored: Secret, password: Secret) -> bool:
    """Return whether *stored* is a hash of *password*."""
    try:
        return _HASHER.verify(stored.reveal(), password.reveal())
    except (VerificationError, InvalidHashError):
        return False


class Passwords:
    """Hashes and verifies passwords, in a few threads of its own.

    A hash is expensive on purpose, and any client may cause one: at most `MOST_WAITING` callers
    wait for a thread, and a caller leaves the queue when its client is gone.
    """

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="agentkeys-passwords")
        self._callers = 0

    async def hash(self, password: Secret, gone: asyncio.Future[None] | None = None) -> Secret:
        """Return the hash to store for *password*.

        Raises:
            Refusal: 503, if too many callers wait.
            ConnectionResetError: the client is *gone*.
        """
        return await self._run(gone, hash_of, password)

    async def verify(
        self, stored: Secret | None, password: Secret, gone: asyncio.Future[None] | None = None
    ) -> bool:
        """Return whether *stored* is the hash of *password*.

        Without a stored hash, the result is False and takes as long, so that the time does not show
        which accounts exist.

        Raises:
            Refusal: 503, if too many callers wait.
            ConnectionResetError: the client is *gone*.
        """
        if stored is None:
            await self.hash(password, gone)
            return False
        return await self._run(gone, is_hash_of, stored, password)

    def close(self) -> None:
        """Let the threads end."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def _run(
        self,
        gone: asyncio.Future[None] | None,
        work: Callable[P, T],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> T:
        if self._callers >= _THREADS + MOST_WAITING:
            message = "Too many requests wait for a password to be hashed."
            raise Refusal(503, message, headers={"Retry-After": "1"})
        if gone is not None and gone.done():
            raise ConnectionResetError
        call = functools.partial(work, *args, **kwargs)
        job = asyncio.get_running_loop().run_in_executor(self._threads, call)
        self._callers += 1
        try:
            await asyncio.wait({job, gone or job}, return_when=asyncio.FIRST_COMPLETED)
            if job.done():
                return job.result()
        finally:
            self._callers -= 1
            # If it still waits for a thread, it leaves the queue.
            job.cancel()
        raise ConnectionResetError
