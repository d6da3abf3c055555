"""What can go wrong with a key and its secret, whatever the request was."""

from __future__ import annotations

from typing import Unpack

from agentkeys.errors.requests import AgentKeysError, RequestError, RequestFields

__all__ = [
    "JournalError",
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
    """A key may exist on the service whose secret nobody holds, and it could not be deleted.

    Attributes:
        name: the key's name on the service, by which it can be found.
        key_id: its id, or None if that is not known.
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
    """Whether a key of a given name was made is not known, and the name does not tell.

    Attributes:
        name: the key's name.
        candidates: the ids of the keys of that name that were not there before.
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
        store: which one: where the secret lies, or would.
    """

    def __init__(self, text: str, *, store: str = "") -> None:
        super().__init__(text)
        self.store = store


class StoreConflictError(StoreError):
    """A store holds something else than was expected, and it was left as it is."""


class UncertainStoreError(StoreError):
    """Whether a store holds a secret that was to be written is not known.

    If `issue` raises it, the key is kept, for its secret may be in use: look into the store.

    Attributes:
        name: the key's name on the service; empty if a store alone raises this.
        key_id: the key's id, or None if that is not known.
    """

    def __init__(
        self, text: str, *, store: str = "", name: str = "", key_id: str | int | None = None
    ) -> None:
        super().__init__(text, store=store)
        self.name = name
        self.key_id = key_id


class JournalError(AgentKeysError):
    """What is remembered of the keys cannot be read, so that it is not known what is there."""


class RotationError(AgentKeysError):
    """A key was not replaced, or the one that replaced it is not yet all that it should be.

    The text says which key works now, where its secret is, and what to do next.

    Attributes:
        name: what the caller calls the key.
        store: where the secret of the key that works lies.
        key_id: the id of the key that works, or None if that is not known.
    """

    def __init__(
        self, text: str, *, name: str = "", store: str = "", key_id: str | int | None = None
    ) -> None:
        super().__init__(text)
        self.name = name
        self.store = store
        self.key_id = key_id


class RotationInProgressError(RotationError):
    """The key is being replaced already: by somebody else now, or one before it still retires."""


class StillInUseError(RotationInProgressError):
    """A program still uses the key that was replaced last, though `max_grace` is over.

    The key is not deleted, and no further rotation begins. The text says when the key was last
    used. Let that program read the new secret, or delete the old key with ``sweep(force=True)``.
    """
