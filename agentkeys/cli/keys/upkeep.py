"""The commands for stored keys: replace, adopt, abort, announce."""

from __future__ import annotations

import shlex
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from agentkeys.cli.ground import output, programs
from agentkeys.cli.ground.services import run
from agentkeys.cli.keys.verbs import place_of, scope_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from agentkeys.cli.ground.options import Options
    from agentkeys.cli.ground.services import Target
    from agentkeys.lifecycle import Known, Rotated
    from agentkeys.lifecycle.machine.states import KeyId
    from agentkeys.stores import Store

__all__ = ["abort", "adopt", "announced", "fields_of_known", "moment", "rotate", "sweep_line"]


def rotate(options: Options, target: Target[Any, Any], name: str, how: Mapping[str, Any]) -> None:
    """Replace a key; its new id goes to stdout.

    Args:
        options: the options of every command.
        target: the place of the key.
        name: its name.
        how: the arguments of `agentkeys.rotate`; *verify* and *then* are programs.
    """
    verify = programs.trying(how["verify"], options.timeout)
    then = programs.telling(how["then"], options.timeout)

    async def work(keys: Any) -> tuple[Rotated[Any], Known | None]:
        from agentkeys import rotate, status

        scope = scope_of(options, keys)
        rotated = await rotate(keys, name, **{**how, "verify": verify, "then": then}, scope=scope)
        found = (await status(keys, scope=scope)).retiring
        return rotated, next((each for each in found if each.id == rotated.rotation), None)

    rotated, retiring = run(options, target, work)
    if options.json:
        output.write(output.as_json(_fields_of_rotated(rotated, retiring)))
        return
    key = rotated.key
    output.note(
        f"Replaced the key {name!r} of {target.service.name}: {key.id} ({key.name}) works now, and"
        f" its secret is stored: {rotated.store}."
    )
    output.note(_what_becomes_of(options, rotated.replaced.id, retiring))
    output.write(str(key.id))


def _fields_of_rotated(rotated: Rotated[Any], retiring: Known | None) -> dict[str, object]:
    return {
        **output.fields_of(rotated.key),
        "store": rotated.store,
        "replaced": output.fields_of(rotated.replaced),
        "retired": retiring is None,
        "retires_at": None if retiring is None else output.plain(retiring.retires_at),
        "rotation": rotated.rotation,
        "recovered": rotated.recovered,
    }


def _what_becomes_of(options: Options, old: KeyId, retiring: Known | None) -> str:
    if retiring is None:
        return f"The old key {old} was deleted."
    sweep = f"`{sweep_line(options)}`"
    if retiring.retires_at is None or retiring.retires_at <= datetime.now(UTC):
        return f"The old key {old} can be deleted: run {sweep}."
    when = moment(retiring.retires_at)
    return f"The old key {old} works until {when}: run {sweep} after that to delete it."


def sweep_line(options: Options) -> str:
    """Return the command line of a sweep."""
    return shlex.join([*options.line, "sweep"])


def moment(when: datetime) -> str:
    """Return a time for a text."""
    return when.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def adopt(
    options: Options, target: Target[Any, Any], key_id: Any, store: Store, name: str | None
) -> None:
    """Add a key to the journal that was not issued with --save."""

    async def work(keys: Any) -> Known:
        from agentkeys import adopt

        return await adopt(keys, key_id, into=store, name=name, scope=scope_of(options, keys))

    known = run(options, target, work)
    if options.json:
        output.write(output.as_json(fields_of_known(known)))
        return
    line = [*options.line, target.service.name.lower(), "rotate"]
    line += [*target.where, known.name, "--save", known.store]
    output.note(
        f"Adopted the key {known.key_id} as {known.name!r}; its secret is in {known.store}."
        f" To replace it: {shlex.join(line)}"
    )


def abort(options: Options, target: Target[Any, Any], name: str, store: Store | None) -> None:
    """Abort a rotation; ask for the old secret if the store holds the new one."""
    secret = None
    # Not in the event loop, where Ctrl-C would not end a prompt.
    if (old := _old_key(options, target, name, store)) is not None:
        secret = output.secret_given(f"The old secret, of the key {old}")

    async def work(keys: Any) -> tuple[KeyId, ...]:
        from agentkeys import abort

        return await abort(keys, name, into=store, secret=secret, scope=scope_of(options, keys))

    ids = run(options, target, work)
    if options.json:
        output.write(output.as_json({"deleted": ids}))
        return
    for key_id in ids:
        output.write(f"deleted {key_id}")
    output.note(f"The rotation of {name!r} was aborted: the store holds the old secret.")


def _old_key(
    options: Options, target: Target[Any, Any], name: str, store: Store | None
) -> KeyId | None:
    """Return the id of a retiring key whose secret the store no longer holds, or None."""
    from agentkeys.lifecycle.remembering import opened
    from agentkeys.lifecycle.upkeep import remembered

    for each in remembered(place_of(options, target), opened()).retiring:
        is_there = store is None or each.store == store.address
        if is_there and each.name == name and each.state in {"retiring", "restoring"}:
            return each.retires
    return None


def announced(options: Options, target: Target[Any, Any], name: str, store: Store | None) -> None:
    """Record that the users of a replaced key have been told of the new one."""

    async def work(keys: Any) -> Known:
        from agentkeys import announced

        return await announced(keys, name, into=store, scope=scope_of(options, keys))

    known = run(options, target, work)
    if options.json:
        output.write(output.as_json(fields_of_known(known)))
    elif known.retires is not None:
        output.note(_what_becomes_of(options, known.retires, known))


def fields_of_known(known: Known) -> dict[str, object]:
    """Return the journal's data of a key, as JSON types."""
    import attrs

    return {**output.fields_of(known), "scope": attrs.asdict(known.scope)}
