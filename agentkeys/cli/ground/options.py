"""The options that every command has."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import click

from agentkeys.cli.ground.completing import profile_names
from agentkeys.errors import InvalidArgumentError

if TYPE_CHECKING:
    from collections.abc import Callable

    from agentkeys.credentials import Credentials
    from agentkeys.profiles.config import Profile
    from agentkeys.transport.client import ClientSettings

__all__ = [
    "Options",
    "common",
    "duration",
    "keep",
    "no_cache_option",
    "profile_option",
    "with_json",
]


@dataclass
class Options:
    """The values of the common options, wherever they are on the command line."""

    local: bool = False
    json: bool = False
    verbose: bool = False
    traceback: bool = False
    timeout: float = 30.0
    base_url: str | None = None
    allow_http: bool = False
    no_cache: bool = False
    profile: str | None = None
    profiles: dict[str, Profile | None] = field(default_factory=dict)
    signed_in: dict[str, Credentials | None] = field(default_factory=dict)

    def client_settings(self) -> ClientSettings:
        """Return the settings for a client."""
        return {
            "base_url": self.base_url,
            "timeout": self.timeout,
            "allow_http": self.allow_http,
        }

    @property
    def line(self) -> list[str]:
        """The beginning of a command line for the same accounts."""
        if self.local:
            return ["agentkeys", "--local"]
        return ["agentkeys", *(["--profile", self.profile] if self.profile else [])]


def keep(context: click.Context, parameter: click.Parameter, value: object) -> None:
    """Store an option's value in the `Options`."""
    if value is not None:
        setattr(context.find_object(Options), str(parameter.name), value)


def _seconds(value: str) -> float:
    try:
        seconds = float(value)
    except ValueError:
        seconds = math.nan
    if not seconds > 0:
        raise click.BadParameter(f"{value!r} is not a number of seconds above 0, or inf")
    return seconds


def duration(value: str) -> float:
    """Parse an option's duration, like 24h."""
    from agentkeys import durations

    try:
        return durations.parsed(value)
    except InvalidArgumentError as error:
        raise click.BadParameter(str(error)) from None


def _kept(*names: str, **attributes: Any) -> Callable[[Any], Any]:
    return click.option(*names, expose_value=False, callback=keep, **attributes)


_JSON: Final = (
    _kept("--json", is_flag=True, help="Print JSON; an error is a JSON object on stderr."),
    _kept("-v", "--verbose", is_flag=True, help="Log each request on stderr."),
    _kept("--traceback", is_flag=True, help="Show the traceback of an error."),
)
profile_option: Final = _kept(
    "--profile",
    metavar="NAME",
    shell_complete=profile_names,
    help="Use the accounts of this profile.",
)
no_cache_option: Final = _kept(
    "--no-cache",
    is_flag=True,
    default=None,
    envvar="AGENTKEYS_NO_CACHE",
    show_envvar=True,
    help="Do not share one login among commands. It may stand behind a command, too.",
)
_CONNECTION: Final = (
    profile_option,
    _kept(
        "--timeout",
        type=_seconds,
        metavar="SECONDS",
        help="The time limit of a whole call, or inf.  [default: 30]",
    ),
    _kept("--base-url", metavar="URL", help="The address of the service."),
    _kept("--allow-http", is_flag=True, help="Allow an http URL of another host."),
    # Rarely needed, so only the help of `agentkeys` shows it.
    _kept("--no-cache", is_flag=True, default=None, hidden=True, help="Log in."),
)


def with_json(command: Callable[..., None]) -> Callable[..., None]:
    """Add --json, --verbose and --traceback to *command*, and pass it the `Options` first."""
    return _decorated(click.pass_obj(command), _JSON)


def common(command: Callable[..., None]) -> Callable[..., None]:
    """Add the options of a command that calls a service, and pass it the `Options` first."""
    return _decorated(click.pass_obj(command), (*_JSON, *_CONNECTION))


def _decorated(
    command: Callable[..., None], options: tuple[Callable[[Any], Any], ...]
) -> Callable[..., None]:
    for option in reversed(options):
        command = option(command)
    return command
