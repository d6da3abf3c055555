"""A store that passes the secret to a program, on its standard input."""

from __future__ import annotations

import shlex
import shutil
from collections.abc import Sequence  # a program that asks for the hints of a store needs it
from typing import TYPE_CHECKING, Final, NoReturn

from agentkeys import programs
from agentkeys.errors import StoreError, UncertainStoreError
from agentkeys.secret import Secret
from agentkeys.stores.contract import ANY, Expected, Stored, Version
from agentkeys.stores.contract.checks import check_secret, check_timeout
from agentkeys.stores.contract.threads import in_thread

if TYPE_CHECKING:
    import threading


__all__ = ["CommandStore"]

_UNKNOWN: Final = ", and it is not known whether it has kept the secret"


class CommandStore:
    """A secret that a program of yours keeps: ``gh secret set``, ``kubectl``, ``op``, ``vault``.

    The program gets the secret on its standard input, without a line end, and never as an argument
    or in its environment. It runs without a shell and without a terminal, in your environment
    without ``AGENTITY_*`` and ``AGENTRY_*``. The secret counts as kept if the program has read it
    and exits with code 0. The program's standard output is not shown. If it fails, the last line of
    its standard error is shown, unless the standard error holds a piece of the secret.

    The store is write-only: the secret cannot be read, compared or removed.

    Args:
        command: the program and its arguments. Other users can see arguments: pass no secret in
            them.
        timeout: seconds after which the program and its child processes are killed.

    Raises:
        ConfigurationError: the program does not exist.
        InvalidArgumentError: *command* is empty or not a list of str.
    """

    readable = False

    def __init__(self, command: Sequence[str], *, timeout: float = 30.0) -> None:
        self._command = programs.checked(command)
        self._timeout = check_timeout(timeout)
        self.address = f"command:{shlex.join(self._command)}"

    async def probe(self) -> None:
        """Check that the program exists; it is not run, because its effects are not known.

        Raises:
            StoreError: the program no longer exists.
        """
        if shutil.which(self._command[0]) is None:
            raise self._error("the program no longer exists: install it")

    async def read(self) -> Stored:
        """Raise `StoreError`: the store is write-only."""
        self._refuse("its secret cannot be read")

    async def write(self, secret: Secret, *, expected: Expected = ANY) -> Version:
        """Run the program with *secret* on its standard input.

        Raises:
            StoreError: the program did not exit with code 0, did not read the secret, or took too
                long; or *expected* is not `ANY`, and the program was not run.
        """
        check_secret(secret)
        if expected is not ANY:
            self._refuse("its content is not known, so only ANY can be expected")
        await in_thread(
            lambda stop: self._run(secret, stop), timeout=self._timeout, store=self.describe()
        )
        return Version.of(secret)

    async def remove(self, *, expected: Expected = ANY) -> None:
        """Raise `StoreError`: the store is write-only."""
        del expected
        self._refuse("its secret cannot be removed")

    def describe(self) -> str:
        """Return the place of the secret: the program's name."""
        return f"the program {self._command[0]}"

    def __repr__(self) -> str:
        return f"CommandStore({list(self._command)!r})"

    def _run(self, secret: Secret, stop: threading.Event) -> None:
        try:
            ended = programs.run(self._command, stop, secret=secret)
        except OSError as error:
            reason = f"it cannot be run: {error.strerror or type(error).__name__}"
            ended = programs.Ended(0, Secret(""))
        else:
            reason = programs.failure(ended)
        if reason:
            reason += _UNKNOWN if ended.code else ""
            # If it was killed, or its exit code is lost, its effects are not known.
            kind = UncertainStoreError if isinstance(ended.code, programs.NoCode) else StoreError
            raise self._error(programs.with_what_was_said(reason, ended.said, secret), kind)

    def _refuse(self, reason: str) -> NoReturn:
        raise self._error(f"the store is write-only: {reason}")

    def _error(self, reason: str, kind: type[StoreError] = StoreError) -> StoreError:
        return kind(f"{self._command[0]}: {reason}", store=self.describe())
