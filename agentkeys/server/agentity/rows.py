"""Agentity's rows: accounts and keys. Each function is the work of one transaction."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from sqlalchemy import bindparam, delete, insert, select, update
from sqlalchemy.exc import IntegrityError

from agentkeys.secret import Secret
from agentkeys.server.http.refusals import Refusal
from agentkeys.server.storage.key_format import AGENTITY_PREFIX, digest_of, new_key, shown_part
from agentkeys.server.storage.schema import accounts, agentity_keys

if TYPE_CHECKING:
    from sqlalchemy import Connection

_ADD_ACCOUNT: Final = insert(accounts)
_ACCOUNT_BY_EMAIL: Final = select(accounts.c.id, accounts.c.password_hash).where(
    accounts.c.email_key == bindparam("email_key")
)
_SET_PASSWORD: Final = (
    update(accounts)
    .where(accounts.c.id == bindparam("account_id"))
    .values(password_hash=bindparam("hash"))
)
_ADD_KEY: Final = insert(agentity_keys)
_KEYS: Final = (
    select(
        agentity_keys.c.id,
        agentity_keys.c.nickname,
        agentity_keys.c.created_at,
        agentity_keys.c.updated_at,
    )
    .where(agentity_keys.c.account_id == bindparam("account_id"))
    .order_by(agentity_keys.c.id)
)
_OWNER: Final = select(agentity_keys.c.account_id).where(agentity_keys.c.id == bindparam("key_id"))
_DELETE_KEY: Final = delete(agentity_keys).where(agentity_keys.c.id == bindparam("key_id"))


@dataclass(frozen=True, slots=True)
class Account:
    """An account as it is stored."""

    id: str
    password_hash: Secret


def add_account(
    connection: Connection, email: str, name: str, password_hash: Secret, now: str
) -> dict[str, object]:
    """Add an account and return it as Agentity shows it.

    Raises:
        Refusal: 409, if the email has an account.
    """
    account = {"id": str(uuid.uuid4()), "name": name, "email": email}
    row = {
        **account,
        "email_key": email.lower(),
        "created_at": now,
        "updated_at": now,
    }
    try:
        connection.execute(_ADD_ACCOUNT, {**row, "password_hash": password_hash.reveal()})
    except IntegrityError:
        pass
    else:
        return {**account, "createdAt": now, "updatedAt": now}
    # Raised here, so that the database's error, which holds its arguments, is not chained.
    raise Refusal(409, "An account with this email already exists.")


def find_account(connection: Connection, email: str) -> Account | None:
    """Return the account of *email*; the case is ignored."""
    row = connection.execute(_ACCOUNT_BY_EMAIL, {"email_key": email.lower()}).one_or_none()
    return None if row is None else Account(row.id, Secret(row.password_hash))


def set_password(connection: Connection, account: Account, password_hash: Secret) -> None:
    """Set another password for the account."""
    parameters = {"account_id": account.id, "hash": password_hash.reveal()}
    connection.execute(_SET_PASSWORD, parameters)


def add_key(connection: Connection, account_id: str, nickname: str, now: str) -> dict[str, object]:
    """Add a key and return Agentity's only answer with its secret.

    Raises:
        Refusal: 409, if the account has a key with that nickname.
    """
    key = new_key(AGENTITY_PREFIX)
    row = {
        "account_id": account_id,
        "nickname": nickname,
        "prefix": shown_part(key, AGENTITY_PREFIX),
        "digest": digest_of(key),
        "created_at": now,
        "updated_at": now,
    }
    try:
        (key_id,) = connection.execute(_ADD_KEY, row).inserted_primary_key or (None,)
    except IntegrityError:
        pass
    else:
        return {"id": key_id, "nickname": nickname, "key": key, "createdAt": now, "updatedAt": now}
    raise Refusal(409, "A key with this nickname already exists.")


def list_keys(connection: Connection, account_id: str) -> list[dict[str, object]]:
    """Return the account's keys as Agentity shows them, oldest first."""
    # All at once: row by row, SQLAlchemy takes twice as long.
    rows = connection.execute(_KEYS, {"account_id": account_id}).all()
    return [
        {"id": key_id, "nickname": nickname, "createdAt": created_at, "updatedAt": updated_at}
        for key_id, nickname, created_at, updated_at in rows
    ]


def delete_key(connection: Connection, account_id: str, key_id: int) -> bool:
    """Delete the account's key permanently. Return False if it belongs to another account.

    Raises:
        Refusal: 404, if there is no such key.
    """
    owner = connection.execute(_OWNER, {"key_id": key_id}).scalar_one_or_none()
    if owner is None:
        raise Refusal(404, "There is no API key with this id.")
    if owner != account_id:
        return False
    connection.execute(_DELETE_KEY, {"key_id": key_id})
    return True
