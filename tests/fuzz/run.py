"""Let schemathesis loose on the local service, by its own OpenAPI document.

It is run from an environment of its own (.ci/fuzz.txt), for it needs much that agentkeys does not:

    python tests/fuzz/run.py path/to/schemathesis [--seed SEED]
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import tomllib
import urllib.request
from base64 import b64encode
from pathlib import Path

from agentkeys.sync import LocalService

CONFIG = Path(__file__).with_name("schemathesis.toml")
KNOWN = tomllib.loads(CONFIG.read_text())["dictionaries"]
# The stateful phase gives one service's tokens to the other's routes if it sees both.
SERVICES = ("Agentity", "Agentry")
EXAMPLES = {"Agentity": 100, "Agentry": 50}


def access_token(service: LocalService) -> str:
    credentials = b64encode(f"{service.email}:{service.password}".encode()).decode()
    request = urllib.request.Request(  # noqa: S310 - our own address
        f"{service.url}/auth/token",
        method="POST",
        headers={"Authorization": f"Basic {credentials}"},
    )
    with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310
        return json.load(answer)["accessToken"]


def fuzz(command: str, tag: str, seed: int | None) -> int:
    """Fuzz the routes of one service, all checks, all phases; return the exit code."""
    with LocalService(access_token_lifetime=3600, recorded_requests=0) as service:
        for pod_id in KNOWN["pods"]["values"]:
            service.add_pod(pod_id)
        for inbox_id in KNOWN["inboxes"]["values"]:
            service.add_inbox(inbox_id)
        secrets = {
            "FUZZ_EMAIL": service.email,
            "FUZZ_PASSWORD": service.password,
            "FUZZ_ACCESS_TOKEN": access_token(service),
            "FUZZ_AGENTRY_TOKEN": service.agentry_token,
        }
        arguments = [
            *(command, "--config-file", str(CONFIG), "run", f"{service.url}/openapi.json"),
            *("--checks", "all", "--include-tag", tag, "--max-examples", str(EXAMPLES[tag])),
            *("--continue-on-failure", "--no-color"),
            *(() if seed is None else ("--seed", str(seed))),
        ]
        with tempfile.TemporaryDirectory() as folder:
            return subprocess.run(
                arguments, cwd=folder, env={**os.environ, **secrets}, timeout=300, check=False
            ).returncode


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("schemathesis", type=lambda path: str(Path(path).absolute()))
    parser.add_argument("--seed", type=int, help="to do a run again")
    given = parser.parse_args()
    sys.exit(max([fuzz(given.schemathesis, tag, given.seed) for tag in SERVICES]))
