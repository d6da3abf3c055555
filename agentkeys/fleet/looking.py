"""Looks at what `decide` compares: the listing of a place, and what stores hold."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from agentkeys.auditing.facts import Empty, Held, Unread
from agentkeys.auditing.looking import opened, secret_in
from agentkeys.cancellation import Waiting
from agentkeys.errors import AgentKeysError
from agentkeys.fleet.deciding import Holding, Listed
from agentkeys.lifecycle.driving.hands import ServiceHands, digest_of
from agentkeys.transport.collection import Keys, whose

if TYPE_CHECKING:
    from collections.abc import Iterable

    from agentkeys.keys import Key, KeyCollection, Scope
    from agentkeys.secret import Secret

__all__ = ["held_at", "listed_at"]


async def listed_at(keys: KeyCollection[Any, Any, Any], scope: Scope, seconds: float) -> Listed:
    """List the keys of a place. If that fails, it is in what this returns."""
    waiting = Waiting(seconds, grace=0.0)
    with waiting:
        try:
            own = await whose(keys, scope, waiting.left())
            found = await ServiceHands(keys, own, waiting).listed()
        except AgentKeysError as error:
            return Listed(Unread(str(error)), scope)
        return Listed(found.keys, own)


async def held_at(
    address: str, keys: KeyCollection[Any, Any, Any], listed: Iterable[Key[Any]], seconds: float
) -> Holding:
    """Look into a store, and compare its secret with what the service shows of listed keys."""
    waiting = Waiting(seconds, grace=0.0)
    with waiting:
        store, _ = opened(address)
        secret = store if isinstance(store, Unread) else await secret_in(store, waiting)
    if isinstance(secret, Unread):
        return Holding(secret)
    if secret is None:
        return Holding(Empty())
    shown = [key for key in listed if getattr(key, "prefix", "")]
    if not isinstance(keys, Keys):
        shown = []
    fits = frozenset(key.id for key in shown if _may_be(keys, key, secret))
    differs = frozenset(key.id for key in shown) - fits
    return Holding(Held(digest_of(secret)), fits, differs)


def _may_be(keys: Any, key: Key[Any], secret: Secret) -> bool:
    return bool(keys._may_be(key, secret))  # noqa: SLF001  # no part of the surface
