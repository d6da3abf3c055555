"""Create, list, rotate and revoke the API keys of AI agents, without losing or leaking one."""

from __future__ import annotations

__version__ = "0.1.0"
