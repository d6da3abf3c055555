"""A key-value store of version 2, as the plugin of Vault and OpenBao is documented and behaves."""

from __future__ import annotations

import copy
import json
import uuid
from typing import Any

import attrs

__all__ = ["Answer", "KeyValue", "refusal"]

MISMATCH = "check-and-set parameter did not match the current version"
TOO_LARGE = "put failed due to value being too large"
AT = "2026-12-01T00:00:00.000000Z"
_DEFAULT_MAX_VERSIONS = 10


@attrs.frozen
class Answer:
    """What is answered: a status and the JSON of a body, or none."""

    status: int
    body: Any = None


def refusal(status: int, *errors: str) -> Answer:
    return Answer(status, {"errors": list(errors)})


def said(data: Any, status: int = 200) -> Answer:
    """Return an answer of Vault's usual form."""
    return Answer(status, {"request_id": str(uuid.uuid4()), "lease_id": "", "data": data})


@attrs.define
class Written:
    """One version of a secret."""

    data: Any
    deleted: bool = False
    destroyed: bool = False


@attrs.define
class Entry:
    """A secret: its versions, its settings, and the number of the last version."""

    versions: dict[int, Written] = attrs.field(factory=dict)
    current: int = 0
    settings: dict[str, Any] = attrs.field(factory=dict)

    def metadata(self, number: int) -> dict[str, Any]:
        version = self.versions[number]
        return {
            "version": number,
            "created_time": AT,
            "deletion_time": AT if version.deleted else "",
            "destroyed": version.destroyed,
            "custom_metadata": self.settings.get("custom_metadata"),
        }

    def add(self, data: Any, max_versions: int) -> None:
        self.current += 1
        self.versions[self.current] = Written(copy.deepcopy(data))
        kept = max(self.settings.get("max_versions", 0), max_versions) or _DEFAULT_MAX_VERSIONS
        for number in [each for each in self.versions if each <= self.current - kept]:
            del self.versions[number]


