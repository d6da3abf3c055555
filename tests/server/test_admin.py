"""The admin port: what Python does with a service, any program does by HTTP."""

from __future__ import annotations

import dataclasses
import inspect
import json
from datetime import UTC, datetime

import aiohttp
import pytest
import pytest_asyncio

from agentkeys import Secret
from agentkeys.errors import ConfigurationError, InvalidArgumentError
from agentkeys.server import Admin, LocalService, faults
from agentkeys.server.faults import CREATES, Answer, Delay, Html

pytestmark = pytest.mark.asyncio
TOKEN = "S3NT1NEL-admin-token"


@dataclasses.dataclass
class Port:
    """Speaks to an admin port."""

    service: LocalService
    admin: Admin
    session: aiohttp.ClientSession

    async def __call__(self, method, path, body=None, **headers):
        headers = {"Authorization": f"Bearer {TOKEN}", **headers}
        async with self.session.request(
            method, self.admin.url + path, json=body, headers=headers
        ) as answer:
            return answer.status, json.loads(await answer.read() or "null")


@pytest_asyncio.fixture
async def port():
    async with (
        LocalService(recorded_bodies=True) as service,
        Admin(service, token=TOKEN) as admin,
        aiohttp.ClientSession() as session,
    ):
        yield Port(service, admin, session)


ROUTES = [
    ("GET", "/faults"),
    ("POST", "/faults"),
    ("DELETE", "/faults"),
    ("DELETE", "/faults/1"),
    ("GET", "/faults/kinds"),
    ("GET", "/clock"),
    ("PUT", "/clock"),
    ("DELETE", "/clock"),
    ("POST", "/clock/advance"),
    ("GET", "/requests"),
    ("DELETE", "/requests"),
    ("POST", "/keys"),
    ("POST", "/reset"),
    ("GET", "/nowhere"),
]


@pytest.mark.parametrize(("method", "path"), ROUTES)
@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Authorization": "Bearer S3NT1NEL-wrong-token"}, 401),
        ({"Authorization": f"Bearer {TOKEN}x"}, 401),
        ({"Authorization": f"Basic {TOKEN}"}, 401),
        ({"Authorization": ""}, 401),
        ({"Host": "evil.test"}, 403),
        ({"Origin": "http://evil.test"}, 403),
    ],
    ids=str,
)
async def test_who_may_not_is_refused(port, method, path, headers, status):
    """On every route: without the token, and for a page of another host even with it."""
    port.service.faults.add(CREATES, Html())
    await port.service.seed(["a"], service="agentry")
    refused, body = await port(method, path, {}, **headers)
    assert refused == status
    assert "S3NT1NEL" not in str(body)
    assert len(list(port.service.faults)) == 1


async def test_it_listens_on_loopback_alone_though_the_service_does_not():
    """Whoever shares the network of a container does not control its service."""
    async with LocalService(host="0.0.0.0") as service, Admin(service) as admin:  # noqa: S104
        assert admin.url.startswith("http://127.0.0.1:")


@pytest.mark.parametrize("of", [str, Secret])
async def test_its_token_shows_nowhere(port, of):
    """Not in its repr, nor in what it refuses; without one it has a random one."""
    assert "S3NT1NEL" not in repr(port.admin)
    assert "S3NT1NEL" not in repr(vars(port.admin))
    assert Admin(port.service, token=of(TOKEN)).token == TOKEN
    assert Admin(port.service).token != Admin(port.service).token
    for wrong in ("S3NT1NEL", "S3NT1NEL with blanks in it", ""):
        with pytest.raises(InvalidArgumentError) as caught:
            Admin(port.service, token=of(wrong))
        assert "S3NT1NEL" not in str(caught.value)
    with pytest.raises(ConfigurationError):
        assert Admin(port.service).url


KINDS = sorted(
    name
    for name in faults.__all__
    if inspect.isclass(getattr(faults, name))
    and issubclass(getattr(faults, name), faults.Kind)
    and name != "Kind"
)
VALUES = {
    "Answer": {"status": 418, "body": {"a": 1}, "headers": {"Retry-After": "1"}},
    "Delay": {"seconds": "inf"},
    "Redirect": {"to": "http://other.test/"},
}


