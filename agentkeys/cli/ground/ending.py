"""The end of a command: an exit code, and one line on stderr if it failed."""

from __future__ import annotations

import sys
from itertools import takewhile
from typing import TYPE_CHECKING, Any, Final

import click

from agentkeys.cli.ground import output
from agentkeys.cli.ground.codes import FAILED, INTERRUPTED, WRONG_USAGE, code_of
from agentkeys.cli.ground.interruption import exit_code_of, signals_heard
from agentkeys.cli.ground.options import Options
from agentkeys.errors import AgentKeysError

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["CommandLine"]

_EXTRA: Final = frozenset({"click", "platformdirs", "rich"})
# The message of this error is the help of a group without a command. Older clicks lack it.
_HELP: Final[Any] = getattr(click.exceptions, "NoArgsIsHelpError", ())


class CommandLine(click.Group):
    """A click group whose errors are one line on stderr, and never a traceback."""

    def main(self, *args: Any, **kwargs: Any) -> Any:
        """Run the command in the arguments, and exit."""
        given = next(iter(args), None) or kwargs.get("args") or sys.argv[1:]
        # Before the arguments are parsed, because parsing may fail.
        options = Options(json="--json" in takewhile(lambda word: word != "--", given))
        kwargs = {"prog_name": self.name, **kwargs, "standalone_mode": False, "obj": options}
        run = super().main
        with signals_heard() as came:
            code = _exit_code(lambda: run(*args, **kwargs), options)
        sys.exit(exit_code_of(came[0]) if came else code)


def _exit_code(run: Callable[[], object], options: Options) -> int:
    try:
        code = run()
    except click.ClickException as error:
        return _shown(error, options)
    except click.Abort as error:
        interrupted = isinstance(error.__cause__ or error.__context__, KeyboardInterrupt)
        return INTERRUPTED if interrupted else FAILED
    except KeyboardInterrupt:
        return INTERRUPTED
    except SystemExit as ended:
        return ended.code if isinstance(ended.code, int) else FAILED
    except Exception as error:  # noqa: BLE001  # users see no traceback
        if options.traceback:
            _show_traceback(error)
        output.report(_sentence(error), in_json=options.json, error=error)
        return WRONG_USAGE if _missing(error) else code_of(error)
    return code if isinstance(code, int) else 0


def _shown(error: click.ClickException, options: Options) -> int:
    sentence = error.format_message()
    if isinstance(error, _HELP):
        error.show()
        return WRONG_USAGE
    if isinstance(error, click.UsageError):
        sentence = f"{sentence.rstrip('.')}{_advice(error)}"
    output.report(sentence, in_json=options.json, error=error)
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
        case ModuleNotFoundError() if name := _missing(error):
            return f"the command line needs {name}: pip install 'agentkeys-sdk[cli]'"
        case output.OutputError():
            output.abandon()
            return str(error)
        case OSError() if output.is_broken():
            output.abandon()
            return f"standard output cannot be written: {error.strerror}"
    return f"unexpected {type(error).__name__}: {error}: run it with --traceback to see more"


def _missing(error: Exception) -> str | None:
    """Return the missing library of the extra `cli`, if that is the error."""
    name = error.name or "" if isinstance(error, ModuleNotFoundError) else ""
    return name if name.partition(".")[0] in _EXTRA else None


def _show_traceback(error: Exception) -> None:
    import traceback

    for line in "".join(traceback.format_exception(error)).splitlines():
        output.note(line)
