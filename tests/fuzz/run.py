"""Let schemathesis loose on the local service, by its own OpenAPI document, if that is valid.

The tools are in an environment of their own (.ci/fuzz.txt), for they need much that agentkeys does
not; its programs are in the folder that is named:

    python tests/fuzz/run.py .fuzz/bin [--seed SEED]
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

from agentkeys.server.openapi import DOCUMENT
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


def validate(tools: Path) -> int:
    """See that the document is OpenAPI 3.1; return the exit code."""
    command = [tools / "openapi-spec-validator", "--schema", "3.1", "-"]
    document = json.dumps(DOCUMENT)
    return subprocess.run(command, input=document, text=True, timeout=60, check=False).returncode


def fuzz(tools: Path, tag: str, seed: int | None) -> int:
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
            *(
                tools / "schemathesis",
                "--config-file",
                str(CONFIG),
                "run",
                f"{service.url}/openapi.json",
            ),
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
    parser.add_argument("tools", type=lambda path: Path(path).absolute())
    parser.add_argument("--seed", type=int, help="to do a run again")
    given = parser.parse_args()
    codes = [validate(given.tools), *(fuzz(given.tools, tag, given.seed) for tag in SERVICES)]
    sys.exit(max(codes))
