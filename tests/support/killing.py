"""Programs that rotate, sweep or go back, and are killed before or after one of their effects.

What others can see of a process is what it does to the disk and to a socket. A program counts these
calls, which the interpreter reports whatever our functions are named, and kills itself at the n-th.
A run that is not killed says how many there are.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
from pathlib import Path
from typing import Any

import attrs
from chaos import BASE
from programs import Program
from rotating import Rotation, age, let_writes_be_late

from agentkeys import issue, status
from agentkeys.stores import open_store

__all__ = ["FILES", "FORMS", "UNKILLED", "Killing", "at_rest", "has_key", "spread"]

# It forks for each run, before it has a thread or a loop, so that it need not import all anew.
PROGRAM = """
    import asyncio, itertools, json, os, signal, socket, sys, threading
    import agentkeys
    from agentkeys import agentity, agentry, abort, issue, rotate, sweep
    from agentkeys.stores import open_store
    from agentkeys.transport import session

    at_once = agentkeys.RetryPolicy(base=0.0)
    changes = {
        "posix": {"write", "ftruncate", "mkdir", "rename", "replace", "rmdir", "unlink"},
        "fcntl": {"flock"},
    }

    def is_point(event, called):
        # Whoever receives has been answered, so it is a point of its own that all is sent. No point
        # is what others cannot see: a file that is read, or an `fsync`, which no kill shows.
        if isinstance(called.__self__, socket.socket):
            names = {"c_call": {"send", "recv"}, "c_return": {"send"}}
            return called.__self__.family == socket.AF_INET and called.__name__ in names[event]
        return event == "c_call" and called.__name__ in changes.get(called.__module__, ())

    def asks_a_database(frame):
        # Before, and after, each answer of the journal in PostgreSQL, which libpq talks to.
        code = frame.f_code
        return code.co_name == "wait" and code.co_filename.endswith("postgres/database.py")

    async def main(job):
        def then(announcement):
            with open(job["told"], "a") as file:
                file.write(announcement.rotation + "\\n")

        if job["which"] == "agentity":
            login = agentkeys.PasswordLogin(job["email"], job["password"])
            client = agentkeys.AgentityClient(login, base_url=job["url"], retry=at_once)
        else:
            client = agentkeys.AgentryClient(job["token"], base_url=job["url"], retry=at_once)
        async with client:
            keys = client.api_keys
            if job["which"] == "agentry":
                keys = client.inbox(job["inbox"]).api_keys
            how = {"then": then} if job["tells"] else {}
            if job["replaces"] is not None:
                how["replaces"] = job["replaces"]
            try:
                if job["does"] == "issue":
                    await issue(keys, job["name"], into=open_store(job["store"]))
                elif job["does"] == "rotate":
                    store = open_store(job["store"])
                    await rotate(keys, job["name"], into=store, grace=job["grace"], **how)
                elif job["does"] == "sweep":
                    await sweep(keys, then=then)
                else:
                    await abort(keys, job["name"], secret=job["secret"])
            except agentkeys.AgentKeysError as error:
                return type(error).__name__
        return "done"

    def run(job):
        points = itertools.count()

        def watch(frame, event, called):
            is_of_c = event in {"c_call", "c_return"}
            is_one = is_point(event, called) if is_of_c else asks_a_database(frame)
            if is_one and next(points) == job["point"]:
                os.kill(os.getpid(), signal.SIGKILL)

        os.environ["AGENTKEYS_HOME"] = job["home"]
        if job["journal"]:
            os.environ["AGENTKEYS_JOURNAL"] = job["journal"]
        threading.setprofile(watch)
        sys.setprofile(watch)
        ended = asyncio.run(main(job))
        sys.setprofile(None)
        with open(job["ended"], "a") as file:
            file.write(ended + "\\n")
        return f"{ended}:{next(points)}"

    for line in sys.stdin:
        children = []
        for job in json.loads(line):
            open_store(job["store"])  # so that no child must import what it needs
            if job["journal"]:
                import psycopg, sqlalchemy.dialects.postgresql.psycopg
                import agentkeys.lifecycle.journal.postgres
            reading, writing = os.pipe()
            child = os.fork()
            if not child:
                os.write(writing, run(job).encode())
                os._exit(0)
            os.close(writing)
            children.append((child, reading))
        ended = []
        for child, reading in children:
            with open(reading) as pipe:
                ended.append(pipe.read() or "killed:0")
            os.waitpid(child, 0)
        print(*ended)
