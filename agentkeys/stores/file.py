"""A store in a file that holds the secret only."""

from __future__ import annotations

import os
import re
from typing import Final

from agentkeys.errors import InvalidArgumentError
from agentkeys.secret import Secret
from agentkeys.stores.files import ALLOW_TRACKED, StoreInFile

__all__ = ["FileStore"]

_LINE_END: Final = re.compile(r"\r?\n\Z")
_MOST: Final = 1 << 20
"""The largest size of a file in bytes. A Secret of Kubernetes has the same limit."""


class FileStore(StoreInFile):
    """A secret that is the whole content of a file, as Docker, Kubernetes and systemd mount them.

    The file holds the secret in UTF-8 and nothing else. If the file ends in a line end, as editors
    and ``echo`` write it, this one line end is not part of the secret. So a secret that ends in a
    line end is rejected. An empty file counts as no secret. `remove` deletes the file.

    A symbolic link is followed. The file is replaced atomically and durably. If others could read
    it, only its owner can read the new file. Stores in other processes and threads wait for each
    other. For reading, the folder and the disk may be read-only.

    Args:
        path: the file. It need not exist, but its folder must. ``~`` is the home directory.
        allow_tracked: allow a file that git tracks; by default such a file is refused.

    Raises:
        InvalidArgumentError: *path* is invalid.
    """

    _most = _MOST

    def __init__(self, path: str | os.PathLike[str], *, allow_tracked: bool = False) -> None:
        super().__init__(path, allow_tracked=allow_tracked)
        # The text after the last ? is not part of the path.
        end = "?" if "?" in self._path else ""
        self.address = f"file:{self._path}{ALLOW_TRACKED if allow_tracked else end}"

    @classmethod
    def at(cls, place: str) -> FileStore:
        """Return the store of an address without its ``file:``.

        Raises:
            InvalidArgumentError: there is no path, or the text after the last ``?`` is not an
                option.
        """
        path, mark, option = place.rpartition("?")
        if not mark:
            return cls(place)
        if f"?{option}" in {"?", ALLOW_TRACKED}:
            return cls(path, allow_tracked=bool(option))
        raise InvalidArgumentError(
            f"the address of a file store is file:PATH or file:PATH{ALLOW_TRACKED}; if the path"
            " contains a ?, add another ? at its end"
        )

    def describe(self) -> str:
        """Return the place of the secret."""
        return self._path

    def __repr__(self) -> str:
        allowed = ", allow_tracked=True" if self._allow_tracked else ""
        return f"FileStore({self._path!r}{allowed})"

    def _secret_in(self, text: Secret) -> Secret | None:
        return Secret(_LINE_END.sub("", text.reveal())) or None

    def _text_with(self, _: Secret, secret: Secret) -> Secret:
        if _LINE_END.search(secret.reveal()):
            raise self._error(
                "cannot write",
                "the secret ends in a line end, which would be lost in a file: remove the line end",
            )
        if len(secret.reveal().encode()) > _MOST:
            raise self._error("cannot write", f"the secret is larger than {_MOST} bytes")
        return secret

    def _text_without(self, _: Secret) -> None:
        return None
