"""Check the arguments of a local service before they are used."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Final

from agentkeys.errors import InvalidArgumentError
from agentkeys.server.ground.plain import is_storable

_MAX_ID_LENGTH: Final = 255


def check_seconds(**settings: float) -> None:
    """Check that each setting is a positive, finite number of seconds.

    Raises:
        InvalidArgumentError: a setting is not.
    """
    for name, seconds in settings.items():
        if not (math.isfinite(seconds) and seconds > 0):
            raise InvalidArgumentError(
                f"{name} must be a positive number of seconds, not {seconds}"
            )


def listed(given: Iterable[str], name: str) -> tuple[str, ...]:
    """Return the texts of a setting that takes several.

    Raises:
        InvalidArgumentError: it is a single str.
    """
    if isinstance(given, str) or not isinstance(given, Iterable):
        raise InvalidArgumentError(f'{name} must be a list, such as ["a@example.com"]')
    return tuple(given)


def check_email(given: object) -> None:
    """Check that an email is a str.

    Raises:
        InvalidArgumentError: it is not.
    """
    if not isinstance(given, str):
        raise InvalidArgumentError("an email must be a str")


def check_id(given: object) -> None:
    """Check that an inbox or a pod can have this id.

    Raises:
        InvalidArgumentError: it cannot.
    """
    if not isinstance(given, str) or not 1 <= len(given) <= _MAX_ID_LENGTH:
        raise InvalidArgumentError(f"an id must be a str of 1 to {_MAX_ID_LENGTH} characters")
    if given in {".", ".."} or not is_storable(given):
        raise InvalidArgumentError(
            "an id must not be . or .., and must not hold a NUL or lone surrogate"
        )
