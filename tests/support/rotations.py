"""What the tests of the commands that replace keys share: what is typed, and what is there then."""

from __future__ import annotations

import json
import re
import shlex
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

PATIENCE = 20.0
"""Seconds after which what should have happened never will."""
INBOX = "demo@agentkeys.local"
"""The inbox that each local service has."""
WHERE = {
    "agentity": ("agentity", []),
    "inbox": ("agentry", [INBOX]),
    "agent-inbox": ("agentry", ["--agent", INBOX]),
    "tenant": ("agentry", ["--tenant"]),
    "pod": ("agentry", ["--pod", "demo"]),
}
"""The words that name whose keys they are."""
SAVE = ["--save", "dotenv:.env#KEY"]
BOT = ["agentity", "rotate", "bot", *SAVE]
SECRET = re.compile(r"(?:agk_live|ag)_[A-Za-z0-9_]{12,}")


def keys(
    run: Callable[..., Any], service: str = "agentity", where: Sequence[str] = ()
) -> list[Any]:
    """Return the ids of the keys, oldest first."""
    listed = json.loads(run(service, "list", *where, "--json").out)
    ids = {key["created_at"] + key.get("name", ""): key for key in listed}
    return [key.get("id", key.get("api_key_id")) for _, key in sorted(ids.items())]


def status(run: Callable[..., Any]) -> dict[str, Any]:
    """Return what is remembered."""
    ended = run("status", "--json")
    assert (ended.code, ended.err) == (0, "")
    return json.loads(ended.out)


def python(code: str) -> str:
    """Return a program, as it is written on the command line."""
    return shlex.join([sys.executable, "-c", code])


def contents(folder: Path) -> dict[Path, bytes]:
    """Return all that lies in a folder."""
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
