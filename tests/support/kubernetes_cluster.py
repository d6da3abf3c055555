"""Clusters of the tests: what is done with them, and the real API server where there is one."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import shutil
import socket
import ssl
import subprocess
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["ADMIN", "AGENT", "NAMESPACE", "Cluster", "RealCluster", "using", "written"]

ADMIN = "token-of-the-administrator"
AGENT = "token-of-an-agent-4711"
"""The token of somebody who may do what `Cluster.bind` says."""
NAMESPACE = "agents"
_PATIENCE = 60.0


class Cluster:
    """What tests do to a cluster, as its administrator.

    Attributes:
        url: where its API server is.
    """

    url: str

    def bind(self, rules: list[Any]) -> None:
        """Permit what the rules of a Role permit, to `AGENT`, in the namespace."""
        raise NotImplementedError

    def ask(
        self,
        method: str,
        path: str,
        body: Any = None,
        form: str = "application/json",
        token: str = ADMIN,
    ) -> Any:
        """Return the object that is answered; a Status if it is refused."""
        request = urllib.request.Request(  # noqa: S310  # it is ours
            f"{self.url}{path}",
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Authorization": f"Bearer {token}", "Content-Type": form, "X-Tests": "yes"},
        )
        try:
            with urllib.request.urlopen(request, context=_trusting()) as answer:  # noqa: S310
                return json.load(answer)
        except urllib.error.HTTPError as error:
            with error:
                return json.load(error)

    def secret(self, name: str, namespace: str = NAMESPACE) -> Any:
        """Return a Secret, or the Status of one that is not there."""
        return self.ask("GET", f"/api/v1/namespaces/{namespace}/secrets/{name}")

    def data(self, name: str, namespace: str = NAMESPACE) -> dict[str, str] | None:
        """Return what a Secret holds, decoded; None if it is not there."""
        found = self.secret(name, namespace)
        if found["kind"] != "Secret":
            return None
        return {k: base64.b64decode(v).decode() for k, v in (found.get("data") or {}).items()}

    def put(self, name: str, data: dict[str, str], **fields: Any) -> Any:
        """Make a Secret."""
        metadata = {"name": name, **fields.pop("metadata", {})}
        body = {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, **fields}
        body["data"] = {k: base64.b64encode(v.encode()).decode() for k, v in data.items()}
        made = self.ask("POST", f"/api/v1/namespaces/{NAMESPACE}/secrets", body)
        assert made["kind"] == "Secret", made
        return made

    def change(self, name: str, patch: Any) -> Any:
        """Patch a Secret."""
        path = f"/api/v1/namespaces/{NAMESPACE}/secrets/{name}"
        return self.ask("PATCH", path, patch, "application/merge-patch+json")

    def delete(self, name: str) -> None:
        """Delete a Secret."""
        self.ask("DELETE", f"/api/v1/namespaces/{NAMESPACE}/secrets/{name}")

    def kubeconfig(self, path: Path, token: str = ADMIN, context: str = "tests") -> Path:
        """Write a kubeconfig with one context."""
        insecure = {"insecure-skip-tls-verify": True} if self.url.startswith("https") else {}
        user: dict[str, Any] = {"token": token}
        return written(path, context, {"server": self.url, **insecure}, user)


def written(path: Path, context: str, cluster: dict[str, Any], user: dict[str, Any]) -> Path:
    """Write a kubeconfig. JSON is YAML."""
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": context,
        "clusters": [{"name": "the-cluster", "cluster": cluster}],
        "users": [{"name": "the-user", "user": user}],
        "contexts": [{"name": context, "context": {"cluster": "the-cluster", "user": "the-user"}}],
    }
    path.write_text(json.dumps(config))
    return path


@contextlib.contextmanager
def using(kubeconfig: Path) -> Iterator[None]:
    """Have stores find that kubeconfig."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KUBECONFIG", str(kubeconfig))
        yield


