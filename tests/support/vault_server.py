"""A Vault of the tests' own on a loopback port: mounts, tokens, policies, and what goes wrong.

It is strict about the documented API of Vault and OpenBao. It runs in a thread, so that it serves
this process and its children, which reach it by what `environment` says.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import re
import secrets
import uuid
from collections.abc import Callable
from typing import Any, Self

import attrs
from aiohttp import web
from background import Background, ended
from vault_kv import Answer, KeyValue, refusal, said

__all__ = ["Policy", "Trouble", "VaultServer", "policy"]

_silent = logging.getLogger("vault_server")
_silent.disabled = True

Policy = dict[str, frozenset[str]]

_RULE = re.compile(r'path\s+"([^"]+)"\s*\{\s*capabilities\s*=\s*\[([^]]*)\]\s*\}')
_NEEDED = {"GET": "read", "PATCH": "patch", "DELETE": "delete"}
_PREFLIGHT = "sys/internal/ui/mounts/"
_ADMINISTRATION = ("sys/mounts/", "sys/policies/acl/", "auth/token/create")
_DENIED = refusal(403, "1 error occurred:\n\t* permission denied\n\n")
_NO_TOKEN = refusal(400, "missing client token")
_INVALID_TOKEN = refusal(403, "2 errors occurred:\n\t* permission denied\n\t* invalid token\n\n")
_MERGE_PATCH = "application/merge-patch+json"


def policy(hcl: str) -> Policy:
    """Return what a policy says that is written as HCL."""
    rules = {path: frozenset(re.findall(r'"(\w+)"', named)) for path, named in _RULE.findall(hcl)}
    assert rules, "there is no policy in it"
    return rules


def permitted(rules: Policy, path: str) -> frozenset[str]:
    """Return the capabilities for a path: an exact rule's, or else those of the longest pattern."""
    fitting = [rule for rule in rules if re.fullmatch(_as_pattern(rule), path)]
    best = max(fitting, key=lambda rule: (rule == path, len(rule)), default=None)
    found = rules[best] if best is not None else frozenset[str]()
    return frozenset() if "deny" in found else found


def _as_pattern(rule: str) -> str:
    escaped = re.escape(rule.removesuffix("*")).replace(r"\+", "[^/]+")
    return escaped + (".*" if rule.endswith("*") else "")


@attrs.define
class Trouble:
    """What goes wrong with one request.

    Attributes:
        kind: ``lost before`` or ``lost after`` the server has acted, ``cut`` in the answer's body,
            ``hang``, a status or a whole answer that is given instead, or what happens first: a
            callable, and the future that it returns is waited for.
        method: which requests it concerns.
        part: what is in the path of the requests it concerns.
    """

    kind: str | int | Answer | Callable[[], object]
    method: str = ""
    part: str = "/data/"

    def concerns(self, request: web.Request) -> bool:
        return request.method.startswith(self.method) and self.part in request.path


