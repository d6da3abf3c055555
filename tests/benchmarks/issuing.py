"""`issue` and `rotate` beside a plain `create`: what it costs to be sure of the secret."""

from __future__ import annotations

import contextlib
import os
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from measure import report

from agentkeys import sync
from agentkeys.stores import MemoryStore

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


def run(*, calls: int = 100) -> None:
    """Print milliseconds a call, on the disk of the temporary folder."""
    with tempfile.TemporaryDirectory() as folder, sync.LocalService() as service:
        os.environ["AGENTKEYS_HOME"] = folder
        with sync.AgentryClient(service.agentry_token, base_url=service.url) as client:
            keys = client.api_keys
            store = f"dotenv:{Path(folder, '.env')}#KEY"
            works = {
                "create": partial(keys.create, "ci"),
                "issue, into memory": lambda: sync.issue(keys, "ci", into=MemoryStore()),
                "issue, into a dotenv file": lambda: sync.issue(
                    keys, "ci", into=store, replace=True
                ),
            }
            sync.issue(keys, "bot", into=(own := f"{store}_2"))
            works["rotate there, and retire the old key at once"] = lambda: sync.rotate(
                keys, "bot", into=own, grace=0
            )
            rows = [(name, _figure(work, calls, service), "") for name, work in works.items()]
    del os.environ["AGENTKEYS_HOME"]
    report("A key made by a blocking client, on a service in memory", rows)


def _figure(work: Callable[[], Any], calls: int, service: sync.LocalService) -> str:
    work()
    service.requests.clear()
    with counted() as synced:
        begun = time.perf_counter()
        for _ in range(calls):
            work()
        milliseconds = 1e3 * (time.perf_counter() - begun) / calls
    requests, syncs = service.requests.count / calls, len(synced) / calls
    return f"{milliseconds:.2f} ms  {requests:g} requests  {syncs:g} fsync"


@contextlib.contextmanager
def counted() -> Iterator[list[int]]:
    """Count what is synced: all of agentkeys does it by Python's own function."""
    synced: list[int] = []
    fsync = os.fsync

    def counting(descriptor: int) -> None:
        synced.append(descriptor)
        fsync(descriptor)

    os.fsync = counting
    try:
        yield synced
    finally:
        os.fsync = fsync
