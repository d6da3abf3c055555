"""What the services' documentation says, fact by fact, against the local service."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import pytest

pytestmark = pytest.mark.asyncio

UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
MILLISECONDS = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")
ISO = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")
JWT = re.compile(r"eyJ[\w-]+\.eyJ[\w-]+\.[\w-]+")
AGENTITY_KEY = re.compile(r"agk_live_[0-9A-Za-z]{38}")
AGENTRY_KEY = re.compile(r"ag_[0-9A-Za-z]{38}")
NOTHING = b""

ACCOUNT = {"id": UUID, "name": str, "email": str, "createdAt": ISO, "updatedAt": ISO}
PAIR = {"accessToken": JWT, "refreshToken": str}
LISTED = {"id": int, "nickname": str, "createdAt": MILLISECONDS, "updatedAt": MILLISECONDS}
CREATED = {**LISTED, "key": AGENTITY_KEY}
MESSAGE = {"message": str}

KEY = {"api_key_id": str, "name": str, "prefix": str, "created_at": ISO}
INBOX_KEY = {**KEY, "inbox_id": str}
POD_KEY = {**KEY, "pod_id": str}
INVALID = {"name": str, "errors": [{"code": str, "path": list, "message": str}]}
MISSING = {"name": str, "message": str}


def page(key: dict[str, Any]) -> dict[str, Any]:
    return {"api_keys": [key], "count": int}


def new(key: dict[str, Any]) -> dict[str, Any]:
    return {**key, "api_key": AGENTRY_KEY}


@dataclass(frozen=True)
class Fact:
    """What is documented; the request that shows it; the answer it must get."""

    words: str
    method: str
    path: str
    auth: str | None
    body: dict[str, Any] | None
    status: int
    answer: Any


AGENTITY = [
    Fact(
        "register takes Basic email:password and a name, answers 201 and no tokens",
        *("POST", "/auth/register", "basic new@acme.to:correct:horse", {"name": "New"}),
        *(201, {**ACCOUNT, "name": "New", "email": "new@acme.to"}),
    ),
    Fact(
        "register without a name: 400",
        *("POST", "/auth/register", "basic new@acme.to:pw", {}, 400, MESSAGE),
    ),
    Fact(
        "register without an email: 400",
        *("POST", "/auth/register", "basic :pw", {"name": "New"}, 400, MESSAGE),
    ),
    Fact(
        "register with an email that has an account: 409",
        *("POST", "/auth/register", "basic other@acme.to:pw", {"name": "New"}, 409, MESSAGE),
    ),
    Fact(
        "login takes Basic and no body, answers 200 and a pair of tokens",
        *("POST", "/auth/token", "basic other@acme.to:pass:word", None, 200, PAIR),
    ),
    Fact(
        "login with a wrong password: 401",
        *("POST", "/auth/token", "basic other@acme.to:wrong", None, 401, MESSAGE),
    ),
    Fact(
        "login with an unknown email: 401",
        *("POST", "/auth/token", "basic nobody@acme.to:pass:word", None, 401, MESSAGE),
    ),
    Fact(
        "refresh takes a refresh token, no Authorization header, and answers a new pair",
        *("POST", "/auth/token/refresh", None, {"refreshToken": "{refresh}"}, 200, PAIR),
    ),
    Fact(
        "refresh without a refreshToken: 400",
        *("POST", "/auth/token/refresh", None, {}, 400, MESSAGE),
    ),
    Fact(
        "refresh with a refresh token that was used: 401",
        *("POST", "/auth/token/refresh", None, {"refreshToken": "{used}"}, 401, MESSAGE),
    ),
    Fact(
        "refresh with an unknown refresh token: 401",
        *("POST", "/auth/token/refresh", None, {"refreshToken": "unknown"}, 401, MESSAGE),
    ),
    Fact(
        "create answers id, nickname, key, createdAt, updatedAt",
        *(
            "POST",
            "/auth/api-keys",
            "jwt",
            {"nickname": "new"},
            201,
            {**CREATED, "nickname": "new"},
        ),
    ),
    Fact(
        "create without a bearer token: 401",
        *("POST", "/auth/api-keys", None, {"nickname": "new"}, 401, MESSAGE),
    ),
    Fact(
        "create with a nickname that the account has: 409",
        *("POST", "/auth/api-keys", "jwt", {"nickname": "mine"}, 409, MESSAGE),
    ),
    Fact(
        "create with a nickname that only another account has: no conflict",
        *("POST", "/auth/api-keys", "jwt", {"nickname": "theirs"}, 201, CREATED),
    ),
    Fact(
        "create without a nickname: 400",
        *("POST", "/auth/api-keys", "jwt", {}, 400, MESSAGE),
    ),
    Fact(
        "list answers apiKeys, not paginated, without the keys themselves",
        *("GET", "/auth/api-keys", "jwt", None, 200, {"apiKeys": [LISTED]}),
    ),
    Fact("list without a bearer token: 401", "GET", "/auth/api-keys", None, None, 401, MESSAGE),
    Fact(
        "an API key cannot manage API keys: list with one is 401",
        *("GET", "/auth/api-keys", "agentity key", None, 401, MESSAGE),
    ),
    Fact(
        "delete answers 200 and its message",
        *("DELETE", "/auth/api-keys/{mine}", "jwt", None),
        *(200, {"message": "API key deleted successfully"}),
    ),
    Fact(
        "delete without a bearer token: 401",
        *("DELETE", "/auth/api-keys/{mine}", None, None, 401, MESSAGE),
    ),
    Fact(
        "delete of another account's key: 401",
        *("DELETE", "/auth/api-keys/{theirs}", "jwt", None, 401, MESSAGE),
    ),
    Fact(
        "delete of no key: 404",
        *("DELETE", "/auth/api-keys/987654", "jwt", None, 404, MESSAGE),
    ),
]


def collection(
    name: str, path: str, key: dict[str, Any], statuses: tuple[int, int], ours: str
) -> list[Fact]:
    """What is documented of each of Agentry's five collections."""
    created, deleted = statuses
    return [
        Fact(
            f"{name}: list answers api_keys and count",
            *("GET", path, "tenant", None, 200, page({**key, "used_at?": ISO})),
        ),
        Fact(
            f"{name}: create takes a name and answers {created} and the key",
            *("POST", path, "tenant", {"name": "new"}, created, {**new(key), "name": "new"}),
        ),
        Fact(
            f"{name}: create without a name: 400 with errors",
            *("POST", path, "tenant", {}, 400, INVALID),
        ),
        Fact(
            f"{name}: names need not be unique",
            *("POST", path, "tenant", {"name": "a key"}, created, new(key)),
        ),
        Fact(
            f"{name}: delete answers {deleted} and an empty body",
            *("DELETE", f"{path}/{{{ours}}}", "tenant", None, deleted, NOTHING),
        ),
        Fact(
            f"{name}: delete of no key: 404",
            *("DELETE", f"{path}/nothing", "tenant", None, 404, MISSING),
        ),
        Fact(
            f"{name}: without a bearer token: 401",
            *("GET", path, None, None, 401, MISSING),
        ),
        Fact(
            f"{name}: with a token that is unknown: 401",
            *("GET", path, "unknown", None, 401, MISSING),
        ),
    ]


