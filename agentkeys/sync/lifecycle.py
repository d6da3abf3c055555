"""The blocking twins of the lifecycle's functions; `agentkeys.sync` imports them when used."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Coroutine
from types import TracebackType
from typing import Any, Concatenate, Generic, ParamSpec, TypeVar

from agentkeys import lifecycle
from agentkeys.keys import KeyCollection, NewKey, Scope, checked_collection
from agentkeys.lifecycle import Status
from agentkeys.lifecycle.remembering import Given, opened, sealed
from agentkeys.lifecycle.upkeep import remembered
from agentkeys.stores import open_store
from agentkeys.sync.clients import Keys
from agentkeys.sync.portal import Portal

__all__ = ["abort", "adopt", "announced", "issue", "lease", "rotate", "status", "sweep"]

CollectionT = TypeVar("CollectionT", bound=KeyCollection[Any, Any, Any])
P = ParamSpec("P")
T = TypeVar("T")
NewKeyT = TypeVar("NewKeyT", bound=NewKey[Any])


def _blocking(
    function: Callable[Concatenate[CollectionT, P], Coroutine[Any, Any, T]],
) -> Callable[Concatenate[Keys[CollectionT], P], T]:
    """Return the blocking twin of a function of keys."""

    @functools.wraps(function)
    def twin(keys: Keys[CollectionT], *args: P.args, **kwargs: P.kwargs) -> T:
        if "journal" in kwargs:  # its address may hold a password
            kwargs["journal"] = sealed(kwargs["journal"])  # type: ignore[arg-type]  # it says
        checked_collection(keys, function.__name__, blocking=True)
        if isinstance(into := kwargs.get("into"), str):
            # Not in the loop, where other calls would wait for the imports of a store.
            kwargs["into"] = open_store(into)
        start = functools.partial(function, keys._twin, *args, **kwargs)  # noqa: SLF001  # our own class
        return keys._portal.run(start)  # noqa: SLF001

    twin.__signature__ = inspect.signature(function)  # type: ignore[attr-defined]  # for help()
    return twin  # type: ignore[return-value]  # `keys` may be passed by name as well


issue = _blocking(lifecycle.issue)  # type: ignore[arg-type]  # its options could include `keys`
rotate = _blocking(lifecycle.rotate)
sweep = _blocking(lifecycle.sweep)
adopt = _blocking(lifecycle.adopt)
announced = _blocking(lifecycle.announced)
abort = _blocking(lifecycle.abort)


class Lease(Generic[NewKeyT]):
    """A key that is created at the beginning of a block and deleted at its end; see `lease`."""

    def __init__(self, twin: lifecycle.Lease[NewKeyT], portal: Portal) -> None:
        self._twin = twin
        self._portal = portal

    def __enter__(self) -> NewKeyT:
        return self._portal.run(self._twin.__aenter__)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._portal.run(functools.partial(self._twin.__aexit__, kind, error, traceback))


def lease(
    keys: Keys[KeyCollection[Any, Any, NewKeyT]],
    name: str,
    *,
    timeout: float | None = None,
    scope: Scope | None = None,
    journal: Given = None,
    **options: Any,
) -> Lease[NewKeyT]:
    """Create a key that lives as long as a block of code runs; see `agentkeys.lease`.

    Use it as ``with lease(keys, "worker-7") as new:``.
    """
    journal = sealed(journal)
    checked_collection(keys, "lease", blocking=True)
    twin = lifecycle.lease(
        keys._twin,  # noqa: SLF001  # our own class
        name,
        timeout=timeout,
        scope=scope,
        journal=journal,
        **options,
    )
    return Lease(twin, keys._portal)  # noqa: SLF001


def status(
    keys: Keys[KeyCollection[Any, Any, Any]] | None = None,
    *,
    scope: Scope | None = None,
    journal: Given = None,
) -> Status:
    """Return what the journal keeps; see `agentkeys.status`."""
    journal = sealed(journal)
    if keys is not None:
        checked_collection(keys, "status", blocking=True)
        scope = scope or keys.scope
    return remembered(scope, opened(journal))
