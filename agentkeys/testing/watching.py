"""A `LeakWatch` for one test, from the fixture's set-up to pytest's report.

Its hooks are registered when the first test uses the fixture, so that other suites pay nothing.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any, Final, NamedTuple, cast

import pytest

from agentkeys.testing.leaks import LeakWatch
from agentkeys.testing.output import Output, capture_of
from agentkeys.testing.reports import (
    MaskingFormatter,
    mask_error,
    mask_report,
    mask_warning,
    of_report,
)
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
    """Watch the test of *request*, and fail its teardown if a secret shows after its call."""
    test = str(request.path)
    with pytest.MonkeyPatch.context() as patch:
        output = Output(capture_of(request), patch)
        search = Search(folder, made, output)
        watch = LeakWatch(search, test)
        hooks = _hooks_of(request.config)
        hooks.watched = _Test(request.node.nodeid, watch, search, output)
        tap(search.see, test, patch)
        _mask_live_logs(request.config, search, patch)
        yield watch
        try:
            hooks.fail(search.failure())
        finally:
            output.hand_on(search.masked)


def _mask_live_logs(config: pytest.Config, search: Search, patch: pytest.MonkeyPatch) -> None:
    """Mask the live logs of the test: `log_cli` and `log_file`."""
    logs = config.pluginmanager.get_plugin("logging-plugin")
    for name in ("log_cli_handler", "log_file_handler"):
        handler = getattr(logs, name, None)
        if handler is not None and handler.formatter is not None:
            patch.setattr(handler, "formatter", MaskingFormatter(handler.formatter, search.masked))


def _hooks_of(config: pytest.Config) -> _Hooks:
    manager = config.pluginmanager
    if not manager.has_plugin(_NAME):
        manager.register(_Hooks(is_worker=hasattr(config, "workerinput")), _NAME)
    return cast("_Hooks", manager.get_plugin(_NAME))


class _Test(NamedTuple):
    name: str
    watch: LeakWatch
    search: Search
    output: Output


class _Hooks:
    """The hooks of the watched test: the last test that used the fixture."""

    def __init__(self, *, is_worker: bool) -> None:
        self.watched: _Test | None = None
        self._is_worker = is_worker
        self._is_interrupted = False
        self._last_words = ""
        self._failure: BaseException | None = None

    def _of(self, name: str) -> _Test | None:
        test = self.watched
        # The name in a report that was masked before is masked.
        return test if test and name in {test.name, test.search.masked(test.name)} else None

    def fail(self, failure: BaseException | None) -> None:
        """Fail the teardown; after an interruption, the summary reports the leak instead."""
        if self._is_interrupted:
            self._last_words = str(failure or "")
        elif failure is not None:
            raise failure

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Report a leak in the test that was interrupted."""
        if self._last_words:
            terminalreporter.write_line(self._last_words, red=True)

    @pytest.hookimpl(wrapper=True, trylast=True)
    def pytest_runtest_call(self, item: pytest.Item) -> Generator[None, Any, Any]:
        """Fail a test in which a secret shows."""
        test = self._of(item.nodeid)
        if test is None:
            return (yield)
        self._failure = None
        test.search.see([Sighting("the test's id (give it another one with `ids`)", item.nodeid)])
        try:
            result = yield
            self._failure = test.search.failure()
            if self._failure is not None:
                raise self._failure
        finally:
            test.output.hand_on(test.search.masked)
        return result

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """Search the report, and the test's exception, which unittest reports here."""
        report = yield
        test = self._of(item.nodeid)
        if test is not None:
            test.search.see(of_report(report))
            raised = call.excinfo.value if call.excinfo else None
            if raised is not None:
                test.search.see(of_exception(raised, str(item.path)))
            self._let_a_leak_count(item, report, raised, test.search)
            mask_report(report, test.search.masked)
        return report

    def _let_a_leak_count(
        self,
        item: pytest.Item,
        report: pytest.TestReport,
        raised: BaseException | None,
        search: Search,
    ) -> None:
        """Make a leak fail a test that was expected to fail, or that failed in unittest."""
        if _is_in(raised, search.last_failure):
            # A test that expects this kind of failure knows of the leak.
            if not any("raises" in mark.kwargs for mark in item.iter_markers("xfail")):
                report.outcome = "failed"
                vars(report).pop("wasxfail", None)
        elif report.when == "call" and self._failure is not None:
            search.take_back()

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Mask texts that were added to a report after it was made, and those of subtests."""
        test = self._of(report.nodeid)
        if test is not None:
            mask_report(report, test.search.masked)
            name = test.search.masked(report.nodeid)
            if self._is_worker:
                vars(report)["agentkeys_name"] = name  # the plugin uses it if xdist permits it
            else:
                report.nodeid = name

    @pytest.hookimpl(tryfirst=True)
    def pytest_keyboard_interrupt(self, excinfo: pytest.ExceptionInfo[BaseException]) -> None:
        """Mask the reason for the end of the session: Ctrl-C, or `pytest.exit`."""
        self._is_interrupted = True
        if self.watched is not None:
            mask_error(excinfo.value, self.watched.search.masked)

    @pytest.hookimpl(tryfirst=True)
    def pytest_warning_recorded(
        self, warning_message: warnings.WarningMessage, nodeid: str
    ) -> None:
        """Mask the summary of the warnings."""
        test = self._of(nodeid)
        if test is not None:
            mask_warning(warning_message, test.search.masked)


def _is_in(raised: BaseException | None, failure: BaseException | None) -> bool:
    """Return whether *raised* is *failure*, or a group with it, as from several teardowns."""
    if isinstance(raised, BaseExceptionGroup):
        return any(_is_in(each, failure) for each in raised.exceptions)
    return raised is not None and raised is failure
