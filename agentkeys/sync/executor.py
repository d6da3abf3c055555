"""An executor for a loop that nobody waits for."""

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
    """An executor whose work nobody waits for: not the end of its loop, nor the process's exit."""

    def __init__(self) -> None:
        super().__init__()  # it starts no thread before it is given work, and it is given none
        self._daemons = Daemons("agentkeys-executor")

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Have *fn* called; see `Daemons`."""
        future: Future[T] = Future()
        self._daemons.do(partial(_settle, future, partial(fn, *args, **kwargs)))
        return future


def _settle(future: Future[Any], call: Callable[[], Any]) -> None:
    if not future.set_running_or_notify_cancel():
        return
    try:
        result = call()
    except BaseException as error:  # noqa: BLE001  # for whoever waits for it
        future.set_exception(error)
    else:
        future.set_result(result)
