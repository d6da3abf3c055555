"""A string that does not leak by accident."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NoReturn, final

from agentkeys import plain

__all__ = ["MASK", "Secret"]

MASK: Final = "**********"
"""The text that replaces a secret."""


@final
class Secret:
    """A string whose value only `reveal` returns.

    Its repr, str and format return a mask. It cannot be pickled or written as JSON; a copy of it is
    the same object. Two secrets are equal if their values are; the comparison takes constant time.
    """

    # Not an attrs class, because attrs.asdict would show the value. The value is in a closure, so
    # that tools that list attributes (inspect.getmembers, rich.inspect, debuggers) do not find it.
    __slots__ = ("__weakref__", "_open")
    _open: Callable[[], str]

    def __init__(self, value: str) -> None:
        if not isinstance(value, str):
            kind = type(value).__name__
            del value
            raise TypeError(f"a Secret holds a str, not {kind}")
        object.__setattr__(self, "_open", _closed_over(plain.text(value)))

    def reveal(self) -> str:
        """Return the value. Do not log it."""
        return self._open()

    def __repr__(self) -> str:
        return f"Secret('{MASK}')"

    def __str__(self) -> str:
        return MASK

    def __format__(self, spec: str) -> str:
        return format(MASK, spec)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret):
            return NotImplemented
        import hmac  # 17 ms, and few ever compare two secrets

        # surrogatepass: a str may hold lone surrogates, and a comparison must not raise.
        return hmac.compare_digest(
            self.reveal().encode("utf-8", "surrogatepass"),
            other.reveal().encode("utf-8", "surrogatepass"),
        )

    def __hash__(self) -> int:
        return hash((Secret, self.reveal()))

    def __bool__(self) -> bool:
        return bool(self.reveal())

    def __setattr__(self, name: str, value: object) -> NoReturn:
        del value
        raise AttributeError(f"a Secret cannot be changed: {name}")

    def __delattr__(self, name: str) -> NoReturn:
        raise AttributeError(f"a Secret cannot be changed: {name}")

    def __copy__(self) -> Secret:
        return self

    def __deepcopy__(self, memo: object) -> Secret:
        return self

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise TypeError("a Secret cannot be pickled: store what reveal() returns")

    def __getstate__(self) -> NoReturn:
        raise TypeError("a Secret has no state to show")


def _closed_over(value: str) -> Callable[[], str]:
    return lambda: value
