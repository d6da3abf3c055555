"""The place of keys of Agentry: an inbox, a pod or the tenant."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeAlias

import click

if TYPE_CHECKING:
    from collections.abc import Callable

    from agentkeys.agentry import AgentApiKeys, AgentryClient, ApiKeys
    from agentkeys.profiles.config import Profile

    Keys: TypeAlias = ApiKeys | AgentApiKeys

__all__ = ["TENANT", "Place", "scoped", "taken", "usual_place"]


@dataclass(frozen=True)
class Place:
    """The place of keys: the tenant if there is neither an inbox nor a pod."""

    inbox: str | None = None
    pod: str | None = None
    agent: bool = False

    def keys(self, client: AgentryClient) -> Keys:
        """Return the keys of the place."""
        if self.pod is not None:
            return client.agent.pod(self.pod).api_keys
        if self.agent:
            agent = client.agent
            return agent.api_keys if self.inbox is None else agent.inbox(self.inbox).api_keys
        return client.api_keys if self.inbox is None else client.inbox(self.inbox).api_keys

    def words(self) -> tuple[str, ...]:
        """Return the words that name the place on the command line, with any profile."""
        agent = ("--agent",) if self.agent else ()
        if self.pod is not None:
            return (*agent, "--pod", self.pod)
        return (*agent, *(("--tenant",) if self.inbox is None else ("--inbox", self.inbox)))

    def __str__(self) -> str:
        if self.pod is not None:
            return f"the pod {self.pod}"
        return "the tenant" if self.inbox is None else f"the inbox {self.inbox}"


TENANT: Final = Place()

_OPTIONS: Final = (
    click.option("--tenant", is_flag=True, help="The tenant's keys, instead of an inbox's."),
    click.option(
        "--pod", metavar="POD", help="A pod's keys, instead of an inbox's; implies --agent."
    ),
    click.option(
        "--inbox",
        metavar="INBOX",
        help="This inbox's keys; no argument names an inbox then. With `list --tenant`: only those"
        " of the tenant's keys that are limited to the inbox.",
    ),
    click.option("--agent", is_flag=True, help="Use the agent surface."),
)


def scoped(*arguments: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Add *arguments* after INBOX, or alone if an option or a profile names the place."""

    def decorated(command: Callable[..., None]) -> Callable[..., None]:
        metavar = " ".join(("[INBOX]", *arguments))
        for option in reversed(_OPTIONS):
            command = option(command)
        return click.argument("words", metavar=metavar, nargs=-1)(command)

    return decorated


def taken(
    words: tuple[str, ...],
    profile: Callable[[], Profile | None],
    *,
    tenant: bool,
    pod: str | None,
    inbox: str | None,
    agent: bool,
) -> tuple[Place, tuple[str, ...]]:
    """Return the place, and the words that do not name it.

    Args:
        words: the words of the command line.
        profile: returns the profile, which is needed if no option names a place.
        tenant: the option --tenant.
        pod: the option --pod.
        inbox: the option --inbox.
        agent: the option --agent.
    """
    if tenant + (pod is not None) + (inbox is not None) > 1:
        raise click.UsageError("--tenant, --pod and --inbox cannot be combined")
    if tenant or pod is not None or inbox is not None:
        return Place(inbox, pod, agent), words
    found = profile()
    usual = usual_place(found)
    if found is None or usual is None:
        if not words:
            raise click.UsageError("Missing argument 'INBOX', or --inbox, --pod or --tenant")
        return Place(words[0], None, agent), words[1:]
    if words and "@" in words[0]:
        raise click.UsageError(
            f"{words[0]!r} looks like an inbox, but the profile {found.name!r} means {usual}: give"
            " --inbox to name another one"
        )
    return Place(usual.inbox, usual.pod, agent), words


def usual_place(profile: Profile | None) -> Place | None:
    """Return the default place of a profile, or None."""
    if profile is None or not (profile.tenant or profile.pod or profile.inbox):
        return None
    return Place(profile.inbox, profile.pod)
