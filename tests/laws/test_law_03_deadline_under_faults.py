"""Law 3 under every fault that the local service knows, on a clock that takes no time."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any

import attrs
import pytest
from fault_grid import HOLDING, OF_PAGES, OTHERS, kinds, whens
from samples import agentity, agentry
from virtual_time import at_work, run

from agentkeys import (
    AgentKeysError,
    DeadlineExceededError,
    PasswordLogin,
    RetryPolicy,
    TokenPair,
)
from agentkeys.agentity import login, register
from agentkeys.server import LocalService
from agentkeys.server.faults import AGENTRY, ALL, LISTS, LOGIN, REFRESH, Kind

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

pytestmark = pytest.mark.slow

TIMEOUT = 30.0
# It never gives up by itself, and waits long enough for the deadline to come in between.
STUBBORN = RetryPolicy(tries=10**9, base=10.0, cap=10.0)


@attrs.frozen
class Ended:
    """When a call ended, in seconds since it began, and with what."""

    seconds: float
    error: AgentKeysError | None


async def ended(call: Awaitable[object]) -> Ended:
    clock = asyncio.get_running_loop().time
    begun, error = clock(), None
    try:
        await call
    except AgentKeysError as raised:
        error = raised.with_traceback(None)
    return Ended(clock() - begun, error)


async def calls(
    service: LocalService, exits: AsyncExitStack
) -> dict[str, Callable[[], Awaitable[object]]]:
    """Return every call there is; what they need is there, and tokens that have ended are."""

    async def of_agentity(credentials: Any) -> Any:
        client = agentity(service.url, credentials, timeout=TIMEOUT, retry=STUBBORN)
        return (await exits.enter_async_context(client)).api_keys

    account = (service.email, service.password)
    renewing = await of_agentity(PasswordLogin(*account))
    await renewing.list().first()
    service.clock.advance(3600)  # and its token has ended
    tokens = await login(*account, base_url=service.url)
    pair = await of_agentity(TokenPair("ended", tokens.refresh_token))
    keys = await of_agentity(tokens.access_token)
    tenant = agentry(service.url, service.agentry_token, timeout=TIMEOUT, retry=STUBBORN)
    tenant_keys = (await exits.enter_async_context(tenant)).api_keys
    settings = {"base_url": service.url, "timeout": TIMEOUT, "retry": STUBBORN}
    key_id = (await keys.create("b")).id
    tenant_key_id = (await tenant_keys.create("b")).id
    fresh = await of_agentity(PasswordLogin(*account))
    return {
        "login": lambda: fresh.list().first(),
        "refresh, then login": lambda: renewing.list().first(),
        "refresh": lambda: pair.list().first(),
        "register": lambda: register("me@example.com", "pw", name="Me", **settings),
        "create": lambda: keys.create("a"),
        "list": lambda: keys.list().first(),
        "delete": lambda: keys.delete(key_id),
        "create, Agentry": lambda: tenant_keys.create("a"),
        "list, Agentry": lambda: tenant_keys.list().first(),
        "delete, Agentry": lambda: tenant_keys.delete(tenant_key_id),
    }


async def all_at_once(
    kind: Kind, when: str | None, routes: Any, names: tuple[str, ...] = ()
) -> dict[str, Ended]:
    """Make the calls, or those that are named, on a service that always misbehaves."""
    async with LocalService(middlewares=[at_work]) as service, AsyncExitStack() as exits:
        made = await calls(service, exits)
        names = names or tuple(made)
        fault = service.faults.add(routes, kind, when=when, times="always")
        results = await asyncio.gather(*(ended(made[name]()) for name in names))
        assert fault.hits
        return dict(zip(names, results, strict=True))


def is_in_time(results: dict[str, Ended], kind: Kind) -> None:
    for name, result in results.items():
        assert result.seconds <= TIMEOUT + 1e-6, name
        if kind in HOLDING:
            assert isinstance(result.error, DeadlineExceededError), name
            assert result.seconds == pytest.approx(TIMEOUT, abs=1e-3), name


@kinds
@whens
def test_every_call_ends_with_its_timeout(kind, when):
    """Ten calls, a login and a registration among them: none ends later."""
    results = run(all_at_once(kind, when, ALL))
    assert len(results) == 10
    is_in_time(results, kind)


@kinds
@whens
def test_every_renewal_ends_with_the_timeout_of_its_call(kind, when):
    """The login that hangs, the refresh that does, and the login after that."""
    names = ("login", "refresh", "refresh, then login")
    results = run(all_at_once(kind, when, LOGIN | REFRESH, names))
    assert len(results) == 3
    is_in_time(results, kind)


@pytest.mark.parametrize("kind", OF_PAGES, ids=repr)
def test_every_page_ends_with_its_timeout(kind):
    """A page that lies about what follows it is a page all the same."""
    results = run(all_at_once(kind, None, LISTS & AGENTRY))
    assert results["list, Agentry"].error is None
    assert results["list, Agentry"].seconds <= TIMEOUT


def test_every_kind_of_fault_is_tried():
    """So that one which is added later is tried as well."""
    tried = {type(kind).__name__ for kind in [*HOLDING, *OTHERS, *OF_PAGES]}
    of_ours = [kind for kind in Kind.__subclasses__() if kind.__module__.startswith("agentkeys.")]
    assert tried == {kind.__name__ for kind in of_ours}
