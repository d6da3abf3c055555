"""What pytest and its plugins tell of a test with a watch: without the secret, and without a fault.

The same suite runs as people run theirs: with all in the summary, on workers, with live logs.
"""

from __future__ import annotations

import re
import subprocess
import sys
import textwrap
import xml.etree.ElementTree as ET
from itertools import groupby
from typing import TYPE_CHECKING, NamedTuple

import pytest
from plugin_suites import INI, run

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.slow

# Composed, so that no line of code that pytest shows has it.
KNOWN = 'SECRET = "correct horse " + "battery"\n'
SECRET = "correct horse battery"

CONFTEST = """
import pytest
from known import SECRET


@pytest.fixture
def watch(assert_no_leaks):
    assert_no_leaks.watch(SECRET)
    return assert_no_leaks


@pytest.fixture
def late(watch):
    yield
    print(SECRET)


@pytest.fixture
def late_beside_another(late):
    yield
    raise ValueError("no")


@pytest.fixture
def broken(watch):
    raise ValueError(SECRET)
"""

HEAD = """
import logging, unittest, warnings
from collections import namedtuple
import pytest
from hypothesis import HealthCheck, given, note, settings, strategies
from known import SECRET


class Odd(DeprecationWarning):
    def __init__(self, one, other):
        super().__init__(one, other)
        self.other = other

    def __str__(self):
        return f"odd: {self.other}"
"""


class Case(NamedTuple):
    """A test, and what each phase of it that is reported comes to, by pytest's own words."""

    code: str
    outcomes: str
    fixtures: str = "watch"
    head: str = ""


CASES = {
    # Skipped, and expected to fail
    "skip": Case("pytest.skip(SECRET)", "skipped error"),
    "skip in a group": Case(
        "raise BaseExceptionGroup('all', [pytest.skip.Exception(SECRET)])", "skipped error"
    ),
    "skip elsewhere": Case("print(SECRET); pytest.skip('not today')", "skipped error"),
    "xfail": Case("pytest.xfail(SECRET)", "skipped error"),
    "expected to fail, and fails": Case(
        "print(SECRET); assert 0", "skipped error", head="@pytest.mark.xfail"
    ),
    "expected to fail, and leaks": Case(
        "print(SECRET)", "failed", head="@pytest.mark.xfail(strict=True)"
    ),
    "expected to fail, and checks": Case(
        "watch.check([SECRET])", "failed", head="@pytest.mark.xfail"
    ),
    "expected to fail, and leaks late": Case(
        "assert 0", "skipped error", "late", head="@pytest.mark.xfail"
    ),
    "expected to leak": Case(
        "print(SECRET)",
        "skipped",
        head="@pytest.mark.xfail(raises=pytest.fail.Exception, strict=True)",
    ),
    "checks and forgives": Case(
        "with pytest.raises(pytest.fail.Exception): watch.check([SECRET])", ""
    ),
    # Failed
    "assertion": Case("token = SECRET; assert token == 'x'", "failed error"),
    "chain": Case(
        "try: raise KeyError(SECRET)\n"
        "except KeyError as error: raise ValueError(SECRET) from error",
        "failed error",
    ),
    "group": Case("raise ExceptionGroup(SECRET, [ValueError(SECRET)])", "failed error"),
    "lines": Case(
        "lines = SECRET + '\\n' + SECRET[::-1]; watch.watch(lines); raise ValueError(lines)",
        "failed error",
    ),
    "set-up": Case("pass", "error error", "broken"),
    "several teardowns": Case("pass", "error", "late_beside_another"),
    "falsified": Case(
        "note(SECRET)\nassert text == ''",
        "failed error",
        "watch, text",
        head="@settings(suppress_health_check=list(HealthCheck), database=None)\n"
        "@given(text=strategies.just(SECRET))",
    ),
    # What others put into reports
    "property": Case("record_property('user', SECRET)", "error", "watch, record_property"),
    "nested property": Case(
        "record_property('user', {'a': (SECRET, [1])})", "error", "watch, record_property"
    ),
    "section": Case(
        "request.node.add_report_section('call', 'db', SECRET)", "error", "watch, request"
    ),
    "subtest": Case(
        "with subtests.test(SECRET, user=SECRET): print(SECRET); logging.error(SECRET); assert 0",
        "failed failed",
        "watch, subtests",
    ),
    # Warnings
    "warning": Case("warnings.warn(SECRET)", "failed"),
    "odd warning": Case("warnings.warn(Odd('x', SECRET))", "failed"),
    # Names
    "parameter": Case(
        "assert 0", "failed", "watch, secret", head="@pytest.mark.parametrize('secret', [SECRET])"
    ),
    "bytes": Case(
        "assert 0",
        "failed",
        "watch, secret",
        head="@pytest.mark.parametrize('secret', [SECRET.encode()])",
    ),
    "name of one's own": Case(
        "pass",
        "failed",
        "watch, secret",
        head="@pytest.mark.parametrize('secret', [SECRET], ids=['is-' + SECRET])",
    ),
}

