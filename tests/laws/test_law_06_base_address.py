"""Law 6: the bearer token goes to the base address only."""

from __future__ import annotations

import base64
import ssl

import aiohttp
import pytest
from samples import NEW_KEY, TOKEN, agentity, agentry
from wire import Wire, answer

from agentkeys import (
    AgentityClient,
    AgentryClient,
    APIError,
    ConfigurationError,
    RetryPolicy,
    TransportError,
)

KEYS = "/auth/api-keys"
PROXY_AUTHORIZATION = f"Basic {base64.b64encode('user:ä:hunter2@'.encode()).decode()}"


@pytest.mark.asyncio
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308, 300, 304])
async def test_redirects_are_not_followed(status):
    """Neither to another host nor to the same one; it is an error that does not show the target."""
    async with Wire(answer(201, NEW_KEY)) as other, Wire() as wire:
        wire.replies = [answer(status, headers={"Location": f"{other.url}/x?apiKey=abc"})]
        async with agentity(wire.url) as client:
            with pytest.raises(APIError, match="redirects are not followed") as caught:
                await client.api_keys.create("x")
    assert other.requests == []
    assert len(wire.requests) == 1
    assert (caught.value.status, caught.value.applied) == (status, "maybe")
    assert "abc" not in repr(vars(caught.value)) + str(caught.value)


@pytest.mark.asyncio
async def test_a_cookie_is_not_kept():
    """The services use none; a cookie would be one more secret."""
    reply = answer(200, {"apiKeys": []}, {"Set-Cookie": "session=abc; Path=/"})
    async with Wire(reply) as wire, agentity(wire.url) as client:
        await client.api_keys.list().collect()
        await client.api_keys.list().collect()
    assert "cookie" not in wire.requests[1].headers


@pytest.mark.asyncio
async def test_netrc_is_not_read(tmp_path, monkeypatch):
    """Somebody's netrc entry for the host adds no password to the login, nor replaces the token."""
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login somebody password hunter2\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    async with Wire(answer(200, {"api_keys": []})) as wire, agentry(wire.url) as client:
        await client.api_keys.list().collect()
    assert wire.requests[0].headers["authorization"] == f"Bearer {TOKEN}"


@pytest.mark.asyncio
async def test_a_base_path_is_kept():
    """A gateway may serve the service below a path."""
    async with Wire(answer(200, {"apiKeys": []})) as wire:
        async with agentity(f"{wire.url}/gateway/") as client:
            await client.api_keys.list().collect()
    assert wire.requests[0].target == f"/gateway{KEYS}"


@pytest.mark.parametrize(
    "url",
    [
        "http://example.com",
        "http://127.0.0.1.example.com",
        "http://localhost.example.com",
        "http://10.0.0.1",
        "http://[::2]",
        "http://0.0.0.0",
        "ftp://127.0.0.1",
        "127.0.0.1:8000",
        "https://",
        "https://user:hunter2@example.com",
        "https://example.com?apiKey=hunter2",
        "https://example.com/#hunter2",
        "https://example.com/?",
        "https://example.com/#",
        "https://example.com:99999",
        "https://exa mple.com",
        "https://example.com\n",
        "hunter2",
    ],
)
@pytest.mark.parametrize("from_environment", [True, False])
def test_a_base_url_that_is_not_safe_is_refused(url, from_environment, monkeypatch):
    """Anything but https, or http to this machine, gets a sentence that does not show it."""
    if from_environment:
        monkeypatch.setenv("AGENTITY_BASE_URL", url)
    with pytest.raises(ConfigurationError, match="AGENTITY_BASE_URL") as caught:
        AgentityClient("token", base_url=None if from_environment else url)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    "url",
    [
        "https://example.com",
        "http://127.0.0.1:1",
        "http://127.8.9.10",
        "http://[::1]:1",
        "http://localhost",
    ],
)
def test_https_and_this_machine_are_fine(url):
    """To anywhere by https; to loopback by http."""
    assert url in repr(AgentityClient("token", base_url=url))


