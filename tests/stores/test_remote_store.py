"""The base of stores on other machines, over a service of the test's own in this process."""

import asyncio
import itertools
import logging

import attrs
import pytest

from agentkeys import Secret, StoreConflictError, StoreError, UncertainStoreError
from agentkeys.stores import ABSENT, ANY, Stored, Version, in_thread
from agentkeys.stores.contract.remote import Forbidden, Held, Lost, Moved, RemoteStore
from agentkeys.testing import store_conformance
from agentkeys.testing.store_checks import hidden, made_up

OLD, NEW, OTHERS = made_up(), made_up(), made_up()


class LibraryError(Exception):
    """What the library of a store raises; its text and its frames have the secret."""


@attrs.define
class Service:
    """Keeps one secret and its number; what goes wrong is in `troubles`, one for each request."""

    secret: Secret | None = None
    number: int = 0
    readable: bool = True
    writable: bool = True
    troubles: list[str] = attrs.field(factory=list)
    asked: list[str] = attrs.field(factory=list)

    async def request(self, kind, body=""):
        self.asked.append(kind)
        logging.getLogger("library.http").debug("body %s", body)
        trouble = self.troubles.pop(0) if self.troubles else ""
        if trouble == "hang":
            await asyncio.get_running_loop().create_future()
        if trouble == "lost before":
            raise ConnectionError(body)
        if trouble == "refused":
            raise LibraryError(body)
        if callable(trouble):
            trouble()
        if not (self.readable if kind == "get" else self.writable):
            raise PermissionError(body)
        return trouble == "lost after"

    def put(self, secret):
        self.secret, self.number = secret, self.number + 1


class InProcess(RemoteStore):
    quiet = ("library",)
    pause = 0.001

    def __init__(self, service, timeout=5.0):
        super().__init__(timeout=timeout)
        self.service = service
        self.address = "in-process:it"

    def describe(self):
        return "the service of this process"

    async def _held(self):
        lost = await self.service.request("get")
        if lost:
            raise ConnectionError
        return Held(self.service.secret, self.service.number)

    async def _put(self, secret, held):
        body = secret.reveal() if secret else ""
        lost = await self.service.request("put", body)
        if held.token != self.service.number:
            raise Moved
        self.service.put(secret)
        if lost:
            raise ConnectionError(body)

    async def _put_unread(self, secret):
        lost = await self.service.request("put", secret.reveal())
        self.service.put(secret)
        if lost:
            raise ConnectionError

    async def _rehearse(self, held):
        await self.service.request("rehearse")

    async def _place(self):
        await self.service.request("place")
        return "this process"

    def _told(self, error):
        if isinstance(error, ConnectionError):
            return Lost("the connection broke")
        if isinstance(error, PermissionError):
            return Forbidden("that is not permitted")
        return StoreError(f"it failed with {type(error).__name__}", store=self.describe())


SERVICES = {}


class TestInProcess(
    store_conformance(lambda folder: InProcess(SERVICES.setdefault(str(folder), Service())))
):
    pass


def held(service):
    return Stored.of(service.secret)


@pytest.mark.parametrize("expected", [ABSENT, ANY], ids=["absent", "any"])
@pytest.mark.parametrize(
    "troubles",
    [
        [],
        ["lost before"],
        ["", "lost before"],
        ["", "lost after"],
        ["", "lost after", "lost before"],
        ["", "", "lost after"],
        ["", "lost after", "lost after", "lost after"],
    ],
    ids=" ".join,
)
@pytest.mark.asyncio
async def test_a_lost_answer_is_settled(troubles, expected):
    """Whichever answer is lost, before or after the service has acted, one write is done."""
    service = Service(troubles=list(troubles))
    version = await InProcess(service).write(NEW, expected=expected)
    assert (service.secret, service.number) == (NEW, 1)
    assert version == Version.of(NEW)


@pytest.mark.asyncio
async def test_a_lost_removal_is_settled():
    """It is no error that there is nothing left to remove."""
    service = Service(secret=OLD, troubles=["", "lost after"])
    await InProcess(service).remove(expected=Version.of(OLD))
    assert (service.secret, service.number) == (None, 1)


@pytest.mark.asyncio
async def test_a_write_in_between_is_a_conflict():
    """What somebody else has written between the look and the write stays."""
    service = Service(secret=OLD)
    service.troubles = ["", lambda: service.put(OTHERS)]
    with pytest.raises(StoreConflictError):
        await InProcess(service).write(NEW, expected=Version.of(OLD))
    assert service.secret == OTHERS


@pytest.mark.asyncio
async def test_a_write_in_between_of_something_else_is_none():
    """A change that leaves the secret as it was read is looked at, and the write is done."""
    service = Service(secret=OLD)
    service.troubles = ["", lambda: service.put(OLD)]
    await InProcess(service).write(NEW, expected=Version.of(OLD))
    assert service.secret == NEW


