"""What the happy path of `issue` costs."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import journals
import pytest
from chaos import BASE, SERVICES
from programs import Program

from agentkeys import sync

# It counts the calls of Python's own functions, with which all that we write reaches the disk.
PROGRAM = """
    import os, sys
    from agentkeys import sync

    synced = []

    def counted(function):
        def call(descriptor):
            synced.append(os.readlink(f"/proc/self/fd/{descriptor}"))
            return function(descriptor)
        return call

    os.fsync, os.fdatasync = counted(os.fsync), counted(os.fdatasync)
    which, folder = sys.argv[1:]
    client = sync.AgentityClient() if which == "agentity" else sync.AgentryClient()
    with client:
        keys = client.api_keys
        for n in range(2):
            print("ready", flush=True)
            sys.stdin.readline()
            synced.clear()
            sync.issue(keys, "billing-bot", into=f"dotenv:{folder}/.env#KEY_{n}")
            print(len(synced), *synced)
"""


@pytest.fixture
def service(monkeypatch, tmp_path):
    with sync.LocalService() as service:
        monkeypatch.setenv("AGENTITY_BASE_URL", service.url)
        monkeypatch.setenv("AGENTITY_EMAIL", service.email)
        monkeypatch.setenv("AGENTITY_PASSWORD", service.password)
        monkeypatch.setenv("AGENTRY_BASE_URL", service.url)
        monkeypatch.setenv("AGENTRY_API_KEY", service.agentry_token)
        yield service


@pytest.mark.parametrize("which", SERVICES)
def test_one_request_and_six_fsyncs(which, service, tmp_path):
    """The first time, both folders and the parts of them are made and synced as well."""
    program = Program(PROGRAM, which, str(tmp_path))
    try:
        for turn in range(2):
            assert program.read() == "ready"
            service.requests.clear()
            program.tell()
            count, *paths = program.read().split()
            routes = [seen.route for seen in service.requests if seen.route != "POST /auth/token"]
            assert len(routes) == 1
            assert int(count) == [11, 6][turn], paths
    finally:
        program.kill()


@pytest.mark.slow
def test_strace_counts_the_same(service, tmp_path):
    """The kernel sees no other fsync, fdatasync or sync than those."""
    strace = shutil.which("strace")
    if strace is None:
        pytest.skip("this machine has no strace")
    trace = tmp_path / "trace"
    code = (
        "from agentkeys import sync\n"
        "with sync.AgentryClient() as client:\n"
        "    for n in range(2):\n"
        f"        sync.issue(client.api_keys, {BASE!r}, into=f'dotenv:{tmp_path}/.env#K{{n}}')\n"
    )
    calls = "fsync,fdatasync,sync,syncfs,sync_file_range"
    command = [strace, "-f", "-qq", "-o", trace, "-e", f"trace={calls}", sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    if "ptrace" in done.stderr:
        pytest.skip("this machine lets nobody trace")
    assert done.returncode == 0, done.stderr
    lines = [line for line in trace.read_text().splitlines() if "sync(" in line]
    assert len(lines) == 11 + 6


ROTATING = """
    import os, sys
    from agentkeys import sync

    synced = []

    def counted(function):
        def call(descriptor):
            synced.append(os.readlink(f"/proc/self/fd/{descriptor}"))
            return function(descriptor)
        return call

    os.fsync, os.fdatasync = counted(os.fsync), counted(os.fdatasync)
    which, url, one, two, into, grace = sys.argv[1:]
    if which == "agentity":
        from agentkeys import PasswordLogin
        client = sync.AgentityClient(PasswordLogin(one, two), base_url=url)
    else:
        client = sync.AgentryClient(one, base_url=url)
    with client:
        sync.issue(client.api_keys, "billing-bot", into=into)
        synced.clear()
        sync.rotate(client.api_keys, "billing-bot", into=into, grace=float(grace))
        sync.sweep(client.api_keys, force=True)
        print(len(synced), *synced)
        print([type(each.retires) for each in sync.status().retiring])
"""


@pytest.mark.parametrize("which", SERVICES)
@pytest.mark.parametrize("grace", ["0", "3600"])
def test_it_takes_eight_fsyncs_in_all(which, grace, tmp_path):
    """From its first note to the one that the old key is gone."""
    with sync.LocalService() as service:
        login = [service.email, service.password]
        words = login if which == "agentity" else [service.agentry_token, ""]
        store = f"dotenv:{tmp_path}/.env#KEY"
        program = Program(ROTATING, which, service.url, *words, store, grace)
        try:
            count, *paths = program.read().split()
            assert 4 < int(count) <= 8, paths
            assert program.read() == "[]"
        finally:
            program.kill()


LOOKING = """
    import os, sys
    from agentkeys import sync
    sys.path.insert(0, sys.argv[5])
    from journals import HERE, asking, kept
    import attrs
    from agentkeys.lifecycle.journal import FileJournal

    url, user, password, store = sys.argv[1:5]
    home, opened = os.environ["AGENTKEYS_HOME"], []

    def seen(event, args):
        if event == "open" and str(args[0]).startswith(home):
            opened.append(args[0])

    sys.addaudithook(seen)
    journal = FileJournal()
    with sync.AgentryClient(user, base_url=url) as client:
        keys = client.api_keys
        sync.issue(keys, "billing-bot", into=store)
        for others in (0, 500):
            for n in range(others):
                scope = attrs.evolve(HERE, id=f"agent{n}@acme.to")
                journal.adopt(kept(asking(scope)))
                journal.begin(asking(scope)).release()
            opened.clear()
            sync.rotate(keys, "billing-bot", into=store, grace=0)
            rotating = len(opened)
            opened.clear()
            sync.issue(keys, "other-bot", into=store.replace("KEY", f"OTHER_{others}"))
            print(rotating, len(opened))
"""


def test_a_key_costs_the_same_whatever_the_journal_holds_of_other_places(tmp_path):
    """For a thousand more, no file is opened. A rotation looks three times at each of its place."""
    with sync.LocalService() as service:
        store, support = f"dotenv:{tmp_path}/.env#KEY", Path(journals.__file__).parent
        program = Program(LOOKING, service.url, service.agentry_token, "", store, str(support))
        try:
            before, after = ([int(each) for each in program.read().split()] for _ in range(2))
            assert after == [before[0] + 3, before[1]]
        finally:
            program.kill()
