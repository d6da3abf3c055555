"""While a key is issued its secret is where it is to be kept, and nowhere else."""

from __future__ import annotations

import asyncio
import logging
import os
import subprocess
import sys
import textwrap
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
from chaos import BASE, SERVICES, Fickle, client_of, keys_of
from elsewhere import SERVERS
from killing import FORMS
from leaks import shown

from agentkeys import AgentKeysError, Secret, UncertainStoreError, issue, sync
from agentkeys.server.faults import CREATES, DELETES, Answer, MalformedJson, Reset
from agentkeys.stores import DotenvStore, open_store
from agentkeys.testing.forms import Watched

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

# It gets the secret, looks for it in all processes and in the files below its folder, and keeps it.
KEEPER = """
    import os, pathlib, sys
    secret = sys.stdin.buffer.read()
    folder = pathlib.Path(sys.argv[1])
    proc = pathlib.Path("/proc")
    places = [*proc.glob("[0-9]*/cmdline"), *proc.glob("[0-9]*/environ")]
    looked = len(places)
    places += [path for path in folder.rglob("*") if path.is_file()]
    found = []
    for place in places:
        try:
            if secret in place.read_bytes():
                found.append(place)
        except OSError:
            continue
    (folder / "found").write_text(f"{looked >= 4} {[str(each) for each in found]}")
    (folder / "kept").write_bytes(secret)
"""
FAULTS = {
    "all is well": (),
    "the answer is lost": ((CREATES, Reset()),),
    "the answer cannot be read": ((CREATES, MalformedJson()),),
    "an orphan": ((CREATES, Reset()), (DELETES, Answer(403))),
}


@pytest.fixture
def service() -> Iterator[sync.LocalService]:
    with sync.LocalService() as service:
        yield service


@pytest.fixture
def issued(service, which, way) -> Callable[[Any], None]:
    """Issue a key in one of the ways."""
    return partial(way, service, which)


@pytest.fixture
def seen(caplog, capfd) -> Callable[[], str]:
    """Give all that was logged and printed."""
    caplog.set_level(logging.DEBUG)

    def seen() -> str:
        records = [vars(record) for record in caplog.records]
        text = f"{caplog.text}{records}{capfd.readouterr()}"
        assert "api-keys" in text, "nothing was logged or printed"
        return text

    return seen


@pytest.fixture
def keeper(tmp_path) -> str:
    (tmp_path / "keeper.py").write_text(textwrap.dedent(KEEPER))
    return f"command:{sys.executable} {tmp_path}/keeper.py {tmp_path}"


def by_await(service: Any, which: str, store: Any) -> None:
    async def main() -> None:
        async with client_of(service, which) as client:
            await issue(keys_of(service, client), BASE, into=store)

    asyncio.run(main(), debug=True)


def by_waiting(service: Any, which: str, store: Any) -> None:
    twin = client_of(service, which)
    kind = sync.AgentityClient if which == "agentity" else sync.AgentryClient
    with kind(twin._session._credentials, base_url=service.url) as client:
        sync.issue(keys_of(service, client), BASE, into=store)


def by_command(service: Any, which: str, store: Any) -> None:
    words = [BASE] if which == "agentity" else [service.inbox_id, BASE]
    names = {"AGENTITY_EMAIL": service.email, "AGENTITY_PASSWORD": service.password}
    done = subprocess.run(
        [sys.executable, "-m", "agentkeys", which, "create", *words, "--save", store, "--verbose"],
        env={
            **os.environ,
            **names,
            "AGENTITY_BASE_URL": service.url,
            "AGENTRY_BASE_URL": service.url,
            "AGENTRY_API_KEY": service.agentry_token,
        },
        check=True,
        capture_output=True,
        text=True,
    )
    sys.stdout.write(done.stdout + done.stderr)


@pytest.mark.parametrize("which", SERVICES)
@pytest.mark.parametrize(
    "way", [by_await, by_waiting, pytest.param(by_command, marks=pytest.mark.slow)]
)
def test_no_process_and_no_file_shows_it(service, issued, keeper, tmp_path, seen):
    """Neither a command line nor an environment, nor the attempt's file, nor what is printed."""
    issued(keeper)
    assert (tmp_path / "found").read_text() == "True []"
    secret = (tmp_path / "kept").read_text()
    assert service.is_live(secret)
    assert secret not in seen()


