"""Logins that processes share: many at once, killed, stopped, on bad disks, in a keyring."""

from __future__ import annotations

import asyncio
import itertools
import json
import logging
import os
import shutil
import signal
from typing import TYPE_CHECKING, Any

import keyring
import pytest
from kept_tokens import age, entries, fetched
from keyring.backends import fail
from keyrings.alt.file import PlaintextKeyring
from mounts import on_mounts
from programs import Program

from agentkeys import AgentityClient, CachedLogin, PasswordLogin, sync
from agentkeys.server.faults import NeverAnswer
from agentkeys.token_cache.forgetting import forget

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

# It forks for each process, before it has a thread or a loop, so that none need import all anew.
# What others can see of a process is what it does to the disk and to a socket: it kills itself at
# the n-th of these, or stops there until it is told to go on. A process that is not killed says how
# many there are.
PROGRAM = """
    import asyncio, itertools, json, os, signal, socket, sys, threading
    from agentkeys import AgentityClient, CachedLogin, PasswordLogin, RetryPolicy
    from agentkeys.agentity import cached_login

    changes = {
        "posix": {"open", "write", "mkdir", "rename", "replace", "unlink"},
        "fcntl": {"flock"},
        "_io": {"write"},
    }

    def is_point(event, called):
        if isinstance(called.__self__, socket.socket):
            names = {"c_call": {"send", "recv"}, "c_return": {"send"}}
            return called.__self__.family == socket.AF_INET and called.__name__ in names[event]
        return event == "c_call" and called.__name__ in changes.get(called.__module__, ())

    async def main(job):
        login = CachedLogin(PasswordLogin(job["email"], job["password"]))
        settings = {"base_url": job["url"], "retry": RetryPolicy(base=0.0)}
        async with AgentityClient(login, **settings) as client:
            await client.api_keys.list().collect()

    def run(job):
        points = itertools.count()

        def watch(frame, event, called):
            is_of_c = event in {"c_call", "c_return"}
            if is_of_c and is_point(event, called) and next(points) == job["point"]:
                os.kill(os.getpid(), signal.SIGSTOP if job["stops"] else signal.SIGKILL)

        if job["point"] is not None:
            threading.setprofile(watch)
            sys.setprofile(watch)
        asyncio.run(main(job))
        sys.setprofile(None)
        return next(points)

    print("ready")
    for line in sys.stdin:
        children = []
        for job in json.loads(line):
            reading, writing = os.pipe()
            child = os.fork()
            if not child:
                os.write(writing, b"%d" % run(job))
                os._exit(0)
            os.close(writing)
            children.append((child, reading))
        print(*(child for child, _ in children))
        ended = []
        for child, reading in children:
            if job["stops"] and os.WIFSTOPPED(os.waitpid(child, os.WUNTRACED)[1]):
                print("stopped")
                sys.stdin.readline()
                os.kill(child, signal.SIGCONT)
            with open(reading) as pipe:
                ended.append(pipe.read() or "killed")
            if not job["stops"]:
                os.waitpid(child, 0)
        print(*ended)
"""


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "home"
    monkeypatch.setenv("AGENTKEYS_HOME", str(folder))
    return folder


@pytest.fixture
def service() -> Iterator[sync.LocalService]:
    with sync.LocalService(access_token_lifetime=1000) as service:
        yield service


class Processes:
    """Runs processes that each list the keys."""

    def __init__(self, service: sync.LocalService) -> None:
        self._service = service
        self.program = Program(PROGRAM)
        assert self.program.read() == "ready"

    def begin(self, count: int = 1, point: int | None = None, *, stops: bool = False) -> list[int]:
        """Start some; return the number of each."""
        service = self._service
        job = {"url": service.url, "email": service.email, "password": service.password}
        self.program.tell(json.dumps([job | {"point": point, "stops": stops}] * count))
        return [int(number) for number in self.program.read().split()]

    def run(self, count: int = 1, point: int | None = None) -> list[str]:
        """Return how each ended."""
        self.begin(count, point)
        return self.program.read().split()


@pytest.fixture
def processes(home: Path, service: sync.LocalService) -> Iterator[Processes]:
    processes = Processes(service)
    yield processes
    processes.program.kill()


