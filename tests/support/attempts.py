"""Make a call go wrong, and keep all that it leaves behind."""

from __future__ import annotations

import asyncio
import inspect
import logging
import threading
import warnings
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from places import Specimen, without_tests

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from background import Background
    from refusals import Refusal
    from troubles import Ready, Trouble
    from wire import Wire

_PROGRAM: dict[str, Any] = {}
# A program of a user's: the frames of the tests are not looked at, but this one's is.
exec("def fail(*held, said=()):\n    raise RuntimeError(*said)", _PROGRAM)  # noqa: S102


class _Kept(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)


@contextmanager
def watched() -> Iterator[tuple[list[logging.LogRecord], list[warnings.WarningMessage]]]:
    root, kept = logging.getLogger(), _Kept()
    before = root.level
    root.addHandler(kept)
    root.setLevel(logging.DEBUG)
    try:
        with warnings.catch_warnings(record=True) as warned:
            warnings.simplefilter("always")
            yield kept.records, warned
    finally:
        root.setLevel(before)
        root.removeHandler(kept)


def specimen(run: Callable[[list[object]], object], *, says: bool = True) -> Specimen:
    """Return what is left of *run*, which adds what it makes to the list that it gets.

    If it does not fail, a program fails that holds all of it and, if it *says* so, raises it.
    """
    things: list[object] = []
    with watched() as (records, warned):
        try:
            run(things)
            warnings.warn(" ".join(map(str, things)), stacklevel=1)
            _PROGRAM["fail"](*things, said=things if says else ())
        except BaseException as error:  # noqa: BLE001  # a cancellation is looked at as well
            raised = without_tests(error)
    return Specimen(raised, tuple(things), tuple(records), tuple(warned))


def awaited(trouble: Trouble, wire: Wire, background: Background) -> Specimen:
    """Call with `await`, in a loop in debug mode that logs each of its steps."""

    async def main(things: list[object]) -> None:
        asyncio.get_running_loop().slow_callback_duration = 0
        ready = trouble.ready("async", wire.url)
        client = ready.client
        things += _parts(client)
        async with client:
            call = asyncio.ensure_future(_steps(trouble, ready, things))
            if trouble.interrupted:
                await asyncio.to_thread(background.wait, wire.hung)
            if trouble.interrupted == "close":
                await client.close()
            elif trouble.interrupted == "cancel":
                call.cancel()
            await call

    return specimen(lambda things: asyncio.run(main(things), debug=True))


def _parts(client: Any) -> list[object]:
    """Return the client and all that is had from it without a request."""
    parts = [client, client.api_keys, client.api_keys.list()]
    if hasattr(client, "agent"):
        scopes = [client.inbox("i"), client.agent, client.agent.inbox("i"), client.agent.pod("p")]
        parts += [*scopes, *(scope.api_keys for scope in scopes)]
    return parts


async def _steps(trouble: Trouble, ready: Ready, things: list[object]) -> None:
    for step in trouble.steps:
        made = step(ready)
        things.append(await made if inspect.isawaitable(made) else made)


def blocking(trouble: Trouble, wire: Wire, background: Background) -> Specimen:
    """Call and wait, with a loop in debug mode in the thread behind."""

    def run(things: list[object]) -> None:
        ready = trouble.ready("blocking", wire.url)
        client = ready.client
        things += _parts(client)
        with client:
            client._portal.run(_log_each_step)
            closing = threading.Thread(target=lambda: (background.wait(wire.hung), client.close()))
            if trouble.interrupted:
                closing.start()
            try:
                for step in trouble.steps:
                    things.append(step(ready))
            finally:
                if trouble.interrupted:
                    closing.join()

    return specimen(run)


async def _log_each_step() -> None:
    loop = asyncio.get_running_loop()
    loop.set_debug(True)
    loop.slow_callback_duration = 0


def refused(refusal: Refusal, module: Any) -> Specimen:
    """Make what cannot be made."""

    def run(_: list[object]) -> None:
        made = refusal.make(module)
        if inspect.isawaitable(made):
            asyncio.run(_until_done(made))

    return specimen(run)


async def _until_done(made: Any) -> Any:
    return await made
