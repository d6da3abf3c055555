"""What the keys of all services have in common, for code that serves several services."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Protocol, TypeVar, runtime_checkable

import attrs

from agentkeys.errors import InvalidArgumentError
from agentkeys.paging import Pager
from agentkeys.records import Record
from agentkeys.retry import RetryPolicy
from agentkeys.secret import Secret

__all__ = ["Key", "KeyCollection", "NewKey", "Record", "Scope", "checked_collection", "listed"]

IdT_contra = TypeVar("IdT_contra", contravariant=True)
KeyT_co = TypeVar("KeyT_co", bound="Key[Any]", covariant=True)
NewKeyT_co = TypeVar("NewKeyT_co", bound="NewKey[Any]", covariant=True)
IdT_co = TypeVar("IdT_co", covariant=True)

T = TypeVar("T")


@attrs.frozen
class Scope:
    """The place that keys belong to: an account, an inbox, a pod or a tenant.

    It is named by what it is, not by a path of today's API.

    Attributes:
        service: the service's name.
        realm: the service's address, or another name that tells its installations apart.
        kind: what has the keys, e.g. "account" or "inbox".
        id: the id of the inbox, pod or tenant; empty if there is only one.
        surface: the surface of the service, if the service has several.
        account: the account whose credentials see it: an email, or a name from a token; never a
            secret.
        also: other names of the same account, e.g. the one in its tokens.
    """

    service: str
    realm: str
    kind: str = "account"
    id: str = ""
    surface: str = ""
    account: str = ""
    also: tuple[str, ...] = attrs.field(default=(), eq=False)

    def __str__(self) -> str:
        """Return the scope as a phrase: the service, what has the keys, and the address."""
        which = f" {self.id}" if self.id else ""
        surface = f" on the {self.surface} surface" if self.surface else ""
        return f"{self.service}'s {self.kind}{which}{surface} at {self.realm}"

    def is_at(self, other: Scope) -> bool:
        """Whether both are the same place, whatever the account."""
        return attrs.evolve(self, account="") == attrs.evolve(other, account="")

    def is_of(self, other: Scope) -> bool:
        """Whether both are the same place and are known to be of the same account."""
        return self.is_at(other) and bool(self._names & other._names)

    def named_as(self, other: Scope) -> Scope:
        """Return this scope with the account names of *other*, if it is the same account."""
        names = self._names | other._names
        if self.account and not self._names & other._names:
            return self
        account = self.account or other.account
        return attrs.evolve(self, account=account, also=tuple(sorted(names - {account})))

    @property
    def _names(self) -> frozenset[str]:
        return frozenset({self.account, *self.also} - {""})


def listed(new: Any, kind: type[T]) -> T:
    """Return a new key as a record of *kind*, the type of a listing, without its secret."""
    known = attrs.asdict(new, recurse=False)
    names = (field.name for field in attrs.fields(kind))  # type: ignore[arg-type]  # records are attrs classes
    return kind(**{name: known[name] for name in names if name in known})


class Key(Protocol[IdT_co]):
    """A key as a listing has it, without its secret."""

    @property
    def id(self) -> IdT_co:
        """The id that `delete` takes."""

    @property
    def name(self) -> str:
        """The name for people."""

    @property
    def created_at(self) -> datetime:
        """When the key was created; the time is aware."""


class NewKey(Key[IdT_co], Protocol[IdT_co]):
    """A new key. Only the answer to its creation holds the secret."""

    @property
    def secret(self) -> Secret:
        """The secret, which an agent sends as the bearer token."""

    def listed(self) -> Key[IdT_co]:
        """Return the key as a listing has it, without its secret."""


@runtime_checkable
class KeyCollection(Protocol[IdT_contra, KeyT_co, NewKeyT_co]):
    """The keys of an account, an inbox, a pod or a tenant."""

    @property
    def scope(self) -> Scope:
        """What has these keys."""

    @property
    def timeout(self) -> float:
        """Seconds for a whole call, unless the call says otherwise."""

    @property
    def retry(self) -> RetryPolicy:
        """When a call retries its request."""

    async def create(self, name: str, /, *, timeout: float | None = None) -> NewKeyT_co:
        """Create a key."""

    def list(self, *, timeout: float | None = None) -> Pager[KeyT_co]:
        """List the keys."""

    async def delete(self, key_id: IdT_contra, /, *, timeout: float | None = None) -> None:
        """Delete a key permanently."""


def checked_collection(keys: T, call: str, *, blocking: bool) -> T:
    """Check that *keys* belongs to the kind of client, async or blocking, that *call* needs.

    Without this check, a blocking create would make a key before the mistake showed.
    """
    if not isinstance(keys, KeyCollection):
        raise InvalidArgumentError(
            f"keys must be a collection of keys, like agentity.api_keys, not {type(keys).__name__}"
        )
    if getattr(keys, "is_blocking", False) == blocking:
        return keys
    raise InvalidArgumentError(
        f"these keys are of an async client: await agentkeys.{call}"
        if blocking
        else f"these keys are of a blocking client: call agentkeys.sync.{call}, without await"
    )
