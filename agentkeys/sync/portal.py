"""Run coroutines on a private event loop in its own thread.

Each blocking client has one portal. Its thread starts with the first call. It ends with `close`,
when nothing refers to the portal any more, or when the interpreter exits. No call waits for ever,
and nothing that runs in a finalizer waits at all.
"""

from __future__ import annotations

import _thread
import asyncio
import atexit
import os
import sys
import threading
import weakref
from contextlib import AbstractContextManager, nullcontext, suppress
from functools import partial
from types import BuiltinFunctionType
from typing import TYPE_CHECKING, Any, Final, Generic, TypeAlias, TypeVar

from agentkeys import forks
from agentkeys.errors import ClientClosedError, ConfigurationError, DeadlineExceededError
from agentkeys.sync import standstill
from agentkeys.sync.executor import DaemonExecutor
from agentkeys.transport.call.wording import doubted
from agentkeys.transport.wire.loops import Generators

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from agentkeys.errors import Applied

__all__ = ["Portal", "Start"]

T = TypeVar("T")

Start: TypeAlias = "Callable[[], Coroutine[Any, Any, T]]"
"""Makes a coroutine. It is called on the loop, so that every coroutine is awaited."""

# Seconds of one wait; -1 means no limit. Windows cannot interrupt a wait for a lock, so Ctrl-C is
# noticed between these waits.
_TICK: Final = 0.1 if sys.platform == "win32" else -1
# Seconds that cancelled calls may take for their clean-up, and `on_close` for its work; more than
# `agentkeys.cancellation.GRACE`, the time of a create.
_GRACE: Final = 3.0


class Portal:
    """Runs coroutines for threads that have no event loop, or must not use their own.

    Args:
        on_close: runs on the loop when the thread is about to end. It is not needed for resources
            that close with the loop, such as the connections of a client.
        address: the address of the calls, if it is known.
    """

    def __init__(self, on_close: Start[None] | None = None, *, address: str | None = None) -> None:
        self._on_close = on_close
        self._address = address
        # A signal handler or a finalizer may make a call while this thread holds the lock.
        self._lock = threading.RLock()
        self._worker: _Worker | None = None
        self._closed = False
        forks.watch(self)
        _exits.watch(self)

    def run(self, start: Start[T]) -> T:
        """Run the coroutine of *start* to its end; return its result or raise its error.

        Raises:
            ClientClosedError: the portal is closed, or was closed during the call.
            ConfigurationError: the call would wait for itself, or for the loop of this thread.
        """
        if self._address is not None:
            standstill.check(self._address)
        call = _Call(start)
        try:
            self._begin(call)
            call.wait()
        except BaseException:
            # Not the coroutine's own failure: there is no worker for it, or a signal came in this
            # thread. Cancel it, and wait for its clean-up before the interruption is raised.
            call.abandon()
            raise
        finally:
            call.leave()
            if _exits.begun:
                self.stop()
        try:
            return call.result()
        except DeadlineExceededError as error:
            if self._address is not None:
                standstill.explain(error, self._address)
            raise
        finally:
            # Or the call and the traceback of its error, which has this frame, would keep each
            # other alive until the garbage collector runs.
            del call

    def discard(self, start: Start[object]) -> None:
        """Run the coroutine of *start* without waiting for it. Safe in finalizers and threads."""
        worker = self._worker
        if worker is not None:
            worker.post(partial(worker.detach, start))

    def close(self) -> None:
        """Cancel running calls, close the connections, and end the thread, within a time limit."""
        self._closed = True
        self.stop()

    def stop(self) -> None:
        """End the thread; another call starts a new one."""
        worker = self.release()
        if worker is not None:
            worker.stop()
            worker.join()

    def release(self) -> _Worker | None:
        """Return the thread, for other code to end it, and drop it."""
        with self._lock:
            worker, self._worker = self._worker, None
        return worker

    def begin_afresh(self) -> object:
        """Drop the thread and its loop in a forked child; they belong to the parent."""
        inherited = (self._lock, self._worker)
        self._lock = threading.RLock()  # another thread of the parent may have held it
        self._worker = None
        return inherited

    def _begin(self, call: _Call[Any]) -> None:
        # Before the lock: another thread may hold it while it waits for this thread to start.
        if self._worker is not None and self._worker.is_this_thread():
            raise ConfigurationError(
                "a blocking client was called from its own event loop, where it would wait for"
                " itself: use the async client there"
            )
        with self._lock:
            worker = self._started()
        if not call.begin_in(worker):
            raise ClientClosedError("the client's thread has ended: make a new client")

    def _started(self) -> _Worker:
        if self._worker is None and not self._is_over():
            worker = _Worker(self._on_close)
            # A portal that is dropped stops its thread; the exit needs an order.
            weakref.finalize(self, worker.stop).atexit = False
            worker.start()
            if self._worker is None:
                self._worker = worker
            else:  # a signal handler or a finalizer ran in between, and made another one
                worker.stop()
        if self._worker is None or self._is_over():
            raise ClientClosedError("the client is closed: make a new one")
        return self._worker

    def _is_over(self) -> bool:
        return self._closed or sys.is_finalizing()