@attrs.define
class KeyValue:
    """A mount.

    Attributes:
        path: where it is mounted, with a slash at its end.
        version: 2, or 1, which has no versions and takes whatever it is given.
        cas_required: whether a write without a condition is refused.
        max_entry: bytes of JSON that the storage takes.
        entries: what it holds, by the path below the mount.
    """

    path: str
    version: int = 2
    cas_required: bool = False
    max_versions: int = 0
    max_entry: int = 1 << 20
    uuid: str = attrs.field(factory=lambda: str(uuid.uuid4()))
    entries: dict[str, Entry] = attrs.field(factory=dict)
    plain: dict[str, Any] = attrs.field(factory=dict)

    @property
    def described(self) -> dict[str, Any]:
        """What `sys/internal/ui/mounts/PATH` tells of it."""
        options = {"version": "2"} if self.version == 2 else None
        told = {"type": "kv", "options": options, "uuid": self.uuid, "path": self.path}
        return told | {"accessor": f"kv_{self.uuid[:8]}", "local": False, "config": {}}

    def exists(self, kind: str, path: str) -> bool:
        """Whether a write is an update."""
        return kind not in {"data", "metadata"} or path in self.entries

    def asked(self, method: str, below: str, query: Any, body: Any) -> Answer:
        """Return what is answered to a request for what is *below* the mount."""
        if self.version == 1:
            return self._asked_plainly(method, below, body)
        kind, _, path = below.partition("/")
        if kind == "metadata" and query.get("list") == "true":
            return self._list_metadata(path)
        handler = getattr(self, f"_{method.lower()}_{kind}", None)
        if handler is None or not path or path.endswith("/"):
            return Answer(404, {"data": None, "warnings": ["Invalid path for a versioned K/V"]})
        answer: Answer = handler(path, query, body)
        return answer

    def _asked_plainly(self, method: str, below: str, body: Any) -> Answer:
        if method == "GET":
            return said(self.plain[below]) if below in self.plain else refusal(404)
        if method in {"POST", "PUT"}:
            self.plain[below] = body
        else:
            self.plain.pop(below, None)
        return Answer(204)

    def _get_data(self, path: str, query: Any, _body: Any) -> Answer:
        entry = self.entries.get(path)
        if entry is None:
            return refusal(404)
        number = int(query.get("version", 0)) or entry.current
        version = entry.versions.get(number)
        if version is None:
            return refusal(404)
        if version.deleted or version.destroyed:
            return said({"data": None, "metadata": entry.metadata(number)}, 404)
        return said({"data": version.data, "metadata": entry.metadata(number)})

    def _post_data(self, path: str, _query: Any, body: Any) -> Answer:
        if not isinstance(body.get("data"), dict):
            return refusal(400, "no data provided")
        entry = self.entries.get(path) or Entry()
        return self._refused(entry, body) or self._added(path, entry, body["data"])

    def _patch_data(self, path: str, _query: Any, body: Any) -> Answer:
        if not isinstance(body.get("data"), dict):
            return refusal(400, "no data provided")
        entry = self.entries.get(path)
        if entry is None:
            return Answer(404)
        refused = self._refused(entry, body)
        if refused is not None:
            return refused
        version = entry.versions.get(entry.current)
        if version is None:
            return Answer(404)
        if version.deleted or version.destroyed:
            return said(entry.metadata(entry.current), 404)
        return self._added(path, entry, merged(version.data, body["data"]))

    def _refused(self, entry: Entry, body: Any) -> Answer | None:
        cas = (body.get("options") or {}).get("cas")
        if cas is None and (self.cas_required or entry.settings.get("cas_required")):
            return refusal(400, "check-and-set parameter required for this call")
        return refusal(400, MISMATCH) if cas not in {None, entry.current} else None

    def _added(self, path: str, entry: Entry, data: Any) -> Answer:
        if len(json.dumps(data)) > self.max_entry:
            return refusal(500, f"1 error occurred:\n\t* {TOO_LARGE}\n\n")
        entry.add(data, self.max_versions)
        self.entries[path] = entry
        return said(entry.metadata(entry.current))

    def _delete_data(self, path: str, _query: Any, _body: Any) -> Answer:
        entry = self.entries.get(path)
        return self._marked(path, [entry.current] if entry else [], deleted=True)

    def _post_delete(self, path: str, _query: Any, body: Any) -> Answer:
        return self._marked(path, body["versions"], deleted=True)

    def _post_undelete(self, path: str, _query: Any, body: Any) -> Answer:
        return self._marked(path, body["versions"], deleted=False)

    def _post_destroy(self, path: str, _query: Any, body: Any) -> Answer:
        for version in self._versions(path, body["versions"]):
            version.data, version.destroyed = None, True
        return Answer(204)

    def _marked(self, path: str, numbers: list[int], *, deleted: bool) -> Answer:
        for version in self._versions(path, numbers):
            version.deleted = deleted and not version.destroyed
        return Answer(204)

    def _versions(self, path: str, numbers: list[int]) -> list[Written]:
        entry = self.entries.get(path) or Entry()
        return [entry.versions[each] for each in numbers if each in entry.versions]

    def _get_metadata(self, path: str, _query: Any, _body: Any) -> Answer:
        entry = self.entries.get(path)
        if entry is None:
            return refusal(404)
        versions = {str(number): entry.metadata(number) for number in entry.versions}
        return said(entry.settings | {"versions": versions, "current_version": entry.current})

    def _list_metadata(self, path: str) -> Answer:
        below = [each.removeprefix(path) for each in self.entries if each.startswith(path)]
        return said({"keys": sorted(below)}) if below else refusal(404)

    def _post_metadata(self, path: str, _query: Any, body: Any) -> Answer:
        self.entries.setdefault(path, Entry()).settings.update(body)
        return Answer(204)

    def _delete_metadata(self, path: str, _query: Any, _body: Any) -> Answer:
        self.entries.pop(path, None)
        return Answer(204)


def merged(into: Any, patch: Any) -> Any:
    """Return a JSON merge patch applied (RFC 7396)."""
    if not isinstance(patch, dict):
        return patch
    result = dict(into) if isinstance(into, dict) else {}
    for name, value in patch.items():
        if value is None:
            result.pop(name, None)
        else:
            result[name] = merged(result.get(name), value)
    return result
