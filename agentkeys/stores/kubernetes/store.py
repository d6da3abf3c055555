"""A store in one key of a Secret."""

from __future__ import annotations

import asyncio
import math
import re
import secrets
import ssl
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from typing import Any, Final, TypeVar
from urllib.parse import quote, unquote

from agentkeys.errors import InvalidArgumentError
from agentkeys.schemes import FORMS
from agentkeys.secret import Secret
from agentkeys.stores.contract.checks import check_text
from agentkeys.stores.contract.remote import Forbidden, Held, Lost, Moved, RemoteStore
from agentkeys.stores.kubernetes.access import Connection, NoProgramError, context_of
from agentkeys.stores.kubernetes.api import (
    CREATE,
    DELETE,
    GET,
    GET_NAMESPACE,
    MANAGED,
    MOST,
    PATCH,
    REVIEW,
    Answer,
    Others,
    Request,
    encoded,
    text_of,
)

__all__ = ["KubernetesStore"]

T = TypeVar("T")

_LABEL: Final = "[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?"
_NAMESPACE: Final = re.compile(_LABEL)
_NAME: Final = re.compile(rf"(?=.{{1,253}}\Z){_LABEL}(\.{_LABEL})*")
_KEY: Final = re.compile(r"(?!\.\.?\Z|\.\.)[-._a-zA-Z0-9]{1,253}")
_FORM: Final = FORMS["kubernetes"]
_OPTION: Final = "context="
_IN_A_CALL: Final = 3
"""How many requests without an answer fit into one call, so that a lost write can be settled."""

_connection: Final[ContextVar[Connection]] = ContextVar("connection")


