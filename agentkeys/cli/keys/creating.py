"""Create several keys, and print each secret as soon as it arrives."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from agentkeys.cli.ground import output
from agentkeys.cli.ground.codes import code_of, worst
from agentkeys.cli.ground.services import run
from agentkeys.cli.keys import verbs
from agentkeys.cli.keys.deleting import why
from agentkeys.concurrency import run_each
from agentkeys.errors import AgentKeysError, ConfigurationError
from agentkeys.masking import mask

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from agentkeys.cli.ground.options import Options
    from agentkeys.cli.ground.services import Target
    from agentkeys.cli.keys.saving import Saving

__all__ = ["create"]

_MOST_NAMED = 20
_SHOWN = "a secret, which is shown only once, and its name: store them now."
_STORED = "an id and a name; the secret is stored."


def create(
    options: Options,
    target: Target[Any, Any],
    names: Sequence[str],
    saving: Saving | None,
    jobs: int,
    **more: Any,
) -> None:
    """Create a key for each of *names*.

    Args:
        options: the options of every command.
        target: the place of the keys.
        names: their names.
        saving: how to store the secrets; None to print them.
        jobs: the number of parallel requests.
        **more: further arguments of `create` of these keys.

    """
    if len(names) == 1:
        return verbs.create(options, target, names[0], saving, **more)
    if not names:
        raise click.UsageError("Missing argument 'NAME...', or --names-from")
    if saving is not None:
        saving.check_each(names)
    elif output.is_closed():
        raise ConfigurationError("standard output is closed, and a secret is printed only once")
    return _Creating(options, target, names, saving, jobs=jobs, more=more).run()


class _Creating:
    """The creation of several keys, with its progress."""

    def __init__(
        self,
        options: Options,
        target: Target[Any, Any],
        names: Sequence[str],
        saving: Saving | None,
        *,
        jobs: int,
        more: dict[str, Any],
    ) -> None:
        self._options = options
        self._target = target
        self._names = names
        self._saving = saving
        self._jobs = jobs
        self._more = more
        self._made: set[str] = set()
        self._failures: list[Exception] = []

    def run(self) -> None:
        """Create the keys, and exit with the code of the worst failure."""
        whole = f"{len(self._names)} keys"
        try:
            run(self._options, self._target, self._create)
        except (KeyboardInterrupt, SystemExit):
            left = [name for name in self._names if name not in self._made]
            named = ", ".join(map(repr, left[:_MOST_NAMED]))
            named += f" and {len(left) - _MOST_NAMED} more" if len(left) > _MOST_NAMED else ""
            sentence = (
                f"interrupted: {len(self._made)} of {whole} were created; not created: {named}"
            )
            output.report(sentence, in_json=self._options.json)
            raise
        if self._made and not self._options.json:
            output.note(
                f"Created {len(self._made)} of {whole} of {self._target.service.name}. Each line"
                f" has {_SHOWN if self._saving is None else _STORED}"
            )
        lost = len(self._names) - len(self._made)
        if lost:
            output.note(f"{lost} of {whole} were not created: {why(self._failures)}.")
        if code := worst(map(code_of, self._failures)):
            raise click.exceptions.Exit(code)

    async def _create(self, keys: Any) -> None:
        # If the secrets are shown, they are the progress.
        may_show = not (self._options.verbose or output.draws(""))
        # No more keys are created when the secrets cannot be printed.
        names = (name for name in self._names if not output.is_abandoned())
        with output.progress(len(self._names), may_show=may_show) as step:

            async def work(name: str) -> None:
                say = await self._create_one(keys, name)
                step(say)

            await run_each(names, work, jobs=min(self._jobs, len(self._names)))

    async def _create_one(self, keys: Any, name: str) -> Callable[[], None]:
        """Create a key and print its secret, and return a function that reports its failure."""
        try:
            await self._make(keys, name)
        except click.ClickException as error:
            return self._failed(name, error, error.format_message())
        except AgentKeysError as error:
            return self._failed(name, error, str(error))
        self._made.add(name)
        return lambda: None

    async def _make(self, keys: Any, name: str) -> None:
        service, saving = self._target.service, self._saving
        if saving is None:

            def make() -> Any:
                return keys.create(name, **self._more)

            return await verbs.make(self._options, service, keys, make, name)
        return await verbs.issue(
            self._options,
            service,
            name,
            keys,
            saving=saving.of(name),
            more=self._more,
            is_one_of_several=True,
        )

    def _failed(self, name: str, error: Exception, text: str) -> Callable[[], None]:
        self._failures.append(error)
        sentence = f"the key {name!r}: {mask(text)}"
        return lambda: output.report(sentence, in_json=self._options.json, error=error)
