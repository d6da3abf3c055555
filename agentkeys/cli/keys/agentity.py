"""``agentkeys agentity``: the keys of an account."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any, Final

import click

from agentkeys.cli.ground import output
from agentkeys.cli.ground.options import common
from agentkeys.cli.ground.services import Service, Target
from agentkeys.cli.keys import creating, deleting, listing
from agentkeys.cli.keys.choices import (
    jobs_option,
    names_option,
    names_read,
    with_choosing,
    with_words,
)
from agentkeys.cli.keys.rotating import save_option, with_rotating
from agentkeys.cli.keys.saving import opened, opened_if, which_store, with_saving

if TYPE_CHECKING:
    from typing import TextIO

    from agentkeys.agentity import AgentityClient, ApiKeys
    from agentkeys.cli.bulk.choosing import Criteria
    from agentkeys.cli.ground.options import Options
    from agentkeys.cli.keys.saving import Saving
    from agentkeys.credentials import Credentials
    from agentkeys.keys import Scope
    from agentkeys.profiles.config import Profile
    from agentkeys.server import LocalService

__all__ = ["SERVICE", "commands"]

_MOST_DIGITS: Final = 19  # of a number of 64 bits


class _Agentity(Service["AgentityClient"]):
    name = "Agentity"
    variables = (("AGENTITY_EMAIL", "AGENTITY_PASSWORD"), ("AGENTITY_ACCESS_TOKEN",))
    columns = {  # noqa: RUF012  # nobody changes it
        "ID": "id",
        "NICKNAME": "nickname",
        "CREATED": "created_at",
        "UPDATED": "updated_at",
    }
    secret_field = "key"  # noqa: S105  # a field's name
    key_form = "(agk_live_)[A-Za-z0-9_.-]+"
    logs_in = True

    def kind(self) -> type[AgentityClient]:
        from agentkeys import AgentityClient

        return AgentityClient

    def asks_for_password_of(self, profile: Profile | None) -> str | None:
        if profile is not None:
            return profile.email if profile.password_from is None else None
        from agentkeys.sources import is_given

        if any(map(is_given, ("AGENTITY_PASSWORD", "AGENTITY_ACCESS_TOKEN"))):
            return None
        return os.environ.get("AGENTITY_EMAIL") or None

    def credentials(self, profile: Profile | None) -> Credentials | None:
        email = self.asks_for_password_of(profile)
        if email is None or not _can_be_asked():
            return super().credentials(profile)
        from agentkeys import PasswordLogin

        return PasswordLogin(email, output.ask_secret(f"Password of {email}"))

    def shared(self, credentials: Credentials | None, *, keyring: bool) -> Credentials:
        from agentkeys import CachedLogin, PasswordLogin

        found = credentials or self.kind()._from_environment()  # noqa: SLF001  # one house
        return CachedLogin(found, keyring=keyring) if isinstance(found, PasswordLogin) else found

    async def local_credentials(self, local: LocalService) -> Credentials:
        from agentkeys import PasswordLogin

        return PasswordLogin(local.email, local.password)

    def key_id(self, word: str) -> int:
        return _key_id(word)

    def is_id(self, word: str) -> bool:
        return _is_id(word)

    def keys_at(self, client: AgentityClient, scope: Scope) -> ApiKeys | None:
        return client.api_keys if scope.kind == "account" else None


SERVICE: Final = _Agentity()
_KEYS: Final = Target(SERVICE, lambda client: client.api_keys)


def _is_id(value: str) -> bool:
    # int() alone takes "1_0" for 10, which may be another key.
    return value.isascii() and value.isdecimal() and len(value) <= _MOST_DIGITS


def _key_id(value: str) -> int:
    if not _is_id(value):
        raise click.BadParameter(f"{value!r} is not the id of a key: ids are whole numbers")
    return int(value)


def _can_be_asked() -> bool:
    return sys.stdin is not None and sys.stdin.isatty()


@click.group("agentity")
def commands() -> None:
    """Manage the keys of an Agentity account.

    The account is that of AGENTITY_EMAIL and AGENTITY_PASSWORD, or of AGENTITY_ACCESS_TOKEN.
    AGENTITY_PASSWORD_FROM or AGENTITY_ACCESS_TOKEN_FROM names a store that holds the secret
    instead. If only the password is missing, the command asks for it on a terminal.
    """


@commands.command()
@click.argument("nicknames", metavar="NICKNAME...", nargs=-1)
@names_option
@jobs_option
@with_saving
@common
def create(
    options: Options,
    nicknames: tuple[str, ...],
    names_file: TextIO | None,
    jobs: int,
    saving: Saving | None,
) -> None:
    """Create a key, and print its secret; or create several keys.

    NICKNAME is unique among the account's keys. The secret is shown only once, alone on stdout; for
    several keys, each line has the secret and then the nickname. --json prints {"id", "nickname",
    "created_at", "updated_at", "key"}, where "key" is the secret.

    With --save the secret is stored and never shown, exactly one key is left whatever happens, and
    its id goes to stdout. --json has "store" and "recovered" instead of "key".
    """
    creating.create(options, _KEYS, names_read(nicknames, names_file), saving, jobs)


@commands.command("list")
@click.argument("words", metavar="[KEY]...", nargs=-1)
@with_choosing
@listing.form_option
@common
def list_(options: Options, words: tuple[str, ...], criteria: Criteria, form: str | None) -> None:
    """List the account's keys, without their secrets.

    KEY is an id, or a nickname that is not a whole number; without a KEY, all keys are listed.

    --json prints an array of {"id", "nickname", "created_at", "updated_at"}.
    """
    criteria = with_words(criteria, SERVICE, words)
    listing.show(options, _KEYS, lambda keys: keys.list(), criteria, form)


@commands.command()
@click.argument("words", metavar="KEY...", nargs=-1)
@with_choosing
@deleting.deleting_options
@common
def delete(options: Options, words: tuple[str, ...], criteria: Criteria, **how: Any) -> None:
    """Delete keys permanently; from then on, the service rejects them.

    KEY is an id, or a nickname that is not a whole number; - reads ids from standard input. On a
    terminal, the command asks first. --json prints an array of {"id", "deleted"}, with "error" if
    the key was not deleted, and "gone" if it did not exist.
    """
    criteria = with_words(criteria, SERVICE, words)
    deleting.delete(options, _KEYS, criteria, deleting.How(**how))


@commands.command()
@click.argument("name")
@with_rotating(_key_id)
@common
def rotate(options: Options, name: str, how: dict[str, Any]) -> None:
    """Replace the key whose secret a store holds by a new key.

    NAME is the name without ~ and the nonce. After the grace, `agentkeys sweep` deletes the old
    key.
    The new id goes to stdout. --json prints the key and {"store", "replaced", "retired",
    "retires_at", "rotation", "recovered"}.
    """
    from agentkeys.cli.keys import upkeep

    upkeep.rotate(options, _KEYS, name, how)


@commands.command()
@click.argument("key_id", metavar="ID", type=_key_id)
@save_option
@click.option("--name", help="Your name for the key.  [default: its nickname]")
@common
def adopt(options: Options, key_id: int, save: str, name: str | None) -> None:
    """Add a key to the journal that was created without --save, so that it can be rotated.

    STORE must already hold its secret. --json prints the key as `agentkeys status --json` does.
    """
    from agentkeys.cli.keys import upkeep

    upkeep.adopt(options, _KEYS, key_id, opened(save), name)


@commands.command()
@click.argument("name")
@which_store
@common
def abort(options: Options, name: str, save: str | None) -> None:
    """Abort a rotation, while the old key still exists.

    The new key is deleted. If the store already holds its secret, the command needs the old secret
    on standard input; on a terminal, it asks for it. --json prints {"deleted"}, the ids of the
    keys.
    """
    from agentkeys.cli.keys import upkeep

    upkeep.abort(options, _KEYS, name, opened_if(save))


@commands.command()
@click.argument("name")
@which_store
@common
def announced(options: Options, name: str, save: str | None) -> None:
    """Record that the users of a replaced key have been told.

    If `rotate --then` has failed, the old key does not retire before that. --json prints the key as
    `agentkeys status --json` does.
    """
    from agentkeys.cli.keys import upkeep

    upkeep.announced(options, _KEYS, name, opened_if(save))
