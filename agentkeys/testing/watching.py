"""A `LeakWatch` for one test: from the fixture's set-up to pytest's report.

Its hooks are registered when the first test asks for it, so that others pay nothing for them.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any, Final, NamedTuple, cast

import pytest

from agentkeys.testing.leaks import LeakWatch
from agentkeys.testing.output import Output, capture_of
from agentkeys.testing.search import Search
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
        search = Search(folder, made, output)
        watch = LeakWatch(search, test)
        _hooks_of(request.config).watched = _Test(request.node.nodeid, watch, search, output)
        tap(search.see, test, patch)
        yield watch
        try:
            watch.check()
        finally:
            output.hand_on(search.masked)


def _hooks_of(config: pytest.Config) -> _Hooks:
    manager = config.pluginmanager
    if not manager.has_plugin(_NAME):
        manager.register(_Hooks(), _NAME)
    return cast("_Hooks", manager.get_plugin(_NAME))


class _Test(NamedTuple):
    name: str
    watch: LeakWatch
    search: Search
    output: Output


class _Hooks:
    """What pytest calls around the test that is watched: the last one that asked for it."""

    def __init__(self) -> None:
        self.watched: _Test | None = None

    def _of(self, name: str) -> _Test | None:
        return self.watched if self.watched is not None and self.watched.name == name else None

    @pytest.hookimpl(wrapper=True, trylast=True)
    def pytest_runtest_call(self, item: pytest.Item) -> Generator[None, Any, Any]:
        """Fail a test in which a secret shows; look at what it raised, if it failed by itself."""
        test = self._of(item.nodeid)
        if test is None:
            return (yield)
        try:
            result = yield
            test.watch.check()
        except BaseException as error:
            test.search.see(of_exception(error, str(item.path)))
            raise
        finally:
            test.output.hand_on(test.search.masked)
        return result

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """Take note of what pytest captured itself, and show no secret in the report."""
        report = yield
        test = self._of(item.nodeid)
        if test is not None:
            # With `capsys`, what is written to the descriptors gets here and nowhere else.
            test.search.see(
                [Sighting("stdout", report.capstdout), Sighting("stderr", report.capstderr)]
            )
            _mask(report, test.search)
        return report

    @pytest.hookimpl(tryfirst=True)
    def pytest_warning_recorded(
        self, warning_message: warnings.WarningMessage, nodeid: str
    ) -> None:
        """Show no secret in the summary of the warnings."""
        test = self._of(nodeid)
        if test is not None:
            text = str(warning_message.message)
            masked = test.search.masked(text)
            if masked != text:
                warning_message.message = UserWarning(masked)


def _mask(report: pytest.TestReport, search: Search) -> None:
    report.sections = [(name, search.masked(text)) for name, text in report.sections]
    text = report.longreprtext
    masked = search.masked(text)
    if masked != text:
        report.longrepr = masked
