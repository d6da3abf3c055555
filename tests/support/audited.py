"""A service whose keys are audited, and how they come to be as a test wants them."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import attrs

from agentkeys import issue
from agentkeys.lifecycle.journal import FileJournal
from agentkeys.lifecycle.machine.moments import Moment
from agentkeys.lifecycle.machine.states import Entry, Plan
from agentkeys.server import LocalService

DAY = 86400.0


def ago(seconds: float) -> Moment:
    """Return a moment of a machine without a name for its boots, which need not be up so long."""
    return Moment(time.time() - seconds)


@attrs.frozen
class World:
    """A service, an account's keys and an inbox's, and a folder for their secrets."""

    service: LocalService
    account: Any
    inbox: Any
    tenant: Any
    folder: Path

    def address(self, name: str = "KEY", options: str = "") -> str:
        return f"dotenv:{self.folder / '.env'}#{name}{options}"

    async def issued(
        self, keys: Any, name: str = "bot", *, age: float = 0.0, **options: Any
    ) -> Any:
        """Issue a key that was made so many seconds ago."""
        self.service.clock.advance(-age)
        into = options.pop("into", self.address())
        issued = await issue(keys, name, into=into, **options)
        self.service.clock.advance(age)
        return issued.key

    def left(self, keys: Any, state: Any, name: str = "bot~k7f3q2", **plan: Any) -> None:
        """Leave an entry of an attempt whose owner is gone."""
        entry = Entry(Plan(keys.scope, name.partition("~")[0], **plan), name, state)
        FileJournal().begin(entry).release()

    def changed(self, **changes: Any) -> None:
        """Change the states of what is under way."""
        claimed = FileJournal().claim(lambda _: True)
        for owned in claimed.entries:
            owned.note(attrs.evolve(owned.entry, state=attrs.evolve(owned.entry.state, **changes)))
        claimed.release()
        assert claimed.entries
