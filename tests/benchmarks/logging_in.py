"""Commands one after the other that share a login, beside commands that each log in."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from typing import Final

from measure import report

from agentkeys import sync
from agentkeys.server.faults import LISTS, LOGIN, Delay

_LATENCY: Final = 0.05


def run(*, commands: int = 20) -> None:
    """Print the seconds of a command, and how many logins and refreshes the service saw."""
    # A password that somebody has chosen, or its hash at the service would cost next to nothing.
    with (
        sync.LocalService(password="correct horse") as service,
        tempfile.TemporaryDirectory() as home,
    ):
        for routes in (LISTS, LOGIN):
            service.faults.add(routes, Delay(_LATENCY), times="always")
        environment = {
            "AGENTKEYS_HOME": home,
            "AGENTITY_BASE_URL": service.url,
            "AGENTITY_EMAIL": service.email,
            "AGENTITY_PASSWORD": service.password,
        }
        seconds: dict[str, list[float]] = {"--no-cache": [], "--json": []}
        logins = dict.fromkeys(seconds, 0)
        # In turn, so that a machine that is busy for a while is busy for both.
        for _ in range(commands):
            for option, taken in seconds.items():
                service.requests.clear()
                taken.append(_seconds(environment, option))
                logins[option] += sum("/auth/token" in each.path for each in service.requests)
    each, shared = (statistics.median(taken) for taken in seconds.values())
    rows = [
        ("each logs in", f"{each * 1e3:.0f} ms a command", f"{logins['--no-cache']} logins"),
        ("one login", f"{shared * 1e3:.0f} ms a command", f"{logins['--json']} login"),
        ("ratio", f"{shared / each:.2f}", ""),
    ]
    report(f"{commands} commands over {_LATENCY * 1e3:g} ms of latency", rows)


def _seconds(environment: dict[str, str], option: str) -> float:
    command = [sys.executable, "-m", "agentkeys", "agentity", "list", option]
    begun = time.perf_counter()
    subprocess.run(command, env=os.environ | environment, capture_output=True, check=True)
    return time.perf_counter() - begun


if __name__ == "__main__":
    run()
