"""Name servers that do not answer hold up no call, no `close`, no loop and no exit."""

from __future__ import annotations

import signal

import pytest
from programs import NO_THREADS_AT_EXIT
from wire import answer

pytestmark = pytest.mark.slow

# The system's lookup of a name in `.example` ends when `go` is set, and not before.
SYSTEM = """
import asyncio, os, socket, sys, threading, time
asked, go = threading.Semaphore(0), threading.Event()
system = socket.getaddrinfo
questions = []
def getaddrinfo(host, *args, **kwargs):
    if str(host).endswith(".example"):
        questions.append(host)
        asked.release()
        go.wait()
        raise socket.gaierror(socket.EAI_NONAME, "no such name")
    return system(host, *args, **kwargs)
socket.getaddrinfo = getaddrinfo
import agentkeys
from agentkeys import RetryPolicy, sync
URL = "https://api.silent.example"
once = {"retry": RetryPolicy(tries=1), "timeout": 30}
def lookups():
    return [thread for thread in threading.enumerate() if thread.name == "agentkeys-lookup"]
def measured(call, *args, **kwargs):
    begun = time.monotonic()
    try:
        call(*args, **kwargs)
    except agentkeys.AgentKeysError as error:
        print(type(error).__name__, end=" ")
    print("in time" if time.monotonic() - begun < 2 else "late", flush=True)
"""
LATE = "DeadlineExceededError in time"


@pytest.fixture
def silent(program):
    """Run a program for which a name is looked up for ever."""
    return lambda code, *args: program(SYSTEM + code, *args)


def ends_at_once(running, *lines):
    """Expect *lines*, and after the last of them an exit at once."""
    for line in lines:
        assert running.read() == line
    # A program whose lookup were waited for would never end, and be killed.
    assert running.end()[:3] == (0, [], "")


BLOCKING = """
client = sync.AgentryClient("token", base_url=URL)
measured(client.api_keys.list(timeout=0.2).collect)
measured(client.close)
measured(sync.login, "me@example.com", "pw", base_url=URL, timeout=0.2)
"""
DROPPED = """
client = sync.AgentryClient("token", base_url=URL)
measured(client.api_keys.list(timeout=0.2).collect)
"""
ASYNC = """
async def main():
    async with agentkeys.AgentryClient("token", base_url=URL) as client:
        await client.api_keys.list(timeout=0.2).collect()
measured(asyncio.run, main())
"""
LEFT_OPEN = """
client = agentkeys.AgentryClient("token", base_url=URL)
measured(asyncio.run, client.api_keys.list(timeout=0.2).collect())
"""
CREDENTIALS = """
class Vault(agentkeys.BearerToken):
    def current(self):
        return None
    async def renew(self, caller, refused, timeout):
        await asyncio.to_thread(go.wait)
client = sync.AgentryClient(Vault("token"), base_url=URL)
measured(client.api_keys.list(timeout=0.2).collect)
measured(client.close)
"""


@pytest.mark.parametrize(
    ("code", "lines"),
    [
        (BLOCKING, [LATE, "in time", LATE]),
        (DROPPED, [LATE]),
        (ASYNC, [LATE]),
        (LEFT_OPEN, [LATE]),
        (CREDENTIALS, [LATE, "in time"]),
    ],
    ids=["blocking", "blocking, never closed", "async", "async, never closed", "credentials"],
)
def test_a_lookup_that_does_not_end_holds_up_neither_the_call_nor_the_exit(silent, code, lines):
    """The deadline, `close`, the end of a loop and that of the process, in both clients."""
    ends_at_once(silent(code), *lines)


def test_an_exit_during_a_lookup_is_at_once(silent):
    """A thread's call is ended, and the thread that looks the name up is not waited for."""
    code = """
client = sync.AgentryClient("token", base_url=URL)
def call():
    try:
        client.api_keys.list().collect()
    except agentkeys.ClientClosedError:
        pass
threading.Thread(target=call, daemon=True).start()
asked.acquire()
print("leaving")
"""
    ends_at_once(silent(code), "leaving")


def test_closing_during_a_lookup_ends_the_call(silent):
    """From another thread, and at once."""
    code = """
client = sync.AgentryClient("token", base_url=URL)
thread = threading.Thread(target=measured, args=(client.api_keys.list().collect,))
thread.start()
asked.acquire()
client.close()
thread.join()
"""
    ends_at_once(silent(code), "ClientClosedError in time")


def test_ctrl_c_during_a_lookup_ends_the_call(silent):
    """The client can be used afterwards."""
    running = silent("""
client = sync.AgentryClient("token", base_url=URL, **once)
def told():
    asked.acquire()
    print("asked")
threading.Thread(target=told).start()
try:
    client.api_keys.list().collect()
except KeyboardInterrupt:
    print("interrupted")
go.set()
measured(client.api_keys.list(timeout=5).collect)
""")
    assert running.read() == "asked"
    running.send(signal.SIGINT)
    ends_at_once(running, "interrupted", "TransportError in time")


