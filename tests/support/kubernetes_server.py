"""An API server of Kubernetes, as far as Secrets go, on a port of this machine.

It follows the API's documentation: one counter of versions, merge patches (RFC 7386), dry runs,
preconditions, RBAC, access reviews, Status objects, and what is valid in a Secret.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import copy
import itertools
import re
import uuid
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Self

import attrs
from aiohttp import web
from background import Background, ended
from kubernetes_cluster import ADMIN, AGENT, NAMESPACE, Cluster

if TYPE_CHECKING:
    from ssl import SSLContext

__all__ = ["KubernetesServer", "Refusal", "Trouble"]

_MOST = 1 << 20
_KEY = re.compile(r"[-._a-zA-Z0-9]{1,253}")
_NEEDED = {
    "kubernetes.io/tls": {"tls.crt", "tls.key"},
    "kubernetes.io/ssh-auth": {"ssh-privatekey"},
}
_SECRETS = "/api/v1/namespaces/{namespace}/secrets"


class Refusal(Exception):  # noqa: N818  # as the API calls it, a Status
    """What is answered instead: a Status."""

    def __init__(
        self, code: int, reason: str, causes: tuple[str, ...] = (), **headers: str
    ) -> None:
        super().__init__(reason)
        self.code = code
        self.headers = {name.replace("_", "-"): value for name, value in headers.items()}
        self.status = {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": f"refused: {reason}",
            "reason": reason,
            "details": {"causes": [{"reason": cause} for cause in causes]},
            "code": code,
        }


@attrs.define
class Trouble:
    """What goes wrong with the next request of a kind.

    Attributes:
        kind: ``get``, ``patch``, ``create``, ``delete``, ``review``, ``get namespace``; with
            ``dry `` before it for one without effect.
        lost: whether the connection breaks ``before`` or ``after`` the server has acted; ``late``
            if it breaks at once, and the server acts when it is told to `deliver`.
        refusal: what is answered instead.
        meanwhile: what is done directly before the server acts.
        hangs: whether no answer ever comes.
    """

    kind: str
    lost: str = ""
    refusal: Refusal | None = None
    meanwhile: Callable[[], object] | None = None
    hangs: bool = False


class KubernetesServer(Cluster):
    """The server, and what it holds.

    Attributes:
        secrets: the Secrets, by namespace and name.
        namespaces: the namespaces, by name.
        rights: the rules of a token by namespace, as in a Role; the administrator has all rights.
        troubles: what goes wrong, each once.
        asked: the kinds of all requests.
        webhooks: whether a webhook of the cluster does not take part in dry runs.
        reviews: whether access reviews are answered.
    """

    def __init__(self, ssl: SSLContext | None = None) -> None:
        self._background = Background()
        self._ssl = ssl
        self._versions = itertools.count(1000)
        self._late: list[Callable[[], object]] = []
        self._end = asyncio.Event()
        self.secrets: dict[tuple[str, str], Any] = {}
        self.namespaces: dict[str, Any] = {}
        self.rights: dict[str, dict[str, list[Any]]] = {}
        self.troubles: list[Trouble] = []
        self.asked: list[str] = []
        self.webhooks = False
        self.reviews = True
        self.found(NAMESPACE)

    def __enter__(self) -> Self:
        self._background.__enter__()
        self.url = self._background.run(self._start())
        return self

    def __exit__(self, *_: object) -> None:
        self._background.run(self._stop())
        self._background.__exit__()

    def found(self, namespace: str) -> None:
        """Make a namespace; another one if there is one of this name."""
        self.namespaces[namespace] = {
            "kind": "Namespace",
            "apiVersion": "v1",
            "metadata": {"name": namespace, "uid": str(uuid.uuid4())},
            "status": {"phase": "Active"},
        }
        for place in [place for place in self.secrets if place[0] == namespace]:
            del self.secrets[place]

    def bind(self, rules: list[Any]) -> None:
        self.rights[AGENT] = {NAMESPACE: rules}

    def deliver(self) -> None:
        """Act on the requests that are late."""
        while self._late:
            self._background.run(_called(self._late.pop(0)))

    async def _start(self) -> str:
        app = web.Application(client_max_size=3 << 20)
        app.router.add_route("*", "/{path:.*}", self._serve)
        self._runner = web.AppRunner(app, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0, ssl_context=self._ssl)
        await site.start()
        port = self._runner.addresses[0][1]
        return f"{'https' if self._ssl else 'http'}://127.0.0.1:{port}"

    async def _stop(self) -> None:
        self._end.set()
        await self._runner.cleanup()

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        """Answer, or do what goes wrong."""
        body = await request.json() if request.can_read_body else {}
        call = _Call.of(request, body)
        is_tests = "X-Tests" in request.headers
        trouble = Trouble("") if is_tests else self._trouble(call.kind)
        if not is_tests:
            self.asked.append(call.kind)
        if trouble.hangs:
            await self._end.wait()
        if trouble.lost == "late":
            self._late.append(lambda: self._answered(call))
        if trouble.lost not in {"before", "late"} and not trouble.hangs:
            if trouble.meanwhile:
                await ended(trouble.meanwhile())
            answer = _refused(trouble.refusal) if trouble.refusal else self._answered(call)
            if not trouble.lost:
                return answer
        assert request.transport is not None
        request.transport.abort()
        return web.Response()

    def _trouble(self, kind: str) -> Trouble:
        for number, trouble in enumerate(self.troubles):
            if trouble.kind == kind:
                return self.troubles.pop(number)
        return Trouble("")

    def _answered(self, call: _Call) -> web.Response:
        try:
            self._permit(call)
            return web.json_response(getattr(self, f"_{call.does}")(call), status=call.success)
        except Refusal as refusal:
            return _refused(refusal)

    def _permit(self, call: _Call) -> None:
        if call.token != ADMIN and call.token not in self.rights:
            raise Refusal(401, "Unauthorized")
        if call.does == "review":
            if not self.reviews:
                raise Refusal(403, "Forbidden")
        elif not self.may(call.token, call.verb, call.resource, call.namespace, call.name):
            raise Refusal(403, "Forbidden")

    def may(self, token: str, verb: str, resource: str, namespace: str, name: str) -> bool:
        """Return whether a rule of the token's Role permits that (documentation, RBAC)."""
        return token == ADMIN or any(
            verb in rule["verbs"]
            and resource in rule["resources"]
            and "" in rule["apiGroups"]
            and (not rule.get("resourceNames") or name in rule["resourceNames"])
            for rule in self.rights[token].get(namespace, [])
        )

    def _review(self, call: _Call) -> Any:
        about = call.body["spec"]["resourceAttributes"]
        names = (about["verb"], about["resource"], about["namespace"], about.get("name", ""))
        return {**call.body, "status": {"allowed": self.may(call.token, *names)}}

    def _get_namespace(self, call: _Call) -> Any:
        if call.namespace not in self.namespaces:
            raise Refusal(404, "NotFound")
        return self.namespaces[call.namespace]

    def _get(self, call: _Call) -> Any:
        if call.place not in self.secrets:
            raise Refusal(404, "NotFound")
        return self.secrets[call.place]

    def _create(self, call: _Call) -> Any:
        made = copy.deepcopy(call.body)
        name = made["metadata"]["name"]
        if call.namespace not in self.namespaces:
            raise Refusal(404, "NotFound")
        if self.namespaces[call.namespace]["status"]["phase"] == "Terminating":
            raise Refusal(403, "Forbidden", ("NamespaceTerminating",))
        if (call.namespace, name) in self.secrets:
            raise Refusal(409, "AlreadyExists")
        if "resourceVersion" in made["metadata"]:
            raise Refusal(400, "BadRequest")
        made["metadata"] |= {"namespace": call.namespace, "uid": str(uuid.uuid4())}
        return self._kept((call.namespace, name), None, {"type": "Opaque", **made}, call)

    def _patch(self, call: _Call) -> Any:
        before = self._get(call)
        if call.form != "application/merge-patch+json":
            raise Refusal(415, "UnsupportedMediaType")
        after = _merged(before, call.body)
        if after["metadata"]["resourceVersion"] != before["metadata"]["resourceVersion"]:
            raise Refusal(409, "Conflict")
        fixed = [("apiVersion",), ("kind",), ("metadata", "name"), ("metadata", "uid")]
        if any(_at(after, path) != _at(before, path) for path in fixed):
            raise Refusal(400, "BadRequest")
        return self._kept(call.place, before, after, call)

    def _delete(self, call: _Call) -> Any:
        before = self._get(call)
        conditions = call.body.get("preconditions", {})
        if any(before["metadata"][name] != value for name, value in conditions.items()):
            raise Refusal(409, "Conflict")
        if not call.is_dry and before["metadata"].get("finalizers"):
            before["metadata"]["deletionTimestamp"] = "2026-12-01T00:00:00Z"
            return before
        if not call.is_dry:
            del self.secrets[call.place]
        return {"kind": "Status", "apiVersion": "v1", "status": "Success"}

    def _kept(self, place: tuple[str, str], before: Any, after: Any, call: _Call) -> Any:
        if call.is_dry and self.webhooks:
            raise Refusal(400, "BadRequest")
        _check(after)
        if before is not None:
            is_changed = before.get("data") != after.get("data")
            if before["type"] != after["type"] or (before.get("immutable") and is_changed):
                raise Refusal(422, "Invalid")
            if before == after:
                return before
        after["metadata"]["resourceVersion"] = str(next(self._versions))
        if not call.is_dry:
            self.secrets[place] = after
        return after


