from __future__ import annotations

import re
import subprocess
import sys
import textwrap
import xml.etree.ElementTree as ET
from typing import NamedTuple

import pytest

# The code of somebody who is careless with secrets.
CARELESS = """
import logging

log = logging.getLogger("careless")
log.setLevel(logging.WARNING)
log.propagate = False


class Account:
    def __init__(self, password):
        self.password = password

    def __str__(self):
        return "an account"

    def __repr__(self):
        return f"Account({self.password})"

    def __del__(self):
        if self.password == "":
            return
        password = self.password
        raise ValueError("cannot be closed")


def fail(password):
    raise ValueError("no")


def log_failure(password):
    try:
        fail(password)
    except ValueError:
        log.exception("it failed")


def fail_with_cause(text):
    try:
        raise KeyError(text)
    except KeyError as error:
        raise ValueError("no") from error
"""

CONFTEST = """
import pytest


@pytest.fixture
def secrets(assert_no_leaks, request):
    yield assert_no_leaks
    with request.config.rootpath.joinpath("secrets.txt").open("a") as file:
        print(assert_no_leaks.password, assert_no_leaks.token, sep="\\n", file=file)
"""

HEAD = """
import base64, html, json, logging, os, subprocess, sys, threading, urllib.parse, warnings
import pytest
from agentkeys import Secret
from agentkeys.sync import login
import careless
"""


class Leak(NamedTuple):
    """A test that shows a secret: its code, and where the failure says it was."""

    code: str
    place: str
    fixtures: str = ""


class Sound(NamedTuple):
    """A test that keeps its secrets."""

    code: str
    fixtures: str = ""


