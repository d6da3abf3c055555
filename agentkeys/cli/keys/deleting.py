"""Delete keys: choose them, ask, and delete several at a time."""

from __future__ import annotations

import sys
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

import click

from agentkeys.cli.bulk.choosing import chosen, missing, shared
from agentkeys.cli.ground import output
from agentkeys.cli.ground.codes import NOT_FOUND, code_of, worst
from agentkeys.cli.ground.services import run
from agentkeys.cli.keys.choices import check_tells, jobs_option, read_lines
from agentkeys.cli.keys.listing import report_missing, show_keys
from agentkeys.cli.keys.verbs import scope_of
from agentkeys.concurrency import run_each
from agentkeys.errors import AgentKeysError, NotFoundError
from agentkeys.masking import mask

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from agentkeys.cli.bulk.choosing import Criteria
    from agentkeys.cli.ground.options import Options
    from agentkeys.cli.ground.services import Target
    from agentkeys.keys import Key

__all__ = ["How", "delete", "deleting_options", "why"]

_MOST_SHOWN: Final = 100
STANDARD_INPUT: Final = "-"


@dataclass(frozen=True)
class How:
    """How keys are deleted.

    Attributes:
        yes: do not ask.
        dry_run: show the keys, and delete none.
        everything: delete all keys of the place.
        all_of_name: a name stands for all keys with it.
        jobs: the number of parallel requests.
    """

    yes: bool
    dry_run: bool
    everything: bool
    all_of_name: bool
    jobs: int

    @property
    def asks(self) -> bool:
        """Whether the command asks first."""
        return not self.yes and sys.stdin is not None and sys.stdin.isatty()


_OPTIONS: Final = (
    click.option("--all", "everything", is_flag=True, help="All keys of this place."),
    click.option(
        "--all-of-name", is_flag=True, help="All keys with the NAME, if there are several."
    ),
    click.option("--dry-run", is_flag=True, help="Show the keys, and delete none."),
    click.option("--yes", is_flag=True, help="Do not ask first."),
    jobs_option,
)


