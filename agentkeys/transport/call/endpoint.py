"""Endpoints as data, and the requests that they build from their arguments."""

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
# No service has ids beyond 64 bits, JSON readers disagree beyond them, and Python refuses to
# convert an int of some thousand digits.
_BITS: Final = 64


@attrs.frozen
class Endpoint(Generic[T]):
    """One endpoint of a service.

    Attributes:
        method: the HTTP method.
        path: the path below the base address; ``{name}`` stands for one percent-encoded segment.
        returns: the record that a successful answer holds, or None to ignore the body.
        idempotent: whether the service may act on the request twice without harm (RFC 9110, 9.2.2).
        authorization: the scheme of the Authorization header: "Bearer" sends the client's token,
            "Basic" the credentials that the call passes, None no header.
        advice: what the caller can do about a status that has a special meaning here.
    """

    method: str
    path: str
    returns: type[T] | None
    idempotent: bool = False
    authorization: Literal["Bearer", "Basic"] | None = "Bearer"
    advice: Mapping[int, str] = attrs.field(factory=dict, eq=False)


@attrs.frozen
class Request(Generic[T]):
    """A request that can be sent several times.

    Attributes:
        target: path and query, percent-encoded, below the base address.
        json: the body. It is encoded for each try only, because it may hold a secret.
    """

    endpoint: Endpoint[T]
    target: str
    json: Mapping[str, object] | None

    def shown(self, secrets: Iterable[Secret]) -> str:
        """Return the target with *secrets* masked, or without its ids if masking is not enough."""
        shown = mask(self.target, secrets)
        return self.endpoint.path if shown in {"", LEFT_OUT} else shown


@attrs.frozen
class Place(Generic[T]):
    """The place where a collection's keys are created: what all its creates have in common.

    Attributes:
        create: the endpoint that creates a key.
        path: the ids in its path.
        body: the fields that every create sends, beside the key's own, like its name.
        kind: what has the keys, e.g. "account" or "inbox".
        surface: the surface of the service, if the service has several.
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
    """Return the request that *endpoint* builds from its arguments.

    Raises:
        InvalidArgumentError: an id cannot be a segment of a path, or a query value cannot be sent.
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
        raise InvalidArgumentError(f"{name} is too large: use an integer of up to {_BITS} bits")
    return str(whole)


@lru_cache(maxsize=256)  # the same few inboxes, over and over
def _quoted_segment(name: str, value: str) -> str:
    return quote(arguments.segment(name, value), safe="")


def _document(value: Mapping[str, object]) -> dict[str, object]:
    return {arguments.sendable("a name in the body", name): _json(it) for name, it in value.items()}


def _json(value: object) -> object:
    """Return a value as plain JSON types; a subclass of str or int becomes its plain value."""
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
