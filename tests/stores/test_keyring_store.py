"""The operating system's keyring, and what goes wrong with it."""

from __future__ import annotations

import asyncio
import fcntl
import re
import threading
from pathlib import Path

import keyring
import pytest
from keyring.backend import KeyringBackend
from keyring.backends import fail, null
from keyring.backends.chainer import ChainerBackend
from keyring.errors import KeyringLocked, PasswordSetError
from leaks import shown
from programs import Program

from agentkeys import InvalidArgumentError, Secret, StoreError
from agentkeys.stores import KeyringStore, open_store
from agentkeys.testing import store_conformance

KEY = Secret("agk_live_0123456789abcdef")


@pytest.fixture(autouse=True)
def _keyring(file_keyring):
    """Every test here has a keyring of its own."""


@pytest.fixture
def store():
    return KeyringStore("agentkeys tests", "A NAME")


def error_of(call):
    async def awaited():
        await call

    with pytest.raises(StoreError) as raised:
        asyncio.run(awaited())
    assert KEY.reveal() not in shown(raised.value)
    return str(raised.value)


TestConformance = store_conformance(lambda _: KeyringStore("agentkeys tests", "A NAME"))


def test_others_find_it_in_the_keyring(store):
    """Under the service and the name that the address says."""
    assert store.address == "keyring:agentkeys tests#A NAME"
    asyncio.run(open_store(store.address).write(KEY))
    assert keyring.get_password("agentkeys tests", "A NAME") == KEY.reveal()


def test_a_probe_leaves_nothing(store, file_keyring):
    """What it has written for a moment is gone."""
    asyncio.run(store.probe())
    assert "probe" not in Path(file_keyring.file_path).read_text()


class Broken(KeyringBackend):
    """A keyring that holds nothing, and raises *error* when it is given something."""

    priority = 1

    def __init__(self, error):
        super().__init__()
        self._error = error

    def get_password(self, service, username):
        return None

    def set_password(self, service, username, password):
        raise self._error(password)

    delete_password = get_password


@pytest.mark.parametrize(
    ("backend", "reason"),
    [
        (Broken(KeyringLocked), "it is locked: unlock it"),
        (Broken(lambda said: PasswordSetError(f"no: {said}")), "failed with PasswordSetError"),
        (Broken(lambda said: UnicodeEncodeError("x", said, 0, 1, "")), "failed with UnicodeEncode"),
        (fail.Keyring(), "there is no keyring on this machine: name another"),
        (null.Keyring(), "it does not return what was written"),
    ],
    ids=["locked", "says the secret", "holds the secret", "none", "forgets"],
)
def test_a_keyring_that_fails_says_so(store, backend, reason):
    """A probe finds it, and a write does; what the keyring says of the secret is not told."""
    keyring.set_keyring(backend)
    for call in (store.probe(), store.write(KEY)):
        assert re.search(reason, error_of(call))


class Hanging(KeyringBackend):
    """A keyring that waits for somebody who does not come."""

    priority = 1

    def __init__(self):
        super().__init__()
        self.comes = threading.Event()

    def get_password(self, service, username):
        self.comes.wait()

    set_password = delete_password = get_password


def test_a_keyring_that_hangs_is_given_up():
    """In time, and without a word on what it holds."""
    backend = Hanging()
    keyring.set_keyring(backend)
    try:
        error = error_of(KeyringStore("agentkeys tests", "A NAME", timeout=0.1).read())
    finally:
        backend.comes.set()
    assert "did not answer within 0.1 s, and its content is not known" in error


EXIT = """
    import asyncio, threading
    import keyring
    from keyring.backend import KeyringBackend
    from agentkeys import StoreError
    from agentkeys.stores import open_store

    class Hanging(KeyringBackend):
        priority = 1
        def get_password(self, service, username):
            threading.Event().wait()
        set_password = delete_password = get_password

    async def main():
        reading = asyncio.ensure_future(open_store("keyring:a#b").read())
        await asyncio.sleep(0)
        raise SystemExit(5)

    keyring.set_keyring(Hanging())
    asyncio.run(main())
"""


@pytest.mark.slow
def test_a_keyring_that_hangs_keeps_no_program_from_ending():
    """Its thread is left behind."""
    program = Program(EXIT)
    try:
        ended = program.end()
    finally:
        program.kill()
    assert ended.code == 5, ended.err


FORK = """
    import asyncio, os, sys, threading
    import keyring
    from keyring.backend import KeyringBackend
    from keyring.backends import null
    from agentkeys.stores import open_store

    class Hanging(KeyringBackend):
        priority = 1
        asked = threading.Event()
        def get_password(self, service, username):
            self.asked.set()
            threading.Event().wait()
        set_password = delete_password = get_password

    store = open_store("keyring:a#b")
    keyring.set_keyring(Hanging())
    threading.Thread(target=lambda: asyncio.run(store.read()), daemon=True).start()
    Hanging.asked.wait()
    child = os.fork()
    if child == 0:
        keyring.set_keyring(null.Keyring())
        print(asyncio.run(store.read()).secret)
        os._exit(0)
    os.waitpid(child, 0)
    sys.stdout.flush()
    os._exit(0)
"""


