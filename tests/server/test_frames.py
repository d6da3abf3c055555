"""No frame of the service shows a secret when something is raised in it, or through it."""

from __future__ import annotations

import base64
import contextlib
import gzip
import json
import sqlite3
import sys
import threading
import traceback
from pathlib import Path

import pytest

from agentkeys import Secret, server, sync
from agentkeys.errors import ConfigurationError, InvalidArgumentError
from agentkeys.server import LocalService
from agentkeys.server.ground.sealed import opened, sealed
from agentkeys.server.storage import derived

pytestmark = pytest.mark.asyncio

OURS = str(Path(server.__file__).parent)
PASSWORD = "correct-horse-battery"
OTHER = "staple-horse-battery"


def forms_of(text: str | bytes) -> set[str]:
    """As what a secret may show in a repr."""
    raw = text.encode() if isinstance(text, str) else text
    return {repr(text)[1:-1].removeprefix("'"), base64.b64encode(raw).decode()[:-4]}


class Watch:
    """Looks at the locals of each frame of the service through which an exception goes."""

    def __init__(self) -> None:
        self.looked_at: set[str] = set()
        self._shown: list[tuple[str, str, str]] = []

    def __enter__(self):
        threading.settrace(self._enter)
        sys.settrace(self._enter)
        return self

    def __exit__(self, *exc_info):
        sys.settrace(None)
        threading.settrace(None)

    def leaks(self, *secrets: str | bytes) -> list[tuple[str, str, str]]:
        """Return which variables of which functions have shown one of *secrets*."""
        forms = {form for secret in secrets for form in forms_of(secret)}
        return [each for each in self._shown if any(form in each[2] for form in forms)]

    def _enter(self, frame, event, arg):
        return self._look if frame.f_code.co_filename.startswith(OURS) else None

    def _look(self, frame, event, arg):
        if event != "exception":
            return self._look
        on = frame
        while on is not None and on.f_code.co_filename.startswith(OURS):
            self.looked_at.add(on.f_code.co_name)
            for name, value in on.f_locals.items():
                with contextlib.suppress(Exception):  # a traceback does not stop at it either
                    self._shown.append((on.f_code.co_qualname, name, repr(value)))
            on = on.f_back
        return self._look


async def all_that_is_refused(api):
    """Send what each route refuses, and some that it does not; return every secret that came."""
    await refused_credentials(api)
    pair = (await api.login("me@acme.to", PASSWORD)).json
    refresh = {"refreshToken": pair["refreshToken"]}
    renewed = (await api.send("POST", "/auth/token/refresh", json=refresh)).json
    keys = await refused_keys(api, renewed["accessToken"], refresh["refreshToken"])
    await refused_bodies(api, refresh)
    return [*keys, *pair.values(), *renewed.values(), api.service.password]


async def refused_credentials(api):
    for email, name in [("me@acme.to", {"name": "me"}), ("me", {"name": "me"}), ("a@b.c", {})]:
        for _ in range(2):
            headers = api.basic(email, PASSWORD)
            await api.send("POST", "/auth/register", headers=headers, json=name)
    for form in ("Basic %s", "Basic =%s", "Bearer %s", "Bearer ;;%s"):
        headers = {"Authorization": form % PASSWORD}
        for method, path in [("POST", "/auth/token"), ("GET", api.account), ("GET", api.tenant)]:
            await api.send(method, path, headers=headers)
    await api.login("me@acme.to", OTHER)
    for arguments in [("me@acme.to", OTHER), ("me", PASSWORD), ("a@b.c", ""), (5, PASSWORD)]:
        with contextlib.suppress(InvalidArgumentError):
            await api.service.add_account(*arguments)


async def refused_keys(api, jwt, refresh_token):
    tenant, body = api.service.agentry_token, {"nickname": "a", "name": "a"}
    agentity = (await api.send("POST", api.account, token=jwt, json=body)).json["key"]
    agentry = (await api.create())["api_key"]
    for token in (jwt, jwt + "x", tenant, tenant + "x", agentity, agentry, refresh_token):
        for path in (api.account, api.tenant, api.inbox.replace("demo", "x")):
            await api.send("POST", path, token=token, json=body)
            await api.send("POST", path, token=token, json={"nickname": "", "name": agentity * 9})
            await api.send("DELETE", f"{path}/1", token=token)
            await api.send("GET", f"{path}?limit=x&page_token={agentry}", token=token)
    return [agentity, agentry, tenant]


