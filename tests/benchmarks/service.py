"""The local service under load from a second process, beside a bare aiohttp.web handler.

The server runs on one core and the load on another, where the machine lets us say so.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path

import aiohttp
from aiohttp import web
from measure import report

from agentkeys import AgentityClient, PasswordLogin
from agentkeys.server import LocalService

CONNECTIONS, KEYS = 32, 50
SERVER_CORE, LOAD_CORE = 0, 1


def run(*, rounds: int = 7, seconds: float = 1.0) -> None:
    """Print requests a second of each kind, and how they compare in the same round."""
    figures: dict[str, list[float]] = {"bare": [], "lists": [], "creates": []}
    for _ in range(rounds):
        for kind, each in figures.items():
            command = [sys.executable, __file__, kind, str(seconds)]
            done = subprocess.run(command, check=True, capture_output=True, text=True)
            each.append(float(done.stdout))
    rows = [
        ("a bare aiohttp.web handler", "bare", ""),
        (f"lists of {KEYS} keys", "lists", "at least 3,000"),
        ("durable creates", "creates", "at least 1,200"),
    ]
    report(
        f"The local service, {CONNECTIONS} connections, one core, requests a second (of the bare)",
        [(what, _shown(figures[kind], figures["bare"]), target) for what, kind, target in rows],
    )


def _shown(rates: list[float], bare: list[float]) -> str:
    share = statistics.median(rate / base for rate, base in zip(rates, bare, strict=True))
    return f"{statistics.median(rates):,.0f} ({share:.2f})"


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


async def load(kind: str, url: str, email: str, password: str, seconds: float) -> float:
    """Send requests over all connections for some seconds; return how many a second."""
    headers = {}
    if kind != "bare":
        login = PasswordLogin(email, password)
        async with AgentityClient(login, base_url=url) as client:
            for n in range(KEYS):
                await client.api_keys.create(f"key {n}")
            token = login.current()
        assert token is not None
        headers["Authorization"] = f"Bearer {token.reveal()}"
        url += "/auth/api-keys"
    end = time.perf_counter() + seconds
    connector = aiohttp.TCPConnector(limit=CONNECTIONS)
    async with aiohttp.ClientSession(connector=connector, headers=headers) as session:

        async def keep_busy(worker: int) -> int:
            sent = 0
            while time.perf_counter() < end:
                body = {"nickname": f"{worker} {sent}"} if kind == "creates" else None
                method = "POST" if body else "GET"
                async with session.request(method, url, json=body) as response:
                    await response.read()
                    assert response.status < 300
                sent += 1
            return sent

        begun = time.perf_counter()
        total = sum(await asyncio.gather(*(keep_busy(n) for n in range(CONNECTIONS))))
        return total / (time.perf_counter() - begun)


def pin(core: int) -> None:
    with suppress(AttributeError, OSError):
        os.sched_setaffinity(0, {core})


def measured(kind: str, seconds: float) -> float:
    with tempfile.TemporaryDirectory() as folder:
        ready = Path(folder) / "ready"
        command = [sys.executable, __file__, f"serve-{kind}", str(ready), f"{folder}/keys.db"]
        with subprocess.Popen(command) as server:
            try:
                while not ready.exists() or not ready.read_text():
                    time.sleep(0.01)
                url, email, password = ready.read_text().split("\n")
                pin(LOAD_CORE)
                return asyncio.run(load(kind, url, email, password, seconds))
            finally:
                server.kill()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("kind")
    parser.add_argument("arguments", nargs="+")
    given = parser.parse_args()
    if given.kind == "serve-bare":
        pin(SERVER_CORE)
        asyncio.run(serve_bare(given.arguments[0]))
    elif given.kind.startswith("serve-"):
        pin(SERVER_CORE)
        asyncio.run(serve_keys(*given.arguments))
    else:
        print(measured(given.kind, float(given.arguments[0])))