def test_http_elsewhere_wants_permission():
    """`allow_http` is for a network of one's own."""
    assert "http://agentkeys:8000" in repr(
        AgentryClient("ag_x", base_url="http://agentkeys:8000", allow_http=True)
    )


def test_the_base_url_falls_back_to_the_service(monkeypatch):
    """The argument, then the environment, then the service."""
    assert "https://api.agentity.to" in repr(AgentityClient("token"))
    monkeypatch.setenv("AGENTRY_BASE_URL", "https://from.environment")
    assert "https://from.environment" in repr(AgentryClient("ag_x"))
    assert "https://argument" in repr(AgentryClient("ag_x", base_url="https://argument"))


@pytest.mark.asyncio
@pytest.mark.parametrize("no_proxy", [None, "127.0.0.1"])
async def test_this_machine_is_not_reached_through_a_proxy(no_proxy, monkeypatch):
    """HTTP_PROXY does not get the token of a local service."""
    async with Wire(answer(200, {"apiKeys": []})) as wire, Wire(answer(502)) as proxy:
        monkeypatch.setenv("HTTP_PROXY", proxy.url)
        monkeypatch.setenv("http_proxy", proxy.url)
        async with agentity(wire.url) as client:
            await client.api_keys.list().collect()
    assert proxy.requests == []


@pytest.mark.asyncio
@pytest.mark.parametrize("how", ["argument", "environment", "session"])
async def test_a_proxy_is_used(how, monkeypatch):
    """A proxy gets the whole address, and its own password in its own header."""
    async with Wire(answer(200, {"apiKeys": []})) as proxy, aiohttp.ClientSession() as lent:
        url = proxy.url.replace("http://", "http://user:%C3%A4:hunter2%40@")
        if how == "environment":
            monkeypatch.setenv("http_proxy", url)
        client = AgentityClient(
            "token",
            base_url="http://agentity.test",
            allow_http=True,
            proxy=None if how == "environment" else url,
            session=lent if how == "session" else None,
        )
        async with client:
            await client.api_keys.list().collect()
    seen = proxy.requests[0]
    assert seen.target == f"http://agentity.test{KEYS}"
    assert seen.headers["authorization"] == "Bearer token"
    assert seen.headers["proxy-authorization"] == PROXY_AUTHORIZATION
    assert "hunter2" not in repr(client)


@pytest.mark.asyncio
@pytest.mark.parametrize("how", ["argument", "session"])
async def test_a_tunnel_is_asked_for_with_the_password_of_the_proxy_alone(how):
    """The proxy of an https address gets its own password, and no token."""
    async with Wire(answer(407)) as proxy, aiohttp.ClientSession() as lent:
        client = AgentityClient(
            "token",
            base_url="https://agentity.test",
            proxy=proxy.url.replace("http://", "http://user:%C3%A4:hunter2%40@"),
            session=lent if how == "session" else None,
            retry=RetryPolicy(tries=1),
        )
        async with client:
            with pytest.raises(TransportError, match="the proxy answered 407"):
                await client.api_keys.create("x")
    seen = proxy.requests[0]
    assert (seen.method, seen.target) == ("CONNECT", "agentity.test:443")
    assert seen.headers["proxy-authorization"] == PROXY_AUTHORIZATION
    assert "authorization" not in seen.headers


@pytest.mark.asyncio
async def test_a_proxy_that_is_not_there_is_named(unused_tcp_port):
    """The error says that it is the proxy, and does not show its password."""
    proxy = f"http://user:hunter2@127.0.0.1:{unused_tcp_port}"
    client = AgentityClient(
        "token",
        base_url="http://agentity.test",
        allow_http=True,
        proxy=proxy,
        retry=RetryPolicy(tries=1),
    )
    async with client:
        with pytest.raises(TransportError, match="proxy") as caught:
            await client.api_keys.create("x")
    assert caught.value.applied == "no"
    assert "hunter2" not in repr(vars(caught.value)) + str(caught.value)


