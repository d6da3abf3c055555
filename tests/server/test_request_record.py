"""The record of the requests that came: whole, in order, bounded, and without a secret."""

from __future__ import annotations

import asyncio
import gc

import aiohttp
import pytest
from aiohttp import web

from agentkeys.errors import ConfigurationError, InvalidArgumentError
from agentkeys.server import LocalService, RecordedRequest
from agentkeys.server.faults import CREATES, LISTS, Answer, Close, HalfBody, NeverAnswer, Reset


def in_short(service):
    return [(each.method, each.path, each.status) for each in service.requests]


@pytest.mark.asyncio
async def test_each_request_is_there_in_the_order_of_its_arrival(api):
    """With its method, its path as it came, its route, the status and the id of its answer."""
    key = await api.create(api.inbox)
    path = f"{api.inbox}/{key['api_key_id']}"
    answer = await api.send("DELETE", path, token=api.service.agentry_token)
    await api.send("GET", "/auth/api-keys")
    first, second, third = api.service.requests
    assert first.path == "/human/v0/inboxes/demo%40agentkeys.local/api-keys"
    assert second == RecordedRequest(
        method="DELETE",
        path=path,
        route="DELETE /human/v0/inboxes/{inbox_id}/api-keys/{api_key_id}",
        request_id=answer.headers["X-Request-Id"],
        status=204,
    )
    assert first.route in CREATES
    assert (third.route, third.status) == ("GET /auth/api-keys", 401)
    assert api.service.requests[0] == first
    assert api.service.requests[-1] == third
    assert len(api.service.requests) == api.service.requests.count == 3


@pytest.mark.asyncio
async def test_what_has_no_route_is_there_too(api):
    """An unknown path, or a method that it does not have."""
    await api.send("GET", "/nowhere")
    await api.send("PATCH", "/auth/api-keys")
    assert in_short(api.service) == [("GET", "/nowhere", 404), ("PATCH", "/auth/api-keys", 405)]
    assert [each.route for each in api.service.requests] == [None, None]


@pytest.mark.asyncio
async def test_what_could_not_be_read_is_not_there(api):
    """A request that is no HTTP has neither method nor path."""
    assert (await api.raw(b"GET / HTTP/1.1\r\nbad header\r\n\r\n")).status == 400
    assert in_short(api.service) == []


@pytest.mark.asyncio
async def test_a_request_is_there_before_it_is_answered(api):
    """Its status is None until then, and for ever if no answer is sent."""
    fault = api.service.faults.add(LISTS, NeverAnswer(), when="after")
    listing = asyncio.create_task(api.ids())
    await fault.wait()
    assert in_short(api.service) == [("GET", api.inbox, None)]
    listing.cancel()
    for kind in (Reset(), Close()):
        api.service.faults.add(CREATES, kind, when="after")
        with pytest.raises(aiohttp.ClientError):
            await api.create()
        assert api.service.requests[-1].status is None


@pytest.mark.asyncio
async def test_the_status_is_the_one_that_was_sent(api_of):
    """That of a fault, of a middleware, or of an error of the framework's."""

    @web.middleware
    async def middle(request, handler):
        if request.method == "DELETE":
            raise web.HTTPConflict
        if request.method == "PUT":
            raise ValueError
        return await handler(request)

    async with LocalService(middlewares=[middle]) as service:
        api = api_of(service)
        service.faults.add(LISTS, Answer(418))
        service.faults.add(LISTS, HalfBody())
        await api.send("GET", api.tenant)
        with pytest.raises(aiohttp.ClientError):
            await api.send("GET", api.tenant)
        await api.send("DELETE", f"{api.tenant}/x")
        await api.send("PUT", f"{api.tenant}/x")
        assert [each.status for each in service.requests][:2] == [418, 503]
        assert [each.status for each in service.requests][-2:] == [409, 500]


SECRET = "ag_0123456789abcdef"


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("sent", "shown"),
    [
        ("/mcp?apiKey=hunter2", "/mcp?apiKey=**********"),
        ("/x?token=hunter2&limit=5", "/x?token=**********&limit=5"),
        ("/x?hunter2", "/x?**********"),
        ("/x?hunter2&page_token=p", "/x?**********&page_token=p"),
        ("/x?limit=5&page_token=a-b&inbox_id=c%40d", "/x?limit=5&page_token=a-b&inbox_id=c%40d"),
        (f"/x?page_token={SECRET}", "/x?page_token=ag_**********"),
        (f"/human/v0/api-keys/{SECRET}", "/human/v0/api-keys/ag_**********"),
        ("/auth/api-keys/agk_live_hunter2", "/auth/api-keys/agk_live_**********"),
        ("/x%2Fy/..%2f?limit=%31", "/x%2Fy/..%2f?limit=%31"),
    ],
)
async def test_a_path_is_shown_as_it_came_but_for_secrets(api, sent, shown):
    """Percent-encoded, with its query; what may be a secret is masked."""
    await api.send("GET", sent)
    assert api.service.requests[-1].path == shown


@pytest.mark.asyncio
async def test_the_password_of_an_address_is_not_in_it(api):
    """A proxy's form of a request shows its path alone."""
    await api.raw(b"GET http://me:hunter2@localhost/x HTTP/1.1\r\nHost: localhost\r\n\r\n")
    assert in_short(api.service) == [("GET", "/x", 404)]