UNITTEST = """
import unittest
import pytest
from known import SECRET


@pytest.mark.usefixtures("watch")
class TestOfUnittest(unittest.TestCase):
    def test_unittest_leaks(self):
        print(SECRET)

    def test_unittest_fails_and_leaks(self):
        print(SECRET)
        self.fail("no")

    def test_unittest_raises(self):
        raise ValueError(SECRET)

    def test_unittest_skips(self):
        self.skipTest(SECRET)

    @unittest.expectedFailure
    def test_unittest_expects(self):
        print(SECRET)
        self.fail("no")

    def test_unittest_subtest(self):
        with self.subTest(SECRET, user=SECRET):
            self.fail(SECRET)
"""

if pytest.version_tuple < (9,):
    for new in ("skip in a group", "subtest"):
        del CASES[new]

OF_UNITTEST = {
    "unittest leaks": "failed",
    "unittest fails and leaks": "failed error",
    "unittest raises": "failed error",
    "unittest skips": "skipped error",
    "unittest expects": "skipped error",
}

WAYS = {
    "summary": ("-rA", "-v", "--showlocals"),
    "skips": ("-rs", "-q", "--tb=native"),
    "live": ("-rA", "--log-cli-level=DEBUG", "--log-file=log.txt", "-p", "no:cacheprovider"),
    "workers": ("-rA", "-v", "-n", "1"),
}


def named(name: str) -> str:
    return "test_" + re.sub(r"\W", "_", name)


def function(name: str, case: Case) -> str:
    head = case.head + "\n" if case.head else ""
    return f"{head}def {named(name)}({case.fixtures}):\n{textwrap.indent(case.code, '    ')}\n"


class Ran(NamedTuple):
    """What became of the suite: the outcomes of each test, and all that can be read."""

    outcomes: dict[str, list[str]]
    shown: str


def run_suite(folder: Path, *options: str) -> Ran:
    (folder / "known.py").write_text(KNOWN)
    (folder / "conftest.py").write_text(CONFTEST)
    tests = [function(name, case) for name, case in CASES.items()]
    (folder / "test_it.py").write_text("\n\n".join([HEAD, *tests]))
    (folder / "test_unittest.py").write_text(UNITTEST)
    common = ("-p", "no:asyncio", "-p", "no:anyio", "--junitxml=report.xml", "--basetemp=tmp")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *common, *options],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    files = [path for path in folder.rglob("*") if path.is_file() and path.suffix != ".pyc"]
    written = [path.read_text(errors="replace") for path in files if path.name != "known.py"]
    report = (folder / "report.xml").read_text()
    return Ran(dict(outcomes(report)), "\n".join([done.stdout, done.stderr, *written]))


def outcomes(report: str) -> Iterator[tuple[str, list[str]]]:
    cases = ET.fromstring(report).iter("testcase")  # noqa: S314  # pytest's own
    by_name = groupby(cases, lambda case: (case.get("name") or "").partition("[")[0])
    words = {"skipped": "skipped", "error": "error", "failure": "failed"}
    for name, parts in by_name:
        yield name, sorted(words[each.tag] for part in parts for each in part if each.tag in words)


@pytest.mark.parametrize("way", WAYS)
def test_every_report_keeps_its_types_and_no_secret(tmp_path, way):
    """The session ends as it should, each leak is told, and the secret can be read nowhere.

    Whether a test is skipped, is expected to fail, or fails by itself: a leak fails it or its
    teardown. The secret is not on the terminal, in the report for machines, in a log file, or in
    pytest's cache.
    """
    ran = run_suite(tmp_path, *WAYS[way])
    assert "INTERNALERROR" not in ran.shown
    expected = {name: case.outcomes for name, case in CASES.items()} | OF_UNITTEST
    found = {name: ran.outcomes.get(named(name)) for name in expected}
    assert found == {name: sorted(each.split()) for name, each in expected.items()}
    # pytest prints the name that somebody gave to a test before the test can watch anything.
    shown = ran.shown.replace(f"[is-{SECRET}]", "")
    assert [line for line in shown.splitlines() if SECRET in line or SECRET[::-1] in line] == []
    assert "AssertionError: assert '**********' == 'x'" in ran.shown
    assert "DeprecationWarning: odd: **********" in ran.shown or "Odd: odd: **********" in ran.shown


INTERRUPTIONS = {
    "Ctrl-C": "raise KeyboardInterrupt(SECRET)",
    "exit": "pytest.exit(SECRET)",
}


@pytest.mark.parametrize("way", INTERRUPTIONS)
def test_an_interruption_ends_with_the_leak_and_no_traceback(pytester, way):
    """There is no report for it then: the summary says it, and the reason is masked."""
    pytester.makeini(INI)
    pytester.makeconftest(CONFTEST)
    code = f"print(SECRET); {INTERRUPTIONS[way]}"
    pytester.makepyfile(known=KNOWN, test_it=HEAD + function("interrupted", Case(code, "")))
    ran = run(pytester)
    assert ran.ret == pytest.ExitCode.INTERRUPTED
    ran.stdout.fnmatch_lines(["a secret shows: secret 1 in stdout, line 1", "!!!*: [*]* !!!*"])
    assert "Traceback" not in ran.stderr.str()
    assert SECRET not in ran.stdout.str() + ran.stderr.str()
