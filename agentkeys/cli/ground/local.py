"""The services on this machine for ``--local``, and the place of their data."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agentkeys import filesystem, home
from agentkeys.errors import ConfigurationError

if TYPE_CHECKING:
    from agentkeys.server import LocalService

__all__ = ["local_database", "local_service"]


def local_service() -> LocalService:
    """Return a service, not yet started, with its data in the user's data directory."""
    from agentkeys.server import LocalService

    return LocalService(database=local_database(), recorded_requests=0)


def local_database() -> str:
    """Return the address of its database; create its folder for this user only if necessary.

    Raises:
        ConfigurationError: the folder cannot be created, or is not this user's alone.
    """
    folder = home.data_folder()
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        reason = filesystem.folder_objection(folder, may_be_link=True)
    except OSError as error:
        reason = error.strerror or type(error).__name__
    if reason is None:
        return f"sqlite:///{folder / 'local.db'}"
    raise ConfigurationError(
        f"cannot use the folder {folder}: {reason}: set AGENTKEYS_HOME to a folder of your own, or"
        " to a new folder"
    )
