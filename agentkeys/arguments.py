"""Check arguments before a request is sent.

Each function returns the argument that it checked, or raises `InvalidArgumentError`. The result is
a plain str, int or float, also if the argument is of a subclass: use the result, not the argument.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping
from functools import partial
from typing import Final, NoReturn, TypeVar

from agentkeys import plain
from agentkeys.errors import AgentKeysError, InvalidArgumentError
from agentkeys.secret import Secret

T = TypeVar("T")

_CENTURY: Final = 36525 * 86400.0


def text(name: str, value: object) -> str:
    """Check a str for a request: not empty, and encodable as UTF-8."""
    if not isinstance(value, str):
        raise InvalidArgumentError(f"{name} must be a str, not {_kind(value)}")
    value = sendable(name, value)
    if not value:
        raise InvalidArgumentError(f"{name} is empty: give it at least one character")
    return value


def sendable(name: str, value: str) -> str:
    """Check that a str can be encoded as UTF-8; a lone surrogate cannot."""
    value = plain.text(value)
    if not _is_unicode(value):
        raise InvalidArgumentError(
            f"{name} holds a lone surrogate, which UTF-8 cannot encode: remove it"
        )
    return value


def segment(name: str, value: object) -> str:
    """Check an id that becomes one segment of a path: it must not name another path."""
    value = text(name, value)
    if value in {".", ".."}:
        raise InvalidArgumentError(f"{name} is {value!r}, which names another resource")
    if "\0" in value:
        raise InvalidArgumentError(f"{name} holds a NUL character: remove it")
    return value


def whole_number(name: str, value: object, *, at_least: int | None = None) -> int:
    """Check an int; a bool is not accepted."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise InvalidArgumentError(f"{name} must be an int, not {_kind(value)}")
    whole = plain.number(value)
    if at_least is not None and whole < at_least:
        raise InvalidArgumentError(f"{name} must be {at_least} or more")
    return whole


def number(name: str, value: object, *, unit: str) -> float:
    """Check a finite number that is not negative."""
    seconds = _float(name, value, unit)
    if not 0 <= seconds < math.inf:
        raise InvalidArgumentError(f"{name} must be 0 {unit} or more, not {seconds!r}")
    return seconds


def timeout(value: object) -> float:
    """Check a number of seconds above 0; `math.inf` means no time limit."""
    seconds = _float("timeout", value, "seconds")
    if not seconds > 0:
        raise InvalidArgumentError(
            f"timeout must be more than 0 seconds, not {seconds!r}; math.inf means no limit"
        )
    return seconds


def duration(name: str, value: object) -> float:
    """Check a number of seconds, or a timedelta, from 0 to a century; return the seconds."""
    seconds = number(name, _seconds(value), unit="seconds")
    if seconds > _CENTURY:
        raise InvalidArgumentError(f"{name} must be 100 years or less")
    return seconds


def _seconds(value: object) -> object:
    # If the value is a timedelta, its caller has already imported datetime.
    timedelta = getattr(sys.modules.get("datetime"), "timedelta", ())
    return value.total_seconds() if isinstance(value, timedelta) else value


def flags(name: str, value: object) -> dict[str, bool]:
    """Check a map of str to bool."""
    if not isinstance(value, Mapping) or not all(isinstance(on, bool) for on in value.values()):
        raise InvalidArgumentError(
            f"{name} must be a dict of str to bool, like {{'read_inbox': True}}"
        )
    return {text(f"a flag of {name}", flag): on for flag, on in value.items()}


def as_secret(value: object, name: str, wanted: str = "a str or a Secret") -> Secret:
    """Return *value* as a Secret; call this on the first line that sees *value*.

    If *value* is not a str, it is dropped: `reveal` of the result raises the error that *name* must
    be *wanted*. So no frame of the error's traceback holds *value*.
    """
    if isinstance(value, Secret):
        return value
    if isinstance(value, str):
        return Secret(value)
    return unfit(InvalidArgumentError, f"{name} must be {wanted}, not {type(value).__name__}")


def unfit(error: type[AgentKeysError], sentence: str) -> Secret:
    """Return a stand-in for an invalid secret: its `reveal` raises *error*."""
    secret = Secret("")
    object.__setattr__(secret, "_open", partial(_refuse, error, sentence))
    return secret


def _refuse(error: type[AgentKeysError], sentence: str) -> NoReturn:
    raise error(sentence)


def _float(name: str, value: object, unit: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise InvalidArgumentError(f"{name} must be a number of {unit}, not {_kind(value)}")
    try:
        return float.__float__(value) if isinstance(value, float) else int.__float__(value)
    except OverflowError:
        return math.inf


def _is_unicode(value: str) -> bool:
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def _kind(value: object) -> str:
    # The type and not the value: the value may be a secret in the wrong place.
    return "None" if value is None else type(value).__name__
