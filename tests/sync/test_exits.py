"""The interpreter's exit: at once, with the right code, and without a word on stderr."""

from __future__ import annotations

import signal

import pytest
from programs import NO_THREADS_AT_EXIT
from samples import INBOX_KEY, KEY
from wire import Seen, answer, hang

pytestmark = pytest.mark.slow

PREPARE = """
import atexit, os, signal, sys, threading
from agentkeys import ClientClosedError
url = sys.argv[1]
def exiting():
    print(call())
BEFORE
from agentkeys.sync import AgentityClient, AgentryClient, LocalService
client = AgentityClient("token", base_url=url)
keys = AgentryClient("token", base_url=url).api_keys
def call():
    return len(client.api_keys.list().collect())
CODE
print("leaving")
END
"""


def reply(seen: Seen):
    """Answer Agentity's list with a key; Agentry's with pages of which the third never comes."""
    if seen.method != "GET" or seen.target.endswith("page_token=c"):
        return hang
    if "auth" in seen.target:
        return answer(200, {"apiKeys": [KEY]})
    token = "c" if "page_token" in seen.target else "b"
    return answer(200, {"api_keys": [INBOX_KEY], "next_page_token": token})


@pytest.fixture
def leave(wire, program, background):
    """Run a program until its exit; return its server and how it ends."""

    def leave(code: str = "", end: str = "", before: str = ""):
        text = PREPARE.replace("BEFORE", before).replace("CODE", code).replace("END", end)
        server = wire(reply)
        running = program(text, server.url)
        if "input()" in code:
            background.wait(server.arrived)
            running.tell()
        assert running.read() == "leaving"
        return server, running

    return leave


REFUSED = """
def refused():
    try:
        print(call())
    except ClientClosedError:
        print("closed")
"""
REGISTER = "atexit.register(exiting)"
DELETES = """
class Temporary:
    def __del__(self):
        try:
            print(call())
        except ClientClosedError:
            print("closed")
"""
HALF_READ = """
listing = iter(keys.list())
next(listing), next(listing)
def next_page():
    try:
        print(next(listing))
    except ClientClosedError as error:
        print(type(error).__name__)
"""
BUSY = """
def work():
    while True:
        try:
            call()
        except ClientClosedError:
            break
threading.Thread(target=work, daemon=True).start()
call()
"""
STUBBORN = """
def work():
    while True:
        try:
            call()
        except Exception:
            pass
threading.Thread(target=work, daemon=True).start()
call()
"""
WAITING = """
def work():
    try:
        client.api_keys.delete(1)
    except ClientClosedError as error:
        print(error.applied)
threading.Thread(target=work, daemon=True).start()
input()
"""


LOCAL = """
service = LocalService()
service.start()
AgentryClient(service.agentry_token, base_url=service.url).api_keys.create("x")
"""
EXITS = {
    "not closed": ({"code": "call()"}, [], 0),
    "never used": ({}, [], 0),
    "closed": ({"code": "call(); client.close()"}, [], 0),
    "sys.exit": ({"code": "call()", "end": "sys.exit(5)"}, [], 5),
    "atexit, before the first client": ({"before": REGISTER}, ["1"], 0),
    "atexit, and a host to look up": (
        {"before": f"{REGISTER}; url = url.replace('127.0.0.1', 'localhost')", "code": "call()"},
        ["1"],
        0,
    ),
    "atexit, before the first call": ({"code": f"{REGISTER}; call()"}, ["1"], 0),
    "atexit, after the first call": ({"code": f"call(); {REGISTER}"}, ["1"], 0),
    "__del__": ({"code": f"{DELETES}\nt = Temporary(); call()", "end": "del t"}, ["1"], 0),
    "__del__, too late": ({"code": f"{DELETES}\nt = Temporary(); call()"}, ["closed"], 0),
    "half-read listing": ({"code": HALF_READ}, [], 0),
    "half-read listing, atexit": (
        {"before": "atexit.register(lambda: next_page())", "code": HALF_READ},
        ["ClientClosedError"],
        0,
    ),
    "busy thread": ({"code": BUSY}, [], 0),
    "busy thread that does not give up": ({"code": STUBBORN}, [], 0),
    "sys.exit during calls": ({"code": BUSY, "end": "sys.exit(6)"}, [], 6),
    "local service": ({"code": LOCAL}, [], 0),
}


