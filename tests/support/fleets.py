"""A fleet of inboxes, each of which shall have a key, and what became of them."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs

from agentkeys.agentry import AgentryClient
from agentkeys.fleet.engine import Queue, Which, Worker
from agentkeys.fleet.manifest.declared import Declared
from agentkeys.fleet.pace import Pace
from agentkeys.fleet.places import account_of
from agentkeys.server import LocalService

if TYPE_CHECKING:
    import subprocess
    from collections.abc import AsyncIterator, Awaitable, Callable

__all__ = ["LEASE", "Fleet", "ended", "is_done", "running", "until", "worker_of"]

LEASE = 5
"""Seconds that a busy machine prolongs in time, and after which a killed worker's keys are free."""

EACH = """
[defaults]
max_age = "90d"
{defaults}
[keys.each]
from = "inboxes.csv"
service = "agentry"
inbox = "{{inbox}}"
name = "agent-{{slug}}"
store = "{store}"
"""


@attrs.frozen
class Fleet:
    """Many inboxes, and a file that declares a key for each.

    Attributes:
        folder: where the file lies.
        service: the service that has the inboxes.
        client: a client of it.
        inboxes: their names.
    """

    folder: Path
    service: LocalService
    client: AgentryClient
    inboxes: list[str]

    @property
    def file(self) -> Path:
        return self.folder / "agentkeys.toml"

    def address(self, n: int) -> str:
        return f"file:{self.folder}/run/key-{n}"

    def declare(
        self, *, defaults: str = "", inboxes: list[str] | None = None, more: str = ""
    ) -> None:
        """Write the file, and the rows."""
        named = self.inboxes if inboxes is None else inboxes
        rows = [f"{inbox},{self.inboxes.index(inbox)}" for inbox in named]
        (self.folder / "inboxes.csv").write_text("\n".join(["inbox,slug", *rows, ""]))
        store = "file:run/key-{slug}"
        self.file.write_text(EACH.format(defaults=defaults, store=store) + more)

    async def keys(self, n: int) -> list[Any]:
        """Return the keys of an inbox."""
        return list(await self.client.inbox(self.inboxes[n]).api_keys.list().collect())

    async def whole(self) -> dict[str, list[str]]:
        """Return the names of all keys, by inbox, without what each nonce adds."""
        return {
            inbox: [key.name.partition("~")[0] for key in await self.keys(n)]
            for n, inbox in enumerate(self.inboxes)
        }

    async def is_as_declared(self, *but: int, count: int | None = None) -> bool:
        """Whether each inbox has one key of its name, whose secret is in its store and lives.

        Args:
            *but: the numbers of inboxes that shall have none.
            count: how many inboxes are declared; all by default.

        """
        wanted = {*range(len(self.inboxes) if count is None else count)} - {*but}
        return await self.made() == wanted and sum(map(len, (await self.whole()).values())) == len(
            wanted
        )

    async def made(self) -> set[int]:
        """Return the numbers of the inboxes whose key works, and is stored."""
        made = set()
        for n, names in enumerate((await self.whole()).values()):
            path = self.folder / "run" / f"key-{n}"
            is_live = path.is_file() and await self.service.is_live(path.read_text().strip())
            if is_live and names == [f"agent-{n}"]:
                made.add(n)
        return made

    @property
    def stored(self) -> int:
        """In how many stores there is something."""
        return sum(1 for _ in (self.folder / "run").iterdir())

    def which(self, n: int) -> Which:
        """Return which key a job for this inbox is about."""
        return Which.of(Declared("agentry", f"agent-{n}", "file:x", self.inboxes[n]))


def worker_of(fleet: Fleet, queue: Queue, **pace: Any) -> Worker:
    """Return a worker in this process."""
    clients = {account_of(fleet.client): fleet.client}
    return Worker(str(fleet.file), queue, clients, pace=Pace(**pace))


@asynccontextmanager
async def running(worker: Worker) -> AsyncIterator[None]:
    """Have a worker run meanwhile."""
    task = asyncio.create_task(worker.run())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait([task])


async def is_done(fleet: Fleet, queue: Queue, count: int | None = None) -> bool:
    """Whether nothing waits and nothing runs, and all keys are as declared."""
    counts = await queue.counts()
    return counts.todo == counts.doing == 0 and await fleet.is_as_declared(count=count)


async def until(happened: Callable[[], Awaitable[bool]], seconds: float = 60.0) -> None:
    """Wait for what processes do soon."""
    async with asyncio.timeout(seconds):
        while not await happened():  # noqa: ASYNC110  # another process changes it, unheard
            await asyncio.sleep(0.05)


async def ended(process: subprocess.Popen[Any]) -> int:
    """Return the exit code of a process, when it has ended."""
    return await asyncio.to_thread(process.wait, 60)
