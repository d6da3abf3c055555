"""The policy of an audit."""

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
    """The policy of an audit: what keys must fulfil. Durations are seconds, or a timedelta.

    Attributes:
        max_age: the largest age of a key; None for no limit.
        warn_at: the share of `max_age` from which a note says that the limit is near.
        unused_for: how long a key may be unused; None for no limit. It is checked only if the
            service reports the last use.
        unfinished_for: how long the issue or the rotation of a key may be unfinished.
        overdue_by: how long a replaced key may exist after its grace.
        ignore: the ids of the rules to leave out.

    Raises:
        InvalidArgumentError: an argument is invalid.
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