class RealCluster(Cluster):
    """A real kube-apiserver and its etcd, of the PATH or of KUBEBUILDER_ASSETS."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._exits = contextlib.ExitStack()

    def __enter__(self) -> Self:
        places = os.pathsep.join([os.environ.get("KUBEBUILDER_ASSETS", ""), os.environ["PATH"]])
        server, etcd = (shutil.which(name, path=places) for name in ("kube-apiserver", "etcd"))
        if not server or not etcd:
            pytest.skip("this machine has no kube-apiserver and etcd")
        ports = _free_ports(3)
        self.url = f"https://127.0.0.1:{ports[2]}"
        with self._exits:
            self._start(etcd, *self._of_etcd(ports[0], ports[1]))
            self._start(server, *self._of_server(ports[0], ports[2]))
            self._wait()
            self._exits = self._exits.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._exits.close()

    def bind(self, rules: list[Any]) -> None:
        api = f"/apis/rbac.authorization.k8s.io/v1/namespaces/{NAMESPACE}"
        subject = {"kind": "User", "name": "agent", "apiGroup": "rbac.authorization.k8s.io"}
        role = {"kind": "Role", "name": "agent", "apiGroup": "rbac.authorization.k8s.io"}
        for kind, fields in {
            "Role": {"rules": rules},
            "RoleBinding": {"roleRef": role, "subjects": [subject]},
        }.items():
            self.ask("DELETE", f"{api}/{kind.lower()}s/agent")
            body = {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": kind, **fields}
            made = self.ask(
                "POST", f"{api}/{kind.lower()}s", body | {"metadata": {"name": "agent"}}
            )
            assert made["kind"] == kind, made
        end = time.monotonic() + _PATIENCE
        while self._rules_of_agent() != _as_set(rules):
            assert time.monotonic() < end, "the roles are not in effect"
            time.sleep(0.05)  # the server reads roles from a cache of its own

    def _rules_of_agent(self) -> set[str]:
        review = {
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SelfSubjectRulesReview",
            "spec": {"namespace": NAMESPACE},
        }
        path = "/apis/authorization.k8s.io/v1/selfsubjectrulesreviews"
        answer = self.ask("POST", path, review, token=AGENT)
        if answer["kind"] == "Status":  # the server has not made the roles of its own yet
            return set()
        rules = answer["status"]["resourceRules"]
        return _as_set([rule for rule in rules if "" in rule["apiGroups"]])

    def _of_etcd(self, client: int, peer: int) -> Iterator[str]:
        here = f"http://127.0.0.1:{client}"
        yield f"--data-dir={self._folder / 'etcd'}"
        yield from (f"--listen-client-urls={here}", f"--advertise-client-urls={here}")
        yield f"--listen-peer-urls=http://127.0.0.1:{peer}"

    def _of_server(self, etcd: int, port: int) -> Iterator[str]:
        tokens, key = self._folder / "tokens.csv", self._folder / "accounts.key"
        tokens.write_text(f"{ADMIN},admin,admin,system:masters\n{AGENT},agent,agent\n")
        command = ["openssl", "genrsa", "-out", str(key), "2048"]
        subprocess.run(command, check=True, capture_output=True)
        yield from (f"--etcd-servers=http://127.0.0.1:{etcd}", f"--secure-port={port}")
        yield from ("--bind-address=127.0.0.1", f"--cert-dir={self._folder / 'certificates'}")
        yield from (f"--token-auth-file={tokens}", "--authorization-mode=RBAC")
        yield from (
            f"--service-account-key-file={key}",
            f"--service-account-signing-key-file={key}",
        )
        yield from (
            "--service-account-issuer=https://tests",
            "--service-cluster-ip-range=10.0.0.0/24",
        )
        yield "--disable-admission-plugins=ServiceAccount"

    def _start(self, *command: str) -> None:
        log = self._exits.enter_context((self._folder / f"{Path(command[0]).name}.log").open("w"))
        process = self._exits.enter_context(subprocess.Popen(command, stdout=log, stderr=log))
        self._exits.callback(process.kill)

    def _wait(self) -> None:
        """Wait until it has a namespace."""
        body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}}
        end = time.monotonic() + _PATIENCE
        while True:
            with contextlib.suppress(OSError, ValueError):
                if self.ask("POST", "/api/v1/namespaces", body)["kind"] == "Namespace":
                    return
            assert time.monotonic() < end, (self._folder / "kube-apiserver.log").read_text()[-3000:]
            time.sleep(0.2)  # it says nothing when it is ready


def _as_set(rules: list[Any]) -> set[str]:
    return {json.dumps(rule, sort_keys=True) for rule in rules}


def _trusting() -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def _free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as exits:
        sockets = [exits.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]
