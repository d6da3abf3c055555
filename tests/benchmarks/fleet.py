"""Plans of 1,000, 10,000 and 100,000 declared keys: seconds, and memory, which must stay flat.

usage: python tests/benchmarks/fleet.py [plan] [--sizes N...]

Each inbox has a key. The service answers from memory, in a process of its own. `new`: there are no
keys yet. `kept`: each key is listed, its secret is in a file, and its entry is in the ledger.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import json
import os
import re
import resource
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

from measure import report

from agentkeys import AgentryClient
from agentkeys.fleet.manifest.declared import Account
from agentkeys.fleet.planning import Settings, plan_of, read
from agentkeys.keys import Scope
from agentkeys.lifecycle.journal.lines import dumped
from agentkeys.lifecycle.machine.moments import now
from agentkeys.lifecycle.machine.states import Entry, Kept, Plan

if TYPE_CHECKING:
    from collections.abc import Iterator

SIZES: Final = (1_000, 10_000, 100_000)
MANIFEST: Final = """
[defaults]
max_age = "3650d"

[keys.each]
from = "inboxes.csv"
service = "agentry"
inbox = "{inbox}"
name = "agent-{slug}"
store = "file:run/{slug}"
"""
PLACE: Final = re.compile(rb" /human/v0/inboxes/agent(\d+)(?:@|%40)")


class Answering(asyncio.Protocol):
    """Answers each listing with the one key of its inbox, or with none."""

    def __init__(self, *, kept: bool) -> None:
        self._kept = kept
        self._unread = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._unread += data
        while b"\r\n\r\n" in self._unread:
            head, _, self._unread = self._unread.partition(b"\r\n\r\n")
            found = PLACE.search(head)
            keys = [key(int(found[1]))] if self._kept and found else []
            body = json.dumps({"api_keys": keys, "count": len(keys)}).encode()
            self._transport.write(
                b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: "
                + f"{len(body)}\r\n\r\n".encode()
                + body
            )


def key(n: int) -> dict[str, str]:
    return {
        "api_key_id": f"key{n}",
        "name": f"agent-{n}~aaaaaa",
        "prefix": f"ag_{n}_",
        "created_at": "2026-01-01T00:00:00Z",
        "inbox_id": f"agent{n}@acme.to",
    }


async def serve(*, kept: bool) -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Answering(kept=kept), "127.0.0.1", 0)
    host, port = server.sockets[0].getsockname()
    print(f"http://{host}:{port}", flush=True)
    await asyncio.Event().wait()


@contextmanager
def served(kind: str) -> Iterator[str]:
    """Run the server as a process of its own and give its address."""
    with subprocess.Popen(
        [sys.executable, __file__, "serve", kind], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        try:
            yield process.stdout.readline().strip()
        finally:
            process.kill()


def declare(folder: Path, size: int) -> None:
    (folder / "run").mkdir()
    (folder / "agentkeys.toml").write_text(MANIFEST)
    with (folder / "inboxes.csv").open("w") as file:
        file.write("inbox,slug\n")
        file.writelines(f"agent{n}@acme.to,{n}\n" for n in range(size))


def keep(folder: Path, size: int, url: str) -> None:
    """Write each secret and each entry, as `issue` leaves them."""
    ledger = folder / "home" / "keys"
    ledger.mkdir(parents=True)
    (folder / "home" / "attempts").mkdir()
    for path in (folder / "home", ledger, folder / "home" / "attempts"):
        path.chmod(0o700)
    os.umask(0o077)
    token = "a-token"
    account = f"a token {hashlib.sha256(token.encode()).hexdigest()[:16]}"
    since = now()
    for n in range(size):
        secret, store = f"ag_{n}_secret", f"file:{folder}/run/{n}"
        (folder / "run" / str(n)).write_text(secret)
        scope = Scope("Agentry", url, "inbox", f"agent{n}@acme.to", "human", account)
        kept = Kept(f"key{n}", hashlib.sha256(secret.encode()).hexdigest(), since)
        entry = Entry(Plan(scope, f"agent-{n}", store=store), f"agent-{n}~aaaaaa", kept)
        (ledger / f"{n:016x}.key").write_bytes(dumped(entry))


def rss() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


async def measured(folder: Path, url: str) -> dict[str, object]:
    """Plan in this process; return how long it took, and what memory it took at most."""
    async with AgentryClient("a-token", base_url=url) as client:
        await client.inbox("agent0@acme.to").api_keys.list().collect()
        before, begun = rss(), time.perf_counter()
        with read(folder / "agentkeys.toml") as made:
            loaded = time.perf_counter()
            await plan_of(made, client, Account("agentry"), Settings(jobs=32))
            ended = time.perf_counter()
            return {
                "counts": dict(made.counts),
                "read": loaded - begun,
                "plan": ended - loaded,
                "cpu": time.process_time(),
                "before": before,
                "most": rss(),
            }


def plan_one(kind: str, size: int) -> dict[str, object]:
    with tempfile.TemporaryDirectory() as name, served(kind) as url:
        folder = Path(name)
        declare(folder, size)
        if kind == "kept":
            keep(folder, size, url)
        child = subprocess.run(
            [sys.executable, __file__, "child", name, url],
            env={**os.environ, "AGENTKEYS_HOME": f"{name}/home"},
            capture_output=True,
            text=True,
            check=False,
        )
        if child.returncode:
            raise SystemExit(child.stderr)
        found: dict[str, object] = json.loads(child.stdout)
        return found


def run(sizes: tuple[int, ...] = SIZES) -> None:
    """Print a row for each size."""
    for kind in ("new", "kept"):
        rows = []
        for size in sizes:
            found = plan_one(kind, size)
            wanted = {"new": "issue", "kept": "nothing"}[kind]
            assert found["counts"] == {wanted: size}, found["counts"]
            seconds = float(found["read"]) + float(found["plan"])  # type: ignore[arg-type]
            grown = (int(found["most"]) - int(found["before"])) / 2**20  # type: ignore[call-overload]
            whole = int(found["most"]) / 2**20  # type: ignore[call-overload]
            rows.append(
                (
                    f"{size:,} keys",
                    f"{seconds:.1f} s ({size / seconds:,.0f} a second)",
                    f"read {found['read']:.1f} s; {grown:.1f} MiB more, {whole:.0f} MiB in all",
                )
            )
        report(f"plan, {kind}", rows)


if __name__ == "__main__":
    if sys.argv[1:2] == ["serve"]:
        asyncio.run(serve(kept=sys.argv[2] == "kept"))
    elif sys.argv[1:2] == ["child"]:
        print(json.dumps(asyncio.run(measured(Path(sys.argv[2]), sys.argv[3]))))
    else:
        parser = argparse.ArgumentParser(description=__doc__)
        parser.add_argument("part", nargs="?", choices=["plan"], default="plan")
        parser.add_argument("--sizes", type=int, nargs="+", default=SIZES)
        run(tuple(parser.parse_args().sizes))
