"""What every service's keys have in common, for code that serves several services."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any, Generic, Protocol, Self, TypeVar, runtime_checkable

import attrs

from agentkeys.forks import Unpicklable
from agentkeys.paging import Pager
from agentkeys.retry import RetryPolicy
from agentkeys.secret import Secret
from agentkeys.transport.endpoint import Endpoint
from agentkeys.transport.session import Session

if TYPE_CHECKING:
    from agentkeys.transport.shelter import Shelter

__all__ = ["Key", "KeyCollection", "Keys", "NewKey", "Place", "Record", "Scope", "listed", "whose"]

IdT_contra = TypeVar("IdT_contra", contravariant=True)
KeyT_co = TypeVar("KeyT_co", bound="Key[Any]", covariant=True)
NewKeyT_co = TypeVar("NewKeyT_co", bound="NewKey[Any]", covariant=True)
IdT_co = TypeVar("IdT_co", covariant=True)
MadeT = TypeVar("MadeT", bound="NewKey[Any]")

T = TypeVar("T")


@attrs.frozen
class Scope:
    """Whose keys a collection holds: what tells it from every other one.

    Attributes:
        service: the service's name.
        base_url: where the service is.
        path: the collection's path below that, percent-encoded.
        account: whose credentials see it: an email, or what a token says, but never a secret.
        body: what the collection adds to each create, as JSON; empty if that is nothing.
        also: other names of the same account: it has one under a password, one in its tokens.
    """

    service: str
    base_url: str
    path: str
    account: str
    body: str = ""
    also: tuple[str, ...] = attrs.field(default=(), eq=False)

    def is_of(self, other: Scope) -> bool:
        """Whether both are the same place, and are known to be of the same account."""
        same_place = attrs.evolve(self, account="") == attrs.evolve(other, account="")
        return same_place and bool(self._names & other._names)

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


@attrs.frozen
class Place(Generic[MadeT]):
    """Where the keys of a collection are made: all that its creates have in common.

    Attributes:
        create: the call that makes a key.
        path: the ids in its path.
        body: what each create has in its body, beside what is a key's own, like its name.
    """

    create: Endpoint[MadeT]
    path: Mapping[str, str | int] = attrs.field(factory=dict)
    body: Mapping[str, object] = attrs.field(factory=dict)


class Record:
    """The base of a service's keys, which show as a table in a notebook."""

    __slots__ = ()

    def _repr_html_(self) -> str:
        from agentkeys import notebook

        return notebook.table([self], notebook.now())


class Keys(ABC, Unpicklable, Generic[MadeT]):
    """The base of a service's collections of keys: what they all say of themselves.

    A create goes through `_make`, which sends what the place adds. So `scope` tells the keys of two
    collections apart, whatever it is that their creates differ in.
    """

    _instead = "take the collection from its client again"

    def __init__(self, session: Session, place: Place[MadeT]) -> None:
        self._session = session
        self._place = place

    @property
    def scope(self) -> Scope:
        """Whose keys these are."""
        return self._session.scope(self._place)

    @abstractmethod
    async def delete(self, key_id: Any, /, *, timeout: float | None = None) -> None:
        """Delete a key for good."""

    async def _make(self, name: str, own: Mapping[str, object], timeout: float | None) -> MadeT:
        """Make a key, of which *own* is what its body has beside that of the place."""
        return await self._session.create(
            self._place, name=name, json=own, delete=self.delete, timeout=timeout
        )

    async def _log_in(self, timeout: float) -> None:
        """Get a token if there is none, so that `scope` has all names of the account."""
        await self._session.log_in(timeout)

    def _sheltered(self, shelter: Shelter) -> Self:
        """Return these keys, but that their `create` runs in *shelter*, not in one of its own."""
        keys = object.__new__(type(self))
        vars(keys).update(vars(self), _session=self._session.sheltered(shelter))
        return keys

    @property
    def timeout(self) -> float:
        """Seconds that a call may take if nothing else is said."""
        return self._session.timeout

    @property
    def retry(self) -> RetryPolicy:
        """When to try again."""
        return self._session.retry


async def whose(keys: KeyCollection[Any, Any, Any], scope: Scope, timeout: float) -> Scope:
    """Return the *scope* of *keys* with all names of its account, once a token is there."""
    if isinstance(keys, Keys):
        await keys._log_in(timeout)  # noqa: SLF001  # it is no part of the surface
    return scope.named_as(keys.scope)


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
