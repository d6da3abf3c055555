"""Packages of stores, as pip leaves them in a folder of `sys.path`."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["MEMORY", "install"]

# A store of the scheme that is the name of its module; its secrets are in the memory.
MEMORY = """
    from agentkeys.stores import MemoryStore

    class Store(MemoryStore):
        def __init__(self, place):
            super().__init__(place)
            self.address = f"{__name__}:{place}"
"""


def install(
    folder: Path, scheme: str, code: str = MEMORY, *, value: str = "", package: str = ""
) -> Path:
    """Put a module, whose name is the scheme, and the metadata of its package into a folder."""
    folder.mkdir(exist_ok=True)
    package = package or f"{scheme}-package"
    metadata = folder / f"{package.replace('-', '_')}-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text(
        f"[agentkeys.stores]\n{scheme} = {value or f'{scheme}:Store'}\n"
    )
    (folder / f"{scheme}.py").write_text(textwrap.dedent(code))
    return folder
