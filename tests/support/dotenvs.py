"""Writers of a file of secrets that fail, or are killed."""

from __future__ import annotations

import asyncio
import os
import signal

import pytest
from leaks import shown
from programs import Program

from agentkeys import Secret, StoreError
from agentkeys.stores import DotenvStore

NAME = "BOT_KEY"
KEY = Secret("agk_live_a_new_key")
OTHER = 12345
AS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="only root can be two users")


def give(path):
    os.chown(path, OTHER, OTHER, follow_symlinks=False)


def refused(path):
    """Return why, which a probe says and a write; a read says it or finds nothing."""
    said = set()
    for call in (DotenvStore(path, NAME).probe, lambda: DotenvStore(path, NAME).write(KEY)):
        with pytest.raises(StoreError) as raised:
            asyncio.run(call())
        said.add(str(raised.value).partition(": ")[2])
    (reason,) = said
    return reason


def why(call):
    """Return the text of the StoreError of a call, which holds no secret."""

    async def awaited():
        await call

    with pytest.raises(StoreError) as raised:
        asyncio.run(awaited())
    assert KEY.reveal() not in shown(raised.value)
    assert "somebody-elses" not in shown(raised.value)
    return str(raised.value)


KILLED = """
    import asyncio, os, signal, sys
    from agentkeys import Secret
    from agentkeys.stores import open_store

    def kill(event, args):
        if event == sys.argv[2]:
            os.kill(os.getpid(), signal.SIGKILL)

    store = open_store(sys.argv[1])
    sys.addaudithook(kill)
    asyncio.run(store.write(Secret("new")))
"""


def killed_at(event, path, address="dotenv:{}#BOT_KEY"):
    """Kill a writer at an event: a rename is the moment at which all is prepared."""
    program = Program(KILLED, address.format(path), event)
    try:
        assert program.end().code == -signal.SIGKILL
    finally:
        program.kill()
