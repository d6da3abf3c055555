"""What a local service is given, looked at before it is used."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Final

from agentkeys.errors import InvalidArgumentError
from agentkeys.server.ground.plain import is_storable

_MAX_ID_LENGTH: Final = 255


def check_seconds(**settings: float) -> None:
    """See that each setting is a number of seconds that can pass.

    Raises:
        InvalidArgumentError: one is not.
    """
    for name, seconds in settings.items():
        if not (math.isfinite(seconds) and seconds > 0):
            raise InvalidArgumentError(f"{name} is a positive number of seconds, not {seconds}")


def listed(given: Iterable[str], name: str) -> tuple[str, ...]:
    """Return the several texts that a setting has.

    Raises:
        InvalidArgumentError: it is one text.
    """
    if isinstance(given, str) or not isinstance(given, Iterable):
        raise InvalidArgumentError(f'{name} is a list, such as ["a@example.com"]')
    return tuple(given)


def check_email(given: object) -> None:
    """See that an email is text.

    Raises:
        InvalidArgumentError: it is not.
    """
    if not isinstance(given, str):
        raise InvalidArgumentError("an email is a str")


def check_id(given: object) -> None:
    """See that an inbox or a pod can have this id.

    Raises:
        InvalidArgumentError: it cannot.
    """
    if not isinstance(given, str) or not 1 <= len(given) <= _MAX_ID_LENGTH:
        raise InvalidArgumentError(f"an id is a str of 1 to {_MAX_ID_LENGTH} characters")
    if given in {".", ".."} or not is_storable(given):
        raise InvalidArgumentError("an id is neither . nor .., and holds no NUL or lone surrogate")
