"""A fork in the midst of an event loop: the child may do what it likes, the parent goes on."""

from __future__ import annotations

import asyncio
import json

from samples import INBOX_KEY, jwt
from wire import Seen, Wire, answer

CHILDREN = {
    "calls": "assert asyncio.run(ask()) == 1",
    "calls and closes": "asyncio.run(ask_and_close())",
    "closes": "asyncio.run(client.close())",
    "drops": "client = listing = ahead = None; gc.collect()",
    "drops the loop as well": "client = listing = ahead = loop = None; gc.collect()",
    "cancels": "ahead.cancel(); gc.collect()",
    "exits": "",
}

TOLD = """
import asyncio, gc, json, os, sys
from agentkeys import AgentityClient, AgentryClient, PasswordLogin

async def told():
    "Return when there is a line to read."
    loop, there = asyncio.get_running_loop(), asyncio.Event()
    loop.add_reader(0, there.set)
    await there.wait()
    loop.remove_reader(0)
    sys.stdin.readline()
"""

PROGRAM = f"""{TOLD}

async def ask():
    return len((await client.inbox("i").api_keys.list().first()).items)

async def ask_and_close():
    async with client:
        await ask()

def fork(child):
    global client, listing, ahead, loop
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            exec(child, globals())
            code = 0
        finally:
            os._exit(code)  # what is left of the loop is the parent's
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])

async def main():
    global client, listing, ahead, loop
    loop = asyncio.get_running_loop()
    client = AgentryClient("token", base_url=sys.argv[1], timeout=20)
    listing = client.api_keys.list().pages()
    await anext(listing), await anext(listing)
    ahead = asyncio.create_task(anext(listing))
    await told()
    for name, child in json.loads(sys.argv[2]).items():
        print(name, fork(child), flush=True)
    await told()
    print((await ahead).items[0].id)
    print(*[page.items[0].id async for page in listing], await ask())
    await client.close()

asyncio.run(main())
"""


def held(gate: asyncio.Event, reply):
    async def gated(writer: asyncio.StreamWriter) -> None:
        await gate.wait()
        await reply(writer)

    gated.is_reply = True
    return gated


def page(number: int, following: str | None):
    key = {**INBOX_KEY, "api_key_id": f"key_{number}"}
    return answer(200, {"api_keys": [key], "next_page_token": following})


def test_the_call_under_way_is_answered_on_its_connection(wire, program, background):
    """Seven children come and go while the parent waits for a page; it uses one connection."""
    gate = asyncio.Event()

    def reply(seen: Seen):
        if "inboxes" in seen.target:
            return page(9, None)
        number = int(seen.target.rpartition("page_token=")[2]) if "page_token" in seen.target else 1
        shown = page(number, str(number + 1) if number < 5 else None)
        return held(gate, shown) if number == 3 else shown

    server = wire(reply)
    running = program(PROGRAM, server.url, json.dumps(CHILDREN))
    background.run(arrived(server, 3))
    running.tell()
    assert [running.read() for _ in CHILDREN] == [f"{name} 0" for name in CHILDREN]
    background.run(opened(gate))
    running.tell()
    assert running.end()[:3] == (0, ["key_3", "key_4 key_5 1"], "")
    of_children = sum("ask" in child for child in CHILDREN.values())
    assert server.connections == 1 + of_children


async def arrived(server: Wire, requests: int) -> None:
    while len(server.requests) < requests:
        server.arrived.clear()
        await server.arrived.wait()


async def opened(gate: asyncio.Event) -> None:
    gate.set()


LOGIN = f"""{TOLD}
async def main():
    client = AgentityClient(PasswordLogin("me@example.com", "pw"), base_url=sys.argv[1], timeout=20)
    call = asyncio.create_task(client.api_keys.list().collect())
    await told()
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            code = len(asyncio.run(client.api_keys.list().collect()))
        finally:
            os._exit(code)
    print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)
    print(await call, flush=True)
    await client.close()

asyncio.run(main())
"""


def test_a_login_under_way_is_the_parents(wire, program, background):
    """The child does not wait for a renewal that only its parent can hear of: it logs in itself."""
    gate = asyncio.Event()
    pair = answer(200, {"accessToken": jwt(), "refreshToken": "r"})
    logins = iter([held(gate, pair), pair])

    def reply(seen: Seen):
        return next(logins) if seen.target == "/auth/token" else answer(200, {"apiKeys": []})

    server = wire(reply)
    running = program(LOGIN, server.url)
    background.run(arrived(server, 1))
    running.tell()
    assert running.read() == "0"
    background.run(opened(gate))
    assert running.end()[:3] == (0, ["[]"], "")
    assert [seen.target for seen in server.requests].count("/auth/token") == 2
    assert server.connections == 2