class _Call(Generic[T]):
    """One coroutine, from the thread that waits for it to the loop that runs it."""

    def __init__(self, start: Start[T]) -> None:
        self._start = start
        self._task: asyncio.Task[T] | None = None
        self._worker: _Worker | None = None
        self._is_over = False
        # A bare lock, which is released when the call is over. An exception of a signal handler can
        # occur between any two steps, and would leave the Condition of a Future or an Event locked
        # for ever.
        self._latch = threading.Lock()
        self._latch.acquire()

    def begin_in(self, worker: _Worker) -> bool:
        """Schedule it on the loop of *worker*; return False if that loop is over."""
        self._worker = worker
        # First, so that the call is among those that the thread rejects at its end.
        worker.waiting.add(self)
        return worker.post(self._begin)

    def wait(self) -> None:
        """Wait until the call is over."""
        while not (self._is_over or self._latch.acquire(timeout=_TICK)):
            pass

    def result(self) -> T:
        """Return its result, or raise its error."""
        task = self._task
        if task is None or task.cancelled():
            applied: Applied = "no" if task is None else "maybe"
            what = "the client was closed during the call"
            raise ClientClosedError(what if task is None else doubted(what), applied=applied)
        try:
            return task.result()
        finally:
            del self, task  # see `Portal.run`

    def abandon(self) -> None:
        """Cancel the task, and give it some time, but no more than that."""
        # Callbacks run in the order of their scheduling: `_begin` has run, or never will.
        if self._worker is None or not self._worker.post(self._cancel):
            self.end()
        elif not self._is_over:
            with suppress(BaseException):  # another Ctrl-C ends the wait
                self._latch.acquire(timeout=_GRACE)

    def end(self) -> None:
        """Wake the waiting thread."""
        self._is_over = True
        with suppress(RuntimeError):  # it is released already
            self._latch.release()

    def leave(self) -> None:
        """Mark the call as one that nobody waits for any more."""
        if self._worker is not None:
            self._worker.waiting.discard(self)

    def _begin(self) -> None:
        worker = self._worker
        if worker is None or worker.is_ending:
            self.end()
            return
        # In the caller's context, which `call_soon_threadsafe` has copied.
        self._task = asyncio.create_task(_awaited(self._start))
        self._task.add_done_callback(self._settle)
        worker.adopt(self._task)

    def _cancel(self) -> None:
        if self._task is None:
            self.end()
        else:
            self._task.cancel()

    def _settle(self, task: asyncio.Task[T]) -> None:
        _hear(task)
        self.end()


