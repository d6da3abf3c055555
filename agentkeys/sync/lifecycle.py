"""The blocking twins of `issue` and `sweep`, which `agentkeys.sync` imports when they are used."""

from __future__ import annotations

from functools import partial
from typing import Any, TypeVar

from agentkeys import lifecycle
from agentkeys.keys import Key, KeyCollection, NewKey, Scope, checked_collection
from agentkeys.lifecycle import Issued, Swept
from agentkeys.stores import Store, open_store
from agentkeys.sync.clients import Keys

__all__ = ["issue", "sweep"]

KeyT = TypeVar("KeyT", bound="Key[Any]")


def issue(
    keys: Keys[KeyCollection[Any, KeyT, NewKey[Any]]],
    name: str,
    *,
    into: Store | str,
    exact_name: bool = False,
    replace: bool = False,
    timeout: float | None = None,
    scope: Scope | None = None,
    **options: Any,
) -> Issued[KeyT]:
    """Make exactly one key, and store its secret before this returns.

    The arguments, the result and the errors are those of `agentkeys.issue`, but for the keys, which
    are those of a blocking client.
    """
    checked_collection(keys, "issue", blocking=True)
    # Not in the loop, where others would wait for what a store imports.
    store = open_store(into) if isinstance(into, str) else into
    return keys._portal.run(  # noqa: SLF001  # a function of the collection
        partial(
            lifecycle.issue,
            keys._twin,  # noqa: SLF001
            name,
            into=store,
            exact_name=exact_name,
            replace=replace,
            timeout=timeout,
            scope=scope,
            **options,
        )
    )


def sweep(
    keys: Keys[KeyCollection[Any, Any, Any]],
    *,
    timeout: float | None = None,
    scope: Scope | None = None,
) -> Swept:
    """Finish the attempts to issue a key here whose processes are gone.

    The arguments, the result and the errors are those of `agentkeys.sweep`, but for the keys, which
    are those of a blocking client.
    """
    checked_collection(keys, "sweep", blocking=True)
    start = partial(lifecycle.sweep, keys._twin, timeout=timeout, scope=scope)  # noqa: SLF001
    return keys._portal.run(start)  # noqa: SLF001  # a function of the collection
