"""Suites of somebody who uses the plugin, as files for `pytester`, and how to run them."""

from __future__ import annotations

import sys

import pytest

INI = """
[pytest]
addopts = -p no:cacheprovider
"""

# Fails a test that leaves a thread, a task, a connection or an open file behind.
NO_TRACE = """
import asyncio, gc, os, socket, stat, threading
import pytest


def is_left(fd):
    mode = os.fstat(fd).st_mode
    if stat.S_ISSOCK(mode):
        with socket.socket(fileno=os.dup(fd)) as copy:
            return copy.family in (socket.AF_INET, socket.AF_INET6)
    return stat.S_ISREG(mode)


def traces():
    gc.collect()
    fds = set()
    for name in os.listdir("/dev/fd"):
        try:
            if is_left(int(name)):
                fds.add(int(name))
        except OSError:
            pass  # it was the listing's own
    tasks = {t for t in gc.get_objects() if isinstance(t, asyncio.Task) and not t.done()}
    return fds | set(threading.enumerate()) | tasks


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_setup(item):
    item.traces = traces()
    return (yield)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_teardown(item):
    yield
    assert traces() - item.traces == set()
"""


def run(
    pytester: pytest.Pytester, *options: str, plugins: tuple[str, ...] | None = ()
) -> pytest.RunResult:
    """Run the suite in a process of its own, in which every warning is an error.

    *plugins* are those beside ours; None is all that are installed, which takes a second longer.
    """
    command = [sys.executable, "-X", "dev", "-W", "error", "-m", "pytest", *options]
    with pytest.MonkeyPatch.context() as env:
        if plugins is not None:
            env.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
            command += [f"-p{name}" for name in ("agentkeys", *plugins)]
        return pytester.run(*command, timeout=120)
