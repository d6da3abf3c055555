"""The listening socket."""

from __future__ import annotations

import asyncio
import errno
import ipaddress
import os
import socket
from typing import Final

from agentkeys.errors import ConfigurationError

_BACKLOG: Final = 256
_MAX_PORT: Final = 65535


async def listen(host: str, port: int) -> socket.socket:
    """Return a socket that listens on *host* and *port*; 0 is any free port.

    Raises:
        ConfigurationError: the port is in use, or the address is not one of this machine.
    """
    if not 0 <= port <= _MAX_PORT:
        raise ConfigurationError(f"a port must be a number from 0 to {_MAX_PORT}, not {port}")
    try:
        addresses = await asyncio.get_running_loop().getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
        family, kind, protocol, _, address = addresses[0]
        return _bound(socket.socket(family, kind, protocol), address)
    except (OSError, UnicodeError) as error:
        reason = _reason(error)
    raise ConfigurationError(f"cannot listen on {host} port {port}: {reason}")


def url_of(listener: socket.socket, scheme: str = "http") -> str:
    """Return the address at which this machine reaches *listener*, without a trailing slash."""
    host, port = listener.getsockname()[:2]
    address = ipaddress.ip_address(host)
    if address.is_unspecified:
        address = ipaddress.ip_address("127.0.0.1" if address.version == 4 else "::1")
    shown = f"[{address}]" if address.version == 6 else str(address)
    return f"{scheme}://{shown}:{port}"


def _bound(listener: socket.socket, address: tuple[object, ...]) -> socket.socket:
    try:
        # On Windows, the option would let two services share a port.
        if os.name == "posix":
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(_BACKLOG)
        listener.setblocking(False)
    except BaseException:
        listener.close()
        raise
    return listener


def _reason(error: OSError | UnicodeError) -> str:
    if isinstance(error, UnicodeError):
        return "it is not a host name"
    if error.errno == errno.EADDRINUSE:
        return "the port is in use: choose another, or 0 for any free port"
    return str(error.strerror)
