"""What a service starts with: the tables, a secret, an account, an inbox and a pod."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from sqlalchemy import delete, insert, select

from agentkeys.errors import InvalidArgumentError
from agentkeys.secret import Secret
from agentkeys.server.agentity import rows
from agentkeys.server.agentity.routes import check_credentials
from agentkeys.server.agentry import scopes
from agentkeys.server.ground.clock import iso
from agentkeys.server.ground.sealed import opened, sealed
from agentkeys.server.http.authorization import BasicCredentials
from agentkeys.server.http.refusals import Refusal
from agentkeys.server.settings import check_email, check_id
from agentkeys.server.storage import derived, schema
from agentkeys.server.storage.file import judge, marks_of
from agentkeys.server.storage.passwords import hash_of, hash_unguessable, is_hash_of

if TYPE_CHECKING:
    from pathlib import Path

    from sqlalchemy import Connection

EMAIL: Final = "owner@agentkeys.local"
INBOX_ID: Final = "demo@agentkeys.local"
POD_ID: Final = "demo"

_MASTER: Final = "master secret"
# It has a form that is masked in every text.
_TOKEN: Final = re.compile(r"ag_[A-Za-z0-9_.-]{16,253}")

# Version 1 had no sessions: each of its refresh tokens becomes a session.
_OUT_OF_THE_WAY: Final = (
    "ALTER TABLE refresh_tokens RENAME TO old_tokens",
    "DROP INDEX ix_refresh_tokens_expires_at",
)
_EACH_ITS_SESSION: Final = (
    """INSERT INTO sessions (id, account_id, expires_at)
    SELECT lower(hex(digest)), account_id, expires_at FROM old_tokens""",
    """INSERT INTO refresh_tokens (digest, session_id, expires_at, is_used)
    SELECT digest, lower(hex(digest)), expires_at, 0 FROM old_tokens""",
    "DROP TABLE old_tokens",
)


@dataclass(frozen=True, slots=True)
class Start:
    """What a service starts with, and has again after a reset.

    Attributes:
        email: the email of the first account.
        password: the password of its accounts; None for one that is derived from the database's
            secret.
        agentry_token: the token of the tenant; None for a derived one.
        accounts: the emails of more accounts.
        inboxes: the ids of more inboxes.
        pods: the ids of more pods.
    """

    email: str = EMAIL
    password: Secret | None = None
    agentry_token: Secret | None = None
    accounts: tuple[str, ...] = ()
    inboxes: tuple[str, ...] = ()
    pods: tuple[str, ...] = ()

    def check(self) -> None:
        """Check that a service can start with it.

        Raises:
            InvalidArgumentError: a value is not valid.
        """
        password = Secret("any") if self.password is None else Secret(self.password.reveal())
        for email in self.emails:
            check_email(email)
            _check_account(email, password)
        for each in (*self.inboxes, *self.pods):
            check_id(each)
        if self.agentry_token is not None and not _TOKEN.fullmatch(self.agentry_token.reveal()):
            raise InvalidArgumentError(
                "a token of Agentry must be ag_ and 16 or more letters, digits, dots, dashes or"
                " underscores"
            )

    @property
    def emails(self) -> tuple[str, ...]:
        """The emails of all accounts."""
        return (self.email, *self.accounts)

    @property
    def all_inboxes(self) -> tuple[str, ...]:
        """The ids of all inboxes."""
        return (INBOX_ID, *self.inboxes)

    @property
    def all_pods(self) -> tuple[str, ...]:
        """The ids of all pods."""
        return (POD_ID, *self.pods)

    def password_of(self, master: Secret) -> Secret:
        """Return the password of the accounts."""
        return derived.bootstrap_password(master) if self.password is None else self.password

    def token_of(self, master: Secret) -> Secret:
        """Return the token of the tenant."""
        return derived.tenant_token(master) if self.agentry_token is None else self.agentry_token


def initialise(connection: Connection, *, file: Path | None, start: Start = Start()) -> Secret:
    """Return the database's secret, after creating what the database lacks.

    Raises:
        ConfigurationError: this version cannot use the database.
    """
    marks = marks_of(lambda statement: int(connection.exec_driver_sql(statement).scalar_one()))
    judge(file, marks)
    if marks.version == 0:
        _create(connection)
    elif marks.version == 1:
        _add_sessions(connection)
    statement = select(schema.settings.c.value).where(schema.settings.c.name == _MASTER)
    master = sealed(bytes(connection.execute(statement).scalar_one()))
    _provide(connection, start, start.password_of(master))
    return master


def reset(connection: Connection, start: Start) -> None:
    """Delete everything except what *start* names: its accounts keep their sessions."""
    ours = [email.lower() for email in start.emails]
    others = select(schema.accounts.c.id).where(schema.accounts.c.email_key.not_in(ours))
    ended = select(schema.sessions.c.id).where(schema.sessions.c.account_id.in_(others))
    for statement in (
        delete(schema.agentity_keys),
        delete(schema.agentry_keys),
        delete(schema.refresh_tokens).where(schema.refresh_tokens.c.session_id.in_(ended)),
        delete(schema.sessions).where(schema.sessions.c.account_id.in_(others)),
        delete(schema.accounts).where(schema.accounts.c.email_key.not_in(ours)),
        delete(schema.inboxes).where(schema.inboxes.c.id.not_in(start.all_inboxes)),
        delete(schema.pods).where(schema.pods.c.id.not_in(start.all_pods)),
    ):
        connection.execute(statement)


def _provide(connection: Connection, start: Start, password: Secret) -> None:
    for email in start.emails:
        account = rows.find_account(connection, email)
        if account is not None and is_hash_of(account.password_hash, password):
            continue
        # A given password can be guessed; a generated one cannot.
        stored = (hash_unguessable if start.password is None else hash_of)(password)
        if account is None:
            rows.add_account(connection, email, email, stored, iso(time.time()))
        else:
            rows.set_password(connection, account, stored)
    for pod_id in start.all_pods:
        scopes.add_pod(connection, pod_id)
    for inbox_id in start.all_inboxes:
        scopes.add_inbox(connection, inbox_id, None)


def _check_account(email: str, password: Secret) -> None:
    try:
        check_credentials(BasicCredentials(email, password))
    except Refusal as refusal:
        reason = refusal.message
    else:
        return
    raise InvalidArgumentError(f"this account is not valid: {reason}")


def _create(connection: Connection) -> None:
    master = derived.new_master_secret()
    schema.metadata.create_all(connection)
    connection.execute(insert(schema.settings), {"name": _MASTER, "value": opened(master)})
    connection.exec_driver_sql(f"PRAGMA application_id={schema.APPLICATION_ID}")
    connection.exec_driver_sql(f"PRAGMA user_version={schema.VERSION}")


def _add_sessions(connection: Connection) -> None:
    for statement in _OUT_OF_THE_WAY:
        connection.exec_driver_sql(statement)
    schema.metadata.create_all(connection)
    for statement in _EACH_ITS_SESSION:
        connection.exec_driver_sql(statement)
    connection.exec_driver_sql(f"PRAGMA user_version={schema.VERSION}")