LEAKS = {
    # Output
    "stdout": Leak("print('a', secrets.password, sep='\\n')", "password in stdout, line 2"),
    "stderr": Leak("print(secrets.token, file=sys.stderr)", "token in stderr, line 1"),
    "descriptor": Leak("os.write(2, secrets.token.encode())", "token in stderr, line 1"),
    "subprocess": Leak("subprocess.run(['echo', secrets.token])", "token in stdout, line 1"),
    "read by capsys": Leak(
        "print(secrets.token); assert secrets.token in capsys.readouterr().out",
        "token in stdout, line 1",
        "capsys",
    ),
    "read by capfd": Leak(
        "print(secrets.token); assert secrets.token in capfd.readouterr().out",
        "token in stdout, line 1",
        "capfd",
    ),
    "read by capsysbinary": Leak(
        "print(secrets.token); assert secrets.token.encode() in capsysbinary.readouterr().out",
        "token in stdout, line 1",
        "capsysbinary",
    ),
    "left in capsys": Leak("print(secrets.token)", "token in stdout, line 1", "capsys"),
    "left in capteesys": Leak("print(secrets.token)", "token in stdout, line 1", "capteesys"),
    "descriptor beside capsys": Leak(
        "os.write(1, b'x' + secrets.token.encode())", "stdout", "capsys"
    ),
    # Logging
    "log below its level": Leak(
        "careless.log.debug('as %s', secrets.token)", "token in the log, careless at DEBUG (test_"
    ),
    "log that is switched off": Leak(
        "logging.disable(logging.CRITICAL)\ntry: careless.log.error(secrets.token)\n"
        "finally: logging.disable(logging.NOTSET)",
        "token in the log, careless at ERROR",
    ),
    "argument of a log record": Leak(
        "account = careless.Account(secrets.token); careless.log.debug('as %s', account)\n"
        "account.password = ''",
        "its args",
    ),
    "extra of a log record": Leak(
        "careless.log.debug('hello', extra={'user': [secrets.token]})", "its user"
    ),
    "exception that is logged": Leak(
        "careless.log_failure(secrets.password)",
        "password in the local password of fail (careless.py:27), in the traceback of ValueError,"
        " which careless logged",
    ),
    # Warnings
    "warning": Leak(
        "with pytest.warns(UserWarning): warnings.warn(secrets.token)", "token in a UserWarning"
    ),
    "warning that pytest shows": Leak(
        "warnings.warn(secrets.password)", "password in a UserWarning"
    ),
    # Exceptions
    "raised": Leak("raise ValueError(secrets.token)", "token in the text of ValueError"),
    "locals": Leak("careless.fail(secrets.token)", "the local password of fail (careless.py:27)"),
    "cause": Leak("careless.fail_with_cause(secrets.token)", "token in the text of KeyError"),
    "note": Leak(
        "error = ValueError(); error.add_note(secrets.token); raise error", "a note of ValueError"
    ),
    "in a group": Leak(
        "raise ExceptionGroup('several', [KeyError(secrets.token)])", "the text of KeyError"
    ),
    "checked": Leak(
        "with pytest.raises(ValueError) as caught: careless.fail(secrets.token)\n"
        "secrets.check(caught)",
        "the local password of fail",
    ),
    "checked thing": Leak("secrets.check({'a': secrets.token})", "the repr of the dict checked"),
    "ended a thread": Leak(
        "t = threading.Thread(target=careless.fail, args=[secrets.token]); t.start(); t.join()",
        "which ended a thread",
    ),
    "could not be raised": Leak("careless.Account(secrets.token)", "which could not be raised"),
    # Files
    "file": Leak(
        "(tmp_path / 'x').mkdir(); (tmp_path / 'x' / 'y.log').write_text('\\n' + secrets.token)",
        "token in the file x/y.log in tmp_path, line 2",
        "tmp_path",
    ),
    "file in UTF-16": Leak(
        "(tmp_path / 'x').write_text(secrets.token, 'utf-16')", "the file x in tmp_path", "tmp_path"
    ),
    "name of a file": Leak("(tmp_path / secrets.token).touch()", "the name of a file", "tmp_path"),
    # Forms
    "percent-encoded": Leak("print(urllib.parse.quote(secrets.password))", "(percent-encoded)"),
    "in a form": Leak(
        "print(urllib.parse.urlencode({'p': secrets.password}))", "(percent-encoded)"
    ),
    "in JSON": Leak("print(json.dumps([secrets.password]))", "(JSON-escaped)"),
    "in HTML": Leak("print(html.escape(secrets.password))", "(HTML-escaped)"),
    "in hexadecimal": Leak("print(secrets.token.encode().hex())", "(in hexadecimal)"),
    "in a Basic header": Leak(
        "print(base64.b64encode(f'me:{secrets.password}'.encode()).decode())", "(in Base64)"
    ),
    "broken over lines": Leak(
        "print(f'| {secrets.token[:9]}  |\\n| {secrets.token[9:]} |')", "(broken over lines)"
    ),
    "coloured": Leak(
        "print(secrets.token[:9], secrets.token[9:], sep='\\x1b[1;36m')", "token in stdout"
    ),
    # Secrets of others
    "key of Agentity": Leak(
        "print(agentity_sync.api_keys.create('x').key.reveal())",
        "a key from Agentity in stdout",
        "agentity_sync",
    ),
    "key of Agentry": Leak(
        "print(agentry_sync.api_keys.create('x').api_key.reveal())",
        "a key from Agentry in stdout",
        "agentry_sync",
    ),
    "token of Agentity": Leak(
        "s = agentkeys_service\n"
        "print(login(s.email, s.password, base_url=s.url).refresh_token.reveal())",
        "a refresh token from Agentity in stdout",
        "agentkeys_service",
    ),
    "password of the service": Leak(
        "print(agentkeys_service.password)",
        "the password of the local service in stdout",
        "agentkeys_service",
    ),
    "watched": Leak(
        "secrets.watch(Secret('correct horse'), name='the horse'); print('correct horse')",
        "the horse in stdout",
    ),
}