@pytest.mark.asyncio
async def test_nothing_that_came_or_went_is_kept(api):
    """Neither a header, nor a body, nor the request itself can be found in the record."""
    password, token = api.service.password, api.service.agentry_token
    access_token = await api.access_token()
    key = (await api.create(name="hunter2"))["api_key"]
    found, seen = [], set()
    waiting = [api.service.requests]
    while waiting:
        each = waiting.pop()
        if id(each) in seen or isinstance(each, type):
            continue
        seen.add(id(each))
        found.append(each)
        waiting += gc.get_referents(each)
    assert not [each for each in found if isinstance(each, web.BaseRequest)]
    texts = [each for each in found if isinstance(each, str)]
    assert api.inbox in texts
    for secret in (password, token, access_token, key, "hunter2"):
        assert not [text for text in texts if secret in text]


@pytest.mark.asyncio
async def test_the_record_of_requests_is_bounded(api_of):
    """The oldest go; the count goes on."""
    async with LocalService(recorded_requests=2) as service:
        api = api_of(service)
        for path in ("/a", "/b", "/c"):
            await api.send("GET", path)
        assert [each.path for each in service.requests] == ["/b", "/c"]
        assert (len(service.requests), service.requests.count) == (2, 3)
        assert repr(service.requests) == "<Requests: 2 of 3>"


@pytest.mark.asyncio
async def test_the_record_of_requests_can_be_emptied(api):
    """Then it counts from 0, and a request under way does no harm."""
    fault = api.service.faults.add(LISTS, NeverAnswer())
    listing = asyncio.create_task(api.ids())
    await fault.wait()
    api.service.requests.clear()
    fault.remove()
    await asyncio.wait([listing])
    await api.send("GET", "/a")
    # aiohttp has sent the GET again when its connection was closed.
    assert ("GET", "/a", 404) in in_short(api.service)
    assert api.service.requests.count == len(api.service.requests) <= 2


@pytest.mark.asyncio
async def test_a_test_can_wait_for_requests(api):
    """It returns when so many have come, at once if they have, and gives up with a sentence."""
    waiting = asyncio.create_task(api.service.requests.wait(2))
    await api.send("GET", "/a")
    assert not waiting.done()
    await api.send("GET", "/b")
    await waiting
    await api.service.requests.wait()
    with pytest.raises(TimeoutError, match=r"requests that came: 2 after 0.001 seconds, not 3"):
        await api.service.requests.wait(3, timeout=0.001)


@pytest.mark.asyncio
async def test_a_wait_that_is_cancelled_leaves_nothing(api):
    """A later request does not look for whoever has gone."""
    waiting = asyncio.create_task(api.service.requests.wait(1))
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.wait([waiting])
    await api.send("GET", "/a")
    await api.service.requests.wait(1)
    assert not api.service.requests._tally._waiting


@pytest.mark.asyncio
async def test_the_record_of_requests_can_be_turned_off(api_of):
    """Nothing is recorded then, and to wait for it is a mistake that is said."""
    async with LocalService(recorded_requests=0) as service:
        await api_of(service).create()
        assert list(service.requests) == []
        with pytest.raises(ConfigurationError, match="recorded_requests=0"):
            await service.requests.wait()


@pytest.mark.asyncio
async def test_it_can_be_read_when_the_service_has_closed(api_of):
    """A test looks at it at its end."""
    async with LocalService() as service:
        await api_of(service).send("GET", "/a")
    assert in_short(service) == [("GET", "/a", 404)]


@pytest.mark.parametrize("limit", [-1, 1.5, True, "5", None])
def test_a_limit_that_is_no_number_is_refused(limit):
    """At once, with a sentence."""
    with pytest.raises(InvalidArgumentError, match="recorded_requests"):
        LocalService(recorded_requests=limit)


@pytest.mark.asyncio
async def test_bodies_are_there_if_asked_for(api_of):
    """As JSON, with all masked that may be a secret; None where there is none."""
    async with LocalService(recorded_bodies=True) as service:
        api = api_of(service)
        token = await api.access_token()
        refresh = {"refreshToken": "S3NT1NEL", "S3NT1NEL2": ["S3NT1NEL"]}
        await api.send("POST", "/auth/token/refresh", json=refresh)
        await api.send("POST", api.account, token=token, json={"nickname": "bot ag_S3NT1NEL"})
        await api.send("POST", api.account, token=token, data=b"S3NT1NEL")
        allowed = {"name": "b", "permissions": {"keys_read": True}}
        await api.send("POST", "/agent/v0/api-keys", token=service.agentry_token, json=allowed)
        bodies = [each.body for each in service.requests]
    assert bodies == [
        None,
        '{"refreshToken": "**********", "S3NT1NEL2": "**********"}',
        '{"nickname": "bot ag_**********"}',
        "**********",
        '{"name": "b", "permissions": {"keys_read": true}}',
    ]


@pytest.mark.asyncio
async def test_a_body_is_there_although_a_fault_holds_its_request_back(api_of):
    """It has been read by then."""
    async with LocalService(recorded_bodies=True) as service, asyncio.TaskGroup() as tasks:
        fault = service.faults.add(CREATES, NeverAnswer(), when="after")
        asking = tasks.create_task(api_of(service).create(name="a"))
        await fault.wait()
        assert service.requests[0].body == '{"name": "a"}'
        asking.cancel()


@pytest.mark.asyncio
async def test_bodies_are_not_there_unless_asked_for(api):
    """The default shows none."""
    await api.create()
    assert [each.body for each in api.service.requests] == [None]
