"""An API call as data, and the request that it makes of its arguments."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final, Generic, Literal, TypeVar
from urllib.parse import quote

import attrs

from agentkeys.errors import InvalidArgumentError
from agentkeys.masking import LEFT_OUT, mask
from agentkeys.transport import check

if TYPE_CHECKING:
    from agentkeys.secret import Secret

__all__ = ["Endpoint", "Request", "build"]

T = TypeVar("T")
# No service has ids beyond 64 bits, and Python refuses to write an int of some thousand digits.
_ID_BITS: Final = 64


@attrs.frozen
class Endpoint(Generic[T]):
    """One call that a service offers.

    Attributes:
        method: the HTTP method.
        path: the path below the base address; ``{name}`` stands for one percent-encoded segment.
        returns: the record that a successful answer holds, or None if its body does not matter.
        idempotent: whether it does no harm to act on the request twice (RFC 9110, 9.2.2).
        authorization: the scheme of the Authorization header: "Bearer" gets the client's token,
            "Basic" what the call hands over, None nothing.
        advice: what a caller can do about a status that means something particular here.
    """

    method: str
    path: str
    returns: type[T] | None
    idempotent: bool = False
    authorization: Literal["Bearer", "Basic"] | None = "Bearer"
    advice: Mapping[int, str] = attrs.field(factory=dict, eq=False)


@attrs.frozen
class Request:
    """A request that can be sent, and sent again.

    Attributes:
        target: path and query, percent-encoded, below the base address.
        json: the body, encoded for each try alone, for it may hold a secret.
    """

    endpoint: Endpoint[Any]
    target: str
    json: Mapping[str, object] | None

    def shown(self, secrets: Iterable[Secret]) -> str:
        """Return the target for people: with *secrets* masked, or none of its ids if it must be."""
        shown = mask(self.target, secrets)
        return self.endpoint.path if shown in {"", LEFT_OUT} else shown


def build(
    endpoint: Endpoint[Any],
    path: Mapping[str, str | int],
    query: Mapping[str, str | int | None],
    json: Mapping[str, object] | None,
) -> Request:
    """Return the request that *endpoint* makes of its arguments.

    Raises:
        InvalidArgumentError: an id is no segment of a path, or a query value cannot be sent.

    """
    target = endpoint.path.format_map({name: _segment(name, path[name]) for name in path})
    pairs = [f"{n}={_quoted(n, str(value))}" for n, value in query.items() if value is not None]
    if pairs:
        target = f"{target}?{'&'.join(pairs)}"
    return Request(endpoint, target, json)


def _segment(name: str, value: str | int) -> str:
    if isinstance(value, str):
        return _quoted_segment(name, value)
    if check.whole_number(name, value).bit_length() > _ID_BITS:
        raise InvalidArgumentError(f"{name} is too large: ids are of {_ID_BITS} bits")
    return str(value)


@lru_cache(maxsize=256)  # the same few inboxes, over and over
def _quoted_segment(name: str, value: str) -> str:
    return quote(check.segment(name, value), safe="")


def _quoted(name: str, value: str) -> str:
    return quote(check.sendable(name, value), safe="")
