"""Install a wheel with each of its extras in a fresh environment, try it there, and say its size.

Usage: extras.py UV WHEEL, in the folder of pyproject.toml.

Exits 1 if an extra is not there, does not do what it is for, or is not known here.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path
from typing import Final

# What each extra is for, as a program that has it alone.
PROGRAMS: Final = {
    "": "from agentkeys import AgentityClient; AgentityClient('token')",
    "cli": "from agentkeys.cli import commands; commands(['--help'], standalone_mode=False)",
    "server": "from agentkeys.sync import LocalService\nwith LocalService() as it: print(it.url)",
    "issue": """
import asyncio
from agentkeys import Secret
from agentkeys.stores import open_store
asyncio.run(open_store("dotenv:.env#KEY").write(Secret("not a key")))
""",
    "aws": """
import asyncio, os
from agentkeys.stores import open_store
os.environ |= {"AWS_ACCESS_KEY_ID": "none", "AWS_SECRET_ACCESS_KEY": "none"}
arn = "arn:aws:secretsmanager:eu-west-1:111122223333:secret:none-AbCdEf"
print(asyncio.run(open_store(f"aws:{arn}").identity()))
""",
    "keyring": "from agentkeys.stores import open_store; open_store('keyring:service#name')",
    "kubernetes": """
import json, os, pathlib
pathlib.Path("kubeconfig").write_text(json.dumps({
    "current-context": "c",
    "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
    "clusters": [{"name": "c", "cluster": {"server": "http://127.0.0.1:1"}}],
    "users": [{"name": "u", "user": {}}],
}))
os.environ["KUBECONFIG"] = "kubeconfig"
from agentkeys.stores import open_store
open_store("kubernetes:namespace/secret#key")
""",
    "vault": "from agentkeys.stores import open_store; open_store('vault:kv/path#field')",
    "testing": """
import pathlib, pytest
test = "def test_it(agentkeys_service):\\n    assert agentkeys_service.url"
pathlib.Path("test_it.py").write_text(test)
assert pytest.main(["-q", "test_it.py"]) == 0
""",
    "otel": """
from agentkeys.observers.opentelemetry import OpenTelemetryObserver
OpenTelemetryObserver()
""",
    "postgres": """
from agentkeys.lifecycle.journal.postgres import PostgresJournal
print(PostgresJournal("postgresql://127.0.0.1:1/none").describe())
""",
    "fleet": """
from agentkeys.fleet.engine import Queue
from agentkeys.secret import Secret
Queue(Secret("postgresql://127.0.0.1:1/none"))
""",
    "speedups": "import agentkeys.transport.reading.json, sys; assert 'orjson' in sys.modules",
}
# What developers need is used by the rest of .ci/run, so its import is enough.
FOR_DEVELOPERS: Final = {
    "docs": "import sphinx, myst_parser, furo",
    "test": "import pytest_asyncio",
}
ALL: Final = {"all": "\n".join(PROGRAMS.values())}


def main(uv: str, wheel: str) -> int:
    """Try all extras, and return the exit status."""
    project = tomllib.loads(Path("pyproject.toml").read_text())["project"]
    programs = PROGRAMS | FOR_DEVELOPERS | ALL
    extras = {"", *project["optional-dependencies"]}
    if extras != set(programs):
        print("not in both pyproject.toml and .ci/extras.py:", *sorted(extras ^ set(programs)))
        return 1
    broken = [extra for extra in sorted(extras) if not is_good(uv, wheel, extra, programs[extra])]
    return 1 if broken else 0


def is_good(uv: str, wheel: str, extra: str, program: str) -> bool:
    """Install the wheel with an extra, run the program there, and print what came of it."""
    what = f"{wheel}[{extra}]" if extra else wheel
    with tempfile.TemporaryDirectory() as folder:
        python = f"{folder}/.venv/bin/python"
        for command in (
            [uv, "venv", "-q", "--python", sys.executable, f"{folder}/.venv"],
            [uv, "pip", "install", "-q", "--python", python, what],
            [python, "-P", "-c", program],
        ):
            ended = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)  # noqa: S603
            if ended.returncode:
                print(f"the extra {extra!r} is broken:", ended.stdout, ended.stderr, sep="\n")
                return False
        print(f"{extra or '(none)':>10}: {size_of(Path(folder))}")
    return True


def size_of(folder: Path) -> str:
    """Say how much is installed there, apart from what Python compiles."""
    [packages] = folder.glob(".venv/lib/python*/site-packages")
    files = [each for each in packages.rglob("*") if each.is_file() and each.suffix != ".pyc"]
    number = len([*packages.glob("*.dist-info")])
    return f"{sum(each.stat().st_size for each in files) / 2**20:6.1f} MiB, {number} distributions"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], str(Path(sys.argv[2]).absolute())))
