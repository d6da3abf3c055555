"""A forked child and its parent do not disturb each other, whatever the child does."""

from __future__ import annotations

import asyncio
import json
from urllib.parse import parse_qs, urlsplit

import pytest
from samples import INBOX_KEY
from wire import Seen, answer

pytestmark = pytest.mark.slow

CHILD = {
    "calls": "one_call()",
    "drops the client": "del client, listing; gc.collect()",
    "closes the client": "client.close()",
    "closes it after a call": "one_call(); client.close()",
    "drops the listing": "one_call(); del listing; gc.collect()",
    "goes on with the listing": "go_on(); client.close()",
    "exits": "sys.exit()",
    "exits after a call": "one_call(); sys.exit()",
    "exits at once": "os._exit(0)",
}


def pages(gate: asyncio.Event | None = None):
    """Six pages of one key each; the third one waits for *gate*. An inbox has one page."""

    def reply(seen: Seen):
        url = urlsplit(seen.target)
        number = int(parse_qs(url.query).get("page_token", ["1"])[0])
        following = str(number + 1) if number < 6 and "inboxes" not in url.path else None
        key = {**INBOX_KEY, "api_key_id": f"key_{number}"}
        page = answer(200, {"api_keys": [key], "next_page_token": following})
        if gate is None or number != 3:
            return page

        async def gated(writer: asyncio.StreamWriter) -> None:
            await gate.wait()
            await page(writer)

        gated.is_reply = True
        return gated

    return reply


SYNC = """
import gc, json, os, sys
from agentkeys import ClientClosedError
from agentkeys.sync import AgentryClient

def one_call():
    assert len(client.inbox("i").api_keys.list().collect()) == 1

def go_on():
    try:
        next(listing)
    except ClientClosedError as error:
        assert "list again" in str(error)
    else:
        raise AssertionError

for name, child in json.loads(sys.argv[2]).items():
    client = AgentryClient("token", base_url=sys.argv[1], timeout=5)
    listing = iter(client.api_keys.list())
    next(listing), next(listing)
    pid = os.fork()
    if pid == 0:
        exec(child)
        sys.exit()
    code = os.waitpid(pid, 0)[1]
    print(f"{name}:", code, flush=True)
    print(*(key.id for key in listing), len(client.api_keys.list().first().items))
    client.close()
"""


def test_the_parents_listing_and_connection_go_on(wire, program):
    """Whatever the child does, its parent reads on and calls on the one connection that it had."""
    server = wire(pages())
    ended = program(SYNC, server.url, json.dumps(CHILD)).end()
    expected = [[f"{name}: 0", "key_3 key_4 key_5 key_6 1"] for name in CHILD]
    assert ended[:3] == (0, [line for lines in expected for line in lines], "")
    calls = sum("one_call" in child for child in CHILD.values())
    assert server.connections == len(CHILD) + calls


def test_the_page_that_is_on_its_way_arrives_in_the_parent(wire, program, background):
    """A fork while a page is read ahead: the child cannot end or take it."""
    gate = asyncio.Event()
    server = wire(pages(gate))
    name = "exits after a call"
    running = program(SYNC, server.url, json.dumps({name: CHILD[name]}))
    assert running.read() == f"{name}: 0"

    async def open_the_gate() -> None:
        gate.set()

    background.run(open_the_gate())
    assert running.end()[:3] == (0, ["key_3 key_4 key_5 key_6 1"], "")
    assert server.connections == 2


ASYNC = """
import asyncio, gc, json, os, sys
from agentkeys import AgentryClient

async def ask():
    await asyncio.wait_for(asyncio.to_thread(int), 5)  # that the loop can be woken
    return len((await client.api_keys.list().first()).items)

for name, child in json.loads(sys.argv[2]).items():
    client = AgentryClient("token", base_url=sys.argv[1], timeout=5)
    runner = asyncio.Runner()
    runner.run(ask())
    pid = os.fork()
    if pid == 0:
        exec(child)
        sys.exit()
    code = os.waitpid(pid, 0)[1]
    print(f"{name}:", code, runner.run(ask()), flush=True)
    runner.run(client.close())
    runner.close()
"""
ASYNC_CHILD = {
    "calls": "asyncio.set_event_loop(None); asyncio.run(ask())",
    "drops the client": "del client; gc.collect()",
    "drops the client and the loop": "del client, runner; gc.collect()",
    "closes the client": "asyncio.run(client.close())",
    "exits": "sys.exit()",
}


def test_so_it_is_with_the_async_client_in_a_loop_of_the_parents(wire, program):
    """What a client holds for the parent's loop is left to the parent."""
    server = wire(pages())
    ended = program(ASYNC, server.url, json.dumps(ASYNC_CHILD)).end()
    assert ended[:3] == (0, [f"{name}: 0 1" for name in ASYNC_CHILD], "")
    assert server.connections == len(ASYNC_CHILD) + 1


def test_a_fork_while_other_threads_call_leaves_no_lock_closed(wire, program):
    """Twenty children, forked in the midst of four busy threads, each make a call."""
    server = wire(pages())
    ended = program(
        """
import os, sys, threading
from agentkeys.sync import AgentryClient

client = AgentryClient("token", base_url=sys.argv[1], timeout=10)
done = threading.Event()
def work():
    while not done.is_set():
        client.api_keys.list().first()
threads = [threading.Thread(target=work) for _ in range(4)]
for thread in threads:
    thread.start()
codes = []
for _ in range(20):
    child = os.fork()
    if child == 0:
        client.api_keys.list().first()
        client.close()
        os._exit(7)
    codes.append(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
done.set()
for thread in threads:
    thread.join()
print(codes == [7] * 20)
""",
        server.url,
    ).end()
    assert ended.out == ["True"]
    assert ended.code == 0


def test_a_local_service_goes_on_in_the_parent(program):
    """The child's copy never ran; its end closes nothing of the parent's."""
    ended = program(
        """
import os, sys
from agentkeys.sync import AgentryClient, LocalService

with LocalService() as service:
    url, token = service.url, service.agentry_token
    client = AgentryClient(token, base_url=url, timeout=5)
    client.api_keys.create("one")
    child = os.fork()
    if child == 0:
        print(service)
        print(len(client.api_keys.list().collect()))
        service.close()
        sys.exit()
    print(os.waitpid(child, 0)[1])
    with AgentryClient(token, base_url=url, timeout=5) as other:
        print(len(other.api_keys.list().collect()))
"""
    ).end()
    assert ended[:3] == (0, ["<LocalService not running> (blocking)", "1", "0", "1"], "")
