"""Faults on purpose: errors that a local service makes on chosen routes.

``service.faults.add(CREATES, Reset(), when="after")`` commits the next creation of a key, and loses
its answer.
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
