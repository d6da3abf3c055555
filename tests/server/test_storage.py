"""Where the data lies: created private, kept, shared, and never harmed by a start that fails."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sqlite3
import stat
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest
from sqlalchemy.exc import OperationalError

from agentkeys.errors import ConfigurationError
from agentkeys.server import LocalService

pytestmark = pytest.mark.asyncio

posix = pytest.mark.skipif(os.name != "posix", reason="modes and owners are POSIX")


@pytest.fixture
def file(tmp_path):
    return tmp_path / "keys.db"


@pytest.fixture
def unprivileged():
    """A folder of somebody whom modes bind; for the time of the test that is us."""
    nobody = 65534
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if os.geteuid() != 0:
            yield folder
            folder.chmod(0o700)
            return
        os.chown(folder, nobody, -1)
        os.seteuid(nobody)
        yield folder
        os.seteuid(0)


def make(file, content=b""):
    """Write a file as mktemp makes one: for its owner alone."""
    file.touch(mode=0o600)
    file.write_bytes(content)


def url_of(file):
    return f"sqlite:///{file}"


async def refusal_of(file):
    """Start on *file*, which must fail with one sentence and leave every byte as it is."""
    before = {path: path.read_bytes() for path in file.parent.iterdir() if path.is_file()}
    with pytest.raises(ConfigurationError) as caught:
        await LocalService(database=url_of(file)).start()
    after = {path: path.read_bytes() for path in file.parent.iterdir() if path.is_file()}
    assert after == before
    assert "\n" not in str(caught.value)
    assert str(file) in str(caught.value)
    return str(caught.value)


@posix
@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077])
async def test_a_missing_file_is_created_for_its_owner_alone(api_of, file, umask):
    """The database, its write-ahead log and its index have mode 0600 whatever the umask."""
    before = os.umask(umask)
    try:
        async with LocalService(database=url_of(file)) as service:
            await api_of(service).create()
            modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in file.parent.iterdir()}
    finally:
        os.umask(before)
    assert modes == {"keys.db": 0o600, "keys.db-wal": 0o600, "keys.db-shm": 0o600}


async def test_every_start_of_a_kept_database_shows_the_same(api_of, file):
    """Account, password, token, inbox, keys and tokens are there again after a restart."""
    seen = []
    token = key = None
    for _ in range(3):
        async with LocalService(database=url_of(file)) as service:
            api = api_of(service)
            seen.append((service.email, service.password, service.agentry_token, service.inbox_id))
            token = token or await api.access_token()
            key = key or await api.create()
            assert await api.ids(token=key["api_key"]) == [key["api_key_id"]]
            assert (await api.send("GET", api.account, token=token)).status == 200
            assert (await api.login()).status == 200
    assert len(set(seen)) == 1
    assert seen[0][0] == "owner@agentkeys.local"
    assert seen[0][3] == "demo@agentkeys.local"


async def test_two_databases_have_nothing_in_common(api_of):
    """Each database has a secret of its own, and all that is derived from it."""
    async with LocalService() as one, LocalService() as other:
        assert one.password != other.password
        assert one.agentry_token != other.agentry_token
        token = await api_of(one).access_token()
        assert (await api_of(other).send("GET", "/auth/api-keys", token=token)).status == 401


async def test_an_answer_is_durable(api_of, file):
    """WAL, synchronous FULL, foreign keys; a key that was answered is there for anybody."""
    async with LocalService(database=url_of(file)) as service:
        running = service._running.database
        for pragma, value in [("journal_mode", "wal"), ("synchronous", 2), ("foreign_keys", 1)]:
            for way in (running.read, running.write):
                assert await way(pragma_of, pragma) == value
        key = await api_of(service).create()
        with contextlib.closing(sqlite3.connect(file)) as other:
            rows = other.execute("SELECT key_id FROM agentry_keys").fetchall()
    assert rows == [(key["api_key_id"],)]


def pragma_of(connection, name):
    return connection.exec_driver_sql(f"PRAGMA {name}").scalar_one()


async def test_writes_take_their_lock_at_once(file):
    """A transaction that writes begins with the lock, so it cannot fail in the middle."""
    async with LocalService(database=url_of(file)) as service:
        running = service._running.database

        def locked(connection):
            with contextlib.closing(sqlite3.connect(file, timeout=0)) as other:
                try:
                    other.execute("BEGIN IMMEDIATE")
                except sqlite3.OperationalError:
                    return True
            return False

        assert await running.write(locked)
        assert not await running.read(locked)


@pytest.mark.parametrize(
    "content", [b"x", b"not a database" * 100, b"SQLite format 3\0" + b"\xff" * 4000, b"\0" * 4096]
)
async def test_what_is_no_database_is_refused_untouched(file, content):
    """A file of anything else ends the start with one sentence."""
    make(file, content)
    assert "is damaged" in await refusal_of(file) or "another program" in await refusal_of(file)


@pytest.mark.parametrize("page", [1, 2, 7])
async def test_a_damaged_database_is_refused_untouched(api_of, file, page):
    """Damage deep in the file is found at the start, not when a key is lost."""
    async with LocalService(database=url_of(file)) as service:
        await api_of(service).create()
    content = bytearray(file.read_bytes())
    content[page * 4096 : page * 4096 + 200] = b"\xff" * 200
    file.write_bytes(content)
    file_before = file.read_bytes()
    with pytest.raises(ConfigurationError, match="is damaged"):
        await LocalService(database=url_of(file)).start()
    assert file.read_bytes() == file_before


async def test_a_database_cut_short_is_refused_untouched(file):
    """Half a file is no database."""
    async with LocalService(database=url_of(file)):
        pass
    file.write_bytes(file.read_bytes()[: 4096 * 3 + 100])
    with pytest.raises(ConfigurationError, match="is damaged"):
        await LocalService(database=url_of(file)).start()


async def test_a_newer_schema_is_refused_untouched(file):
    """A database of a later version is not touched by an earlier one."""
    async with LocalService(database=url_of(file)):
        pass
    with contextlib.closing(sqlite3.connect(file)) as connection:
        connection.execute("PRAGMA journal_mode=DELETE")
        connection.execute("PRAGMA user_version=3")
    assert "upgrade agentkeys" in await refusal_of(file)


async def test_a_newer_schema_in_the_write_ahead_log_is_refused(file):
    """What another process wrote and did not move to the file yet counts."""
    async with LocalService(database=url_of(file)):
        with contextlib.closing(sqlite3.connect(file)) as connection:
            connection.execute("PRAGMA user_version=3")
            with pytest.raises(ConfigurationError, match="upgrade agentkeys"):
                await LocalService(database=url_of(file)).start()


async def test_another_programs_database_is_refused_untouched(file):
    """A SQLite file that is not ours gets no tables of ours."""
    make(file)
    with contextlib.closing(sqlite3.connect(file)) as connection:
        connection.execute("CREATE TABLE cookies (id INTEGER)")
    assert "another program" in await refusal_of(file)
    with contextlib.closing(sqlite3.connect(file)) as connection:
        connection.execute("DROP TABLE cookies")
        connection.execute("PRAGMA application_id=1")
    assert "another program" in await refusal_of(file)


async def test_an_empty_file_is_a_new_database(api_of, file):
    """What mktemp makes can be used."""
    make(file)
    async with LocalService(database=url_of(file)) as service:
        await api_of(service).create()


async def test_a_folder_is_no_database(tmp_path):
    """A folder of that name, or a missing folder, ends the start with one sentence."""
    (tmp_path / "folder").mkdir()
    assert "is not a file" in await refusal_of(tmp_path / "folder")
    with pytest.raises(ConfigurationError, match="No such file or directory"):
        await LocalService(database=url_of(tmp_path / "none" / "keys.db")).start()


@posix
async def test_a_file_that_is_not_writable_is_refused_untouched(unprivileged):
    """A database that could only be read is no database to serve from."""
    file = unprivileged / "keys.db"
    async with LocalService(database=url_of(file)):
        pass
    file.chmod(0o400)
    assert "Permission denied" in await refusal_of(file)


@posix
async def test_a_folder_that_is_not_writable_is_refused_untouched(unprivileged):
    """Neither a new database nor an existing one can be used there."""
    file = unprivileged / "keys.db"
    async with LocalService(database=url_of(file)):
        pass
    unprivileged.chmod(0o500)
    assert "must be readable and writable" in await refusal_of(file)
    assert "Permission denied" in await refusal_of(unprivileged / "new.db")


@pytest.mark.parametrize(
    "database",
    [
        "keys.db",
        "",
        "postgresql://me:top-secret@host/db",
        "sqlite://host/keys.db",
        "sqlite:///keys.db?mode=ro",
        "sqlite+aiosqlite:///keys.db",
        "://",
        7,
    ],
)
async def test_what_is_not_sqlite_is_refused_without_repeating_it(database):
    """Anything but sqlite:///PATH is refused with a sentence that holds no password."""
    with pytest.raises(ConfigurationError, match="sqlite:///PATH") as caught:
        await LocalService(database=database).start()
    assert "top-secret" not in str(caught.value)


