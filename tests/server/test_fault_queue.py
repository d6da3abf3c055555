"""Which request meets which fault, how long that lasts, and what is refused at once."""

from __future__ import annotations

import asyncio
import contextlib
import math
import threading
import time

import aiohttp
import pytest
from aiohttp import web

from agentkeys.errors import InvalidArgumentError
from agentkeys.server import LocalService, faults
from agentkeys.server.agentity import Agentity
from agentkeys.server.agentry import Agentry
from agentkeys.server.faults import (
    AGENTITY,
    AGENTRY,
    ALL,
    CREATES,
    DELETES,
    LISTS,
    LOGIN,
    REFRESH,
    REGISTER,
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

TENANT_LIST = "GET /human/v0/api-keys"
SECRET = "ag_0123456789abcdef"


async def listing(api, path=None):
    return await api.send("GET", path or api.tenant, token=api.service.agentry_token)


async def statuses(api, count):
    return [(await listing(api)).status for _ in range(count)]


@pytest.mark.asyncio
async def test_faults_on_a_route_are_met_in_order_and_each_so_often(api):
    """First come, first met; when all are used up, the service is as it was."""
    first = api.service.faults.add(TENANT_LIST, Answer(500), times=2)
    second = api.service.faults.add(LISTS, Answer(502))
    assert await statuses(api, 4) == [500, 500, 502, 200]
    assert (first.hits, second.hits) == (2, 1)
    assert list(api.service.faults) == [first, second]


@pytest.mark.asyncio
async def test_a_fault_can_be_for_always(api):
    """Then it ends only when it is removed."""
    fault = api.service.faults.add(LISTS, Answer(500), times="always")
    assert await statuses(api, 5) == [500] * 5
    fault.remove()
    assert await statuses(api, 1) == [200]


@pytest.mark.asyncio
async def test_a_fault_is_on_its_routes_alone(api):
    """Another route, or another method, does not meet it; nor does an address that is none."""
    api.service.faults.add("POST /human/v0/api-keys", Answer(500), times="always")
    assert (await api.create(api.inbox))["name"] == "a key"
    assert await statuses(api, 1) == [200]
    assert (await listing(api, "/nowhere")).status == 404
    assert (await api.send("POST", api.tenant)).status == 500


@pytest.mark.asyncio
async def test_faults_end_with_their_block_or_all_at_once(api):
    """`with` removes one; `clear` removes all."""
    with api.service.faults.add(LISTS, Answer(500), times="always"):
        assert await statuses(api, 1) == [500]
    assert await statuses(api, 1) == [200]
    for status in (500, 502):
        api.service.faults.add(LISTS, Answer(status))
    api.service.faults.clear()
    assert await statuses(api, 1) == [200]
    assert list(api.service.faults) == []


@pytest.mark.asyncio
async def test_what_is_refused_is_not_acted_on_and_does_not_use_a_fault_up(api):
    """A client whose token has ended first meets a 401, and then, after its renewal, the fault."""
    fault = api.service.faults.add(LISTS, Answer(500), when="after")
    assert (await api.send("GET", api.tenant, token="wrong")).status == 401
    assert fault.hits == 0
    assert await statuses(api, 2) == [500, 200]


@pytest.mark.asyncio
async def test_what_comes_before_does_not_look_at_the_request(api):
    """The fault is met by a request that would be refused, too, if it is one at all."""
    api.service.faults.add(LISTS, Answer(418), times=2)
    assert (await api.send("GET", api.tenant, token="wrong")).status == 418
    assert (await api.send("GET", api.tenant, data=b"x" * 100_000)).status == 418


@pytest.mark.asyncio
async def test_two_at_once_meet_two_faults(api):
    """Each is met once, by whichever request is done first."""
    for status in (500, 502):
        api.service.faults.add(LISTS, Answer(status), when="after")
    answers = await asyncio.gather(*(listing(api) for _ in range(3)))
    assert sorted(answer.status for answer in answers) == [200, 500, 502]


@pytest.mark.asyncio
async def test_one_can_wait_until_a_fault_was_met(api):
    """It returns at the hit, at once if that has been, and gives up with a sentence if not."""
    fault = api.service.faults.add(LISTS, Answer(500), times=3)
    waiting = [asyncio.create_task(fault.wait(hits)) for hits in (1, 2)]
    await statuses(api, 1)
    await waiting[0]
    assert not waiting[1].done()
    await statuses(api, 1)
    await waiting[1]
    await fault.wait(2)
    with pytest.raises(TimeoutError, match=r"<Fault Answer\(status=500\).*: 2 after 0.001 seconds"):
        await fault.wait(3, timeout=0.001)


@pytest.mark.asyncio
async def test_faults_can_be_added_before_the_start_and_stay_for_the_next(api_of):
    """They belong to the service, and not to one run of it."""
    service = LocalService()
    service.faults.add(LISTS, Answer(500), times=2)
    for expected in (500, 500, 200):
        async with service:
            assert await statuses(api_of(service), 1) == [expected]


@pytest.mark.asyncio
async def test_one_that_hangs_can_be_let_go_in_the_next_run(api_of):
    """What a fault was in one run does not keep it from being removed in another."""
    service = LocalService()
    fault = service.faults.add(CREATES, NeverAnswer(), times="always")
    for hits in (1, 2):
        async with service:
            hanging = asyncio.create_task(api_of(service).create())
            await fault.wait(hits)
            if hits == 2:
                fault.remove()
                with pytest.raises(aiohttp.ServerDisconnectedError):
                    await hanging
        await asyncio.wait([hanging])
    assert isinstance(hanging.exception(), aiohttp.ServerDisconnectedError)


@pytest.mark.asyncio
async def test_any_thread_may_add_and_remove(api):
    """A fault that is removed elsewhere lets go of what waits at it."""
    fault = api.service.faults.add(LISTS, Delay(math.inf))
    waiting = asyncio.create_task(listing(api))
    await fault.wait()
    thread = threading.Thread(target=fault.remove)
    thread.start()
    assert (await waiting).status == 200
    thread.join()


@pytest.mark.asyncio
async def test_a_middleware_of_the_users_is_inside(api_of):
    """Its answers are spoiled like the service's own; one that it has sent already is not."""
    seen = []

    @web.middleware
    async def middle(request, handler):
        seen.append(request.method)
        if request.method == "DELETE":
            sent = web.StreamResponse()
            await sent.prepare(request)
            return sent
        return await handler(request)

    async with LocalService(middlewares=[middle]) as service:
        api = api_of(service)
        service.faults.add(LISTS, Answer(500))
        service.faults.add(LISTS | DELETES, Answer(502), when="after", times=2)
        assert await statuses(api, 2) == [500, 502]
        assert (await api.send("DELETE", f"{api.tenant}/x")).status == 200
        assert seen == ["GET", "DELETE"]


HELD = [NeverAnswer(), Delay(3600), Delay(math.inf), Trickle(3600), HugeBody()]
held = pytest.mark.parametrize("kind", HELD, ids=repr)


async def hold(api, fault):
    """Send a list request by hand, and do not read its answer."""
    reader, writer = await asyncio.open_connection(*api.address, limit=1024)
    token = api.service.agentry_token
    writer.write(
        f"GET {api.tenant} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n\r\n".encode()
    )
    await fault.wait()
    return reader, writer


@held
@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.asyncio
async def test_closing_ends_at_once_what_is_held_back(api, kind, when):
    """It takes none of the shutdown timeout, and the client sees the end of its connection."""
    fault = api.service.faults.add(LISTS, kind, when=when)
    reader, writer = await hold(api, fault)
    start = time.perf_counter()
    await api.service.close()
    assert time.perf_counter() - start < 1
    with contextlib.suppress(ConnectionError):
        await reader.read()
    writer.close()


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.asyncio
async def test_a_delay_that_closing_cuts_short_is_no_answer_and_no_act(api_of, tmp_path, when):
    """Before the commit, nothing was done; after it, it was."""
    async with LocalService(database=f"sqlite:///{tmp_path}/keys.db") as service:
        fault = service.faults.add(CREATES, Delay(math.inf), when=when)
        creating = asyncio.create_task(api_of(service).create())
        await fault.wait()
        await service.close()
        with pytest.raises(aiohttp.ServerDisconnectedError):
            await creating
        assert service.requests[-1].status is None
        service.faults.clear()
        await service.start()
        assert len(await api_of(service).ids()) == (when == "after")


@held
@pytest.mark.asyncio
async def test_a_client_that_goes_away_ends_what_is_held_back(api, kind):
    """No task stays for an answer that nobody waits for."""
    await listing(api)
    before = len(asyncio.all_tasks())
    fault = api.service.faults.add(LISTS, kind, when="after")
    _, writer = await hold(api, fault)
    assert len(asyncio.all_tasks()) > before
    writer.transport.abort()
    async with asyncio.timeout(10):
        while len(asyncio.all_tasks()) > before:
            await listing(api)


@pytest.mark.asyncio
async def test_a_service_may_commit_when_its_client_has_long_gone(api):
    """A delay before the commit is no reason not to act: the key is made, late."""
    fault = api.service.faults.add(CREATES, Delay(math.inf))
    creating = asyncio.create_task(api.create())
    await fault.wait()
    creating.cancel()
    await asyncio.wait([creating])
    assert await api.ids() == []
    fault.remove()
    async with asyncio.timeout(10):
        while not await api.ids():
            pass


# Pages


async def page(api, token=None, path=None):
    query = "?limit=1" if token is None else f"?limit=1&page_token={token}"
    answer = (await listing(api, (path or api.tenant) + query)).json
    return [key["name"] for key in answer["api_keys"]], answer.get("next_page_token")


@pytest.fixture
def three_keys(api):
    async def made():
        for name in "abc":
            await api.create(api.tenant, name=name)

    return made


@pytest.mark.asyncio
async def test_a_repeated_cursor_never_ends(api, three_keys):
    """The second page names itself as the next one, for ever; the first is as it should be."""
    await three_keys()
    api.service.faults.add(TENANT_LIST, RepeatedCursor())
    names, token = await page(api)
    assert names == ["c"]
    assert [await page(api, token) for _ in range(3)] == [(["b"], token)] * 3


@pytest.mark.asyncio
async def test_a_repeated_cursor_needs_no_second_page(api):
    """A listing of one page repeats that."""
    await api.create(api.tenant, name="a")
    api.service.faults.add(TENANT_LIST, RepeatedCursor())
    names, token = await page(api)
    assert names == ["a"]
    assert token
    assert await page(api, token) == (["a"], token)


@pytest.mark.asyncio
async def test_cursors_go_round(api, three_keys):
    """A, B, C, A: each is good, and none is the last."""
    await three_keys()
    api.service.faults.add(TENANT_LIST, CycledCursors(3))
    tokens = [None]
    for _ in range(7):
        names, token = await page(api, tokens[-1])
        assert names == ["c"]
        tokens.append(token)
    assert len(set(tokens[1:4])) == 3
    assert tokens[1:4] == tokens[4:7]


@pytest.mark.asyncio
async def test_an_empty_page_leads_to_the_one_that_was_asked_for(api, three_keys):
    """At the start and in the middle: whoever goes on misses no key, and sees none twice."""
    await three_keys()
    for times, expected in [(1, [[], "c", "b", "a"]), (3, [[], [], [], "c", "b", "a"])]:
        api.service.faults.clear()
        api.service.faults.add(TENANT_LIST, EmptyPage(), times=times)
        seen, token = [], None
        while True:
            names, token = await page(api, token)
            seen.append(names)
            if token is None:
                break
        assert seen == [list(each) for each in expected]
    _, second = await page(api)
    api.service.faults.add(TENANT_LIST, EmptyPage())
    names, token = await page(api, second)
    assert names == []
    assert (await page(api, token))[0] == ["b"]


@pytest.mark.asyncio
async def test_empty_pages_without_end_never_repeat_a_cursor(api):
    """Only a bound on time or pages ends such a listing."""
    api.service.faults.add(TENANT_LIST, EmptyPage(), times="always")
    tokens = [None]
    for _ in range(20):
        names, token = await page(api, tokens[-1])
        assert names == []
        tokens.append(token)
    assert len(set(tokens)) == 21


@pytest.mark.asyncio
async def test_the_service_is_strict_about_cursors_all_the_same(api, three_keys):
    """A token that nobody gave is refused, in a listing that goes wrong too; so are two."""
    await three_keys()
    api.service.faults.add(TENANT_LIST, RepeatedCursor())
    assert (await listing(api, f"{api.tenant}?page_token=x")).status == 400
    assert (await listing(api, f"{api.tenant}?page_token=fault-1-x")).status == 400
    twice = f"{api.tenant}?page_token=fault-1-&page_token=fault-1-"
    assert (await listing(api, twice)).status == 400


# The vocabulary


def template(route):
    return f"{route.method} {route.path.replace(':[^/]+', '')}"


def test_every_route_has_its_name():
    """The routes that faults know are those that the services have."""
    services = (Agentity(*[None] * 5), Agentry(*[None] * 5))
    agentity, agentry = ({template(each) for each in service.routes()} for service in services)
    assert (agentity, agentry) == (AGENTITY, AGENTRY)
    assert agentity | agentry == ALL
    assert (len(CREATES), len(LISTS), len(DELETES)) == (6, 6, 6)
    assert ALL - CREATES - LISTS - DELETES == REGISTER | LOGIN | REFRESH


@pytest.mark.parametrize("make_service", [LocalService])
@pytest.mark.parametrize(
    ("route", "sentence"),
    [
        ("POST /auth/apikeys", r"did you mean 'POST /auth/api-keys'\?"),
        ("DELETE /auth/api-keys/5", r"did you mean 'DELETE /auth/api-keys/{id}'\?"),
        ("/auth/api-keys", r"did you mean '\w+ /auth/api-keys'"),
        ("CREATES", r"there is no route 'CREATES'$"),
        ({"POST /auth/api-keys", "GET /"}, "there is no route 'GET /'"),
        (CREATES & LISTS, "there is none in this group"),
        (5, "a route is a str"),
        ([5], "there is no route '5'"),
        (f"GET /x?apiKey={SECRET}", r"there is no route 'GET /x\?apiKey=\*+'"),
    ],
)
def test_a_route_that_is_none_is_refused_at_once(make_service, route, sentence):
    """With the one that may have been meant, and without a secret that was pasted."""
    service = make_service()
    with pytest.raises(InvalidArgumentError, match=sentence) as caught:
        service.faults.add(route, Reset())
    assert SECRET not in str(caught.value)
    assert list(service.faults) == []


@pytest.mark.parametrize(
    ("route", "kind", "how", "sentence"),
    [
        (CREATES, Reset, {}, "parentheses"),
        (CREATES, 500, {}, "parentheses"),
        (CREATES, Reset(), {"when": "during"}, '"before" the commit or "after"'),
        (CREATES, Reset(), {"times": 0}, "1 or more"),
        (CREATES, Reset(), {"times": -1}, "1 or more"),
        (CREATES, Reset(), {"times": 1.5}, "1 or more"),
        (CREATES, Reset(), {"times": True}, "1 or more"),
        (CREATES, Reset(), {"times": "once"}, "1 or more"),
        (LISTS & AGENTRY, RepeatedCursor(), {"when": "before"}, "before the commit there is none"),
        (LISTS, RepeatedCursor(), {}, "only Agentry's listings"),
        ("GET /auth/api-keys", EmptyPage(), {}, "only Agentry's listings"),
        (CREATES, CycledCursors(), {}, "only Agentry's listings"),
    ],
)
def test_a_fault_that_cannot_be_is_refused_at_once(route, kind, how, sentence):
    """With a sentence that says why, and nothing is added."""
    service = LocalService()
    with pytest.raises(InvalidArgumentError, match=sentence):
        service.faults.add(route, kind, **how)
    assert list(service.faults) == []


@pytest.mark.parametrize(
    "make",
    [
        lambda: Answer(100),
        lambda: Answer(600),
        lambda: Answer(True),
        lambda: Answer("500"),
        lambda: Answer(204, "text"),
        lambda: Answer(200, object()),
        lambda: Answer(200, "\ud800"),
        lambda: Answer(200, None, {"A": "b\r\nC: d"}),
        lambda: Answer(200, None, {"A": "\ud800"}),
        lambda: Answer(200, None, {"A:": "b"}),
        lambda: Answer(200, None, {"": "b"}),
        lambda: Answer(200, None, {"A": 5}),
        lambda: Answer(200, None, ["A"]),
        lambda: Answer(200, None, {"content-length": "5"}),
        lambda: Answer(200, None, {"Transfer-Encoding": "chunked"}),
        lambda: Html(1000),
        lambda: MalformedJson(0),
        lambda: Redirect("http://x\r\n"),
        lambda: Redirect(None),
        lambda: Redirect("http://x", 200),
        lambda: Delay(-1),
        lambda: Delay(math.nan),
        lambda: Delay("1"),
        lambda: Trickle(-0.1),
        lambda: WrongLength(0),
        lambda: WrongLength(0.5),
        lambda: HugeBody(1),
        lambda: CycledCursors(0),
    ],
)
def test_a_kind_that_cannot_be_is_refused_at_once(make):
    """One sentence, which quotes nothing that was given."""
    with pytest.raises(InvalidArgumentError) as caught:
        make()
    assert "\n" not in str(caught.value)
    assert caught.value.__context__ is None


@pytest.mark.parametrize(
    "kind",
    [
        Answer(200, {"key": SECRET}, {"Authorization": f"Bearer {SECRET}"}),
        Answer(200, SECRET),
        Redirect(f"http://elsewhere.test/?apiKey={SECRET}"),
    ],
)
def test_no_secret_shows_in_a_fault(kind):
    """Neither a body, nor a header, nor an address is in its repr."""
    service = LocalService()
    fault = service.faults.add(CREATES, kind)
    for shown in (kind, fault, list(service.faults), service.faults):
        assert SECRET not in repr(shown)
        assert SECRET not in str(shown)


def test_a_fault_says_what_it_is():
    """Its repr is for the failure of a test."""
    service = LocalService()
    one = service.faults.add("POST /auth/api-keys", Reset(), when="after")
    assert repr(one) == "<Fault Reset() after POST /auth/api-keys, times=1>"
    more = service.faults.add(LISTS & AGENTRY, CycledCursors())
    first = "GET /agent/v0/api-keys"
    assert repr(more) == f"<Fault CycledCursors(length=2) after {first} and 4 more, times='always'>"
    assert repr(service.faults) == "<Faults: 2>"
    assert (one.when, one.times, one.kind) == ("after", 1, Reset())
    assert one.routes == {"POST /auth/api-keys"}


def test_the_kinds_are_data():
    """Equal if they say the same, and frozen."""
    assert HalfBody() == HalfBody()
    assert WrongLength(1) != WrongLength(2)
    assert Close() != Reset()
    with pytest.raises(AttributeError):
        Trickle().pace = 2
    assert faults.__all__ == sorted(faults.__all__, key=lambda name: (not name.isupper(), name))
