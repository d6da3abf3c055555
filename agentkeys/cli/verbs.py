"""What a command does with keys, for the keys of any service."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

import click

from agentkeys.cli import output
from agentkeys.cli.services import run
from agentkeys.errors import AgentKeysError, ConfigurationError, DecodeError, TransportError
from agentkeys.secret import Secret, mask

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Sequence

    from agentkeys.cli.options import Options
    from agentkeys.cli.services import Service, Target
    from agentkeys.keys import Key, KeyCollection, NewKey
    from agentkeys.paging import Pager

    Keys: TypeAlias = KeyCollection[Any, Key[Any], NewKey[Any]]

__all__ = ["create", "delete", "show"]

ClientT = TypeVar("ClientT", bound=Any)
KeysT = TypeVar("KeysT", bound="Keys")


def create(
    options: Options,
    target: Target[ClientT, KeysT],
    make: Callable[[KeysT], Awaitable[NewKey[Any]]],
) -> None:
    """Make a key and print its secret, alone on stdout; in JSON, with the rest of the key."""
    if sys.stdout is None:
        raise ConfigurationError("standard output is closed, and the secret is printed only once")
    run(options, target, lambda keys: _create(options, target.service, keys, make))


def show(
    options: Options,
    target: Target[ClientT, KeysT],
    pager: Callable[[KeysT], Pager[Any]],
) -> None:
    """List keys."""
    keys = run(options, target, lambda keys: pager(keys).collect())
    if options.json:
        output.write(output.as_json([output.fields_of(key) for key in keys]))
    elif keys:
        output.print_table(keys, target.service.columns)
    else:
        output.note("There are no keys here.")


def delete(
    options: Options, target: Target[ClientT, KeysT], ids: Iterable[Any], *, ask: bool
) -> None:
    """Delete keys, one after the other; one that fails does not save the others."""
    ids = tuple(dict.fromkeys(ids))
    if ask and sys.stdin is not None and sys.stdin.isatty():
        _confirm(ids)
    outcomes = run(options, target, lambda keys: _delete(options, keys, ids))
    if options.json:
        output.write(output.as_json(outcomes))
    if not all(outcome["deleted"] for outcome in outcomes):
        raise click.exceptions.Exit(1)


async def _create(
    options: Options,
    service: Service[Any],
    keys: KeysT,
    make: Callable[[KeysT], Awaitable[NewKey[Any]]],
) -> None:
    try:
        new = await make(keys)
    except (DecodeError, TransportError) as error:
        if error.salvaged is None:
            raise
        unreadable = error, error.salvaged
    else:
        return await _hand_over(options, service, keys, new)
    return _salvage(options, service, *unreadable)


async def _hand_over(options: Options, service: Service[Any], keys: Keys, new: NewKey[Any]) -> None:
    if not options.json:
        output.note(
            f"Created the key {new.name!r} of {service.name}; its id is {new.id}."
            " This is its secret, which is shown only once: store it now."
        )
    try:
        _write_secret(options, output.fields_of(new, revealed=True), service)
    except (output.OutputError, OSError) as error:
        reason = str(error)
    else:
        return
    output.abandon()
    await _take_back(service, keys, new, reason)


def _write_secret(options: Options, fields: dict[str, object], service: Service[Any]) -> None:
    output.write(output.as_json(fields) if options.json else str(fields[service.secret_field]))


async def _take_back(service: Service[Any], keys: Keys, new: NewKey[Any], reason: str) -> None:
    """Delete a key whose secret reached nobody."""
    try:
        await keys.delete(new.id)
    except AgentKeysError as failure:
        raise click.ClickException(
            f"the key {new.name!r} exists, but its secret is lost ({reason}), and deleting it"
            f" failed: {failure}: delete {service.name}'s key {new.id} yourself"
        ) from None
    raise click.ClickException(
        f"the secret could not be printed ({reason}), so the key {new.name!r} was deleted again"
    )


def _salvage(
    options: Options, service: Service[Any], error: DecodeError | TransportError, secret: Secret
) -> None:
    try:
        _write_secret(options, {service.secret_field: secret.reveal()}, service)
    except (output.OutputError, OSError) as failure:
        output.abandon()
        raise click.ClickException(
            f"the key was made, but its secret is lost ({failure}): list the keys, and delete it"
        ) from None
    fault = (
        f"cannot be read: expected {error.expected} at {error.json_path}"
        if isinstance(error, DecodeError)
        else "was cut short"
    )
    raise click.ClickException(
        f"the key was made, and this is its secret, which is shown only once: store it; but"
        f" {service.name}'s answer {fault}: list the keys to find its id"
    )


def _confirm(ids: Sequence[Any]) -> None:
    named = ", ".join(output.printable(str(key_id)) for key_id in ids)
    keys = f"the key {named}" if len(ids) == 1 else f"{len(ids)} keys ({named})"
    if not click.confirm(f"Delete {keys} for good?", err=True):
        output.note("Nothing was deleted.")
        raise click.exceptions.Exit(1)


async def _delete(options: Options, keys: Keys, ids: Iterable[Any]) -> list[dict[str, object]]:
    return [await _delete_one(options, keys, key_id) for key_id in ids]


async def _delete_one(options: Options, keys: Keys, key_id: Any) -> dict[str, object]:
    try:
        await keys.delete(key_id)
    except AgentKeysError as error:
        # A key may have been pasted where its id belongs.
        sentence, shown = mask(str(error)), mask(str(key_id))
        output.note(f"Error: the key {shown} was not deleted: {sentence}")
        shown_id = key_id if shown == str(key_id) else shown
        return {"id": shown_id, "deleted": False, "error": sentence}
    if not options.json:
        _report_deleted(key_id)
    return {"id": key_id, "deleted": True}


def _report_deleted(key_id: Any) -> None:
    sentence = f"deleted {output.printable(str(key_id))}"
    try:
        output.write(sentence)
    except (output.OutputError, OSError):
        # The other keys are to be deleted all the same.
        output.abandon()
        output.note(sentence)