@pytest.mark.parametrize("database", ["sqlite://", "sqlite:///:memory:"])
async def test_memory_has_other_names_too(database):
    """SQLite's own addresses of a database in memory are understood."""
    async with LocalService(database=database) as service:
        assert service.url


@pytest.mark.parametrize(
    "name",
    [
        "a b.db",
        "a%20b.db",
        "a%3Fb#c.db",
        "é.db",
        pytest.param(os.fsdecode(b"x\xff.db"), marks=posix, id="not UTF-8"),
        pytest.param("a\nb'\".db", marks=posix, id="a line end"),
    ],
)
async def test_a_file_may_have_any_name(api_of, tmp_path, name):
    """What a path may hold does not confuse the address of the database, at any start."""
    for number in range(1, 4):
        async with LocalService(database=url_of(tmp_path / name)) as service:
            await api_of(service).create()
            assert len(await api_of(service).ids()) == number
    assert [path.name for path in tmp_path.iterdir()] == [name]


PROCESS = """
import asyncio, json, sys
import aiohttp
from agentkeys.server import LocalService

async def main():
    ids, path = [], "/human/v0/inboxes/demo%40agentkeys.local/api-keys"
    sys.stdin.readline()
    for _ in range(3):
        service = LocalService(database=sys.argv[1])
        async with service, aiohttp.ClientSession() as session:
            headers = {"Authorization": f"Bearer {service.agentry_token}"}
            for _ in range(10):
                url = service.url + path
                async with session.post(url, headers=headers, json={"name": "a"}) as answer:
                    assert answer.status == 201, await answer.text()
                    ids.append((await answer.json())["api_key_id"])
    print(json.dumps({"ids": ids, "token": service.agentry_token}))

asyncio.run(main())
"""


