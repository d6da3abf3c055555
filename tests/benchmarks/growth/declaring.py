"""The file that declares a key for each inbox."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pathlib import Path

MANIFEST: Final = """
[defaults]
max_age = "{max_age}"

[keys.each]
from = "inboxes.csv"
service = "agentry"
inbox = "{{inbox}}"
name = "agent-{{slug}}"
store = "{store}"
"""
NOTHING: Final = "memory:agent-{slug}"
"""A store that costs nothing."""
FILES: Final = "file:run/{slug}"


def declare(folder: Path, size: int, *, store: str, max_age: str = "3650d") -> None:
    """Write the file and its rows."""
    (folder / "run").mkdir(exist_ok=True)
    (folder / "agentkeys.toml").write_text(MANIFEST.format(store=store, max_age=max_age))
    with (folder / "inboxes.csv").open("w") as file:
        file.write("inbox,slug\n")
        file.writelines(f"agent{n}@acme.to,{n}\n" for n in range(size))