@pytest.mark.parametrize(("how", "out", "code"), EXITS.values(), ids=EXITS.keys())
def test_an_exit_is_clean(leave, how, out, code):
    """Under a second, the right exit code, and nothing on stderr."""
    if NO_THREADS_AT_EXIT and "before" in how:
        pytest.skip("this CPython cannot start a thread at exit")
    _, running = leave(**how)
    ended = running.end()
    assert ended[:3] == (code, out, "")
    assert ended.seconds < 1


@pytest.mark.skipif(not NO_THREADS_AT_EXIT, reason="this CPython can start a thread at exit")
def test_a_call_that_would_need_a_thread_at_exit_is_refused(leave):
    """With an error of ours, which whoever calls in a loop knows to end at."""
    _, running = leave(before=f"{REFUSED}\natexit.register(refused)")
    assert running.end()[:3] == (0, ["closed"], "")


def test_an_exit_ends_the_call_of_a_thread(leave, background):
    """A daemon thread's call gets its error, and the server sees the connection go."""
    server, running = leave(WAITING, end="sys.exit(7)")
    ended = running.end()
    assert (ended.code, ended.err) == (7, "")
    assert ended.out in (["maybe"], [])  # whether the thread comes to print it or not
    assert ended.seconds < 1
    background.wait(server.disconnected)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_that_ends_the_process_ends_it_at_once(leave, background, number):
    """Ctrl-C that nobody catches is a KeyboardInterrupt; a kill is a kill."""
    server, running = leave(end="client.api_keys.delete(1)")
    background.wait(server.arrived)
    running.send(number)
    ended = running.end()
    assert ended.code == -number
    assert ended.err.endswith("KeyboardInterrupt\n" if number == signal.SIGINT else "")
    assert ended.seconds < 1
    background.wait(server.disconnected)


NO_DESCRIPTORS = """
import os, resource, sys
from agentkeys.sync import AgentityClient
client = AgentityClient("token", base_url=sys.argv[1])
print(len(client.api_keys.list().collect()))
client.close()
other = AgentityClient("token", base_url=sys.argv[1])
limits = resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, (4, limits[1]))
try:
    other.api_keys.list().collect()
except OSError as error:
    print(type(error).__name__, error.errno)
resource.setrlimit(resource.RLIMIT_NOFILE, limits)
print(len(other.api_keys.list().collect()))
"""


def test_a_loop_that_cannot_be_made_is_an_error_and_no_endless_wait(wire, program):
    """No file descriptor is left: OSError, and when there are some again the client works."""
    ended = program(NO_DESCRIPTORS, wire(reply).url).end()
    assert ended[:2] == (0, ["1", "OSError 24", "1"])


HOOKS = """
import atexit, os, sys
hooked = []
for module, name in ((atexit, "register"), (os, "register_at_fork")):
    def note(*args, original=getattr(module, name), name=name, **hooks):
        for function in [*args[:1], *hooks.values()]:
            if str(getattr(function, "__module__", "")).startswith("agentkeys"):
                hooked.append(name)
        return original(*args, **hooks)
    setattr(module, name, note)
import agentkeys.sync, agentkeys.agentity, agentkeys.agentry, agentkeys.sync.portal
print(hooked)
agentkeys.sync.AgentityClient("token")
agentkeys.sync.AgentryClient("token")
print(sorted(hooked))
"""


def test_the_hooks_are_registered_with_the_first_client_and_not_on_import(program):
    """One for exits and one for forks, however many clients there are."""
    assert program(HOOKS).end()[:3] == (0, ["[]", "['register', 'register_at_fork']"], "")
