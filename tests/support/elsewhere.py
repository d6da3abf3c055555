"""Servers that keep secrets for stores, each with what can go wrong with a write."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from aws_server import AwsServer, set_environment
from kubernetes_cluster import using
from kubernetes_server import KubernetesServer, Trouble
from vault_server import Trouble as VaultTrouble
from vault_server import VaultServer

__all__ = ["SERVERS", "Elsewhere"]


class Elsewhere(NamedTuple):
    """A server that keeps secrets.

    Attributes:
        server: the server.
        lose: makes one write lose its connection, before or after the server has acted.
        interfere: does something directly before the server acts on a request, if a run has so
            many.
    """

    server: Any
    lose: Callable[[str], list[Any]]
    interfere: Callable[[Callable[[], object], int], list[Any]]


@contextlib.contextmanager
def aws(_: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Elsewhere]:
    with AwsServer() as server:
        set_environment(monkeypatch, server.environment)
        yield Elsewhere(
            server,
            lambda when: ["", "", "", f"lost {when}"],
            lambda act, number: [""] * number + [act],
        )


@contextlib.contextmanager
def kubernetes(folder: Path, _: pytest.MonkeyPatch) -> Iterator[Elsewhere]:
    with KubernetesServer() as server, using(server.kubeconfig(folder / "kubeconfig")):
        yield Elsewhere(
            server,
            lambda when: [Trouble("create", lost=when), Trouble("patch", lost=when)],
            lambda act, _: [Trouble("patch", meanwhile=act)],
        )


@contextlib.contextmanager
def vault(_: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Elsewhere]:
    with VaultServer() as server:
        for name, value in server.environment.items():
            monkeypatch.setenv(name, value)
        yield Elsewhere(
            server,
            # The first write is that of the probe.
            lambda when: [VaultTrouble(lambda: None, "POST"), VaultTrouble(f"lost {when}", "POST")],
            lambda act, number: (
                [VaultTrouble(lambda: None, part="")] * number + [VaultTrouble(act, part="")]
            ),
        )


SERVERS: dict[str, Any] = {"aws": aws, "kubernetes": kubernetes, "vault": vault}
