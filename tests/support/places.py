"""Every place where a secret might show, as functions from what a call left behind to text."""

from __future__ import annotations

import asyncio
import copy
import gc
import inspect
import io
import json
import logging
import pickle
import threading
import traceback
import types
import warnings
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import attrs
import orjson
from wire import Wire

from agentkeys import Secret

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

TESTS: Final = str(Path(__file__).resolve().parents[1])
_LEAVES: Final = (
    Secret,  # its one way out is `reveal`
    type,
    types.ModuleType,
    types.CodeType,
    types.BuiltinFunctionType,
    threading.Thread,
    # All that runs in it hangs on it, the tests with what they hold as well.
    asyncio.AbstractEventLoop,
    Wire,
)


@attrs.frozen
class Specimen:
    """What a call left behind.

    Attributes:
        error: what it raised.
        things: the client and all that came of it.
        records: what was logged meanwhile.
        warned: the warnings that were given.
    """

    error: BaseException
    things: tuple[object, ...] = ()
    records: tuple[logging.LogRecord, ...] = ()
    warned: tuple[warnings.WarningMessage, ...] = ()


def without_tests(error: BaseException) -> BaseException:
    """Take the frames of the tests, which hold secrets on purpose, off *error*."""
    for link in chain(error):
        link.__traceback__ = _without_tests(link.__traceback__)
    return error


def _without_tests(trace: types.TracebackType | None) -> types.TracebackType | None:
    if trace is None:
        return None
    trace.tb_next = _without_tests(trace.tb_next)
    return trace.tb_next if is_a_tests(trace.tb_frame) else trace


def is_a_tests(frame: types.FrameType) -> bool:
    return frame.f_code.co_filename.startswith(TESTS)


def chain(error: BaseException) -> Iterator[BaseException]:
    """Iterate over *error* and what it was raised from, or under."""
    seen: set[int] = set()
    waiting: list[BaseException | None] = [error]
    while waiting:
        link = waiting.pop()
        if link is not None and id(link) not in seen:
            seen.add(id(link))
            waiting += [link.__cause__, link.__context__]
            yield link


def _each(show: Callable[[Any], object]) -> Callable[[Specimen], str]:
    """Look at the error, at its arguments and at every thing in one way."""

    def look(specimen: Specimen) -> str:
        shown = []
        for thing in (*chain(specimen.error), specimen.error.args, *specimen.things):
            try:
                shown.append(show(thing))
            except (TypeError, ValueError, AttributeError, pickle.PicklingError) as refusal:
                shown.append(refusal)  # whoever catches it logs its text
        return "".join(s if isinstance(s, str) else f"{s!s}{s!r}" for s in shown)

    return look


def _copied(duplicate: Callable[[Any], Any]) -> Callable[[Any], str]:
    def show(thing: Any) -> str:
        other = duplicate(thing)
        return f"{other!r}{other}{getattr(other, 'args', None)}{_attributes(other)}"

    return show


def _attributes(thing: object) -> str:
    return repr(getattr(thing, "__dict__", None))


def _pickled(thing: object) -> str:
    return "".join(
        pickle.dumps(thing, protocol).decode("latin-1")
        for protocol in range(pickle.HIGHEST_PROTOCOL + 1)
    )


def _unpickled(thing: object) -> str:
    return _copied(lambda thing: pickle.loads(pickle.dumps(thing)))(thing)


def _as_dict(thing: object) -> str:
    return repr((attrs.asdict(thing), attrs.astuple(thing)))  # type: ignore[arg-type]  # a TypeError is an answer


def _walked(thing: object) -> str:
    """Go down the attributes of *thing*, and theirs, as a debugger's pane does."""
    return _reached([thing], _below)


def _below(thing: Any) -> list[object]:
    if isinstance(thing, dict):
        return [*thing, *thing.values()]
    if isinstance(thing, list | tuple | set | frozenset):
        return [*thing]
    slots = [name for kind in type(thing).__mro__ for name in getattr(kind, "__slots__", ())]
    return [getattr(thing, name, None) for name in slots if name != "__weakref__"] + [
        getattr(thing, "__dict__", None)
    ]


def reachable(specimen: Specimen) -> str:
    """Go wherever the garbage collector can go from the error: its frames, what they refer to."""
    return _reached([specimen.error], gc.get_referents)