@pytest.mark.slow
def test_of_many_processes_one_logs_in_and_one_refreshes(processes, service, home):
    """From cold; when the tokens are about to end; and when the service refuses them."""
    assert processes.run(20) == ["0"] * 20
    assert fetched(service) == ["login"]
    age(home, 950)
    assert processes.run(20) == ["0"] * 20
    assert fetched(service) == ["login", "refresh"]
    service.clock.advance(3600)
    assert processes.run(20) == ["0"] * 20
    assert fetched(service) == ["login", "refresh", "refresh"]


def is_sound(service: sync.LocalService) -> bool:
    """Return whether no refresh token was sent twice: the second time it is refused."""
    return not any(each.status == 401 for each in service.requests)


def prepare(
    processes: Processes, service: sync.LocalService, home: Path, seconds: float | None
) -> None:
    """Let nothing be kept, or tokens of that age."""
    shutil.rmtree(home, ignore_errors=True)
    if seconds is not None:
        assert processes.run() == ["0"]
        age(home, seconds)
    service.requests.clear()


@pytest.mark.slow
@pytest.mark.parametrize("seconds", [None, 950], ids=["cold", "stale"])
def test_a_process_may_be_killed_anywhere(processes, service, home, seconds):
    """The next one works, sends no refresh token twice, and leaves whole tokens."""
    for point in itertools.count():
        prepare(processes, service, home, seconds)
        if processes.run(point=point) != ["killed"]:
            break
        assert processes.run() == ["0"], point
        assert is_sound(service), point
        assert len(fetched(service)) <= 2, point
        # An empty lock may be left, which nobody holds.
        [path] = [each for each in (home / "tokens").iterdir() if each.suffix != ".lock"]
        assert json.loads(path.read_text())["access_token"], point
        service.requests.clear()
        assert processes.run() == ["0"], point
        assert fetched(service) == [], point
    assert point > 10


@pytest.mark.slow
@pytest.mark.parametrize("seconds", [None, 950], ids=["cold", "stale"])
def test_a_process_may_be_overtaken_anywhere(processes, service, home, seconds):
    """It reads again behind the lock: if another one was faster, it sends nothing for a token."""
    other = Processes(service)
    for point in itertools.count():
        prepare(processes, service, home, seconds)
        processes.begin(point=point, stops=True)
        if processes.program.read() != "stopped":
            break
        overtakes = not list(home.glob("tokens/*.lock"))
        if overtakes:
            assert other.run() == ["0"]
        processes.program.tell()
        assert processes.program.read().isdigit(), point
        assert is_sound(service), point
        assert len(fetched(service)) == 1, point
    other.program.kill()
    assert point > 10


def test_a_process_that_is_stopped_while_it_refreshes_holds_up_nobody_for_long(
    processes, service, home, caplog
):
    """The others wait for a share of their time, and log in."""
    assert processes.run() == ["0"]
    age(home, 950)
    service.faults.add("POST /auth/token/refresh", NeverAnswer())
    service.requests.clear()
    [stopped] = processes.begin()
    service.requests.wait(1)
    os.kill(stopped, signal.SIGSTOP)
    try:
        caplog.set_level(logging.WARNING, "agentkeys")
        asyncio.run(ask(service, timeout=2.0))
    finally:
        os.kill(stopped, signal.SIGKILL)
    assert processes.program.read() == "killed"
    assert fetched(service) == ["refresh", "login"]
    [warning] = [record.getMessage() for record in caplog.records]
    assert warning.endswith("another process has held the lock for too long")
    asyncio.run(ask(service))
    assert fetched(service) == ["refresh", "login", "login"]
    assert is_sound(service)


async def ask(service: sync.LocalService, *, keyring: bool = False, **settings: Any) -> None:
    login = CachedLogin(PasswordLogin(service.email, service.password), keyring=keyring)
    async with AgentityClient(login, base_url=service.url, **settings) as client:
        await client.api_keys.list().collect()


