"""What somebody with all rights does in a Vault: a real one or the tests' own."""

from __future__ import annotations

import contextlib
import itertools
import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from typing import Any

import attrs
import requests
from vault_server import VaultServer

__all__ = ["MISSING", "Admin", "fake", "real"]

BINARY = shutil.which("vault") or shutil.which("bao")
MISSING = "neither the program vault nor bao is on the PATH, so no real server can be started"
_numbers = itertools.count()


@attrs.frozen
class Admin:
    """Has all rights.

    Attributes:
        url: the address of the server.
        token: the root token.
        server: the server if it is the tests' own.
    """

    url: str
    token: str = attrs.field(repr=False)
    server: VaultServer | None = None

    @classmethod
    def of_this_process(cls) -> Admin:
        """Return that of the server which the environment names."""
        return cls(os.environ["VAULT_ADDR"], os.environ["VAULT_TOKEN"])

    @property
    def environment(self) -> dict[str, str]:
        """What a process needs to use it with all rights."""
        return {"VAULT_ADDR": self.url, "VAULT_TOKEN": self.token}

    def ask(self, method: str, path: str, body: Any = None, namespace: str = "") -> Any:
        headers = {"X-Vault-Token": self.token, "X-Vault-Namespace": namespace}
        url = f"{self.url}/v1/{path}"
        answer = requests.request(method, url, json=body, headers=headers, timeout=20)
        assert answer.ok or answer.status_code == 404, answer.text
        return answer.json() if answer.content else {}

    def mount(self, path: str, version: int = 2) -> None:
        body = {"type": "kv", "options": {"version": str(version)}}
        self.ask("POST", f"sys/mounts/{path}", body)
        while version == 2 and not self._is_ready(path):
            pass  # the server itself waits a moment before it answers

    def _is_ready(self, path: str) -> bool:
        headers = {"X-Vault-Token": self.token}
        url = f"{self.url}/v1/{path}/metadata/a-path"
        return requests.get(url, headers=headers, timeout=20).status_code == 404

    def remount(self, path: str) -> None:
        """Put another, empty mount where one is."""
        self.ask("DELETE", f"sys/mounts/{path}")
        self.mount(path)

    def put(self, path: str, data: dict[str, Any]) -> None:
        """Write all fields of a secret of the mount ``kv``."""
        self.ask("POST", f"kv/data/{path}", {"data": data})

    def fields(self, path: str) -> Any:
        """Return all fields of a secret, or None if there is none."""
        return (self.ask("GET", f"kv/data/{path}").get("data") or {}).get("data")

    def number(self, path: str) -> int:
        """Return the number of its newest version."""
        return int(self.ask("GET", f"kv/metadata/{path}")["data"]["current_version"])

    def permitted(self, hcl: str) -> str:
        """Return a token of a policy."""
        name = f"policy-{next(_numbers)}"
        self.ask("PUT", f"sys/policies/acl/{name}", {"policy": hcl})
        body = {"policies": [name], "no_default_policy": True}
        token: str = self.ask("POST", "auth/token/create", body)["auth"]["client_token"]
        return token


@contextlib.contextmanager
def fake() -> Iterator[Admin]:
    with VaultServer() as server:
        yield Admin(server.url, server.root, server)


@contextlib.contextmanager
def real() -> Iterator[Admin]:
    """Start the program in its mode for development, which keeps everything in memory."""
    assert BINARY is not None
    with socket.create_server(("127.0.0.1", 0)) as free:
        host = f"127.0.0.1:{free.getsockname()[1]}"
    token = "root-of-the-tests"
    given = [f"-dev-root-token-id={token}", f"-dev-listen-address={host}", "-dev-no-store-token"]
    with tempfile.TemporaryDirectory() as home:
        environment = {"HOME": home, "PATH": "/usr/bin:/bin"}
        command = [BINARY, "server", "-dev", *given]
        program = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
        try:
            assert program.stdout is not None
            assert any("Root Token" in line for line in program.stdout), "it has not started"
            admin = Admin(f"http://{host}", token)
            admin.mount("kv")
            yield admin
        finally:
            program.terminate()
            program.communicate()
