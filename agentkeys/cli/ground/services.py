"""The description of a service by its file of commands, and how a command runs on it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar, Unpack

import click

from agentkeys.cli.ground.codes import CredentialsError
from agentkeys.cli.ground.interruption import run_interruptibly
from agentkeys.errors import InvalidArgumentError
from agentkeys.masking import declare_key_form

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence

    from agentkeys.cli.ground.options import Options
    from agentkeys.credentials import Credentials
    from agentkeys.keys import KeyCollection, Scope
    from agentkeys.profiles.config import Profile
    from agentkeys.rates import RateLimiter
    from agentkeys.server import LocalService
    from agentkeys.transport.client import Client, ClientSettings

__all__ = ["Service", "Target", "profile_of", "run", "run_with_clients", "settings_of"]

ClientT = TypeVar("ClientT", bound="Client")
KeysT = TypeVar("KeysT")
T = TypeVar("T")


class Service(ABC, Generic[ClientT]):
    """A service, as its file of commands describes it.

    Attributes:
        name: the service's name.
        variables: the environment variables with its credentials: one of these groups is enough.
            The last variable of each group holds a secret, which a store may hold instead.
        columns: the columns of a listing: the attribute of a key for each title, its id first.
        secret_field: the field of a new key that holds its secret.
        key_form: the form of its keys, for `declare_key_form`, so that a key in a wrong place is
            not logged.
        logs_in: whether an account has an email and a password.
    """

    name: ClassVar[str]
    variables: ClassVar[tuple[tuple[str, ...], ...]]
    columns: ClassVar[Mapping[str, str]]
    secret_field: ClassVar[str]
    key_form: ClassVar[str]
    logs_in: ClassVar[bool] = False

    def __init_subclass__(cls) -> None:
        declare_key_form(cls.key_form)

    @abstractmethod
    def kind(self) -> type[ClientT]:
        """Return the class of its clients; importing it takes a while."""

    def client(
        self, credentials: Credentials | None, **settings: Unpack[ClientSettings]
    ) -> ClientT:
        """Return a client; None stands for the environment's credentials."""
        return self.kind()(credentials, **settings)

    @abstractmethod
    async def local_credentials(self, local: LocalService) -> Credentials:
        """Return the credentials for the service on this machine."""

    @abstractmethod
    def keys_at(self, client: ClientT, scope: Scope) -> KeyCollection[Any, Any, Any] | None:
        """Return the collection of keys of that scope, or None if the command has no such scope."""

    @abstractmethod
    def key_id(self, word: str) -> Any:
        """Return a word of the command line as an id.

        Raises:
            UsageError: it is not an id.
        """

    def is_id(self, word: str) -> bool:  # noqa: ARG002  # by default, any word may be a name
        """Whether a word is an id, and not a name."""
        return False

    def asks_for_password_of(self, profile: Profile | None) -> str | None:  # noqa: ARG002  # by default, there is no login
        """Return the email whose password a command asks for on a terminal, or None."""
        return None

    def all_variables(self) -> tuple[str, ...]:
        """Return all environment variables of the service, without the suffixes."""
        named = (name for group in self.variables for name in group)
        return (*dict.fromkeys(named), f"{self.name.upper()}_BASE_URL")

    def credentials(self, profile: Profile | None) -> Credentials | None:
        """Return the credentials, or None for the environment's; this may ask for them.

        Args:
            profile: the profile that names them; None for the environment.

        Raises:
            CredentialsError: there are no credentials.
            ProfileError: the profile names no usable credentials.

        """
        from agentkeys.sources import is_given

        if profile is not None:
            return self.kind()._from_profile(profile)  # noqa: SLF001  # one house

        if any(all(map(is_given, group)) for group in self.variables):
            return None
        sources = " or ".join(f"{group[-1]}_FROM" for group in self.variables)
        raise CredentialsError(
            f"no credentials for {self.name}: set"
            f" {', or '.join(' and '.join(group) for group in self.variables)};"
            f" or set {sources} to the address of a store that holds the secret;"
            f" or give the account a name: agentkeys profile add NAME {self.name.lower()} ...;"
            f" or try it on this machine, without an account: agentkeys --local ..."
        )

    def shared(
        self,
        credentials: Credentials | None,
        *,
        keyring: bool,  # noqa: ARG002  # by default, there is no login
    ) -> Credentials | None:
        """Return the same credentials, but that their login is shared with other commands.

        Args:
            credentials: as `credentials` returns them.
            keyring: whether the keyring keeps the tokens.

        """
        return credentials