"""
UNKILLED = -1


FORMS = {
    "dotenv": "dotenv:{folder}/.env#{name}",
    "file": "file:{folder}/{name}",
    "aws": "aws:run-{folder.name}/{name}?region=eu-west-1",
    "vault": "vault:kv/run-{folder.name}#{name}",
    "kubernetes": "kubernetes:agents/run-{folder.name}#{name}",
}
"""The stores whose writers are killed."""
FILES = {"dotenv": [".env"], "file": ["KEY"]}
"""The files that hold a secret in the end, where a store keeps it in a file."""


def has_key(path: Path) -> bool:
    """Whether a whole secret of either service is in a file."""
    return re.search(rb"(agk_live|ag)_\w{38}", path.read_bytes()) is not None


@attrs.define
class Killing:
    """Rotations of one service, each in a folder of its own."""

    service: Any
    keys: Any
    which: str
    folder: Path
    monkeypatch: Any
    tells: bool = True
    grace: float = 0.0
    form: str = "dotenv"
    _program: Any = None
    _runs: int = 0

    async def begin_with_nothing(self) -> None:
        """Go to a folder, a journal and a place in the store that are new."""
        self._runs += 1
        self.here.mkdir()
        self.monkeypatch.setenv("AGENTKEYS_HOME", str(self.here / "home"))
        for key in await self.keys.list().collect():
            await self.keys.delete(key.id)

    async def begin(self) -> Rotation:
        """Issue a key, in a folder and with a journal of its own."""
        await self.begin_with_nothing()
        store = open_store(self.address)
        issued = await issue(self.keys, BASE, into=store)
        secret = (await store.read()).secret
        assert secret is not None
        return Rotation(self.service, self.keys, store, issued.key, secret)

    @property
    def here(self) -> Path:
        return self.folder / str(self._runs)

    @property
    def address(self) -> str:
        return FORMS[self.form].format(folder=self.here, name="KEY")

    def told(self) -> list[str]:
        """Return which rotations were told of."""
        path = self.here / "told"
        return path.read_text().split() if path.exists() else []

    def ended(self) -> list[str]:
        """Return how those have ended that were not killed, as soon as they have."""
        path = self.here / "ended"
        return path.read_text().split() if path.exists() else []

    def job(self, does: str, point: int = UNKILLED, **more: Any) -> dict[str, Any]:
        return {
            "does": does,
            "which": self.which,
            "point": point,
            "name": BASE,
            "grace": self.grace,
            "tells": self.tells,
            "told": str(self.here / "told"),
            "ended": str(self.here / "ended"),
            "store": self.address,
            "home": os.environ["AGENTKEYS_HOME"],
            "journal": os.environ.get("AGENTKEYS_JOURNAL", ""),
            "url": self.service.url,
            "email": self.service.email,
            "password": self.service.password,
            "token": self.service.agentry_token,
            "inbox": self.service.inbox_id,
            "replaces": None,
            "secret": None,
            **more,
        }

    async def run(self, *jobs: dict[str, Any], faults: Any = ()) -> list[tuple[str, int]]:
        """Run them at once; return how each ended, and how many points it had."""
        added = [self.service.faults.add(routes, kind, when=when) for routes, kind, when in faults]
        said = await asyncio.to_thread(self._said, json.dumps(jobs))
        for fault in added:
            fault.remove()
        return [(word.partition(":")[0], int(word.partition(":")[2])) for word in said.split()]

    def _said(self, line: str) -> str:
        if self._runs % 8 == 1:  # it is killed when it takes too long
            self.close()
        self._program = self._program or Program(PROGRAM)
        self._program.tell(line)
        return self._program.read()

    def close(self) -> None:
        if self._program is not None:
            self._program.kill()
            self._program = None


def spread(points: int, most: int | None) -> list[int]:
    """Return all of the points, or so many of them, evenly."""
    if most is None or most >= points:
        return list(range(points))
    return [(2 * number + 1) * points // (2 * most) for number in range(most)]


async def at_rest(killing: Killing, rotation: Rotation) -> str:
    """Sweep until all is quiet; see that the laws hold, and that nothing is left to be done."""
    await rotation.lawful_without_the_journal()
    let_writes_be_late()
    then = (lambda announcement: told(killing, announcement)) if killing.tells else None
    which, swept = await rotation.at_rest(then=then)
    assert swept.unresolved == ()
    if age(killing.grace):
        which, swept = await rotation.at_rest(then=then)
    found = await status()
    assert found.retiring == ()
    # What a create that nobody heard of may still come to, is not there.
    assert {each.state for each in found.under_way} <= {"asking"}
    assert {each.key_id for each in found.under_way} <= {None}
    listed = (await rotation.listed()).values()
    assert [each.key_name for each in found.kept] == [key.name for key in listed]
    if which == "new" and killing.tells:
        assert killing.told(), "the old key is gone, and nobody was told"
    secrets = [path for path in killing.here.rglob("*") if path.is_file() and has_key(path)]
    assert [path.name for path in secrets] == FILES.get(killing.form, [])
    return which


def told(killing: Killing, announcement: Any) -> None:
    with (killing.here / "told").open("a") as file:
        file.write(f"{announcement.rotation}\n")
