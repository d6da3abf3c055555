"""How many connections this process has open."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from agentkeys.sync import LocalService

PATIENCE = 20.0
"""Seconds after which something that should have happened never will."""


def sockets() -> int:
    """Count its TCP sockets; the pair with which an event loop is woken is none."""
    links = []
    for link in Path("/proc/self/fd").iterdir():
        try:
            links.append(os.readlink(link))  # noqa: PTH115  # the link is no path
        except OSError:  # the descriptor of the listing itself
            continue
    ours = {link.removeprefix("socket:[").rstrip("]") for link in links}
    return len(ours & _inodes("tcp")) + len(ours & _inodes("tcp6"))


def see_none_left(before: int, service: LocalService) -> None:
    """See that no more are open than *before*, once *service* has closed its ends."""
    end = time.monotonic() + PATIENCE
    while sockets() > before:
        assert time.monotonic() < end, "a socket is left"
        service.requests.wait(0)  # it has its turn


def _inodes(protocol: str) -> set[str]:
    """Return the inodes of all TCP sockets (proc_pid_net(5))."""
    try:
        _, *lines = Path("/proc/self/net", protocol).read_text().splitlines()
    except FileNotFoundError:  # no IPv6
        return set()
    return {line.split()[9] for line in lines}
