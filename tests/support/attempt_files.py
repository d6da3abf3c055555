"""Entries as processes leave them that die at a given step, and what a sweep finds of them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import attrs

from agentkeys.lifecycle.driving.hands import digest_of
from agentkeys.lifecycle.journal import FileJournal
from agentkeys.lifecycle.machine.moments import now
from agentkeys.lifecycle.machine.naming import base_of
from agentkeys.lifecycle.machine.states import Asking, Closed, Entry, Plan, Writing

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from agentkeys import Secret
    from agentkeys.keys import Scope
    from agentkeys.lifecycle.journal import Claimed
    from agentkeys.lifecycle.machine.moments import Moment
    from agentkeys.stores.contract import Found

__all__ = [
    "Held",
    "as_a_path",
    "as_of_0_1",
    "begin",
    "claim",
    "digest_of",
    "files",
    "folder",
    "survey",
]


class Held:
    """An entry that this process owns, and how it goes on with it."""

    def __init__(self, owned: Any) -> None:
        self.owned = owned

    @property
    def path(self) -> Path:
        return self.owned._path

    @property
    def entry(self) -> Entry:
        return self.owned.entry

    def receive(self, key_id: Any, store: str, secret: Secret, found: Found | None = None) -> None:
        """Note that the secret has come, and what the store is that is to be written."""
        plan = attrs.evolve(self.entry.plan, store=store)
        state = Writing(key_id, digest_of(secret), True, now(), 0.0, found)
        self.note(attrs.evolve(self.entry, plan=plan, state=state))

    def note(self, entry: Entry) -> None:
        self.owned.note(entry)
        self.owned.entry = entry

    def finish(self) -> None:
        self.note(attrs.evolve(self.entry, state=Closed()))
        self.release()

    def release(self) -> None:
        self.owned.release()


def begin(
    scope: Scope,
    name: str,
    nonce: str | None,
    *,
    seconds: float = 0.0,
    begun: Moment | None = None,
) -> Held:
    """Begin to ask for a key."""
    base = name if nonce is None else base_of(name, nonce)
    plan = Plan(scope, base, nonce is None)
    return Held(FileJournal().begin(Entry(plan, name, Asking(begun or now(), seconds))))


def claim(is_wanted: Callable[[Scope], bool] = lambda _: True) -> list[Held]:
    """Take over what nobody drives."""
    return [Held(each) for each in FileJournal().claim(is_wanted).entries]


def as_of_0_1(path: Path) -> None:
    """Write a file of an entry as version 0.1 did: without a number, a line for each step."""
    first, *more = map(json.loads, path.read_text().splitlines())
    scope = as_a_path(first["plan"]["scope"])
    lines = [
        {
            "scope": scope,
            "name": first["name"],
            "nonce": None if first["plan"]["exact"] else first["name"].rpartition("~")[2],
            "begun_at": first["begun"]["wall"],
            "seconds": first["seconds"],
            "received": None,
        }
    ]
    for step in more:
        received = {"store": step["plan"]["store"]}
        lines.append({name: step[name] for name in ("key_id", "digest")} | received)
    path.write_text("".join(f"{json.dumps(line)}\n" for line in lines))


def as_a_path(scope: dict[str, Any]) -> dict[str, Any]:
    """Return a scope as the formats 1 and 2 had it: with a path of the service's API."""
    which = quote(scope["id"], safe="")
    within = {"inbox": f"/inboxes/{which}", "pod": f"/pods/{which}"}.get(scope["kind"], "")
    path = f"/{scope['surface']}/v0{within}/api-keys" if scope["surface"] else "/auth/api-keys"
    return {
        "service": scope["service"],
        "base_url": scope["realm"],
        "path": path,
        "account": scope["account"],
    }


def survey() -> Claimed:
    """Return what nobody drives."""
    return FileJournal().survey()


def folder() -> Path:
    """Return where the entries lie that are under way."""
    return FileJournal.folder()


def files(folder: Path) -> list[Path]:
    """Return what lies in a folder of entries and in its parts."""
    parts = [path for path in folder.glob("??") if path.is_dir()]
    return sorted({*folder.glob("*"), *folder.glob("??/*")} - {*parts})
