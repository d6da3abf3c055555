"""One secret of a key-value mount, version 2: its versions, and conditional writes."""

from __future__ import annotations

from typing import Any, Final

import attrs

from agentkeys.stores.contract.remote import Lost, Moved
from agentkeys.stores.vault.server import Answer, Server, meaning
from agentkeys.stores.vault.settings import Refused

__all__ = ["Entry", "Mount", "Numbered"]

_NEVER: Final = (1 << 31) - 1
"""A version number that no secret ever has."""


@attrs.frozen
class Numbered:
    """A version of a secret.

    Attributes:
        number: the number for a conditional write; 0 if there is no version yet.
        fields: the fields; empty if the version was deleted or destroyed.
    """

    number: int
    fields: dict[str, Any] = attrs.field(repr=False)


@attrs.frozen
class Mount:
    """A key-value store of version 2.

    Attributes:
        path: its path, with a slash at the end. It may have several segments.
        id: an id that only this mount of its cluster has; "" if the server does not return it.
    """

    path: str
    id: str

    @classmethod
    def found(cls, server: Server, path: str) -> Mount:
        """Return the mount of a path.

        Any token with a right in the mount may make this request; the command lines make it too.

        Raises:
            Refused: it is not a key-value store of version 2.
            Forbidden: there is no such mount, or the token has no rights there.
        """
        what = f"use {path} (check that the mount exists and the token is still valid)"
        told = _asked(server, "get", f"sys/internal/ui/mounts/{path}", what).data
        mount, options = told.get("path"), told.get("options") or {}
        if not isinstance(mount, str) or not f"{path}/".startswith(mount):
            raise Refused("the server does not return the mount of the path")
        if told.get("type") != "kv" or str(options.get("version")) != "2":
            raise Refused(
                f"{mount} is not a key-value store of version 2, which has conditional writes: use"
                f" another mount, or `vault kv enable-versioning {mount}`"
            )
        if mount == f"{path}/":
            raise Refused(f"{mount} is a mount: add the path of a secret to it")
        return cls(mount, str(told.get("uuid") or told.get("accessor") or ""))


class Entry:
    """A secret, over one connection.

    Args:
        server: the server.
        path: the mount and the path below it.
        mount: the mount, if it is known.
    """

    def __init__(self, server: Server, path: str, mount: Mount | None = None) -> None:
        self._server = server
        self.mount = mount or Mount.found(server, path)
        self._below = path.removeprefix(self.mount.path)

    def place(self) -> str:
        """Return an id that only this mount has.

        A cluster that was restored from a snapshot of another one has the other's ids, but not its
        later writes. Only its address differs.
        """
        if not self.mount.id:
            raise Refused("the server does not return the mount of the path")
        health = {"standbyok": "true", "perfstandbyok": "true"}
        # Every token may read this, but not in a namespace.
        cluster = self._server.ask("get", "sys/health", openly=True, params=health)
        return f"{self._server.settings.url} {cluster.body.get('cluster_id', '-')} {self.mount.id}"

    def read(self, number: int = 0) -> Numbered:
        """Return a version, or the newest one. If it is missing, its number is 0.

        A deleted version keeps its number, and a conditional write must name it.
        """
        params = {"version": number} if number else None
        answer = self._ask("get", "data", "read", params=params)
        found = answer.data.get("metadata")
        if answer.status == 404 and not isinstance(found, dict):
            # This is Vault's answer for a missing secret. A proxy that does not know the path
            # answers the same.
            if answer.body.get("errors") != []:
                raise Refused("the server does not say whether there is a secret")
            return Numbered(0, {})
        fields = answer.data.get("data") or {}
        if not isinstance(found, dict) or not isinstance(fields, dict):
            raise Refused("the answer is not that of a key-value store of version 2")
        return Numbered(_number_in(found), fields)

    def write(self, fields: dict[str, Any], *, expected: int) -> int:
        """Write a version if *expected* is the newest one, and return its number.

        Raises:
            Moved: *expected* is not the newest version.
        """
        body = {"options": {"cas": expected}, "data": fields}
        answer = self._ask("post", "data", "write", json=body)
        return _number_in(answer.data)

    def patch(self, fields: dict[str, Any], *, expected: int | None = None) -> int | None:
        """Change some fields without reading; return None if that succeeded.

        If there is no secret to change, return the number of its newest, deleted version, or 0.
        """
        options = {} if expected is None else {"options": {"cas": expected}}
        answer = self._ask(
            "patch",
            "data",
            "read or to patch",
            json=options | {"data": fields},
            headers={"Content-Type": "application/merge-patch+json"},
        )
        return _number_in(answer.data, default=0) if answer.status == 404 else None

    def delete(self, number: int) -> None:
        """Delete a version, so that it can be restored. Without the right to do so, keep it."""
        self._server.ask("post", self._at("delete"), json={"versions": [number]})

    def rehearse(self, fields: dict[str, Any] | None) -> None:
        """Check that a write is permitted, by a write whose condition is never met.

        Args:
            fields: the current fields; None if they cannot be read, so that a patch is needed.
        """
        try:
            if fields is not None or self.patch({}, expected=_NEVER) is not None:
                self.write(fields or {}, expected=_NEVER)
        except Moved:
            return
        raise Refused(
            "it wrote although the condition is not met: it is not a key-value store of version 2"
        )

    def _at(self, kind: str) -> str:
        return f"{self.mount.path}{kind}/{self._below}"

    def _ask(self, method: str, kind: str, verb: str, **more: Any) -> Answer:
        answer = _asked(self._server, method, self._at(kind), f"{verb} {self._at(kind)}", **more)
        # A request that waits for an approval (Vault's control groups) may be executed later.
        if method != "get" and answer.status < 300 and "version" not in answer.data:
            raise Lost("the server does not say whether it has written")
        return answer


def _asked(server: Server, method: str, path: str, what: str, **more: Any) -> Answer:
    answer = server.ask(method, path, **more)
    # A missing secret is not an error; a missing mount is one.
    if answer.status == 404 and not answer.says("no handler for route"):
        return answer
    told = meaning(answer, what)
    if told is not None:
        raise told
    return answer


def _number_in(metadata: dict[str, Any], *, default: int | None = None) -> int:
    number = metadata.get("version", default)
    if isinstance(number, int) and number >= 0:
        return number
    raise Refused("the answer is not that of a key-value store of version 2")
