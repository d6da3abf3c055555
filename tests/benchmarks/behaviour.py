"""What becomes of keys and secrets when things go wrong: agentkeys, and agentmail if installed.

The local service stands for both: Agentry's agent surface answers as AgentMail's API does.
"""

from __future__ import annotations

import asyncio
import contextlib
import io
import logging
import os
import pickle
import tempfile
import traceback
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from measure import report

from agentkeys import AgentryClient, RetryPolicy, issue
from agentkeys.server.faults import AGENTRY, CREATES, LISTS, Answer, Delay, RepeatedCursor, Reset
from agentkeys.stores import MemoryStore
from agentkeys.sync import LocalService

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    Act = Callable[[Any], Awaitable[object]]

MOST_PAGES = 50
"""After so many, a listing that repeats its cursor is taken to be endless."""


class Agentkeys:
    """Ours: `create`."""

    name = "agentkeys, create"

    def __init__(self, service: LocalService) -> None:
        self.token = service.agentry_token
        self._inbox = service.inbox_id
        self._client = AgentryClient(self.token, base_url=service.url, retry=RetryPolicy(base=0.05))

    @property
    def keys(self) -> Any:
        return self._client.agent.inbox(self._inbox).api_keys

    async def create(self) -> object:
        return await self.keys.create("ci")

    async def first(self) -> object:
        return await self.keys.list().first()

    async def everything(self) -> int:
        return sum([1 async for _ in self.keys.list(limit=1).pages()])

    async def delete(self, key_id: str) -> object:
        return await self.keys.delete(key_id)

    async def close(self) -> None:
        await self._client.close()


class Issuing(Agentkeys):
    """Ours: `issue`."""

    name = "agentkeys, issue"

    async def create(self) -> object:
        return await issue(self.keys, "ci", into=MemoryStore())


class Agentmail:
    """AgentMail's own SDK, on the same routes."""

    name = "agentmail"

    def __init__(self, service: LocalService) -> None:
        import agentmail
        from agentmail.environment import AgentMailEnvironment

        self.token = service.agentry_token
        self._inbox = service.inbox_id
        here = AgentMailEnvironment(http=f"{service.url}/agent", websockets=service.url)
        self._client = agentmail.AsyncAgentMail(api_key=self.token, environment=here)

    async def create(self) -> object:
        from agentmail.api_keys.types import CreateBearerApiKeyRequest

        request = CreateBearerApiKeyRequest(name="ci")
        return await self._client.inboxes.api_keys.create(self._inbox, request=request)

    async def first(self) -> object:
        return await self._client.inboxes.api_keys.list(self._inbox)

    async def everything(self) -> int:
        # It has no iterator: this is the loop that its users write.
        pages, token = 0, None
        while pages < MOST_PAGES:
            page = await self._client.inboxes.api_keys.list(self._inbox, limit=1, page_token=token)
            pages, token = pages + 1, page.next_page_token
            if token is None:
                return pages
        raise RecursionError

    async def delete(self, key_id: str) -> object:
        return await self._client.inboxes.api_keys.delete(self._inbox, key_id)

    async def close(self) -> None:
        """It has no such thing."""


Kind = type[Agentkeys] | type[Agentmail]


def run() -> None:
    """Print a table for each trouble."""
    kinds: list[Kind] = [Agentkeys, Issuing]
    if find_spec("agentmail"):
        kinds.append(Agentmail)
    for trouble, (act, wanted) in TROUBLES.items():
        rows = [(kind.name, outcome(act, kind), wanted) for kind in kinds]
        report(trouble, rows)


def outcome(act: Any, kind: Kind) -> str:
    with tempfile.TemporaryDirectory() as home, LocalService() as service:
        os.environ["AGENTKEYS_HOME"] = home
        return str(act(service, kind))


def keys_left(service: LocalService) -> int:
    async def count() -> int:
        async with AgentryClient(service.agentry_token, base_url=service.url) as client:
            return len(await client.inbox(service.inbox_id).api_keys.list().collect())

    return asyncio.run(count())


