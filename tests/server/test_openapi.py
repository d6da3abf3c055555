"""The OpenAPI document says what the service does, and no more."""

from __future__ import annotations

import ast
import itertools
import re
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from document import OPERATIONS

from agentkeys import server
from agentkeys.server import LocalService
from agentkeys.server.agentity.routes import Agentity
from agentkeys.server.agentry.routes import Agentry
from agentkeys.server.openapi import DOCUMENT
from agentkeys.server.storage.schema import metadata

pytestmark = pytest.mark.asyncio

SOURCES = Path(server.__file__).parent
# A 408 wants a service without patience, a 429 one with a rate limit, a 503 one without a database:
# tests of their own.
APART = {408, 429, 503}


@dataclass(frozen=True)
class Call:
    """A request."""

    method: str
    path: str
    headers: dict[str, str] = field(default_factory=dict)
    body: Any = None


class Caller:
    """Makes requests for operations."""

    def __init__(self, api):
        self.api = api
        self._number = itertools.count()

    async def good(self, operation) -> Call:
        """Return a request that succeeds, once."""
        path, last = operation.path, re.search(r"/\{(id|api_key_id)\}$", operation.path)
        if last is not None:
            collection = path.removesuffix(last[0])
            [create] = [each for each in OPERATIONS if each[:2] == ("POST", collection)]
            made = await self.send(await self.good(create))
            path = f"{collection}/{made.json[last[1]]}"
        return Call(
            operation.method,
            path.format(inbox_id="demo%40agentkeys.local", pod_id="support"),
            await self._headers(operation),
            await self._body(operation),
        )

    async def send(self, call, **how):
        how = {"json": call.body, **how} if "data" not in how else how
        return await self.api.send(call.method, call.path, headers=call.headers, **how)

    async def _headers(self, operation):
        service = self.api.service
        match [name for each in operation.says["security"] for name in each]:
            case ["account"]:
                email = f"{next(self._number)}@example.com"
                registering = operation.path == "/auth/register"
                return self.api.basic(email if registering else service.email, service.password)
            case ["accessToken"]:
                return {"Authorization": f"Bearer {await self.api.access_token()}"}
            case ["agentryToken"]:
                return {"Authorization": f"Bearer {service.agentry_token}"}
        return {}

    async def _body(self, operation):
        if operation.path == "/auth/token/refresh":
            return {"refreshToken": (await self.api.login()).json["refreshToken"]}
        name = f"name {next(self._number)}"
        return {"name": name, "nickname": name} if "requestBody" in operation.says else None


async def ill_coded(caller, call):
    call = replace(call, headers={**call.headers, "Content-Encoding": "x"})
    return await caller.send(call, data=b"x")


async def unauthorized(caller, call):
    body = {"refreshToken": "none"} if "refresh" in call.path else call.body
    return await caller.send(replace(call, headers={}, body=body))


async def out_of_reach(caller, call):
    if call.path.endswith("/api-keys"):
        key = await caller.api.create(caller.api.inbox)
        elsewhere = call.path.replace("demo", "nowhere").replace("support", "nowhere")
        headers = {"Authorization": f"Bearer {key['api_key']}"}
        return await caller.send(replace(call, path=elsewhere, headers=headers))
    return await caller.send(replace(call, path=f"{call.path.rpartition('/')[0]}/4711"))


async def taken(caller, call):
    await caller.send(call)
    return await caller.send(call)


async def too_long(caller, call):
    return await caller.send(call, data=b"x" * 65537)


async def expecting(caller, call):
    return await caller.send(replace(call, headers={**call.headers, "Expect": "wonders"}))


async def foreign(caller, call):
    return await caller.send(replace(call, headers={**call.headers, "Host": "evil.test"}))


async def long_headed(caller, call):
    long = {f"X-{number}": "x" * 8000 for number in range(6)}
    return await caller.send(replace(call, headers={**call.headers, **long}))


REQUESTS = {
    400: ill_coded,
    401: unauthorized,
    403: foreign,
    404: out_of_reach,
    409: taken,
    413: too_long,
    417: expecting,
    431: long_headed,
}


WITH_A_BODY = [each for each in OPERATIONS if "requestBody" in each.says]


def resolved(schema):
    """Return a schema, or the one that it refers to."""
    kind, name = schema.get("$ref", "/").split("/")[-2:]
    return DOCUMENT["components"][kind][name] if name else schema


def see_fields(value, schema):
    """See that *value* has the fields that its schema names, all the way down."""
    schema = resolved(schema)
    if "items" in schema:
        assert value
        for each in value:
            see_fields(each, schema["items"])
    for name, part in schema.get("properties", {}).items():
        assert name in value or name not in schema["required"]
        if name in value:
            see_fields(value[name], part)
    if "properties" in schema:
        assert set(value) <= set(schema["properties"])


@pytest_asyncio.fixture
async def caller(api):
    await api.service.add_pod("support")
    return Caller(api)