HUMAN, AGENT = (201, 204), (200, 200)
ANY_KEY = {**KEY, "inbox_id?": str, "pod_id?": str}
AGENTRY = [
    *collection(
        *("human inbox", "/human/v0/inboxes/a%40acme.to/api-keys", INBOX_KEY, HUMAN, "in_inbox")
    ),
    *collection("human tenant", "/human/v0/api-keys", ANY_KEY, HUMAN, "in_tenant"),
    *collection(
        *("agent inbox", "/agent/v0/inboxes/a%40acme.to/api-keys", INBOX_KEY, AGENT, "in_inbox")
    ),
    *collection("agent tenant", "/agent/v0/api-keys", ANY_KEY, AGENT, "in_tenant"),
    *collection("agent pod", "/agent/v0/pods/pod-1/api-keys", POD_KEY, AGENT, "in_pod"),
    Fact(
        "human tenant: list takes inbox_id",
        *("GET", "/human/v0/api-keys?inbox_id=a%40acme.to", "tenant", None),
        *(200, page({**INBOX_KEY, "inbox_id": "a@acme.to"})),
    ),
    Fact(
        "a page that is not the last has a next_page_token, and count is the page's",
        *("GET", "/human/v0/api-keys?limit=1", "tenant", None),
        *(200, {"api_keys": [{**ANY_KEY, "used_at?": ISO}], "count": 1, "next_page_token": str}),
    ),
    Fact(
        "the agent surface takes permissions, a map of flag to bool, and echoes it",
        *("POST", "/agent/v0/api-keys", "tenant"),
        {"name": "new", "permissions": {"read_inbox": True, "read_api_key": False}},
        *(200, {**new(KEY), "permissions": {"read_inbox": True, "read_api_key": False}}),
    ),
    Fact(
        "the human surface has no permissions: an unknown field",
        *("POST", "/human/v0/api-keys", "tenant", {"name": "new", "permissions": {"x": True}}),
        *(201, new(KEY)),
    ),
    Fact(
        "an unknown inbox: 404 on the human surface",
        *("GET", "/human/v0/inboxes/nobody%40acme.to/api-keys", "tenant", None, 404, MISSING),
    ),
    Fact(
        "create in an unknown inbox: 404",
        *("POST", "/agent/v0/inboxes/nobody/api-keys", "tenant", {"name": "n"}, 404, MISSING),
    ),
    Fact(
        "an unknown pod: 404",
        *("GET", "/agent/v0/pods/nothing/api-keys", "tenant", None, 404, MISSING),
    ),
    Fact(
        "there is no pod on the human surface",
        *("GET", "/human/v0/pods/pod-1/api-keys", "tenant", None, 404, MISSING),
    ),
    Fact(
        "there is no reading of one key",
        *("GET", "/agent/v0/api-keys/{in_tenant}", "tenant", None, 405, MISSING),
    ),
    Fact(
        "there is no update of a key",
        *("PATCH", "/human/v0/api-keys/{in_tenant}", "tenant", {"name": "n"}, 405, MISSING),
    ),
    Fact(
        "/organization/v0 is not documented",
        *("GET", "/organization/v0/api-keys", "tenant", None, 404, MISSING),
    ),
    Fact(
        "a key authenticates: an inbox's own key lists the inbox",
        *("GET", "/agent/v0/inboxes/a%40acme.to/api-keys", "inbox key", None),
        *(200, page({**INBOX_KEY, "used_at": ISO})),
    ),
]


