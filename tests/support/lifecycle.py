"""What the tests of issuing share: a place for keys, and the attempts that are left."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import attrs

from agentkeys import Secret
from agentkeys.server import LocalService

if TYPE_CHECKING:
    from pathlib import Path


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


def left(state: Path) -> list[dict[str, Any]]:
    """Return the first steps of the attempts that are left."""
    return [json.loads(path.read_text().splitlines()[0]) for path in state.glob("*.attempt")]
