"""How a command ends: an exit code, and one line on stderr if it failed."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, Final

import click

from agentkeys.cli import output
from agentkeys.cli.interruption import exit_code_of, signals_heard
from agentkeys.cli.options import Options
from agentkeys.errors import (
    AgentKeysError,
    InvalidArgumentError,
    JournalError,
    RotationError,
    RotationInProgressError,
    UncertainStoreError,
)

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["FAILED", "FOR_A_PERSON", "UNDER_WAY", "CommandLine"]

FAILED: Final = 1
WRONG_USAGE: Final = 2
UNDER_WAY: Final = 3
FOR_A_PERSON: Final = 4
INTERRUPTED: Final = 130

_EXTRA: Final = frozenset({"click", "platformdirs", "rich"})
# Shows itself: it is the help of a group that was called without a command. Older clicks lack it.
_HELP: Final[Any] = getattr(click.exceptions, "NoArgsIsHelpError", ())


class CommandLine(click.Group):
    """A click group that ends as ours do: in one line on stderr, and never in a traceback."""

    def main(self, *args: Any, **kwargs: Any) -> Any:
        """Run the command that the arguments name, and exit."""
        options = Options()
        kwargs = {"prog_name": self.name, **kwargs, "standalone_mode": False, "obj": options}
        run = super().main
        with signals_heard() as came:
            code = _exit_code(lambda: run(*args, **kwargs), options)
        sys.exit(exit_code_of(came[0]) if came else code)


def _exit_code(run: Callable[[], object], options: Options) -> int:
    try:
        code = run()
    except click.ClickException as error:
        return _shown(error)
    except click.Abort as error:
        interrupted = isinstance(error.__cause__ or error.__context__, KeyboardInterrupt)
        return INTERRUPTED if interrupted else FAILED
    except KeyboardInterrupt:
        return INTERRUPTED
    except SystemExit as ended:
        return ended.code if isinstance(ended.code, int) else FAILED
    except Exception as error:  # noqa: BLE001  # nobody is to see a traceback
        if options.verbose:
            _show_traceback(error)
        _report(_sentence(error))
        return _code_of(error)
    return code if isinstance(code, int) else 0


def _code_of(error: Exception) -> int:
    match error:
        case InvalidArgumentError():
            return WRONG_USAGE
        case RotationInProgressError():
            return UNDER_WAY
        case RotationError() | UncertainStoreError() | JournalError():
            return FOR_A_PERSON
    return FAILED


def _shown(error: click.ClickException) -> int:
    if isinstance(error, _HELP):
        error.show()
    elif isinstance(error, click.UsageError):
        _report(f"{error.format_message().rstrip('.')}{_advice(error)}")
    else:
        _report(error.format_message())
    return error.exit_code


def _advice(error: click.UsageError) -> str:
    if error.ctx is None:
        return ""
    if isinstance(error, click.NoSuchOption) and error.option_name == "--local":
        return f": it goes before the service: {error.ctx.find_root().info_name} --local ..."
    return f": see '{error.ctx.command_path} --help'"


def _sentence(error: Exception) -> str:
    match error:
        case AgentKeysError():
            return str(error)
        case ModuleNotFoundError(name=str(name)) if name.partition(".")[0] in _EXTRA:
            return f"the command line needs {name}: pip install 'agentkeys-sdk[cli]'"
        case output.OutputError():
            output.abandon()
            return str(error)
        case OSError() if output.is_broken():
            output.abandon()
            return f"standard output cannot be written: {error.strerror}"
    return f"unexpected {type(error).__name__}: {error}: run it with -v to see more"


def _show_traceback(error: Exception) -> None:
    import traceback

    for line in "".join(traceback.format_exception(error)).splitlines():
        output.note(line)


def _report(sentence: str) -> None:
    output.note(f"Error: {sentence}")