def _reached(start: list[object], below: Callable[[Any], list[object]]) -> str:
    text = io.StringIO()
    seen: dict[int, object] = {}  # it keeps them alive, or an id might come again
    waiting = start
    while waiting:
        thing = waiting.pop()
        if id(thing) in seen or isinstance(thing, _LEAVES):
            continue
        seen[id(thing)] = thing
        if isinstance(thing, str | bytes | bytearray):
            print(thing if isinstance(thing, str) else bytes(thing).decode("latin-1"), file=text)
        elif isinstance(thing, types.FunctionType):
            waiting += [thing.__closure__, thing.__defaults__, thing.__kwdefaults__]
        elif not isinstance(thing, types.FrameType) or not is_a_tests(thing):
            waiting += below(thing)
    return text.getvalue()


def _traceback_with_locals(specimen: Specimen) -> str:
    trace = traceback.TracebackException.from_exception(specimen.error, capture_locals=True)
    return "".join(trace.format())


def _rich(specimen: Specimen) -> str:
    from rich.console import Console
    from rich.traceback import Traceback

    error = specimen.error
    shown = Traceback.from_exception(
        type(error),
        error,
        error.__traceback__,
        show_locals=True,
        locals_max_length=None,
        locals_max_string=None,
        locals_hide_dunder=False,
        locals_hide_sunder=False,
    )
    text = io.StringIO()
    Console(file=text, width=400, color_system=None).print(shown)
    return text.getvalue()


def _ipython(specimen: Specimen) -> str:
    from IPython.core.ultratb import VerboseTB

    error = specimen.error
    shown = VerboseTB(include_vars=True).text(type(error), error, error.__traceback__)
    return str(shown)


def _logged_as_exception(specimen: Specimen) -> str:
    text = io.StringIO()
    logger = logging.Logger("a user's")  # noqa: LOG001  # one that nobody else hears
    logger.addHandler(logging.StreamHandler(text))
    error = specimen.error
    logger.error("failed: %s %r", error, error, exc_info=(type(error), error, error.__traceback__))
    for thing in specimen.things:
        logger.error("with %s %r %s", thing, thing, {"of": thing})
    return text.getvalue()


def _warned(specimen: Specimen) -> str:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for thing in (specimen.error, *specimen.things):
            warnings.warn(f"{thing} {thing!r}", stacklevel=1)
    return "".join(
        f"{each.message}{each.message!r}{each.source!r}" for each in (*specimen.warned, *caught)
    )


def _log_of(name: str) -> Callable[[Specimen], str]:
    def look(specimen: Specimen) -> str:
        return "".join(
            f"{logging.Formatter().format(record)}{record.args}{_attributes(record)}"
            for record in specimen.records
            if record.name.partition(".")[0] == name
        )

    return look


def _orjson(thing: object) -> str:
    with suppress(orjson.JSONEncodeError):
        return orjson.dumps(thing, default=str).decode()
    return orjson.dumps({"it": str(thing), "has": getattr(thing, "__dict__", None)}, str).decode()


PLACES: Final[dict[str, Callable[[Specimen], str]]] = {
    "repr": _each(repr),
    "str": _each(str),
    "format": _each(lambda thing: format(thing) + f"{thing!s:>9}{thing!r:>9}{thing!a:>9}"),
    "f-string": _each(lambda thing: f"{thing}{thing!r}{thing!s}{thing!a}{[thing]}{ ({1: thing}) }"),
    "%": _each(lambda thing: "".join(each % (thing,) for each in ("%s", "%r", "%a", "%9s"))),
    "args": _each(lambda thing: getattr(thing, "args", "")),
    "vars": _each(vars),
    "a walk down the attributes": _each(_walked),
    "inspect.getmembers": _each(inspect.getmembers),
    "dir": _each(lambda thing: [getattr(thing, name) for name in dir(thing)]),
    "pickle": _each(_pickled),
    "what was pickled": _each(_unpickled),
    "copy": _each(_copied(copy.copy)),
    "deepcopy": _each(_copied(copy.deepcopy)),
    "attrs.asdict": _each(_as_dict),
    "json": _each(lambda thing: json.dumps([thing, _attributes(thing)], default=str)),
    "orjson": _each(_orjson),
    "warnings": _warned,
    "our log": _log_of("agentkeys"),
    "aiohttp's log": _log_of("aiohttp"),
    "asyncio's log in debug mode": _log_of("asyncio"),
    "logging.exception": _logged_as_exception,
    "traceback": lambda s: "".join(traceback.format_exception(s.error)),
    "traceback with locals": _traceback_with_locals,
    "what the garbage collector reaches from the error": reachable,
}
"""Where to look after every call."""

SLOW_PLACES: Final[dict[str, Callable[[Specimen], str]]] = {
    "rich's traceback with locals": _rich,
    "IPython's verbose traceback": _ipython,
}
"""Where a look takes a tenth of a second."""