@dataclass(frozen=True)
class Target(Generic[ClientT, KeysT]):
    """The keys that a command works on.

    Attributes:
        service: the service.
        keys: returns the keys from a client of the service.
        where: the words that name them on the command line, e.g. an inbox.
    """

    service: Service[ClientT]
    keys: Callable[[ClientT], KeysT]
    where: tuple[str, ...] = ()


def profile_of(options: Options, service: Service[Any]) -> Profile | None:
    """Return the profile that a command uses for a service, or None.

    Raises:
        ProfileError: the profile is not there, or the file cannot be used.
        ConfigurationError: a variable names a profile, and another one says something, too.

    """
    if options.local:
        if options.profile is not None:
            raise click.UsageError("--local and --profile cannot be combined")
        return None
    if service.name not in options.profiles:
        from agentkeys.profiles.choosing import chosen

        options.profiles[service.name] = chosen(
            service.name, options.profile, service.all_variables(), or_default=True
        )
    return options.profiles[service.name]


def run(
    options: Options, target: Target[ClientT, KeysT], work: Callable[[KeysT], Awaitable[T]]
) -> T:
    """Run *work* on the target's keys, with a client that is open during the work."""
    if options.local and options.base_url is not None:
        raise click.UsageError("--local and --base-url cannot be combined")

    async def on_keys(clients: Sequence[Any]) -> T:
        [client] = clients
        return await work(target.keys(client))

    return run_with_clients(options, [(options, target.service)], on_keys)


def run_with_clients(
    options: Options,
    wanted: Sequence[tuple[Options, Service[Any]]],
    work: Callable[[Sequence[Any]], Awaitable[T]],
    rate_of: Callable[[Service[Any]], RateLimiter | None] = lambda _: None,
) -> T:
    """Run *work* with a client for each service and its options, which are open during the work.

    Args:
        options: those of the command, for its log.
        wanted: the options and the service of each client.
        work: what is run; it gets the clients in the order of *wanted*.
        rate_of: returns the limit of the clients of a service.

    """
    from agentkeys.cli.ground.logs import logged

    # Not in the event loop, where Ctrl-C would not end a prompt.
    credentials = [_credentials(own, service) for own, service in wanted]

    async def opened() -> T:
        async with AsyncExitStack() as exits:
            clients = [
                await _entered(exits, own, service, found, rate_of(service))
                for (own, service), found in zip(wanted, credentials, strict=True)
            ]
            return await work(clients)

    with logged(verbose=options.verbose, traceback=options.traceback):
        return run_interruptibly(opened())


def _credentials(options: Options, service: Service[Any]) -> Credentials | None:
    profile = profile_of(options, service)
    with _credentials_errors_of(service):
        return None if options.local else _asked_once(options, service, profile)


async def _entered(
    exits: AsyncExitStack,
    options: Options,
    service: Service[Any],
    credentials: Credentials | None,
    rate: RateLimiter | None,
) -> Client:
    """Return a client, which is open until *exits* ends."""
    settings = settings_of(options, service)
    if rate is not None:
        settings["rate"] = rate
    if options.local:
        from agentkeys.cli.ground.local import local_service

        local = await exits.enter_async_context(local_service())
        credentials = await service.local_credentials(local)
        settings["base_url"] = local.url
    with _credentials_errors_of(service):
        client: Client = service.client(credentials, **settings)
    return await exits.enter_async_context(client)


def settings_of(options: Options, service: Service[Any]) -> ClientSettings:
    """Return the settings of a service's client; a profile, if any, sets the base URL."""
    settings = options.client_settings()
    profile = profile_of(options, service)
    if profile is not None and options.base_url is None:
        # Not the environment's: a profile's secret must go to the profile's address only.
        own = service.kind()._service.base_url  # noqa: SLF001  # one house
        settings["base_url"] = profile.base_url or own
    return settings


def _asked_once(
    options: Options, service: Service[Any], profile: Profile | None
) -> Credentials | None:
    """Return the credentials of a service; ask for a password once only."""
    if service.name not in options.signed_in:
        found = service.credentials(profile)
        cache = "none" if options.no_cache else (profile and profile.token_cache) or "file"
        if cache != "none":
            found = service.shared(found, keyring=cache == "keyring")
        options.signed_in[service.name] = found
    return options.signed_in[service.name]


@contextmanager
def _credentials_errors_of(service: Service[ClientT]) -> Iterator[None]:
    """Report invalid credentials with exit code 6, not 2, which an argument would have."""
    try:
        yield
    except InvalidArgumentError as error:
        sentence = str(error)
    else:
        return
    raise CredentialsError(f"the credentials of {service.name} cannot be used: {sentence}")
