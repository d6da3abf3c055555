"""A store in one entry of a dotenv file. It needs the extra ``issue``."""

from __future__ import annotations

import os
import re
from typing import Final

from agentkeys import plain
from agentkeys.errors import ConfigurationError, InvalidArgumentError
from agentkeys.secret import Secret
from agentkeys.stores.files import ALLOW_TRACKED, StoreInFile

try:
    from agentkeys.stores.dotenv import editing
except ModuleNotFoundError as missing:
    if missing.name != "dotenv":
        raise
    raise ConfigurationError(
        "the dotenv store needs python-dotenv: pip install 'agentkeys-sdk[issue]'"
    ) from None

__all__ = ["DotenvStore"]

_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)


class DotenvStore(StoreInFile):
    """A secret in one entry of a dotenv file, for programs that use python-dotenv.

    All other entries, comments, the order, quotes and line ends stay as they are. A symbolic link
    is followed. The file is replaced atomically and durably. If others could read it, only its
    owner can read the new file. Stores in other processes and threads wait for each other.

    An entry without a value counts as no secret, so ``NAME=`` can be in the file from the start.
    ``${...}`` in a value is not expanded. If the file has the entry twice, or python-dotenv would
    not return the secret unchanged, the store raises `StoreError`.

    Args:
        path: the file. It need not exist, but its folder must. ``~`` is the home directory.
        name: the entry: the name of an environment variable.
        allow_tracked: allow a file that git tracks; by default such a file is refused.

    Raises:
        ConfigurationError: the extra ``issue`` is not installed.
        InvalidArgumentError: *path* or *name* is invalid.
    """

    def __init__(
        self, path: str | os.PathLike[str], name: str, *, allow_tracked: bool = False
    ) -> None:
        super().__init__(path, allow_tracked=allow_tracked)
        self._name = _checked_name(name)
        self.address = f"dotenv:{self._path}#{self._name}{ALLOW_TRACKED if allow_tracked else ''}"

    def describe(self) -> str:
        """Return the place of the secret."""
        return f"{self._name} in {self._path}"

    def __repr__(self) -> str:
        allowed = ", allow_tracked=True" if self._allow_tracked else ""
        return f"DotenvStore({self._path!r}, {self._name!r}{allowed})"

    def _secret_in(self, text: Secret) -> Secret | None:
        values = editing.values(text, self._name)
        if len(values) > 1:
            raise self._error("cannot use", "the file has this name more than once: keep one")
        return values[0] if values else None

    def _text_with(self, text: Secret, secret: Secret) -> Secret:
        edited = editing.with_entry(text, self._name, secret)
        if edited is not None:
            return edited
        raise self._error(
            "cannot write",
            "python-dotenv would not return the secret unchanged (a quote that is not"
            " closed, or a secret with '${' or a NUL): the file was not changed",
        )

    def _text_without(self, text: Secret) -> Secret:
        return editing.without_entry(text, self._name)


def _checked_name(name: object) -> str:
    if isinstance(name, str) and _NAME.fullmatch(plain.text(name)):
        return plain.text(name)
    raise InvalidArgumentError(
        "the name of a dotenv entry must be that of an environment variable:"
        " letters, digits and _, not starting with a digit"
    )
