"""What a file of commands says about its service, and how a command is run on it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar, Unpack

import click

from agentkeys.cli.codes import CredentialsError
from agentkeys.cli.interruption import run_interruptibly
from agentkeys.errors import InvalidArgumentError
from agentkeys.masking import declare_key_form

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator, Mapping

    from agentkeys.cli.options import Options
    from agentkeys.credentials import Credentials
    from agentkeys.keys import KeyCollection, Scope
    from agentkeys.server import LocalService
    from agentkeys.transport.client import Client, ClientSettings

__all__ = ["Service", "Target", "run"]

ClientT = TypeVar("ClientT", bound="Client")
KeysT = TypeVar("KeysT")
T = TypeVar("T")


class Service(ABC, Generic[ClientT]):
    """A service, as its file of commands describes it.

    Attributes:
        name: as it calls itself.
        variables: the environment variables with its credentials: any one of these groups will do.
            The last one of each holds a secret, which a store may hold instead.
        columns: what a listing shows: the attribute of a key below each title, its id first.
        secret_field: the field of a new key that holds its secret.
        key_form: what its keys look like, for `declare_key_form`: whoever pastes one where
            something else belongs does not find it in a log.
    """

    name: ClassVar[str]
    variables: ClassVar[tuple[tuple[str, ...], ...]]
    columns: ClassVar[Mapping[str, str]]
    secret_field: ClassVar[str]
    key_form: ClassVar[str]

    def __init_subclass__(cls) -> None:
        declare_key_form(cls.key_form)

    @abstractmethod
    def client(
        self, credentials: Credentials | None, **settings: Unpack[ClientSettings]
    ) -> ClientT:
        """Return a client; None stands for the credentials that the environment holds."""

    @abstractmethod
    async def local_credentials(self, local: LocalService) -> Credentials:
        """Return the credentials for the service on this machine."""

    @abstractmethod
    def keys_at(self, client: ClientT, scope: Scope) -> KeyCollection[Any, Any, Any] | None:
        """Return the collection of keys of that scope, or None if the command has none such."""

    @abstractmethod
    def key_id(self, word: str) -> Any:
        """Return the id that a word of the command line is.

        Raises:
            UsageError: it is no id.

        """

    def is_id(self, word: str) -> bool:  # noqa: ARG002  # here any word may be a name
        """Whether a word is an id, and no name."""
        return False

    def credentials(self) -> Credentials | None:
        """Return the credentials, None for those that the environment holds; it may ask for them.

        Raises:
            CredentialsError: there are none.

        """
        from agentkeys.sources import is_given

        if any(all(map(is_given, group)) for group in self.variables):
            return None
        sources = " or ".join(f"{group[-1]}_FROM" for group in self.variables)
        raise CredentialsError(
            f"no credentials for {self.name}: set"
            f" {', or '.join(' and '.join(group) for group in self.variables)};"
            f" or set {sources} to the address of a store that holds the secret;"
            f" or try it on this machine, without an account: agentkeys --local ..."
        )


@dataclass(frozen=True)
class Target(Generic[ClientT, KeysT]):
    """What a command works on: some of the keys of a service.

    Attributes:
        service: the service.
        keys: finds the keys in a client of it.
        where: the words that name them on the command line, e.g. an inbox.
    """

    service: Service[ClientT]
    keys: Callable[[ClientT], KeysT]
    where: tuple[str, ...] = ()


def run(
    options: Options, target: Target[ClientT, KeysT], work: Callable[[KeysT], Awaitable[T]]
) -> T:
    """Run *work* on the target's keys, with a client that is open for so long."""
    from agentkeys.cli.logs import logged

    if options.local and options.base_url is not None:
        raise click.UsageError("--local and --base-url exclude each other")
    # Not in the event loop, where Ctrl-C would not end a prompt.
    with _credentials_of(target.service):
        credentials = None if options.local else _asked_once(options, target.service)
    with logged(verbose=options.verbose, traceback=options.traceback):
        return run_interruptibly(_run(options, target, credentials, work))


def _asked_once(options: Options, service: Service[Any]) -> Credentials | None:
    """Return the credentials of a service; a password that was asked for is not asked for again."""
    if service.name not in options.signed_in:
        options.signed_in[service.name] = service.credentials()
    return options.signed_in[service.name]


async def _run(
    options: Options,
    target: Target[ClientT, KeysT],
    credentials: Credentials | None,
    work: Callable[[KeysT], Awaitable[T]],
) -> T:
    settings = options.client_settings()
    async with AsyncExitStack() as exits:
        if options.local:
            from agentkeys.cli.local import local_service

            local = await exits.enter_async_context(local_service())
            credentials = await target.service.local_credentials(local)
            settings["base_url"] = local.url
        with _credentials_of(target.service):
            client = target.service.client(credentials, **settings)
        await exits.enter_async_context(client)
        return await work(target.keys(client))


@contextmanager
def _credentials_of(service: Service[ClientT]) -> Iterator[None]:
    """Report invalid credentials with exit code 6, not 2, which an argument would have."""
    try:
        yield
    except InvalidArgumentError as error:
        sentence = str(error)
    else:
        return
    raise CredentialsError(f"the credentials of {service.name} cannot be used: {sentence}")
