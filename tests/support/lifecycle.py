"""What the tests of issuing share: a place for keys, and the attempts that are left."""

from __future__ import annotations

import contextlib
import json
from typing import TYPE_CHECKING, Any

import attrs

from agentkeys import Secret, StoreError
from agentkeys.server import LocalService

if TYPE_CHECKING:
    from pathlib import Path

    from attempt_files import Held

    from agentkeys.stores.contract import Found


@attrs.frozen
class Place:
    """A collection of keys on a local service."""

    service: LocalService
    client: Any
    keys: Any
    name: str
    made: dict[Any, Secret]

    def holds(self, key: Any, secret: Secret | None) -> bool:
        """Whether *secret* is that of *key*, as the service gave it."""
        return secret is not None and self.made[key.id] == secret

    @staticmethod
    def fields(record: Any) -> list[Any]:
        return [getattr(record, field.name) for field in attrs.fields(type(record))]


async def died_before_storing(held: Held, key_id: Any, store: Any, secret: Secret) -> None:
    """Leave what a process leaves that dies when all is noted, and the store is as it was."""

    def note(found: Found) -> None:
        held.receive(key_id, store.address, secret, found)
        raise StoreError("it died here", store="")

    with contextlib.suppress(StoreError):
        await store.write_noted(secret, note=note)
    held.release()


async def died_after_storing(held: Held, key_id: Any, store: Any, secret: Secret) -> None:
    """Leave what a process leaves that dies when the store is written, and nothing else done."""

    def note(found: Found) -> None:
        held.receive(key_id, store.address, secret, found)

    await store.write_noted(secret, note=note)
    held.release()


def left(state: Path) -> list[dict[str, Any]]:
    """Return the first steps of the attempts that are left."""
    return [json.loads(path.read_text().splitlines()[0]) for path in state.rglob("*.attempt")]
