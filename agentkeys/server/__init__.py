"""A real implementation of both services on this machine: no account, no network.

It is written from the services' documentation, independently of the client. It needs the extra
``server``: ``pip install 'agentkeys-sdk[server]'``.
"""

from __future__ import annotations

from typing import Final

from agentkeys.errors import ConfigurationError

_EXTRA: Final = frozenset({"argon2", "jwt", "sqlalchemy"})

try:
    from agentkeys.server.admin_port import Admin
    from agentkeys.server.ground.clock import Clock
    from agentkeys.server.http.record import RecordedRequest, Requests
    from agentkeys.server.seeding import SeededKey
    from agentkeys.server.service import LocalService
    from agentkeys.server.serving import serve
    from agentkeys.server.storage.key_format import has_valid_checksum
except ModuleNotFoundError as missing:
    _package = (missing.name or "").partition(".")[0]
    if _package not in _EXTRA:
        raise
    raise ConfigurationError(
        f"the local service needs {_package}: pip install 'agentkeys-sdk[server]'"
    ) from None

__all__ = [
    "Admin",
    "Clock",
    "LocalService",
    "RecordedRequest",
    "Requests",
    "SeededKey",
    "has_valid_checksum",
    "serve",
]
