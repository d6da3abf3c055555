"""The three ways to the same calls, under one surface: async, blocking, and the command line."""

from __future__ import annotations

import asyncio
import json
import re
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

import agentkeys
from agentkeys import APIError, InvalidArgumentError, PasswordLogin, sync

if TYPE_CHECKING:
    from agentkeys.server import LocalService


class Listed(NamedTuple):
    """A key as every way shows it."""

    id: Any
    name: str


class Made(NamedTuple):
    """A key as it was made."""

    id: Any
    name: str
    secret: str


class RefusedError(Exception):
    """The service said no, with *status*; None if it was never asked."""

    def __init__(self, status: int | None) -> None:
        super().__init__(status)
        self.status = status


class Scope(NamedTuple):
    """Whose keys: how to get at them with a client, and how on the command line."""

    service: str
    keys: Any
    words: tuple[str, ...] = ()

    @property
    def unknown_id(self) -> Any:
        return 4711 if self.service == "agentity" else "4711"

    @property
    def secret_field(self) -> str:
        return "key" if self.service == "agentity" else "api_key"


SCOPES = {
    "account": Scope("agentity", lambda client: client.api_keys),
    "tenant": Scope("agentry", lambda client: client.api_keys, ("--tenant",)),
    "inbox": Scope("agentry", lambda client: client.inbox("i").api_keys, ("i",)),
    "agent, tenant": Scope("agentry", lambda c: c.agent.api_keys, ("--agent", "--tenant")),
    "agent, inbox": Scope("agentry", lambda c: c.agent.inbox("i").api_keys, ("--agent", "i")),
    "agent, pod": Scope("agentry", lambda c: c.agent.pod("p").api_keys, ("--agent", "--pod", "p")),
}
NOWHERE = {
    "inbox": Scope("agentry", lambda client: client.inbox("nowhere").api_keys, ("nowhere",)),
    "agent, inbox": Scope(
        "agentry", lambda c: c.agent.inbox("nowhere").api_keys, ("--agent", "nowhere")
    ),
    "agent, pod": Scope(
        "agentry", lambda c: c.agent.pod("nowhere").api_keys, ("--agent", "--pod", "nowhere")
    ),
}


class Way(ABC):
    """A way to the calls; what the service refuses is a `RefusedError`."""

    def __init__(self, service: LocalService) -> None:
        self.service = service
        self.login = (service.email, service.password)
        self.token = service.agentry_token

    @abstractmethod
    def create(self, scope: Scope, name: str, **permissions: bool) -> Made: ...

    @abstractmethod
    def list(self, scope: Scope, **query: Any) -> list[Listed]: ...

    @abstractmethod
    def delete(self, scope: Scope, key_id: Any) -> None: ...


class Library(Way):
    """What the two libraries have in common."""

    module: Any

    def create(self, scope, name, **permissions):
        extra = {"permissions": permissions} if permissions else {}
        new = self.call(scope, lambda keys: keys.create(name, **extra))
        return Made(new.id, new.name, new.secret.reveal())

    def list(self, scope, **query):
        keys = self.call(scope, lambda keys: keys.list(**query).collect())
        return [Listed(key.id, key.name) for key in keys]

    def delete(self, scope, key_id):
        return self.call(scope, lambda keys: keys.delete(key_id))

    def call(self, scope, work):
        try:
            return self.do(scope, work)
        except APIError as error:
            raise RefusedError(error.status) from error
        except InvalidArgumentError as error:
            raise RefusedError(None) from error

    def client(self, scope):
        if scope.service == "agentity":
            return self.module.AgentityClient(PasswordLogin(*self.login), base_url=self.service.url)
        return self.module.AgentryClient(self.token, base_url=self.service.url)

    @abstractmethod
    def do(self, scope: Scope, work: Any) -> Any: ...


class Async(Library):
    module = agentkeys

    def do(self, scope, work):
        async def call() -> Any:
            async with self.client(scope) as client:
                return await work(scope.keys(client))

        return asyncio.run(call())


class Blocking(Library):
    module = sync

    def do(self, scope, work):
        with self.client(scope) as client:
            return work(scope.keys(client))


_OPTIONS = {"limit": "page-size", "inbox_id": "inbox"}
"""What the command line calls the arguments of `list`."""


class CommandLine(Way):
    """``agentkeys ... --json``, in this process."""

    def __init__(self, service, capsys, monkeypatch) -> None:
        super().__init__(service)
        self._capsys = capsys
        self._monkeypatch = monkeypatch

    def create(self, scope, name, **permissions):
        flags = [f"--permission={flag}={str(on).lower()}" for flag, on in permissions.items()]
        made = self._run(scope, "create", *scope.words, name, *flags)
        key_id, *_ = (made[field] for field in ("id", "api_key_id") if field in made)
        return Made(key_id, made.get("nickname") or made["name"], made[scope.secret_field])

    def list(self, scope, **query):
        options = [
            f"--{_OPTIONS.get(name, name)}={value}"
            for name, value in query.items()
            if value is not None
        ]
        return [
            Listed(key.get("id", key.get("api_key_id")), key.get("nickname", key.get("name")))
            for key in self._run(scope, "list", *scope.words, *options)
        ]

    def delete(self, scope, key_id):
        self._run(scope, "delete", *scope.words, "--", str(key_id))

    def _run(self, scope: Scope, verb: str, *words: str) -> Any:
        from agentkeys.cli import commands
        from agentkeys.cli.ground.codes import NOT_FOUND

        email, password = self.login
        for name, value in {
            "AGENTITY_BASE_URL": self.service.url,
            "AGENTITY_EMAIL": email,
            "AGENTITY_PASSWORD": password,
            "AGENTRY_BASE_URL": self.service.url,
            "AGENTRY_API_KEY": self.token,
        }.items():
            self._monkeypatch.setenv(name, value)
        with pytest.raises(SystemExit) as exited:
            commands.main([scope.service, verb, "--json", *words])
        out, err = self._capsys.readouterr()
        if exited.value.code == 0:
            return json.loads(out)
        if exited.value.code == NOT_FOUND:  # it may have listed the keys, and found none
            raise RefusedError(404)
        status = re.search(r"answered (\d{3})", err)
        raise RefusedError(int(status[1]) if status else None)
