"""A store that is a program: it reads the secret on its standard input."""

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

_UNKNOWN: Final = ", and whether it has kept the secret is not known"


class CommandStore:
    """A secret that a program of yours keeps: ``gh secret set``, ``kubectl``, ``op``, ``vault``.

    The program gets the secret on its standard input, without a line end, and never as an argument
    or in its environment. It runs without a shell and without a terminal, and with your environment
    but for ``AGENTITY_*`` and ``AGENTRY_*``. It has kept the secret if it has read it and ends with
    0. What it prints is not shown. If it fails, its last line on the
    standard error is, unless there is a piece of the secret in what it said.

    The store is write-only: what the program keeps cannot be read, compared or removed.

    Args:
        command: the program and its arguments. Put no secret into them: others can see them.
        timeout: seconds after which the program is killed, with all that it has started.

    Raises:
        ConfigurationError: there is no such program.
        InvalidArgumentError: *command* is no list of str, or empty.

    """

    readable = False

    def __init__(self, command: Sequence[str], *, timeout: float = 30.0) -> None:
        self._command = programs.checked(command)
        self._timeout = check_timeout(timeout)
        self.address = f"command:{shlex.join(self._command)}"

    async def probe(self) -> None:
        """Look whether the program is there: nobody knows what else it would do.

        Raises:
            StoreError: it is not there any more.

        """
        if shutil.which(self._command[0]) is None:
            raise self._error("it is not there any more")

    async def read(self) -> Stored:
        """Raise `StoreError`: the store is write-only."""
        self._refuse("what it keeps cannot be read")

    async def write(self, secret: Secret, *, expected: Expected = ANY) -> Version:
        """Run the program with *secret* on its standard input.

        Raises:
            StoreError: the program did not end with 0, or did not read the secret, or not in time;
                or something else than `ANY` was expected, and it was not run.

        """
        check_secret(secret)
        if expected is not ANY:
            self._refuse("what it holds is not known, so nothing but ANY can be expected")
        await in_thread(
            lambda stop: self._run(secret, stop), timeout=self._timeout, store=self.describe()
        )
        return Version.of(secret)

    async def remove(self, *, expected: Expected = ANY) -> None:
        """Raise `StoreError`: the store is write-only."""
        del expected
        self._refuse("what it keeps cannot be removed")

    def describe(self) -> str:
        """Return where the secret lies: no more than the program's name is known."""
        return f"the keeping of {self._command[0]}"

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
            # Of one that was killed, or whose status is lost, nobody knows what it has done.
            kind = UncertainStoreError if isinstance(ended.code, programs.NoCode) else StoreError
            raise self._error(programs.with_what_was_said(reason, ended.said, secret), kind)

    def _refuse(self, reason: str) -> NoReturn:
        raise self._error(f"the store is write-only: {reason}")

    def _error(self, reason: str, kind: type[StoreError] = StoreError) -> StoreError:
        return kind(f"{self._command[0]}: {reason}", store=self.describe())