@pytest.mark.asyncio
async def test_a_late_write_that_was_overtaken_changes_nothing():
    """An answer was lost before the service acted: what comes late meets another number."""
    service = Service(troubles=["", "lost before"])
    store = InProcess(service)
    late = Held(None, service.number)
    await store.write(NEW, expected=ABSENT)
    with pytest.raises(Moved):
        await store._put(OTHERS, late)
    assert service.secret == NEW


@pytest.mark.parametrize(
    ("troubles", "kind"),
    [
        (["lost before"] * 20, StoreError),
        (["", *["lost after"] * 20], UncertainStoreError),
        (["", "hang"], UncertainStoreError),
        (["hang"], StoreError),
        (["refused"], StoreError),
        (["", "refused"], StoreError),
        (["", "lost before", "refused"], UncertainStoreError),
    ],
    ids=lambda value: " ".join(value[:3]) if isinstance(value, list) else value.__name__,
)
@pytest.mark.asyncio
async def test_what_cannot_be_settled_says_so(troubles, kind):
    """It is uncertain if the service may have acted, and only then."""
    service = Service(troubles=list(troubles))
    with pytest.raises(StoreError) as raised:
        await InProcess(service, timeout=0.5 if "hang" in troubles else 30.0).write(NEW)
    assert type(raised.value) is kind
    assert raised.value.store == "the service of this process"
    hidden(NEW, raised.value)


@pytest.mark.asyncio
async def test_the_last_reason_is_the_one_that_is_given():
    """Requests that are lost are not called a change by others."""
    service = Service(troubles=["", "lost before"] * 20)
    with pytest.raises(UncertainStoreError, match="the connection broke"):
        await InProcess(service).write(NEW)


@pytest.mark.asyncio
async def test_a_service_that_returns_something_else_says_so():
    """It took the write, and does not have it."""
    store = InProcess(Service())
    store._put = lambda *_: store.service.request("put")
    with pytest.raises(UncertainStoreError, match="does not return what was written"):
        await store.write(NEW)


@pytest.mark.asyncio
async def test_what_runs_in_a_thread_is_silent_as_well(caplog):
    """A library that blocks logs bodies, too."""
    caplog.set_level(logging.DEBUG)

    class InThread(InProcess):
        async def _held(self):
            log = logging.getLogger("library").debug
            await in_thread(lambda _: log("body"), timeout=5.0, store="it")
            return await super()._held()

    await InThread(Service()).read()
    assert "body" not in caplog.text


@pytest.mark.asyncio
async def test_others_who_write_all_the_while_end_it():
    """It gives up, and nothing of it was done."""
    service = Service()
    numbers = itertools.count()
    change = [lambda: service.put(Secret(f"{next(numbers)}")), ""]
    service.troubles = ["", *change * 20]
    with pytest.raises(StoreError, match="other programs keep changing it"):
        await InProcess(service).write(NEW)


@pytest.mark.asyncio
async def test_without_the_right_to_read_it_is_write_only(caplog):
    """The probe finds it out and says what is lost; then a write is one request, without a look."""
    service = Service(secret=OLD, readable=False)
    store = InProcess(service)
    assert store.readable
    await store.probe()
    assert not store.readable
    assert "write-only with these credentials" in caplog.text
    service.asked.clear()
    await store.probe()
    assert service.asked == ["rehearse"], "what is known is asked again"
    service.asked.clear()
    await store.write(NEW)
    assert service.secret == NEW
    assert service.asked == ["put"]
    for refused in (store.read(), store.remove(), store.write(OLD, expected=ABSENT)):
        with pytest.raises(StoreError, match="write-only"):
            await refused
    assert service.secret == NEW


@pytest.mark.asyncio
async def test_a_write_whose_answer_is_lost_is_uncertain_where_nobody_can_read():
    """It is not sent again: nothing would keep what came in between."""
    service = Service(readable=False, troubles=["", "lost after"])
    with pytest.raises(UncertainStoreError):
        await InProcess(service).write(NEW)
    assert service.asked == ["get", "put"]


@pytest.mark.asyncio
async def test_without_any_right_the_probe_says_so():
    """It is not taken for a write-only store."""
    store = InProcess(Service(readable=False, writable=False))
    with pytest.raises(StoreError, match="not permitted"):
        await store.probe()
    assert store.readable


@pytest.mark.parametrize("trouble", ["refused", "lost before", "hang"])
@pytest.mark.asyncio
async def test_no_frame_of_the_library_is_kept(trouble, caplog):
    """Neither in an error, nor in a cancellation; and what the library logs is dropped."""
    caplog.set_level(logging.DEBUG)
    service = Service(troubles=["", *[trouble] * 20])
    writing = asyncio.ensure_future(InProcess(service, timeout=5.0).write(NEW))
    while len(service.asked) < 2:  # noqa: ASYNC110  # the service of this test has no event
        await asyncio.sleep(0)
    if trouble == "hang":
        writing.cancel()
    with pytest.raises((StoreError, asyncio.CancelledError)) as raised:
        await writing
    hidden(NEW, raised.value)
    assert "body" not in caplog.text
    logging.getLogger("library.http").debug("what the program's own code logs")
    assert "own code" in caplog.text
