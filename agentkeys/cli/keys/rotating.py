"""The options of `rotate`, and those that other commands share with it."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

import click

from agentkeys.cli.ground.completing import schemes
from agentkeys.cli.ground.options import duration
from agentkeys.cli.keys.saving import opened
from agentkeys.errors import ConfigurationError, InvalidArgumentError

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["save_option", "then_option", "with_rotating"]


def _program(value: str) -> tuple[str, ...]:
    """Parse an option's program and its arguments, quoted as in a shell."""
    try:
        from agentkeys import programs

        return programs.checked(programs.parsed(value))
    except (ConfigurationError, InvalidArgumentError) as error:
        raise click.BadParameter(str(error)) from None


def _duration(name: str, default: str | None, text: str) -> Callable[..., Any]:
    return click.option(
        name,
        metavar="TIME",
        type=duration,
        default=default,
        help=text if default is None else f"{text}  [default: {default}]",
    )


save_option = click.option(
    "--save",
    metavar="STORE",
    required=True,
    shell_complete=schemes,
    help="The store that holds its secret.",
)
then_option = click.option(
    "--then",
    metavar="COMMAND",
    type=_program,
    help="Run this to tell the key's users; it gets no secret.",
)


def with_rotating(key_id: Callable[[str], Any]) -> Callable[..., Any]:
    """Add the options of `rotate`, and pass them to the command as *how*.

    Args:
        key_id: parses the id of a key.
    """
    options = (
        save_option,
        _duration("--grace", "24h", "How long the old key stays valid."),
        _duration("--max-grace", None, "The limit if it is in use.  [default: 7 graces]"),
        click.option(
            "--replaces",
            metavar="ID",
            type=key_id,
            help="The old key, if not in the journal.",
        ),
        click.option(
            "--verify",
            metavar="PROGRAM",
            type=_program,
            help="Verify the new secret: it is on the program's stdin.",
        ),
        _duration("--verify-within", "30s", "How long to retry --verify."),
        then_option,
    )
    names = ("grace", "max_grace", "replaces", "verify", "verify_within", "then")

    def decorated(command: Callable[..., None]) -> Callable[..., None]:
        @functools.wraps(command)
        def rotating(*args: Any, save: str, **kwargs: Any) -> None:
            how = {name: kwargs.pop(name) for name in names}
            command(*args, how={"into": opened(save), **how}, **kwargs)

        for option in reversed(options):
            rotating = option(rotating)
        return rotating

    return decorated