class _Worker:
    """The loop and its thread. It must not refer to the portal, which could then not be freed.

    Attributes:
        waiting: the calls that a thread waits for.
        is_ending: whether it is too late to begin anything.
    """

    def __init__(self, on_close: Start[None] | None) -> None:
        self._on_close = on_close
        self._process = os.getpid()
        self._tasks: set[asyncio.Task[Any]] = set()
        self._stopping = asyncio.Event()
        # Created here, where it can fail (e.g. no file descriptor is left) before anything waits
        # for it.
        self._loop, self._turn = _loop_of_its_own()
        # The work of credentials in a thread must not delay its end. At exit, no other executor
        # works.
        self._loop.set_default_executor(DaemonExecutor())
        self._thread = threading.Thread(target=self._main, name="agentkeys", daemon=True)
        self.waiting: set[_Call[Any]] = set()
        self.is_ending = False

    def start(self) -> None:
        """Start the thread."""
        try:
            self._thread.start()
        except RuntimeError as error:
            self._loop.close()  # it never runs
            # CPython 3.12.0 and 3.12.1 start no thread at exit, and report it in this way
            # (python/cpython#113964).
            if "shutdown" not in str(error):
                raise
        except BaseException:  # Ctrl-C: the thread may have started unnoticed
            self.stop()
            raise
        else:
            return
        raise ClientClosedError(
            "the interpreter is exiting, and starts no threads: make calls earlier"
        )

    def post(self, callback: Callable[[], object]) -> bool:
        """Run *callback* on the loop soon; return False if the loop is over. Takes no lock."""
        if self._process != os.getpid():
            return False
        try:
            self._loop.call_soon_threadsafe(callback)
        except RuntimeError:  # the loop is closed
            return False
        return True

    def adopt(self, task: asyncio.Task[Any]) -> None:
        """Cancel *task* when the thread ends, if it is still running. Runs on the loop."""
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def detach(self, start: Start[object]) -> None:
        """Run the coroutine of *start* without a caller. Runs on the loop."""
        if not self.is_ending:
            task = self._loop.create_task(start())
            task.add_done_callback(_hear)
            self.adopt(task)

    def stop(self) -> None:
        """Ask the thread to end."""
        self.post(self._stopping.set)

    def join(self) -> None:
        """Wait for the thread to end, for as long as its own waits may take."""
        if not self.is_this_thread():
            self._thread.join(3 * _GRACE)

    def is_this_thread(self) -> bool:
        return self._thread.ident == threading.get_ident()

    def _main(self) -> None:
        try:
            with self._turn, asyncio.Runner(loop_factory=lambda: self._loop) as runner:
                runner.run(self._serve())
        except RuntimeError:
            # At exit, neither threads nor executors start; the end of the process frees everything.
            if not _exits.begun:
                raise
        finally:
            # The calls that came too late for the loop to begin them, but before it was closed.
            for call in list(self.waiting):
                call.end()

    async def _serve(self) -> None:
        generators = Generators(self._loop)
        with generators.watched():
            await self._stopping.wait()
            self.is_ending = True
            # The calls first: closing their connections would look like a lost connection.
            for task in self._tasks:
                task.cancel()
            if self._tasks:
                await asyncio.wait(self._tasks, timeout=_GRACE)
            for close in (self._on_close, generators.close):
                if close is not None:
                    with suppress(TimeoutError):
                        async with asyncio.timeout(_GRACE):
                            await close()


class _Exits:
    """Ends the remaining threads when the interpreter exits."""

    def __init__(self) -> None:
        self.begun = False
        self._portals: weakref.WeakSet[Portal] = weakref.WeakSet()
        self._is_hooked = False

    def watch(self, portal: Portal) -> None:
        self._portals.add(portal)
        if not self._is_hooked:
            self._is_hooked = True
            atexit.register(self._stop_all)

    def _stop_all(self) -> None:
        # A call from another exit handler after this one still works: it starts a thread and ends
        # it at once.
        self.begun = True
        workers = [worker for portal in list(self._portals) if (worker := portal.release())]
        for worker in workers:
            worker.stop()
        for worker in workers:
            worker.join()


_exits: Final = _Exits()


def _loop_of_its_own() -> tuple[asyncio.AbstractEventLoop, AbstractContextManager[object]]:
    """Return a loop for a thread of its own, and the context in which the thread must run it."""
    if isinstance(_thread.start_new_thread, BuiltinFunctionType):
        return asyncio.new_event_loop(), nullcontext()
    from agentkeys.sync.greenlets import loop_in_a_greenlet

    return loop_in_a_greenlet()


async def _awaited(start: Start[T]) -> T:
    # A wrong argument is a failure of the coroutine too.
    return await start()


def _hear(task: asyncio.Task[Any]) -> None:
    if not task.cancelled():
        task.exception()  # retrieve it, or asyncio would log it
