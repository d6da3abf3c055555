"""A store on another machine: its writes are conditional, and its answers can be lost."""

from __future__ import annotations

import asyncio
import logging
import math
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, ClassVar, Final, TypeVar

import attrs

from agentkeys.errors import (
    AgentKeysError,
    StoreConflictError,
    StoreError,
    UncertainStoreError,
)
from agentkeys.secret import Secret
from agentkeys.stores.contract.checks import check_expected, check_secret, check_timeout
from agentkeys.stores.contract.protocol import ANY, Expected, Stored, Version
from agentkeys.stores.contract.quiet import quiet

__all__ = ["Forbidden", "Held", "Lost", "Moved", "RemoteStore"]

T = TypeVar("T")

logger: Final = logging.getLogger("agentkeys")

_TRIES: Final = 5
_WRITE_ONLY: Final = (
    "the store is write-only with these credentials, so it cannot be read or removed, and only"
    " ANY can be expected"
)


class Moved(Exception):  # noqa: N818  # an outcome, which no caller of a store sees
    """The service rejected a conditional write, because its content has changed."""


class Lost(Exception):  # noqa: N818
    """No complete answer came, so a write may have succeeded. The text says why."""


class Forbidden(Exception):  # noqa: N818
    """The credentials do not permit a request. The text says which one, without a secret."""


@attrs.frozen
class Held:
    """The content of a service.

    Attributes:
        secret: the secret, or None.
        token: the value for a conditional write, e.g. a version number.
        rest: other content that must be kept; only the store uses it.
    """

    secret: Secret | None
    token: Any
    rest: Any = attrs.field(default=None, repr=False)


