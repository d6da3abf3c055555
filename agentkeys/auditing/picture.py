"""The ages of keys against their limit, as an SVG picture. Pure.

Colours are attributes, so that a page without inline styles shows them.
"""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, Final

from agentkeys.auditing.findings import span

if TYPE_CHECKING:
    from agentkeys.auditing.results import Age, Results

__all__ = ["picture"]

_WIDTH: Final = 760
_LEFT: Final = 240
_RIGHT: Final = 130
_ROW: Final = 26
_BAR: Final = 14
_TOP: Final = 28
_MOST: Final = 100
"""The number of keys that are drawn: the oldest ones."""
_LONGEST: Final = 32
"""The number of characters of a name that are drawn."""

_NARROW: Final = frozenset("abcdefghijklnopqrstuvxyz0123456789-_.~ ")

# The bars differ by more than their colour: the age is written behind each.
_FRESH, _NEAR, _OLD, _LEAVING = "#2a9d8f", "#d99a1c", "#c8553d", "#8a8f98"


def picture(report: Results) -> str:
    """Return the picture; an empty string if there are no keys."""
    ages = report.ages[:_MOST]
    if not ages:
        return ""
    longest = max(max(each.age, 0.0) for each in ages)
    limit = report.policy.max_age
    scale = max(longest, limit or 0.0, 1.0)
    height = _TOP + _ROW * len(ages) + 8
    rows = "".join(_row(report, each, number, scale) for number, each in enumerate(ages))
    title = f"The ages of {len(ages)} of {len(report.ages)} keys" + (
        "" if limit is None else f"; the limit is {span(limit)}"
    )
    line = "" if limit is None else _limit(limit, scale, height)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" role="img" width="{_WIDTH}" height="{height}"'
        f' viewBox="0 0 {_WIDTH} {height}" font-family="system-ui, sans-serif" font-size="13"'
        f' fill="currentColor"><title>{escape(title)}</title>{rows}{line}</svg>'
    )


def _width(text: str) -> float:
    """Return the largest width of a text in pixels, as the font is not known."""
    return sum(7.5 if c in _NARROW else 14.0 for c in text)


def _x(seconds: float, scale: float) -> float:
    return round(_LEFT + (_WIDTH - _LEFT - _RIGHT) * max(seconds, 0.0) / scale, 1)


def _row(report: Results, age: Age, number: int, scale: float) -> str:
    top = _TOP + _ROW * number
    middle = top + _ROW // 2
    end = _x(age.age, scale)
    name = age.name if len(age.name) <= _LONGEST else f"{age.name[: _LONGEST - 1]}…"
    room = _LEFT - 20
    fitted = f' textLength="{room}" lengthAdjust="spacingAndGlyphs"' if _width(name) > room else ""
    words = span(max(age.age, 0.0)) + (", retiring" if age.is_leaving else "")
    return (
        f"<g><title>{escape(age.name)}: {words}</title>"
        f'<text x="{_LEFT - 10}" y="{middle + 4}" text-anchor="end"{fitted}>'
        f"{escape(name)}</text>"
        f'<rect x="{_LEFT}" y="{top + (_ROW - _BAR) // 2}" width="{max(end - _LEFT, 2.0):.1f}"'
        f' height="{_BAR}" rx="2" fill="{_colour(report, age)}"/>'
        f'<text x="{_WIDTH - _RIGHT + 10}" y="{middle + 4}">{words}</text></g>'
    )


def _limit(limit: float, scale: float, height: int) -> str:
    x = _x(limit, scale)
    return (
        f'<line x1="{x}" y1="{_TOP - 6}" x2="{x}" y2="{height - 4}" stroke="{_OLD}"'
        f' stroke-width="1.5" stroke-dasharray="5 4"/>'
        f'<text x="{x}" y="{_TOP - 12}" text-anchor="middle" fill="{_OLD}">limit:'
        f" {span(limit)}</text>"
    )


def _colour(report: Results, age: Age) -> str:
    limit = report.policy.max_age
    if age.is_leaving:
        return _LEAVING
    if limit is None or age.age < limit * report.policy.warn_at:
        return _FRESH
    return _NEAR if age.age <= limit else _OLD
