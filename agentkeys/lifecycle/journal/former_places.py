"""Convert the scopes of formats 1 and 2, which were paths of the services' APIs of that time."""

from __future__ import annotations

import re
from typing import Any, Final
from urllib.parse import unquote

__all__ = ["renamed"]

_SEGMENT: Final = "([^/]+)"
_PLACES: Final = {
    "Agentity": [(re.compile("/(auth)/api-keys"), "account")],
    "Agentry": [
        (re.compile("/(human|agent)/v0/api-keys"), "tenant"),
        (re.compile(f"/(human|agent)/v0/inboxes/{_SEGMENT}/api-keys"), "inbox"),
        (re.compile(f"/(agent)/v0/pods/{_SEGMENT}/api-keys"), "pod"),
    ],
}


def renamed(scope: dict[str, Any]) -> dict[str, Any]:
    """Return a scope of an old format as a scope that is named by what it is.

    Raises:
        ValueError: no known service had such a scope.
    """
    same: dict[str, Any] = {
        name: scope[name] for name in ("service", "account", "also") if name in scope
    }
    for path, kind in _PLACES.get(scope["service"], ()):
        found = path.fullmatch(scope["path"])
        if found and not scope.get("body"):
            surface, *ids = found.groups()
            return {
                **same,
                "realm": scope["base_url"],
                "kind": kind,
                "id": unquote(ids[0]) if ids else "",
                "surface": "" if surface == "auth" else surface,
            }
    raise ValueError
