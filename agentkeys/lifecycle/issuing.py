"""`issue`: exactly one key, whose secret is in a store before the call returns."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any, TypeVar

from agentkeys.errors import InvalidArgumentError
from agentkeys.keys import Key, KeyCollection, NewKey, Scope
from agentkeys.lifecycle.attempting import Issued, Issuing
from agentkeys.lifecycle.budget import Budget
from agentkeys.lifecycle.keeping import Keeping
from agentkeys.stores import Store, open_store
from agentkeys.transport import check

if TYPE_CHECKING:
    from collections.abc import Callable


__all__ = ["Issued", "issue"]

KeyT = TypeVar("KeyT", bound="Key[Any]")


async def issue(
    keys: KeyCollection[Any, KeyT, NewKey[Any]],
    name: str,
    *,
    into: Store | str,
    exact_name: bool = False,
    replace: bool = False,
    timeout: float | None = None,
    scope: Scope | None = None,
    **options: Any,
) -> Issued[KeyT]:
    """Make exactly one key, and put its secret into a store before this returns.

    The store is probed first. The key's name gets a nonce (``billing-bot~k7f3q2``), by which a key
    that a lost answer leaves behind is found and deleted, before another one is made. A file in
    the user's state directory remembers the attempt, so that `sweep` can finish it if this process
    dies. If the call is cancelled when the request may be on its way, it runs on, until its
    deadline or for two seconds, whichever is sooner; then the cancellation goes on.

    Args:
        keys: where to make the key, e.g. ``agentity.api_keys``.
        name: what to call it; the nonce comes behind it.
        into: the store, or its address, like ``dotenv:.env#BILLING_BOT_KEY``.
        exact_name: make a key of this very name, without a nonce. Then a lost answer ends in an
            `UncertainCreateError`, and nothing is deleted.
        replace: replace a secret that the store holds; without it, such a store is refused.
        timeout: seconds for all of it; the client's own if None.
        scope: whose keys these are, for a service whose address changes; ``keys.scope`` if None.
        **options: what else `create` takes, e.g. ``permissions``.

    Raises:
        StoreError: the store cannot keep the secret; `StoreConflictError` if it holds one. There
            is no new key.
        OrphanKeyError: a key may be left that could not be deleted; `sweep` finishes it.
        UncertainCreateError: whether a key of the exact name was made is not known.
        RequestError: the service refused, or could not be reached. There is no new key, unless
            `applied` says otherwise.
        ConfigurationError, InvalidArgumentError: nothing was sent, but for a login.

    """
    check.collection(keys, "issue", blocking=False)
    name = check.text("name", name)
    store = open_store(into) if isinstance(into, str) else into
    if not isinstance(store, Store):
        raise InvalidArgumentError(
            f"into must be a store or its address, not of type {type(store).__name__}"
        )
    seconds = keys.timeout if timeout is None else check.timeout(timeout)
    _check_options(keys.create, name, options)
    issuing = Issuing(
        keys=keys,
        scope=scope or keys.scope,
        name=name,
        keeping=Keeping(store, replace=replace),
        exact_name=exact_name,
        options=options,
        budget=Budget(seconds),
    )
    return await issuing.shelter.run(
        lambda: issuing.within(seconds), seconds=seconds, leave=issuing.left
    )


def _check_options(create: Callable[..., object], name: str, options: dict[str, Any]) -> None:
    try:
        inspect.signature(create).bind(name, timeout=1.0, **options)
    except TypeError as error:
        reason = str(error)
    else:
        return
    raise InvalidArgumentError(f"these keys are not created with such arguments: {reason}")
