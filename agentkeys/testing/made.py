"""The secrets that a local service made in a test."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

    from agentkeys.secret import Secret

_FIELDS: Final = {
    "key": "a key that Agentity made",
    "api_key": "a key that Agentry made",
    "accessToken": "an access token that Agentity gave",
    "refreshToken": "a refresh token that Agentity gave",
}


class Made:
    """Secrets with their names, in the order in which they were made. Any thread may add some."""

    def __init__(self) -> None:
        self._named: list[tuple[str, Secret]] = []

    def __iter__(self) -> Iterator[tuple[str, Secret]]:
        return iter(self._named.copy())

    def add(self, name: str, secret: str | Secret) -> None:
        """Add one."""
        from agentkeys.arguments import as_secret

        secret = as_secret(secret, "secret")
        self._named.append((name, secret))

    def add_from(self, answer: Any) -> None:
        """Add what a service's *answer*, as read from its JSON, gives that is secret."""
        if isinstance(answer, dict):
            for field, name in _FIELDS.items():
                if isinstance(answer.get(field), str):
                    self.add(name, answer[field])
