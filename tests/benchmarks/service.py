"""The local service under load from a second process, beside a bare aiohttp.web handler.

The server runs on one core and the load on another, where the machine lets us say so.
"""

from __future__ import annotations

import argparse
import asyncio
import math
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import TypeAlias

import aiohttp
from aiohttp import web
from measure import report

from agentkeys import AgentityClient, PasswordLogin
from agentkeys.server import LocalService

Target: TypeAlias = tuple[str, dict[str, str], int]
"""An address, the headers of a request for it, and the process that answers."""
Rates: TypeAlias = tuple[float, float]
"""Requests a second on the clock, and a second of CPU time: a busy machine shows in the first."""

CONNECTIONS, KEYS = 32, 50
SERVER_CORE, LOAD_CORE = 0, 1


def run(*, rounds: int = 7, seconds: float = 1.0) -> None:
    """Print requests a second of each kind, and how they compare in the same round."""
    figures: dict[str, list[Rates]] = {"bare": [], "lists": [], "creates": []}
    # The services run throughout: to start one for each second of load takes three seconds more.
    with pinned(LOAD_CORE), ExitStack() as stack:
        targets = {kind: stack.enter_context(serving(kind)) for kind in figures}
        for number in range(rounds):
            for kind, target in targets.items():
                figures[kind].append(asyncio.run(load(kind, target, seconds, number)))
    rows = [
        ("a bare aiohttp.web handler", "bare", ""),
        (f"lists of {KEYS} keys", "lists", "at least 3,000"),
        ("durable creates", "creates", "at least 1,200"),
    ]
    report(
        f"The local service, {CONNECTIONS} connections, one core: requests a second (of the bare),"
        " and a second of its CPU time",
        [(what, _shown(figures[kind], figures["bare"]), target) for what, kind, target in rows],
    )


def _shown(rates: list[Rates], bare: list[Rates]) -> str:
    clock, cpu = (statistics.median(each) for each in zip(*rates, strict=True))
    share = statistics.median(rate / base for (rate, _), (base, _) in zip(rates, bare, strict=True))
    return f"{clock:,.0f} ({share:.2f}), {cpu:,.0f}"


async def serve_bare(ready: str) -> None:
    async def handle(_: web.Request) -> web.Response:
        return web.Response(body=b"{}", content_type="application/json")

    app = web.Application()
    app.router.add_get("/", handle)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    Path(ready).write_text(f"http://127.0.0.1:{runner.addresses[0][1]}\n\n")
    await asyncio.Event().wait()


async def serve_keys(ready: str, database: str) -> None:
    async with LocalService(database=f"sqlite:///{database}") as service:
        Path(ready).write_text(f"{service.url}\n{service.email}\n{service.password}")
        await asyncio.Event().wait()


async def access_token(url: str, email: str, password: str) -> str:
    """Make the keys that are listed; return a token of their account."""
    login = PasswordLogin(email, password)
    async with AgentityClient(login, base_url=url) as client:
        for n in range(KEYS):
            await client.api_keys.create(f"key {n}")
    token = login.current()
    assert token is not None
    return token.reveal()


async def load(kind: str, target: Target, seconds: float, number: int) -> Rates:
    """Send requests over all connections for some seconds, and count the answers."""
    url, headers, process = target
    end = time.perf_counter() + seconds
    connector = aiohttp.TCPConnector(limit=CONNECTIONS)
    async with aiohttp.ClientSession(connector=connector, headers=headers) as session:

        async def keep_busy(worker: int) -> int:
            sent = 0
            while time.perf_counter() < end:
                body = {"nickname": f"{number} {worker} {sent}"} if kind == "creates" else None
                method = "POST" if body else "GET"
                async with session.request(method, url, json=body) as response:
                    await response.read()
                    assert response.status < 300
                sent += 1
            return sent

        begun, used = time.perf_counter(), cpu_seconds(process)
        total = sum(await asyncio.gather(*(keep_busy(n) for n in range(CONNECTIONS))))
        return (
            total / (time.perf_counter() - begun),
            total / (cpu_seconds(process) - used or math.nan),
        )


def cpu_seconds(process: int) -> float:
    """Return the CPU time of another process, where the system tells it: on Linux."""
    # The clock of a process, as clock_getcpuclockid(3) gives it.
    return time.clock_gettime(~process << 3 | 2) if sys.platform == "linux" else 0.0


def pin(core: int) -> None:
    with suppress(AttributeError, OSError):
        os.sched_setaffinity(0, {core})


@contextmanager
def pinned(core: int) -> Iterator[None]:
    """Run on one core for a while."""
    cores = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else set()
    pin(core)
    try:
        yield
    finally:
        if cores:
            os.sched_setaffinity(0, cores)


@contextmanager
def serving(kind: str) -> Iterator[Target]:
    """Start a process that serves; give what its requests need."""
    with tempfile.TemporaryDirectory() as folder:
        ready = Path(folder) / "ready"
        served = "bare" if kind == "bare" else "keys"
        command = [sys.executable, __file__, served, str(ready), f"{folder}/keys.db"]
        with subprocess.Popen(command) as server:
            try:
                while not ready.exists() or not ready.read_text():
                    time.sleep(0.01)
                url, email, password = ready.read_text().split("\n")
                if kind == "bare":
                    yield url, {}, server.pid
                else:
                    token = asyncio.run(access_token(url, email, password))
                    headers = {"Authorization": f"Bearer {token}"}
                    yield f"{url}/auth/api-keys", headers, server.pid
            finally:
                server.kill()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("kind", choices=["bare", "keys"])
    parser.add_argument("ready")
    parser.add_argument("database")
    given = parser.parse_args()
    pin(SERVER_CORE)
    if given.kind == "bare":
        asyncio.run(serve_bare(given.ready))
    else:
        asyncio.run(serve_keys(given.ready, given.database))
