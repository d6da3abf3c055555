"""Which journal is used: one that is given, one that the environment names, or the files."""

from __future__ import annotations

from typing import Final, TypeAlias

from agentkeys.arguments import as_secret
from agentkeys.errors import ConfigurationError
from agentkeys.lifecycle.journal.contract import Journal
from agentkeys.lifecycle.journal.files import FileJournal
from agentkeys.secret import Secret
from agentkeys.sources import from_environment
from agentkeys.stores import Store

__all__ = ["FILES", "VARIABLE", "Given", "database", "opened", "sealed"]

FILES: Final = "files"
"""The address of the journal that lies in files of this machine."""

VARIABLE: Final = "AGENTKEYS_JOURNAL"
_POSTGRES: Final = ("postgresql://", "postgres://")

Given: TypeAlias = Journal | Secret | str | None
"""A journal, or its address, which may hold a password; None for what the environment says."""


def sealed(journal: Given) -> Journal | Secret | None:
    """Return a journal, or its address as a Secret; call it on the first line that sees one."""
    if journal is None or isinstance(journal, Journal):
        return journal
    return as_secret(journal, "journal", "a journal or its address")


def opened(journal: Journal | Secret | None = None) -> Journal:
    """Return the journal that is meant. Nothing is read or connected to yet.

    Raises:
        ConfigurationError: there is no such journal, or what it needs is not installed.

    """
    if journal is not None:
        return _at(journal, "journal") if isinstance(journal, Secret) else journal
    named = from_environment(VARIABLE)
    if named is None:
        return FileJournal()
    return _at(named, VARIABLE) if isinstance(named, Secret) else _in_a_database(named)


def database() -> Secret:
    """Return the address of the database of the journal; a store may be read.

    Raises:
        ConfigurationError: the journal is not in a database.

    """
    journal = opened()
    if not isinstance(journal, FileJournal):
        from agentkeys.lifecycle.journal.postgres import PostgresJournal

        if isinstance(journal, PostgresJournal):
            return journal.address()
    raise ConfigurationError(
        f"several machines need a journal in PostgreSQL: set {VARIABLE} to the address of a"
        " database, like postgresql://host/database"
    )


def _at(address: Secret, name: str) -> Journal:
    if address.reveal() == FILES:
        return FileJournal()
    if address.reveal().startswith(_POSTGRES):
        return _in_a_database(address)
    raise ConfigurationError(
        f"{name} names no journal: give the address of a PostgreSQL database, like"
        " postgresql://host/database, or `files` for the files of this machine"
    )


def _in_a_database(address: Secret | Store) -> Journal:
    try:
        from agentkeys.lifecycle.journal.postgres import journal_at
    except ModuleNotFoundError:
        pass
    else:
        return journal_at(address)
    raise ConfigurationError(
        "a journal in PostgreSQL needs SQLAlchemy and psycopg: pip install"
        " 'agentkeys-sdk[postgres]'"
    )
