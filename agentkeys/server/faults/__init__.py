"""Faults on purpose: what a local service can be made to do wrong, and on which routes.

``service.faults.add(CREATES, Reset(), when="after")`` has the next creation of a key committed, and
its answer lost.
"""

from __future__ import annotations

from agentkeys.server.faults.kinds import (
    Answer,
    Close,
    CycledCursors,
    Delay,
    EmptyPage,
    HalfBody,
    Html,
    HugeBody,
    Kind,
    MalformedJson,
    NeverAnswer,
    Redirect,
    RepeatedCursor,
    Reset,
    Times,
    Trickle,
    When,
    WrongLength,
)
from agentkeys.server.faults.queue import Fault, Faults
from agentkeys.server.faults.sending import Sent, Silence, Step
from agentkeys.server.http.routes import (
    AGENTITY,
    AGENTRY,
    ALL,
    CREATES,
    DELETES,
    LISTS,
    LOGIN,
    REFRESH,
    REGISTER,
)

__all__ = [
    "AGENTITY",
    "AGENTRY",
    "ALL",
    "CREATES",
    "DELETES",
    "LISTS",
    "LOGIN",
    "REFRESH",
    "REGISTER",
    "Answer",
    "Close",
    "CycledCursors",
    "Delay",
    "EmptyPage",
    "Fault",
    "Faults",
    "HalfBody",
    "Html",
    "HugeBody",
    "Kind",
    "MalformedJson",
    "NeverAnswer",
    "Redirect",
    "RepeatedCursor",
    "Reset",
    "Sent",
    "Silence",
    "Step",
    "Times",
    "Trickle",
    "When",
    "WrongLength",
]
