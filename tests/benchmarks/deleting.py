"""`agentkeys ... delete` of many keys over a slow network, beside one key after the other."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from typing import Final

from measure import report

from agentkeys import PasswordLogin, sync
from agentkeys.server.faults import DELETES, Delay

_LATENCY: Final = 0.05


def run(*, keys: int = 500) -> None:
    """Print the seconds, and the ratio of the default to one after the other."""
    with sync.LocalService() as service:
        service.faults.add(DELETES, Delay(_LATENCY), times="always")
        one = _seconds(service, keys, "--jobs", "1")
        many = _seconds(service, keys)
    rows = [
        ("--jobs 1", f"{one:.2f} s", ""),
        ("default", f"{many:.2f} s", ""),
        ("ratio", f"{many / one:.3f}", "below 0.1"),
    ]
    report(f"{keys} deletions over {_LATENCY * 1e3:g} ms of latency, by the command line", rows)


def _seconds(service: sync.LocalService, keys: int, *options: str) -> float:
    with sync.AgentityClient(
        PasswordLogin(service.email, service.password), base_url=service.url
    ) as client:
        ids = [client.api_keys.create(f"bot-{n}").id for n in range(keys)]
    environment = {
        "AGENTITY_BASE_URL": service.url,
        "AGENTITY_EMAIL": service.email,
        "AGENTITY_PASSWORD": service.password,
    }
    command = [sys.executable, "-m", "agentkeys", "agentity", "delete", "-", *options]
    begun = time.perf_counter()
    subprocess.run(
        command,
        input="\n".join(map(str, ids)),
        env=os.environ | environment,
        text=True,
        capture_output=True,
        check=True,
    )
    return time.perf_counter() - begun


if __name__ == "__main__":
    run()
