"""Ctrl-C, and what signal handlers raise, end a call in order."""

from __future__ import annotations

import signal

import pytest
from samples import KEY
from wire import answer, hang

pytestmark = pytest.mark.slow

LISTING = answer(200, {"apiKeys": [KEY]})

CLIENT = """
import signal, sys, threading
from agentkeys.sync import AgentityClient
client = AgentityClient("token", base_url=sys.argv[1])
"""
PORTAL = """
import asyncio, signal, sys
from agentkeys.sync.portal import Portal
portal = Portal()
"""


def test_ctrl_c_ends_the_call_and_the_client_is_usable_afterwards(wire, program, background):
    """The server sees the connection go; the next call is answered; the exit is clean."""
    server = wire(hang, LISTING)
    call = program(
        f"""{CLIENT}
try:
    client.api_keys.list().first()
except KeyboardInterrupt:
    print("interrupted")
input()
print([key.id for key in client.api_keys.list()])
client.close()
print(threading.active_count())
""",
        server.url,
    )
    background.wait(server.arrived)
    call.send(signal.SIGINT)
    assert call.read() == "interrupted"
    background.wait(server.disconnected)
    call.tell()
    assert call.read() == "[42]"
    assert call.end()[:3] == (0, ["1"], "")
    assert [seen.method for seen in server.requests] == ["GET", "GET"]


def test_ctrl_c_in_a_loop_over_pages_leaves_the_client_usable(wire, program, background):
    """So it is when a page is being waited for."""
    server = wire(hang, LISTING)
    listing = program(
        f"""{CLIENT}
try:
    for key in client.api_keys.list():
        print(key)
except KeyboardInterrupt:
    print("interrupted")
print([key.id for key in client.api_keys.list()])
""",
        server.url,
    )
    background.wait(server.arrived)
    listing.send(signal.SIGINT)
    assert listing.end()[:3] == (0, ["interrupted", "[42]"], "")


def test_the_clean_up_has_run_when_the_interruption_arrives(program):
    """The coroutine's `finally`, with its awaits, comes first."""
    call = program(f"""{PORTAL}
async def work():
    print("begun")
    try:
        await asyncio.Event().wait()
    finally:
        await asyncio.sleep(0.1)
        print("cleaned up")

try:
    portal.run(work)
except KeyboardInterrupt:
    print("interrupted")
portal.close()
""")
    assert call.read() == "begun"
    call.send(signal.SIGINT)
    assert call.end()[:3] == (0, ["cleaned up", "interrupted"], "")


STUBBORN = f"""{PORTAL}
async def work():
    print("begun")
    try:
        await asyncio.Event().wait()
    finally:
        print("cleaning up")
        await asyncio.Event().wait()

try:
    portal.run(work)
except KeyboardInterrupt:
    print("interrupted")
sys.stdout.flush()
import os; os._exit(0)
"""


def test_a_second_ctrl_c_does_not_wait_for_the_clean_up(program):
    """Whoever is in a hurry gets out at once."""
    call = program(STUBBORN)
    assert call.read() == "begun"
    call.send(signal.SIGINT)
    assert call.read() == "cleaning up"
    call.send(signal.SIGINT)
    ended = call.end()
    assert ended[:3] == (0, ["interrupted"], "")
    assert ended.seconds < 1


def test_a_clean_up_that_does_not_end_is_not_waited_for(program):
    """After 2 seconds the interruption goes on by itself."""
    call = program(STUBBORN)
    assert call.read() == "begun"
    call.send(signal.SIGINT)
    assert call.read() == "cleaning up"
    ended = call.end()
    assert ended[:3] == (0, ["interrupted"], "")
    assert 1.5 < ended.seconds < 3.5


@pytest.mark.parametrize("way", ["sys.exit(3)", "os._exit(4)"])
def test_a_signal_handler_that_exits_ends_the_process(wire, program, background, way):
    """SystemExit travels like KeyboardInterrupt, with its code; the call ends first."""
    server = wire(hang)
    call = program(
        f"""{CLIENT}
import os
signal.signal(signal.SIGTERM, lambda *_: {way})
client.api_keys.list().first()
""",
        server.url,
    )
    background.wait(server.arrived)
    call.send(signal.SIGTERM)
    ended = call.end()
    assert ended[:3] == (int(way[-2]), [], "")
    background.wait(server.disconnected)


def test_a_signal_handler_that_returns_does_not_disturb_the_call(wire, program, background):
    """The call goes on waiting for its answer; the handler may even make one of its own."""
    server = wire(hang, LISTING)
    call = program(
        f"""{CLIENT}
def handle(*_):
    print("handled", len(client.api_keys.list().collect()))
    client.close()

signal.signal(signal.SIGTERM, handle)
try:
    client.api_keys.list().first()
except Exception as error:
    print(type(error).__name__, error.applied)
""",
        server.url,
    )
    background.wait(server.arrived)
    call.send(signal.SIGTERM)
    assert call.end()[:3] == (0, ["handled 1", "ClientClosedError maybe"], "")


def test_ctrl_c_at_any_moment_leaves_no_call_that_waits_for_ever(program, wire):
    """Interrupted a hundred times, wherever it happens to be, the client still answers."""
    server = wire(LISTING)
    calls = program(
        f"""{CLIENT}
import os, random
interrupted = 0
class Stop(BaseException): pass
def stop(*_): raise Stop  # again if it was swallowed, as it is in a finalizer
signal.signal(signal.SIGALRM, stop)
random.seed(1)
client.api_keys.list().collect()
for n in range(100):
    try:
        signal.setitimer(signal.ITIMER_REAL, random.uniform(0.00005, 0.003), 0.2)
        while True:
            client.api_keys.list(timeout=5).collect()
    except Stop:
        signal.setitimer(signal.ITIMER_REAL, 0)
        interrupted += 1
print(interrupted, len(client.api_keys.list().collect()))
client.close()
print(threading.active_count())
""",
        server.url,
    )
    assert calls.end()[:2] == (0, ["100 1", "1"])


def test_ctrl_c_while_the_thread_starts_leaves_the_client_usable(program, wire):
    """Interrupted in a client's first moments, forty times, the client still answers."""
    server = wire(LISTING)
    calls = program(
        f"""{CLIENT}
import random
class Stop(BaseException): pass
def stop(*_): raise Stop  # again if it was swallowed, as it is in a finalizer
signal.signal(signal.SIGALRM, stop)
random.seed(1)
client.api_keys.list().collect()
for n in range(40):
    client = AgentityClient("token", base_url=sys.argv[1])
    try:
        signal.setitimer(signal.ITIMER_REAL, random.uniform(0.00002, 0.002), 0.2)
        while True:
            client.api_keys.list(timeout=5).collect()
    except (Stop, RuntimeError):  # CPython's own: threading.Thread.start is not safe from signals
        signal.setitimer(signal.ITIMER_REAL, 0)
        print(len(client.api_keys.list().collect()))
    client.close()
""",
        server.url,
    )
    assert calls.end()[:2] == (0, ["1"] * 40)
