"""What an audit expects of keys."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from typing import Final

import attrs

from agentkeys import arguments
from agentkeys.errors import InvalidArgumentError

__all__ = ["Policy"]

_DAY: Final = 86400.0


@attrs.frozen(init=False)
class Policy:
    """What an audit expects of keys. Durations are seconds, or a timedelta.

    Attributes:
        max_age: how old a key may be; None for any age.
        warn_at: the share of `max_age` from which on a note says that the limit comes near.
        unused_for: how long a key may go without being used; None for as long as it likes. It is
            looked at only where the service tells when a key was used.
        unfinished_for: how long an attempt to issue or to replace a key may be under way.
        overdue_by: how long after its time a key that was replaced may still be there.
        ignore: the ids of the rules that are left out.

    Raises:
        InvalidArgumentError: one of them cannot be right.

    """

    max_age: float | None
    warn_at: float
    unused_for: float | None
    unfinished_for: float
    overdue_by: float
    ignore: tuple[str, ...]

    def __init__(
        self,
        *,
        max_age: float | timedelta | None = None,
        warn_at: float = 0.8,
        unused_for: float | timedelta | None = None,
        unfinished_for: float | timedelta = _DAY,
        overdue_by: float | timedelta = _DAY,
        ignore: str | Iterable[str] = (),
    ) -> None:
        self.__attrs_init__(
            max_age=None if max_age is None else arguments.duration("max_age", max_age),
            warn_at=_share(warn_at),
            unused_for=None if unused_for is None else arguments.duration("unused_for", unused_for),
            unfinished_for=arguments.duration("unfinished_for", unfinished_for),
            overdue_by=arguments.duration("overdue_by", overdue_by),
            ignore=(ignore,) if isinstance(ignore, str) else tuple(ignore),
        )


def _share(value: float) -> float:
    share = arguments.number("warn_at", value, unit="of max_age")
    if share <= 1:
        return share
    raise InvalidArgumentError("warn_at must be a share of max_age, from 0 to 1")
