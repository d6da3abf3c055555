"""The journal in PostgreSQL, for several machines: an entry is a row, and its owner has a lease.

Here lives all that knows SQL, and the leases. What a row's line says is read and written by `lines`
beside this folder, as that of a file is.
"""

from __future__ import annotations

from agentkeys.lifecycle.journal.postgres.journal import PostgresJournal, journal_at

__all__ = ["PostgresJournal", "journal_at"]
