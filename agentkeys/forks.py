"""Objects that a parent and its forked child must not share.

A forked child shares its parent's sockets and epoll set. If the child closes an inherited object,
or frees it, it unregisters the parent's connections, which then hang. So the child keeps all
inherited objects for ever, unused, and makes new ones.
"""

from __future__ import annotations

import os
import weakref
from typing import ClassVar, Final, NoReturn, Protocol, SupportsIndex

__all__ = ["Inherited", "Unpicklable", "watch"]


class Inherited(Protocol):
    """An object with threads, locks or sockets of its own process."""

    def begin_afresh(self) -> object:
        """Drop the parent's resources in a forked child; return them, to be kept alive."""


_watched: Final[weakref.WeakSet[Inherited]] = weakref.WeakSet()
_kept_alive: Final[list[object]] = []
_is_hooked = False


def watch(inherited: Inherited) -> None:
    """Call `begin_afresh` of *inherited* in every child that is forked from now on."""
    global _is_hooked  # noqa: PLW0603  # one hook for the process, registered when it is first needed
    _watched.add(inherited)
    if not _is_hooked and hasattr(os, "register_at_fork"):
        _is_hooked = True
        os.register_at_fork(after_in_child=_begin_afresh)


def _begin_afresh() -> None:
    _kept_alive.extend(inherited.begin_afresh() for inherited in list(_watched))


class Unpicklable:
    """The base class of objects that belong to their process and cannot be copied or pickled.

    Attributes:
        _instead: what to do instead, for the error.
    """

    _instead: ClassVar[str] = "share this one, or make a new one from the same arguments"

    def __reduce_ex__(self, protocol: SupportsIndex) -> NoReturn:
        # `copy`, `deepcopy` and `pickle` all call this method.
        raise TypeError(
            f"{type(self).__name__} cannot be copied or pickled: it holds connections, locks or"
            f" secrets of this process; {self._instead}"
        )
