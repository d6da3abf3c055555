"""Mask secrets in pytest's reports of a test, and keep their types for other plugins."""

from __future__ import annotations

import contextlib
import copy
import dataclasses
import linecache
import logging
from typing import TYPE_CHECKING, Any

from agentkeys.testing.sightings import Sighting, shown

if TYPE_CHECKING:
    import warnings
    from collections.abc import Callable, Iterator

    import pytest

    Mask = Callable[[str], str]

__all__ = ["MaskingFormatter", "mask_error", "mask_report", "mask_warning", "of_report"]


def of_report(report: pytest.TestReport) -> Iterator[Sighting]:
    """Yield what only *report* shows.

    The log and the text of an exception are seen at their source.
    """
    # With `capsys`, output to the file descriptors is only in the report.
    yield Sighting("stdout", report.capstdout)
    yield Sighting("stderr", report.capstderr)
    for name, text in report.sections:
        if not name.startswith(("Captured stdout", "Captured stderr", "Captured log")):
            yield Sighting(f"the section {name} of the report", text)
    for name, value in report.user_properties:
        yield Sighting(f"the property {name} of the report", f"{name}\n{shown(str, value)}")


def mask_report(report: pytest.TestReport, mask: Mask) -> None:
    """Mask all text in *report*, in any attribute that a plugin has set, except for its name."""
    for name, value in list(vars(report).items()):
        if name not in {"nodeid", "_id"} and _is_made_of_parts(value):
            setattr(report, name, _masked(value, mask))


def mask_error(error: BaseException, mask: Mask) -> None:
    """Mask the text of *error*, which pytest is about to show."""
    error.args = _masked(error.args, mask)
    for name, value in list(vars(error).items()):
        setattr(error, name, _masked(value, mask))


def mask_warning(message: warnings.WarningMessage, mask: Mask) -> None:
    """Mask the text of a warning, and the line of code that is shown with it."""
    line = message.line or linecache.getline(message.filename, message.lineno).strip()
    if mask(line) != line:
        message.line = mask(line)
    text = shown(str, message.message)
    if mask(text) != text:
        message.message = _like(message.message, mask(text), mask)


class MaskingFormatter(logging.Formatter):
    """Masks the output of another formatter."""

    def __init__(self, formatter: logging.Formatter, mask: Mask) -> None:
        super().__init__()
        self._formatter = formatter
        self._mask = mask

    def format(self, record: logging.LogRecord) -> str:
        """Return the text for *record*."""
        return self._mask(self._formatter.format(record))


def _is_made_of_parts(thing: object) -> bool:
    """Return whether an object can be taken apart and rebuilt."""
    # pytest's representations of failures have `toterminal` in common.
    is_data = dataclasses.is_dataclass(thing) or hasattr(thing, "toterminal")
    return isinstance(thing, (str, bytes, dict, tuple, list, set, frozenset)) or (
        is_data and not isinstance(thing, type)
    )


def _masked(thing: Any, mask: Mask, within: tuple[int, ...] = ()) -> Any:
    """Return *thing* if no text in it changes, else a copy of the same type."""
    if isinstance(thing, (str, bytes)):
        return _masked_text(thing, mask)
    if thing is None or isinstance(thing, (bool, int, float)):
        return thing
    if not _is_made_of_parts(thing) or id(thing) in within:
        text = shown(repr, thing) + shown(str, thing)
        return thing if mask(text) == text else mask(shown(str, thing))

    def part(each: Any) -> Any:
        return _masked(each, mask, (*within, id(thing)))

    if isinstance(thing, dict):
        items = {part(key): part(value) for key, value in thing.items()}
        is_same = all(items.get(key) is value for key, value in thing.items())
        return thing if is_same else _made_as(thing, items)
    if isinstance(thing, (tuple, list, set, frozenset)):
        parts = [part(each) for each in thing]
        is_same = all(one is other for one, other in zip(parts, thing, strict=True))
        return thing if is_same else _made_as(thing, parts)
    return _with_parts(thing, part)


def _masked_text(text: str | bytes, mask: Mask) -> str | bytes:
    if isinstance(text, bytes):
        return mask(text.decode("utf-8", "surrogateescape")).encode("utf-8", "surrogateescape")
    new = mask(text)
    return text if new == text else new


def _made_as(thing: Any, parts: Any) -> Any:
    """Return *parts* in the type of *thing*, if possible."""
    make = getattr(thing, "_make", type(thing))  # a named tuple has it
    with contextlib.suppress(Exception):
        return make(parts)
    return parts


def _with_parts(thing: Any, part: Callable[[Any], Any]) -> Any:
    """Return a data class, or a representation of a failure, with its attributes masked."""
    fields = dataclasses.fields(thing) if dataclasses.is_dataclass(thing) else ()
    names = {*(field.name for field in fields), *getattr(thing, "__dict__", ())}
    old = {name: getattr(thing, name) for name in names if hasattr(thing, name)}
    new = {name: part(value) for name, value in old.items()}
    if all(new[name] is old[name] for name in old):
        return thing
    thing = copy.copy(thing)
    for name, value in new.items():
        object.__setattr__(thing, name, value)  # also in a frozen one
    return thing


def _like(warning: Warning | str, text: str, mask: Mask) -> Warning | str:
    """Return a warning with *text*: of the same type if possible, else of a base class."""
    if isinstance(warning, str):
        return text
    kind = type(warning)
    with contextlib.suppress(Exception):  # its constructor may need other arguments
        new = kind.__new__(kind, *_masked(warning.args, mask))
        vars(new).update(_masked(vars(warning), mask))
        if str(new) == text:
            return new
    base = next(each for each in kind.__mro__ if each.__module__ == "builtins")
    made: Warning = base(text)
    return made