@pytest.mark.parametrize("name", KINDS)
async def test_every_kind_can_be_added(port, name):
    """Under the name that it has in Python, with the values that it has there."""
    values = VALUES.get(name, {})
    body = {"route": "LISTS & AGENTRY", "kind": name, "with": values}
    status, added = await port("POST", "/faults", body)
    [fault] = port.service.faults
    assert status == 201
    assert type(fault.kind) is getattr(faults, name)
    assert fault.routes == faults.LISTS & faults.AGENTRY
    assert (added["id"], added["kind"], added["when"], added["times"]) == (
        fault.id,
        name,
        fault.when,
        fault.times,
    )
    assert (await port("GET", "/faults"))[1] == {"faults": [added]}
    assert name in (await port("GET", "/faults/kinds"))[1]["kinds"]


async def test_a_fault_is_met_counted_and_removed(port):
    """A removed one is not listed."""
    body = {
        "route": "GET /auth/api-keys | LOGIN",
        "kind": "Answer",
        "with": {"status": 418},
        "when": "before",
        "times": "always",
    }
    _, fault = await port("POST", "/faults", body)
    async with port.session.get(f"{port.service.url}/auth/api-keys") as answer:
        assert answer.status == 418
    [shown] = (await port("GET", "/faults"))[1]["faults"]
    assert (shown["hits"], shown["times"]) == (1, "always")
    assert shown["routes"] == ["GET /auth/api-keys", "POST /auth/token"]
    assert (await port("DELETE", f"/faults/{fault['id']}"))[0] == 204
    assert (await port("DELETE", f"/faults/{fault['id']}"))[0] == 404
    async with port.session.get(f"{port.service.url}/auth/api-keys") as answer:
        assert answer.status == 401
    assert (await port("GET", "/faults"))[1] == {"faults": []}
    port.service.faults.add(CREATES, Delay(1))
    assert (await port("DELETE", "/faults"))[0] == 204
    assert list(port.service.faults) == []


async def test_what_an_answer_holds_is_not_listed(port):
    """Its body may hold a secret, and its repr hides it, too."""
    port.service.faults.add(CREATES, Answer(418, {"key": "S3NT1NEL"}))
    assert "S3NT1NEL" not in str(await port("GET", "/faults"))


async def test_the_clock(port):
    """It is shown, set, moved, and put back."""
    now = {"now": "2030-01-01T00:00:00Z"}
    _, shown = await port("PUT", "/clock", now)
    assert shown["now"].startswith("2030-01-01T00:00:0")
    _, shown = await port("POST", "/clock/advance", {"seconds": 86400})
    assert shown["now"].startswith("2030-01-02T00:00:0")
    assert port.service.clock.now() > datetime(2030, 1, 2, tzinfo=UTC)
    _, shown = await port("DELETE", "/clock")
    assert abs((datetime.fromisoformat(shown["now"]) - datetime.now(UTC)).total_seconds()) < 60


async def test_seeding_and_reset(port):
    """The secret of a seeded key is in the answer; after a reset there is no key."""
    body = {
        "keys": ["a"],
        "service": "agentry",
        "inbox_id": port.service.inbox_id,
        "created_at": "2025-03-01T00:00:00Z",
        "used_at": "2025-04-01T00:00:00+02:00",
    }
    status, seeded = await port("POST", "/keys", body)
    [key] = seeded["keys"]
    assert (status, key["name"]) == (201, "a")
    assert await port.service.is_live(key["secret"])
    assert (await port("POST", "/reset"))[0] == 204
    assert not await port.service.is_live(key["secret"])


async def test_the_record(port):
    """Of the services alone, with masked bodies if the service was made with them."""
    url = f"{port.service.url}/auth/token/refresh"
    async with port.session.post(url, json={"refreshToken": "S3NT1NEL"}):
        pass
    _, record = await port("GET", "/requests")
    [request] = record["requests"]
    assert record["count"] == 1
    assert (request["route"], request["status"]) == ("POST /auth/token/refresh", 401)
    assert request["body"] == '{"refreshToken": "**********"}'
    assert (await port("DELETE", "/requests"))[0] == 204
    assert (await port("GET", "/requests"))[1] == {"count": 0, "requests": []}


