"""The callbacks of `rotate`: they verify a secret, and announce a new key to its users."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable
from typing import Any, Final, TypeAlias

import attrs

from agentkeys.errors import AgentKeysError, InvalidArgumentError
from agentkeys.lifecycle.driving import disk
from agentkeys.lifecycle.machine.states import KeyId
from agentkeys.masking import mask
from agentkeys.secret import Secret

__all__ = ["Announcement", "Then", "Verify", "announce", "checked", "tried"]

_FIRST_PAUSE: Final = 0.1
_LONGEST_PAUSE: Final = 2.0


@attrs.frozen
class Announcement:
    """The argument of `then`: a key has replaced another one. It holds no secret.

    Attributes:
        rotation: the id of the rotation, to recognize a repeated announcement.
        name: the caller's name for the key.
        key_id: the id of the new key.
        replaced: the id of the replaced key.
        store: the address of the store that holds the new secret.
    """

    rotation: str
    name: str
    key_id: KeyId | None
    replaced: KeyId
    store: str


Then: TypeAlias = Callable[..., Any]
"""A function or coroutine function that takes an `Announcement` or no argument."""

Verify: TypeAlias = Callable[[Secret], Any]
"""A function or coroutine function. It raises or returns False if the secret does not work."""


def checked(name: str, function: object) -> Any:
    """Check a callback, or None."""
    if function is None or callable(function):
        return function
    raise InvalidArgumentError(
        f"{name} must be a function or a coroutine function, not of type {type(function).__name__}"
    )


async def announce(then: Then, announcement: Announcement) -> str | None:
    """Call *then*; return why that failed, or None."""
    arguments = (announcement,) if _takes_one(then) else ()
    try:
        await _called(then, *arguments)
    except Exception as error:  # noqa: BLE001  # third-party code
        return _reason(error)
    return None


async def tried(verify: Verify, secret: Secret, within: float) -> str | None:
    """Verify a secret until it works or *within* seconds are over; return why it does not work."""
    loop = asyncio.get_running_loop()
    end, pause = loop.time() + within, _FIRST_PAUSE
    while True:
        try:
            why = "it returned False" if await _called(verify, secret) is False else None
        except Exception as error:  # noqa: BLE001  # third-party code, which has the secret
            why = _reason(error, secret)
        if why is None or loop.time() + pause > end:
            return why
        await asyncio.sleep(pause)
        pause = min(2 * pause, _LONGEST_PAUSE)


async def _called(function: Callable[..., Any], *arguments: object) -> Any:
    is_async = inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(
        getattr(function, "__call__", None)  # noqa: B004  # whether it is a coroutine function
    )
    if is_async:
        return await function(*arguments)
    result = await disk.in_thread(lambda: function(*arguments))
    return await result if inspect.isawaitable(result) else result


def _takes_one(function: Callable[..., Any]) -> bool:
    try:
        inspect.signature(function).bind(None)
    except (TypeError, ValueError):
        return False
    return True


def _reason(error: Exception, secret: Secret | None = None) -> str:
    known = () if secret is None else (secret,)
    if isinstance(error, AgentKeysError):
        return mask(str(error), known)
    said = mask(str(error), known)
    return f"{type(error).__name__}: {said}" if said else type(error).__name__
