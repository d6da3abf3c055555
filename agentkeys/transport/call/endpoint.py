"""An API call as data, and the request that it makes of its arguments."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Final, Generic, Literal, TypeVar
from urllib.parse import quote

import attrs

from agentkeys import arguments, plain
from agentkeys.errors import InvalidArgumentError
from agentkeys.masking import LEFT_OUT, mask
from agentkeys.secret import Secret

__all__ = ["Endpoint", "Place", "Request", "build"]

T = TypeVar("T")
# No service has ids beyond 64 bits, no JSON reader agrees on more, and Python refuses to write an
# int of some thousand digits.
_BITS: Final = 64


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
class Request(Generic[T]):
    """A request that can be sent, and sent again.

    Attributes:
        target: path and query, percent-encoded, below the base address.
        json: the body, encoded for each try alone, for it may hold a secret.
    """

    endpoint: Endpoint[T]
    target: str
    json: Mapping[str, object] | None

    def shown(self, secrets: Iterable[Secret]) -> str:
        """Return the target for people: with *secrets* masked, or none of its ids if it must be."""
        shown = mask(self.target, secrets)
        return self.endpoint.path if shown in {"", LEFT_OUT} else shown


@attrs.frozen
class Place(Generic[T]):
    """Where the keys of a collection are made: all that its creates have in common.

    Attributes:
        create: the call that makes a key.
        path: the ids in its path.
        body: what each create has in its body, beside what is a key's own, like its name.
        kind: what has the keys, e.g. "account" or "inbox".
        surface: by which of its surfaces the service is asked, if it has several.
    """

    create: Endpoint[T]
    path: Mapping[str, str | int] = attrs.field(factory=dict)
    body: Mapping[str, object] = attrs.field(factory=dict)
    kind: str = "account"
    surface: str = ""


def build(
    endpoint: Endpoint[T],
    path: Mapping[str, str | int],
    query: Mapping[str, str | int | None],
    json: Mapping[str, object] | None,
) -> Request[T]:
    """Return the request that *endpoint* makes of its arguments.

    Raises:
        InvalidArgumentError: an id is no segment of a path, or a query value cannot be sent.

    """
    target = endpoint.path.format_map({name: _segment(name, path[name]) for name in path})
    pairs = [f"{plain.text(n)}={_value(n, it)}" for n, it in query.items() if it is not None]
    if pairs:
        target = f"{target}?{'&'.join(pairs)}"
    return Request(endpoint, target, None if json is None else _document(json))


def _segment(name: str, value: str | int) -> str:
    if isinstance(value, str):
        return _quoted_segment(name, plain.text(value))
    return _digits(name, value)


def _value(name: str, value: str | int) -> str:
    if isinstance(value, str):
        return quote(arguments.sendable(name, value), safe="")
    return _digits(name, value)


def _digits(name: str, value: object) -> str:
    whole = arguments.whole_number(name, value)
    if whole.bit_length() > _BITS:
        raise InvalidArgumentError(f"{name} is too large: integers have up to {_BITS} bits")
    return str(whole)


@lru_cache(maxsize=256)  # the same few inboxes, over and over
def _quoted_segment(name: str, value: str) -> str:
    return quote(arguments.segment(name, value), safe="")


def _document(value: Mapping[str, object]) -> dict[str, object]:
    return {arguments.sendable("a name in the body", name): _json(it) for name, it in value.items()}


def _json(value: object) -> object:
    """Return what is written as JSON: every str and int as the value that it is."""
    match value:
        case None | bool() | Secret():
            return value
        case str():
            return arguments.sendable("a str in the body", value)
        case int() if plain.number(value).bit_length() <= _BITS:
            return plain.number(value)
        case float() if math.isfinite(value):
            return float.__float__(value)
        case list() | tuple():
            return [_json(each) for each in value]
        case Mapping() if all(isinstance(name, str) for name in value):
            return _document(value)
    kind = type(value).__name__
    raise InvalidArgumentError(f"the body cannot hold this {kind}: JSON has no such value")
