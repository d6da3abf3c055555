"""``agentkeys whoami``: the owner of the credentials, as far as the services show it."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import click

from agentkeys.cli.ground import output
from agentkeys.cli.ground.codes import CredentialsError, code_of, worst
from agentkeys.cli.ground.options import common
from agentkeys.cli.ground.services import Service, Target, profile_of, run
from agentkeys.cli.keys.known import named
from agentkeys.cli.keys.places import TENANT, Place, usual_place
from agentkeys.errors import AgentKeysError
from agentkeys.masking import mask

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from agentkeys.cli.accounts.explaining import Explained
    from agentkeys.cli.ground.options import Options
    from agentkeys.secret import Secret

__all__ = ["commands"]

_UNKNOWN: Final = {
    "agentity": (
        "the name and the id of the account: no documented call shows them",
        "whether the subject is right: the token says it, and its signature is not checked",
    ),
    "agentry": (
        "the name and the id of the tenant: no documented call shows them",
        "which key this is, for certain: a listing shows the first characters of each key",
    ),
}


@dataclass(frozen=True)
class _Whose:
    """What a listing shows of the credentials for a service.

    Attributes:
        service: the service.
        base_url: its address.
        source: the source of the credentials.
        profile: the profile in use.
        email: the email of the login.
        subject: the subject of the token.
        place: the place whose keys were listed.
        keys: the number of keys on the first page.
        more: whether there are more pages.
        candidates: the listed keys whose secret the token may be.
        unknown: what the service does not show.
    """

    service: str
    base_url: str
    source: str
    profile: str | None
    email: str | None
    subject: str | None
    place: str
    keys: int
    more: bool
    candidates: tuple[dict[str, Any], ...]
    unknown: tuple[str, ...]


@click.command("whoami", short_help="Show whose the credentials are.")
@click.argument("services", metavar="[SERVICE]...", type=click.Choice([*named()]), nargs=-1)
@click.option("--inbox", help="Agentry: list this inbox's keys, not the tenant's.")
@click.option("--pod", help="Agentry: list this pod's keys, not the tenant's.")
@common
def commands(
    options: Options, services: tuple[str, ...], *, inbox: str | None, pod: str | None
) -> None:
    """Show the owner of the credentials, for each SERVICE (agentity, agentry) that has credentials.

    It lists keys once, which needs valid credentials, and prints what that shows. No service has a
    call that names the owner of a token, so it also prints what is not known. --json prints an
    array of {"service", "base_url", "source", "profile", "email", "subject", "place", "keys",
    "more", "candidates", "unknown"}.
    """
    from agentkeys.cli.accounts.explaining import explained

    if inbox is not None and pod is not None:
        raise click.UsageError("--inbox and --pod cannot be combined")
    place = Place(inbox, pod) if inbox or pod else None
    found, failures = [], []
    for service in named(services or None).values():
        sources = explained(options, service)
        if not services and sources.is_silent:
            output.note(f"{service.name}: no credentials.")
            continue
        try:
            found.append(_whose(options, service, place, sources))
        except AgentKeysError as error:
            failures.append(error)
            output.report(f"{service.name}: {error}", in_json=options.json, error=error)
    if not (found or failures):
        raise CredentialsError("no service has credentials: see `agentkeys auth explain`")
    _show(options, found)
    if code := worst(map(code_of, failures)):
        raise click.exceptions.Exit(code)


def _whose(
    options: Options, service: Service[Any], place: Place | None, sources: Explained
) -> _Whose:
    place = place or usual_place(profile_of(options, service)) or TENANT
    target: Target[Any, Any] = Target(service, partial(_keys_at, service, place))
    return run(options, target, partial(_listed, sources))


def _keys_at(service: Service[Any], place: Place, client: Any) -> Any:
    return client.api_keys if service.logs_in else place.keys(client)


async def _listed(sources: Explained, keys: Any) -> _Whose:
    page = await keys.list().first()
    scope = keys.scope
    credentials = keys._credentials  # noqa: SLF001  # one house
    token = credentials.current()
    email = getattr(credentials, "account", None)
    email = email if email and "@" in email else None
    subjects = [name for name in (scope.account, *scope.also) if name not in {"", email}]
    return _Whose(
        service=scope.service,
        base_url=scope.realm,
        source=sources.source or "",
        profile=sources.profile,
        email=email,
        # A token without a subject is identified by its digest.
        subject=next((name for name in subjects if not name.startswith("sha256:")), None),
        place=" ".join(filter(None, (scope.kind, scope.id))),
        keys=len(page.items),
        more=page.next_page_token is not None,
        candidates=tuple(_candidates(keys, page.items, token)),
        unknown=_UNKNOWN[scope.service.lower()],
    )


def _candidates(keys: Any, listed: Iterable[Any], token: Secret | None) -> Iterator[dict[str, Any]]:
    """Yield the listed keys whose secret the token may be; none if a listing shows no prefix."""
    for key in listed:
        shows = bool(getattr(key, "prefix", None))
        if shows and token is not None and keys._may_be(key, token):  # noqa: SLF001  # one house
            yield key.to_dict()


def _show(options: Options, found: Sequence[_Whose]) -> None:
    if options.json:
        output.write(output.as_json([asdict(each) for each in found]))
        return
    for each in found:
        output.write(*map(mask, _lines(each)))


def _lines(found: _Whose) -> Iterator[str]:
    profile = f", the profile {found.profile}" if found.profile else ""
    yield f"{found.service} at {found.base_url}"
    yield f"  credentials  {found.source}{profile}"
    if found.email:
        yield f"  email        {found.email}"
    if found.subject:
        yield f"  subject      {found.subject}"
    yield f"  lists        {_count(found)} of the {found.place}"
    for key in found.candidates:
        limits = [f"{name} {key[f'{name}_id']}" for name in ("inbox", "pod") if key[f"{name}_id"]]
        limit = f", limited to {' and '.join(limits)}" if limits else ""
        yield f"  may be       the key {key['name']!r}, {key['api_key_id']}{limit}"
    for each in found.unknown:
        yield f"  not known    {each}"


def _count(found: _Whose) -> str:
    plural = "key" if found.keys == 1 and not found.more else "keys"
    return f"{'more than ' if found.more else ''}{found.keys} {plural}"
