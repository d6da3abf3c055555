"""Every kind of fault that the local service knows, so that a test can try all of them."""

from __future__ import annotations

import math

import pytest

from agentkeys.server.faults import (
    Answer,
    Close,
    CycledCursors,
    Delay,
    EmptyPage,
    HalfBody,
    Html,
    HugeBody,
    MalformedJson,
    NeverAnswer,
    Redirect,
    RepeatedCursor,
    Reset,
    Trickle,
    WrongLength,
)

# Under these a call waits until its time is up.
HOLDING = [NeverAnswer(), Trickle(7.0), Trickle(math.inf), Delay(math.inf)]
OTHERS = [
    Answer(200, "nonsense"),
    Answer(408),
    Answer(429, headers={"Retry-After": "7"}),
    Answer(429, headers={"Retry-After": "3600"}),
    Answer(503),
    Close(),
    Delay(20.0),
    Delay(31.0),
    HalfBody(),
    Html(),
    Html(502),
    HugeBody(11_000_000),
    HugeBody(11_000_000, chunked=True),
    MalformedJson(),
    MalformedJson(500),
    Redirect("http://elsewhere.test/"),
    Reset(),
    WrongLength(5),
    WrongLength(-3),
]
OF_PAGES = [RepeatedCursor(), CycledCursors(2), EmptyPage()]

_AT_EVERY_RUN = HOLDING[:2]
# All of them together take minutes.
kinds = pytest.mark.parametrize(
    "kind",
    [
        *_AT_EVERY_RUN,
        *(pytest.param(kind, marks=pytest.mark.long) for kind in [*HOLDING[2:], *OTHERS]),
    ],
    ids=repr,
)
whens = pytest.mark.parametrize("when", ["before", "after"])
