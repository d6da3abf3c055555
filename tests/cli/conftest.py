"""What the tests of the command line share: a way to run it here, in a process, on a terminal."""

from __future__ import annotations

import asyncio
import contextlib
import os
import select
import signal
import struct
import subprocess
import sys
import threading
from typing import TYPE_CHECKING, Any, NamedTuple, Self

import pytest
from wire import Wire

from agentkeys.cli import commands
from agentkeys.server import LocalService

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PATIENCE = 30.0
"""Seconds after which something that should have happened never will."""
SIZE = {"COLUMNS", "LINES"}


class Ended(NamedTuple):
    """How a command ended."""

    code: int
    out: str
    err: str


class Background:
    """An event loop in another thread, for what must answer while a command runs in this one."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._exits = contextlib.AsyncExitStack()

    def run(self, coroutine: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(PATIENCE)

    def enter(self, manager: Any) -> Any:
        return self.run(self._exits.enter_async_context(manager))

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.run(self._exits.aclose())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


def interrupt(process: subprocess.Popen[Any], number: int = signal.SIGINT) -> None:
    """Press Ctrl-C; once more if Python was just about to wait for something, and missed it."""
    while process.poll() is None:
        process.send_signal(number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(10)  # longer than a create that is interrupted gets


class Terminal:
    """A command that runs on a terminal of its own."""

    def __init__(
        self, *args: str, columns: int = 80, env: dict[str, str] | None = None, code: str = ""
    ) -> None:
        import fcntl
        import pty
        import termios

        self._master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
        self.process = subprocess.Popen(
            [sys.executable, *(["-c", code] if code else ["-m", "agentkeys"]), *args],
            stdin=slave,
            stdout=slave,
            stderr=slave,
            # pytest's own, which would go before the size of this terminal.
            env={name: value for name, value in os.environ.items() if name not in SIZE}
            | (env or {}),
            # Else a password would be asked for on the terminal of whoever runs the tests.
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),  # noqa: PLW1509  # it takes no lock
        )
        os.close(slave)
        self.shown = ""

    def read_until(self, text: str) -> None:
        while text not in self.shown:
            assert self._read(), f"it ended, and showed only {self.shown!r}"

    @property
    def echoes(self) -> bool:
        import termios

        return bool(termios.tcgetattr(self._master)[3] & termios.ECHO)

    def hang_up(self) -> None:
        """Close the window."""
        os.close(self._master)
        self._master = -1

    def type(self, text: str) -> None:
        os.write(self._master, text.encode())

    def end(self) -> tuple[int, str]:
        """Wait for the end; return the exit code and all that was shown."""
        while self._read():
            pass
        return self.process.wait(PATIENCE), self.shown.replace("\r\n", "\n")

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        if self._master >= 0:
            os.close(self._master)

    def _read(self) -> bool:
        ready, _, _ = select.select([self._master], [], [], PATIENCE)
        assert ready, f"nothing came after {self.shown!r}"
        try:
            data = os.read(self._master, 65536)
        except OSError:  # EIO, as Linux says when the other end is closed
            return False
        self.shown += data.decode()
        return bool(data)


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home directory of the test's own, where its commands run too."""
    folder = tmp_path / "agentkeys"
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("AGENTKEYS_HOME", str(folder))
    monkeypatch.delenv("XDG_DATA_HOME", raising=False)
    monkeypatch.chdir(tmp_path)
    return folder


@pytest.fixture(autouse=True)
def interruptible() -> Iterator[None]:
    """Let processes heed signals, whoever started the tests: in the background nobody does."""
    heeded = {signal.SIGINT: signal.default_int_handler, signal.SIGHUP: signal.SIG_DFL}
    before = {number: signal.signal(number, handler) for number, handler in heeded.items()}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Any:
    """Run a command in this process."""

    def run(*args: str) -> Ended:
        with pytest.raises(SystemExit) as exited:
            commands.main(list(args))
        return Ended(exited.value.code, *capsys.readouterr())

    return run


@pytest.fixture
def start() -> Iterator[Any]:
    """Start a command in a process of its own."""
    processes = []

    def start(*args: str, **options: Any) -> subprocess.Popen[str]:
        pipes = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        process = subprocess.Popen(
            [sys.executable, "-m", "agentkeys", *args], **{**pipes, **options}, text=True
        )
        processes.append(process)
        return process

    yield start
    for process in processes:
        with process:
            process.kill()


@pytest.fixture(name="interrupt")
def interrupt_fixture() -> Any:
    """Press Ctrl-C."""
    return interrupt


@pytest.fixture
def terminal() -> Iterator[Any]:
    """Start a command on a terminal."""
    terminals: list[Terminal] = []

    def terminal(*args: str, **options: Any) -> Terminal:
        terminals.append(Terminal(*args, **options))
        return terminals[-1]

    yield terminal
    for each in terminals:
        each.close()


@pytest.fixture
def background() -> Iterator[Background]:
    with Background() as background:
        yield background


@pytest.fixture
def wire(background: Background, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Put a server that answers as the test says where both services would be."""

    def wire(*replies: Any) -> Wire:
        server = background.enter(Wire(*replies))
        for service in ("AGENTITY", "AGENTRY"):
            monkeypatch.setenv(f"{service}_BASE_URL", server.url)
        monkeypatch.setenv("AGENTITY_ACCESS_TOKEN", "token")
        monkeypatch.setenv("AGENTRY_API_KEY", "token")
        return server

    return wire


@pytest.fixture
def served(background: Background, monkeypatch: pytest.MonkeyPatch) -> LocalService:
    """Run a local service, for which the environment has the credentials."""
    service = background.enter(LocalService())
    background.run(service.add_pod("demo"))
    for name, value in {
        "AGENTITY_BASE_URL": service.url,
        "AGENTITY_EMAIL": service.email,
        "AGENTITY_PASSWORD": service.password,
        "AGENTRY_BASE_URL": service.url,
        "AGENTRY_API_KEY": service.agentry_token,
    }.items():
        monkeypatch.setenv(name, value)
    return service


@pytest.fixture(params=["local", "served"])
def place(request: pytest.FixtureRequest, run: Any) -> Any:
    """Run a command with --local, and against a service elsewhere."""
    if request.param == "served":
        request.getfixturevalue("served")
        return run
    return lambda *args: run("--local", *args)


@pytest.fixture
def env(tmp_path: Path) -> Any:
    """What the dotenv file holds."""

    def secret() -> str:
        return (tmp_path / ".env").read_text().partition("=")[2].strip()

    return secret


@pytest.fixture
def bot(run: Any, served: LocalService) -> int:
    """Issue a key whose secret is in the dotenv file; its id."""
    return int(run("agentity", "create", "bot", "--save", "dotenv:.env#KEY").out)


EACH = """
[keys.each]
from = "inboxes.csv"
service = "agentry"
inbox = "{inbox}"
name = "agent-{slug}"
store = "file:run/{slug}"
"""


@pytest.fixture
def declare(tmp_path: Path) -> Any:
    """Write the file, with rows for so many inboxes."""

    def declare(count: int, more: str = "") -> None:
        (tmp_path / "run").mkdir(exist_ok=True)
        rows = [f"agent{n}@acme.to,{n}" for n in range(count)]
        (tmp_path / "inboxes.csv").write_text("\n".join(["inbox,slug", *rows, ""]))
        (tmp_path / "agentkeys.toml").write_text(EACH + more)

    return declare