def after(service: LocalService, kind: Kind, act: Act) -> str:
    """Do *act* with a client; say what it raised and how many keys are left."""

    async def done() -> str:
        client = kind(service)
        try:
            await act(client)
        except (Exception, asyncio.CancelledError) as error:  # noqa: BLE001  # anything of theirs
            return type(error).__name__
        finally:
            await client.close()
        return "returned"

    ended = asyncio.run(done())
    return f"{keys_left(service)} left ({ended})"


def lost(fault: Any, times: Any = 1) -> Any:
    def act(service: LocalService, kind: Kind) -> str:
        service.faults.add(CREATES, fault, when="after", times=times)
        return after(service, kind, lambda client: client.create())

    return act


def cancelled(service: LocalService, kind: Kind) -> str:
    fault = service.faults.add(CREATES, Delay(0.3), when="after")

    async def cancel(client: Any) -> None:
        call = asyncio.create_task(client.create())
        await asyncio.to_thread(fault.wait)
        call.cancel()
        await call

    return after(service, kind, cancel)


def three_runs(service: LocalService, kind: Kind) -> str:
    client = kind(service)
    answers = 0
    for _ in range(3):
        with contextlib.suppress(Exception):
            asyncio.run(client.first())
            answers += 1
    return f"{answers} answers"


def repeated_cursor(service: LocalService, kind: Kind) -> str:
    async def fill(client: Any) -> None:
        for _ in range(3):
            await client.create()

    after(service, Agentkeys, fill)
    service.faults.add(LISTS & AGENTRY, RepeatedCursor(), times="always")

    async def listed() -> str:
        client = kind(service)
        try:
            return f"{await client.everything()} pages"
        except Exception as error:  # noqa: BLE001
            return type(error).__name__
        finally:
            await client.close()

    return asyncio.run(listed())


def leaks(service: LocalService, kind: Kind) -> str:
    """Count the places that show a secret: the new key's, or the bearer token."""
    shown: dict[str, str] = {}
    log = io.StringIO()
    logging.basicConfig(stream=log, level=logging.DEBUG, force=True)

    async def look() -> None:
        client = kind(service)
        secrets.append(client.token)
        new: Any = await client.create()
        secret = getattr(new, "api_key", None)
        if secret is not None:
            secrets.append(secret.reveal() if hasattr(secret, "reveal") else secret)
        shown["repr"] = repr(new)
        with contextlib.suppress(Exception):
            shown["pickle"] = pickle.dumps(new).decode("latin-1")
        service.faults.add(LISTS, Answer(400), times="always")
        try:
            await client.first()
        except Exception as error:  # noqa: BLE001
            trace = traceback.TracebackException.from_exception(error, capture_locals=True)
            mine = trace.stack[0].filename  # this program's own frames do not count
            trace.stack[:] = [frame for frame in trace.stack if frame.filename != mine]
            shown["traceback"] = "".join(trace.format())
        await client.close()

    secrets: list[str] = []
    asyncio.run(look())
    shown["log"] = log.getvalue()
    logging.basicConfig(level=logging.CRITICAL, force=True)
    found = [place for place, text in shown.items() if any(each in text for each in secrets)]
    return ", ".join(found) or "nowhere"


def path_escape(service: LocalService, kind: Kind) -> str:
    """Ask to delete a key of another collection by way of ``..``."""

    async def act() -> str:
        client = kind(service)
        made: Any = await Agentkeys(service)._client.agent.api_keys.create("tenant's")
        service.requests.clear()
        with contextlib.suppress(Exception):
            await client.delete(f"../../../api-keys/{made.api_key_id}")
        await client.close()
        [sent] = service.requests
        return "left its segment" if "/../" in sent.path else "stayed one segment"

    return asyncio.run(act())


TROUBLES: dict[str, tuple[Any, str]] = {
    "one create, its answer reset": (lost(Reset()), "at most 1"),
    "one create, answered 500": (lost(Answer(500)), "at most 1"),
    "one create, always answered 500": (lost(Answer(500), "always"), "at most 1"),
    "one create, cancelled on its way": (cancelled, "0, or its secret is kept"),
    "one client, three asyncio.run()": (three_runs, "3 answers"),
    "a cursor that repeats": (repeated_cursor, "an error"),
    "where a secret shows": (leaks, "nowhere"),
    "delete('../../../api-keys/ID')": (path_escape, "one segment"),
}
