"""Detect a blocking call in a running event loop: the loop cannot run until the call ends."""

from __future__ import annotations

import asyncio
import os
import socket
from contextlib import suppress
from ipaddress import ip_address
from typing import Final
from urllib.parse import urlsplit

from agentkeys.errors import ConfigurationError, DeadlineExceededError

__all__ = ["check", "explain"]

_REMEDY: Final = (
    "use the async client here, or run the service in another thread, as the LocalService of"
    " agentkeys.sync does"
)
_EVERY: Final = {"0.0.0.0", "::"}  # noqa: S104  # to recognize these addresses, and not to listen on them


def check(address: str) -> None:
    """Raise `ConfigurationError` if the event loop of this thread would have to answer the call."""
    with suppress(RuntimeError):  # no loop runs here
        if _listens(asyncio.get_running_loop(), address):
            raise ConfigurationError(
                f"{address} is served by the event loop of this thread, which cannot answer while a"
                f" blocking call waits: {_REMEDY}"
            )


def explain(error: DeadlineExceededError, address: str) -> None:
    """Add the likely cause to *error*, where `check` could not know it, e.g. with uvloop."""
    with suppress(RuntimeError):
        asyncio.get_running_loop()
        if _is_local(_hosts(address)):
            said = (
                f"The event loop of this thread stood still during the call: if it serves {address}"
            )
            error.args = (f"{error}. {said}, it cannot answer: {_REMEDY}",)


def _listens(loop: asyncio.AbstractEventLoop, address: str) -> bool:
    selector = getattr(loop, "_selector", None)  # asyncio's own loops have it
    files = () if selector is None else tuple(selector.get_map())
    return any(_is_listener(file, address) for file in files)


def _is_listener(file: int, address: str) -> bool:
    try:
        copy = socket.socket(fileno=os.dup(file))
    except OSError:  # it is not a socket
        return False
    with copy, suppress(OSError):
        if copy.family not in {socket.AF_INET, socket.AF_INET6}:
            return False
        if not copy.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
            return False
        host, port = copy.getsockname()[:2]
        hosts = _hosts(address)
        return port == urlsplit(address).port and (
            host in hosts or (host in _EVERY and _is_local(hosts))
        )
    return False


def _hosts(address: str) -> tuple[str, ...]:
    """Return the hosts of an address that are known without a lookup."""
    host = urlsplit(address).hostname or ""
    return ("127.0.0.1", "::1") if host == "localhost" else (host,)


def _is_local(hosts: tuple[str, ...]) -> bool:
    try:
        return ip_address(hosts[0]).is_loopback
    except ValueError:
        return False