@dataclass(frozen=True)
class World:
    """A service in which facts can be shown: the bearer tokens and the ids that they name."""

    api: Any
    tokens: dict[str, str]
    words: dict[str, str]

    async def ask(self, fact: Fact) -> Any:
        return await self.api.send(
            fact.method,
            filled(fact.path, self.words),
            headers=self.headers(fact.auth),
            json=fact.body and {k: filled(v, self.words) for k, v in fact.body.items()},
        )

    def headers(self, auth: str | None) -> dict[str, str]:
        if auth is None:
            return {}
        if auth.startswith("basic "):
            return self.api.basic(*auth[6:].split(":", 1))
        return {"Authorization": f"Bearer {self.tokens[auth]}"}


async def world_of(api, fact):
    return await (agentity_world(api) if fact in AGENTITY else agentry_world(api))


async def agentity_world(api):
    await api.service.add_account("other@acme.to", "pass:word")
    jwt = await api.access_token()
    mine = await agentity_key(api, jwt, "mine")
    theirs = await agentity_key(api, await api.access_token("other@acme.to", "pass:word"), "theirs")
    pair, used = (await api.login()).json, (await api.login()).json["refreshToken"]
    await api.send("POST", "/auth/token/refresh", json={"refreshToken": used})
    words = {"refresh": pair["refreshToken"], "used": used}
    words |= {"mine": str(mine["id"]), "theirs": str(theirs["id"])}
    return World(api, {"jwt": jwt, "agentity key": mine["key"]}, words)


