"""What the services answer, and clients that are set up for tests."""

from __future__ import annotations

import base64
import json

from agentkeys import AgentityClient, AgentryClient, RetryPolicy

TOKEN = "a-bearer-token"
SECRET = "agk_live_abc123def456"
AGENTRY_SECRET = "ag_abc123def456"

AT = "2024-01-01T00:00:00.000Z"
KEY = {"id": 42, "nickname": "production-agent", "createdAt": AT, "updatedAt": AT}
NEW_KEY = {**KEY, "key": SECRET}
INBOX_KEY = {
    "api_key_id": "key_1",
    "name": "ci",
    "prefix": "ag_abc",
    "created_at": "2026-01-01T00:00:00Z",
}
NEW_INBOX_KEY = {**INBOX_KEY, "api_key": AGENTRY_SECRET}

# Tries follow each other at once; the tests of the waits set their own.
AT_ONCE = RetryPolicy(base=0.0)


def agentity(url: str, credentials=TOKEN, **settings) -> AgentityClient:
    return AgentityClient(credentials, base_url=url, **{"retry": AT_ONCE, **settings})


def agentry(url: str, credentials=TOKEN, **settings) -> AgentryClient:
    return AgentryClient(credentials, base_url=url, **{"retry": AT_ONCE, **settings})


def jwt(name: str = "1", **claims: object) -> str:
    """Make an unsigned JWT: the client must not care about the signature."""
    parts = [{"alg": "HS256", "typ": "JWT"}, {"sub": name, **claims}]
    encoded = [base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=") for part in parts]
    return b".".join([*encoded, b"c2lnbmF0dXJl"]).decode()
