"""Event loops that a notebook patched: nest_asyncio's tell nobody of the generators they run."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from samples import INBOX_KEY
from wire import answer, hang

SUPPORT = str(Path(__file__).parents[1] / "support")
CLIENT = """
import asyncio, gc, nest_asyncio, sys
nest_asyncio.apply()
sys.path.append(sys.argv[2])
from sockets import sockets
from agentkeys import AgentryClient, sync
def connected():
    return sync.AgentryClient("token", base_url=sys.argv[1])
"""
CLOSED = """
for _ in range(3):
    with connected() as client:
        print(len(client.api_keys.list().first().items), sockets())
    print(sockets())
"""
HALF_READ = """
client = connected()
listing = iter(client.api_keys.list())
next(listing), next(listing)
client.close()
print(sockets())
del listing
gc.collect()
"""
DROPPED = """
client = connected()
client.api_keys.list().first()
thread = client._portal._worker._thread
del client
gc.collect()
thread.join()
print(sockets())
"""
LEFT = "client = connected(); print(len(client.api_keys.list().first().items))"
ASYNC = """
async def main():
    client = AgentryClient("token", base_url=sys.argv[1])
    await client.api_keys.list().first()
    print(sockets())
    del client
    gc.collect()
    while sockets():
        await asyncio.sleep(0)
asyncio.run(main())
"""


def reply(seen):
    """Answer with pages of which the third never comes."""
    if seen.target.endswith("page_token=c"):
        return hang
    token = "c" if "page_token" in seen.target else "b"
    return answer(200, {"api_keys": [INBOX_KEY], "next_page_token": token})


@pytest.mark.skipif(sys.version_info >= (3, 14), reason="nest_asyncio does not know this Python")
@pytest.mark.parametrize(
    ("code", "lines"),
    [
        (CLOSED, ["1 1", "0"] * 3),
        (HALF_READ, ["0"]),
        (DROPPED, ["0"]),
        (LEFT, ["1"]),
        (ASYNC, ["1"]),
    ],
    ids=["closed", "half-read listing", "dropped", "left for the exit", "async, dropped"],
)
def test_no_connection_is_left_and_nothing_is_said(wire, program, code, lines):
    """Whoever ends it, what a client opened in a patched loop is closed, and in order."""
    ended = program(CLIENT + code, wire(reply).url, SUPPORT).end()
    assert ended[:3] == (0, lines, "")