@attrs.frozen
class _Call:
    """One request, read."""

    does: str
    verb: str
    resource: str
    namespace: str
    name: str
    body: Any
    form: str
    token: str
    is_dry: bool

    @classmethod
    def of(cls, request: web.Request, body: Any) -> Self:
        verbs = {"GET": "get", "POST": "create", "PATCH": "patch", "DELETE": "delete"}
        verb = verbs[request.method]
        match request.path.strip("/").split("/"):
            case ["apis", "authorization.k8s.io", "v1", "selfsubjectaccessreviews"]:
                does, resource, namespace, name = "review", "", "", ""
            case ["api", "v1", "namespaces", namespace]:
                does, resource, name = "get_namespace", "namespaces", namespace
            case ["api", "v1", "namespaces", namespace, "secrets", *names]:
                does, resource, name = verb, "secrets", "".join(names)
            case _:
                raise web.HTTPNotFound
        is_dry = request.query.get("dryRun", "") == "All" or body.get("dryRun") == ["All"]
        token = request.headers.get("Authorization", "").removeprefix("Bearer ")
        return cls(
            *(does, verb, resource, namespace, name, body, request.content_type, token, is_dry)
        )

    @property
    def kind(self) -> str:
        return f"{'dry ' * self.is_dry}{self.does.replace('_', ' ')}"

    @property
    def place(self) -> tuple[str, str]:
        return self.namespace, self.name

    @property
    def success(self) -> int:
        return 201 if self.does in {"create", "review"} else 200


