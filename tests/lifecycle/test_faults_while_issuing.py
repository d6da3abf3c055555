"""Whatever goes wrong on the wire, there is exactly one key, and its secret is stored.

Every kind of fault that the local service knows, before it has acted and after, on both services.
If the fault lasts, there is an error instead that says what is left, and a sweep that leaves none.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
from itertools import product
from typing import TYPE_CHECKING, Any, NamedTuple

import attempt_files
import pytest
from chaos import BASE, SERVICES, Place, client_of, keys_of, place_at
from fault_grid import HOLDING, OTHERS

from agentkeys import AgentKeysError, UncertainStoreError, issue, sweep, sync
from agentkeys.server.faults import (
    CREATES,
    DELETES,
    LISTS,
    Answer,
    Close,
    Delay,
    HalfBody,
    MalformedJson,
    NeverAnswer,
    Reset,
)
from agentkeys.stores import DotenvStore

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable
    from pathlib import Path

    from agentkeys import Store
    from agentkeys.server.faults import Kind

pytestmark = pytest.mark.slow

REFUSALS = [Answer(status) for status in (400, 401, 403, 404, 409, 422)]
KINDS = [*HOLDING, *OTHERS, *REFUSALS, Answer(429, headers={"Retry-After": "0"}), Delay(0)]
FEW = [NeverAnswer(), Answer(503), Close(), HalfBody(), MalformedJson(), Reset(), Answer(409)]
AT_ONCE = 12
"""How many cases run at the same time; most of them wait most of the time."""


class Case(NamedTuple):
    """A fault on some routes of a service."""

    which: str
    kind: Kind
    when: Any
    routes: frozenset[str] = CREATES
    times: Any = 1


def cases(kinds: Iterable[Kind]) -> list[Case]:
    return [Case(*each) for each in product(SERVICES, kinds, ["before", "after"])]


def lasting_cases(kinds: Iterable[Kind]) -> list[Case]:
    grid = product(SERVICES, kinds, ["after"], LASTING, ["always"])
    return [case for each in grid if is_honest(case := Case(*each))]


async def issued(place: Place, store: Store, seconds: float) -> AgentKeysError | None:
    try:
        await issue(place.keys, BASE, into=store, timeout=seconds)
    except AgentKeysError as error:
        return error
    return None


async def issued_blocking(place: Place, store: Store, seconds: float) -> AgentKeysError | None:
    def call() -> None:
        which = "agentity" if "Agentity" in repr(place.keys.scope) else "agentry"
        with blocking_client(place, which) as client:
            sync.issue(keys_of(place.service, client), BASE, into=store, timeout=seconds)

    try:
        await asyncio.to_thread(call)
    except AgentKeysError as error:
        return error
    return None


def blocking_client(place: Place, which: str) -> Any:
    twin = client_of(place.service, which)
    kind = sync.AgentityClient if which == "agentity" else sync.AgentryClient
    settings = twin._session._settings
    return kind(twin._session._credentials, base_url=place.service.url, retry=settings.retry)


class CommandError(AgentKeysError):
    """What a command printed."""


async def issued_by_command(place: Place, store: Store, seconds: float) -> AgentKeysError | None:
    scope = place.keys.scope
    service = scope.service.lower()
    words = ["create", BASE] if service == "agentity" else ["create", place.service.inbox_id, BASE]
    command = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "agentkeys", service, *words, "--timeout", str(seconds)),
        *("--save", store.address),
        env={**os.environ, **credentials(place)},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = (text.decode() for text in await command.communicate())
    secret = (await store.read()).secret
    if secret is not None:
        assert secret.reveal() not in out + err
    return CommandError(err) if command.returncode else None


def credentials(place: Place) -> dict[str, str]:
    service = place.service
    return {
        "AGENTITY_BASE_URL": service.url,
        "AGENTITY_EMAIL": service.email,
        "AGENTITY_PASSWORD": service.password,
        "AGENTRY_BASE_URL": service.url,
        "AGENTRY_API_KEY": service.agentry_token,
    }


Way = "Callable[[Place, Store, float], Awaitable[AgentKeysError | None]]"


def remembered(place: Place) -> int:
    found = attempt_files.claim(lambda scope: scope.realm == place.service.url)
    for held in found:
        held.release()
    return len(found)


@contextlib.asynccontextmanager
async def forgotten(place: Place) -> AsyncIterator[None]:
    """Remove what is left of the attempts at the end: another service may come to have the port."""
    yield
    for held in attempt_files.claim(lambda scope: scope.realm == place.service.url):
        held.finish()


async def check(case: Case, way: Way, path: Path, seconds: float) -> AgentKeysError | None:
    """See that the law holds; return the error, if no key was issued."""
    async with place_at(case.which) as place, forgotten(place):
        store = DotenvStore(path, "KEY")
        place.service.faults.add(case.routes, case.kind, when=case.when, times=case.times)
        error = await way(place, store, seconds)
        # If it could not look whether a no was a yes, the attempt is remembered.
        said_no = getattr(error, "applied", None) == "no" and not remembered(place)
        place.service.faults.clear()
        if said_no:
            assert await place.ids() == [], "it said that nothing was made"
        swept = await sweep(place.keys)
        if swept.waiting:  # what the service had begun to do when the call ended is done by now
            swept = await sweep(place.keys)
        assert swept.unresolved == ()
        if error is None:
            await place.holds_one_key_that_works(store)
            return None
        if await place.is_kept(store):  # what could be salvaged, before it complained
            # A slow machine's time was up before it knew that.
            assert "secret is stored" in str(error) or isinstance(error, UncertainStoreError)
            await place.holds_one_key_that_works(store)
            return error
        assert await place.ids() == [], "what an error left, the sweep did not find"
        assert (await store.read()).secret is None
        named = f"'{BASE}~" in str(error)
        is_refusal = getattr(error, "applied", None) == "no"
        assert is_refusal or named or isinstance(error, CommandError)
        return error


async def run(
    grid: list[Case], way: Way, folder: Path, seconds: float
) -> list[tuple[Case, AgentKeysError | None]]:
    """Check all cases, some at a time; raise what failed, each with its case."""
    permits = asyncio.Semaphore(AT_ONCE)
    failures = []

    async def one(number: int, case: Case) -> AgentKeysError | None:
        async with permits:
            try:
                return await check(case, way, folder / f"{number}.env", seconds)
            except Exception as error:  # noqa: BLE001  # all of them are raised below
                verbs = {route.split()[0] for route in case.routes}
                error.add_note(f"{case.which}: {case.kind} {case.when} {verbs} {case.times}")
                failures.append(error)
        return None

    outcomes = await asyncio.gather(*(one(*numbered) for numbered in enumerate(grid)))
    if failures:
        raise ExceptionGroup("some cases failed", failures)
    return list(zip(grid, outcomes, strict=True))


def may_fail(case: Case) -> bool:
    """Whether one such fault may end in an error: a refusal, or a wait that is too long."""
    if not isinstance(case.kind, Answer):
        return False
    asked = float(case.kind.headers.get("Retry-After", 0))
    refused = case.kind in REFUSALS and (case.when == "before" or case.kind.status == 401)
    return refused or asked > 2


@pytest.mark.asyncio
@pytest.mark.parametrize("way", [issued, issued_blocking])
@pytest.mark.parametrize(
    "kinds", [pytest.param(FEW, id="few"), pytest.param(KINDS, id="all", marks=pytest.mark.long)]
)
async def test_one_fault_makes_no_second_key_and_loses_none(way, kinds, tmp_path):
    """One request goes wrong: one key, stored, and it works."""
    outcomes = await run(cases(kinds), way, tmp_path, 4.0)
    assert len(outcomes) == len(kinds) * 4 >= (120 if kinds is KINDS else 28)
    for case, error in outcomes:
        assert error is None or may_fail(case), f"{case}: {error}"


@pytest.mark.asyncio
@pytest.mark.parametrize(
    "kinds",
    [
        pytest.param([FEW[0]], id="one", marks=pytest.mark.slow),
        pytest.param(FEW, id="few", marks=pytest.mark.long),
    ],
)
async def test_nor_does_it_on_the_command_line(kinds, tmp_path):
    """`create --save`, as a process of its own: the same law, and the secret is printed nowhere."""
    outcomes = await run(cases(kinds), issued_by_command, tmp_path, 4.0)
    assert len(outcomes) == len(kinds) * 4
    for case, error in outcomes:
        assert error is None or may_fail(case), f"{case}: {error}"


# Each create makes a key whose answer is lost, and then nobody can look for it, or delete it.
LASTING = [CREATES, CREATES | LISTS, CREATES | DELETES]


def is_honest(case: Case) -> bool:
    """Whether there is a way to know: not if each create says no, and so does each listing."""
    says_no = isinstance(case.kind, Answer) and case.kind.status in {429, *range(400, 423)} - {408}
    return not (says_no and case.routes >= LISTS)


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("kinds", "way"),
    [
        pytest.param(FEW[:2], issued, id="few"),
        pytest.param(KINDS, issued, id="all", marks=pytest.mark.long),
        pytest.param(KINDS, issued_blocking, id="all, blocking", marks=pytest.mark.long),
    ],
)
async def test_a_fault_that_lasts_leaves_what_a_sweep_finds(kinds, way, tmp_path):
    """Creates, and what finds and deletes their keys, fail for good: no key is lost sight of."""
    outcomes = await run(lasting_cases(kinds), way, tmp_path, 1.0)
    assert len(outcomes) >= (160 if kinds is KINDS else 12)
    assert all(error is not None for case, error in outcomes if case.kind in HOLDING)
