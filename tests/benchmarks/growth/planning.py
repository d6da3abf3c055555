"""Plans of many declared keys: seconds, and memory, which must stay flat.

Each inbox has a key. `new`: there are no keys yet. `kept`: each key is listed, its secret is in a
file, and its entry is in the ledger.
"""

from __future__ import annotations

import hashlib
import os
import resource
import tempfile
import time
from pathlib import Path
from typing import Any

from measure import report

from agentkeys import AgentryClient
from agentkeys.fleet.manifest.declared import Account
from agentkeys.fleet.planning import Settings, plan_of, read
from agentkeys.keys import Scope
from agentkeys.lifecycle.journal.ids import new_id
from agentkeys.lifecycle.journal.lines import dumped
from agentkeys.lifecycle.journal.reading import file_of
from agentkeys.lifecycle.machine.moments import now
from agentkeys.lifecycle.machine.states import Entry, Kept, Plan
from growth.children import child, say
from growth.declaring import FILES, declare
from growth.service import answering


def run(sizes: tuple[int, ...]) -> None:
    """Print a row for each size."""
    for kind, wanted in {"new": "issue", "kept": "nothing"}.items():
        rows = []
        for size in sizes:
            found = _planned(kind, size)
            assert found["counts"] == {wanted: size}, found["counts"]
            seconds = found["read"] + found["plan"]
            grown, whole = (found["most"] - found["before"]) / 2**20, found["most"] / 2**20
            rows.append(
                (
                    f"{size:,} keys",
                    f"{seconds:.1f} s ({size / seconds:,.0f} a second)",
                    f"read {found['read']:.1f} s; {grown:.1f} MiB more, {whole:.0f} MiB in all",
                )
            )
        report(f"plan, {kind}", rows)


def _planned(kind: str, size: int) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as name, answering(kind) as url:
        folder = Path(name)
        declare(folder, size, store=FILES)
        if kind == "kept":
            _keep(folder, size, url)
        with child("planner", name, url, env={"AGENTKEYS_HOME": f"{name}/home"}) as process:
            found: dict[str, Any] = process.hear()
            return found


def _keep(folder: Path, size: int, url: str) -> None:
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
        path = file_of(ledger, new_id(scope))
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(dumped(entry))


async def plan(folder: str, url: str) -> None:
    """Plan in this process; say how long it took, and what memory it took at most."""
    async with AgentryClient("a-token", base_url=url) as client:
        await client.inbox("agent0@acme.to").api_keys.list().collect()
        before, begun = _most_memory(), time.perf_counter()
        with read(Path(folder, "agentkeys.toml")) as made:
            loaded = time.perf_counter()
            await plan_of(made, client, Account("agentry"), Settings(jobs=32))
            ended = time.perf_counter()
            say(
                {
                    "counts": dict(made.counts),
                    "read": loaded - begun,
                    "plan": ended - loaded,
                    "before": before,
                    "most": _most_memory(),
                }
            )


def _most_memory() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
