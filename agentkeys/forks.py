"""What must not be used on both sides of a fork.

A forked child shares its parent's sockets and epoll set. If it closes what it inherited, or merely
lets it be collected, it unregisters the parent's connections, which then hang. So the child keeps
all of it, untouched and for ever, and starts afresh.
"""

from __future__ import annotations

import os
import weakref
from typing import ClassVar, Final, NoReturn, Protocol, SupportsIndex

__all__ = ["Inherited", "Unpicklable", "watch"]


class Inherited(Protocol):
    """Something with threads, locks or sockets of its own process."""

    def begin_afresh(self) -> object:
        """Forget, in a forked child, what belongs to the parent; return it, to be kept alive."""


_watched: Final[weakref.WeakSet[Inherited]] = weakref.WeakSet()
_kept_alive: Final[list[object]] = []
_is_hooked = False


def watch(inherited: Inherited) -> None:
    """Call `begin_afresh` of *inherited* in every child that is forked from now on."""
    global _is_hooked  # noqa: PLW0603  # one hook for the process, and none before it is needed
    _watched.add(inherited)
    if not _is_hooked and hasattr(os, "register_at_fork"):
        _is_hooked = True
        os.register_at_fork(after_in_child=_begin_afresh)


def _begin_afresh() -> None:
    _kept_alive.extend(inherited.begin_afresh() for inherited in list(_watched))


class Unpicklable:
    """The base of what belongs to its process, and can be neither copied nor pickled.

    Attributes:
        _instead: what to do instead.
    """

    _instead: ClassVar[str] = "share this one, or make another one from the same arguments"

    def __reduce_ex__(self, protocol: SupportsIndex) -> NoReturn:
        # Of this, `copy`, `deepcopy` and `pickle` all make use.
        raise TypeError(
            f"{type(self).__name__} cannot be copied or pickled, for it holds connections, locks or"
            f" secrets of this process: {self._instead}"
        )