WRONG = [
    ("POST", "/faults", {"kind": "Reset"}, "route is missing"),
    ("POST", "/faults", {"route": "CREATES"}, "kind is missing"),
    ("POST", "/faults", {"route": "CREATE", "kind": "Reset"}, "no route 'CREATE'"),
    ("POST", "/faults", {"route": "CREATES & LISTS", "kind": "Reset"}, "this group is empty"),
    ("POST", "/faults", {"route": "POST /auth/api-key", "kind": "Reset"}, "did you mean"),
    ("POST", "/faults", {"route": "CREATES", "kind": "Rest"}, "use one of Answer"),
    ("POST", "/faults", {"route": "CREATES", "kind": "Kind"}, "no kind 'Kind'"),
    ("POST", "/faults", {"route": "CREATES", "kind": "Delay"}, "Delay takes seconds"),
    ("POST", "/faults", {"route": "ALL", "kind": "Delay", "with": {"a": 1}}, "takes seconds"),
    ("POST", "/faults", {"route": "ALL", "kind": "Delay", "with": {"seconds": "x"}}, "seconds"),
    ("POST", "/faults", {"route": "ALL", "kind": "Reset", "with": [1]}, "must be an object"),
    ("POST", "/faults", {"route": "ALL", "kind": "Reset", "with": {"x": 1}}, "takes nothing"),
    (
        "POST",
        "/faults",
        {"route": "ALL", "kind": "Redirect", "with": {"to": "x", "status": []}},
        "",
    ),
    ("POST", "/faults", {"route": "ALL", "kind": "Reset", "when": []}, "must be a string"),
    ("POST", "/faults", {"route": "ALL", "kind": "Reset", "when": "now"}, "before"),
    ("POST", "/faults", {"route": "ALL", "kind": "Reset", "times": 0}, "1 or more"),
    ("POST", "/faults", {"route": "ALL", "kind": "Reset", "times": [1]}, "1 or more"),
    ("POST", "/faults", {"route": "ALL", "kind": "Reset", "time": 1}, "only the fields"),
    ("POST", "/faults", {"route": "CREATES", "kind": "EmptyPage"}, "for pages"),
    ("PUT", "/clock", {}, "now is missing"),
    ("PUT", "/clock", {"now": "tomorrow"}, "must be a time"),
    ("PUT", "/clock", {"now": "2030-01-01"}, "time zone"),
    ("POST", "/clock/advance", {"seconds": "1"}, "must be a number"),
    ("POST", "/clock/advance", {"seconds": True}, "must be a number"),
    ("POST", "/clock/advance", {"seconds": 1e300}, "1970 to 9998"),
    ("POST", "/keys", {"service": "agentry"}, "a list of names"),
    ("POST", "/keys", {"keys": [5], "service": "agentry"}, "1 to 255"),
    ("POST", "/keys", {"keys": ["a"]}, '"agentity" or "agentry"'),
    ("POST", "/keys", {"keys": ["a"], "service": "agentry", "inbox_id": 5}, "must be a string"),
    ("POST", "/keys", {"keys": ["a"], "service": "agentry", "inbox_id": "\0"}, "NUL"),
    ("POST", "/keys", {"keys": ["a"], "service": "agentry", "pod_id": "x"}, "no such pod"),
    ("POST", "/keys", {"keys": ["a"], "service": "agentity", "email": "x"}, "no account"),
    ("POST", "/faults", [1], "must be a JSON object"),
]


@pytest.mark.parametrize(("method", "path", "body", "sentence"), WRONG, ids=str)
async def test_what_cannot_be_is_a_400_with_a_sentence(port, method, path, body, sentence):
    """And nothing is changed."""
    status, answer = await port(method, path, body)
    assert status == 400
    assert sentence in answer["errors"][0]["message"]
    assert list(port.service.faults) == []
    assert abs((port.service.clock.now() - datetime.now(UTC)).total_seconds()) < 60
