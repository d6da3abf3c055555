"""The store that docs/stores.md writes, in a wheel of its own, in an environment of its own."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import attrs

__all__ = ["Installed", "install"]

ROOT = Path(__file__).parents[2]
FILE = re.compile(r"^```(?:python|toml) ([\w.]+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
PATIENCE = 300.0

# It forks for each job, before it has a thread or a loop, so that it need not import all anew.
PROGRAM = """
    import asyncio, itertools, json, os, signal, socket, sys, threading
    import agentkeys
    from agentkeys import abort, audit, issue, rotate, status, sweep
    from agentkeys.stores import open_store
    from agentkeys.transport import session

    at_once = agentkeys.RetryPolicy(base=0.0)
    changes = {
        "posix": {"write", "ftruncate", "mkdir", "rename", "replace", "rmdir", "unlink"},
        "fcntl": {"flock"},
    }

    def is_point(event, called):
        # What others can see of a process: what it sends, what it writes, and what SQLite does.
        its = called.__self__
        if isinstance(its, socket.socket):
            names = {"c_call": {"send", "recv"}, "c_return": {"send"}}
            return its.family == socket.AF_INET and called.__name__ in names[event]
        if type(its).__module__ == "sqlite3":
            return called.__name__ in {"executescript", "execute", "close"}
        return event == "c_call" and called.__name__ in changes.get(called.__module__, ())

    async def main(job):
        login = agentkeys.PasswordLogin(job["email"], job["password"])
        url, into, name = job["url"], job["into"], job["name"]
        async with agentkeys.AgentityClient(login, base_url=url, retry=at_once) as client:
            keys = client.api_keys
            match job["does"]:
                case "issue":
                    return [(await issue(keys, name, into=into)).key.id]
                case "rotate":
                    return [(await rotate(keys, name, into=into, grace=job["grace"])).key.id]
                case "abort":
                    return list(await abort(keys, name))
                case "sweep":
                    return list((await sweep(keys)).unresolved)
                case "audit":
                    return sorted({each.rule for each in (await audit(keys)).findings})

    def run(job):
        points = itertools.count()

        def watch(frame, event, called):
            is_of_c = event in {"c_call", "c_return"}
            if is_of_c and is_point(event, called) and next(points) == job["point"]:
                os.kill(os.getpid(), signal.SIGKILL)

        os.environ["AGENTKEYS_HOME"] = job["home"]
        threading.setprofile(watch)
        sys.setprofile(watch)
        try:
            came = asyncio.run(main(job))
        except agentkeys.AgentKeysError as error:
            came = [type(error).__name__, str(error)]
        sys.setprofile(None)
        return json.dumps({"came": came, "points": next(points)})

    for line in sys.stdin:
        reading, writing = os.pipe()
        child = os.fork()
        if not child:
            os.write(writing, run(json.loads(line)).encode())
            os._exit(0)
        os.close(writing)
        with open(reading) as pipe:
            print(pipe.read() or "null", flush=True)
        os.waitpid(child, 0)
"""


@attrs.define
class Installed:
    """A fresh environment that has nothing but the two wheels, and what they need."""

    folder: Path
    _program: Any = None

    def do(self, does: str, **job: Any) -> Any:
        """Return what came of it and its number of points, or None if it was killed."""
        if self._program is None:
            self._program = subprocess.Popen(
                [self._bin("python"), "-P", "-W", "error", "-c", textwrap.dedent(PROGRAM)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                cwd=self.folder,
            )
        self._program.stdin.write(json.dumps({"does": does, **job}) + "\n")
        self._program.stdin.flush()
        return json.loads(self._program.stdout.readline())

    def command(self, *arguments: str, home: Path, **variables: str) -> str:
        """Return what the command prints; it must succeed."""
        ended = subprocess.run(
            [self._bin("agentkeys"), *arguments],
            env={"HOME": str(home), "AGENTKEYS_HOME": str(home), "PATH": os.environ["PATH"]}
            | variables,
            capture_output=True,
            text=True,
            cwd=self.folder,
            timeout=PATIENCE,
            check=False,
        )
        assert ended.returncode == 0, ended.stderr
        return ended.stdout

    def origin(self, module: str) -> Path:
        """Return the file that a module comes from."""
        code = f"import {module}; print({module}.__file__)"
        return Path(_run(self._bin("python"), "-P", "-c", code, cwd=self.folder).strip())

    def close(self) -> None:
        if self._program is not None:
            with self._program:
                self._program.kill()

    def _bin(self, name: str) -> str:
        return str(self.folder / ".venv" / "bin" / name)


def install(folder: Path) -> Installed:
    """Build both wheels, and install them where nothing else is."""
    package = folder / "package"
    package.mkdir()
    for found in FILE.finditer((ROOT / "docs" / "stores.md").read_text()):
        (package / found[1]).write_text(found[2])
    _run(sys.executable, "-m", "venv", str(folder / ".venv"))
    pip = [str(folder / ".venv" / "bin" / "pip"), "-q"]
    _run(*pip, "wheel", "--no-deps", "-w", str(folder / "dist"), str(ROOT), str(package))
    [ours] = (folder / "dist").glob("agentkeys_sdk-*.whl")
    [theirs] = (folder / "dist").glob("agentkeys_sqlite-*.whl")
    _run(*pip, "install", f"{ours}[cli,issue]", str(theirs))
    return Installed(folder)


def _run(*command: str, cwd: Path | None = None) -> str:
    ended = subprocess.run(
        command, capture_output=True, text=True, timeout=PATIENCE, cwd=cwd, check=False
    )
    assert ended.returncode == 0, ended.stderr
    return ended.stdout
