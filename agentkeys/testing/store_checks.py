"""What the tests of a store look at, and how they say what is broken."""

from __future__ import annotations

import asyncio
import contextlib
import io
import logging
import secrets
import string
import traceback
from collections.abc import Awaitable, Callable, Iterator

import pytest

from agentkeys.errors import StoreConflictError, StoreError
from agentkeys.secret import Secret
from agentkeys.stores import Found, RecognizableStore, Store

__all__ = [
    "all_of",
    "cancelled_after",
    "error_of",
    "failing",
    "hidden",
    "is_as_found",
    "law",
    "made_up",
    "noted",
    "other",
    "recognizable",
    "watched",
    "won",
]

# Nothing in this module binds what a secret reveals to a name: frames are among what is searched.


def recognizable(store: Store) -> RecognizableStore:
    """Return the store, or skip the test if it declares nothing of the kind."""
    if not isinstance(store, RecognizableStore):
        pytest.skip("it is no RecognizableStore")
    return store


def failing(failure: StoreError, notes: list[Found]) -> Callable[[Found], None]:
    """Return a note that remembers what it is given, and fails."""

    def note(found: Found) -> None:
        notes.append(found)
        raise failure

    return note


def noted(store: RecognizableStore) -> Found:
    """Return what is noted of a store that holds a secret, by a write that ends there."""
    notes: list[Found] = []
    asyncio.run(store.write(made_up()))
    written = store.write_noted(made_up(), note=failing(StoreError("it ends here"), notes))
    error_of(written, StoreError)
    law(len(notes) == 1, f"a write was noted {len(notes)} times")
    return notes[0]


def is_as_found(store: RecognizableStore, found: Found) -> bool:
    """Return what the store says. That it cannot tell is never taken for a yes."""
    try:
        return asyncio.run(store.is_as_found(found))
    except StoreError:
        return False


def other(letter: str) -> str:
    """Return another letter or digit for one, and any other sign as it is."""
    for alphabet in (string.digits, string.ascii_lowercase, string.ascii_uppercase):
        if letter in alphabet:
            return alphabet[alphabet.index(letter) - 1]
    return letter


def law(held: bool, broken: str) -> None:
    """Fail with that sentence unless it held."""
    if not held:
        raise AssertionError(broken)


def made_up(length: int = 40) -> Secret:
    """Return a secret that looks like a key of Agentity's."""
    return Secret(f"agk_live_{secrets.token_urlsafe(length)[:length]}")


def won(outcome: object) -> bool:
    """Whether a write was done; raise what is no conflict."""
    if isinstance(outcome, BaseException) and not isinstance(outcome, StoreConflictError):
        raise outcome
    return not isinstance(outcome, BaseException)


async def cancelled_after(turns: int, store: Store, secret: Secret) -> Secret | None:
    """Cancel a write after so many turns of the event loop; return what the store then holds."""
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


@contextlib.contextmanager
def watched() -> Iterator[io.StringIO]:
    """Collect what is logged, by whomever and at any level."""
    text, root = io.StringIO(), logging.getLogger()
    handler, level = logging.StreamHandler(text), root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    try:
        yield text
    finally:
        root.setLevel(level)
        root.removeHandler(handler)


def all_of(error: BaseException | None) -> str:
    """Return all that can be seen of an error and its causes: the locals of every frame, too."""
    text = io.StringIO()
    while error is not None:
        seen = traceback.TracebackException.from_exception(error, capture_locals=True)
        print(*seen.format(), repr(error), error.args, vars(error), file=text)
        error = error.__cause__ or error.__context__
    return text.getvalue()


def hidden(secret: Secret, shown: str) -> None:
    """Fail if a secret shows in a text."""
    law(secret.reveal() not in shown, "the secret shows")