async def _called(work: Callable[[], object]) -> None:
    work()


def _refused(refusal: Refusal) -> web.Response:
    return web.json_response(refusal.status, status=refusal.code, headers=refusal.headers)


def _merged(target: Any, patch: Any) -> Any:
    """Return the result of a merge patch (RFC 7386, section 2)."""
    if not isinstance(patch, dict):
        return patch
    result = dict(target) if isinstance(target, dict) else {}
    for name, value in patch.items():
        if value is None:
            result.pop(name, None)
        else:
            result[name] = _merged(result.get(name), value)
    return result


def _at(value: Any, path: tuple[str, ...]) -> Any:
    for name in path:
        value = value.get(name)
    return value


def _check(secret: Any) -> None:
    """Refuse what is no valid Secret (Kubernetes, pkg/apis/core/validation)."""
    data = secret.get("data") or {}
    try:
        sizes = [len(base64.b64decode(value, validate=True)) for value in data.values()]
    except (binascii.Error, TypeError):
        raise Refusal(400, "BadRequest") from None
    are_named = all(_KEY.fullmatch(key) and key != "." and key[:2] != ".." for key in data)
    is_whole = data.keys() >= _NEEDED.get(secret["type"], set())
    if not are_named or not is_whole or sum(sizes) > _MOST:
        raise Refusal(422, "Invalid")
