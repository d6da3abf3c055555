"""The services on this machine that ``--local`` uses, and where their data lies."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from agentkeys.errors import ConfigurationError

if TYPE_CHECKING:
    from agentkeys.server import LocalService

__all__ = ["local_database", "local_service"]


def local_service() -> LocalService:
    """Return the service that keeps its data in the user's data directory, to be started."""
    from agentkeys.server import LocalService

    return LocalService(database=local_database(), recorded_requests=0)


def local_database() -> str:
    """Return the address of its database; the folder is made if it is missing, for its user only.

    Raises:
        ConfigurationError: the folder cannot be made.

    """
    folder = _home()
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
    else:
        return f"sqlite:///{folder / 'local.db'}"
    raise ConfigurationError(
        f"cannot make the folder {folder}: {reason}: set AGENTKEYS_HOME to one of your own"
    )


def _home() -> Path:
    home = os.environ.get("AGENTKEYS_HOME")
    if home:
        return Path(home).absolute()
    from platformdirs import user_data_path

    return user_data_path("agentkeys", appauthor=False)
