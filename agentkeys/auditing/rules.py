"""The rules of the audit: pure functions of the facts. Add a function to add a rule.

A store or entry that was not read is reported as such, and proves nothing.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from agentkeys.auditing.facts import Empty, Facts, Held, Unread
from agentkeys.auditing.findings import Finding, Rule, Severity, span
from agentkeys.lifecycle.machine.moments import aged
from agentkeys.lifecycle.machine.naming import base_name
from agentkeys.lifecycle.machine.states import (
    Asking,
    Denied,
    Dropping,
    Kept,
    Ousting,
    Restoring,
    Retiring,
    Writing,
)

if TYPE_CHECKING:
    from agentkeys.auditing.facts import Looked
    from agentkeys.keys import Key
    from agentkeys.lifecycle.journal import Seen
    from agentkeys.lifecycle.machine.states import Replaced

__all__ = ["RULES", "found"]

_Find: TypeAlias = Callable[[Facts], Iterator[Finding]]
RULES: Final[list[Rule]] = []
"""All rules, in the order of their ids."""


def found(facts: Facts) -> tuple[Finding, ...]:
    """Return the findings of all rules that the policy does not ignore."""
    wanted = (rule for rule in RULES if rule.id not in facts.policy.ignore)
    return tuple(finding for rule in wanted for finding in rule.find(facts))


def _rule(rule_id: str, name: str, severity: Severity) -> Callable[[_Find], Rule]:
    """Make a rule from a function; the function's docstring says what it finds."""

    def made(find: _Find) -> Rule:
        rule = Rule(rule_id, name, severity, str(find.__doc__), find)
        RULES.append(rule)
        return rule

    return made


def _of_key(facts: Facts, key: Key[Any]) -> dict[str, Any]:
    known = {"key_id": key.id, "name": key.name, "place": facts.place}
    return known | {"store": facts.store_of(key)}


def _of_entry(facts: Facts, seen: Seen) -> dict[str, Any]:
    entry = seen.entry
    known = {"key_id": entry.key_id, "name": entry.name, "place": facts.place}
    return known | {"store": entry.plan.store}


_ROTATE: Final = "rotate it, or delete it if nothing uses it"


def _limited(facts: Facts, limit: float | None) -> Iterator[tuple[Key[Any], float, float]]:
    """Yield the keys that are not retiring, with their ages and *limit*; none without a limit."""
    for key in facts.staying if limit is not None else ():
        yield key, facts.age(key), limit or 0.0


@_rule("AK001", "key-too-old", "error")
def _too_old(facts: Facts) -> Iterator[Finding]:
    """A key is older than `max_age`."""
    for key, age, limit in _limited(facts, facts.policy.max_age):
        if age > limit:
            sentence = f"the key {key.name!r} is {span(age)} old; the limit is {span(limit)}"
            yield _too_old.found(sentence, _ROTATE, **_of_key(facts, key))


@_rule("AK002", "key-nearly-too-old", "note")
def _nearly_too_old(facts: Facts) -> Iterator[Finding]:
    """A key has reached the share `warn_at` of `max_age`, 80 % by default."""
    for key, age, limit in _limited(facts, facts.policy.max_age):
        if limit * facts.policy.warn_at <= age <= limit:
            sentence = (
                f"the key {key.name!r} is {span(age)} old, and reaches the limit in"
                f" {span(limit - age)}"
            )
            yield _nearly_too_old.found(sentence, "rotate it before that", **_of_key(facts, key))


def _used(facts: Facts) -> Iterator[tuple[Key[Any], float, float | None]]:
    """Yield the keys that have existed for long enough to be unused, with their ages.

    The third item is the number of seconds since the last use; None if there was none.
    """
    for key, age, limit in _limited(facts, facts.policy.unused_for):
        # A service whose keys have no such field does not report uses.
        if age > limit and hasattr(key, "used_at"):
            quiet = None if key.used_at is None else facts.now.wall - key.used_at.timestamp()
            if quiet is None or quiet > limit:
                yield key, age, quiet


