"""Serve in the foreground until a signal stops the service."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import Callable, Iterator
from typing import Final

from agentkeys.server.admin_port import Admin
from agentkeys.server.service import LocalService

# Windows has no SIGHUP.
_SIGNALS: Final = tuple(
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)
)


async def serve(
    service: LocalService, *, ready: Callable[[LocalService], None], admin: Admin | None = None
) -> None:
    """Start *service*, call *ready* with it, and serve until SIGINT, SIGTERM or SIGHUP.

    The running requests are answered before it returns. A second signal has its usual effect. A
    signal that is ignored, as under nohup, stays ignored. It must run in the main thread. If
    *admin* is given, its port is open while the service runs.

    Raises:
        ConfigurationError: the service cannot start; see `LocalService.start`.
    """
    stop = asyncio.Event()
    with _calling(stop.set):
        async with service, admin or contextlib.nullcontext():
            ready(service)
            await stop.wait()


@contextlib.contextmanager
def _calling(stop: Callable[[], object]) -> Iterator[None]:
    loop = asyncio.get_running_loop()
    before = {
        number: handler
        for number in _SIGNALS
        if (handler := signal.getsignal(number)) is not signal.SIG_IGN
    }

    def restore() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)

    def stop_once(number: int, frame: object) -> None:
        del number, frame
        restore()
        loop.call_soon_threadsafe(stop)

    # Not loop.add_signal_handler, which Windows lacks.
    for number in before:
        signal.signal(number, stop_once)
    try:
        yield
    finally:
        restore()
