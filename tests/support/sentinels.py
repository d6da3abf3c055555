"""Secrets that can be found again wherever they show."""

from __future__ import annotations

import base64
import json
from typing import Final
from urllib.parse import quote

from samples import AT, jwt

EMAIL: Final = "me@example.com"
PASSWORD: Final = 'S3NT1NELpass:"wörd/'
BASIC: Final = base64.b64encode(f"{EMAIL}:{PASSWORD}".encode()).decode()
ACCESS: Final = jwt("S3NT1NELaccess")
REFRESH: Final = "S3NT1NELrefresh"
TOKEN: Final = "S3NT1NELbearer"
AGENTITY_KEY: Final = "agk_live_S3NT1NELagentity"
AGENTRY_KEY: Final = "ag_S3NT1NELagentry"
IN_URL: Final = "https://api.agentity.to/mcp?apiKey=S3NT1NELinurl"
PROXY_PASSWORD: Final = "S3NT1NELproxy"
PASTED: Final = "S3NT1NELpasted"


def _basic(text: str) -> tuple[str, ...]:
    """Return *text* as it may stand in Base64, wherever it begins."""
    # The first and the last character of each form depend on what stands beside it.
    forms = (base64.b64encode(b"x" * shift + text.encode()).decode() for shift in range(3))
    return tuple(form.rstrip("=")[4:-2] for form in forms)


# Each by a part that percent-encoding, JSON, HTML and a shortened text leave as it is.
NEEDLES: Final[dict[str, tuple[str, ...]]] = {
    "new key of Agentity": ("S3NT1NELagentity",),
    "new key of Agentry": ("S3NT1NELagentry",),
    # Its claims may be shown once they are read: they say whose account it is.
    "access token": (ACCESS.split(".")[1],),
    "bearer token": ("S3NT1NELbearer",),
    "refresh token": ("S3NT1NELrefresh",),
    "password": ("S3NT1NELpass:", "S3NT1NELpass%3A"),
    "Basic header": _basic("S3NT1NELpass:"),
    "apiKey= in a URL": ("S3NT1NELinurl",),
    "password of the proxy": ("S3NT1NELproxy",),
    "Basic header of the proxy": _basic("S3NT1NELproxy"),
    "password in a base URL": ("S3NT1NELpasted", *_basic("S3NT1NELpasted")),
}

_HEARD: Final = [ACCESS, TOKEN, REFRESH, PASSWORD, PROXY_PASSWORD, IN_URL, AGENTITY_KEY]
SAID: Final = " and ".join([*_HEARD, AGENTRY_KEY, json.dumps(_HEARD), *map(quote, _HEARD)])
"""What a service says that repeats all that it ever heard."""

NEW_KEY: Final = {
    "id": 42,
    "nickname": "x",
    "key": AGENTITY_KEY,
    "createdAt": AT,
    "updatedAt": AT,
    "api_key_id": "key_1",
    "api_key": AGENTRY_KEY,
    "name": "x",
    "prefix": "ag_",
    "created_at": AT,
    "url": IN_URL,
    "said": SAID,
}
"""A new key of either service, and more."""


def found(text: str, names: frozenset[str] = frozenset(NEEDLES)) -> list[str]:
    """Return the names of the secrets that *text* shows."""
    return sorted(name for name in names if any(needle in text for needle in NEEDLES[name]))