class VaultServer:
    """Serves in a thread of its own while it is entered.

    Attributes:
        namespaces: the mounts by the path of their namespace; "" is the root.
        tokens: what each token may do; None may do everything.
        policies: the policies by their names.
        troubles: what goes wrong next; each is used up by the first request that it concerns.
        asked: the requests so far, as ``GET /v1/...``, and the headers of each.
        is_sealed: every request but one for the health is refused.
        active: where a standby sends whoever asks it.
    """

    def __init__(self, *, ssl: Any = None) -> None:
        self.namespaces: dict[str, list[KeyValue]] = {"": [KeyValue("kv/")]}
        self.root = f"hvs.{secrets.token_urlsafe(24)}"
        self.tokens: dict[str, Policy | None] = {self.root: None}
        self.policies: dict[str, Policy] = {}
        self.troubles: list[Trouble] = []
        self.asked: list[str] = []
        self.headers: list[Any] = []
        self.is_sealed = False
        self.active: str | None = None
        self.cluster_id: str | None = str(uuid.uuid4())
        self.url = ""
        self._ssl = ssl
        self._background = Background()

    @property
    def kv(self) -> KeyValue:
        """The first mount."""
        return self.namespaces[""][0]

    @property
    def environment(self) -> dict[str, str]:
        """What a process needs to use it with all rights."""
        return {"VAULT_ADDR": self.url, "VAULT_TOKEN": self.root}

    def put(self, path: str, data: dict[str, Any]) -> None:
        """Write all fields of a secret, as somebody else does."""
        assert self.kv.asked("POST", f"data/{path}", {}, {"data": data}).status == 200

    def data(self, path: str) -> Any:
        """Return all fields of a secret, or None if there is none."""
        answer = self.kv.asked("GET", f"data/{path}", {}, None)
        return answer.body["data"]["data"] if answer.status == 200 else None

    def rest(self) -> None:
        """Let the server do what it has to do."""
        self._background.run(asyncio.sleep(0))

    def __enter__(self) -> Self:
        self._background.__enter__()
        self._background.enter(self._serving())
        return self

    def __exit__(self, *_: object) -> None:
        self._background.__exit__()

    @contextlib.asynccontextmanager
    async def _serving(self) -> Any:
        self._over = asyncio.Event()
        app = web.Application(client_max_size=32 << 20)
        app.router.add_route("*", "/{path:.*}", self._handle)
        # What it logs, or Python of an answer that breaks, has the secrets and tokens of the tests.
        runner = web.AppRunner(app, access_log=None, logger=_silent, shutdown_timeout=1.0)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=self._ssl)
        await site.start()
        scheme = "https" if self._ssl else "http"
        self.url = f"{scheme}://127.0.0.1:{runner.addresses[0][1]}"
        yield
        self._over.set()
        await runner.cleanup()

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        self.asked.append(f"{request.method} {request.path_qs}")
        self.headers.append(request.headers.copy())
        text = await request.text()
        trouble = next((each for each in self.troubles if each.concerns(request)), None)
        if trouble is not None:
            self.troubles.remove(trouble)
        kind = trouble.kind if trouble else ""
        if callable(kind):
            await ended(kind())
        elif isinstance(kind, int):
            return self._sent(refusal(kind, "that went wrong"))
        elif isinstance(kind, Answer):
            return self._sent(kind)
        elif kind == "hang":
            await self._over.wait()
        answer = self._answer(request, text) if kind != "lost before" else Answer(200)
        if kind in {"lost before", "lost after"}:
            return self._reset(request)
        if kind == "cut":
            return await self._cut(request)
        return self._sent(answer)

    def _reset(self, request: web.Request) -> web.StreamResponse:
        assert request.transport is not None
        request.transport.abort()
        return web.Response()

    async def _cut(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Length": "1000"})
        await response.prepare(request)
        await response.write(b'{"data": {')
        return self._reset(request)

    def _sent(self, answer: Answer) -> web.StreamResponse:
        if answer.status == 307:
            return web.Response(status=307, headers={"Location": answer.body})
        if answer.body is None:
            return web.Response(status=answer.status)
        return web.json_response(answer.body, status=answer.status)

    def _answer(self, request: web.Request, text: str) -> Answer:
        namespace = request.headers.get("X-Vault-Namespace", "").strip("/")
        if request.path == "/v1/sys/health":
            return refusal(400, "unsupported path") if namespace else self._health()
        if self.is_sealed or self.active:
            moved = Answer(307, f"{self.active}{request.path_qs}")
            return refusal(503, "Vault is sealed") if self.is_sealed else moved
        token = request.headers.get("X-Vault-Token", "")
        if token not in self.tokens:
            return _NO_TOKEN if not token else _INVALID_TOKEN
        mounts = self.namespaces.get(namespace, [])
        path, rules = request.path.removeprefix("/v1/"), self.tokens[token]
        if path.startswith(_ADMINISTRATION):
            body = json.loads(text) if text else {}
            return self._administered(path, body, mounts) if rules is None else _DENIED
        if path.startswith(_PREFLIGHT) and mounts:
            return _preflight(mounts, rules, path.removeprefix(_PREFLIGHT))
        return _asked(mounts, rules, path, request, text)

    def _administered(self, path: str, body: Any, mounts: list[KeyValue]) -> Answer:
        kind, _, name = path.partition("/")[2].partition("/")
        if kind == "mounts":
            replaced = [each for each in mounts if each.path == f"{name}/"]
            mounts[:] = [each for each in mounts if each not in replaced]
            if body:
                version = int((body.get("options") or {}).get("version", 1))
                mounts.append(KeyValue(f"{name}/", version))
        elif kind == "policies":
            self.policies[name.removeprefix("acl/")] = policy(body["policy"])
        else:
            rules = [self.policies[each] for each in body["policies"]]
            token = f"hvs.{secrets.token_urlsafe(24)}"
            self.tokens[token] = dict(item for each in rules for item in each.items())
            return Answer(200, {"auth": {"client_token": token}})
        return Answer(204)

    def _health(self) -> Answer:
        told: dict[str, Any] = {"initialized": True, "sealed": self.is_sealed, "standby": False}
        if self.cluster_id is None:
            return refusal(404)
        if not self.is_sealed:
            told["cluster_id"] = self.cluster_id
        return Answer(503 if self.is_sealed else 200, told)


def _mount(mounts: list[KeyValue], path: str) -> KeyValue | None:
    return next((each for each in mounts if f"{path}/".startswith(each.path)), None)


def _preflight(mounts: list[KeyValue], rules: Policy | None, path: str) -> Answer:
    """Describe the mount of a path to whoever may do anything there; nobody learns of others."""
    mount = _mount(mounts, path)
    if mount is None or not (rules is None or any(_reaches(rule, mount.path) for rule in rules)):
        said_path = f'path "{path}/"'
        return refusal(403, f"preflight capability check returned 403, please ... {said_path}")
    return said(mount.described)


def _reaches(rule: str, mount: str) -> bool:
    return rule.startswith(mount) or mount.startswith(rule.removesuffix("*"))


def _asked(
    mounts: list[KeyValue], rules: Policy | None, path: str, request: web.Request, text: str
) -> Answer:
    mount = _mount(mounts, path)
    if mount is None:
        return refusal(404, f'no handler for route "{path}". route entry not found.')
    below = path.removeprefix(mount.path)
    kind, _, name = below.partition("/")
    writes = "update" if mount.exists(kind, name) else "create"
    needed = _NEEDED.get(request.method, writes)
    if rules is not None and needed not in permitted(rules, path):
        return _DENIED
    if request.method == "PATCH" and request.content_type != _MERGE_PATCH:
        return refusal(415, f"PATCH requires Content-Type of {_MERGE_PATCH}")
    method = "POST" if request.method == "PUT" else request.method
    return mount.asked(method, below, request.query, json.loads(text) if text else {})
