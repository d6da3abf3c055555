"""Show keys in a notebook, as an HTML table. This module is imported when a table is shown.

Pure functions: the clock is an argument, and no request is sent.
"""

from __future__ import annotations

from datetime import UTC, datetime
from html import escape
from typing import TYPE_CHECKING, Any, Final

import attrs

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["age", "now", "sentence", "table"]

_UNITS: Final = (
    ("year", 365 * 86400),
    ("month", 30 * 86400),
    ("day", 86400),
    ("hour", 3600),
    ("minute", 60),
)


def now() -> datetime:
    """Return the time that ages are relative to."""
    return datetime.now(UTC)


def table(records: Sequence[Any], at: datetime, *, note: str = "") -> str:
    """Return records of one kind as a table, one record a row.

    Secrets are masked, and columns that are empty in every row are left out.

    Args:
        records: attrs instances.
        at: the time that ages are relative to.
        note: a sentence below the table.
    """
    if not records:
        return sentence(note or "There are no keys here.")
    names = [field.name for field in attrs.fields(type(records[0]))]
    names = [name for name in names if any(getattr(each, name) is not None for each in records)]
    head = "".join(f"<th>{escape(name)}</th>" for name in names)
    rows = "".join(
        f"<tr>{''.join(_cell(getattr(each, name), at) for name in names)}</tr>" for each in records
    )
    below = sentence(note) if note else ""
    return f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>{below}"


def sentence(text: str) -> str:
    """Return *text* as a paragraph; text between backticks is code."""
    parts = escape(text).split("`")
    return (
        "<p>" + "".join(f"<code>{p}</code>" if n % 2 else p for n, p in enumerate(parts)) + "</p>"
    )


def age(moment: datetime, at: datetime) -> str:
    """Return the time from *moment* to *at* in words: ``3 days ago``."""
    seconds = (at - moment).total_seconds()
    for unit, size in _UNITS:
        count = int(abs(seconds) // size)
        if count:
            words = f"{count} {unit}{'' if count == 1 else 's'}"
            return f"{words} ago" if seconds > 0 else f"in {words}"
    return "just now"


def _cell(value: object, at: datetime) -> str:
    match value:
        case None:
            return "<td></td>"
        case datetime() if value.tzinfo is not None:
            exact = value.astimezone(UTC).isoformat(timespec="seconds")
            return f'<td title="{escape(exact)}">{age(value, at)}</td>'
        case dict():
            text = ", ".join(f"{name}: {'yes' if on else 'no'}" for name, on in value.items())
            return f"<td>{escape(text)}</td>"
    return f"<td>{escape(str(value))}</td>"
