"""What the OpenAPI document says of a request."""

from __future__ import annotations

import re
from typing import Any, NamedTuple

from agentkeys.server.openapi import DOCUMENT


class Operation(NamedTuple):
    """A method on a path, and what the document has on it."""

    method: str
    path: str
    says: Any

    @property
    def statuses(self) -> set[int]:
        return {int(status) for status in self.says["responses"]}


OPERATIONS = [
    Operation(method.upper(), path, says)
    for path, methods in DOCUMENT["paths"].items()
    for method, says in methods.items()
]
_PATTERNS = [
    (each, re.compile(re.sub(r"\{\w+\}", "[^/]+", each.path) + r"(\?.*)?")) for each in OPERATIONS
]


def see_that_it_is_named(method: str, path: str, status: int) -> None:
    """See that the document names this status for this request; for no operation it is a 404."""
    found = [each for each, pattern in _PATTERNS if each[0] == method and pattern.fullmatch(path)]
    statuses = found[0].statuses if found else {404}
    assert status in statuses, (method, path, status)
