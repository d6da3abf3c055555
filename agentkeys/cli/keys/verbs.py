"""The commands on keys, for any service."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

import click

from agentkeys.cli.ground import output
from agentkeys.cli.ground.codes import CommandError
from agentkeys.cli.ground.services import run, settings_of
from agentkeys.errors import AgentKeysError, ConfigurationError, DecodeError, TransportError
from agentkeys.secret import Secret

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from agentkeys.cli.ground.options import Options
    from agentkeys.cli.ground.services import Service, Target
    from agentkeys.cli.keys.saving import Saving
    from agentkeys.keys import Key, KeyCollection, NewKey, Scope

    Keys: TypeAlias = KeyCollection[Any, Key[Any], NewKey[Any]]

__all__ = ["create", "issue", "make", "place_of", "scope_of"]

ClientT = TypeVar("ClientT", bound=Any)
KeysT = TypeVar("KeysT", bound="Keys")


def create(
    options: Options,
    target: Target[ClientT, KeysT],
    name: str,
    saving: Saving | None,
    **create_options: Any,
) -> None:
    """Create a key; store its secret, or print it alone on stdout; in JSON, with its other fields.

    Args:
        options: the options of every command.
        target: the place of the new key.
        name: its name.
        saving: how to store the secret; None to print it.
        **create_options: further arguments of `create` of these keys.
    """
    service = target.service
    if saving is not None:
        store = partial(issue, options, service, name, saving=saving.of(name), more=create_options)
        return run(options, target, store)
    if output.is_closed():
        raise ConfigurationError("standard output is closed, and the secret is printed only once")

    async def work(keys: KeysT) -> None:
        await make(options, service, keys, lambda: keys.create(name, **create_options))

    return run(options, target, work)


async def make(
    options: Options,
    service: Service[Any],
    keys: Keys,
    create: Callable[[], Awaitable[NewKey[Any]]],
    name: str = "",
) -> None:
    """Create a key, and print its secret: alone, or before its *name* if there are several keys."""
    try:
        new = await create()
    except (DecodeError, TransportError) as error:
        if error.salvaged is None:
            raise
        unreadable = error, error.salvaged
    else:
        return await _hand_over(options, service, keys, new, name)
    return _salvage(options, service, *unreadable, name)


async def issue(
    options: Options,
    service: Service[Any],
    name: str,
    keys: Keys,
    *,
    saving: Saving,
    more: dict[str, Any],
    is_one_of_several: bool = False,
) -> None:
    """Make a key whose secret is stored, and print its id: alone, or before its name."""
    import agentkeys

    issued = await agentkeys.issue(
        keys,
        name,
        into=saving.store,
        exact_name=saving.exact_name,
        replace=saving.replace,
        scope=scope_of(options, keys),
        **more,
    )
    key = issued.key
    if options.json:
        where = {"store": issued.store, "recovered": issued.recovered}
        output.write(output.as_json({**output.fields_of(key), **where}))
        return
    if not is_one_of_several:
        output.note(
            f"Created the key {key.name!r} of {service.name}. Its secret is stored: {issued.store}."
        )
    output.write(f"{key.id}  {key.name}" if is_one_of_several else str(key.id))


def scope_of(options: Options, keys: Keys) -> Scope:
    """Return the scope of the keys; --local has a new address each time, but one database."""
    if not options.local:
        return keys.scope
    import attrs

    from agentkeys.cli.ground.local import local_database

    return attrs.evolve(keys.scope, realm=local_database())


def place_of(options: Options, target: Target[Any, Any]) -> Scope:
    """Return the scope of the keys of a command, without needing credentials."""
    from agentkeys import BearerToken

    settings = settings_of(options, target.service)
    if options.local:
        settings["base_url"] = (
            "http://localhost"  # any address will do: `scope_of` replaces it by the database
        )
    client = target.service.client(BearerToken("none"), **settings)
    return scope_of(options, target.keys(client))


async def _hand_over(
    options: Options, service: Service[Any], keys: Keys, new: NewKey[Any], name: str
) -> None:
    if not (options.json or name):
        output.note(
            f"Created the key {new.name!r} of {service.name}; its id is {new.id}."
            " This is its secret, which is shown only once: store it now."
        )
    try:
        _write_secret(options, output.fields_of(new, revealed=True), service, name)
    except (output.OutputError, OSError) as error:
        reason = str(getattr(error, "strerror", None) or error)
    else:
        return
    output.abandon()
    await _take_back(options, service, keys, new, reason)


def _write_secret(
    options: Options, fields: dict[str, object], service: Service[Any], name: str
) -> None:
    secret = str(fields[service.secret_field])
    # Characters that are not printable would be escaped, and the secret could not be restored.
    alone = secret if secret.isprintable() else output.as_json(secret)
    # Neither contains a space: a shell reads them with `read -r secret name`.
    output.write(output.as_json(fields) if options.json else f"{alone}  {name}".rstrip())


async def _take_back(
    options: Options, service: Service[Any], keys: Keys, new: NewKey[Any], reason: str
) -> None:
    """Delete a key whose secret could not be shown."""
    lost = f"the key {new.name!r} exists, but its secret is lost ({reason}), and deleting it"
    by_hand = f"delete {service.name}'s key {new.id} yourself"
    try:
        await keys.delete(new.id)
    except AgentKeysError as failure:
        raise CommandError(f"{lost} failed: {failure}: {by_hand}", failure) from None
    except BaseException:  # a signal: nothing else would report the key
        sentence = f"{lost} was interrupted: {by_hand}"
        output.report(sentence, in_json=options.json, key_id=new.id)
        raise
    raise click.ClickException(
        f"the secret could not be printed ({reason}), so the new key {new.name!r} was deleted"
    )


def _salvage(
    options: Options,
    service: Service[Any],
    error: DecodeError | TransportError,
    secret: Secret,
    name: str,
) -> None:
    try:
        _write_secret(options, {service.secret_field: secret.reveal()}, service, name)
    except (output.OutputError, OSError) as failure:
        output.abandon()
        raise CommandError(
            f"the key was created, but its secret is lost ({failure}): list the keys and delete it",
            error,
        ) from None
    fault = (
        f"cannot be read: expected {error.expected} at {error.json_path}"
        if isinstance(error, DecodeError)
        else "was cut short"
    )
    form = (
        ""
        if secret.reveal().isprintable()
        else ", as a JSON string, because not all of it is printable"
    )
    raise CommandError(
        f"the key was created; this is its secret{form}, which is shown only once: store it; but"
        f" {service.name}'s answer {fault}: list the keys to find its id",
        error,
    )
