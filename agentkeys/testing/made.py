"""The secrets that a local service created in a test."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

    from agentkeys.secret import Secret

_FIELDS: Final = {
    "key": "a key from Agentity",
    "api_key": "a key from Agentry",
    "accessToken": "an access token from Agentity",
    "refreshToken": "a refresh token from Agentity",
}


class Made:
    """Secrets with their names, in the order of their creation. Any thread may add one."""

    def __init__(self) -> None:
        self._named: list[tuple[str, Secret]] = []

    def __iter__(self) -> Iterator[tuple[str, Secret]]:
        return iter(self._named.copy())

    def add(self, name: str, secret: str | Secret) -> None:
        """Add a secret."""
        from agentkeys.arguments import as_secret

        secret = as_secret(secret, "secret")
        self._named.append((name, secret))

    def add_from(self, answer: Any) -> None:
        """Add the secrets in a service's *answer*, as read from its JSON."""
        if isinstance(answer, dict):
            for field, name in _FIELDS.items():
                if isinstance(answer.get(field), str):
                    self.add(name, answer[field])
