"""The folders of this user for agentkeys' own files."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Final

from agentkeys.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["cache_folder", "config_folder", "data_folder", "expanded", "state_folder"]

_HOME: Final = "AGENTKEYS_HOME"


def state_folder() -> Path:
    """Return AGENTKEYS_HOME, or the user's state directory.

    Raises:
        ConfigurationError: there is no such folder. The text says what to set.
        ModuleNotFoundError: AGENTKEYS_HOME is not set, and platformdirs is not installed.
    """
    return _given() or _of_the_system("user_state_path")


def data_folder() -> Path:
    """Return AGENTKEYS_HOME, or the user's data directory; raises the errors of `state_folder`."""
    return _given() or _of_the_system("user_data_path")


def config_folder() -> Path:
    """Return AGENTKEYS_HOME, or the configuration directory of this user; as `state_folder`."""
    return _given() or _of_the_system("user_config_path")


def cache_folder() -> Path:
    """Return AGENTKEYS_HOME, or the cache directory of this user. The errors are the same."""
    return _given() or _of_the_system("user_cache_path")


def expanded(path: str, *, of: str = "the path") -> str:
    """Return *path* with the home directory instead of a leading ``~``.

    Args:
        path: the path.
        of: what the path is, for the error.

    Raises:
        ConfigurationError: the home directory is not known.
    """
    full = os.path.expanduser(path)  # noqa: PTH111  # a Path would raise RuntimeError
    is_mine = path == "~" or path.startswith(("~/", f"~{os.sep}"))
    if not is_mine or (os.path.isabs(full) and not _is_homeless()):  # noqa: PTH117
        return full
    raise ConfigurationError(
        f"{of} {path!r} needs your home directory, which is not known: set HOME, or give the full"
        " path of a folder of your own"
    )


def _given() -> Path | None:
    given = os.environ.get(_HOME)
    if not given:
        return None
    path = Path(expanded(given, of=_HOME))
    if path.is_absolute():
        return path
    # A relative path would be another folder in another working directory, without this one's
    # entries.
    raise ConfigurationError(
        f"{_HOME} {given!r} is relative: set it to the full path of a folder of your own"
    )


def _of_the_system(name: str) -> Path:
    import platformdirs

    find: Callable[..., Path] = getattr(platformdirs, name)
    try:
        path = find("agentkeys", appauthor=False)
    except (RuntimeError, KeyError):  # newer versions raise where older ones return `~/...`
        path = None
    # From an empty or relative HOME, some versions build a path, and others ignore it.
    if path is not None and path.is_absolute() and not _is_homeless():
        return path
    raise ConfigurationError(
        f"your home directory is not known: set HOME, or set {_HOME} to the full path of a folder"
        " of your own"
    )


def _is_homeless() -> bool:
    return os.name == "posix" and not os.path.isabs(os.environ.get("HOME", "/"))  # noqa: PTH117
