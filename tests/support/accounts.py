"""Agentity with one account, on a real socket, for credentials that a store holds."""

from __future__ import annotations

import base64
from typing import Any

from samples import NEW_KEY, jwt
from wire import Seen, Wire, answer

from agentkeys import PasswordLogin

LOGIN, REFRESH, KEYS = "/auth/token", "/auth/token/refresh", "/auth/api-keys"
EMAIL = "me@example.com"


class Service:
    """Agentity with one account: it wants its password, and its newest access token."""

    def __init__(self, password: str = "one", **claims: object) -> None:
        self.password, self.claims = password, claims
        self.issued = 0
        self.token = ""
        self.refreshes = True

    def __call__(self, seen: Seen) -> Any:
        if seen.target == LOGIN:
            pair = base64.b64encode(f"{EMAIL}:{self.password}".encode()).decode()
            if seen.headers["authorization"] != f"Basic {pair}":
                return answer(401, {"message": "wrong email or password"})
            return self._pair()
        if seen.target == REFRESH:
            return self._pair() if self.refreshes else answer(401)
        if seen.headers["authorization"] != f"Bearer {self.token}":
            return answer(401, {"message": "no such token"})
        return answer(201, NEW_KEY) if seen.method == "POST" else answer(200, {"apiKeys": []})

    def _pair(self) -> Any:
        self.issued += 1
        self.token = jwt(str(self.issued), **self.claims)
        return answer(200, {"accessToken": self.token, "refreshToken": f"refresh-{self.issued}"})


def targets(wire: Wire) -> list[str]:
    return [seen.target for seen in wire.requests]


def login(store: Any) -> PasswordLogin:
    return PasswordLogin(EMAIL, password_from=store)
