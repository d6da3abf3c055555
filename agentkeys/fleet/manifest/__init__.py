"""The file that declares keys: how it is read and checked, and what is said about its mistakes.

Nothing here asks a service or looks into a store. What a declared key is, is in `declared`.
"""

from __future__ import annotations

from agentkeys.fleet.manifest.reading import Manifest, read

__all__ = ["Manifest", "read"]
