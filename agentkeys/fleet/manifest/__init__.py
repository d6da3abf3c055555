"""The file that declares keys: how it is read and checked, and what is said about its mistakes.

Here lives what a declared key is, too. Nothing here asks a service or looks into a store.
"""

from __future__ import annotations

from agentkeys.fleet.manifest.reading import Manifest, read

__all__ = ["Manifest", "read"]
