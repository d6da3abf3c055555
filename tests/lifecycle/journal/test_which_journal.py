"""Which journal is used, and that its address shows nowhere."""

from __future__ import annotations

import logging
import re
import traceback
from pathlib import Path

import pytest
from chaos import client_of, keys_of
from programs import loaded_by

from agentkeys import (
    AgentKeysError,
    ConfigurationError,
    DeadlineExceededError,
    InvalidArgumentError,
    JournalError,
    RotationError,
    Secret,
    abort,
    adopt,
    announced,
    audit,
    issue,
    lease,
    rotate,
    status,
    sweep,
    sync,
)
from agentkeys.lifecycle.journal import FileJournal
from agentkeys.lifecycle.journal.postgres import PostgresJournal
from agentkeys.lifecycle.remembering import opened
from agentkeys.server import LocalService
from agentkeys.stores import MemoryStore

TESTS = Path(__file__).parents[2]
PASSWORD = "Zq8vKp2wRx7nTm4y"
UNREACHABLE = f"postgresql://tests:{PASSWORD}@127.0.0.1:9/none"
WRONG = {
    "a word": PASSWORD,
    "a store": f"vault:{PASSWORD}",
    "another database": f"mysql://tests:{PASSWORD}@127.0.0.1/none",
    "a port that is none": f"postgresql://tests:{PASSWORD}@127.0.0.1:many/none",
    "a setting that is none": f"postgresql://tests:{PASSWORD}@127.0.0.1/none?colour=blue",
    "a lease that is none": f"postgresql://tests:{PASSWORD}@127.0.0.1/none?lease=long",
    "a lease that is too short": f"postgresql://tests:{PASSWORD}@127.0.0.1/none?lease=0.5",
}


def test_files_are_the_default():
    """Without an argument, and without a variable; and by their name."""
    assert isinstance(opened(), FileJournal)
    assert isinstance(opened(Secret("files")), FileJournal)


def test_the_environment_says_which_journal(monkeypatch, database, tmp_path):
    """By its address, by a store that holds that, or by a file."""
    pytest.importorskip("psycopg")
    path = tmp_path / "address"
    path.write_text(database)
    values = {"": database, "_FROM": f"file:{path}", "_FILE": str(path)}
    for suffix, value in values.items():
        with monkeypatch.context() as patch:
            patch.setenv(f"AGENTKEYS_JOURNAL{suffix}", value)
            journal = opened()
            assert isinstance(journal, PostgresJournal)
            assert journal.survey().entries == ()
            assert journal.describe() == re.sub("//.*@", "//", database)


def test_an_argument_wins_over_the_environment(monkeypatch):
    """And a journal that is given is used as it is."""
    monkeypatch.setenv("AGENTKEYS_JOURNAL", UNREACHABLE)
    assert isinstance(opened(Secret("files")), FileJournal)
    given = FileJournal()
    assert opened(given) is given


def test_one_address_is_one_journal(database):
    """It has connections, which all calls of a process share."""
    assert opened(Secret(database)) is opened(Secret(database))


def test_two_variables_are_refused(monkeypatch):
    """As for every other secret."""
    monkeypatch.setenv("AGENTKEYS_JOURNAL", UNREACHABLE)
    monkeypatch.setenv("AGENTKEYS_JOURNAL_FILE", "/none")
    with pytest.raises(ConfigurationError, match="AGENTKEYS_JOURNAL and AGENTKEYS_JOURNAL_FILE"):
        opened()


@pytest.mark.parametrize("address", WRONG.values(), ids=WRONG)
def test_what_is_no_address_is_refused_and_not_shown(address):
    """Nor are its parts."""
    with pytest.raises(ConfigurationError) as caught:
        opened(Secret(address)).survey()
    assert PASSWORD not in shown(caught.value)


def shown(error: BaseException) -> str:
    """Return all that a traceback shows with the locals of whatever is not a test's own frame."""
    told = traceback.TracebackException.from_exception(error, capture_locals=True)
    each: traceback.TracebackException | None = told
    while each is not None:
        each.stack[:] = [frame for frame in each.stack if str(TESTS) not in frame.filename]
        each = each.__cause__ or each.__context__
    return "".join(told.format())


async def each_of(keys, address):
    """Call each function with that journal."""
    store, name = MemoryStore(), "bot"
    calls = [
        lambda: issue(keys, name, into=store, journal=address),
        lambda: rotate(keys, name, into=store, journal=address),
        lambda: sweep(keys, journal=address),
        lambda: status(keys, journal=address),
        lambda: adopt(keys, 1, into=store, name=name, journal=address),
        lambda: abort(keys, name, journal=address),
        lambda: announced(keys, name, journal=address),
        lambda: audit(keys, journal=address),
        lambda: lease(keys, name, journal=address).__aenter__(),
    ]
    for call in calls:
        with pytest.raises(AgentKeysError) as caught:
            await call()
        yield caught.value


@pytest.mark.slow
@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("address", "kind"),
    [
        # The last one is that of `adopt`, which lists first.
        (UNREACHABLE, (JournalError, DeadlineExceededError, RotationError)),
        (WRONG["a word"], ConfigurationError),
        (5, InvalidArgumentError),
    ],
    ids=["away", "wrong", "int"],
)
async def test_no_error_of_any_function_shows_the_password(address, kind, caplog):
    """Neither its text, nor its frames, nor what was logged."""
    caplog.set_level(logging.DEBUG)
    async with LocalService() as service, client_of(service, "agentry", timeout=2) as client:
        async for error in each_of(keys_of(service, client), address):
            assert isinstance(error, kind)
            assert PASSWORD not in shown(error)
    assert PASSWORD not in caplog.text


def test_the_blocking_twins_show_it_as_little():
    """They have frames of their own."""
    with sync.LocalService() as service:
        with sync.AgentryClient(service.agentry_token, base_url=service.url) as client:
            keys, wrong = client.api_keys, WRONG["a word"]
            calls = [
                lambda: sync.issue(keys, "bot", into=MemoryStore(), journal=wrong),
                lambda: sync.sweep(keys, journal=wrong),
                lambda: sync.status(keys, journal=wrong),
                lambda: sync.audit(keys, journal=wrong),
                lambda: sync.lease(keys, "bot", journal=wrong),
            ]
            for call in calls:
                with pytest.raises(ConfigurationError) as caught:
                    call()
                assert PASSWORD not in shown(caught.value)


def test_who_uses_files_imports_no_database(tmp_path: Path):
    """`issue` costs what it did."""
    code = "from agentkeys import issue, sweep, status; from agentkeys.sync import rotate"
    assert not loaded_by(code) & {"psycopg", "sqlalchemy", "agentkeys.lifecycle.journal.postgres"}