class KubernetesStore(RemoteStore):
    """A secret in one key of a Secret of a Kubernetes cluster.

    Other keys of the Secret, its labels, annotations, type and owners stay. If the Secret does not
    exist, it is created; the namespace must exist. A Secret that this store created is deleted with
    its last key.

    The cluster and the credentials are those of kubectl: from the kubeconfig in ``KUBECONFIG``, or
    ``~/.kube/config``. Without a kubeconfig, they are those of the pod that the process runs in.

    Args:
        namespace: the namespace.
        secret: the name of the Secret.
        key: the key in its data.
        context: the context of the kubeconfig; defaults to the current one, which becomes part of
            the address.
        timeout: seconds for each call; `math.inf` means no limit.

    Raises:
        ConfigurationError: the extra ``kubernetes`` is not installed, or no cluster is configured.
        InvalidArgumentError: a name is invalid.
    """

    quiet = ("kubernetes_asyncio",)

    def __init__(
        self,
        namespace: str,
        secret: str,
        key: str,
        *,
        context: str | None = None,
        timeout: float = 30.0,
    ) -> None:
        super().__init__(timeout=timeout)
        self._namespace = _checked("the namespace", namespace, _NAMESPACE)
        self._name = _checked("the name of the Secret", secret, _NAME)
        self._key = _checked("the key", key, _KEY)
        self._context = None if context is None else check_text("the context", context)
        self._context = context_of(self._context)
        option = "" if self._context is None else f"?{_OPTION}{quote(self._context, safe='/:@')}"
        self.address = f"kubernetes:{self._namespace}/{self._name}#{self._key}{option}"

    @classmethod
    def at(cls, place: str) -> KubernetesStore:
        """Return the store of an address without its ``kubernetes:``.

        Raises:
            InvalidArgumentError: *place* is not such an address.
        """
        path, question, option = place.partition("?")
        where, sign, key = path.partition("#")
        namespace, slash, secret = where.partition("/")
        if not (sign and slash) or (question and not option.startswith(_OPTION)):
            raise InvalidArgumentError(
                f"the address of a Kubernetes store is {_FORM} or {_FORM}?context=NAME"
            )
        context = unquote(option.removeprefix(_OPTION)) if question else None
        return cls(namespace, secret, key, context=context)

    def describe(self) -> str:
        """Return the place of the secret."""
        where = f"{self._key} of the Secret {self._namespace}/{self._name}"
        return where if self._context is None else f"{where} in {self._context}"

    def __repr__(self) -> str:
        context = "" if self._context is None else f", context={self._context!r}"
        return f"KubernetesStore({self._namespace!r}, {self._name!r}, {self._key!r}{context})"

    async def _bounded(self, work: Callable[[], Awaitable[T]], *changing: Any) -> T:
        ends = asyncio.get_running_loop().time() + self._timeout
        connection = Connection(self._context, ends)
        token = _connection.set(connection)
        try:
            return await super()._bounded(work, *changing)
        finally:
            _connection.reset(token)
            await connection.close()

    async def _held(self) -> Held:
        answer = await self._sent(GET)
        if answer.status == 404:
            return Held(None, None)
        found = self._accepted(answer, "get").object
        value = (found.get("data") or {}).get(self._key, "")
        secret = text_of(value)
        if secret is None:
            raise self._error("it is not text in UTF-8: remove it with kubectl, or use another key")
        return Held(secret, found["metadata"]["resourceVersion"], Others.of(found, self._key))

    async def _put(self, secret: Secret | None, held: Held) -> None:
        others: Others | None = held.rest
        if others is None:
            if secret is not None:
                self._accepted(await self._sent(CREATE, self._new(secret)), "create")
            return
        if secret is None and others.is_managed and not others.count:
            condition = {"preconditions": {"resourceVersion": held.token}}
            answer = await self._sent(DELETE, condition)
            if answer.status == 404:
                return
            if answer.status != 403:  # without the right to delete, an empty Secret stays
                self._accepted(answer, "delete")
                return
        self._refuse(secret, others)
        answer = await self._sent(PATCH, self._change(secret, resourceVersion=held.token))
        if answer.status == 404:
            raise Moved(f"{self._name} was deleted meanwhile: try again")
        self._accepted(answer, "patch", others)

    async def _put_unread(self, secret: Secret) -> None:
        await self._applied(secret)

    async def _rehearse(self, held: Held | None) -> None:
        is_missing = held is not None and held.token is None
        needed = ["patch", "create"] if is_missing else ["patch"]
        # A dry run needs the same rights, but stops at the first missing one.
        denied = [verb for verb in needed if not await self._may(verb)]
        if denied:
            raise Forbidden(self._forbidden(" and ".join(denied)))
        # Longer than the keys of our services, and not a secret.
        stand_in = Secret(f"agentkeys-probe-{secrets.token_hex(120)}")
        if held is not None and held.rest is not None:
            self._refuse(stand_in, held.rest)
        await self._applied(stand_in, dryRun="All")

    async def _applied(self, secret: Secret, **query: str) -> None:
        """Write a secret, whatever the Secret holds, with or without an effect."""
        answer, verb = await self._sent(PATCH, self._change(secret), **query), "patch"
        if answer.status == 404:
            answer, verb = await self._sent(CREATE, self._new(secret), **query), "create"
        # A dry run answers 409 if another program has just created the Secret, and 400 if a webhook
        # of the cluster does not support dry runs; then the access review must be enough.
        if not (query and answer.status in {400, 409}):
            self._accepted(answer, verb)

    async def _may(self, verb: str) -> bool:
        """Return the API server's answer about a right; True if it has none."""
        place = {"namespace": self._namespace, "resource": "secrets", "name": self._name}
        review = {
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SelfSubjectAccessReview",
            "spec": {"resourceAttributes": {**place, "verb": verb}},
        }
        answer = await self._sent(REVIEW, review)
        if answer.status in {403, 404}:
            return True
        return bool(self._accepted(answer, "review").object.get("status", {}).get("allowed"))

    async def _place(self) -> str:
        answer = await self._sent(GET_NAMESPACE)
        if answer.status == 403:
            raise self._error("the role does not permit to get the namespace (403 Forbidden)")
        found = self._accepted(answer, "get the namespace of")
        return f"namespace {found.object['metadata']['uid']}"

    def _new(self, secret: Secret) -> dict[str, Any]:
        """Return the new Secret for a name that does not exist."""
        return {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": self._name, "labels": dict(MANAGED)},
            "type": "Opaque",
            "data": {self._key: encoded(secret)},
        }

    def _change(self, secret: Secret | None, **condition: str) -> dict[str, Any]:
        """Return the merge patch that writes or removes our key, and changes nothing else."""
        value = None if secret is None else encoded(secret)
        return {"metadata": condition, "data": {self._key: value}}

    def _refuse(self, secret: Secret | None, others: Others) -> None:
        """Refuse a change that this Secret cannot take, before it is sent."""
        if others.is_immutable:
            raise self._error("the Secret is immutable: delete it, or use another one")
        if secret is not None and others.size + _size(secret) > MOST:
            raise self._error(f"with its other keys the Secret would have more than {MOST} bytes")

    def _objection(self, secret: Secret) -> str | None:
        return f"a Secret holds at most {MOST} bytes" if _size(secret) > MOST else None

    def _told(self, error: Exception) -> Exception:
        import aiohttp
        from kubernetes_asyncio.config import ConfigException

        name = type(error).__name__
        if isinstance(error, aiohttp.ClientSSLError | ssl.SSLError):
            return self._error(f"the TLS connection to the cluster failed ({name})")
        if isinstance(error, aiohttp.ClientError | TimeoutError | ConnectionError):
            return Lost(f"the cluster did not answer ({name})")
        if isinstance(error, NoProgramError):
            return self._error(f"{error}: install it, or check the user of the context")
        if isinstance(error, ConfigException):
            return self._error(
                f"the kubeconfig, its program or the service account provides no"
                f" credentials ({name}): check with kubectl"
            )
        return self._error(f"it failed with {name}")

    async def _sent(self, request: Request, body: Any = None, **query: str) -> Answer:
        """Return the answer to a request; if the server is busy, repeat when it says so."""
        share = self._timeout / _IN_A_CALL
        limit = None if share == math.inf else share
        names = {"namespace": self._namespace, "name": self._name}
        connection, now = _connection.get(), asyncio.get_running_loop().time
        answer = await connection.ask(request, names, body, query, timeout=limit)
        while answer.status == 429:
            # A write that the end of the call cuts off may have been made, or not.
            if now() + answer.pause + share > connection.ends:
                raise self._error(f"the cluster is busy (429): try again in {answer.pause:g} s")
            await asyncio.sleep(answer.pause)
            answer = await connection.ask(request, names, body, query, timeout=limit)
        if not (answer.is_of_the_api or answer.status == 401 or answer.status >= 500):
            raise self._error(
                f"the answer is not from a Kubernetes API ({answer.status}): check the server of"
                " the context"
            )
        return answer

    def _accepted(self, answer: Answer, verb: str, others: Others | None = None) -> Answer:
        """Return an answer that is not a refusal."""
        if answer.status < 300:
            return answer
        if answer.status >= 500:
            raise Lost(f"the cluster answered {answer.label}")
        if answer.status == 409:
            raise Moved(f"another program changed it meanwhile ({answer.label}): try again")
        if answer.status == 403 and not answer.is_caused_by("NamespaceTerminating"):
            raise Forbidden(self._forbidden(verb))
        reason = {
            401: "the cluster does not accept these credentials: log in again",
            403: f"the namespace {self._namespace} is being deleted: use another one",
            404: f"there is no namespace {self._namespace}: create it, or use another context",
            422: "the cluster rejects the change: the Secret may be immutable, have more than"
            f" {MOST} bytes, or be of a type that forbids it",
        }.get(answer.status, "the cluster rejects the request")
        kind = f"; its type is {others.type}" if others and others.type != "Opaque" else ""
        raise self._error(f"{reason} ({answer.label}{kind})")

    def _forbidden(self, verb: str) -> str:
        return (
            f"the credentials do not permit to {verb} it (403 Forbidden): check the role, and the"
            " quota of the namespace"
        )


def _checked(what: str, value: str, form: re.Pattern[str]) -> str:
    name = check_text(what, value)
    if not form.fullmatch(name):
        # Not the name itself, which may be a secret by mistake.
        raise InvalidArgumentError(f"{what} is not a name that Kubernetes allows")
    return name


def _size(secret: Secret) -> int:
    return len(secret.reveal().encode())
