"""The data that the rules compare: a listing, the journal, and the contents of the stores."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import Any, Final, Literal

import attrs

from agentkeys.auditing.policy import Policy
from agentkeys.keys import Key, Scope
from agentkeys.lifecycle.journal import Remembered, Seen
from agentkeys.lifecycle.machine.moments import Moment
from agentkeys.lifecycle.machine.states import Kept, KeyId, Ousting, Restoring, Retiring

__all__ = ["Empty", "Facts", "Held", "InGit", "Looked", "Unread"]


@attrs.frozen
class Held:
    """A store that holds a secret, as the SHA-256 of the secret."""

    digest: str


@attrs.frozen
class Empty:
    """A store that was read, and holds no secret."""


@attrs.frozen
class Unread:
    """A store that could not be read; nothing is known of its content.

    Attributes:
        why: the reason.
        by_nature: whether such a store is write-only.
    """

    why: str
    by_nature: bool = False


@attrs.frozen
class InGit:
    """The state of a store's file in git.

    Attributes:
        answer: whether git tracks it, would add it, or neither; or this is not known.
        why: why it is not known.
    """

    answer: Literal["tracked", "exposed", "neither", "unknown"]
    why: str = ""


@attrs.frozen
class Looked:
    """The result of reading a store.

    Attributes:
        found: its content.
        where: the store in words.
        in_git: the state of its file in git, if it is a file that holds a secret.
        may_be_tracked: whether its address allows git to track the file.
    """

    found: Held | Empty | Unread
    where: str
    in_git: InGit | None = None
    may_be_tracked: bool = False


_BEGUN: Final = Retiring | Ousting
"""The states in which the old key will be deleted, and the new key is in its store."""


@attrs.frozen(slots=False)
class Facts:
    """The data of an audit of one place.

    Attributes:
        scope: the place, with all names of the account that listed it.
        keys: the listed keys.
        earlier: the journal right before the listing, for the whole service.
        later: the journal right after the listing, for the whole service.
        looked: the contents of the stores, by their addresses.
        policy: the policy.
        now: the time that ages are relative to.
    """

    scope: Scope
    keys: tuple[Key[Any], ...]
    earlier: Remembered
    later: Remembered
    looked: Mapping[str, Looked]
    policy: Policy
    now: Moment

    @cached_property
    def place(self) -> str:
        """The place, in words."""
        return str(self.scope)

    @cached_property
    def here(self) -> tuple[Seen, ...]:
        """The entries of this place, of any account."""
        return tuple(e for e in self.later.entries if self.scope.is_at(e.entry.plan.scope))

    @cached_property
    def own(self) -> tuple[Seen, ...]:
        """The entries of this place that are known to belong to the account of the listing."""
        return tuple(each for each in self.here if each.entry.plan.scope.is_of(self.scope))

    def is_own(self, seen: Seen) -> bool:
        """Whether an entry is one of `own`."""
        return seen.id in self._ids_here and seen.entry.plan.scope.is_of(self.scope)

    @cached_property
    def stored_anywhere(self) -> tuple[Seen, ...]:
        """The entries whose secrets should be in their stores now."""
        between = {
            each.entry.plan.replaces.entry
            for each in self.later.entries
            if each.entry.plan.replaces is not None and not isinstance(each.entry.state, Kept)
        }
        return tuple(
            each
            for each in self.later.entries
            if isinstance(each.entry.state, Kept | _BEGUN) and each.id not in between
        )

    @cached_property
    def stored(self) -> tuple[Seen, ...]:
        """The entries of this place whose secrets should be in their stores now."""
        return tuple(each for each in self.stored_anywhere if each.id in self._ids_here)

    @cached_property
    def leaving(self) -> frozenset[KeyId]:
        """The ids of listed keys that are being replaced, or whose replacement is being aborted."""
        ids: set[KeyId] = set()
        for seen in self.own:
            state, replaces = seen.entry.state, seen.entry.plan.replaces
            if isinstance(state, _BEGUN) and replaces is not None:
                ids.add(replaces.key_id)
            elif isinstance(state, Restoring) and state.key_id is not None:
                ids.add(state.key_id)
        return frozenset(ids)

    @cached_property
    def staying(self) -> tuple[Key[Any], ...]:
        """The listed keys that will not be deleted, and that no unfinished entry decides on."""
        under_way = {
            each.entry.name for each in self.own if not isinstance(each.entry.state, Kept | _BEGUN)
        }
        return tuple(
            key for key in self.keys if key.id not in self.leaving and key.name not in under_way
        )

    @cached_property
    def _ids_here(self) -> frozenset[str]:
        return frozenset(each.id for each in self.here)

    @cached_property
    def _by_id(self) -> Mapping[KeyId, Key[Any]]:
        return {key.id: key for key in self.keys}

    @cached_property
    def _by_name(self) -> Mapping[str, Key[Any]]:
        return {key.name: key for key in self.keys}

    @cached_property
    def _entries(self) -> Mapping[KeyId, Seen]:
        of_keys = ((self.key_of(each), each) for each in self.stored_anywhere)
        return {key.id: each for key, each in of_keys if key is not None}

    def key_of(self, seen: Seen) -> Key[Any] | None:
        """Return the listed key of an entry."""
        key_id, name = seen.entry.key_id, seen.entry.name
        key = self._by_name.get(name) if key_id is None else self._by_id.get(key_id)
        # A tenant lists the keys of its inboxes too; for another account, an id alone proves
        # nothing.
        is_sure = key is not None and (seen.id in self._ids_here or key.name == name)
        return key if is_sure else None

    def listed(self, key_id: KeyId) -> Key[Any] | None:
        """Return the listed key with this id."""
        return self._by_id.get(key_id)

    def entry_of(self, key: Key[Any]) -> Seen | None:
        """Return the entry with the store of a listed key."""
        return self._entries.get(key.id)

    @cached_property
    def stores(self) -> tuple[str, ...]:
        """The addresses of the stores to read: those of this place and of its keys."""
        entries = (*self.stored, *self._entries.values())
        return tuple(dict.fromkeys(each.entry.plan.store for each in entries))

    def store_of(self, key: Key[Any]) -> str:
        """Return the address of the store that holds the secret of a key; empty if not known.

        A store that could not be read is assumed to hold what was written to it.
        """
        seen = self.entry_of(key)
        if seen is None:
            return ""
        looked = self.looked.get(seen.entry.plan.store)
        digest = getattr(seen.entry.state, "digest", "")
        match looked:
            case Looked(found=Held(held)) if digest != held:
                return ""
            case Looked(found=Empty()):
                return ""
        return seen.entry.plan.store

    def age(self, key: Key[Any]) -> float:
        """Return the seconds since a key was created."""
        return self.now.wall - key.created_at.timestamp()

    def known_names(self) -> Iterator[str]:
        """Yield the names of the keys in the journal, before or after the listing."""
        for each in (*self.earlier.entries, *self.later.entries):
            yield each.entry.name
            if each.entry.plan.replaces is not None:
                yield each.entry.plan.replaces.name
