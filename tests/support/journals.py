"""Both journals, and entries to note in them."""

from __future__ import annotations

from typing import Any

import attrs

from agentkeys import Secret
from agentkeys.keys import Scope
from agentkeys.lifecycle.journal import FileJournal, Journal
from agentkeys.lifecycle.journal.postgres import PostgresJournal
from agentkeys.lifecycle.machine.moments import now
from agentkeys.lifecycle.machine.states import (
    Asking,
    Entry,
    Kept,
    Plan,
    Replaced,
    State,
    Writing,
)

__all__ = ["ELSEWHERE", "HERE", "KINDS", "asking", "in_state", "journal_of", "kept", "writing"]

KINDS = ["files", "postgres"]
HERE = Scope("Agentry", "https://api.test", kind="inbox", id="a@acme.to", account="me")
ELSEWHERE = attrs.evolve(HERE, id="b@acme.to")


def journal_of(kind: str, address: str) -> Journal:
    """Return a journal as a process has it that knows of no other one."""
    return FileJournal() if kind == "files" else PostgresJournal(Secret(address))


def asking(scope: Scope = HERE, *, nonce: str = "aaaaaa", **plan: Any) -> Entry:
    """Return an entry of a key that was asked for just now."""
    return Entry(Plan(scope, "bot", **plan), f"bot~{nonce}", Asking(now(), 10.0))


def in_state(entry: Entry, state: State) -> Entry:
    return attrs.evolve(entry, state=state)


def writing(entry: Entry, digest: str = "0" * 64) -> Entry:
    plan = attrs.evolve(entry.plan, store="dotenv:.env#KEY")
    return attrs.evolve(entry, plan=plan, state=Writing("k1", digest, True, now(), 0.0))


def kept(entry: Entry, digest: str = "0" * 64, replaces: str | None = None) -> Entry:
    """Return an entry whose secret is stored, of a key that replaces that of another entry."""
    replaced = None if replaces is None else Replaced("k0", "bot~oooooo", replaces, 0.0, 0.0)
    plan = attrs.evolve(entry.plan, store="dotenv:.env#KEY", replaces=replaced)
    return attrs.evolve(entry, plan=plan, state=Kept("k1", digest, now()))
