"""A store of somebody else, the one of docs/stores.md, in a wheel of its own: its keys are safe.

Both wheels are installed in a fresh environment, and all that is done there is done by a program of
that environment. It counts what others can see of it, and kills itself at the n-th such point.
"""

from __future__ import annotations

import itertools
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs
import pytest
from third_party import Installed, install

from agentkeys import PasswordLogin, Secret, sync

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.slow

NAME = "billing-bot"
UNKILLED = -1


@pytest.fixture(scope="module")
def installed(tmp_path_factory) -> Iterator[Installed]:
    with closing(install(tmp_path_factory.mktemp("third-party"))) as installed:
        yield installed


@attrs.define
class Bot:
    """A key of a local service, its database and its journal: what a kill may leave in disorder."""

    installed: Installed
    service: sync.LocalService
    keys: Any
    folder: Path
    _runs: itertools.count = attrs.field(factory=itertools.count)
    here: Any = None

    def begin(self) -> Bot:
        """Begin with no key, no database and no journal."""
        for key in self.keys.list():
            self.keys.delete(key.id)
        self.here = self.folder / str(next(self._runs))
        self.here.mkdir()
        return self

    @property
    def database(self) -> Path:
        return self.here / "secrets.db"

    @property
    def address(self) -> str:
        return f"sqlite:{self.database}#KEY"

    def do(self, does: str, *, point: int = UNKILLED, grace: float = 0.0) -> Any:
        return self.installed.do(
            does,
            point=point,
            grace=grace,
            name=NAME,
            into=self.address,
            home=str(self.here / "home"),
            url=self.service.url,
            email=self.service.email,
            password=self.service.password,
        )

    def stored(self, column: str = "secret") -> Secret | None:
        """Return what the database holds, read with nothing of ours."""
        if not self.database.exists():
            return None
        with closing(sqlite3.connect(self.database)) as database:
            if not database.execute("SELECT * FROM sqlite_master WHERE name = 'kept'").fetchall():
                return None
            rows = database.execute(f"SELECT {column} FROM kept WHERE name = 'KEY'")  # noqa: S608
            return next((Secret(value) for (value,) in rows if value), None)

    def ids(self) -> list[int]:
        return [key.id for key in self.keys.list()]

    def swept(self) -> None:
        """Sweep until nothing is left to do, and see that nothing needs a person."""
        for _ in range(3):  # the entry, what the service does late, and the key that retires
            assert self.do("sweep")["came"] == []


@pytest.fixture
def bot(installed, tmp_path) -> Iterator[Bot]:
    with sync.LocalService() as service:
        login = PasswordLogin(service.email, service.password)
        with sync.AgentityClient(login, base_url=service.url) as client:
            yield Bot(installed, service, client.api_keys, tmp_path).begin()


def test_both_come_from_their_wheels(installed):
    """And nothing from the sources."""
    for module in ("agentkeys", "agentkeys_sqlite"):
        assert installed.folder in installed.origin(module).parents


def test_a_key_lives_there(bot):
    """It is issued, rotated, taken back without being told the old secret, audited and swept."""
    [first] = bot.do("issue")["came"]
    kept = bot.stored()
    [second] = bot.do("rotate", grace=3600)["came"]
    assert bot.ids() == [first, second]
    assert bot.stored("previous") == kept
    assert bot.do("abort")["came"] == [second]
    assert bot.stored() == kept
    assert bot.ids() == [first]
    [third] = bot.do("rotate")["came"]
    bot.swept()
    assert bot.ids() == [third]
    assert bot.service.is_live(bot.stored())
    assert "AK001" not in bot.do("audit")["came"]


def test_issue_can_be_killed_anywhere(bot):
    """After a sweep there is one key whose secret is stored, or no key."""
    points = bot.do("issue")["points"]
    assert points > 50
    endings = set()
    for point in range(points):
        killed = bot.begin().do("issue", point=point) is None
        bot.swept()
        secret = bot.stored()
        assert len(bot.ids()) == (secret is not None), f"point {point}"
        assert secret is None or bot.service.is_live(secret), f"point {point}"
        endings.add((killed, secret is not None))
    assert {(True, False), (True, True)} <= endings


def test_rotate_can_be_killed_anywhere(bot):
    """The store always holds a key that works, and after a sweep there is no other one."""
    bot.do("issue")
    points = bot.do("rotate")["points"]
    assert points > 50
    endings = set()
    for point in range(points):
        bot.begin().do("issue")
        before = bot.stored()
        bot.do("rotate", point=point)
        assert bot.service.is_live(bot.stored()), f"point {point}"
        bot.swept()
        assert bot.service.is_live(bot.stored()), f"point {point}"
        assert len(bot.ids()) == 1, f"point {point}"
        endings.add(bot.stored() == before)
    assert endings == {True, False}


def test_another_database_at_the_address_needs_a_person(bot):
    """A secret that is not there may be in the database that was there before."""
    points = bot.do("issue")["points"]
    unresolved = []
    for point in range(points):
        bot.begin().do("issue", point=point)
        held = bot.stored()
        bot.database.unlink(missing_ok=True)
        unresolved += bot.do("sweep")["came"]
        assert held is None or bot.service.is_live(held), f"point {point}"
    assert any("has changed since the secret was to be written" in said for said in unresolved)


def test_the_command_line_keeps_keys_there(bot, installed):
    """It makes, rotates, takes back and sweeps with nothing but the address."""
    variables = {
        "AGENTITY_BASE_URL": bot.service.url,
        "AGENTITY_EMAIL": bot.service.email,
        "AGENTITY_PASSWORD": bot.service.password,
        "home": bot.here,
    }

    def command(*arguments: str) -> str:
        return installed.command(*arguments, **variables)

    first = command("agentity", "create", NAME, "--save", bot.address).split()
    kept = bot.stored()
    second = command("agentity", "rotate", NAME, "--save", bot.address).split()
    assert [*map(str, bot.ids())] == [*first, *second]
    assert bot.address in command("status")
    command("agentity", "abort", NAME)
    assert bot.stored() == kept
    command("sweep")
    assert [*map(str, bot.ids())] == first
