"""Logins whose tokens other processes share: one of them logs in or refreshes, nothing is trusted.

Each client here has a login object of its own, as a process of its own has.
"""

from __future__ import annotations

import json
import logging
import os
import pickle
from typing import TYPE_CHECKING, Any

import pytest
import pytest_asyncio
from holding import Holding
from kept_tokens import age, entries, entry, fetched
from samples import agentity

from agentkeys import (
    AuthenticationError,
    BearerToken,
    CachedLogin,
    InvalidArgumentError,
    PasswordLogin,
    locks,
)
from agentkeys.server import LocalService
from agentkeys.server.faults import Answer, Reset

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.asyncio

ROOT = os.geteuid() == 0


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "home"
    monkeypatch.setenv("AGENTKEYS_HOME", str(folder))
    return folder


@pytest_asyncio.fixture
async def service():
    async with LocalService(access_token_lifetime=1000) as service:
        yield service


async def ask(service: LocalService, password: Any = None, **settings: Any) -> None:
    """List the keys, as another process does."""
    login = CachedLogin(PasswordLogin(service.email, password or service.password))
    async with agentity(service.url, login, **settings) as client:
        await client.api_keys.list().collect()


@pytest.fixture
def warnings(caplog: pytest.LogCaptureFixture) -> Any:
    caplog.set_level(logging.WARNING, "agentkeys")
    return lambda: [record.getMessage() for record in caplog.records]


async def test_one_login_does_for_all_who_come_later(service, home, warnings):
    """Its tokens are in a file of this user alone, and nothing else is left there."""
    for _ in range(3):
        await ask(service)
    assert fetched(service) == ["login"]
    [path] = entries(home)
    assert [each.name for each in path.parent.iterdir()] == [path.name]
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700
    assert service.password not in path.read_text()
    assert warnings() == []


async def test_tokens_that_are_about_to_end_are_refreshed_once(service, home):
    """The next one uses what the refresh gave."""
    await ask(service)
    age(home, 950)
    await ask(service)
    await ask(service)
    assert fetched(service) == ["login", "refresh"]


async def test_a_clock_that_was_set_back_costs_a_refresh(service, home):
    """The age is not known then."""
    await ask(service)
    age(home, -3600)
    await ask(service)
    assert fetched(service) == ["login", "refresh"]


async def test_a_token_that_is_refused_is_refreshed(service):
    """Whatever its age: the clock of the service is an hour ahead."""
    await ask(service)
    service.clock.advance(3600)
    await ask(service)
    assert fetched(service) == ["login", "refresh"]


async def test_a_session_that_has_ended_costs_a_login(service, home):
    """The refresh is refused as well; the tokens of before are gone."""
    await ask(service)
    before = entry(home)
    service.clock.advance(366 * 86400)
    await ask(service)
    await ask(service)
    assert fetched(service) == ["login", "refresh", "login"]
    assert entry(home)["refresh_token"] != before["refresh_token"]


async def test_the_answer_to_a_refresh_that_is_lost_costs_a_login(service, home):
    """No refresh token is sent twice."""
    await ask(service)
    age(home, 950)
    service.faults.add("POST /auth/token/refresh", Reset())
    await ask(service)
    await ask(service)
    assert fetched(service) == ["login", "refresh", "login"]


async def test_another_password_gets_no_tokens(service, home):
    """A wrong one is refused as if nothing were kept, and what is kept stays."""
    await ask(service)
    kept = entry(home)
    with pytest.raises(AuthenticationError):
        await ask(service, "wrong horse")
    assert entry(home) == kept
    await ask(service)
    assert fetched(service) == ["login", "login"]


async def test_a_password_that_was_changed_at_the_service_is_not_hidden(service, home):
    """If the tokens are refused and so is the password, nothing is kept."""
    await ask(service)
    service.clock.advance(366 * 86400)
    service.faults.add("POST /auth/token", Answer(401), times="always")
    with pytest.raises(AuthenticationError):
        await ask(service)
    assert entries(home) == []


async def test_each_account_and_each_service_has_tokens_of_its_own(service, home):
    """The same email at another address is another account."""
    await service.add_account("other@example.com", service.password)
    await ask(service)
    async with LocalService(password=service.password) as elsewhere:
        await ask(elsewhere)
        assert fetched(elsewhere) == ["login"]
    login = CachedLogin(PasswordLogin("other@example.com", service.password))
    async with agentity(service.url, login) as client:
        await client.api_keys.list().collect()
    assert fetched(service) == ["login", "login"]
    assert len(entries(home)) == 3


async def test_tokens_are_used_for_what_they_name_alone(service, home):
    """A file that was copied to the name of another account is not taken."""
    await ask(service)
    [path] = entries(home)
    kept = json.loads(path.read_text())
    path.write_text(json.dumps(kept | {"base_url": "https://elsewhere.example"}))
    await ask(service)
    assert fetched(service) == ["login", "login"]
    assert entry(home)["base_url"] == service.url


async def test_a_password_in_a_store_is_read_before_the_tokens_are_used(service):
    """Whoever cannot read it gets no tokens."""
    await ask(service)
    login = CachedLogin(PasswordLogin(service.email, password_from=Holding("wrong horse")))
    async with agentity(service.url, login) as client:
        with pytest.raises(AuthenticationError):
            await client.api_keys.list().collect()
    store = Holding(service.password)
    login = CachedLogin(PasswordLogin(service.email, password_from=store))
    async with agentity(service.url, login) as client:
        await client.api_keys.list().collect()
    assert store.reads == 1
    assert fetched(service) == ["login", "login"]


