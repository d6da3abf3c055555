"""What the file of an attempt says: a line for each step, and how the lines are read.

Nothing here touches a disk. What is read may be anybody's, of an earlier version or of a later one:
it is an attempt, or it is said why not.
"""

from __future__ import annotations

import hashlib
import json
import math
import operator
from functools import partial
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import attrs
from cattrs.preconf.json import make_converter

from agentkeys.keys import Scope
from agentkeys.lifecycle.moments import Moment, elapsed
from agentkeys.lifecycle.naming import is_proof
from agentkeys.stores.contract import Found

if TYPE_CHECKING:
    from agentkeys.secret import Secret

__all__ = [
    "Attempt",
    "Begun",
    "NotAnAttempt",
    "Received",
    "Torn",
    "digest_of",
    "dumped",
    "may_come_late",
    "read",
]

# Seconds: a request that takes longer is given up by somebody on the way.
_LONGEST: Final = 86400.0
# Seconds for which a key that was not there is looked for again: a slow service may make it late.
_PATIENCE: Final = 600.0


@attrs.frozen
class Received:
    """The secret has come, and the store is about to be written.

    Attributes:
        key_id: the key's id, or None if the answer did not tell.
        store: the address of the store.
        digest: the SHA-256 of the secret.
        found: what the store was directly before it was written; None if it does not tell that, or
            if version 0.1 wrote this.
    """

    key_id: str | int | None
    store: str
    digest: str
    found: Found | None = None


@attrs.frozen
class Begun:
    """From when on it is counted how late the key may come: once more, if no clock could tell.

    Attributes:
        begun_at: seconds since 1970.
        boot: which boot of the machine that was in.
        uptime: seconds since that boot.
    """

    begun_at: float
    boot: str | None = None
    uptime: float = 0.0

    @classmethod
    def at(cls, moment: Moment) -> Begun:
        """Return the step of a moment."""
        return cls(moment.wall, moment.boot, moment.uptime)


@attrs.frozen
class Attempt:
    """An attempt to issue a key, as far as it has come.

    Attributes:
        scope: where the key belongs.
        name: the key's name on the service.
        nonce: what in the name proves that the key is this attempt's; None for an exact name.
        begun_at: seconds since 1970.
        seconds: how long after that its request may still be sent.
        received: the second step, once it is taken.
        boot: which boot of the machine it was begun in.
        uptime: seconds since that boot.
    """

    scope: Scope
    name: str
    nonce: str | None
    begun_at: float
    seconds: float = 0.0
    received: Received | None = None
    boot: str | None = None
    uptime: float = 0.0

    @property
    def begun(self) -> Moment:
        """When it was begun."""
        return Moment(self.begun_at, self.boot, self.uptime)

    def after(self, step: Begun | Received) -> Attempt:
        """Return the attempt once it has taken a step."""
        if isinstance(step, Received):
            return attrs.evolve(self, received=step)
        return attrs.evolve(self, begun_at=step.begun_at, boot=step.boot, uptime=step.uptime)


Step: TypeAlias = Attempt | Begun | Received


@attrs.frozen
class Torn:
    """The first line is not whole: its owner died before it was durable, so nothing was sent."""


@attrs.frozen
class NotAnAttempt:
    """It is no attempt that this version can read, or trust.

    Attributes:
        why: the rest of a sentence about the file.
    """

    why: str


def digest_of(secret: Secret) -> str:
    """Return the SHA-256 of a secret in hexadecimal. A key is random: it tells nothing of it."""
    return hashlib.sha256(secret.reveal().encode("utf-8", "surrogatepass")).hexdigest()


def dumped(step: Step) -> bytes:
    """Return a step as the line that `read` reads."""
    return f"{_converter.dumps(step)}\n".encode()


def read(text: bytes) -> Attempt | NotAnAttempt | Torn:
    """Return the attempt of a file. A last line that is torn was not yet acted on."""
    lines = text.split(b"\n")[:-1]
    if not lines:
        return Torn()
    try:
        attempt = _converter.loads(lines[0], Attempt)
        for line in lines[1:]:
            attempt = attempt.after(_step(json.loads(line)))
    except Exception:  # noqa: BLE001  # whatever is wrong with it
        return NotAnAttempt("it is no attempt that this version can read")
    if attempt.nonce is None or is_proof(attempt.name, attempt.nonce):
        return attempt
    return NotAnAttempt("the name of its key does not end in its nonce, so it proves nothing")


def may_come_late(attempt: Attempt, moment: Moment) -> bool | None:
    """Return whether its key may still be made after *moment*; None if no clock can tell."""
    seconds = elapsed(attempt.begun, moment)
    return None if seconds is None else seconds < min(attempt.seconds, _LONGEST) + _PATIENCE


def _step(document: dict[str, Any]) -> Begun | Received:
    kind: type[Begun | Received] = Begun if "begun_at" in document else Received
    return _converter.structure(document, kind)


# Strictly: of anything cattrs would make a str, and JSON has numbers that no clock shows.


def _text(value: object, _: object) -> str:
    if type(value) is not str:
        raise TypeError
    return value


def _seconds(value: object, _: object) -> float:
    if type(value) not in {int, float}:
        raise TypeError
    seconds = float(value)  # type: ignore[arg-type]  # just looked at
    if not 0 <= seconds < math.inf:
        raise ValueError
    return seconds


def _texts(value: object, _: object) -> tuple[str, ...]:
    if type(value) is not list:
        raise TypeError
    return tuple(_text(each, str) for each in value)


def _key_id(value: object, _: object) -> str | int | None:
    if value is not None and type(value) not in {int, str}:
        raise TypeError
    return value  # type: ignore[return-value]  # just looked at


_converter: Final = make_converter(detailed_validation=False, forbid_extra_keys=True)
_converter.register_structure_hook(str, _text)
_converter.register_structure_hook(float, _seconds)
_converter.register_structure_hook_func(partial(operator.eq, tuple[str, ...]), _texts)
_converter.register_structure_hook_func(partial(operator.eq, str | int | None), _key_id)
