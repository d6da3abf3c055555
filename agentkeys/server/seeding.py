"""Create keys before a test begins, with the ages that the test needs."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Final, Literal, TypeAlias, cast

from agentkeys.errors import InvalidArgumentError
from agentkeys.secret import Secret
from agentkeys.server.agentity import rows as agentity
from agentkeys.server.agentry import rows as agentry
from agentkeys.server.agentry.scopes import TENANT, find_scope
from agentkeys.server.ground.clock import iso, seconds_of
from agentkeys.server.ground.plain import is_storable
from agentkeys.server.http.fields import MAX_NAME_LENGTH
from agentkeys.server.http.refusals import Refusal

if TYPE_CHECKING:
    from sqlalchemy import Connection

ServiceName: TypeAlias = Literal["agentity", "agentry"]
"""The name of one of the two services."""

_SERVICES: Final = ("agentity", "agentry")


@dataclass(frozen=True, slots=True)
class SeededKey:
    """A key that `LocalService.seed` created.

    Attributes:
        id: its id: an int for Agentity, a str for Agentry.
        name: its name; Agentity calls it a nickname.
        secret: the secret.
    """

    id: int | str
    name: str
    secret: Secret


@dataclass(frozen=True, slots=True)
class Seeds:
    """The keys to create: see `LocalService.seed`. The times are ISO 8601."""

    names: tuple[str, ...]
    service: ServiceName
    email: str
    inbox_id: str | None
    pod_id: str | None
    created_at: str
    used_at: str | None


def seeds_of(
    keys: Iterable[str],
    service: ServiceName,
    *,
    email: str,
    inbox_id: str | None,
    pod_id: str | None,
    created_at: datetime | None,
    used_at: datetime | None,
    now: float,
) -> Seeds:
    """Return the keys for the arguments of `LocalService.seed`.

    Raises:
        InvalidArgumentError: an argument is not valid.
    """
    if service not in _SERVICES:
        raise InvalidArgumentError('service must be "agentity" or "agentry"')
    if service == "agentity" and (inbox_id is not None or pod_id is not None):
        raise InvalidArgumentError("Agentity has no inboxes and no pods")
    if service == "agentity" and used_at is not None:
        raise InvalidArgumentError("Agentity does not show when a key was used")
    if inbox_id is not None and pod_id is not None:
        raise InvalidArgumentError(
            "a key belongs to an inbox or to a pod: give only one of the two"
        )
    created = now if created_at is None else seconds_of(created_at)
    used = None if used_at is None else seconds_of(used_at)
    if used is not None and used < created:
        raise InvalidArgumentError("used_at is before created_at")
    used_text = None if used is None else iso(used)
    return Seeds(_names(keys), service, email, inbox_id, pod_id, iso(created), used_text)


def plant(connection: Connection, seeds: Seeds) -> list[SeededKey]:
    """Create the keys, all of them or none.

    Raises:
        InvalidArgumentError: the account, inbox or pod does not exist, or a nickname is taken.
    """
    try:
        return (_in_agentity if seeds.service == "agentity" else _in_agentry)(connection, seeds)
    except Refusal as refusal:
        reason = refusal.message
    raise InvalidArgumentError(f"these keys cannot be made: {reason}")


def _in_agentity(connection: Connection, seeds: Seeds) -> list[SeededKey]:
    account = agentity.find_account(connection, seeds.email)
    if account is None:
        raise InvalidArgumentError(
            "there is no account with this email: create one with add_account()"
        )
    made = [
        agentity.add_key(connection, account.id, name, seeds.created_at) for name in seeds.names
    ]
    return [_seeded(key["id"], key["nickname"], key["key"]) for key in made]


def _in_agentry(connection: Connection, seeds: Seeds) -> list[SeededKey]:
    scope = TENANT
    if seeds.inbox_id is not None:
        scope = find_scope(connection, "inbox", seeds.inbox_id, TENANT)
    elif seeds.pod_id is not None:
        scope = find_scope(connection, "pod", seeds.pod_id, TENANT)
    made = [
        agentry.add_key(connection, scope, name, None, seeds.created_at, used_at=seeds.used_at)
        for name in seeds.names
    ]
    return [_seeded(key["api_key_id"], key["name"], key["api_key"]) for key in made]


def _seeded(key_id: object, name: object, secret: object) -> SeededKey:
    return SeededKey(cast("int | str", key_id), str(name), cast("Secret", secret))


def _names(keys: object) -> tuple[str, ...]:
    if isinstance(keys, str) or not isinstance(keys, Iterable):
        raise InvalidArgumentError('keys must be a list of names, such as ["billing-bot"]')
    names = tuple(keys)
    for name in names:
        if not isinstance(name, str) or not 1 <= len(name) <= MAX_NAME_LENGTH:
            raise InvalidArgumentError(f"a name must be a str of 1 to {MAX_NAME_LENGTH} characters")
        if not is_storable(name):
            raise InvalidArgumentError("a name must not hold a NUL or a lone surrogate")
    return names
