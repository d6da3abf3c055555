"""Read the stores in the journal. The audit reads stores only here."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from agentkeys import filesystem
from agentkeys.auditing.facts import Empty, Held, InGit, Looked, Unread
from agentkeys.errors import AgentKeysError
from agentkeys.lifecycle.driving import disk
from agentkeys.lifecycle.driving.hands import digest_of
from agentkeys.stores import MemoryStore, open_store
from agentkeys.stores.contract.protocol import look_into

if TYPE_CHECKING:
    from collections.abc import Iterable

    from agentkeys.cancellation import Waiting
    from agentkeys.secret import Secret
    from agentkeys.stores import Store

__all__ = ["looked_into", "opened", "secret_in"]

_ALLOW_TRACKED: Final = "?allow_tracked"


async def looked_into(
    addresses: Iterable[str], waiting: Waiting
) -> tuple[dict[str, Looked], list[Secret]]:
    """Read each store; return their contents, and their secrets for masking."""
    looked: dict[str, Looked] = {}
    secrets: list[Secret] = []
    for address in addresses:
        looked[address], secret = await _look(address, waiting)
        secrets += [] if secret is None else [secret]
    return looked, secrets


async def _look(address: str, waiting: Waiting) -> tuple[Looked, Secret | None]:
    store, where = opened(address)
    if isinstance(store, Unread):
        return Looked(store, where), None
    secret = await secret_in(store, waiting)
    if isinstance(secret, Unread):
        return Looked(secret, where), None
    if secret is None:
        return Looked(_nothing(store), where), None
    in_git = None
    if address.startswith(("dotenv:", "file:")):
        in_git = await disk.in_thread(lambda: _in_git(store))
    may_be_tracked = address.endswith(_ALLOW_TRACKED)
    return Looked(Held(digest_of(secret)), where, in_git, may_be_tracked), secret


def opened(address: str) -> tuple[Store | Unread, str]:
    """Return the store of an address, or why it cannot be opened; and where it is, in words."""
    try:
        store = open_store(address)
        return store, store.describe()
    except AgentKeysError as error:
        return Unread(str(error)), address
    except Exception as error:  # noqa: BLE001  # the store may be third-party code
        return Unread(f"{type(error).__name__} was raised"), address


async def secret_in(store: Store, waiting: Waiting) -> Secret | Unread | None:
    """Return the secret in a store, or why it cannot be read."""
    if not store.readable:
        return Unread("it is write-only", by_nature=True)
    seconds = waiting.half()
    try:
        return (await waiting.result(look_into(store), most=seconds)).secret
    except TimeoutError:
        return Unread(f"it did not answer within {seconds:.3g} s")
    except AgentKeysError as error:
        return Unread(str(error))
    except Exception as error:  # noqa: BLE001  # a store's library may raise anything
        return Unread(f"{type(error).__name__} was raised")


def _nothing(store: Store) -> Empty | Unread:
    if isinstance(store, MemoryStore):
        return Unread("only the process that wrote it can read it")
    return Empty()


def _in_git(store: Any) -> InGit:
    from agentkeys.stores.files import git

    try:
        path = filesystem.resolved(store.path)
    except OSError as error:
        return InGit("unknown", str(error.strerror or type(error).__name__))
    match git.tracked(path)[0]:
        case git.CouldNotLook(why):
            return InGit("unknown", why)
        case git.Tracked.YES:
            return InGit("tracked")
    return InGit("exposed" if git.is_exposed(path) else "neither")
