"""Killed with SIGKILL before and after all that `issue` does: a sweep leaves no key that is lost.

What others can see of a process is what it does to the disk and to a socket. A program counts these
calls, which the interpreter reports whatever our functions are named, and kills itself at the n-th.
A run that is not killed says how many there are.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import os
import signal
from typing import TYPE_CHECKING, Any

import pytest
from chaos import BASE, SERVICES, client_of, keys_of
from killing import FILES, FORMS, has_key
from programs import Program

from agentkeys import sync
from agentkeys.server.faults import CREATES, DELETES, MalformedJson, Reset
from agentkeys.stores import open_store

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from agentkeys import Secret

pytestmark = pytest.mark.slow

# It forks for each run, before it has a thread or a loop, so that it need not import all anew.
PROGRAM = """
    import asyncio, itertools, json, os, signal, socket, sys, threading
    import agentkeys
    from agentkeys import agentity, agentry, issue, sweep
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

    async def main(job):
        if job["which"] == "agentity":
            login = agentkeys.PasswordLogin(job["email"], job["password"])
            client = agentkeys.AgentityClient(login, base_url=job["url"], retry=at_once)
        else:
            client = agentkeys.AgentryClient(job["token"], base_url=job["url"], retry=at_once)
        async with client:
            keys = client.api_keys
            if job["which"] == "agentry":
                keys = client.inbox(job["inbox"]).api_keys
            if job["sweeps"]:
                await sweep(keys)
            try:
                await issue(keys, job["name"], into=open_store(job["store"]))
            except agentkeys.AgentKeysError:
                pass
            if job["sweeps"]:
                await sweep(keys)

    def run(job):
        points = itertools.count()

        def watch(frame, event, called):
            is_of_c = event in {"c_call", "c_return"}
            if is_of_c and is_point(event, called) and next(points) == job["point"]:
                os.kill(os.getpid(), signal.SIGKILL)

        os.environ["AGENTKEYS_HOME"] = job["home"]
        threading.setprofile(watch)
        sys.setprofile(watch)
        asyncio.run(main(job))
        sys.setprofile(None)
        return next(points)

    for line in sys.stdin:
        children = []
        for job in json.loads(line):
            child = os.fork()
            if not child:
                points = run(job)
                if job["point"] < 0:
                    os.write(1, b"%d " % points)
                os._exit(0)
            children.append(child)
        print(*(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children))
