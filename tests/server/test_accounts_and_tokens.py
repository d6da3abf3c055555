"""Agentity's accounts and tokens, beyond the facts that are documented."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import sqlite3
import statistics
import time

import jwt
import pytest

from agentkeys.errors import InvalidArgumentError
from agentkeys.server import LocalService

pytestmark = pytest.mark.asyncio


class Clock:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.now = 1_800_000_000.25

    def __call__(self) -> float:
        return self.now


def claims_of(token):
    return jwt.decode(token, options={"verify_signature": False})


async def test_a_token_says_when_it_was_issued_and_when_it_expires(api):
    """The lifetime is 15 minutes, in whole seconds, and no two tokens are the same."""
    first, second = await api.access_token(), await api.access_token()
    claims = claims_of(first)
    assert (type(claims["iat"]), claims["exp"] - claims["iat"]) == (int, 900)
    assert jwt.get_unverified_header(first)["alg"] == "HS256"
    assert first != second


@pytest.mark.parametrize("lifetime", [0.5, 1.0, 59.0, 60.0, 3600.0])
async def test_an_access_token_lives_as_long_as_it_says(api_of, lifetime):
    """A token is good until its `exp`, and refused from then on, however short its life."""
    clock = Clock()
    async with LocalService(access_token_lifetime=lifetime, clock=clock) as service:
        api = api_of(service)
        token = await api.access_token()
        claims = claims_of(token)
        assert claims["exp"] - claims["iat"] == pytest.approx(lifetime)
        clock.now = claims["exp"] - 0.01
        assert (await api.send("GET", api.account, token=token)).status == 200
        clock.now = claims["exp"]
        answer = await api.send("GET", api.account, token=token)
        assert (answer.status, 'error="invalid_token"' in answer.headers["WWW-Authenticate"]) == (
            401,
            True,
        )


async def test_a_refresh_token_expires(api_of):
    """A refresh token is refused after its lifetime."""
    clock = Clock()
    async with LocalService(refresh_token_lifetime=10.0, clock=clock) as service:
        api = api_of(service)
        token = (await api.login()).json["refreshToken"]
        clock.now += 10
        answer = await api.send("POST", "/auth/token/refresh", json={"refreshToken": token})
        assert answer.status == 401


async def refresh(api, pair):
    return await api.send(
        "POST", "/auth/token/refresh", json={"refreshToken": pair["refreshToken"]}
    )


async def uses_of(api, pair):
    """What the access token is answered on each route that takes one."""
    calls = [
        ("GET", "", None),
        ("POST", "", {"nickname": "x"}),
        ("POST", "", {}),
        ("DELETE", "/x", None),
    ]
    return {
        (await api.send(method, api.account + path, token=pair["accessToken"], json=body)).status
        for method, path, body in calls
    }


@pytest.mark.parametrize("reused", [0, 1, 2])
async def test_a_refresh_token_that_is_used_again_revokes_what_came_of_the_login(
    api_of, tmp_path, reused
):
    """Every pair, before it and after it, access and refresh tokens, at every service and start."""
    async with contextlib.AsyncExitStack() as exits:
        database = f"sqlite:///{tmp_path}/keys.db"
        first, second = [
            api_of(await exits.enter_async_context(LocalService(database=database)))
            for _ in range(2)
        ]
        pairs = [(await first.login()).json]
        bystander = (await first.login()).json
        for _ in range(3):
            pairs.append((await refresh(first, pairs[-1])).json)
        assert 401 not in await uses_of(second, pairs[0])
        assert (await refresh(second, pairs[reused])).status == 401
        for api in (first, second):
            for pair in pairs:
                assert await uses_of(api, pair) == {401}
                assert (await refresh(api, pair)).status == 401
        assert 401 not in await uses_of(first, bystander)
        assert (await refresh(first, bystander)).status == 200
    async with LocalService(database=database) as service:
        assert await uses_of(api_of(service), pairs[-1]) == {401}
        assert (await api_of(service).login()).status == 200


async def test_a_session_lasts_as_long_as_its_last_token(api_of):
    """A login of somebody else forgets what has expired, and nothing that has not."""
    clock = Clock()
    settings = {"access_token_lifetime": 100.0, "refresh_token_lifetime": 10.0}
    async with LocalService(**settings, clock=clock) as service:
        api = api_of(service)
        pair = (await api.login()).json
        clock.now += 50
        await api.login()
        assert 401 not in await uses_of(api, pair)
        assert (await refresh(api, pair)).status == 401
        assert 401 not in await uses_of(api, pair), "an expired token was not used before"


async def test_a_database_of_the_first_version_keeps_its_refresh_tokens(api_of, tmp_path):
    """Who is logged in stays so: the tokens of a database that had no sessions get them."""
    file = tmp_path / "keys.db"
    async with LocalService(database=f"sqlite:///{file}") as service:
        pair = (await api_of(service).login()).json
        key = await api_of(service).create()
    with contextlib.closing(sqlite3.connect(file, isolation_level=None)) as connection:
        connection.executescript(
            """
            CREATE TABLE of_version_1 (
                digest BLOB NOT NULL PRIMARY KEY,
                account_id TEXT NOT NULL REFERENCES accounts (id),
                expires_at FLOAT NOT NULL
            );
            INSERT INTO of_version_1 SELECT digest, account_id, refresh_tokens.expires_at
                FROM refresh_tokens JOIN sessions ON sessions.id = session_id;
            DROP TABLE refresh_tokens;
            DROP TABLE sessions;
            ALTER TABLE of_version_1 RENAME TO refresh_tokens;
            CREATE INDEX ix_refresh_tokens_expires_at ON refresh_tokens (expires_at);
            PRAGMA user_version = 1;
            """
        )
    for _ in range(2):
        async with LocalService(database=f"sqlite:///{file}") as service:
            api = api_of(service)
            pair = (await refresh(api, pair)).json
            assert 401 not in await uses_of(api, pair)
            assert await api.ids() == [key["api_key_id"]]
    with contextlib.closing(sqlite3.connect(file)) as connection:
        names = {name for (name,) in connection.execute("SELECT name FROM sqlite_master")}
    assert "old_tokens" not in names


async def test_only_one_of_many_refreshes_wins(api):
    """A refresh token that is used twenty times at once gives exactly one new pair."""
    token = (await api.login()).json["refreshToken"]
    refresh = {"refreshToken": token}
    answers = await asyncio.gather(
        *(api.send("POST", "/auth/token/refresh", json=refresh) for _ in range(20))
    )
    assert sorted(answer.status for answer in answers) == [200, *[401] * 19]


async def test_refreshing_keeps_other_sessions_alive(api):
    """Two logins are two sessions: using one's refresh token leaves the other's alone."""
    first, second = (await api.login()).json, (await api.login()).json
    for pair in (first, second):
        answer = await api.send(
            "POST", "/auth/token/refresh", json={"refreshToken": pair["refreshToken"]}
        )
        assert answer.status == 200


def forged(api, header, claims, key=b"x" * 32):
    if header["alg"] == "none":
        parts = [json.dumps(part).encode() for part in (header, claims)]
        return (
            ".".join(base64.urlsafe_b64encode(part).rstrip(b"=").decode() for part in parts) + "."
        )
    return jwt.encode(claims, key, algorithm=header["alg"])


@pytest.mark.parametrize("algorithm", ["none", "HS256", "HS512"])
async def test_a_forged_token_is_refused(api, algorithm):
    """A token that this service did not sign is refused, whatever it claims."""
    good = claims_of(await api.access_token())
    token = forged(api, {"alg": algorithm, "typ": "JWT"}, good, b"x" * 64)
    answer = await api.send("GET", api.account, token=token)
    assert answer.status == 401
    assert 'error="invalid_token"' in answer.headers["WWW-Authenticate"]


async def test_every_changed_character_spoils_a_token(api):
    """No access token with one character changed is good."""
    token = await api.access_token()
    for index in range(0, len(token), 7):
        other = "A" if token[index] != "A" else "B"
        changed = token[:index] + other + token[index + 1 :]
        assert (await api.send("GET", api.account, token=changed)).status == 401


async def test_a_challenge_has_an_error_only_if_a_token_was_sent(api):
    """RFC 6750, 3.1: no error code for a request without credentials."""
    nothing = await api.send("GET", api.account)
    basic = await api.send("GET", api.account, headers={"Authorization": "Basic YTpi"})
    wrong = await api.send("GET", api.account, token="wrong")
    assert nothing.headers["WWW-Authenticate"] == 'Bearer realm="agentity"'
    assert basic.headers["WWW-Authenticate"] == 'Bearer realm="agentity"'
    assert 'error="invalid_token"' in wrong.headers["WWW-Authenticate"]


async def test_a_malformed_token_is_a_token_that_was_sent(api):
    """RFC 6750, 3.1: an expired, revoked, malformed token is invalid_token."""
    for path in (api.account, api.tenant):
        for token in ("@@@", "a b", "\xff", "="):
            answer = await api.send("GET", path, token=token)
            assert answer.status == 401
            assert 'error="invalid_token"' in answer.headers["WWW-Authenticate"]


async def test_two_authorization_headers_are_none(api):
    """Nobody can tell which one is meant: neither is looked at."""
    header = f"Authorization: Bearer {api.service.agentry_token}\r\n"
    for other in (header, "Authorization: Bearer other\r\n"):
        request = f"GET {api.tenant} HTTP/1.1\r\nHost: localhost\r\n{header}{other}\r\n"
        answer = await api.raw(request.encode())
        assert answer.status == 401
        assert answer.headers["WWW-Authenticate"] == 'Bearer realm="agentry"'


async def test_the_scheme_of_a_bearer_token_is_case_insensitive(api):
    """RFC 9110, 11.1: a scheme is a token without case."""
    for scheme in ("bearer", "BEARER"):
        headers = {"Authorization": f"{scheme} {await api.access_token()}"}
        assert (await api.send("GET", api.account, headers=headers)).status == 200


async def test_capitals_in_an_email_make_no_second_account(api):
    """An email is one account however it is written, and logs in however it is written."""
    register = {"json": {"name": "Me"}, "headers": api.basic("Me@Acme.to", "pw")}
    assert (await api.send("POST", "/auth/register", **register)).json["email"] == "Me@Acme.to"
    register["headers"] = api.basic("me@acme.TO", "pw")
    assert (await api.send("POST", "/auth/register", **register)).status == 409
    assert (await api.login("ME@ACME.TO", "pw")).status == 200


async def test_a_password_may_hold_colons_and_any_text(api):
    """Only the first colon separates email and password (RFC 7617)."""
    password = ":a:é\N{GRINNING FACE} :"
    await api.service.add_account("me@acme.to", password)
    assert (await api.login("me@acme.to", password)).status == 200
    assert (await api.login("me@acme.to", password.strip(":"))).status == 401


@pytest.mark.parametrize(
    "header",
    ["", "Basic", "Basic !!!!", "Basic YWJj", "Bearer x", "Basic /w==", "Basic YTpi YTpi"],
)
async def test_basic_credentials_that_cannot_be_read_are_a_401(api, header):
    """No credentials, no base64, no colon, no UTF-8: login and register answer 401."""
    for path in ("/auth/token", "/auth/register"):
        answer = await api.send(
            "POST", path, headers={"Authorization": header}, json={"name": "Me"}
        )
        assert answer.status == 401
        assert answer.headers["WWW-Authenticate"].startswith("Basic ")


@pytest.mark.parametrize("email", ["", "me", "@", "a@", "@b", "a b@c", "a@b\n", "a" * 255 + "@b"])
async def test_an_email_that_cannot_be_one_is_refused(api, email):
    """Register answers 400, and add_account says the same in Python."""
    answer = await api.send(
        "POST", "/auth/register", headers=api.basic(email, "pw"), json={"name": "Me"}
    )
    assert answer.status == 400
    with pytest.raises(InvalidArgumentError):
        await api.service.add_account(email, "pw")


async def test_an_account_is_added_with_text_alone(service):
    """What is no str, or an empty password, is refused with a sentence."""
    for email, password in [(None, "pw"), (7, "pw"), ("me@acme.to", None), ("me@acme.to", "")]:
        with pytest.raises(InvalidArgumentError):
            await service.add_account(email, password)


async def test_adding_what_is_there_changes_nothing(api):
    """add_account, add_pod and add_inbox may be called at every start of a kept database."""
    service = api.service
    for _ in range(2):
        await service.add_account("me@acme.to", "pw")
        await service.add_pod("pod-1")
        await service.add_inbox("a@acme.to", "pod-1")
    with pytest.raises(InvalidArgumentError, match="already exists"):
        await service.add_account("ME@acme.to", "another")
    with pytest.raises(InvalidArgumentError, match="another pod"):
        await service.add_inbox("a@acme.to")
    with pytest.raises(InvalidArgumentError, match="no pod"):
        await service.add_inbox("b@acme.to", "pod-2")


@pytest.mark.parametrize("bad", ["", ".", "..", "a\0b", "\ud800", "a" * 256, None, 7])
async def test_an_id_that_cannot_be_one_is_refused(service, bad):
    """add_inbox and add_pod refuse what no path could name."""
    with pytest.raises(InvalidArgumentError):
        await service.add_inbox(bad)
    with pytest.raises(InvalidArgumentError):
        await service.add_pod(bad)


async def test_a_taken_nickname_is_a_409_for_all_but_one(api):
    """Twenty creates of one nickname at once make one key and 19 conflicts, and leave one key."""
    token = await api.access_token()
    create = {"token": token, "json": {"nickname": "production"}}
    answers = await asyncio.gather(*(api.send("POST", api.account, **create) for _ in range(20)))
    assert sorted(answer.status for answer in answers) == [201, *[409] * 19]
    listed = (await api.send("GET", api.account, token=token)).json["apiKeys"]
    won = next(answer.json for answer in answers if answer.status == 201)
    assert [key["id"] for key in listed] == [won["id"]]


async def test_a_conflict_takes_nothing_of_its_neighbours_back(api):
    """Creates that are committed together with one that is refused are all there."""
    token = await api.access_token()
    names = [f"key {number // 2}" for number in range(60)]
    answers = await asyncio.gather(
        *(api.send("POST", api.account, token=token, json={"nickname": name}) for name in names)
    )
    assert sorted(answer.status for answer in answers) == [*[201] * 30, *[409] * 30]
    listed = (await api.send("GET", api.account, token=token)).json["apiKeys"]
    made = {answer.json["id"] for answer in answers if answer.status == 201}
    assert {key["id"] for key in listed} == made


async def test_a_nickname_is_free_again_once_its_key_is_deleted(api):
    """Deleting gives the nickname back, never the id."""
    token = await api.access_token()
    ids = []
    for _ in range(3):
        answer = await api.send("POST", api.account, token=token, json={"nickname": "a"})
        ids.append(answer.json["id"])
        deleted = await api.send("DELETE", f"{api.account}/{ids[-1]}", token=token)
        assert deleted.status == 200
    assert ids == sorted(set(ids))


async def test_deleting_another_accounts_key_leaves_it(api):
    """The 401 of a foreign key is no deletion, and says nothing against the token."""
    await api.service.add_account("other@acme.to", "pw")
    theirs, mine = await api.access_token("other@acme.to", "pw"), await api.access_token()
    key = (await api.send("POST", api.account, token=theirs, json={"nickname": "a"})).json
    answer = await api.send("DELETE", f"{api.account}/{key['id']}", token=mine)
    assert (answer.status, "invalid_token" in answer.headers["WWW-Authenticate"]) == (401, False)
    listed = (await api.send("GET", api.account, token=theirs)).json["apiKeys"]
    assert [key["id"] for key in listed] == [key["id"]]


async def test_deleting_twice_is_a_404(api):
    """Of twenty deletes of one key at once, one succeeds."""
    token = await api.access_token()
    key = (await api.send("POST", api.account, token=token, json={"nickname": "a"})).json
    path = f"{api.account}/{key['id']}"
    answers = await asyncio.gather(*(api.send("DELETE", path, token=token) for _ in range(20)))
    assert sorted(answer.status for answer in answers) == [200, *[404] * 19]


async def test_an_unknown_email_takes_as_long_as_a_wrong_password(api):
    """The time of a refused login does not tell whether the account exists."""
    await api.service.add_account("me@acme.to", "pw")

    async def seconds(email: str) -> float:
        start = time.perf_counter()
        assert (await api.login(email, "wrong")).status == 401
        return time.perf_counter() - start

    pairs = [(await seconds("me@acme.to"), await seconds("no@acme.to")) for _ in range(7)]
    known, unknown = (statistics.median(times) for times in zip(*pairs, strict=True))
    assert 0.5 < unknown / known < 2
