"""A database that others made, can read or can change is not used; nor one that is not there."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import sqlite3
import stat
import sys

import pytest

from agentkeys.errors import ConfigurationError
from agentkeys.server import LocalService

pytestmark = [
    pytest.mark.asyncio,
    pytest.mark.skipif(os.name != "posix", reason="owners, modes and links are POSIX"),
]

root = pytest.mark.skipif(
    getattr(os, "geteuid", lambda: -1)() != 0, reason="only root can give a file to somebody else"
)

NOBODY = 65534
MADE = [
    pytest.param(lambda file: made(file, 0o666), "chmod 600", id="an empty file for all"),
    pytest.param(lambda file: made(file, 0o640), "chmod 600", id="a file for the group"),
    pytest.param(lambda file: made(file, 0o601), "chmod 600", id="a file that others may execute"),
    pytest.param(lambda file: file.symlink_to(made(file.with_name("x"))), "is a link", id="a link"),
    pytest.param(lambda file: file.symlink_to("x"), "is a link", id="a link to nothing"),
    pytest.param(lambda file: file.symlink_to("/dev/zero"), "is a link", id="a link to zeros"),
    pytest.param(
        lambda file: file.hardlink_to(made(file.with_name("x"))), "a hard link", id="a hard link"
    ),
    pytest.param(lambda file: os.mkfifo(file, 0o600), "is not a file", id="a pipe"),
    pytest.param(lambda file: file.mkdir(0o700), "is not a file", id="a folder"),
    pytest.param(
        lambda file: os.chown(made(file), NOBODY, -1),
        "another user",
        id="a file of another user",
        marks=root,
    ),
]
BESIDE = ["", "-wal", "-shm", "-journal"]


def made(file, mode=0o600):
    """Make an empty file."""
    file.touch()
    file.chmod(mode)
    return file


def url_of(file):
    return f"sqlite:///{file}"


def seen(folder):
    """What lies in a folder: what of it, whose, and since when."""
    return {
        path.name: (status.st_ino, status.st_mode, status.st_uid, status.st_nlink, status.st_size)
        for path in folder.iterdir()
        for status in [path.lstat()]
    }


async def refusal_of(file):
    """Start on *file*, which must fail with one sentence, and change nothing in its folder."""
    before = seen(file.parent)
    with pytest.raises(ConfigurationError) as caught:
        await LocalService(database=url_of(file)).start()
    assert seen(file.parent) == before
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("suffix", BESIDE)
@pytest.mark.parametrize(("make", "reason"), MADE)
async def test_what_lies_there_is_used_only_if_it_is_ours_alone(tmp_path, make, reason, suffix):
    """The file and what SQLite puts beside it: none is another's, a link, or open to others."""
    if suffix:
        made(tmp_path / "keys.db")
    make(tmp_path / f"keys.db{suffix}")
    refusal = await refusal_of(tmp_path / "keys.db")
    assert reason in refusal
    assert f"{tmp_path / 'keys.db'}{suffix}" in refusal


async def test_a_backup_that_was_restored_for_all_is_refused(api_of, tmp_path):
    """The sentence has the command that makes it private; after it, all is there."""
    file = tmp_path / "keys.db"
    async with LocalService(database=url_of(file)) as service:
        key = await api_of(service).create()
    file.chmod(0o644)
    refusal = await refusal_of(file)
    typing = await asyncio.create_subprocess_shell(refusal.rpartition(" run ")[2])
    assert await typing.wait() == 0
    async with LocalService(database=url_of(file)) as service:
        assert await api_of(service).ids() == [key["api_key_id"]]


@pytest.mark.parametrize("name", ["keys.db", "new.db"])
@pytest.mark.parametrize(
    ("owners", "mode", "reason"),
    [
        ((-1, -1), 0o777, "others can write in the folder"),
        pytest.param((-1, NOBODY), 0o770, "others can write in the folder", marks=root),
        pytest.param((NOBODY, -1), 0o755, "belongs to another user", marks=root),
        pytest.param((NOBODY, -1), 0o1777, "belongs to another user", marks=root),
    ],
)
async def test_a_folder_in_which_others_can_write_is_refused(tmp_path, name, owners, mode, reason):
    """They could exchange the file between two looks at it."""
    folder = tmp_path / "shared"
    folder.mkdir()
    made(folder / "keys.db")
    os.chown(folder, *owners)
    folder.chmod(mode)
    assert reason in await refusal_of(folder / name)