def test_a_fork_during_a_lookup_leaves_the_child_one_of_its_own(silent):
    """The child has none of the parent's threads, so it asks anew."""
    code = """
client = sync.AgentryClient("token", base_url=URL, **once)
thread = threading.Thread(target=measured, args=(client.api_keys.list().collect,))
thread.start()
asked.acquire()
pid = os.fork()
if pid == 0:
    go = threading.Event()
    go.set()
    measured(client.api_keys.list().collect)
    os._exit(len(questions) - 2)
print(os.waitpid(pid, 0)[1])
go.set()
thread.join()
"""
    ends_at_once(silent(code), "TransportError in time", "0", "TransportError in time")


def test_one_name_is_looked_up_once_for_all_who_wait_for_it(silent):
    """So that a dead name cannot use up the threads, however often it is tried."""
    code = """
async def main():
    clients = [agentkeys.AgentryClient("token", base_url=URL) for _ in range(50)]
    calls = [client.api_keys.list(timeout=0.2).first() for client in clients]
    return await asyncio.gather(*calls, return_exceptions=True)
print({type(result).__name__ for result in asyncio.run(main())}, len(questions))
"""
    ends_at_once(silent(code), "{'DeadlineExceededError'} 1")


def test_threads_are_bounded_and_the_names_beyond_wait_for_them(silent):
    """Forty names in sixteen threads, all of which are looked up in the end."""
    code = """
async def main():
    urls = [f"https://api-{n}.silent.example" for n in range(40)]
    clients = [agentkeys.AgentryClient("token", base_url=url, **once) for url in urls]
    calls = [asyncio.create_task(client.api_keys.list().first()) for client in clients]
    for _ in range(16):
        await asyncio.to_thread(asked.acquire)
    print(len(lookups()), len(questions))
    go.set()
    return await asyncio.gather(*calls, return_exceptions=True)
print({type(result).__name__ for result in asyncio.run(main())}, len(questions))
for thread in lookups():
    thread.join()
"""
    ends_at_once(silent(code), "16 16", "{'TransportError'} 40")


def test_a_name_that_is_there_is_found(wire, silent):
    """While another one is not answered, in both clients."""
    url = wire(answer(200, {"api_keys": []})).url.replace("127.0.0.1", "localhost")
    code = """
dead = sync.AgentryClient("token", base_url=URL)
measured(dead.api_keys.list(timeout=0.2).collect)
print(sync.AgentryClient("token", base_url=sys.argv[1]).api_keys.list().collect())
client = agentkeys.AgentryClient("token", base_url=sys.argv[1])
print(asyncio.run(client.api_keys.list().collect()))
"""
    ends_at_once(silent(code, url), LATE, "[]", "[]")


def test_a_lent_session_keeps_its_own_resolver(wire, silent):
    """Whoever brings a session chooses how it looks names up."""
    url = wire(answer(200, {"api_keys": []})).url
    code = """
import aiohttp
from aiohttp.abc import AbstractResolver
class Theirs(AbstractResolver):
    async def resolve(self, host, port=0, family=socket.AF_INET):
        print(host)
        return [{"hostname": host, "host": "127.0.0.1", "port": port, "family": family, "proto": 0,
                 "flags": 0}]
    async def close(self): ...
async def main():
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(resolver=Theirs())) as lent:
        address = sys.argv[1].replace("127.0.0.1", "a.example")
        settings = {"base_url": address, "allow_http": True, "session": lent}
        print(await agentkeys.AgentryClient("token", **settings).api_keys.list().collect())
asyncio.run(main())
print(questions)
"""
    ends_at_once(silent(code, url), "a.example", "[]", "[]")


def test_at_exit_a_name_is_still_looked_up(silent):
    """A handler that calls after the client's own finds a thread, or does without."""
    code = """
import atexit
def call():
    go.set()
    measured(sync.AgentryClient("token", base_url=URL, **once).api_keys.list().collect)
atexit.register(call)
measured(sync.AgentryClient("token", base_url=URL).api_keys.list(timeout=0.2).collect)
"""
    running = silent(code)
    assert running.read() == LATE
    ended = running.end()
    told = "ClientClosedError" if NO_THREADS_AT_EXIT else "TransportError"
    assert ended[:3] == (0, [f"{told} in time"], "")


def test_a_thread_that_cannot_be_started_is_a_lookup_that_failed(wire, silent):
    """It is no lookup on the loop itself, which would stand still; and the next one is tried."""
    url = wire(answer(200, {"api_keys": []})).url.replace("127.0.0.1", "localhost")
    code = """
start = threading.Thread.start
def refuse(thread):
    if thread.name == "agentkeys-lookup":
        raise RuntimeError("can't start new thread")
    start(thread)
threading.Thread.start = refuse
client = sync.AgentryClient("token", base_url=sys.argv[1], **once)
measured(client.api_keys.list().collect)
other = sync.AgentryClient("token", base_url=URL, **once)  # kept, to be closed at exit
measured(other.api_keys.list().collect)
threading.Thread.start = start
print(client.api_keys.list().collect())
"""
    ends_at_once(silent(code, url), *["TransportError in time"] * 2, "[]")