_UNUSED: Final = "find out what uses it, and delete it if nothing does"


@_rule("AK003", "key-unused", "warning")
def _unused(facts: Facts) -> Iterator[Finding]:
    """A key was not used for longer than `unused_for`, on a service that reports uses."""
    for key, _, quiet in _used(facts):
        if quiet is not None:
            sentence = f"the key {key.name!r} was not used for {span(quiet)}"
            yield _unused.found(sentence, _UNUSED, **_of_key(facts, key))


@_rule("AK004", "key-never-used", "warning")
def _never_used(facts: Facts) -> Iterator[Finding]:
    """A key is older than `unused_for` and was never used, on a service that reports uses."""
    for key, age, quiet in _used(facts):
        if quiet is None:
            sentence = f"the key {key.name!r} is {span(age)} old and was never used"
            yield _never_used.found(sentence, _UNUSED, **_of_key(facts, key))


@_rule("AK005", "several-keys-of-one-name", "warning")
def _several(facts: Facts) -> Iterator[Finding]:
    """Several live keys have the same base name, other than keys that are being replaced."""
    named: defaultdict[tuple[object, ...], list[Key[Any]]] = defaultdict(list)
    for key in facts.staying:
        limits = (getattr(key, "inbox_id", None), getattr(key, "pod_id", None))
        named[base_name(key.name), *limits].append(key)
    for (base, *_), keys in named.items():
        if len(keys) > 1:
            keys.sort(key=lambda key: key.created_at)
            ids = ", ".join(f"{key.id}{_whether_kept(facts, key)}" for key in keys)
            yield _several.found(
                f"{len(keys)} live keys are called {base!r}: {ids}",
                "find out which key is in use, and delete the others",
                **_of_key(facts, keys[0]),
            )


def _whether_kept(facts: Facts, key: Key[Any]) -> str:
    store = facts.store_of(key)
    return f" (its secret is in {facts.looked[store].where})" if store in facts.looked else ""


@_rule("AK006", "key-of-an-unknown-attempt", "warning")
def _unknown(facts: Facts) -> Iterator[Finding]:
    """A key has a nonce in its name, but no entry in the journal."""
    if facts.earlier.unreadable or facts.later.unreadable:
        return  # an unreadable entry may be its own
    known = {*facts.known_names()}
    for key in facts.keys:
        is_known = key.name in known or facts.entry_of(key) is not None
        if key.name != base_name(key.name) and not is_known:
            yield _unknown.found(
                f"the key {key.name!r} has the nonce of `issue`, but this journal has no entry"
                " of it",
                "if another machine or user issued it, audit there; if not, adopt it, or delete it"
                " if nothing uses it",
                **_of_key(facts, key),
            )


@_rule("AK007", "kept-key-gone", "error")
def _gone(facts: Facts) -> Iterator[Finding]:
    """A key in the ledger is no longer listed."""
    before = {each.id for each in facts.earlier.entries}
    stored = {each.id for each in facts.stored}
    for seen in facts.own:
        state = seen.entry.state
        # The listing may miss a key that was created meanwhile.
        if seen.id not in before or facts.key_of(seen) is not None:
            continue
        if isinstance(state, Retiring | Ousting):
            advice = "abort the rotation, so that the old key stays"
        elif isinstance(state, Kept) and seen.id in stored:
            advice = "issue a new key into that store, and overwrite the old secret"
        else:
            continue
        yield _gone.found(
            f"the key {seen.entry.name!r} does not exist, but {_where(facts, seen)} got its secret",
            advice,
            **_of_entry(facts, seen),
        )


def _where(facts: Facts, seen: Seen) -> str:
    looked = facts.looked.get(seen.entry.plan.store)
    return seen.entry.plan.store if looked is None else looked.where


def _digest(seen: Seen) -> str:
    return getattr(seen.entry.state, "digest", "")


def _stored(facts: Facts) -> Iterator[tuple[Seen, Looked]]:
    """Yield the entries whose secrets should be stored, with the contents of their stores."""
    for seen in facts.stored:
        looked = facts.looked.get(seen.entry.plan.store)
        if looked is not None:
            yield seen, looked


