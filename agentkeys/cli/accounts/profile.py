"""``agentkeys profile``: the accounts of a person, by name."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import click

from agentkeys.cli.ground import output
from agentkeys.cli.ground.completing import profile_names, schemes
from agentkeys.cli.ground.options import with_json
from agentkeys.cli.keys.known import named
from agentkeys.cli.keys.places import usual_place
from agentkeys.errors import ConfigurationError, ProfileError
from agentkeys.secret import Secret

if TYPE_CHECKING:
    from agentkeys.cli.ground.options import Options
    from agentkeys.profiles.config import Config, Profile

__all__ = ["commands"]

_SERVICES: Final = named()
_COLUMNS: Final = {
    "PROFILE": "profile",
    "SERVICE": "service",
    "DEFAULT": "default",
    "BASE URL": "base_url",
    "EMAIL": "email",
    "SECRET": "secret",
    "KEYS OF": "place",
}


@dataclass(frozen=True)
class _Row:
    profile: str
    service: str
    default: str
    base_url: str
    email: str
    secret: str
    place: str


@click.group("profile")
def commands() -> None:
    """Name accounts: the address of a service, the place of its credentials, and the default keys.

    A profile covers both services. It holds addresses of stores, and no secret. Use it with
    --profile NAME, or AGENTKEYS_PROFILE, or `agentkeys profile use NAME`.
    """


@commands.command()
@click.argument("name", metavar="NAME", shell_complete=profile_names)
@click.argument("service", type=click.Choice([*_SERVICES]))
@click.option("--base-url", metavar="URL", help="Where the service is, if it is not the usual one.")
@click.option("--email", help="The email of an Agentity account.")
@click.option(
    "--from",
    "store",
    metavar="STORE",
    shell_complete=schemes,
    help="The store that holds the secret: the password of --email, else the token (an Agentry key,"
    " or an access token of Agentity). With --email alone, a terminal asks for the password.",
)
@click.option("--inbox", help="Agentry: this inbox's keys are meant if a command names no inbox.")
@click.option("--pod", help="Agentry: likewise, this pod's keys.")
@click.option("--tenant", is_flag=True, default=None, help="Agentry: likewise, the tenant's keys.")
@click.option(
    "--cache",
    type=click.Choice(["file", "keyring", "none"]),
    help="Where the tokens of a login are kept between commands.",
)
@click.option("--replace", is_flag=True, help="Replace what the profile says of this service.")
@click.option("--use", is_flag=True, help="Make the profile the default.")
@with_json
def add(
    options: Options,
    name: str,
    service: str,
    *,
    store: str | None,
    cache: str | None,
    replace: bool,
    use: bool,
    **fields: Any,
) -> None:
    """Add an account to a profile, which is created if it does not exist.

    No request is sent, and no store is read. --json prints the account as `agentkeys profile list
    --json` does.
    """
    from agentkeys.profiles import config, editing

    if fields["email"] is None and store is None:
        raise click.UsageError("give --from, the address of the store that holds the secret")
    if fields["email"] is not None and not _SERVICES[service].logs_in:
        raise click.UsageError(f"{service} has no login: leave --email out")
    fields["token_from" if fields["email"] is None else "password_from"] = store
    profile = _absolute(config.made(name, service, token_cache=cache, **fields))
    after = editing.add(profile, replacing=replace)
    if use:
        after = editing.use(name)
    if options.json:
        output.write(output.as_json(_fields(profile, after)))
        return
    output.note(f"The profile {name!r} has an account of {service} now, in {after.file}.")
    if after.default != name:
        output.note(
            f"Use it: --profile {name}, or AGENTKEYS_PROFILE={name}, or, for every command,"
            f" `agentkeys profile use {name}`."
        )


@commands.command("list")
@with_json
def list_(options: Options) -> None:
    """List the profiles. No store is read.

    --json prints an array of {"profile", "service", "default", "base_url", "email",
    "password_from", "token_from", "inbox", "pod", "tenant", "token_cache"}.
    """
    from agentkeys.profiles import config

    found = config.read()
    profiles = [
        profile
        for _, services in sorted(found.profiles.items())
        for _, profile in sorted(services.items())
    ]
    if options.json:
        output.write(output.as_json([_fields(each, found) for each in profiles]))
    elif profiles:
        output.print_table([_row(each, found) for each in profiles], _COLUMNS)
    else:
        output.note(f"There are no profiles in {found.file}: type agentkeys profile add --help")


@commands.command()
@click.argument("name", metavar="[NAME]", required=False, shell_complete=profile_names)
@click.option("--none", is_flag=True, help="Have no default.")
@with_json
def use(options: Options, name: str | None, *, none: bool) -> None:
    """Make a profile the default of the command line.

    The default is used if there is no --profile, and no variable of the service is set. Programs in
    Python do not use it. --json prints {"default"}.
    """
    from agentkeys.profiles import editing

    if (name is None) != none:
        raise click.UsageError("give the NAME of a profile, or --none")
    after = editing.use(name)
    if options.json:
        output.write(output.as_json({"default": after.default}))
    else:
        default = "no default" if name is None else f"the default {name!r}"
        output.note(f"The command line has {default} now, in {after.file}.")


@commands.command()
@click.argument("name", metavar="NAME", shell_complete=profile_names)
@click.argument("service", metavar="[SERVICE]", required=False, type=click.Choice([*_SERVICES]))
@with_json
def remove(options: Options, name: str, service: str | None) -> None:
    """Remove a profile, or its account of one SERVICE: agentity or agentry.

    No key is deleted, and no store is changed. --json prints {"removed", "default"}.
    """
    from agentkeys.profiles import editing

    after = editing.remove(name, service)
    if options.json:
        removed = {"profile": name, "service": service}
        output.write(output.as_json({"removed": removed, "default": after.default}))
    else:
        what = f"the profile {name!r}" if service is None else f"{service} of the profile {name!r}"
        output.note(f"Removed {what} from {after.file}. Its keys and its secrets are as they were.")


def _fields(profile: Profile, found: Config) -> dict[str, Any]:
    """Return a profile as JSON types."""
    from agentkeys.cli.accounts.explaining import shown_address

    return {
        "profile": profile.name,
        "service": profile.service,
        "default": found.default == profile.name,
        "base_url": profile.base_url,
        "email": profile.email,
        "password_from": shown_address(profile.password_from),
        "token_from": shown_address(profile.token_from),
        "inbox": profile.inbox,
        "pod": profile.pod,
        "tenant": profile.tenant,
        "token_cache": profile.token_cache,
    }


def _row(profile: Profile, found: Config) -> _Row:
    from agentkeys.cli.accounts.explaining import shown_address

    place = usual_place(profile)
    return _Row(
        profile.name,
        profile.service,
        "*" if found.default == profile.name else "",
        profile.base_url or "",
        profile.email or "",
        shown_address(profile.password_from or profile.token_from) or "",
        "" if place is None else str(place),
    )


def _absolute(profile: Profile) -> Profile:
    """Return a profile whose addresses are the same in every folder."""
    from dataclasses import replace

    addresses: dict[str, Any] = {
        name: _absolute_address(getattr(profile, name))
        for name in ("password_from", "token_from")
        if getattr(profile, name) is not None
    }
    return replace(profile, **addresses)


def _absolute_address(address: Secret) -> Secret:
    from agentkeys.sources import opened

    if address.reveal().startswith("memory:"):
        raise ProfileError("--from memory: is empty when the next command begins")
    try:
        return Secret(opened(address, "--from").address)
    except ConfigurationError as error:
        # The dependency of the store may be installed later.
        output.note(f"{error}. The profile is written nevertheless.")
    return address