@pytest.mark.parametrize("mode", [0o700, 0o755, 0o775, 0o1777])
async def test_a_folder_of_ours_is_good(tmp_path, mode):
    """One that others may read, one of our own group, and one like /tmp."""
    folder = tmp_path / "ours"
    folder.mkdir()
    folder.chmod(mode)
    os.chown(folder, -1, os.getegid())
    for _ in range(2):
        async with LocalService(database=url_of(folder / "keys.db")):
            pass
    assert stat.S_IMODE((folder / "keys.db").stat().st_mode) == 0o600


async def statuses(api, key):
    """What three kinds of requests are answered."""
    return {
        (await api.send(method, path, token=key["api_key"], json={"name": "a"})).status
        for method, path in [
            ("POST", api.tenant),
            ("GET", api.tenant),
            ("DELETE", api.inbox + "/x"),
        ]
    }


TAKEN_AWAY = {
    "deleted": lambda file: file.unlink(),
    "moved": lambda file: file.rename(file.with_name("elsewhere")),
    "replaced": lambda file: shutil.copy(file, file.with_name("new")).replace(file),
    "its folder moved": lambda file: file.parent.rename(file.parent.with_name("elsewhere")),
    "a link in its place": lambda file: (
        file.rename(file.with_name("elsewhere")),
        file.symlink_to("elsewhere"),
    ),
}


@pytest.mark.parametrize("take", TAKEN_AWAY.values(), ids=TAKEN_AWAY)
@pytest.mark.parametrize("suffix", ["", "-wal", "-shm"])
async def test_a_database_that_was_taken_away_is_a_503(api_of, tmp_path, take, suffix, caplog):
    """A key that is answered is in the file that has the name; else nobody is told that it is."""
    folder = tmp_path / "data"
    folder.mkdir()
    async with LocalService(database=url_of(folder / "keys.db")) as service:
        api = api_of(service)
        key = await api.create(api.tenant)
        take(folder / f"keys.db{suffix}")
        assert await statuses(api, key) == {503}
        answer = await api.send("GET", api.tenant, token=key["api_key"])
        assert "deleted, moved or replaced" in answer.json["message"]
        with pytest.raises(ConfigurationError, match="deleted, moved or replaced"):
            await service.add_pod("new")
    assert str(folder / "keys.db") in caplog.text


async def test_a_database_that_is_put_back_is_used_again(api_of, tmp_path):
    """It is the same file, so nothing is lost."""
    file = tmp_path / "keys.db"
    async with LocalService(database=url_of(file)) as service:
        api = api_of(service)
        key = await api.create(api.tenant)
        file.rename(tmp_path / "elsewhere")
        assert await statuses(api, key) == {503}
        (tmp_path / "elsewhere").rename(file)
        assert key["api_key_id"] in await api.ids(api.tenant, token=key["api_key"])


async def test_another_service_in_this_process_takes_no_lock_away(api_of, tmp_path):
    """To start and to end a second one leaves the first its log, whoever comes and goes."""
    file = tmp_path / "keys.db"
    program = "import sqlite3, sys; sqlite3.connect(sys.argv[1]).execute('SELECT * FROM pods')"
    async with LocalService(database=url_of(file)) as service:
        api = api_of(service)
        await api.create()
        async with LocalService(database=url_of(file)) as other:
            await api_of(other).create()
        command = [sys.executable, "-c", program, str(file)]
        assert await (await asyncio.create_subprocess_exec(*command)).wait() == 0
        await api.create()
        with contextlib.closing(sqlite3.connect(file)) as connection:
            assert connection.execute("SELECT count(*) FROM agentry_keys").fetchone() == (3,)


def connected(file):
    return contextlib.closing(sqlite3.connect(file))


def vacuumed(file, copy):
    with connected(file) as source:
        source.execute("VACUUM INTO ?", [str(copy)])


def backed_up(file, copy):
    with connected(file) as source, connected(copy) as target:
        source.backup(target)


BACKUPS = {"VACUUM INTO": vacuumed, "the backup API": backed_up}


@pytest.mark.parametrize("back_up", BACKUPS.values(), ids=BACKUPS)
async def test_a_backup_of_a_running_service_is_whole(api_of, tmp_path, back_up):
    """What was answered before it is in it, with the log that SQLite had not moved yet."""
    file, copy = tmp_path / "keys.db", tmp_path / "backup.db"
    async with LocalService(database=url_of(file)) as service:
        api = api_of(service)
        keys = {(await api.create())["api_key_id"] for _ in range(5)}
        made(copy)
        back_up(file, copy)
        await api.create()
        token = service.agentry_token
    async with LocalService(database=url_of(copy)) as restored:
        assert restored.agentry_token == token
        assert set(await api_of(restored).ids()) == keys
