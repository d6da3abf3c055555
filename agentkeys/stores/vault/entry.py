"""One secret of a key-value mount, version 2: its versions, and writes under a condition."""

from __future__ import annotations

from typing import Any, Final

import attrs

from agentkeys.stores.contract.remote import Lost, Moved
from agentkeys.stores.vault.server import Answer, Server, meaning
from agentkeys.stores.vault.settings import Refused

__all__ = ["Entry", "Mount", "Numbered"]

_NEVER: Final = (1 << 31) - 1
"""The number of a version that no secret ever has."""


@attrs.frozen
class Numbered:
    """A version of a secret.

    Attributes:
        number: the number that a conditional write names; 0 if there was no version yet.
        fields: what is in it; nothing if it was deleted or destroyed.
    """

    number: int
    fields: dict[str, Any] = attrs.field(repr=False)


@attrs.frozen
class Mount:
    """A key-value store of version 2.

    Attributes:
        path: where it is, with a slash at its end. It may have several segments.
        id: what it has and no other mount of its cluster; "" if the server does not say.
    """

    path: str
    id: str

    @classmethod
    def found(cls, server: Server, path: str) -> Mount:
        """Return the mount that a path is in.

        Any token may ask for it that may do anything there; the command lines ask for it, too.

        Raises:
            Refused: it is no key-value store of version 2.
            Forbidden: there is none, or the token may do nothing there.

        """
        what = f"use {path} (is there such a mount, and is the token still valid?)"
        told = _asked(server, "get", f"sys/internal/ui/mounts/{path}", what).data
        mount, options = told.get("path"), told.get("options") or {}
        if not isinstance(mount, str) or not f"{path}/".startswith(mount):
            raise Refused("the server does not say which mount that is")
        if told.get("type") != "kv" or str(options.get("version")) != "2":
            raise Refused(
                f"{mount} is no key-value store of version 2, which has conditional writes: use"
                f" another mount, or `vault kv enable-versioning {mount}`"
            )
        if mount == f"{path}/":
            raise Refused(f"{mount} is a mount, and there is no path of a secret behind it")
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
        """Return what this mount has and no other.

        A cluster that was made of a snapshot of another one has the ids of that one, but not what
        was written since. Only its address is another.
        """
        if not self.mount.id:
            raise Refused("the server does not say which mount that is")
        health = {"standbyok": "true", "perfstandbyok": "true"}
        # It tells everybody, but not in a namespace.
        cluster = self._server.ask("get", "sys/health", openly=True, params=health)
        return f"{self._server.settings.url} {cluster.body.get('cluster_id', '-')} {self.mount.id}"

    def read(self, number: int = 0) -> Numbered:
        """Return a version, or the newest one. If it is missing, its number is 0.

        A version that was deleted still has its number, and a conditional write must name it.
        """
        params = {"version": number} if number else None
        answer = self._ask("get", "data", "read", params=params)
        found = answer.data.get("metadata")
        if answer.status == 404 and not isinstance(found, dict):
            # So Vault says that there is none. A proxy that does not know the path says it too.
            if answer.body.get("errors") != []:
                raise Refused("the server does not say whether there is a secret")
            return Numbered(0, {})
        fields = answer.data.get("data") or {}
        if not isinstance(found, dict) or not isinstance(fields, dict):
            raise Refused("the server answers as no key-value store of version 2 does")
        return Numbered(_number_in(found), fields)

    def write(self, fields: dict[str, Any], *, expected: int) -> int:
        """Write a version, and return its number, if *expected* is the newest one.

        Raises:
            Moved: it is not.

        """
        body = {"options": {"cas": expected}, "data": fields}
        answer = self._ask("post", "data", "write", json=body)
        return _number_in(answer.data)

    def patch(self, fields: dict[str, Any], *, expected: int | None = None) -> int | None:
        """Change some fields, without reading. Return None if that was done.

        If there is no secret that could be changed, return the number of its newest version, which
        was deleted, or 0.
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
        """Delete a version, so that it can be restored. Without the right to do it, it stays."""
        self._server.ask("post", self._at("delete"), json={"versions": [number]})

    def rehearse(self, fields: dict[str, Any] | None) -> None:
        """See that a write is permitted, by one whose condition is never met.

        Args:
            fields: what is there; None if it cannot be read, and so must be patched.

        """
        try:
            if fields is not None or self.patch({}, expected=_NEVER) is not None:
                self.write(fields or {}, expected=_NEVER)
        except Moved:
            return
        raise Refused(
            "it wrote under a condition that is not met: it is no key-value store of version 2"
        )

    def _at(self, kind: str) -> str:
        return f"{self.mount.path}{kind}/{self._below}"

    def _ask(self, method: str, kind: str, verb: str, **more: Any) -> Answer:
        answer = _asked(self._server, method, self._at(kind), f"{verb} {self._at(kind)}", **more)
        # One that waits for an approval (Vault's control groups) may be done later.
        if method != "get" and answer.status < 300 and "version" not in answer.data:
            raise Lost("the server does not say whether it has written")
        return answer


def _asked(server: Server, method: str, path: str, what: str, **more: Any) -> Answer:
    answer = server.ask(method, path, **more)
    # That a secret is not there is no error; that there is no such mount is one.
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
    raise Refused("the server answers as no key-value store of version 2 does")
