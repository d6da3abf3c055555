"""Writers of a dotenv file that fail, or are killed."""

from __future__ import annotations

import asyncio
import os
import signal

import pytest
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


KILLED = """
    import asyncio, os, signal, sys
    from agentkeys import Secret
    from agentkeys.stores import DotenvStore

    def kill(event, args):
        if event == sys.argv[2]:
            os.kill(os.getpid(), signal.SIGKILL)

    store = DotenvStore(sys.argv[1], "BOT_KEY")
    sys.addaudithook(kill)
    asyncio.run(store.write(Secret("new")))
"""


def killed_at(event, path):
    """Kill a writer at an event: a rename is the moment at which all is prepared."""
    program = Program(KILLED, str(path), event)
    try:
        assert program.end().code == -signal.SIGKILL
    finally:
        program.kill()
