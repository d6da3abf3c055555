"""Law 8 in programs of their own: whatever loops there are, no warning and no socket is left."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.slow

# A warning is an error, and asyncio is in its debug mode.
STRICT = (sys.executable, "-X", "dev", "-W", "error")

PROGRAM = """
import asyncio, gc, importlib, logging, sys, threading
from agentkeys import AgentityClient, AgentryClient, PasswordLogin
from agentkeys.server.faults import LISTS, LOGIN, NeverAnswer
from agentkeys.sync import LocalService
from sockets import see_none_left, sockets

# In its debug mode asyncio says which callbacks took long: on a loaded machine, any.
logging.getLogger("asyncio").setLevel(logging.ERROR)
new_loop = importlib.import_module(sys.argv[1]).new_event_loop

def run(coroutine):
    with asyncio.Runner(loop_factory=new_loop) as runner:
        return runner.run(coroutine)

async def calls():
    new = await agentity.api_keys.create("a")
    names = [key.name async for key in agentity.api_keys.list()]
    await agentity.api_keys.delete(new.id)
    keys = await asyncio.gather(*(agentry.api_keys.list(limit=1).collect() for _ in range(5)))
    assert (names, [len(each) for each in keys]) == (["a"], [3] * 5), (names, keys)

def three_runs():
    for _ in range(3):
        run(calls())

def two_threads():
    ended = []
    def work():
        run(asyncio.wait_for(lists(), 30))
        ended.append(True)
    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert ended == [True, True]

async def lists():
    for _ in range(20):
        await agentity.api_keys.list().collect()
        assert len(await agentry.api_keys.list(limit=1).collect()) == 3

async def left(*routes):
    fault = service.faults.add(frozenset().union(*routes), NeverAnswer(), times="always")
    tasks = [
        asyncio.create_task(agentity.api_keys.list().collect()),
        asyncio.create_task(agentry.api_keys.list(limit=1).collect()),
    ]
    await asyncio.to_thread(fault.wait, 2)

def a_run_that_ends_with_requests_under_way():
    for _ in range(3):
        run(left(LISTS))
        service.faults.clear()
        run(calls())

def a_run_that_ends_with_a_login_under_way():
    global agentity
    agentity = AgentityClient(PasswordLogin(service.email, service.password), base_url=service.url)
    run(left(LISTS, LOGIN))
    service.faults.clear()
    run(calls())

def a_loop_that_is_closed_by_hand():
    loop = new_loop()
    loop.run_until_complete(calls())
    loop.run_until_complete(loop.shutdown_asyncgens())
    loop.close()
    run(calls())

def a_loop_that_is_closed_by_hand_with_requests_under_way():
    loop = new_loop()
    loop.run_until_complete(left(LISTS))
    tasks = asyncio.all_tasks(loop)
    for task in tasks:
        task.cancel()
    loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
    loop.run_until_complete(loop.shutdown_default_executor())
    loop.run_until_complete(loop.shutdown_asyncgens())
    loop.close()
    service.faults.clear()
    run(calls())

def a_loop_that_runs_now_and_then():
    with asyncio.Runner(loop_factory=new_loop) as runner:
        runner.run(calls())
        run(calls())
        runner.run(calls())

def a_loop_that_is_closed_under_its_requests():
    loop = new_loop()
    loop.run_until_complete(left(LISTS))
    loop.run_until_complete(loop.shutdown_default_executor())
    loop.close()
    del loop
    service.faults.clear()
    run(calls())

with LocalService() as service:
    agentity = AgentityClient(PasswordLogin(service.email, service.password), base_url=service.url)
    agentry = AgentryClient(service.agentry_token, base_url=service.url)
    async def prepare():
        for name in "abc":
            await agentry.api_keys.create(name)
    before = sockets()
    run(prepare())
    for name in sys.argv[2:]:
        globals()[name]()
        gc.collect()
        see_none_left(before, service)
        print(name)
    run(agentity.close())
    run(agentry.close())