async def test_several_processes_share_a_database(api_of, file):
    """Three processes that start at once on a missing file make one database, and lose no key."""
    command = [sys.executable, "-c", PROCESS, url_of(file)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    processes = [await asyncio.create_subprocess_exec(*command, **pipes) for _ in range(3)]
    ends = await asyncio.gather(*(process.communicate(b"go\n") for process in processes))
    assert [process.returncode for process in processes] == [0, 0, 0]
    results = [json.loads(output) for output, _ in ends]
    made = {key_id for result in results for key_id in result["ids"]}
    async with LocalService(database=url_of(file)) as service:
        assert {result["token"] for result in results} == {service.agentry_token}
        listed = await api_of(service).ids("/human/v0/api-keys?limit=100")
    assert len(listed) == 90
    assert set(listed) == made


async def test_a_start_waits_for_another_that_is_making_the_database(file):
    """SQLite itself would not wait here: two first starts at once would be one failure."""
    make(file)
    service = LocalService(database=url_of(file))
    with contextlib.closing(sqlite3.connect(file, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        starting = asyncio.create_task(service.start())
        done, _ = await asyncio.wait({starting}, timeout=0.1)
        assert not done
        other.execute("COMMIT")
    await starting
    await service.close()


async def test_a_listing_does_not_wait_for_another_programs_write_lock(api_of, file):
    """Who reads needs no lock: not behind a create that waits for one, and not behind a flush."""
    async with LocalService(database=url_of(file), used_at_interval=0.001) as service:
        api = api_of(service)
        key = await api.create()
        jwt = await api.access_token()
        with contextlib.closing(sqlite3.connect(file, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            creating = asyncio.create_task(api.create(name="late"))
            async with asyncio.timeout(10):
                for _ in range(20):
                    assert await api.ids(token=key["api_key"]) == [key["api_key_id"]]
                    assert (await api.send("GET", api.account, token=jwt)).status == 200
            assert not creating.done()
            other.execute("COMMIT")
        assert (await creating)["name"] == "late"
        assert len(await api.ids()) == 2


async def test_who_waits_behind_a_lock_waits_no_second_time(file):
    """When the lock cannot be had, all who wait for it are told at once."""
    async with LocalService(database=url_of(file)) as service:
        database = service._running.database
        with contextlib.closing(sqlite3.connect(file, isolation_level=None)) as other:
            await database.write(pragma_of_patience)
            other.execute("BEGIN IMMEDIATE")
            begun = time.monotonic()
            jobs = [database.write(pragma_of, "synchronous") for _ in range(500)]
            ends = await asyncio.gather(*jobs, return_exceptions=True)
            took = time.monotonic() - begun
        assert {type(end) for end in ends} == {OperationalError}
    assert PATIENCE <= took < 3 * PATIENCE


async def test_a_database_that_stays_locked_is_a_503_and_no_more(api_of, file, caplog):
    """Whoever holds the lock for good makes writes fail, reads work, and all work afterwards."""
    async with LocalService(database=url_of(file), used_at_interval=0.001) as service:
        api = api_of(service)
        key = await api.create()
        with contextlib.closing(sqlite3.connect(file, isolation_level=None)) as other:
            await service._running.database.write(pragma_of_no_patience)
            other.execute("BEGIN IMMEDIATE")
            answers = [
                await api.send(method, api.inbox, token=key["api_key"], json={"name": "a"})
                for method in ("POST", "GET", "POST")
            ]
            assert [answer.status for answer in answers] == [503, 200, 503]
            while "were not written" not in caplog.text:
                await api.ids()
        created = await api.create()
        assert await api.ids() == [created["api_key_id"], key["api_key_id"]]
    with contextlib.closing(sqlite3.connect(file)) as connection:
        used = connection.execute("SELECT used_at FROM agentry_keys ORDER BY sequence").fetchall()
    assert [moment is not None for (moment,) in used] == [True, False]


PATIENCE = 0.5


def pragma_of_patience(connection):
    connection.exec_driver_sql(f"PRAGMA busy_timeout={PATIENCE * 1000:.0f}")


def pragma_of_no_patience(connection):
    connection.exec_driver_sql("PRAGMA busy_timeout=0")
