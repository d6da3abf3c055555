"""Connections to PostgreSQL: how they are made, and what their errors mean.

The journal, the rate limits and the queue of the workers use it, with the extra ``postgres``.
"""

from __future__ import annotations

import contextlib
import os
import re
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final, TypeVar

import psycopg
from psycopg.conninfo import conninfo_to_dict

from agentkeys.errors import AgentKeysError, ConfigurationError, JournalError
from agentkeys.plain import shown
from agentkeys.secret import Secret

if TYPE_CHECKING:
    from collections.abc import Generator

__all__ = ["LONGEST", "BoundedConnection", "parts", "place", "settings", "told"]

T = TypeVar("T")

LONGEST: Final = 10.0
"""Seconds for an answer of the database, and for a connection to it."""

_SETTINGS: Final = {
    "application_name": "agentkeys",
    "connect_timeout": round(LONGEST),
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": round(LONGEST * 1000),
}
_PASSING: Final = re.compile("08|40001|40P01|25006|53|57P|23505|42P06")
"""Codes of what may pass: lost connections, conflicts, a standby, no resources, a shutdown, and
another process that creates the schema at the same time."""

_REFUSALS: Final = (
    (r"authentication failed|no password supplied", "it refused the user or the password"),
    (r"pg_hba\.conf", "its pg_hba.conf does not permit this connection"),
    (r"invalid (port|integer|sslmode|value)", "a value in its address is not permitted"),
    (r"(database|role) .* does not exist", "there is no such database or user"),
)
"""What the server says of who may not connect, in the language that it speaks if not told else."""


class BoundedConnection(psycopg.Connection[Any]):
    """A connection that is given up if no answer comes: psycopg would wait for ever."""

    def wait(self, gen: Any, *args: Any, **kwargs: Any) -> Any:
        """Wait for an answer."""
        try:
            return super().wait(_limited(gen, LONGEST), *args, **kwargs)
        except TimeoutError:
            pass
        self.close()
        raise psycopg.OperationalError("no answer came in time")


def _limited(waiting: Generator[Any, Any, T], seconds: float) -> Generator[Any, Any, T]:
    """Go on with what waits for a socket, for so many seconds."""
    until = time.monotonic() + seconds
    try:
        wanted = next(waiting)
        while True:
            ready = yield wanted
            if not ready and time.monotonic() > until:
                raise TimeoutError
            wanted = waiting.send(ready)
    except StopIteration as end:
        value: T = end.value
        return value


def parts(address: Secret, what: str) -> Mapping[str, Any]:
    """Return what an address says, without its password.

    Args:
        address: as libpq understands it.
        what: what has this address, for a sentence.

    Raises:
        ConfigurationError: libpq does not understand it.

    """
    with contextlib.suppress(psycopg.Error):
        if said := conninfo_to_dict(address.reveal()):
            return {**said, "password": None}
    raise ConfigurationError(
        f"the address of {what} is not one that PostgreSQL understands: it is like"
        " postgresql://user@host:5432/database, with special characters as %40"
    )


def place(said: Mapping[str, Any]) -> str:
    """Return where the database of an address is, without what may be a secret."""
    host = said.get("host") or said.get("hostaddr") or os.environ.get("PGHOST", "")
    port = said.get("port") or os.environ.get("PGPORT", "")
    name = said.get("dbname") or os.environ.get("PGDATABASE", "")
    return shown(f"postgresql://{host}{':' if port else ''}{port}/{name}")


def settings(said: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings of a connection that its address does not say."""
    ours = {name: value for name, value in _SETTINGS.items() if name not in said}
    # A pooler between us and the database may give each transaction another connection.
    return {**ours, "prepare_threshold": None}


def told(error: BaseException) -> tuple[type[AgentKeysError], str]:
    """Return what an error of psycopg means: `JournalError` may pass.

    What it says may hold anything, and is not shown.
    """
    code = getattr(error, "sqlstate", None)
    if code is None and isinstance(error, psycopg.OperationalError | OSError):
        for words, reason in _REFUSALS:
            if re.search(words, str(error)):
                return ConfigurationError, f"{reason}: check the address, and what may connect"
        return JournalError, "it cannot be reached, or did not answer in time"
    if code is not None and _PASSING.match(code):
        return JournalError, f"it does not answer as it should now ({code})"
    if code is not None and code in {"42501", "3F000", "42P01"}:
        return ConfigurationError, (
            f"the user may not do what is needed there ({code}): grant it the rights that the page"
            " Journal of the documentation names"
        )
    return ConfigurationError, f"{type(error).__name__}{f' ({code})' if code else ''}"
