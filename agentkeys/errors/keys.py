"""Errors that concern a key and its secret."""

from __future__ import annotations

from typing import Unpack

from agentkeys.errors.requests import (
    AgentKeysError,
    ConfigurationError,
    RequestError,
    RequestFields,
)

__all__ = [
    "JournalError",
    "ManifestError",
    "OrphanKeyError",
    "RotationError",
    "RotationInProgressError",
    "StillInUseError",
    "StoreConflictError",
    "StoreError",
    "UncertainCreateError",
    "UncertainStoreError",
]


class OrphanKeyError(RequestError):
    """A key may exist on the service without a stored secret, and could not be deleted.

    Attributes:
        name: the key's name on the service; search for the key by this name.
        key_id: the key's id, or None if it is not known.
    """

    def __init__(
        self,
        text: str,
        *,
        name: str = "",
        key_id: str | int | None = None,
        **request: Unpack[RequestFields],
    ) -> None:
        super().__init__(text, **request)
        self.name = name
        self.key_id = key_id


class UncertainCreateError(RequestError):
    """It is unknown whether the service created the key, and the key's name cannot decide it.

    Attributes:
        name: the key's name.
        candidates: the ids of the keys of that name that did not exist before the call.
    """

    def __init__(
        self,
        text: str,
        *,
        name: str = "",
        candidates: tuple[str | int, ...] = (),
        **request: Unpack[RequestFields],
    ) -> None:
        super().__init__(text, **request)
        self.name = name
        self.candidates = candidates


class StoreError(AgentKeysError):
    """A store of secrets cannot be used.

    Attributes:
        store: the address of the store that holds the secret, or should hold it.
    """

    def __init__(self, text: str, *, store: str = "") -> None:
        super().__init__(text)
        self.store = store


class StoreConflictError(StoreError):
    """A store holds another value than expected; the store was not changed."""


class UncertainStoreError(StoreError):
    """It is unknown whether a store holds the secret that was to be written.

    If `issue` raises this error, the key stays valid, because its secret may be in use: read the
    store.

    Attributes:
        name: the key's name on the service; empty if a store alone raises this.
        key_id: the key's id, or None if it is not known.
    """

    def __init__(
        self, text: str, *, store: str = "", name: str = "", key_id: str | int | None = None
    ) -> None:
        super().__init__(text, store=store)
        self.name = name
        self.key_id = key_id


class JournalError(AgentKeysError):
    """The journal cannot be read or written, so the state of the keys is not known."""


class ManifestError(ConfigurationError):
    """A file that declares keys has mistakes. Nothing was sent.

    Attributes:
        file: the file with the first mistake.
        line: the line of the first mistake; 0 if it is not known.
        mistakes: all mistakes, one sentence each: file, line, what is wrong, what is expected.
    """

    def __init__(
        self, text: str, *, file: str = "", line: int = 0, mistakes: tuple[str, ...] = ()
    ) -> None:
        super().__init__(text)
        self.file = file
        self.line = line
        self.mistakes = mistakes


class RotationError(AgentKeysError):
    """A key was not replaced, or its successor is not yet verified, stored or announced.

    The text says which key works now, where its secret is, and what to do next.

    Attributes:
        name: the name that the caller gave to `rotate`.
        store: the address of the store that holds the secret of the working key.
        key_id: the id of the working key, or None if it is not known.
    """

    def __init__(
        self, text: str, *, name: str = "", store: str = "", key_id: str | int | None = None
    ) -> None:
        super().__init__(text)
        self.name = name
        self.store = store
        self.key_id = key_id


class RotationInProgressError(RotationError):
    """The key is being replaced by another process, or its last replacement is unfinished."""


class StillInUseError(RotationInProgressError):
    """A program still uses the key that was replaced last, though `max_grace` is over.

    The key is not deleted, and no further rotation begins. The text says when the key was last
    used. Let that program read the new secret, or delete the old key with ``sweep(force=True)``.
    """
