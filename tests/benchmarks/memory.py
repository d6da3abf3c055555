"""What calls leave behind: memory, threads and file descriptors."""

from __future__ import annotations

import gc
import threading
import tracemalloc
from pathlib import Path

from from_memory import server
from measure import report

from agentkeys.sync import AgentryClient

CALLS, PAGERS = 20_000, 2_000


def run() -> None:
    """Print what is there after a warm-up, and after all of it."""
    with server(2, pages=50) as url, AgentryClient("ag_x", base_url=url) as client:
        work(client, CALLS // 20, PAGERS // 20)
        tracemalloc.start()
        work(client, CALLS // 20, PAGERS // 20)
        before = state()
        work(client, CALLS, PAGERS)
        after = state()
        tracemalloc.stop()
    report(
        f"{CALLS:,} calls and {PAGERS:,} pagers left half-way",
        [
            ("memory", f"{before[0]:,} -> {after[0]:,} bytes", "flat"),
            ("threads", f"{before[1]} -> {after[1]}", "as before"),
            ("file descriptors", f"{before[2]} -> {after[2]}", "as before"),
        ],
    )


def work(client: AgentryClient, calls: int, pagers: int) -> None:
    for _ in range(calls):
        client.api_keys.list().first()
    for _ in range(pagers):
        for n, _ in enumerate(client.api_keys.list()):
            if n == 3:  # on the second page, with the third one read ahead
                break
    # The last pagers are closed on the client's thread: a call goes through after them.
    client.api_keys.list().first()


def state() -> tuple[int, int, int]:
    gc.collect()
    return (
        tracemalloc.get_traced_memory()[0],
        threading.active_count(),
        sum(1 for _ in Path("/proc/self/fd").iterdir()),
    )