@pytest.mark.parametrize("which", SERVICES)
@pytest.mark.parametrize("way", [by_await, by_waiting])
@pytest.mark.parametrize("faults", FAULTS.values(), ids=FAULTS.keys())
def test_no_log_and_no_error_shows_it(service, issued, faults, tmp_path, seen):
    """Whatever happens to the answer: only the file that keeps the secret has it in it."""
    for routes, kind in faults:
        service.faults.add(routes, kind, when="after" if routes is CREATES else "before")
    path = tmp_path / ".env"
    text = ""
    try:
        issued(f"dotenv:{path}#KEY")
    except AgentKeysError as error:
        text = shown(error)
    secret = asyncio.run(DotenvStore(path, "KEY").read()).secret
    assert "agk_live_" not in text
    if secret is None:
        assert text
        return
    assert secret.reveal() not in seen()
    files = [each for each in tmp_path.rglob("*") if each.is_file()]
    assert [each for each in files if secret.reveal() in each.read_text()] == [path]


@pytest.mark.parametrize("which", SERVICES)
@pytest.mark.parametrize("way", [by_await, by_waiting])
@pytest.mark.parametrize("mood", ["write fails before", "write fails after", "write lies"])
def test_a_store_that_says_it_is_not_quoted(issued, mood, seen):
    """A store of a user's raises errors with the secret in them: neither it nor they are shown."""
    store = Spying(mood)
    text = ""
    try:
        issued(store)
    except AgentKeysError as error:
        text = shown(error)
    assert store.seen is not None
    secret = store.seen.reveal()
    assert secret not in text
    assert secret not in seen()


class Spying(Fickle):
    """Remembers the secret that it was to keep."""

    seen: Secret | None = None

    async def write(self, secret: Secret, **expected: Any) -> Any:
        self.seen = secret
        return await super().write(secret, **expected)


@pytest.mark.parametrize("which", SERVICES)
def test_a_program_that_is_killed_may_have_kept_the_secret(service, which, seen):
    """Nobody can look, so the key is kept, and the error has its id and shows no secret."""

    async def main() -> str:
        async with client_of(service, which, timeout=2) as client:
            keys = keys_of(service, client)
            store = open_store("command:sh -c 'exec sleep 60'")
            with pytest.raises(UncertainStoreError, match="the key is kept") as caught:
                await issue(keys, BASE, into=store)
            [key] = await keys.list().collect()
            assert caught.value.key_id == key.id
            return shown(caught.value)

    text = asyncio.run(main())
    assert "more than" in text
    for prefix in ("agk_live_", "ag_"):
        assert prefix not in text
    assert "agk_live_" not in seen()


@pytest.mark.parametrize(
    ("program", "said"),
    [
        ("exit 3", "3"),
        ("cat; exit 3", "3"),
        ("cat >&2; exit 3", "3"),
    ],
    ids=["exits 3", "prints it and exits 3", "says it and exits 3"],
)
@pytest.mark.parametrize("which", SERVICES)
def test_a_program_that_fails_has_no_key(service, which, program, said, seen):
    """The key is deleted again, and what the program has printed of the secret is not shown."""

    async def main() -> str:
        async with client_of(service, which, timeout=2) as client:
            keys = keys_of(service, client)
            store = open_store(f"command:sh -c '{program}'")
            with pytest.raises(AgentKeysError, match="the new key was deleted") as caught:
                await issue(keys, BASE, into=store)
            assert await keys.list().collect() == []
            return shown(caught.value)

    text = asyncio.run(main())
    assert said in text
    for prefix in ("agk_live_", "ag_"):
        assert prefix not in text
    assert "agk_live_" not in seen()


@pytest.mark.parametrize("form", SERVERS)
@pytest.mark.parametrize("way", [by_await, by_waiting])
@pytest.mark.parametrize("lost", [False, True], ids=["stored", "lost"])
def test_no_log_and_no_error_shows_it_on_its_way_elsewhere(  # noqa: PLR0917
    service, way, form, lost, tmp_path, monkeypatch, seen
):
    """The libraries that speak to the store log bodies; nothing of them is seen."""
    folder = tmp_path / "run"
    folder.mkdir()
    address = FORMS[form].format(folder=folder, name="KEY")
    text = ""
    with SERVERS[form](tmp_path, monkeypatch) as elsewhere:
        if lost:
            elsewhere.server.troubles = [*elsewhere.lose("after"), *elsewhere.lose("before")]
        try:
            way(service, "agentry", open_store(address))
        except AgentKeysError as error:
            text = shown(error)
        secret = asyncio.run(open_store(address).read()).secret
    assert secret is not None
    assert service.is_live(secret)
    sought = Watched("the secret", secret)
    assert sought.found_in(seen() + text) is None
