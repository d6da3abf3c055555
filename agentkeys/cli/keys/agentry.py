"""``agentkeys agentry``: the keys of a tenant, its inboxes and its pods."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import click

from agentkeys import arguments
from agentkeys.cli.ground.options import common
from agentkeys.cli.ground.services import Service, Target, profile_of
from agentkeys.cli.keys import creating, deleting, listing
from agentkeys.cli.keys.choices import (
    jobs_option,
    names_option,
    names_read,
    with_choosing,
    with_words,
)
from agentkeys.cli.keys.places import Place, scoped, taken
from agentkeys.cli.keys.rotating import save_option, with_rotating
from agentkeys.cli.keys.saving import opened, opened_if, which_store, with_saving

if TYPE_CHECKING:
    from typing import TextIO

    from agentkeys.agentry import AgentApiKeys, AgentryClient, ApiKey, ApiKeys
    from agentkeys.cli.bulk.choosing import Criteria
    from agentkeys.cli.ground.options import Options
    from agentkeys.cli.keys.saving import Saving
    from agentkeys.credentials import Credentials
    from agentkeys.keys import Scope
    from agentkeys.paging import Pager
    from agentkeys.server import LocalService

    Keys: TypeAlias = ApiKeys | AgentApiKeys

__all__ = ["SERVICE", "commands"]

_LOCAL_POD: Final = "demo"


class _Agentry(Service["AgentryClient"]):
    name = "Agentry"
    variables = (("AGENTRY_API_KEY",),)
    columns = {  # noqa: RUF012  # nobody changes it
        "ID": "id",
        "NAME": "name",
        "PREFIX": "prefix",
        "CREATED": "created_at",
        "USED": "used_at",
        "INBOX": "inbox_id",
        "POD": "pod_id",
        "PERMISSIONS": "permissions",
    }
    secret_field = "api_key"  # noqa: S105  # a field's name
    key_form = "(ag_)[A-Za-z0-9_.-]+"

    def kind(self) -> type[AgentryClient]:
        from agentkeys import AgentryClient

        return AgentryClient

    async def local_credentials(self, local: LocalService) -> Credentials:
        from agentkeys import BearerToken

        # No documented endpoint creates a pod, and --pod must work here too.
        await local.add_pod(_LOCAL_POD)
        return BearerToken(local.agentry_token)

    def key_id(self, word: str) -> str:
        return arguments.segment("ID", word)

    def keys_at(self, client: AgentryClient, scope: Scope) -> Keys | None:
        agent = scope.surface == "agent"
        match scope.kind:
            case "tenant":
                return Place(agent=agent).keys(client)
            case "inbox":
                return Place(scope.id, agent=agent).keys(client)
            case "pod":
                return Place(pod=scope.id, agent=True).keys(client)
        return None


SERVICE: Final = _Agentry()


def _taken(options: Options, words: tuple[str, ...], **where: Any) -> tuple[Place, tuple[str, ...]]:
    """Return the place of the keys, and the words after it."""
    return taken(words, partial(profile_of, options, SERVICE), **where)


def _at(place: Place) -> Target[AgentryClient, Keys]:
    return Target(SERVICE, place.keys, place.words())


def _only(words: tuple[str, ...], *names: str) -> tuple[str, ...]:
    if len(words) < len(names):
        raise click.UsageError(f"Missing argument '{names[len(words)]}'")
    if len(words) > len(names):
        raise click.UsageError(f"Got an unexpected extra argument ({words[len(names)]})")
    return words


def _permission(value: str) -> tuple[str, bool]:
    flag, equals, on = value.partition("=")
    if not flag or on not in ({"true", "false"} if equals else {""}):
        raise click.BadParameter(f"{value!r} is neither FLAG nor FLAG=true nor FLAG=false")
    return flag, on != "false"


@click.group("agentry")
def commands() -> None:
    """Manage the keys of an Agentry tenant, its inboxes and its pods.

    AGENTRY_API_KEY holds the key for the requests, or AGENTRY_API_KEY_FROM names a store that holds
    that key. Name an inbox, or use --tenant or --pod instead; a profile can set a default.
    With --local there are the inbox demo@agentkeys.local and the pod demo.
    """


@commands.command()
@scoped("NAME...")
@click.option(
    "--permission",
    "permissions",
    metavar="FLAG[=false]",
    type=_permission,
    multiple=True,
    help="A permission, or with =false its denial; repeatable; on the agent surface only.",
)
@names_option
@jobs_option
@with_saving
@common
def create(
    options: Options,
    words: tuple[str, ...],
    *,
    permissions: tuple[tuple[str, bool], ...],
    names_file: TextIO | None,
    jobs: int,
    saving: Saving | None,
    **where: Any,
) -> None:
    """Create a key, and print its secret; or create several keys.

    The secret is shown only once, alone on stdout; for several keys, each line has the secret and
    then the name. --json prints {"api_key_id", "api_key", "name", "prefix", "created_at",
    "inbox_id", "pod_id", "permissions"}, where "api_key" is the secret.

    With --save the secret is stored and never shown, exactly one key is left whatever happens, and
    its id goes to stdout. --json has "store" and "recovered" instead of "api_key".
    """
    place, words = _taken(options, words, **where)
    if permissions and not (place.agent or place.pod):
        raise click.UsageError("--permission needs --agent, or --pod")
    names = names_read(words, names_file)
    more = {"permissions": dict(permissions)} if permissions else {}
    creating.create(options, _at(place), names, saving, jobs, **more)


@commands.command("list")
@scoped("[KEY]...")
@with_choosing
@listing.form_option
@click.option("--page-size", type=click.IntRange(min=1), help="The number of keys in one request.")
@common
def list_(
    options: Options,
    words: tuple[str, ...],
    *,
    criteria: Criteria,
    form: str | None,
    page_size: int | None,
    **where: Any,
) -> None:
    """List keys, newest first, without their secrets.

    KEY is an id or a name; without a KEY, all keys are listed.

    --json prints an array of {"api_key_id", "name", "prefix", "created_at", "inbox_id", "pod_id",
    "used_at", "permissions"}.
    """
    more = {}
    if where["tenant"] and where["inbox"] is not None:
        if where["agent"]:
            raise click.UsageError("--tenant --inbox needs the human surface, without --agent")
        more = {"inbox_id": where["inbox"]}
        where["inbox"] = None
    place, words = _taken(options, words, **where)
    criteria = with_words(criteria, SERVICE, words)

    def pager(keys: Any) -> Pager[ApiKey]:
        return keys.list(limit=page_size, **more)  # type: ignore[no-any-return]  # of any scope

    listing.show(options, _at(place), pager, criteria, form)


@commands.command()
@scoped("KEY...")
@with_choosing
@deleting.deleting_options
@common
def delete(
    options: Options,
    words: tuple[str, ...],
    criteria: Criteria,
    **more: Any,
) -> None:
    """Delete keys permanently; from then on, the service rejects them.

    KEY is an id or a name; - reads ids from standard input. On a terminal, the command asks first.
    --json prints an array of {"id", "deleted"}, with "error" if the key was not deleted, and "gone"
    if it did not exist.
    """
    where = {name: more.pop(name) for name in ("tenant", "pod", "inbox", "agent")}
    place, words = _taken(options, words, **where)
    criteria = with_words(criteria, SERVICE, words)
    deleting.delete(options, _at(place), criteria, deleting.How(**more))


@commands.command()
@scoped("NAME")
@with_rotating(str)
@common
def rotate(options: Options, words: tuple[str, ...], how: dict[str, Any], **where: Any) -> None:
    """Replace the key whose secret a store holds by a new key with the same permissions.

    NAME is the name without ~ and the nonce. After the grace, `agentkeys sweep` deletes the old
    key. TIME is like 90d or 15m. The new id goes to stdout. --json prints the key and {"store",
    "replaced", "retired", "retires_at", "rotation", "recovered"}.
    """
    from agentkeys.cli.keys import upkeep

    place, words = _taken(options, words, **where)
    (name,) = _only(words, "NAME")
    upkeep.rotate(options, _at(place), name, how)


@commands.command()
@scoped("ID")
@save_option
@click.option("--name", help="Your name for the key.  [default: its name]")
@common
def adopt(
    options: Options, words: tuple[str, ...], save: str, name: str | None, **where: Any
) -> None:
    """Add a key to the journal that was created without --save, so that it can be rotated.

    STORE must already hold its secret. --json prints the key as `agentkeys status --json` does.
    """
    from agentkeys.cli.keys import upkeep

    place, words = _taken(options, words, **where)
    (key_id,) = _only(words, "ID")
    key_id = arguments.segment("ID", key_id)
    upkeep.adopt(options, _at(place), key_id, opened(save), name)


@commands.command()
@scoped("NAME")
@which_store
@common
def abort(options: Options, words: tuple[str, ...], save: str | None, **where: Any) -> None:
    """Abort a rotation, while the old key still exists.

    The new key is deleted. If the store already holds its secret, the command needs the old secret
    on standard input; on a terminal, it asks for it. --json prints {"deleted"}, the ids of the
    keys.
    """
    from agentkeys.cli.keys import upkeep

    place, words = _taken(options, words, **where)
    (name,) = _only(words, "NAME")
    upkeep.abort(options, _at(place), name, opened_if(save))


@commands.command()
@scoped("NAME")
@which_store
@common
def announced(options: Options, words: tuple[str, ...], save: str | None, **where: Any) -> None:
    """Record that the users of a replaced key have been told.

    If `rotate --then` has failed, the old key does not retire before that. --json prints the key as
    `agentkeys status --json` does.
    """
    from agentkeys.cli.keys import upkeep

    place, words = _taken(options, words, **where)
    (name,) = _only(words, "NAME")
    upkeep.announced(options, _at(place), name, opened_if(save))