async def test_the_document_is_given_to_anybody(api):
    """The document is JSON at one address, and needs no authorization."""
    answer = await api.send("GET", "/openapi.json")
    assert (answer.status, answer.headers["Content-Type"]) == (200, "application/json")
    assert answer.json == DOCUMENT
    assert answer.json["openapi"].startswith("3.1.")


async def test_it_has_every_route_and_no_other():
    """Paths and methods are those of the services, in both directions."""
    services = (Agentity(*[None] * 5), Agentry(*[None] * 5))
    routes = {
        (route.method, route.path.replace(":[^/]+", ""))
        for service in services
        for route in service.routes()
    }
    assert {(each.method, each.path) for each in OPERATIONS} == routes


async def test_it_refers_to_what_it_has_and_has_what_it_refers_to():
    """No reference and no link leads nowhere, and no part lies about unused."""
    text = str(DOCUMENT)
    referred = set(re.findall(r"#/components/(\w+)/(\w+)", text))
    schemes = {name for each in OPERATIONS for one in each.says["security"] for name in one}
    referred |= {("securitySchemes", name) for name in schemes}
    parts = {(kind, name) for kind, names in DOCUMENT["components"].items() for name in names}
    assert parts == referred
    ids = re.findall(r"'operationId': '(\w+)', 'security'", text)
    assert len(set(ids)) == len(ids) == len(OPERATIONS)
    assert set(re.findall(r"'operationId': '(\w+)'", text)) == set(ids)


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda each: each.says["operationId"])
async def test_every_status_that_it_names_comes(caller, operation):
    """For each operation, each status that is named is one that a request can get."""
    for status in operation.statuses - APART:
        call = await caller.good(operation)
        request = REQUESTS.get(status, Caller.send)
        assert (await request(caller, call)).status == status


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda each: each.says["operationId"])
async def test_an_answer_has_the_fields_that_are_named(caller, operation):
    """What succeeds has each required field, and none that the document does not name."""
    for each in OPERATIONS:
        if each[:2] == ("POST", operation.path):
            await caller.send(await caller.good(each))  # so that a list is of something
    answer = await caller.send(await caller.good(operation))
    says = operation.says["responses"][str(answer.status)]
    if "content" in says:
        see_fields(answer.json, says["content"]["application/json"]["schema"])
    else:
        assert answer.body == b""


@pytest.mark.parametrize("operation", WITH_A_BODY, ids=lambda each: each.says["operationId"])
async def test_the_fields_that_are_required_are_those_that_are_needed(caller, operation):
    """Without one of them a request is refused; with these alone it succeeds."""
    schema = operation.says["requestBody"]["content"]["application/json"]["schema"]
    required = resolved(schema)["required"]
    call = await caller.good(operation)
    assert required
    for name in required:
        without = {key: value for key, value in call.body.items() if key != name}
        assert (await caller.send(replace(call, body=without))).status == 400
    alone = {name: call.body[name] for name in required}
    assert (await caller.send(replace(call, body=alone))).status < 300


async def test_a_body_that_does_not_come_is_named(api_of):
    """Each operation names the 408 that any of them can answer."""
    async with LocalService(body_timeout=0.01) as service:
        for operation in OPERATIONS:
            head = f"{operation.method} {operation.path} HTTP/1.1\r\nHost: localhost\r\n"
            answer = await api_of(service).raw(head.encode() + b"Content-Length: 9\r\n\r\n")
            assert answer.status == 408
            assert answer.status in operation.statuses


async def test_a_rate_limit_is_named(api_of):
    """Each operation names the 429 that any of them answers, in the shape of its service."""
    async with LocalService(rate_limit=0.001) as service:
        assert (await api_of(service).send("GET", "/agent/v0/api-keys")).status == 401
        for operation in OPERATIONS:
            answer = await api_of(service).send(operation.method, operation.path)
            assert (answer.status, answer.headers["Retry-After"]) == (429, "1000")
            assert answer.status in operation.statuses


async def test_a_broken_database_is_named(caller, caplog):
    """Each operation names the 503 that any of them answers if its database is broken."""
    calls = [await caller.good(operation) for operation in OPERATIONS]
    await caller.api.service._running.database.write(metadata.drop_all)
    for operation, call in zip(OPERATIONS, calls, strict=True):
        answer = await caller.send(call)
        assert (answer.status, answer.headers["Retry-After"]) == (503, "1")
        assert answer.status in operation.statuses
    assert "the database failed" in caplog.text


async def test_every_refusal_is_named():
    """Every status with which the sources refuse is in the document, save that of a mistake."""
    refused = {
        node.args[0].value
        for path in SOURCES.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call)
        and getattr(node.func, "id", None) == "Refusal"
        and isinstance(node.args[0], ast.Constant)
    }
    named = {status for operation in OPERATIONS for status in operation.statuses}
    assert refused - named == {500}
