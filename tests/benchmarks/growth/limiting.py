"""One rate for two processes: what the service sees of it."""

from __future__ import annotations

import asyncio
import os
import tempfile
import time
from contextlib import ExitStack
from itertools import count
from pathlib import Path

from busiest import busiest_second
from measure import report

from agentkeys import AgentryClient
from agentkeys.rates.postgres import PostgresRateLimit
from growth.children import child, say, told
from growth.database import started
from growth.service import TOKEN, serving

AT_ONCE = 32
"""How many requests of a process wait for their turn, so that none is left unused."""


def run(rate: float, seconds: float) -> None:
    """Print how many requests reached the service, in all and in the busiest second."""
    with (
        tempfile.TemporaryDirectory() as name,
        started(Path(name)) as server,
        serving(AT_ONCE) as (service, url),
        ExitStack() as stack,
    ):
        env = {"AGENTKEYS_JOURNAL": server.new_database()}
        words = (url, str(rate), str(seconds))
        processes = [stack.enter_context(child("lister", *words, env=env)) for _ in range(2)]
        for each in processes:
            each.hear()
        begun = time.time()
        for each in processes:
            each.tell()
        sent = [each.hear() for each in processes]
        times = service.ask(begun)["times"]
    whole = times[-1] - times[0]
    held = f"{(len(times) - 1) / whole:.1f} a second over {whole:.1f} s"
    row = (
        f"{rate:g} a second, 2 processes",
        f"{busiest_second(times)} in the busiest",
        f"{held}; by each: {', '.join(map(str, sent))}",
    )
    report("one rate for all, as the service sees it", [row])


async def lister(url: str, rate: str, seconds: str) -> None:
    """List keys as fast as the shared limit permits, for so many seconds; say how often."""
    limit = PostgresRateLimit(float(rate), os.environ["AGENTKEYS_JOURNAL"], name="benchmark")
    sent = count()
    async with AgentryClient(TOKEN, base_url=url, rate=limit) as client:
        say("ready")
        await told()
        end = time.monotonic() + float(seconds)

        async def lists(n: int) -> None:
            keys = client.inbox(f"agent{n}@acme.to").api_keys
            while time.monotonic() < end:
                await keys.list().first()
                next(sent)

        await asyncio.gather(*(lists(n) for n in range(AT_ONCE)))
    say(next(sent))
