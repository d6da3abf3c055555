"""`issue` beside a plain `create`: the same request, and what it costs to be sure of the secret."""

from __future__ import annotations

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
    from collections.abc import Callable


def run(*, calls: int = 200) -> None:
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
            rows = [(name, _figure(work, calls, service), "") for name, work in works.items()]
    del os.environ["AGENTKEYS_HOME"]
    report("A key made by a blocking client, on a service in memory", rows)


def _figure(work: Callable[[], Any], calls: int, service: sync.LocalService) -> str:
    work()
    service.requests.clear()
    begun = time.perf_counter()
    for _ in range(calls):
        work()
    milliseconds = 1e3 * (time.perf_counter() - begun) / calls
    return f"{milliseconds:.2f} ms  {service.requests.count / calls:g} request"