"""
UNKILLED = -1
NEVER = 10**9
FAULTS = {
    "all is well": (),
    "the answer is lost": ((CREATES, Reset(), "after"),),
    "the answer cannot be read": ((CREATES, MalformedJson(), "after"),),
    "lost, and so is the deletion": (
        (CREATES, Reset(), "after"),
        (DELETES, Reset(), "after"),
    ),
}
# The second does all that the others do.
AT_EVERY_RUN = [
    ("agentity", "all is well", "dotenv"),
    ("agentry", "lost, and so is the deletion", "dotenv"),
]


class Restarted:
    """The program, begun anew now and then, for it is killed when it takes too long."""

    def __init__(self) -> None:
        self._program: Program | None = None
        self._uses = 0

    def next(self) -> Program:
        if self._uses % 25 == 0:
            self.close()
            self._program = Program(PROGRAM)
        self._uses += 1
        assert self._program is not None
        return self._program

    def close(self) -> None:
        if self._program is not None:
            self._program.kill()


class Killing:
    """Runs that are killed, and what a sweep makes of what they leave."""

    def __init__(self, service: sync.LocalService, which: str, form: str, folder: Path) -> None:
        self.service = service
        self.which = which
        self.form = form
        self.folder = folder
        self.runs = 0

    def new_folder(self) -> Path:
        self.runs += 1
        folder = self.folder / str(self.runs)
        folder.mkdir()
        return folder

    def address(self, folder: Path, entry: str) -> str:
        return FORMS[self.form].format(folder=folder, name=entry)

    async def read(self, folder: Path, entries: list[str]) -> list[Secret]:
        stores = [open_store(self.address(folder, entry)) for entry in entries]
        found = [(await store.read()).secret for store in stores]
        return [secret for secret in found if secret is not None]

    def job(self, folder: Path, point: int, *, entry: str = "KEY", sweeps: bool = False) -> Any:
        return {
            "which": self.which,
            "point": point,
            "name": BASE,
            "store": self.address(folder, entry),
            "sweeps": sweeps,
            "home": str(folder / "home"),
            "url": self.service.url,
            "email": self.service.email,
            "password": self.service.password,
            "token": self.service.agentry_token,
            "inbox": self.service.inbox_id,
        }

    def run(self, program: Program, *jobs: Any, faults: Any = ()) -> list[int]:
        """Return the exit codes; before them, of a run that is not to be killed, its points."""
        for routes, kind, when in faults:
            self.service.faults.add(routes, kind, when=when)
        program.tell(json.dumps(jobs))
        numbers = [int(word) for word in program.read().split()]
        self.service.faults.clear()
        return numbers

    def points(self, program: Program, faults: Any = ()) -> int:
        """Return how many points a run has that is not killed."""
        folder = self.new_folder()
        return self.run(program, self.job(folder, UNKILLED), faults=faults)[0]


@pytest.fixture
def home(monkeypatch) -> None:
    """Let each run have its own, and put back what was there."""
    monkeypatch.setenv("AGENTKEYS_HOME", "")


@pytest.fixture
def form() -> str:
    """Return which store it is, if the test does not say."""
    return "dotenv"


@pytest.fixture
def killing(which, form, tmp_path) -> Iterator[Killing]:
    with sync.LocalService() as service:
        yield Killing(service, which, form, tmp_path)


@pytest.fixture
def keys(which, killing) -> Iterator[Any]:
    twin = client_of(killing.service, which)
    kind = sync.AgentityClient if which == "agentity" else sync.AgentryClient
    with kind(twin._session._credentials, base_url=killing.service.url) as client:
        yield keys_of(killing.service, client)


def swept(killing: Killing, keys: Any, folder: Path, entries: list[str]) -> list[Secret]:
    """Sweep, see that the keys left are those whose secrets are stored, and delete them."""
    os.environ["AGENTKEYS_HOME"] = str(folder / "home")
    sync.sweep(keys)
    # What the service had begun to do when a process died is done by now, and was perhaps late.
    unresolved = sync.sweep(keys).unresolved
    # Who died directly before his file had its place, and then another one's got it: none can tell.
    assert len(entries) > 1 or unresolved == ()
    stored = asyncio.run(killing.read(folder, entries))
    left = [key for key in keys.list() if key.name.partition("~")[0] == BASE]
    for secret in stored:
        assert killing.service.is_live(secret), "a key was deleted whose secret is stored"
    assert len(left) == len(stored) + len(unresolved), "a key is left that nobody knows of"
    for key in left:
        keys.delete(key.id)
    holding = [path.name for path in folder.rglob("*") if path.is_file() and has_key(path)]
    its_own = ".env" if killing.form == "dotenv" else "KEY"
    assert holding == [its_own][: len(stored)], "a file is left with a secret in it"
    return stored


@pytest.mark.usefixtures("home")
@pytest.mark.parametrize(
    ("which", "fault", "form"),
    [
        pytest.param(*each, marks=pytest.mark.slow if each in AT_EVERY_RUN else pytest.mark.long)
        for each in itertools.product(SERVICES, FAULTS, FILES)
    ],
)
def test_issue_can_be_killed_before_and_after_each_effect(fault, killing, keys):
    """Never a key that nobody holds, and never a secret whose key is gone."""
    faults = FAULTS[fault]
    killed = stored = 0
    with contextlib.closing(Restarted()) as programs:
        points = killing.points(programs.next(), faults)
        for key in keys.list():
            keys.delete(key.id)
        for point in range(points):
            folder = killing.new_folder()
            [code] = killing.run(programs.next(), killing.job(folder, point), faults=faults)
            killed += code == -signal.SIGKILL
            stored += len(swept(killing, keys, folder, ["KEY"]))
    assert killed >= points - 1 >= 25
    assert 0 < stored < points


@pytest.mark.usefixtures("home")
@pytest.mark.parametrize("which", SERVICES)
@pytest.mark.parametrize(
    ("processes", "rounds"), [(5, 1), pytest.param(20, 5, marks=pytest.mark.long)]
)
def test_many_processes_issue_one_name_at_once(processes, rounds, killing, keys):
    """They share a file, a state directory and a name, and half of them are killed.

    Who was not killed has his key, whatever the others have swept.
    """
    entries = [f"KEY_{n}" for n in range(processes)]
    with contextlib.closing(Restarted()) as programs:
        points = killing.points(programs.next())
        for key in keys.list():
            keys.delete(key.id)
        for turn in range(rounds):
            folder = killing.new_folder()
            jobs = []
            for n, entry in enumerate(entries):
                point = (n * rounds + turn) * points // (processes * rounds) if n % 2 else NEVER
                jobs.append(killing.job(folder, point, entry=entry, sweeps=True))
            codes = killing.run(programs.next(), *jobs)
            finished = [entry for entry, code in zip(entries, codes, strict=True) if code == 0]
            assert len(finished) >= processes / 2
            assert len(asyncio.run(killing.read(folder, finished))) == len(finished)
            swept(killing, keys, folder, entries)