SOUND = {
    "own locals": Sound(
        "token = secrets.token\n"
        "with pytest.raises(ValueError) as caught: int('x')\n"
        "secrets.check(caught)"
    ),
    "masked": Sound("print(Secret(secrets.token), repr(Secret(secrets.token)))"),
    "repr": Sound("assert secrets.token not in repr(secrets)"),
    "allowed file": Sound(
        "(tmp_path / '.env').write_text(secrets.token); secrets.allow(tmp_path / '.env')",
        "tmp_path",
    ),
    "allowed logger": Sound(
        "secrets.allow(logger='noisy'); logging.getLogger('noisy.below').debug(secrets.token)"
    ),
    "filtered": Sound(
        "class Filter(logging.Filter):\n"
        "    def filter(self, record):\n"
        "        record.msg, record.args = 'redacted', ()\n"
        "        return True\n"
        "log = logging.getLogger('filtered'); log.addFilter(Filter())\n"
        "log.error('as %s', secrets.token); log.debug(secrets.token)"
    ),
    "hidden context": Sound(
        "def hide():\n"
        "    try: raise KeyError(secrets.token)\n"
        "    except KeyError: raise ValueError('no') from None\n"
        "with pytest.raises(ValueError) as caught: hide()\n"
        "secrets.check(caught)"
    ),
    "handlers get no more": Sound(
        "log = logging.getLogger('loud'); log.debug('x'); log.error('y')\n"
        "assert caplog.messages == ['y']",
        "caplog",
    ),
    "capsys gives all": Sound(
        "print('a'); secrets.check(); print('b'); secrets.check()\n"
        "assert capsys.readouterr() == ('a\\nb\\n', ''); print('c')\n"
        "assert capsys.readouterr() == ('c\\n', '')",
        "capsys",
    ),
    "too short": Sound(
        "with pytest.raises(ValueError, match='by chance'): secrets.watch('1234567')"
    ),
}


def function(name: str, case: Leak | Sound) -> str:
    arguments = ", ".join(filter(None, ["secrets", case.fixtures]))
    return f"def {named(name)}({arguments}):\n{textwrap.indent(case.code, '    ')}\n"


def named(name: str) -> str:
    return "test_" + re.sub(r"\W", "_", name)


class Ran(NamedTuple):
    """What became of the suite."""

    outcomes: dict[str, str]
    printed: str
    secrets: list[str]


@pytest.fixture(scope="module")
def ran(tmp_path_factory) -> Ran:
    """Run every leak as a test of its own, all in one process."""
    folder = tmp_path_factory.mktemp("careless")
    tests = [function(name, case) for name, case in {**LEAKS, **SOUND}.items()]
    (folder / "careless.py").write_text(CARELESS)
    (folder / "conftest.py").write_text(CONFTEST)
    (folder / "test_it.py").write_text("\n\n".join([HEAD, *tests]))
    options = [
        "-p",
        "no:cacheprovider",
        "-p",
        "no:asyncio",
        "-p",
        "no:anyio",
        "-rA",
        "--showlocals",
    ]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *options, "--junitxml=report.xml", "--basetemp=tmp"],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    report = (folder / "report.xml").read_text()
    outcomes: dict[str, str] = {}
    for case in ET.fromstring(report).iter("testcase"):  # noqa: S314  # pytest's own
        texts = [f"{each.get('message')} {each.text}" for each in case if each.tag != "system-out"]
        name = case.get("name") or ""
        outcomes[name] = outcomes.get(name, "") + "\n".join(texts)
    secrets = (folder / "secrets.txt").read_text().split()
    return Ran(outcomes, done.stdout + done.stderr + report, secrets)


@pytest.mark.parametrize("name", LEAKS)
def test_a_secret_that_shows_fails_the_test(ran, name):
    """Wherever a secret shows, and however it is written, the failure says where."""
    assert LEAKS[name].place in ran.outcomes[named(name)]


@pytest.mark.parametrize("name", SOUND)
def test_what_is_sound_passes(ran, name):
    """A test whose secrets show nowhere, or where it allowed them, is left alone."""
    assert ran.outcomes[named(name)] == ""


def test_no_failure_shows_a_secret(ran):
    """Neither the terminal nor the report for machines has any of them, in all these failures."""
    assert len(ran.secrets) == 2 * (len(LEAKS) + len(SOUND))
    assert [secret for secret in ran.secrets if secret in ran.printed] == []
