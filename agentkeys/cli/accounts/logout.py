"""``agentkeys auth logout``: forget the tokens of a login that commands share."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import click

from agentkeys.cli.ground import output
from agentkeys.cli.ground.options import common
from agentkeys.cli.ground.services import profile_of, settings_of
from agentkeys.cli.keys.agentity import SERVICE

if TYPE_CHECKING:
    from agentkeys.cli.ground.options import Options
    from agentkeys.profiles.config import Profile
    from agentkeys.token_cache.forgetting import Forgotten
    from agentkeys.transport.client import ClientSettings

__all__ = ["logout"]


@click.command()
@click.option("--all", "all_of_them", is_flag=True, help="Forget every login that is kept.")
@common
def logout(options: Options, *, all_of_them: bool) -> None:
    """Forget the shared tokens of the account that a command would use.

    No request is sent: Agentity has no call that ends a login. A copied access token works until it
    expires. --json prints an array of {"base_url", "account", "place"}.
    """
    import asyncio

    found = asyncio.run(_all() if all_of_them else _one(options))
    if options.json:
        output.write(output.as_json([each._asdict() for each in found]))
        return
    for each in found:
        whose = f"{each.account} at {each.base_url}" if each.account else "an unreadable login"
        output.note(f"Forgot {whose}: {each.place}")
    if not found:
        output.note("No login is kept.")


async def _one(options: Options) -> list[Forgotten]:
    from agentkeys.token_cache.forgetting import forget

    profile = profile_of(options, SERVICE)
    email = os.environ.get("AGENTITY_EMAIL") if profile is None else profile.email
    if options.local or not email:
        raise click.UsageError(
            "no account is named whose login may be kept: set AGENTITY_EMAIL, or give --profile"
            " or --all"
        )
    settings = settings_of(options, SERVICE)
    keyring = profile is not None and _is_in_keyring(profile)
    return await forget(_base_url(settings), email, keyring=keyring)


async def _all() -> list[Forgotten]:
    from agentkeys.profiles import config
    from agentkeys.token_cache.forgetting import forget, forget_files

    found = await forget_files()
    usual = SERVICE.kind()._service.base_url  # noqa: SLF001  # one house
    for services in config.read().profiles.values():
        profile = services.get("agentity")
        if profile is not None and profile.email and _is_in_keyring(profile):
            base_url = _base_url({"base_url": profile.base_url or usual, "allow_http": True})
            found += await forget(base_url, profile.email, keyring=True)
    return found


def _is_in_keyring(profile: Profile) -> bool:
    return profile.token_cache == "keyring"  # noqa: S105  # no password


def _base_url(settings: ClientSettings) -> str:
    """Return the base URL as a client has it, which identifies the tokens."""
    from agentkeys import BearerToken

    return SERVICE.client(BearerToken("none"), **settings)._session.base_url  # noqa: SLF001  # one house
