"""What paging costs: blocking beside async, and read-ahead beside none."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

from from_memory import server
from measure import compare, report, wall_seconds

from agentkeys import AgentryClient
from agentkeys.sync import AgentryClient as BlockingAgentryClient

if TYPE_CHECKING:
    from collections.abc import Callable

MS = 0.001


def run() -> None:
    """Print both tables."""
    with server(100, pages=100) as url:
        many_keys(url)
    with server(10, pages=20, seconds=30 * MS) as url:
        read_ahead(url)


def many_keys(url: str) -> None:
    loop = asyncio.new_event_loop()
    client = AgentryClient("ag_x", base_url=url)
    blocking = BlockingAgentryClient("ag_x", base_url=url)

    async def all_of_it() -> int:
        return sum([1 async for _ in client.api_keys.list(limit=100)])

    works: dict[str, Callable[[], object]] = {
        "async": lambda: loop.run_until_complete(all_of_it()),
        "blocking": lambda: sum(1 for _ in blocking.api_keys.list(limit=100)),
    }
    assert works["async"]() == works["blocking"]() == 10_000
    seconds, ratios = compare(works)
    report(
        "10,000 keys over pages of 100, CPU time",
        [
            ("async", f"{1000 * seconds['async']:.0f} ms", ""),
            (
                "blocking",
                f"{1000 * seconds['blocking']:.0f} ms  {ratios['blocking']:.2f} x async",
                "at most 1.5 x async",
            ),
        ],
    )
    blocking.close()
    loop.run_until_complete(client.close())
    loop.close()


def read_ahead(url: str) -> None:
    client = BlockingAgentryClient("ag_x", base_url=url)

    def work() -> None:
        end = time.perf_counter() + 30 * MS
        while time.perf_counter() < end:
            pass

    def with_it() -> None:
        for _ in client.api_keys.list().pages():
            work()

    def without() -> None:
        page = client.api_keys.list().first()
        work()
        while page.next_page_token:
            page = client.api_keys.list(page_token=page.next_page_token).first()
            work()

    seconds, ratios = compare({"without": without, "with": with_it}, wall_seconds, rounds=5)
    report(
        "20 pages, 30 ms of latency and 30 ms of work each, time on the clock",
        [
            ("page by page", f"{1000 * seconds['without']:.0f} ms", ""),
            (
                "read ahead",
                f"{1000 * seconds['with']:.0f} ms  {ratios['with']:.2f} x",
                "at most 0.6 x",
            ),
        ],
    )
    client.close()
