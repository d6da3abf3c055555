"""The tokens that a login has kept: where they are, how old, and what a service saw of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

LOGIN, REFRESH = "POST /auth/token", "POST /auth/token/refresh"


def entries(home: Path) -> list[Path]:
    return sorted((home / "tokens").glob("*.json"))


def entry(home: Path) -> dict[str, Any]:
    [path] = entries(home)
    found: dict[str, Any] = json.loads(path.read_text())
    return found


def age(home: Path, seconds: float) -> None:
    """Let the kept tokens be older by that."""
    [path] = entries(home)
    kept = json.loads(path.read_text())
    kept["obtained_at"] -= seconds
    path.write_text(json.dumps(kept))


def fetched(service: Any) -> list[str]:
    """Return what tokens the service was asked for: each is a login or a refresh."""
    names = {LOGIN: "login", REFRESH: "refresh"}
    return [names[request.route] for request in service.requests if request.route in names]