@pytest.mark.parametrize("proxy", ["", "hunter2", "socks5://127.0.0.1", "http://"])
def test_a_proxy_that_cannot_be_is_refused(proxy):
    """Only an http or https proxy can be used."""
    with pytest.raises(ConfigurationError, match="proxy") as caught:
        AgentityClient("token", proxy=proxy)
    assert "hunter2" not in str(caught.value)


@pytest.mark.asyncio
async def test_a_proxy_without_a_scheme_is_http(monkeypatch):
    """Other programs read HTTP_PROXY=host:port so, and so do we."""
    async with Wire(answer(200, {"apiKeys": []})) as proxy:
        monkeypatch.setenv("http_proxy", proxy.url.removeprefix("http://"))
        async with AgentityClient(
            "token", base_url="http://agentity.test", allow_http=True
        ) as client:
            await client.api_keys.list().collect()
    assert len(proxy.requests) == 1


@pytest.mark.asyncio
@pytest.mark.parametrize(
    "name", ["Authorization", "authorization", "Cookie", "proxy-authorization"]
)
async def test_a_session_with_credentials_of_its_own_is_refused(name):
    """They would go out with ours, and to the refresh that must have none."""
    async with aiohttp.ClientSession(headers={name: "Bearer other"}) as lent:
        with pytest.raises(ConfigurationError, match="credentials of its own") as caught:
            agentity("http://127.0.0.1:9", session=lent)
    assert "other" not in str(caught.value)
    with pytest.raises(ConfigurationError, match="session must be"):
        agentity("http://127.0.0.1:9", session=3)


@pytest.mark.asyncio
async def test_a_certificate_is_trusted_if_the_context_says_so(authority, tls):
    """An `ssl` context with an authority of one's own is what https is checked by."""
    trusting = ssl.create_default_context()
    authority.configure_trust(trusting)
    async with Wire(answer(200, {"apiKeys": []}), tls=tls) as wire:
        async with agentity(wire.url, ssl=trusting) as client:
            assert await client.api_keys.list().collect() == []


REDIRECTS = [300, 301, 302, 303, 304, 305, 307, 308, 399]
LOCATIONS = {
    "none": None,
    "empty": "",
    "absolute": "{other}/x?apiKey=abc",
    "of another scheme": "https://{other_host}/x",
    "without a scheme": "//{other_host}/x",
    "a path": "/x",
    "a relative path": "../../x",
    "a query": "?apiKey=abc",
    "a fragment": "#x",
    "the same address": "{own}/auth/api-keys",
    "with a user": "http://me:abc@{other_host}/x",
    "an open bracket": "http://[::1/x",
    "no port": "http://{other_host}x/",
    "no address": "\u20ac \\\\{other_host}\\x",
    "a script": "javascript:fetch('{other}/abc')",
    "bytes": "http://\xff\xfe/abc",
    "long": "{other}/" + "abc" * 1000,
}
CALLS = {
    "create": lambda client: client.api_keys.create("x"),
    "list": lambda client: client.api_keys.list().collect(),
    "delete": lambda client: client.api_keys.delete("42"),
}


@pytest.mark.asyncio
@pytest.mark.parametrize("status", REDIRECTS)
async def test_no_kind_of_redirect_is_followed(status):
    """Wherever it leads and whatever was asked: one request, one error, and nobody else hears."""
    async with Wire(answer(201, NEW_KEY)) as other, Wire() as wire, agentry(wire.url) as client:
        names = {"other": other.url, "other_host": other.url.partition("//")[2], "own": wire.url}
        for location in LOCATIONS.values():
            headers = {} if location is None else {"Location": location.format(**names)}
            wire.replies = [answer(status, headers=headers)]
            for call in CALLS.values():
                wire.requests.clear()
                with pytest.raises(APIError, match="redirects are not followed") as caught:
                    await call(client)
                assert (caught.value.status, len(wire.requests)) == (status, 1)
                assert wire.requests[0].headers["authorization"] == f"Bearer {TOKEN}"
                assert "abc" not in repr(vars(caught.value)) + str(caught.value)
    assert (other.connections, other.requests) == (0, [])
