"""Hold answers back for a fault, until the service closes at the latest."""

from __future__ import annotations

import asyncio
import contextlib
import math
import os
import socket
import struct
from typing import TYPE_CHECKING, Final

from agentkeys.server.http.protocol import client_gone

if TYPE_CHECKING:
    from collections.abc import Iterator

    from aiohttp import web

# Closing then sends RST, and drops unsent data (socket(7), SO_LINGER; Windows uses shorts).
_NO_LINGERING: Final = struct.pack("hh" if os.name == "nt" else "ii", 1, 0)


class Holding:
    """The answers that faults hold back, in one run of the service."""

    def __init__(self) -> None:
        self._closing: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._sending: set[asyncio.Transport] = set()

    def close(self) -> None:
        """End them all."""
        self._closing.set_result(None)
        for transport in self._sending:
            transport.abort()

    async def pause(
        self,
        removal: asyncio.Future[None],
        request: web.BaseRequest,
        seconds: float,
        *,
        patient: bool = False,
    ) -> bool:
        """Wait; return False if the service is closing, so that nothing more may be done.

        The wait ends when the fault is removed, or when the client is gone, unless *patient*.
        """
        ends = {self._closing, removal}
        if not patient:
            ends.add(client_gone(request))
        if seconds > 0:
            await asyncio.wait(
                ends,
                timeout=None if math.isinf(seconds) else seconds,
                return_when=asyncio.FIRST_COMPLETED,
            )
        return not self._closing.done()

    @contextlib.contextmanager
    def sending(self, request: web.BaseRequest) -> Iterator[None]:
        """Cancel the sending in this context when the service closes."""
        transport = request.transport
        if transport is None or self._closing.done():
            raise ConnectionResetError
        self._sending.add(transport)
        try:
            yield
        finally:
            self._sending.discard(transport)


def reset(request: web.BaseRequest) -> None:
    """Reset the connection of *request*."""
    if request.transport is not None:
        sock = request.transport.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGERING)
        request.transport.abort()
