"""An executor whose threads nothing has to wait for."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import Any, ParamSpec, TypeVar

from agentkeys.threads import Daemons

__all__ = ["DaemonExecutor"]

P = ParamSpec("P")
T = TypeVar("T")


class DaemonExecutor(ThreadPoolExecutor):
    """An executor whose work delays neither the end of its loop nor the exit of the process."""

    def __init__(self) -> None:
        super().__init__()  # it starts a thread only for submitted work, and `submit` is overridden
        self._daemons = Daemons("agentkeys-executor")

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Call *fn* in a daemon thread; see `Daemons`."""
        future: Future[T] = Future()
        self._daemons.do(partial(_settle, future, partial(fn, *args, **kwargs)))
        return future


def _settle(future: Future[Any], call: Callable[[], Any]) -> None:
    if not future.set_running_or_notify_cancel():
        return
    try:
        result = call()
    except BaseException as error:  # noqa: BLE001  # the future holds it
        future.set_exception(error)
    else:
        future.set_result(result)