def test_a_forked_child_does_not_wait_for_its_parent():
    """A thread of the parent that uses the keyring is not there in the child."""
    program = Program(FORK)
    try:
        ended = program.end()
    finally:
        program.kill()
    assert ended.out == ["None"], ended.err


@pytest.mark.parametrize("address", ["keyring:a", "keyring:#b", "keyring:a#"])
def test_a_bad_address_is_refused(address):
    """With a sentence."""
    with pytest.raises(InvalidArgumentError, match="keyring:SERVICE#NAME"):
        open_store(address)


@pytest.mark.parametrize("name", ["", "a#b", None, 5, "a\0b"])
def test_a_bad_name_is_refused(name):
    """With a sentence; the service may have a # in it."""
    assert open_store("keyring:a#b#c").address == "keyring:a#b#c"
    with pytest.raises(InvalidArgumentError, match="the name"):
        KeyringStore("a", name)


NO_EXTRA = """
    import sys
    sys.modules["keyring"] = None
    from agentkeys import ConfigurationError
    from agentkeys.stores import open_store
    try:
        open_store("keyring:a#b")
    except ConfigurationError as error:
        print(error)
"""


def test_a_missing_extra_says_what_to_install():
    """When the store is made, and so before anything is sent."""
    program = Program(NO_EXTRA)
    try:
        ended = program.end()
    finally:
        program.kill()
    assert ended.out == ["the keyring store needs keyring: pip install 'agentkeys-sdk[keyring]'"]


WRITER = """
    import asyncio, sys
    import keyring
    from keyrings.alt.file import PlaintextKeyring
    from agentkeys import Secret
    from agentkeys.stores import open_store

    async def main(path, who):
        backend = PlaintextKeyring()
        backend.file_path = path
        keyring.set_keyring(backend)
        print("ready")
        sys.stdin.readline()
        for number in range(10):
            name = f"keyring:s#{who}-{number}"
            await open_store(name).write(Secret(f"secret of {name}"))

    asyncio.run(main(*sys.argv[1:]))
"""


def test_processes_that_write_to_a_file_keyring_lose_nothing_of_each_other(tmp_path, file_keyring):
    """Six of them, each with names of its own: the file is rewritten as a whole for each."""
    folder = tmp_path / "not there yet"
    file_keyring.file_path = str(folder / "keyring.cfg")
    writers = [Program(WRITER, file_keyring.file_path, str(who)) for who in range(6)]
    try:
        for writer in writers:
            assert writer.read() == "ready"
        for writer in writers:
            writer.tell()
        assert [writer.end().err for writer in writers] == [""] * 6
    finally:
        for writer in writers:
            writer.kill()
    names = [f"{who}-{number}" for who in range(6) for number in range(10)]
    kept = [keyring.get_password("s", name) for name in names]
    assert kept == [f"secret of keyring:s#{name}" for name in names]
    assert [each.name for each in folder.iterdir()] == ["keyring.cfg"]


@pytest.mark.parametrize("use", ["read", "write", "remove", "probe"])
def test_every_use_of_a_file_keyring_waits_for_a_writer(tmp_path, store, file_keyring, use):
    """A reader would see half a file, and no secret in it."""
    asyncio.run(store.write(KEY))
    lock = Path(f"{file_keyring.file_path}.agentkeys-lock")
    patient = KeyringStore("agentkeys tests", "A NAME", timeout=0.05)
    with lock.open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        call = getattr(patient, use)
        assert "another process is using it" in error_of(call(KEY) if use == "write" else call())
    lock.unlink()
    assert asyncio.run(store.read()).secret == KEY


def test_a_chain_of_keyrings_is_locked_by_its_files(store, file_keyring):
    """As the library makes one of all that it finds."""

    class Chain(ChainerBackend):
        backends = (fail.Keyring(), file_keyring)

    keyring.set_keyring(Chain())
    lock = Path(f"{file_keyring.file_path}.agentkeys-lock")
    with lock.open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        patient = KeyringStore("agentkeys tests", "A NAME", timeout=0.05)
        assert "another process is using it" in error_of(patient.read())


def test_a_file_keyring_that_cannot_be_locked_can_be_read(tmp_path, store, file_keyring):
    """Who reads needs no right to write; who writes is told of the file that is in the way."""
    asyncio.run(store.write(KEY))
    lock = Path(f"{file_keyring.file_path}.agentkeys-lock")
    lock.mkdir()
    assert asyncio.run(store.read()).secret == KEY
    assert f"the lock file {lock} cannot be opened" in error_of(store.write(KEY))