def deleting_options(command: Callable[..., None]) -> Callable[..., None]:
    """Add the options of `How`."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def delete(options: Options, target: Target[Any, Any], criteria: Criteria, how: How) -> None:
    """Delete the chosen keys; a failure does not stop the deletion of the others.

    Args:
        options: the options of every command.
        target: the place of the keys.
        criteria: which keys; the word ``-`` stands for ids on standard input.
        how: how.
    """
    _check(target, criteria, how)
    criteria = _with_input(target, criteria)
    if criteria.is_plain and not (criteria.words or how.everything or how.asks or how.dry_run):
        ids = [*dict.fromkeys(criteria.ids)]
        return _Deleting(options, ids, how.jobs).run(target)
    found = _found(options, target, criteria, how)
    if how.dry_run:
        show_keys(found, target.service.columns, in_json=options.json)
        output.note(f"{_count(len(found))} would be deleted.")
        return None
    if found and how.asks:
        _ask(found)
    return _Deleting(options, [key.id for key in found], how.jobs).run(target)


def _check(target: Target[Any, Any], criteria: Criteria, how: How) -> None:
    check_tells(target.service, criteria)
    named = criteria.ids or criteria.words
    if how.everything and named:
        raise click.UsageError("--all cannot be combined with ids and names")
    if not (named or criteria.narrows or how.everything):
        raise click.UsageError("Missing argument 'KEY...', or --name, or --all")
    is_open = criteria.narrows or how.everything
    if is_open and not (how.asks or how.yes or how.dry_run):
        raise click.UsageError(
            "there is no terminal to ask on: add --yes to delete the chosen keys, or --dry-run"
        )


def _with_input(target: Target[Any, Any], criteria: Criteria) -> Criteria:
    """Return *criteria* with the ids on standard input."""
    if STANDARD_INPUT not in criteria.words:
        return criteria
    lines = read_lines(sys.stdin) if sys.stdin is not None else []
    ids = (*criteria.ids, *map(target.service.key_id, lines))
    words = tuple(word for word in criteria.words if word != STANDARD_INPUT)
    return replace(criteria, ids=ids, words=words)


def _found(
    options: Options, target: Target[Any, Any], criteria: Criteria, how: How
) -> list[Key[Any]]:
    """Return the keys to delete; report the named keys that do not exist."""
    keys = run(options, target, lambda keys: keys.list().collect())
    found = chosen(keys, criteria, datetime.now(UTC))
    lost = missing(keys, criteria)
    if len(criteria.ids) + len(criteria.words) == 1 and lost:
        report_missing(options, lost[0])
        raise click.exceptions.Exit(NOT_FOUND)
    for word in lost:
        output.note(f"There is no key with the id or the name {word!r} here.")
    several = {} if how.all_of_name else shared(keys, criteria.words)
    for name, ids in several.items():
        raise click.UsageError(
            f"{len(ids)} keys are called {name!r} ({', '.join(map(str, ids))}): give the ids, or"
            " --all-of-name"
        )
    return found


def _ask(found: Sequence[Key[Any]]) -> None:
    from agentkeys.notebook import age

    now = datetime.now(UTC)
    shown = found[:_MOST_SHOWN]
    rows = [[str(key.id), key.name, age(key.created_at, now), _last_use(key, now)] for key in shown]
    has_uses = any(hasattr(key, "used_at") for key in found)
    titles = ["ID", "NAME", "CREATED", "LAST USED"]
    output.note_table([row if has_uses else row[:-1] for row in (titles, *rows)])
    if len(found) > len(shown):
        output.note(f"... and {len(found) - len(shown)} more")
    what = "this key" if len(found) == 1 else f"these {len(found)} keys"
    if not output.ask(f"Delete {what} permanently?"):
        output.note("Nothing was deleted.")
        raise click.exceptions.Exit(1)


def _last_use(key: Any, now: datetime) -> str:
    from agentkeys.notebook import age

    used = getattr(key, "used_at", None)
    return "never" if used is None else age(used, now)


class _Deleting:
    """The deletion of keys by their ids, with its progress."""

    def __init__(self, options: Options, ids: Sequence[Any], jobs: int) -> None:
        self._options = options
        self._ids = ids
        self._jobs = jobs
        self._is_bulk = len(ids) > 1
        self._begun = 0
        self._outcomes: dict[Any, dict[str, object]] = {}
        self._failures: list[AgentKeysError] = []

    def run(self, target: Target[Any, Any]) -> None:
        """Delete the keys, and exit with the code of the worst failure."""
        if not self._ids:
            output.note("There is nothing to delete.")
        try:
            if self._ids:
                run(self._options, target, self._delete)
        except (KeyboardInterrupt, SystemExit):
            self._show()
            self._report_interruption()
            raise
        self._show()
        if self._failures and self._is_bulk:
            failed = f"{len(self._failures)} of {_count(len(self._ids))} were not deleted"
            output.note(f"{failed}: {why(self._failures)}.")
        if code := worst(map(code_of, self._failures)):
            raise click.exceptions.Exit(code)

    async def _delete(self, keys: Any) -> None:
        try:
            with output.progress(len(self._ids), may_show=not self._options.verbose) as step:

                async def work(key_id: Any) -> None:
                    say = await self._delete_one(keys, key_id)
                    step(say)

                await run_each(self._ids, work, jobs=min(self._jobs, len(self._ids)))
            if any("gone" in each for each in self._outcomes.values()):
                await keys.list().first()  # or a place that does not exist would look done
        finally:
            self._forget(keys)

    async def _delete_one(self, keys: Any, key_id: Any) -> Callable[[], None]:
        """Delete a key, and return a function that reports it."""
        self._begun += 1
        try:
            await keys.delete(key_id)
        except NotFoundError as error:
            if not self._is_bulk:
                return self._failed(key_id, error)
            self._outcomes[key_id] = {"id": _shown(key_id), "deleted": False, "gone": True}
            return lambda: output.note(f"The key {key_id} does not exist.")
        except AgentKeysError as error:
            return self._failed(key_id, error)
        self._outcomes[key_id] = {"id": key_id, "deleted": True}
        return lambda: None if self._options.json else _say_deleted(key_id)

    def _failed(self, key_id: Any, error: AgentKeysError) -> Callable[[], None]:
        self._failures.append(error)
        shown, sentence = _shown(key_id), mask(str(error))
        self._outcomes[key_id] = {"id": shown, "deleted": False, "error": sentence}
        said = f"the key {shown} was not deleted: {sentence}"
        return lambda: output.report(said, in_json=self._options.json, error=error, key_id=shown)

    def _show(self) -> None:
        if self._options.json:
            known = [self._outcomes[key_id] for key_id in self._ids if key_id in self._outcomes]
            output.write(output.as_json(known))

    def _report_interruption(self) -> None:
        deleted = sum(bool(each["deleted"]) for each in self._outcomes.values())
        under_way = self._begun - len(self._outcomes)
        rest = len(self._ids) - deleted - under_way
        if self._is_bulk:
            output.report(
                f"interrupted: {deleted} of {_count(len(self._ids))} were deleted, {under_way} may"
                f" have been, {rest} were not: run the command again to continue",
                in_json=self._options.json,
            )

    def _forget(self, keys: Any) -> None:
        """Remove deleted keys from the ledger. If that fails, an audit finds them."""
        from agentkeys.lifecycle.remembering import opened
        from agentkeys.lifecycle.upkeep import forget

        gone = [key_id for key_id, each in self._outcomes.items() if "error" not in each]
        with suppress(AgentKeysError, OSError):
            forget(scope_of(self._options, keys), gone, opened())


def why(failures: Sequence[Exception]) -> str:
    """Return the number of failures of each class, in words."""
    counts = Counter(type(error).__name__ for error in failures)
    return ", ".join(f"{count} {name}" for name, count in counts.most_common())


def _count(number: int) -> str:
    return f"{number} key{'' if number == 1 else 's'}"


def _shown(key_id: Any) -> Any:
    # The value may be a key instead of its id, by mistake.
    shown = mask(str(key_id))
    return key_id if shown == str(key_id) else shown


def _say_deleted(key_id: Any) -> None:
    sentence = f"deleted {key_id}"
    try:
        output.write(sentence)
    except (output.OutputError, OSError):
        # The other keys must be deleted nevertheless.
        output.abandon()
        output.note(sentence)