async def refused_bodies(api, refresh):
    path, raw = "/auth/token/refresh", json.dumps(refresh).encode()
    for data in (raw, raw[:-1], raw * 2, b"[" + raw + b"]", raw[:-1] + b', "refreshToken": 1}'):
        await api.send("POST", path, data=data)
        for coding in ("gzip", "deflate", "x"):
            await api.send("POST", path, data=data, headers={"Content-Encoding": coding})
    packed = gzip.compress(raw)[:-1]
    await api.send("POST", path, data=packed, headers={"Content-Encoding": "gzip"})
    for value in (refresh["refreshToken"] * 100, [refresh], refresh["refreshToken"] + "\0"):
        await api.send("POST", path, json={"refreshToken": value})
    await api.send("POST", path, data=raw * 1000)


async def test_no_frame_shows_a_secret_when_something_is_raised(api_of, tmp_path):
    """Whatever is refused, and wherever it is noticed, the secrets are sealed by then."""
    file = tmp_path / "keys.db"
    with Watch() as watch:
        async with LocalService(database=f"sqlite:///{file}") as service:
            secrets = await all_that_is_refused(api_of(service))
    with contextlib.closing(sqlite3.connect(file)) as connection:
        ((master,),) = connection.execute("SELECT value FROM settings").fetchall()
        hashes = [found for (found,) in connection.execute("SELECT password_hash FROM accounts")]
    keys = [opened(derive(sealed(master))) for derive in (derived.signing_key, derived.cursor_key)]
    assert {"login", "_decoded", "add_account", "json_object", "find_scope"} <= watch.looked_at
    leaks = watch.leaks(PASSWORD, OTHER, master, *keys, *hashes, *secrets)
    assert {f"{variable} of {function}" for function, variable, _ in leaks} == set()


def shown(error: BaseException) -> str:
    """What a traceback with locals shows of all but the test's own frames."""
    frames = traceback.TracebackException.from_exception(error, capture_locals=True)
    ours = [each for each in frames.stack if each.filename != __file__]
    assert any(each.locals for each in ours)
    return "".join(f"{each.locals}" for each in ours)


REFUSED = [
    ("owner@agentkeys.local", PASSWORD),
    ("nobody", PASSWORD),
    ("a@b.c", PASSWORD + "\0"),
    (5, PASSWORD),
    ("a@b.c", [PASSWORD]),
]


@pytest.mark.parametrize(("email", "password"), REFUSED)
@pytest.mark.parametrize("seal", [lambda given: given, Secret], ids=["a str", "a Secret"])
async def test_a_refused_account_shows_no_password(service, email, password, seal):
    """Neither of the async service nor of the blocking one."""
    given = seal(password) if isinstance(password, str) else password
    with pytest.raises(InvalidArgumentError) as caught:
        await service.add_account(email, given)
    assert PASSWORD not in shown(caught.value)
    with sync.LocalService() as blocking:
        with pytest.raises(InvalidArgumentError) as caught:
            blocking.add_account(email, given)
        own = blocking.password
    assert PASSWORD not in shown(caught.value)
    assert own not in shown(caught.value)


async def test_an_account_is_added_with_a_sealed_password(service):
    """A Secret will do wherever a str does."""
    await service.add_account("me@acme.to", Secret(PASSWORD))
    await service.add_account("me@acme.to", PASSWORD)


async def test_a_start_that_fails_shows_no_secret(tmp_path):
    """When it fails at its last step, all secrets have been read."""
    database = f"sqlite:///{tmp_path}/keys.db"
    async with LocalService(database=database) as service:
        secrets = {service.password, service.agentry_token}
    with contextlib.closing(sqlite3.connect(tmp_path / "keys.db")) as connection:
        ((master,),) = connection.execute("SELECT value FROM settings").fetchall()
    secrets |= {repr(master)[2:-1], repr(opened(derived.signing_key(sealed(master))))[2:-1]}
    settings = {"database": database, "middlewares": [None]}
    with pytest.raises(DeprecationWarning) as caught:
        await LocalService(**settings).start()
    assert [secret for secret in secrets if secret in shown(caught.value)] == []
    with pytest.raises(DeprecationWarning) as caught:
        sync.LocalService(**settings).start()
    assert [secret for secret in secrets if secret in shown(caught.value)] == []
    with contextlib.closing(sqlite3.connect(tmp_path / "keys.db")) as connection:
        connection.execute("DROP TABLE settings")
    with pytest.raises(ConfigurationError):
        await LocalService(database=database).start()
