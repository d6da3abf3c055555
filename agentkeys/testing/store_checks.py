"""The checks in the tests of a store, and the texts of their failures."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import secrets
import string
from collections.abc import Awaitable, Callable, Iterator

import pytest

from agentkeys.errors import StoreConflictError, StoreError
from agentkeys.secret import Secret
from agentkeys.stores import Found, RecognizableStore, Store
from agentkeys.stores.contract import protocol
from agentkeys.testing.forms import Watched
from agentkeys.testing.sightings import Sighting, of_exception, of_record

__all__ = [
    "cancelled_after",
    "error_of",
    "failing",
    "hidden",
    "is_as_found",
    "law",
    "made_up",
    "noted",
    "other",
    "watched",
    "won",
]

# Nothing in this module binds a revealed secret to a name, because frames are searched too.


def failing(failure: StoreError, notes: list[Found]) -> Callable[[Found], None]:
    """Return a note that records its argument, and raises *failure*."""

    def note(found: Found) -> None:
        notes.append(found)
        raise failure

    return note


def noted(store: RecognizableStore) -> Found:
    """Return the note of a store, from a write that ends at its note."""
    notes: list[Found] = []
    asyncio.run(store.write(made_up()))
    written = store.write_noted(made_up(), note=failing(StoreError("it ends here"), notes))
    error_of(written, StoreError)
    law(len(notes) == 1, f"a write called the note {len(notes)} times")
    return notes[0]


def is_as_found(store: Store, found: Found) -> bool:
    """Return the store's answer; an error counts as False."""
    try:
        return asyncio.run(protocol.is_as_found(store, found))
    except StoreError:
        return False


def other(letter: str) -> str:
    """Return another letter or digit for one, and any other character unchanged."""
    for alphabet in (string.digits, string.ascii_lowercase, string.ascii_uppercase):
        if letter in alphabet:
            return alphabet[alphabet.index(letter) - 1]
    return letter


def law(held: bool, broken: str) -> None:
    """Fail with the text *broken* unless *held*."""
    if not held:
        raise AssertionError(broken)


def made_up(length: int = 40) -> Secret:
    """Return a secret in the form of a key of Agentity."""
    return Secret(f"agk_live_{secrets.token_urlsafe(length)[:length]}")


def won(outcome: object) -> bool:
    """Return whether a write succeeded; raise any error other than a conflict."""
    if isinstance(outcome, BaseException) and not isinstance(outcome, StoreConflictError):
        raise outcome
    return not isinstance(outcome, BaseException)


async def cancelled_after(turns: int, store: Store, secret: Secret) -> Secret | None:
    """Cancel a write after *turns* turns of the event loop; return the store's secret then."""
    write = asyncio.ensure_future(store.write(secret))
    for _ in range(turns):
        await asyncio.sleep(0)
    write.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await write
    return (await store.read()).secret


def error_of(call: Awaitable[object], kind: type[StoreError]) -> StoreError:
    """Return the error of that kind that a call raises."""

    async def made() -> None:
        await call

    with pytest.raises(kind) as raised:
        asyncio.run(made())
    return raised.value


class _Log(logging.Handler):
    """Collects log records as a handler gets them."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[Sighting] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.seen.extend(of_record(record, __file__))


@contextlib.contextmanager
def watched() -> Iterator[list[Sighting]]:
    """Collect all log records, of any logger and level."""
    log, root = _Log(), logging.getLogger()
    level = root.level
    root.addHandler(log)
    root.setLevel(logging.DEBUG)
    try:
        yield log.seen
    finally:
        root.setLevel(level)
        root.removeHandler(log)


def hidden(secret: Secret, shown: str | BaseException | list[Sighting], place: str = "") -> None:
    """Fail, and name the place, if a secret shows in any encoding.

    Args:
        secret: the secret.
        shown: a text; an error, with its causes and the locals of its frames; or sightings.
        place: what the text is.
    """
    if isinstance(shown, str):
        shown = [Sighting(place, shown)]
    elif isinstance(shown, BaseException):
        shown = [*of_exception(shown, __file__), *_of_attributes(shown)]
    sought = Watched("the secret", secret)
    for each in shown:
        found = sought.found_in(each.content)
        how = f" ({found.how})" if found and found.how else ""
        law(found is None, f"the secret shows{how} in {each.place}")


def _of_attributes(error: BaseException) -> Iterator[Sighting]:
    kind = type(error).__name__
    yield Sighting(f"the args of {kind}", repr(error.args))
    for name, value in vars(error).items():
        yield Sighting(f"the attribute {name} of {kind}", repr(value))
