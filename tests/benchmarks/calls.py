"""CPU time of a call: raw aiohttp, this client async and blocking, and others if installed."""

from __future__ import annotations

import asyncio
import json
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import aiohttp
from from_memory import server
from measure import compare, report

from agentkeys import AgentryClient
from agentkeys.sync import AgentryClient as BlockingAgentryClient

if TYPE_CHECKING:
    from collections.abc import Callable

INBOX = "support@acme.to"
PATH = "/human/v0/inboxes/support%40acme.to/api-keys"
HEADERS = {"Authorization": "Bearer ag_x"}
# What each figure must be, as a multiple of the base named with it.
TARGETS = {(1, "agentkeys"): 1.2, (100, "agentkeys"): 2.0}


def run(*, calls: int = 300) -> None:
    """Print the table for pages of 1 and of 100 keys."""
    for keys in (1, 100):
        with server(keys) as url:
            compared(keys, url, max(calls // (4 if keys > 1 else 1), 1))


def compared(keys: int, url: str, calls: int) -> None:
    loop = asyncio.new_event_loop()
    raw = loop.run_until_complete(opened())
    client = AgentryClient("ag_x", base_url=url)
    blocking = BlockingAgentryClient("ag_x", base_url=url)

    async def raw_list() -> object:
        async with raw.get(url + PATH, headers=HEADERS) as response:
            return json.loads(await response.read())

    async def our_list() -> object:
        return await client.inbox(INBOX).api_keys.list().first()

    async def repeated(call: Callable[[], Any]) -> None:
        for _ in range(calls):
            await call()

    def repeat(call: Callable[[], Any]) -> None:
        for _ in range(calls):
            call()

    works: dict[str, Callable[[], object]] = {
        "raw aiohttp and json": lambda: loop.run_until_complete(repeated(raw_list)),
        "agentkeys": lambda: loop.run_until_complete(repeated(our_list)),
        "agentkeys, blocking": lambda: repeat(
            lambda: blocking.inbox(INBOX).api_keys.list().first()
        ),
        **{name: lambda call=call: repeat(call) for name, call in others(url).items()},
    }
    seconds, ratios = compare(works)
    rows = []
    for name in works:
        target = TARGETS.get((keys, name))
        figure = f"{1e6 * seconds[name] / calls:,.0f} us  {ratios[name]:6.2f} x raw"
        rows.append((name, figure, f"at most {target} x raw" if target else ""))
    if "requests" in works and keys == 1:
        ratio = ratios["agentkeys, blocking"] / ratios["requests"]
        rows.append(("blocking beside requests", f"{ratio:.2f} x requests", "at most 0.5"))
    report(f"CPU time of one list, {keys} key{'s' if keys > 1 else ''} on the page", rows)
    blocking.close()
    loop.run_until_complete(client.close())
    loop.run_until_complete(raw.close())
    loop.close()


async def opened() -> aiohttp.ClientSession:
    return aiohttp.ClientSession()


def others(url: str) -> dict[str, Callable[[], object]]:
    """Return a list call of each other client that is installed."""
    calls: dict[str, Callable[[], object]] = {}
    if find_spec("requests"):
        import requests

        session = requests.Session()
        calls["requests"] = lambda: session.get(url + PATH, headers=HEADERS, timeout=30).json()
    if find_spec("agentmail"):
        import agentmail
        from agentmail.environment import AgentMailEnvironment

        here = AgentMailEnvironment(http=url, websockets=url)
        mail = agentmail.AgentMail(api_key="ag_x", environment=here)
        calls["agentmail"] = mail.api_keys.list
    return calls
