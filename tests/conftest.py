from __future__ import annotations

import asyncio
import os
import signal
from unittest.mock import Mock

import aiohttp
import aioresponses.core
import hypothesis
import pytest

pytest_plugins = [
    "pytester",  # for the suites of those who use our plugin
    "postgres",  # a database, for whoever asks for one
]

# Whoever starts the tests may ignore this signal, and then no process learns what became of its
# child. A test that is about this sets it in a child of its own.
if signal.getsignal(signal.SIGCHLD) is signal.SIG_IGN:
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)

if os.environ.get("AGENTKEYS_TEST_LOOP") == "uvloop":
    import uvloop

    # For every loop of this process: those of pytest-asyncio, of asyncio.run, of the portals.
    asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())


def pytest_xdist_auto_num_workers() -> int:
    """Twice as many as there are cores: many tests wait for a process or a deadline."""
    return 2 * (os.cpu_count() or 1)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what happens in programs of its own, which the loop of this process does not reach."""
    for item in items:
        if not _STARTING.isdisjoint(getattr(item, "fixturenames", ())):
            item.add_marker(pytest.mark.programs)


_STARTING = {"program", "pytester", "start", "terminal"}
"""The fixtures that start them."""

# A loaded machine is no slow code.
hypothesis.settings.register_profile("agentkeys", deadline=None)
hypothesis.settings.load_profile("agentkeys")


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """No credentials, address or proxy of whoever runs the tests gets into them."""
    ours = ("AGENTITY_", "AGENTRY_", "AGENTKEYS_")
    for name in list(os.environ):
        if name.startswith(ours) or name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)
    # `python -m` would put the working directory, and so the sources, before the installed package.
    monkeypatch.setenv("PYTHONSAFEPATH", "1")


@pytest.fixture
def mocked(monkeypatch: pytest.MonkeyPatch):
    """Give a test aioresponses, for units of the transport alone.

    Its release 0.7.9 does not know the `stream_writer` that aiohttp 3.14 wants of a response.
    """

    class Response(aiohttp.ClientResponse):
        def __init__(self, *args: object, **kwargs: object) -> None:
            kwargs.setdefault("stream_writer", Mock(output_size=0))
            super().__init__(*args, **kwargs)

    monkeypatch.setattr(aioresponses.core, "ClientResponse", Response)
    with aioresponses.aioresponses() as responses:
        yield responses