@_rule("AK008", "store-holds-another-secret", "error")
def _differs(facts: Facts) -> Iterator[Finding]:
    """A store holds another secret than the ledger says."""
    for seen, looked in _stored(facts):
        if not isinstance(looked.found, Held) or _digest(seen) == looked.found.digest:
            continue
        name, more = seen.entry.name, _of_entry(facts, seen)
        other = _holder_of(facts, looked.found.digest)
        if other is not None:
            yield _differs.found(
                f"{looked.where} holds the secret of {other.entry.name!r}, so no known store"
                f" holds that of {name!r}",
                f"delete {name!r} if nothing uses it",
                **more | {"severity": "warning"},
            )
        else:
            yield _differs.found(
                f"{looked.where} holds another secret than {name!r}'s, which was stored there",
                "find out who changed it, and adopt the key of that secret",
                **more,
            )


def _holder_of(facts: Facts, digest: str) -> Seen | None:
    entries = facts.later.entries
    return next((each for each in entries if _digest(each) == digest), None)


@_rule("AK009", "store-is-empty", "error")
def _empty(facts: Facts) -> Iterator[Finding]:
    """A store holds no secret, but the ledger says that it does."""
    for seen, looked in _stored(facts):
        if isinstance(looked.found, Empty):
            yield _empty.found(
                f"{looked.where} holds no secret, but the ledger says that it holds that of"
                f" {seen.entry.name!r}",
                "if it is not mounted, or was moved, undo that; if not, issue a new key into it"
                " and delete this one",
                **_of_entry(facts, seen),
            )


@_rule("AK010", "store-not-read", "warning")
def _unread(facts: Facts) -> Iterator[Finding]:
    """A store could not be read, so it is not known whether it holds the secret."""
    for seen, looked in _stored(facts):
        match looked.found:
            case Unread(why, by_nature):
                mild = {"severity": "note"} if by_nature else {}
                advice = (
                    "ask the readers of the store" if by_nature else "fix that, and audit again"
                )
                yield _unread.found(
                    f"it is not known whether {looked.where} holds the secret of"
                    f" {seen.entry.name!r}: {why}",
                    advice,
                    **_of_entry(facts, seen) | mild,
                )


def _in_git(facts: Facts, answer: str) -> Iterator[tuple[Seen, Looked]]:
    for seen, looked in _stored(facts):
        if looked.in_git is not None and looked.in_git.answer == answer:
            yield seen, looked


_UNTRACK: Final = "rotate the key into a file that .gitignore names, and run git rm --cached on it"


@_rule("AK011", "secret-in-git", "error")
def _tracked(facts: Facts) -> Iterator[Finding]:
    """A secret is in a file that git tracks; a note if the store's address allows that."""
    for seen, looked in _in_git(facts, "tracked"):
        more = _of_entry(facts, seen)
        if looked.may_be_tracked:
            sentence = f"git tracks {looked.where}, which the address of the store allows"
            advice = "make sure that all readers of the repository may have the key"
            yield _tracked.found(sentence, advice, **more | {"severity": "note"})
        else:
            yield _tracked.found(
                f"git tracks {looked.where}, so the secret is in a commit, or soon will be",
                _UNTRACK,
                **more,
            )


@_rule("AK012", "secret-not-ignored", "warning")
def _exposed(facts: Facts) -> Iterator[Finding]:
    """A secret is in a file that git neither tracks nor ignores."""
    for seen, looked in _in_git(facts, "exposed"):
        if not looked.may_be_tracked:
            sentence = f"git neither tracks nor ignores {looked.where}: `git add .` would add it"
            advice = "add a line with the name of the file to .gitignore"
            yield _exposed.found(sentence, advice, **_of_entry(facts, seen))


