"""What others can see, as text: of an exception, a log record, a warning, a file."""

from __future__ import annotations

import logging
import os
import stat
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

if TYPE_CHECKING:
    import warnings
    from collections.abc import Callable, Iterator
    from types import FrameType

__all__ = ["Sighting", "of_exception", "of_file", "of_record", "of_thing", "of_warning", "shown"]


class Sighting(NamedTuple):
    """A text that others can see.

    Attributes:
        place: its place, for the failure's text.
        content: the text.
        file: its file, or the file whose code has it, or None.
        logger: its logger, or None.
    """

    place: str
    content: str | bytes
    file: str = ""
    logger: str = ""


# Modules whose frames are between pytest and the test. Their locals are the test's.
_RUNNERS: Final = ("_pytest", "pluggy", "pytest_asyncio", "anyio", "xdist", "agentkeys/testing")

# The attributes of every record; others may be the caller's.
_UNTOLD: Final = vars(logging.makeLogRecord({})).keys() - {"args", "exc_text", "stack_info"}


def of_exception(error: BaseException, test: str, *, why: str = "") -> Iterator[Sighting]:
    """Yield what a report with the locals of every frame shows of *error* and its causes.

    Args:
        error: the exception.
        test: the test's own file. Its frames hold secrets on purpose, as those of a conftest do.
        why: a remark about it, e.g. that it was logged.
    """
    for each in _chain(error):
        kind = f"{type(each).__name__}{why}"
        yield Sighting(f"the text of {kind}", shown(str, each))
        yield Sighting(f"the repr of {kind}", shown(repr, each))
        for note in getattr(each, "__notes__", ()):
            yield Sighting(f"a note of {kind}", shown(str, note))
        for frame, line in _frames(each, test):
            yield from _of_frame(frame, line, kind)


def of_record(record: logging.LogRecord, test: str) -> Iterator[Sighting]:
    """Yield the texts of a log record: its message, its arguments and its extras."""
    name = record.name
    place = f"the log, {name} at {record.levelname} ({record.filename}:{record.lineno})"
    yield Sighting(place, shown(_message, record), logger=name)
    for attribute, value in vars(record).items():
        if attribute not in _UNTOLD:
            yield Sighting(f"{place}, its {attribute}", shown(repr, value), logger=name)
    if isinstance(record.exc_info, tuple) and record.exc_info[1] is not None:
        for seen in of_exception(record.exc_info[1], test, why=f", which {name} logged"):
            yield seen._replace(logger=name)


def of_warning(message: warnings.WarningMessage) -> Sighting:
    """Return the text of a warning."""
    where = f"{Path(message.filename).name}:{message.lineno}"
    return Sighting(f"a {message.category.__name__} ({where})", shown(str, message.message))


def of_thing(thing: object, test: str) -> Iterator[Sighting]:
    """Yield the texts of an object that a test wants to check."""
    value = getattr(thing, "value", None)
    error = (
        value if isinstance(value, BaseException) else thing
    )  # pytest.raises has the error in `value`
    if isinstance(error, BaseException):
        yield from of_exception(error, test)
    elif isinstance(thing, bytes):
        yield Sighting("the bytes that check() was given", thing)
    else:
        yield Sighting(f"the text of the {type(thing).__name__} checked", shown(str, thing))
        yield Sighting(f"the repr of the {type(thing).__name__} checked", shown(repr, thing))


def of_file(path: Path, folder: Path) -> Iterator[Sighting]:
    """Yield the name and the content of a regular file in the test's folder."""
    shown = str(path.relative_to(folder))
    yield Sighting("the name of a file in tmp_path", shown, file=str(path))
    try:
        if stat.S_ISREG(path.lstat().st_mode):
            yield Sighting(f"the file {shown} in tmp_path", path.read_bytes(), file=str(path))
    except OSError:
        return  # it is gone, or not readable


def _message(record: logging.LogRecord) -> str:
    """Return the message; its parts if they do not fit together."""
    try:
        return record.getMessage()
    except Exception:  # noqa: BLE001  # logging reports it on stderr
        return f"{record.msg!s} {record.args!r}"


def _chain(error: BaseException) -> Iterator[BaseException]:
    """Iterate over *error* and all errors that a traceback shows with it."""
    seen: set[int] = set()
    waiting: list[BaseException | None] = [error]
    while waiting:
        each = waiting.pop()
        if each is None or id(each) in seen:
            continue
        seen.add(id(each))
        yield each
        waiting.append(each.__cause__)
        waiting.append(None if each.__suppress_context__ else each.__context__)
        if isinstance(each, BaseExceptionGroup):
            waiting.extend(each.exceptions)


def _frames(error: BaseException, test: str) -> Iterator[tuple[FrameType, int]]:
    frames = list(traceback.walk_tb(error.__traceback__))
    own = [_is_own(frame.f_code.co_filename, test) for frame, _ in frames]
    # The frames before the test's own frames are those of its runner.
    begin = own.index(True) if True in own else 0
    for (frame, line), is_own in zip(frames[begin:], own[begin:], strict=True):
        if not is_own and not _is_a_runner(frame.f_code.co_filename):
            yield frame, line


def _of_frame(frame: FrameType, line: int, kind: str) -> Iterator[Sighting]:
    file = frame.f_code.co_filename
    where = f"{frame.f_code.co_qualname} ({Path(file).name}:{line})"
    for name, value in frame.f_locals.items():
        place = f"the local {name} of {where}, in the traceback of {kind}"
        yield Sighting(place, shown(repr, value), file=file)


def _is_own(file: str, test: str) -> bool:
    return file == test or Path(file).name == "conftest.py"


def _is_a_runner(file: str) -> bool:
    path = file.replace(os.sep, "/")
    return any(f"/{name}/" in path for name in _RUNNERS)


def shown(show: Callable[[Any], str], thing: object) -> str:
    """Return the result of `str` or `repr`, or "" if it fails."""
    try:
        return show(thing)
    except Exception:  # noqa: BLE001  # an object that cannot be shown shows nothing
        return ""
