"""What every service's keys have in common, for code that serves several services."""

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
    """Whose keys a collection holds, by what that is: no path of today's API is part of it.

    Attributes:
        service: the service's name.
        realm: which one of them it is: the address of the service, or what stands for that.
        kind: what has the keys, e.g. "account" or "inbox".
        id: which one it is; empty if there is only one.
        surface: by which of its surfaces the service is asked, if it has several.
        account: whose credentials see it: an email, or what a token says, but never a secret.
        also: other names of the same account: it has one under a password, one in its tokens.
    """

    service: str
    realm: str
    kind: str = "account"
    id: str = ""
    surface: str = ""
    account: str = ""
    also: tuple[str, ...] = attrs.field(default=(), eq=False)

    def __str__(self) -> str:
        """Return it for a sentence: what has the keys, and where."""
        which = f" {self.id}" if self.id else ""
        surface = f" on the {self.surface} surface" if self.surface else ""
        return f"{self.service}'s {self.kind}{which}{surface} at {self.realm}"

    def is_at(self, other: Scope) -> bool:
        """Whether both are the same place, whoever sees it."""
        return attrs.evolve(self, account="") == attrs.evolve(other, account="")

    def is_of(self, other: Scope) -> bool:
        """Whether both are the same place, and are known to be of the same account."""
        return self.is_at(other) and bool(self._names & other._names)

    def named_as(self, other: Scope) -> Scope:
        """Return it with the names of the account that *other* has, if it is the same account."""
        names = self._names | other._names
        if self.account and not self._names & other._names:
            return self
        account = self.account or other.account
        return attrs.evolve(self, account=account, also=tuple(sorted(names - {account})))

    @property
    def _names(self) -> frozenset[str]:
        return frozenset({self.account, *self.also} - {""})


def listed(new: Any, kind: type[T]) -> T:
    """Return a new key as a record of *kind*, which lists it: without its secret."""
    known = attrs.asdict(new, recurse=False)
    names = (field.name for field in attrs.fields(kind))  # type: ignore[arg-type]  # records are attrs classes
    return kind(**{name: known[name] for name in names if name in known})


class Key(Protocol[IdT_co]):
    """A key as a service lists it: without its secret."""

    @property
    def id(self) -> IdT_co:
        """What the key is deleted by."""

    @property
    def name(self) -> str:
        """What a person calls it."""

    @property
    def created_at(self) -> datetime:
        """When it was made; the time is aware."""


class NewKey(Key[IdT_co], Protocol[IdT_co]):
    """A key as it is made: the only time that its secret is told."""

    @property
    def secret(self) -> Secret:
        """What the key's bearer presents."""

    def listed(self) -> Key[IdT_co]:
        """Return the key as it is listed: without its secret."""


@runtime_checkable
class KeyCollection(Protocol[IdT_contra, KeyT_co, NewKeyT_co]):
    """The keys of an account, an inbox, a pod or a tenant."""

    @property
    def scope(self) -> Scope:
        """Whose keys these are."""

    @property
    def timeout(self) -> float:
        """Seconds that a call may take if nothing else is said."""

    @property
    def retry(self) -> RetryPolicy:
        """When to try again."""

    async def create(self, name: str, /, *, timeout: float | None = None) -> NewKeyT_co:
        """Make a key."""

    def list(self, *, timeout: float | None = None) -> Pager[KeyT_co]:
        """List the keys."""

    async def delete(self, key_id: IdT_contra, /, *, timeout: float | None = None) -> None:
        """Delete a key for good."""


def checked_collection(keys: T, call: str, *, blocking: bool) -> T:
    """Check that keys are of the kind of client that *call*, `issue` or `sweep`, is for.

    Else a blocking create would make a key before it turned out that nobody can await it.
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
