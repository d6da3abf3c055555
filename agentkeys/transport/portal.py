"""Run coroutines on a private event loop that lives in a thread of its own.

Each blocking client has one portal. Its thread starts with the first call and ends with `close`,
when nothing refers to the portal any more, or when the interpreter exits. Whatever happens, no call
waits for ever, and nothing that runs in a finalizer waits at all.
"""

from __future__ import annotations

import asyncio
import atexit
import contextvars
import os
import sys
import threading
import weakref
from concurrent.futures import CancelledError, Future
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

from agentkeys import forks
from agentkeys.errors import ClientClosedError, ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

__all__ = ["Portal"]

T = TypeVar("T")

# Windows cannot interrupt a wait for a lock, so there Ctrl-C is noticed between ticks.
_TICK: Final = 0.1 if sys.platform == "win32" else None
# Seconds that cancelled calls may take for their clean-up, and the closing of the connections.
_GRACE: Final = 2.0


class Portal:
    """Runs coroutines for threads that have no event loop of their own, or must not use theirs.

    Args:
        on_close: closes what the coroutines use; it runs on the loop, as the last thing.

    """

    def __init__(self, on_close: Callable[[], Coroutine[Any, Any, None]]) -> None:
        self._on_close = on_close
        self._lock = threading.Lock()
        self._worker: _Worker | None = None
        self._closed = False
        forks.watch(self)
        _exits.watch(self)

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Run *coroutine* to its end; return what it returns, raise what it raises.

        Raises:
            ClientClosedError: the portal is closed, or was closed during the call.

        """
        call = _Call(coroutine)
        try:
            self._begin(call)
            _wait(call.future)
        except BaseException:
            # Not the coroutine's own failure, but no worker for it, or a signal in *this* thread:
            # end it, and let its clean-up run before the interruption travels on.
            call.abandon()
            raise
        finally:
            if _exits.begun:
                self.stop()
        try:
            return call.future.result()
        except CancelledError:
            pass
        raise ClientClosedError("the client was closed during the call", applied="maybe")

    def discard(self, coroutine: Coroutine[Any, Any, object]) -> None:
        """Start *coroutine* and do not wait for it. Safe in finalizers, on any thread."""
        worker = self._worker
        if worker is None or not worker.post(partial(worker.detach, coroutine)):
            coroutine.close()

    def close(self) -> None:
        """End the calls under way, close the connections, and end the thread; all of it bounded."""
        with self._lock:
            self._closed = True
        self.stop()

    def stop(self) -> None:
        """End the thread; another call would start another one."""
        with self._lock:
            worker, self._worker = self._worker, None
        if worker is not None:
            worker.stop()
            worker.join()

    def begin_afresh(self) -> object:
        """Leave the thread and its loop to the parent of a forked child."""
        inherited = (self._lock, self._worker)
        self._lock = threading.Lock()  # some other thread of the parent may have held it
        self._worker = None
        return inherited

    def _begin(self, call: _Call[Any]) -> None:
        with self._lock:
            if self._closed or sys.is_finalizing():
                raise ClientClosedError("the client is closed: make another one")
            if self._worker is None:
                self._worker = _Worker(self._on_close)
                # A portal that is dropped stops its thread; at exit there is an order to keep.
                weakref.finalize(self, self._worker.stop).atexit = False
            worker = self._worker
        if worker.is_this_thread():
            raise ConfigurationError(
                "a blocking client was called from its own event loop, where it would wait for"
                " itself: use the async client there"
            )
        call.worker = worker
        if not worker.post(call.begin):
            raise ClientClosedError("the client's thread has ended: make another client")


class _Call(Generic[T]):
    """One coroutine, from the thread that waits for it to the loop that runs it."""

    def __init__(self, coroutine: Coroutine[Any, Any, T]) -> None:
        self._coroutine = coroutine
        self._context = contextvars.copy_context()
        self._task: asyncio.Task[T] | None = None
        # Ours to settle: the one of asyncio.run_coroutine_threadsafe cannot be waited for once it
        # is cancelled.
        self.future: Future[T] = Future()
        self.worker: _Worker | None = None

    def begin(self) -> None:
        """Start the task. Runs on the loop."""
        loop = asyncio.get_running_loop()
        self._task = loop.create_task(self._coroutine, context=self._context)
        self._task.add_done_callback(self._settle)
        if self.worker is not None:
            self.worker.adopt(self._task)

    def abandon(self) -> None:
        """Cancel the task and give it some time, but no more than that."""
        # Callbacks run in the order in which they were posted: `begin` has run, or never will.
        if self.worker is None or not self.worker.post(self._cancel):
            self._coroutine.close()
            return
        with suppress(BaseException):  # another Ctrl-C ends the patience
            _wait(self.future, _GRACE)

    def _cancel(self) -> None:
        if self._task is not None:
            self._task.cancel()
        else:
            self._coroutine.close()
            self.future.cancel()

    def _settle(self, task: asyncio.Task[T]) -> None:
        if task.cancelled():
            self.future.cancel()
            self.future.set_running_or_notify_cancel()
        elif (error := task.exception()) is not None:
            self.future.set_exception(error)
        else:
            self.future.set_result(task.result())


class _Worker:
    """The loop and its thread. It must not refer to the portal, or that would never be dropped."""

    def __init__(self, on_close: Callable[[], Coroutine[Any, Any, None]]) -> None:
        self._on_close = on_close
        self._process = os.getpid()
        self._calls: set[asyncio.Task[Any]] = set()
        self._stopping = asyncio.Event()
        ready: Future[asyncio.AbstractEventLoop] = Future()
        self._thread = threading.Thread(
            target=self._main, args=(ready,), name="agentkeys", daemon=True
        )
        self._thread.start()
        self._loop = ready.result()

    def post(self, callback: Callable[[], object]) -> bool:
        """Run *callback* on the loop, soon; False if the loop is over. Takes no lock of ours."""
        if self._process != os.getpid():
            return False
        try:
            self._loop.call_soon_threadsafe(callback)
        except RuntimeError:  # the loop is closed
            return False
        return True

    def adopt(self, task: asyncio.Task[Any]) -> None:
        """Cancel *task* when the thread ends, if it is still running. Runs on the loop."""
        self._calls.add(task)
        task.add_done_callback(self._calls.discard)

    def detach(self, coroutine: Coroutine[Any, Any, object]) -> None:
        """Run *coroutine* for nobody. Runs on the loop."""
        self.adopt(self._loop.create_task(coroutine))

    def stop(self) -> None:
        """Ask the thread to end."""
        self.post(self._stopping.set)

    def join(self) -> None:
        """Wait for the thread to end, as long as its own waits may take."""
        if not self.is_this_thread():
            self._thread.join(3 * _GRACE)

    def is_this_thread(self) -> bool:
        return self._thread is threading.current_thread()

    def _main(self, ready: Future[asyncio.AbstractEventLoop]) -> None:
        try:
            runner = asyncio.Runner()
            loop = runner.get_loop()
        except BaseException as error:  # noqa: BLE001  # e.g. no file descriptor is left
            ready.set_exception(error)  # or the thread that waits for it would wait for ever
            return
        with runner:
            runner.run(self._serve(partial(ready.set_result, loop)))

    async def _serve(self, when_ready: Callable[[], None]) -> None:
        when_ready()
        await self._stopping.wait()
        # The calls first: to close the connections under them would look like a lost connection.
        for call in self._calls:
            call.cancel()
        if self._calls:
            await asyncio.wait(self._calls, timeout=_GRACE)
        with suppress(TimeoutError):
            async with asyncio.timeout(_GRACE):
                await self._on_close()


class _Exits:
    """Closes the portals that are left when the interpreter exits."""

    def __init__(self) -> None:
        self.begun = False
        self._portals: weakref.WeakSet[Portal] = weakref.WeakSet()
        self._is_hooked = False

    def watch(self, portal: Portal) -> None:
        self._portals.add(portal)
        if not self._is_hooked:
            self._is_hooked = True
            atexit.register(self._close_all)

    def _close_all(self) -> None:
        # A call that somebody's own exit handler makes after this one still works: it starts a
        # thread and ends it at once.
        self.begun = True
        for portal in list(self._portals):
            portal.stop()


_exits: Final = _Exits()


def _wait(future: Future[Any], timeout: float | None = None) -> None:
    """Wait for *future* and do not raise what it holds, or until *timeout* seconds are over."""
    while True:
        try:
            future.exception(_TICK if timeout is None else timeout)
        except CancelledError:
            return
        except TimeoutError:
            # The wait's own: that of the coroutine would have been returned, not raised.
            if timeout is not None:
                return
        else:
            return