"""
SCENARIOS = [
    "three_runs",
    "two_threads",
    "a_run_that_ends_with_requests_under_way",
    "a_run_that_ends_with_a_login_under_way",
    "a_loop_that_is_closed_by_hand",
    "a_loop_that_is_closed_by_hand_with_requests_under_way",
    "a_loop_that_runs_now_and_then",
]

SUITE = """
import asyncio

import pytest
import pytest_asyncio

from agentkeys import AgentryClient
from agentkeys.sync import LocalService
from sockets import see_none_left, sockets


@pytest.fixture(scope="session")
def service():
    # It is the first to be set up, and so the last to go, after every loop.
    with LocalService() as service:
        before = sockets()
        yield service
        see_none_left(before, service)


@pytest.fixture(scope="session")
def client(service):
    '''One client for all tests and all their loops; nobody closes it.'''
    return AgentryClient(service.agentry_token, base_url=service.url)


@pytest_asyncio.fixture
async def closing(service):
    async with AgentryClient(service.agentry_token, base_url=service.url) as client:
        yield client


@pytest.mark.asyncio
@pytest.mark.parametrize("n", range(3))
async def test_a_loop_for_each_test(client, closing, n):
    name = f"function {n}"
    await client.api_keys.create(name)
    assert name in [key.name async for key in closing.api_keys.list()]


@pytest.mark.asyncio(loop_scope="session")
@pytest.mark.parametrize("n", range(3))
async def test_one_loop_for_all_tests(client, n):
    name = f"session {n}"
    await client.api_keys.create(name)
    assert name in [key.name async for key in client.api_keys.list()]


@pytest.mark.asyncio
async def test_a_request_that_is_left_under_way(client):
    task = asyncio.create_task(client.api_keys.list().collect())
    await asyncio.sleep(0)


@pytest.mark.asyncio(loop_scope="session")
async def test_the_one_loop_again(client):
    assert len(await client.api_keys.list().collect()) == 6
"""


def makes(*names: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("make", names)


@makes("asyncio", "uvloop")
def test_any_order_of_loops_works_without_a_warning(make, monkeypatch):
    """Runs, threads, loops that are closed in mid-request: each leaves no socket more."""
    done = ran(monkeypatch, STRICT, make, SCENARIOS)
    assert done.stderr == ""
    assert done.stdout.split() == SCENARIOS


@makes("asyncio", "uvloop")
def test_a_loop_that_is_closed_without_a_word_leaves_no_socket(make, monkeypatch):
    """Whoever closes a loop under its tasks hears of it from asyncio; the client works on."""
    name = "a_loop_that_is_closed_under_its_requests"
    done = ran(monkeypatch, (sys.executable, "-W", "ignore"), make, [name])
    assert done.stdout.split() == [name]
    assert done.returncode == 0


def ran(monkeypatch, python: tuple[str, ...], make: str, scenarios: list[str]):
    pytest.importorskip(make, reason="CI installs it")
    monkeypatch.setenv("PYTHONPATH", support())
    command = [*python, "-c", PROGRAM, make, *scenarios]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.parametrize("mode", ["strict", pytest.param("auto", marks=pytest.mark.long)])
def test_pytest_asyncio_with_loops_of_both_scopes(mode, tmp_path: Path, monkeypatch):
    """One client for a whole suite, in loops that come and go and in one that stays."""
    monkeypatch.setenv("PYTHONPATH", support())
    (tmp_path / "test_suite.py").write_text(SUITE)
    options = ["-o", f"asyncio_mode={mode}", "-o", "asyncio_default_fixture_loop_scope=function"]
    done = subprocess.run(
        [*STRICT, "-m", "pytest", "-q", "-p", "no:cacheprovider", *options, "test_suite.py"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        cwd=tmp_path,
    )
    assert done.stderr == ""
    assert "8 passed" in done.stdout
    assert "warning" not in done.stdout


def support() -> str:
    """Return the path of `sockets`, which the programs count with."""
    import sockets

    return str(sockets.__file__).removesuffix("/sockets.py")