FULL = """
    mkdir disk
    mount -t tmpfs -o size=32k,mode=700,nr_inodes=2 none disk
    touch disk/else
"""
FILLING = """
    mkdir disk
    mount -t tmpfs -o size=32k,mode=700 none disk
    mkdir -m 700 disk/tokens
    head -c 32k /dev/zero >disk/tokens/else || true
"""
READ_ONLY = """
    mkdir -m 700 disk
    mount --bind disk disk
    mount -o remount,bind,ro disk
"""
ON_A_DISK = """
    import asyncio, logging, os, sys
    from agentkeys import AgentityClient, CachedLogin, PasswordLogin

    logging.basicConfig(stream=sys.stdout, format="%(levelname)s: %(message)s", level="INFO")
    url, email, password = sys.argv[1:]
    os.environ["AGENTKEYS_HOME"] = os.path.abspath("disk")

    async def main():
        login = CachedLogin(PasswordLogin(email, password))
        async with AgentityClient(login, base_url=url) as client:
            print(await client.api_keys.list().collect())

    for _ in range(2):
        asyncio.run(main())
    for folder, _, files in os.walk("disk"):
        print(*(name for name in files if name != "else"))
"""


@pytest.mark.parametrize(
    ("mount", "level", "reason"),
    [
        (FULL, "INFO", "No space left on device"),
        (FILLING, "WARNING", "No space left on device"),
        (READ_ONLY, "INFO", "Read-only file system"),
    ],
    ids=["full", "filling", "read-only"],
)
def test_a_disk_that_keeps_nothing_costs_a_login(service, tmp_path, mount, level, reason):
    """It is said once for each process, as a warning if there is a folder; nothing is left half."""
    lines = on_mounts(tmp_path, mount, ON_A_DISK, service.url, service.email, service.password)
    assert fetched(service) == ["login", "login"]
    assert [line for line in lines if line == "[]"] == ["[]", "[]"]
    said = [line for line in lines if line.startswith(f"{level}: the tokens of ")]
    assert len(said) == 2
    assert all(line.endswith(reason) for line in said)
    assert [line for line in lines if line not in {"[]", "", *said}] == []


def test_a_read_only_folder_gives_the_tokens_that_it_has(service, home, caplog):
    """Only who must renew them needs the lock."""
    asyncio.run(ask(service))
    [path] = entries(home)
    lines = on_mounts(
        home.parent,
        "mkdir disk; cp -pr home/. disk; mount --bind disk disk; mount -o remount,bind,ro disk",
        ON_A_DISK,
        *(service.url, service.email, service.password),
    )
    assert lines == ["[]", "[]", "", path.name]
    assert fetched(service) == ["login"]


@pytest.fixture
def in_keyring(tmp_path: Path) -> Iterator[Path]:
    """Let keyring keep what it gets in a file of the test's own."""
    before = keyring.get_keyring()
    backend = PlaintextKeyring()
    backend.file_path = str(tmp_path / "keyring.cfg")
    keyring.set_keyring(backend)
    yield tmp_path / "keyring.cfg"
    keyring.set_keyring(before)


def test_the_keyring_keeps_the_tokens_if_it_is_asked_to(service, home, in_keyring):
    """Then they are in no file of ours, and are shared and renewed alike."""
    asyncio.run(ask(service, keyring=True))
    asyncio.run(ask(service, keyring=True))
    assert fetched(service) == ["login"]
    assert "agentkeys_2Dtokens" in in_keyring.read_text()
    service.clock.advance(3600)
    asyncio.run(ask(service, keyring=True))
    asyncio.run(ask(service, keyring=True))
    assert fetched(service) == ["login", "refresh"]
    assert list((home / "tokens").iterdir()) == []


def test_tokens_in_the_keyring_are_forgotten_without_the_folder_of_their_lock(
    service, home, in_keyring
):
    """The folder is in the cache, which a person may empty at any time."""
    asyncio.run(ask(service, keyring=True))
    shutil.rmtree(home)
    [gone] = asyncio.run(forget(service.url, service.email, keyring=True))
    assert gone.account == service.email
    assert asyncio.run(forget(service.url, service.email, keyring=True)) == []


def test_a_keyring_that_cannot_be_used_costs_a_login(service, caplog):
    """One warning says why."""
    before = keyring.get_keyring()
    keyring.set_keyring(fail.Keyring())
    try:
        asyncio.run(ask(service, keyring=True))
    finally:
        keyring.set_keyring(before)
    [record] = caplog.records
    assert "there is no keyring on this machine" in record.getMessage()
    assert fetched(service) == ["login"]
