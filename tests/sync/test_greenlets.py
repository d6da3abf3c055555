"""gevent makes greenlets of all threads: several blocking clients work there, side by side."""

from __future__ import annotations

import pytest
from samples import INBOX_KEY
from wire import answer, hang

pytestmark = pytest.mark.slow

PATCHED = """
from gevent import monkey
monkey.patch_all()
import asyncio, signal, sys, gevent
from agentkeys import AgentryClient, ClientClosedError, DeadlineExceededError, PasswordLogin, sync
from agentkeys.server.faults import NeverAnswer
def client(url=sys.argv[-1], **settings):
    return sync.AgentryClient("token", base_url=url, **settings)
def listed(client):
    return len(client.api_keys.list().collect())
"""
TWO = """
with client() as one, client() as two:
    print(listed(one), listed(two))
    print(*(job.get() for job in [gevent.spawn(listed, one), gevent.spawn(listed, two)]))
"""
BESIDE_ASYNCIO = """
async def main():
    async with AgentryClient("token", base_url=sys.argv[-1]) as client:
        return len(await client.api_keys.list().collect())
with client() as one:
    print(listed(one), asyncio.run(main()), listed(one))
"""
NOT_CLOSED = """
one, two = client(), client()
print(listed(one), listed(two))
"""
NAMES = """
url = sys.argv[-1].replace("127.0.0.1", "localhost")
clients = [client(url) for _ in range(8)]
print(*(job.get() for job in [gevent.spawn(listed, each) for each in clients]))
"""
CALLED_BACK = """
class Vault:
    def current(self):
        return None
    def secrets(self):
        return ()
    async def renew(self, caller, refused, timeout):
        print(listed(other))
        raise LookupError
other = client()
print(listed(other))
try:
    listed(sync.AgentryClient(Vault(), base_url=sys.argv[-1]))
except LookupError:
    print("raised")
print(listed(other))
"""


def reply(seen):
    """Answer with one key; a listing with a limit is never answered."""
    return hang if "limit" in seen.target else answer(200, {"api_keys": [INBOX_KEY]})


@pytest.mark.parametrize(
    ("code", "lines"),
    [
        (TWO, ["1 1", "1 1"]),
        (BESIDE_ASYNCIO, ["1 1 1"]),
        (NOT_CLOSED, ["1 1"]),
        (NAMES, ["1 1 1 1 1 1 1 1"]),
        (CALLED_BACK, ["1", "1", "raised", "1"]),
    ],
    ids=["two", "beside asyncio.run", "not closed", "names to look up", "from a callback"],
)
def test_blocking_clients_work_in_greenlets(wire, program, code, lines):
    """Each has its loop, and none takes another's for its own."""
    ended = program(PATCHED + code, wire(reply).url).end()
    assert ended[:3] == (0, lines, "")


WAITING = """
one, two = client(timeout=30), client()
def waited(timeout=None):
    try:
        one.api_keys.list(limit=1, timeout=timeout).first()
    except (ClientClosedError, DeadlineExceededError) as error:
        return type(error).__name__
waiting = gevent.spawn(waited)
while not waiting.dead and not one._portal._worker:
    gevent.sleep(0)
print(listed(two))
print(waited(0.2))
def alarm(*_):
    raise InterruptedError
signal.signal(signal.SIGALRM, alarm)
signal.setitimer(signal.ITIMER_REAL, 0.2)
try:
    two.api_keys.list(limit=1).first()
except InterruptedError:
    print("interrupted")
print(listed(two))
one.close()
print(waiting.get())
"""


def test_a_call_that_waits_lets_the_others_go_on(wire, program):
    """A deadline, a signal and `close` end it as they do in a thread."""
    ended = program(PATCHED + WAITING, wire(reply).url).end()
    lines = ["1", "DeadlineExceededError", "interrupted", "1", "ClientClosedError"]
    assert ended[:2] == (0, lines)  # gevent shows on stderr what the handler raised


LOCAL = """
with sync.LocalService() as service:
    login = PasswordLogin(service.email, service.password)
    with sync.AgentityClient(login, base_url=service.url) as agentity:
        for name in "ab":
            agentity.api_keys.create(name)
        print(listed(agentity), service.requests.count)
        print(sync.issue(agentity.api_keys, "c", into="memory:greenlets").store)
"""


def test_the_local_service_and_its_client_are_two_of_them(program):
    """With what each of them does in threads: passwords, a database, a store, the disk."""
    ended = program(PATCHED + LOCAL).end()
    assert ended[:3] == (0, ["2 4", "greenlets in the memory of this process"], "")