@_rule("AK013", "git-not-known", "warning")
def _git_unknown(facts: Facts) -> Iterator[Finding]:
    """It is not known whether git tracks a file that holds a secret."""
    for seen, looked in _in_git(facts, "unknown"):
        why = "" if looked.in_git is None else looked.in_git.why
        sentence = f"it is not known whether git tracks {looked.where}: {why}"
        yield _git_unknown.found(sentence, "fix that, and audit again", **_of_entry(facts, seen))


@_rule("AK014", "retirement-overdue", "warning")
def _overdue(facts: Facts) -> Iterator[Finding]:
    """A replaced key still exists after its grace."""
    for seen in facts.own:
        replaces = seen.entry.plan.replaces
        old = None if replaces is None else facts.listed(replaces.key_id)
        said = None if old is None else _why_overdue(facts, seen, replaces, old)
        if old is not None and said is not None:
            sentence = f"the key {old.name!r} was replaced by {seen.entry.name!r}, and {said[0]}"
            yield _overdue.found(sentence, said[1], **_of_key(facts, old))


def _why_overdue(
    facts: Facts, seen: Seen, replaces: Replaced | None, old: Key[Any]
) -> tuple[str, str] | None:
    state, patience = seen.entry.state, facts.policy.overdue_by
    if replaces is None or not isinstance(state, Retiring | Ousting):
        return None
    lasts = aged(state.switched, facts.now)
    if isinstance(state, Ousting):
        is_long_ago = lasts is not None and lasts >= patience
        return ("its deletion began, but did not finish", _SWEEP) if is_long_ago else None
    quiet = aged(state.since, facts.now)
    if not state.announced or quiet is None:
        return None
    used = getattr(old, "used_at", None)
    if used is not None and used.timestamp() > state.switched.wall:
        quiet = min(max(facts.now.wall - used.timestamp(), 0.0), quiet)
        if quiet < replaces.grace and lasts is not None and lasts >= replaces.longest:
            return (
                f"is still in use {span(lasts)} later, last {span(quiet)} ago",
                "find the program that uses it; `agentkeys sweep --force` deletes it nevertheless",
            )
    late = quiet - replaces.grace
    return (f"should have been deleted {span(late)} ago", _SWEEP) if late > patience else None


_SWEEP: Final = "run `agentkeys sweep`, and run it regularly, e.g. by cron"


@_rule("AK015", "attempt-unfinished", "warning")
def _unfinished(facts: Facts) -> Iterator[Finding]:
    """The issue or rotation of a key is unfinished for longer than `unfinished_for`."""
    for seen in facts.here:
        seconds = _under_way(facts, seen)
        if seconds is None or seconds <= facts.policy.unfinished_for:
            continue
        if isinstance(seen.entry.state, Retiring):
            yield _unfinished.found(
                f"the key of {seen.entry.plan.name!r} was replaced {span(seconds)} ago, but its"
                " users were not told",
                "tell them and run `agentkeys ... announced NAME`, or `agentkeys sweep --then ...`",
                **_of_entry(facts, seen),
            )
        else:
            yield _unfinished.found(
                f"the entry of {seen.entry.name!r} is unfinished for {span(seconds)}",
                "run `agentkeys sweep`, which finishes it, or says what to decide",
                **_of_entry(facts, seen),
            )


def _under_way(facts: Facts, seen: Seen) -> float | None:
    """Return for how many seconds an entry is unfinished; None if it is not, or not known."""
    match seen.entry.state:
        case Asking(begun=since) | Writing(begun=since) | Restoring(begun=since):
            return aged(since, facts.now)
        case Retiring(since=since, announced=False):
            return aged(since, facts.now)
        case Denied() | Dropping() if facts.is_own(
            seen
        ):  # these states have no time, but their keys have
            key = facts.key_of(seen)
            return None if key is None else facts.age(key)
    return None


@_rule("AK016", "journal-not-read", "warning")
def _unreadable(facts: Facts) -> Iterator[Finding]:
    """An entry of the journal could not be read, so its key was left out."""
    for sentence in dict.fromkeys((*facts.earlier.unreadable, *facts.later.unreadable)):
        what, _, advice = sentence.rpartition(": ")
        yield _unreadable.found(what or sentence, advice)