async def test_a_long_process_sees_what_the_others_have_fetched(service, home):
    """Its token is refused; that of another process is used, and no refresh is sent."""
    login = CachedLogin(PasswordLogin(service.email, service.password))
    async with agentity(service.url, login) as client:
        await client.api_keys.list().collect()
        service.clock.advance(3600)
        await ask(service)
        await client.api_keys.list().collect()
    assert fetched(service) == ["login", "refresh"]


def loosen(path: Path) -> None:
    path.chmod(0o640)


def let_write(path: Path) -> None:
    path.chmod(0o620)


def give_away(path: Path) -> None:
    os.chown(path, 12345, -1)


def link(path: Path) -> None:
    path.rename(path.with_suffix(".other"))
    path.symlink_to(path.with_suffix(".other"))


def link_hard(path: Path) -> None:
    os.link(path, path.with_suffix(".other"))


def open_folder(path: Path) -> None:
    path.parent.chmod(0o770)


def make_pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


@pytest.mark.parametrize(
    ("harm", "sentence"),
    [
        (loosen, "others may read it (chmod go-rwx takes that away)"),
        (let_write, "others may write to it (chmod go-w takes that away)"),
        pytest.param(
            give_away,
            "it belongs to another user (uid 12345)",
            marks=pytest.mark.skipif(not ROOT, reason="only root gives files away"),
        ),
        (link, "it is a link"),
        (link_hard, "it has another name somewhere (a hard link)"),
        (open_folder, "others may write to it (chmod go-w takes that away)"),
        (make_pipe, "it is not a regular file"),
    ],
)
async def test_tokens_that_others_may_have_made_are_not_used(
    service, home, warnings, harm, sentence
):
    """Law 17: the call logs in, a sentence says why, and what lies there is left alone."""
    await ask(service)
    [path] = entries(home)
    harm(path)
    before = path.lstat()
    await ask(service)
    assert fetched(service) == ["login", "login"]
    [warning] = warnings()
    assert str(path.parent) in warning
    assert warning.endswith(sentence)
    assert path.lstat() == before


@pytest.mark.parametrize(
    "torn",
    [
        *(lambda text, n=n: text[:n] for n in (0, 1, 40, 200, -1)),
        lambda _: "null",
        lambda _: "[" * 100_000,
        lambda _: "{}",
        lambda text: text.replace('"access_token": "', '"access_token": " '),
        lambda text: text.replace('"obtained_at": ', f'"obtained_at": {"9" * 400}, "x": '),
        lambda text: text.replace('"obtained_at": ', '"obtained_at": null, "x": '),
        lambda text: text.replace('"refresh_token": "', '"refresh_token": 1, "x": "'),
        lambda text: text.replace('"salt": "', '"salt": "\\ud800'),
    ],
)
async def test_a_torn_file_is_replaced(service, home, warnings, torn):
    """Nobody need know of it."""
    await ask(service)
    [path] = entries(home)
    path.write_text(torn(path.read_text()))
    await ask(service)
    await ask(service)
    assert fetched(service) == ["login", "login"]
    assert warnings() == []


async def test_a_file_of_another_version_is_left_alone(service, home, warnings):
    """It says which format it is."""
    await ask(service)
    [path] = entries(home)
    text = path.read_text().replace('"format": 1', '"format": 2')
    path.write_text(text)
    await ask(service)
    assert fetched(service) == ["login", "login"]
    [warning] = warnings()
    assert warning.endswith("another version of agentkeys wrote it (format 2)")
    assert path.read_text() == text


async def test_a_lock_that_is_never_released_is_waited_for_a_while(service, home, warnings):
    """A quarter of the call's time, and at most 5 seconds; nothing is kept then."""
    await ask(service)
    age(home, 950)
    [path] = entries(home)
    lock = str(path.with_suffix(".lock"))
    held = locks.try_hold(lock)
    try:
        await ask(service, timeout=2.0)
    finally:
        locks.drop(lock, held)
    assert fetched(service) == ["login", "login"]
    [warning] = warnings()
    assert warning.endswith("another process has held the lock for too long")


async def test_a_login_of_which_nothing_can_be_kept_is_renewed_as_any_other(
    service, tmp_path, monkeypatch, caplog
):
    """It is said once for any number of renewals; this process uses its refresh token itself."""
    caplog.set_level(logging.INFO, "agentkeys")
    (tmp_path / "file").touch()
    monkeypatch.setenv("AGENTKEYS_HOME", str(tmp_path / "file"))
    login = CachedLogin(PasswordLogin(service.email, service.password))
    async with agentity(service.url, login) as client:
        for _ in range(3):
            await client.api_keys.list().collect()
            service.clock.advance(3600)
    assert fetched(service) == ["login", "refresh", "refresh"]
    [record] = caplog.records
    assert record.getMessage().endswith("so this process logs in: File exists")


async def test_nothing_of_it_shows(service, home, assert_no_leaks):
    """The tokens are in their file and nowhere else."""
    assert_no_leaks.allow(home)
    await ask(service)
    kept = entry(home)
    for name in ("access_token", "refresh_token"):
        assert_no_leaks.watch(kept[name], name=name)
    login = CachedLogin(PasswordLogin(service.email, service.password))
    async with agentity(service.url, login) as client:
        await client.api_keys.list().collect()
    service.clock.advance(366 * 86400)
    service.faults.add("POST /auth/token", Answer(401), times="always")
    with pytest.raises(AuthenticationError) as refused:
        await ask(service)
    with pytest.raises(TypeError):
        pickle.dumps(login)
    assert login.account == service.email
    assert_no_leaks.check(refused, login, vars(login))


@pytest.mark.parametrize("wrong", ["password", None, BearerToken("token")])
async def test_only_a_login_with_a_password_is_cached(wrong):
    """What else there is has nothing to share."""
    with pytest.raises(InvalidArgumentError, match="login must be a PasswordLogin, not"):
        CachedLogin(wrong)
