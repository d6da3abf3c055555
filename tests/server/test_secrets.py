"""No secret at rest, in a log, in a repr, or in an error."""

from __future__ import annotations

import contextlib
import logging
import sqlite3

import pytest
from argon2 import extract_parameters

from agentkeys.server import LocalService

pytestmark = pytest.mark.asyncio


async def secrets_of(api):
    """Use everything once and return every secret that came up."""
    service = api.service
    await service.add_account("me@acme.to", "correct horse battery")
    login = (await api.login("me@acme.to", "correct horse battery")).json
    renewed = (
        await api.send("POST", "/auth/token/refresh", json={"refreshToken": login["refreshToken"]})
    ).json
    create = {"token": renewed["accessToken"], "json": {"nickname": "a"}}
    agentity = (await api.send("POST", api.account, **create)).json["key"]
    agentry = (await api.create())["api_key"]
    await api.send("GET", api.inbox, token=agentry)
    await api.send("GET", api.inbox, token=agentity)
    await api.send("GET", f"{api.tenant}?page_token={agentry}&apiKey={agentity}", token=agentry)
    await api.send("POST", api.account, token=login["refreshToken"], data=agentry)
    await api.raw(f"GET / HTTP/1.1\r\nAuthorization {agentry}\r\n\r\n".encode())
    await api.login("me@acme.to", "correct horse battery staple")
    return [
        "correct horse battery",
        service.password,
        service.agentry_token,
        *(pair[kind] for pair in (login, renewed) for kind in ("accessToken", "refreshToken")),
        agentity,
        agentry,
    ]


async def test_the_database_holds_no_secret(api_of, tmp_path):
    """Neither the file nor its write-ahead log has a password, a token or a key in it."""
    async with LocalService(database=f"sqlite:///{tmp_path}/keys.db") as service:
        secrets = await secrets_of(api_of(service))
        live = b"".join(path.read_bytes() for path in sorted(tmp_path.iterdir()))
    closed = b"".join(path.read_bytes() for path in sorted(tmp_path.iterdir()))
    assert b"me@acme.to" in live
    assert b"me@acme.to" in closed
    for content in (live, closed):
        for secret in secrets:
            assert secret.encode() not in content
            # Not even the part of a key that is not shown.
            assert secret[12:].encode() not in content


async def test_passwords_are_hashed_with_owasps_parameters(api_of, tmp_path):
    """argon2id, 19 MiB, two passes, one lane; minimal ones for the generated password alone."""
    async with LocalService(database=f"sqlite:///{tmp_path}/keys.db") as service:
        await service.add_account("me@acme.to", "pw")
    with contextlib.closing(sqlite3.connect(tmp_path / "keys.db")) as connection:
        rows = connection.execute("SELECT email, password_hash FROM accounts").fetchall()
    costs = {}
    for email, stored in rows:
        parameters = extract_parameters(stored)
        assert stored.startswith("$argon2id$")
        costs[email] = (parameters.memory_cost, parameters.time_cost, parameters.parallelism)
    assert costs == {"me@acme.to": (19 * 1024, 2, 1), "owner@agentkeys.local": (8, 1, 1)}


async def test_nothing_is_logged_and_no_secret_by_anybody(api_of, tmp_path, caplog, capfd):
    """The happy path logs nothing; nothing at any level holds a secret, an access log included."""
    for name in ("", "aiohttp.access", "aiohttp.server", "aiohttp.web", "sqlalchemy.engine"):
        caplog.set_level(logging.DEBUG, name)
    async with LocalService(database=f"sqlite:///{tmp_path}/keys.db") as service:
        secrets = await secrets_of(api_of(service))
    with contextlib.closing(sqlite3.connect(tmp_path / "keys.db")) as connection:
        ((master,),) = connection.execute("SELECT value FROM settings").fetchall()
        hashes = connection.execute("SELECT password_hash FROM accounts").fetchall()
    secrets += [repr(master)[2:-1], *(stored for (stored,) in hashes)]
    assert [record for record in caplog.records if record.name.startswith("agentkeys")] == []
    assert [record for record in caplog.records if record.name.startswith("aiohttp")] == []
    everything = caplog.text + "".join(capfd.readouterr())
    assert [secret for secret in secrets if secret in everything] == []


async def test_a_database_that_fails_is_a_503_and_one_line(api_of, tmp_path, caplog):
    """What the database cannot do now is answered 503; the log names the request, no secret."""
    async with LocalService(database=f"sqlite:///{tmp_path}/keys.db") as service:
        api = api_of(service)
        key = await api.create()
        with contextlib.closing(sqlite3.connect(tmp_path / "keys.db")) as other, other:
            other.execute("DROP TABLE agentry_keys")
        for method in ("GET", "POST"):
            caplog.clear()
            answer = await api.send(
                method, api.inbox, token=key["api_key"], json={"name": "top secret"}
            )
            assert (answer.status, answer.headers["Retry-After"]) == (503, "1")
            assert set(answer.json) == {"name", "message"}
            (record,) = caplog.records
            assert answer.headers["X-Request-Id"] in record.getMessage()
            assert key["api_key"] not in caplog.text
            assert "top secret" not in caplog.text
        assert (await api.send("GET", api.account, token=await api.access_token())).status == 200


async def test_a_service_shows_no_secret(service):
    """Neither repr nor vars of a service has a secret; its properties have, for the client."""
    shown = f"{service!r} {service} {vars(service)} {vars(service._running.agentity)}"
    assert service.password not in shown
    assert service.agentry_token not in shown
    assert type(service.password) is type(service.agentry_token) is str


async def test_answers_are_not_to_be_kept(api):
    """Nothing between service and client may store an answer: it may hold a secret."""
    answer = await api.login()
    assert answer.headers["Cache-Control"] == "no-store"