class RemoteStore(ABC):
    """The base class of a store on another machine.

    It reads before it writes, and the service rejects the write if its content has changed in
    between. If the answer to a write is lost, the store is read again: the write has succeeded, or
    it is repeated under the same condition, so that the first one has no effect if it arrives late.

    If the credentials permit writing but not reading, the store becomes write-only.

    A subclass makes the single requests, and says what its errors mean. These methods may raise any
    exception; `_told` converts it.

    Args:
        timeout: seconds for each call; `math.inf` means no limit.
    """

    atomic = True
    late_write = 60.0
    quiet: ClassVar[tuple[str, ...]] = ()
    """The loggers of its library, which may log secrets."""
    pause: ClassVar[float] = 0.1
    """Seconds before the second try; each further pause is twice as long."""

    address: str

    def __init__(self, *, timeout: float) -> None:
        self._timeout = check_timeout(timeout)
        self._is_readable = True

    @property
    def readable(self) -> bool:
        """Whether the store can be read, as far as is known."""
        return self._is_readable

    @abstractmethod
    def describe(self) -> str:
        """Return the place of the secret; see `Store.describe`."""

    @abstractmethod
    async def _held(self) -> Held:
        """Return the content of the service."""

    @abstractmethod
    async def _put(self, secret: Secret | None, held: Held) -> None:
        """Write or remove the secret if the content is still what was read; else raise `Moved`."""

    @abstractmethod
    async def _put_unread(self, secret: Secret) -> None:
        """Write the secret without a condition, and keep all other content."""

    @abstractmethod
    async def _rehearse(self, held: Held | None) -> None:
        """Check that a secret can be written, without a change that a reader could see.

        Args:
            held: the content of the service; None if it cannot be read.
        """

    @abstractmethod
    async def _place(self) -> str:
        """Return an id that only this place has; see `IdentifiedStore.identity`."""

    @abstractmethod
    def _told(self, error: Exception) -> Exception:
        """Return the meaning of an error: `Moved`, `Lost`, `Forbidden`, or an `AgentKeysError`."""

    def _objection(self, secret: Secret) -> str | None:  # noqa: ARG002  # a subclass uses it
        """Return why a secret cannot be stored, as the end of a sentence, or None."""
        return None

    async def probe(self) -> None:
        """Check that a secret can be written, without a change that a reader could see.

        Raises:
            StoreError: it cannot.
        """
        await self._bounded(self._probed)

    async def read(self) -> Stored:
        """Return the content of the store; see `Store.read`."""
        return Stored.of((await self._bounded(self._looked)).secret)

    async def identity(self) -> str:
        """Return an id that only this place has; see `IdentifiedStore.identity`."""
        return await self._bounded(lambda: self._asked_again(self._place))

    async def write(self, secret: Secret, *, expected: Expected = ANY) -> Version:
        """Store *secret*; see `Store.write`."""
        objection = self._objection(check_secret(secret))
        if objection is not None:
            raise self._error(objection)
        changing = _Changing(secret, expected)
        await self._bounded(lambda: self._written(changing), changing)
        return Version.of(secret)

    async def remove(self, *, expected: Expected = ANY) -> None:
        """Remove the secret; see `Store.remove`."""
        changing = _Changing(None, expected)
        await self._bounded(lambda: self._changed(changing), changing)

    async def _bounded(
        self, work: Callable[[], Awaitable[T]], changing: _Changing | None = None
    ) -> T:
        """Return the result of *work* within the time limit; every failure is a `StoreError`."""
        limit = asyncio.timeout(None if self._timeout == math.inf else self._timeout)
        try:
            async with limit:
                return await work()
        except TimeoutError:
            failure: StoreError | str = f"it did not answer within {self._timeout:g} s"
        except (Moved, Lost, Forbidden) as error:
            failure = str(error)
        except StoreConflictError:
            raise
        except StoreError as error:
            failure = error.with_traceback(None)
        if changing is not None and changing.may_be_done:
            raise UncertainStoreError(
                f"it is not known whether {self.describe()} was changed: {failure}: check it before"
                " you try again",
                store=self.describe(),
            )
        raise failure if isinstance(failure, StoreError) else self._error(failure)

    async def _asked(self, request: Coroutine[Any, Any, T]) -> T:
        """Return the result of a request. Its error keeps no frame of the library.

        Such a frame holds the body of the request, and so the secret.
        """
        told: BaseException
        with quiet(self.quiet):
            try:
                return await request
            except (asyncio.CancelledError, KeyboardInterrupt) as error:
                told = type(error)(*error.args)
            except (Moved, Lost, Forbidden, AgentKeysError) as error:
                told = error.with_traceback(None)
            except Exception as error:  # noqa: BLE001  # a library may raise anything
                told = self._told(error).with_traceback(None)
        told.__cause__ = told.__context__ = None
        try:
            raise told
        finally:
            del told  # or error, traceback and this frame would keep each other alive

    async def _looked(self) -> Held:
        """Return the content of the service; if the answer is lost, repeat the request."""
        if not self._is_readable:
            raise self._error(_WRITE_ONLY)
        return await self._asked_again(self._held)

    async def _asked_again(self, request: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Return the result of a request that changes nothing; if the answer is lost, repeat it."""
        for tried in range(1, _TRIES):
            try:
                return await self._asked(request())
            except Lost:
                await asyncio.sleep(self.pause * 2 ** (tried - 1))
        return await self._asked(request())

    async def _probed(self) -> None:
        if not self._is_readable:
            await self._asked(self._rehearse(None))
            return
        try:
            held = await self._looked()
        except Forbidden as error:
            reason = str(error)
        else:
            await self._asked(self._rehearse(held))
            return
        await self._asked(self._rehearse(None))
        self._is_readable = False
        logger.warning("%s: %s: %s", self.describe(), reason, _WRITE_ONLY)

    async def _written(self, changing: _Changing) -> None:
        if self._is_readable:
            try:
                await self._changed(changing)
            except Forbidden:
                if changing.may_be_done or changing.expected is not ANY:
                    raise
            else:
                return
        elif changing.expected is not ANY:
            raise self._error(_WRITE_ONLY)
        assert changing.secret is not None  # noqa: S101  # a removal does not get here
        await self._put_once(changing, self._put_unread(changing.secret))

    async def _changed(self, changing: _Changing) -> None:
        """Write or remove under the condition, and repeat until the result is read back."""
        wanted, expected = changing.secret, changing.expected
        failed = ""
        for tried in range(_TRIES):
            if failed:
                await asyncio.sleep(self.pause * 2 ** (tried - 1))
            held = await self._looked()
            found = Stored.of(held.secret)
            if changing.may_be_done and found.secret == wanted:
                return
            check_expected(expected, found.version, self.describe())
            if found.secret == wanted:
                return
            try:
                await self._put_once(changing, self._put(wanted, held))
            except Moved:
                failed = "other programs keep changing it: try again"
            except Lost as error:
                failed = str(error)
            else:
                failed = ""
        if (await self._looked()).secret != wanted:
            raise self._error(failed or "it does not return what was written")

    async def _put_once(self, changing: _Changing, request: Coroutine[Any, Any, None]) -> None:
        before, changing.may_be_done = changing.may_be_done, True
        try:
            await self._asked(request)
        except (Moved, Forbidden, AgentKeysError):  # a rejected request changed nothing
            changing.may_be_done = before
            raise

    def _error(self, reason: str) -> StoreError:
        return StoreError(f"cannot use {self.describe()}: {reason}", store=self.describe())


@attrs.define
class _Changing:
    """A write or a removal.

    Attributes:
        secret: the new secret; None to remove it.
        expected: what the store must hold.
        may_be_done: whether the service may have acted on a request.
    """

    secret: Secret | None
    expected: Expected
    may_be_done: bool = False
