"""What is done about one declared key: a pure function of the facts about that key.

If something was not read, the step says so, and nothing is concluded from it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias

import attrs

from agentkeys.auditing.facts import Empty, Held, Unread
from agentkeys.auditing.findings import span
from agentkeys.fleet.manifest.declared import Declared
from agentkeys.keys import Key, Scope
from agentkeys.lifecycle.journal import Remembered
from agentkeys.lifecycle.machine import events
from agentkeys.lifecycle.machine.commands import End, Ending
from agentkeys.lifecycle.machine.moments import Moment, aged
from agentkeys.lifecycle.machine.naming import is_made_of
from agentkeys.lifecycle.machine.states import Entry, Kept, KeyId, Ousting, Retiring
from agentkeys.lifecycle.machine.table import advance
from agentkeys.masking import mask
from agentkeys.records import Record

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["TO_DO", "Do", "Holding", "Listed", "Step", "decide", "decide_undeclared"]

Do: TypeAlias = Literal[
    "issue", "rotate", "retire", "adopt", "finish", "prune", "wait", "nothing", "unclear"
]
"""What is done.

- "issue": a new key is made, and its secret put into the store.
- "rotate": the key is too old, and is replaced.
- "retire": the key was replaced, its grace is over, and it is deleted.
- "adopt": the store holds the secret of a key that the ledger does not know, and learns.
- "finish": an attempt was left, or is under way. It is swept, and then it is decided again.
- "prune": the key is declared no more, and is deleted. `decide` never says that.
- "wait": the key is as declared, and something about it is still to come.
- "nothing": the key is as declared.
- "unclear": a person must look. Nothing is done.
"""

TO_DO: Final[tuple[Do, ...]] = ("issue", "rotate", "retire", "adopt", "finish", "prune")
"""What `apply` changes something for."""


@attrs.frozen
class Step(Record):
    """What is done about one declared key.

    Attributes:
        do: what.
        declared: the key.
        why: a sentence, if it does not go without saying.
        key_id: the key that it is done to, if there is one.
        replace: whether the store holds a dead secret, which a new one replaces.
    """

    do: Do
    declared: Declared
    why: str = ""
    key_id: KeyId | None = None
    replace: bool = False


@attrs.frozen
class Listed:
    """What the service lists at a place.

    Attributes:
        keys: the keys; `Unread` if they could not be listed.
        scope: the place, with all names of the account that has listed.
    """

    keys: tuple[Key[Any], ...] | Unread
    scope: Scope


@attrs.frozen
class Holding:
    """What the store of a declared key holds.

    Attributes:
        found: the digest of its secret, or that there is none, or that it could not be read.
        fits: the ids of listed keys whose beginning, which the service shows, is the secret's.
        differs: the ids of listed keys whose beginning is another one.
    """

    found: Held | Empty | Unread
    fits: frozenset[KeyId] = frozenset()
    differs: frozenset[KeyId] = frozenset()


def decide(
    declared: Declared, ledger: Remembered, listed: Listed, store: Holding, now: Moment
) -> Step:
    """Return what is done about a declared key.

    Args:
        declared: the key.
        ledger: what the journal remembers of its place. It was read before the keys were listed.
        listed: what the service lists at its place.
        store: what its store holds.
        now: the time that ages are counted to.

    """
    if isinstance(listed.keys, Unread):
        return Step("unclear", declared, f"the keys could not be listed: {listed.keys.why}")
    return _Case(declared, ledger, listed.keys, listed.scope, store, now).step()


def decide_undeclared(declared: Declared, entry: Entry, listed: Listed, store: Holding) -> Step:
    """Return what is done about a key of the ledger that is declared no more.

    Args:
        declared: the key, as if it were declared.
        entry: its entry, whose secret is in the store by the ledger.
        listed: what the service lists at its place.
        store: what its store holds.

    """
    if isinstance(listed.keys, Unread):
        return Step("unclear", declared, f"the keys could not be listed: {listed.keys.why}")
    if not entry.plan.scope.is_of(listed.scope):
        return Step("unclear", declared, "it is declared no more, and others have issued it")
    match store.found:
        case Unread(why, by_nature=False):
            why = f"it is declared no more, and the store could not be read: {why}"
            return Step("unclear", declared, why)
        case Held(digest) if _digest(entry) not in {"", digest}:
            why = f"it is declared no more, and {_CHANGED}"
            return Step("unclear", declared, why)
    return Step("prune", declared, "it is declared no more", entry.key_id)


@attrs.frozen
class _Case:
    """All facts about one key."""

    declared: Declared
    ledger: Remembered
    keys: tuple[Key[Any], ...]
    scope: Scope
    store: Holding
    now: Moment

    def step(self) -> Step:
        """Return what is done; see `decide`."""
        here = [each for each in self._entries() if each.plan.store == self.declared.store]
        under_way = [each for each in here if not isinstance(each.state, Kept)]
        if under_way:
            return self._of_an_attempt(under_way)
        kept = self._kept(here)
        if kept is not None and kept.plan.name != self.declared.name:
            other = mask(kept.plan.name)
            return self._unclear(f"the store holds the secret of {other!r}, by the ledger")
        if kept is not None:
            return self._of_a_kept_key(kept)
        if self.ledger.unreadable:
            return self._unclear(f"the ledger may know the key: {self.ledger.unreadable[0]}")
        return self._of_an_unknown_key(is_known=bool(here))

    def _entries(self) -> Iterator[Entry]:
        for seen in self.ledger.entries:
            if self.scope.is_at(seen.entry.plan.scope):
                yield seen.entry

    def _is_own(self, entry: Entry) -> bool:
        """Whether these credentials see all keys that the entry's could."""
        return entry.plan.scope.is_of(self.scope)

    def _kept(self, entries: Iterable[Entry]) -> Entry | None:
        """Return the entry whose secret the store holds; the latest if that is not known."""
        kept = [each for each in entries if isinstance(each.state, Kept)]
        if isinstance(self.store.found, Held):
            held = [each for each in kept if _digest(each) in {"", self.store.found.digest}]
            return max(held, key=lambda each: (bool(_digest(each)), _since(each)), default=None)
        named = [each for each in kept if each.plan.name == self.declared.name]
        return max(named or kept, key=_since, default=None)

    def _key_of(self, entry: Entry) -> Key[Any] | None:
        """Return the listed key of an entry: an id alone may be another key's by now."""
        for key in self.keys:
            if key.name == entry.name and entry.key_id in {None, key.id}:
                return key
        return None

    # Attempts, and keys that were replaced.

    def _of_an_attempt(self, entries: list[Entry]) -> Step:
        others = [each for each in entries if each.plan.name != self.declared.name]
        if others:
            return self._unclear(
                f"another key is being put into the store: {mask(others[0].plan.name)!r}"
            )
        replacing = [each for each in entries if isinstance(each.state, Retiring | Ousting)]
        if len(entries) > 1 or not replacing:
            return Step("finish", self.declared, "an attempt was left, or is under way")
        return self._of_a_replaced_key(replacing[0], replacing[0].state)

    def _of_a_replaced_key(self, entry: Entry, state: Any) -> Step:
        """Return what the machine would do next, if it listed the keys now."""
        replaces = entry.plan.replaces
        assert replaces is not None  # noqa: S101  # or nothing retires
        objection = self._objection(entry)
        if objection is not None:
            return self._unclear(objection)
        if isinstance(state, Retiring) and not state.announced:
            return Step("wait", self.declared, _UNTOLD)
        seconds = None if isinstance(state, Ousting) else aged(state.since, self.now)
        if isinstance(state, Retiring) and (seconds is None or seconds < replaces.grace):
            left = "" if seconds is None else f", in {span(replaces.grace - seconds)}"
            return Step("wait", self.declared, f"the old key retires when its grace is over{left}")
        old = [key for key in self.keys if (key.id, key.name) == (replaces.key_id, replaces.name)]
        used = getattr(old[0], "used_at", None) if old else None
        watched = events.Watched(
            is_there=bool(old),
            is_replaced=self._key_of(entry) is not None,
            whole=self._is_own(entry),
            used=None if used is None else used.timestamp(),
            asked=self.now,
            force=isinstance(state, Ousting),
        )
        command = advance(entry, watched, self.now).command
        ending = command.ending if isinstance(command, End) else Ending.RETIRED
        if ending is Ending.RETIRED:
            return Step("retire", self.declared, key_id=replaces.key_id)
        if ending is Ending.RETIRING:
            return Step("wait", self.declared, "the old key was used in its grace")
        return self._unclear(_WHY[ending], replaces.key_id)

    def _objection(self, entry: Entry) -> str | None:
        """Return why it is not sure that the store holds the secret of an entry."""
        match self.store.found:
            case Held(digest) if _digest(entry) not in {"", digest}:
                return _CHANGED
            case Empty():
                return (
                    "the store holds no secret, and the ledger says that it does: if the store is"
                    " not mounted, or was moved, undo that; if not, delete the key"
                )
            case Unread(why, by_nature=False):
                return f"the store could not be read: {why}"
        return None

    # Keys of the ledger.

    def _of_a_kept_key(self, entry: Entry) -> Step:
        key = self._key_of(entry)
        if key is None:
            return self._of_a_gone_key(entry)
        objection = self._objection(entry) or self._mismatch(key)
        if objection is not None:
            return self._unclear(objection, key.id)
        age, limit = self.now.wall - key.created_at.timestamp(), self.declared.max_age
        if limit is not None and age > limit:
            why = f"it is {span(age)} old, and the limit is {span(limit)}"
            return Step("rotate", self.declared, why, key.id)
        return Step("nothing", self.declared, key_id=key.id)

    def _mismatch(self, key: Key[Any]) -> str | None:
        if key.id in self.store.differs:
            return f"the store holds the secret of another key than {key.id}"
        has, wanted = getattr(key, "permissions", None), self.declared.permissions
        if wanted is not None and has is not None and dict(has) != dict(wanted):
            return "its permissions differ from those that are declared, and no key can change them"
        return None

    def _of_a_gone_key(self, entry: Entry) -> Step:
        """Return what is done if a key of the ledger is not listed."""
        if not self._is_own(entry):
            return self._unclear("its key is not listed, and other credentials have issued it")
        if isinstance(self.store.found, Unread) and not self.store.found.by_nature:
            return self._unclear(f"its key is gone, and {self._objection(entry)}")
        strangers = self._strangers()
        if strangers:
            return self._unclear(f"its key is gone, and {_named(strangers)}")
        is_held = not isinstance(self.store.found, Empty)
        return Step("issue", self.declared, "its key was deleted", replace=is_held)

    # Keys that the ledger does not know.

    def _of_an_unknown_key(self, *, is_known: bool) -> Step:
        strangers = self._strangers()
        match self.store.found:
            case Held():
                return self._adopted(strangers, is_known=is_known)
            case Unread(why, by_nature=False):
                return self._unclear(f"the store could not be read: {why}")
        if strangers:
            return self._unclear(
                f"{_named(strangers)}: adopt it if you have its secret, or delete it"
            )
        return Step("issue", self.declared)

    def _adopted(self, strangers: list[Key[Any]], *, is_known: bool) -> Step:
        """Return what is done if the store holds a secret that the ledger does not know."""
        fitting = [key for key in strangers if key.id in self.store.fits]
        if len(fitting) == 1 and len(self.store.fits) == 1:
            return Step("adopt", self.declared, key_id=fitting[0].id)
        if is_known:
            return self._unclear(
                "the store holds another secret than the ledger says: find out who changed it, and"
                " adopt the key that it is of"
            )
        if not strangers:
            return self._unclear(
                "the store holds a secret, and no key of this name is listed: choose another store,"
                " or adopt the key that it is of"
            )
        return self._unclear(
            f"the store holds a secret, and it is not sure that it is of {_ids(strangers)}: adopt"
            " the key that it is of"
        )

    def _strangers(self) -> list[Key[Any]]:
        """Return the keys of that name which the ledger does not know."""
        known: set[tuple[KeyId | None, str]] = set()
        for entry in self._entries():
            known.add((entry.key_id, entry.name))
            if entry.plan.replaces is not None:
                known.add((entry.plan.replaces.key_id, entry.plan.replaces.name))
        base = self.declared.name
        return [
            key
            for key in self.keys
            if (key.name == base or is_made_of(key.name, base))
            and not {(key.id, key.name), (None, key.name)} & known
        ]

    def _unclear(self, why: str, key_id: KeyId | None = None) -> Step:
        return Step("unclear", self.declared, why, key_id)


def _digest(entry: Entry) -> str:
    return getattr(entry.state, "digest", "")


def _since(entry: Entry) -> float:
    return entry.state.since.wall if isinstance(entry.state, Kept) else 0.0


def _ids(keys: Iterable[Key[Any]]) -> str:
    return " or ".join(f"{key.id} ({mask(key.name)})" for key in keys)


def _named(strangers: Iterable[Key[Any]]) -> str:
    return f"a key of that name is listed that the ledger does not know, {_ids(strangers)}"


_CHANGED: Final = "the store holds another secret than the ledger says"
_UNTOLD: Final = (
    "those who use the old key have not been told: `agentkeys sweep --then ...` tells them"
)
_WHY: Final = {
    Ending.IN_USE: "the old key is still used: `agentkeys sweep --force` deletes it nevertheless",
    Ending.CHANGED: "the new key is gone: abort the rotation, so that the old key stays",
    Ending.FOREIGN: "the old key is not listed, and other credentials have replaced it",
}
