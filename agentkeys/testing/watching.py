"""A `LeakWatch` for one test: from the fixture's set-up to pytest's report.

Its hooks are registered when the first test asks for it, so that others pay nothing for them.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any, Final, cast

import pytest

from agentkeys.testing.leaks import LeakWatch
from agentkeys.testing.output import Output, capture_of
from agentkeys.testing.sightings import Sighting, of_exception
from agentkeys.testing.taps import tap

if TYPE_CHECKING:
    import warnings
    from collections.abc import Generator, Iterator
    from pathlib import Path

    from agentkeys.testing.made import Made

__all__ = ["watching"]

_NAME: Final = "agentkeys-leaks"


@contextlib.contextmanager
def watching(request: pytest.FixtureRequest, folder: Path, made: Made) -> Iterator[LeakWatch]:
    """Watch the test of *request*, and fail its teardown for what shows after its call."""
    test = str(request.path)
    with pytest.MonkeyPatch.context() as patch:
        output = Output(capture_of(request), patch)
        watch = LeakWatch(test, folder, made, output)
        _hooks_of(request.config).begin(request.node.nodeid, watch, output)
        tap(watch.see, test, patch)
        yield watch
        try:
            watch.check()
        finally:
            output.hand_on(watch.masked)


def _hooks_of(config: pytest.Config) -> _Hooks:
    manager = config.pluginmanager
    if not manager.has_plugin(_NAME):
        manager.register(_Hooks(), _NAME)
    return cast("_Hooks", manager.get_plugin(_NAME))


class _Hooks:
    """What pytest calls around the test that is watched: the last one that asked for it."""

    def __init__(self) -> None:
        self._watched: tuple[str, LeakWatch, Output] | None = None

    def begin(self, test: str, watch: LeakWatch, output: Output) -> None:
        """Watch this test."""
        self._watched = test, watch, output

    def _of(self, test: str) -> tuple[LeakWatch, Output] | None:
        if self._watched is None or self._watched[0] != test:
            return None
        return self._watched[1:]

    @pytest.hookimpl(wrapper=True, trylast=True)
    def pytest_runtest_call(self, item: pytest.Item) -> Generator[None, Any, Any]:
        """Fail a test in which a secret shows; look at what it raised, if it failed by itself."""
        watched = self._of(item.nodeid)
        if watched is None:
            return (yield)
        watch, output = watched
        try:
            result = yield
            watch.check()
        except BaseException as error:
            watch.see(of_exception(error, str(item.path)))
            raise
        finally:
            output.hand_on(watch.masked)
        return result

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """Take note of what pytest captured itself, and show no secret in the report."""
        report = yield
        watched = self._of(item.nodeid)
        if watched is not None:
            watch, _ = watched
            _look_into(report, watch)
            _mask(report, watch)
        return report

    @pytest.hookimpl(tryfirst=True)
    def pytest_warning_recorded(
        self, warning_message: warnings.WarningMessage, nodeid: str
    ) -> None:
        """Show no secret in the summary of the warnings."""
        watched = self._of(nodeid)
        if watched is not None:
            text = str(warning_message.message)
            masked = watched[0].masked(text)
            if masked != text:
                warning_message.message = UserWarning(masked)


def _look_into(report: pytest.TestReport, watch: LeakWatch) -> None:
    # With `capsys`, what is written to the descriptors themselves gets here and nowhere else.
    for stream, text in ("stdout", report.capstdout), ("stderr", report.capstderr):
        if text:
            watch.see([Sighting(stream, text)])


def _mask(report: pytest.TestReport, watch: LeakWatch) -> None:
    report.sections = [(name, watch.masked(text)) for name, text in report.sections]
    text = report.longreprtext
    if text and watch.masked(text) != text:
        report.longrepr = watch.masked(text)