async def agentity_key(api, token, nickname):
    answer = await api.send("POST", "/auth/api-keys", token=token, json={"nickname": nickname})
    return answer.json


async def agentry_world(api):
    await api.service.add_pod("pod-1")
    await api.service.add_inbox("a@acme.to")
    keys = {
        "in_inbox": await api.create("/human/v0/inboxes/a%40acme.to/api-keys"),
        "in_pod": await api.create("/agent/v0/pods/pod-1/api-keys"),
        "in_tenant": await api.create("/human/v0/api-keys"),
    }
    tokens = {"tenant": api.service.agentry_token, "unknown": "ag_unknown"}
    tokens["inbox key"] = keys["in_inbox"]["api_key"]
    return World(api, tokens, {name: key["api_key_id"] for name, key in keys.items()})


@pytest.mark.parametrize("fact", [*AGENTITY, *AGENTRY], ids=lambda fact: fact.words)
async def test_what_is_documented_is_what_the_service_does(api, fact):
    """Every documented fact holds, and the answer has the documented fields and no others."""
    answer = await (await world_of(api, fact)).ask(fact)
    assert (answer.status, shape_errors(answer, fact.answer)) == (fact.status, [])


@pytest.mark.parametrize("facts", [AGENTITY, AGENTRY], ids=["Agentity", "Agentry"])
async def test_a_challenge_goes_with_every_401(api, facts):
    """A 401 names the scheme that is asked for."""
    world = await world_of(api, facts[0])
    for fact in (fact for fact in facts if fact.status == 401):
        answer = await world.ask(fact)
        scheme = "Basic" if (fact.auth or "").startswith("basic") else "Bearer"
        assert answer.headers["WWW-Authenticate"].startswith(f"{scheme} realm=")


def filled(value, words):
    return re.sub(r"\{(\w+)\}", lambda m: words[m[1]], value) if isinstance(value, str) else value


def shape_errors(answer, shape):
    if shape == NOTHING:
        return [] if answer.body == NOTHING else [f"a body: {answer.body!r}"]
    return list(differences(answer.json, shape, "$"))


def differences(value, shape, path):
    """Say where *value* is not of *shape*: types, patterns, literals, lists, fields."""
    if isinstance(shape, type):
        good = type(value) is shape
    elif isinstance(shape, re.Pattern):
        good = isinstance(value, str) and shape.fullmatch(value) is not None
    elif isinstance(shape, dict) and isinstance(value, dict):
        yield from fields_that_differ(value, shape, path)
        good = True
    elif isinstance(shape, list) and isinstance(value, list) and value:
        for index, item in enumerate(value):
            yield from differences(item, shape[0], f"{path}[{index}]")
        good = True
    else:
        good = value == shape
    if not good:
        yield f"{path}: {value!r} is not {shape!r}"


def fields_that_differ(value, shape, path):
    allowed = {name.rstrip("?"): expected for name, expected in shape.items()}
    required = {name for name in shape if not name.endswith("?")}
    yield from (f"{path}.{name} is missing" for name in sorted(required - value.keys()))
    yield from (f"{path}.{name} is too much" for name in sorted(value.keys() - allowed.keys()))
    for name in value.keys() & allowed.keys():
        yield from differences(value[name], allowed[name], f"{path}.{name}")
