"""Law 6, of addresses: each is taken apart once, and what was checked is what is used."""

from __future__ import annotations

import aiohttp
import pytest
from samples import agentity
from wire import Wire, answer

from agentkeys import AgentityClient, AgentKeysError, AgentryClient, ConfigurationError, Secret
from agentkeys.transport.wire.address import Address
from agentkeys.transport.wire.proxy import is_excepted

HOSTS = {
    "an empty label": "api..agentry.to",
    "an empty first label": ".agentry.to",
    "a dot": ".",
    "a label of 64": f"{'a' * 64}.to",
    "a name of 254": ".".join(["a" * 49] * 5) + ".abcd",
    "numbers beyond 255": "256.256.256.256",
    "three numbers": "1.2.3",
    "two numbers": "127.1",
    "a number": "2130706433",
    "hex numbers": "0x7f.0.0.0x1",
    "octal numbers": "0177.0.0.01",
    "an address and a dot": "127.0.0.1.",
    "brackets behind a name": "evil.test[::1]",
    "a name behind brackets": "[::1].evil.test",
    "brackets in user's place": "[::1]@evil.test",
    "an open bracket": "[::1",
    "no IPv6": "[::1::2]",
    "a zone": "[fe80::1%eth0]",
    "an encoded zone": "[fe80::1%25eth0]",
    "a future address": "[v1.a]",
    "a backslash": "x\\y.test",
    "a backslash and a user": "evil.test\\@agentry.to",
    "a percent sign": "ex%61mple.test",
    "letters beyond ASCII": "b\u00fccher.test",
    "a letter that lowers to ASCII": "\u212aelvin.test",
    "full-width dots": "api\uff0eagentry\uff0eto",
    "a soft hyphen": "agen\u00adtry.to",
    "a semicolon": "agentry.to;x",
    "a tab": "agen\ttry.to",
    "a newline": "agentry.to\n",
    "no port": "agentry.to:x",
    "two ports": "agentry.to:1:2",
    "port 0": "agentry.to:0",
    "a port beyond 65535": "agentry.to:65536",
    "a signed port": "agentry.to:+1",
    "a port of other digits": "agentry.to:\u0663",
    "nothing": "",
}
SCHEMES = ["https://", "http://"]


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("host", HOSTS.values(), ids=HOSTS)
@pytest.mark.parametrize("which", ["base_url", "proxy"])
def test_a_host_that_cannot_be_is_refused_when_the_client_is_made(which, host, scheme):
    """With a sentence, and not by a parser on the way; whatever other parsers make of it."""
    with pytest.raises(ConfigurationError) as caught:
        AgentryClient("tok", allow_http=True, **{which: scheme + host})
    assert caught.value.applied == "no"


@pytest.mark.asyncio
@pytest.mark.parametrize("host", HOSTS.values(), ids=HOSTS)
async def test_the_proxy_of_a_lent_session_is_checked_likewise(host):
    """It goes the same way as ours."""
    async with aiohttp.ClientSession(proxy=f"http://{host}" if host else "x") as lent:
        with pytest.raises(ConfigurationError, match="proxy"):
            AgentryClient("tok", session=lent)


@pytest.mark.parametrize("host", HOSTS.values(), ids=HOSTS)
def test_so_is_that_of_the_environment(host, monkeypatch):
    """HTTPS_PROXY is an address like any other."""
    monkeypatch.setenv("https_proxy", f"http://{host}")
    with pytest.raises(ConfigurationError, match="HTTPS_PROXY"):
        AgentryClient("tok")


@pytest.mark.parametrize(
    ("given", "used"),
    {
        "https://API.Agentry.TO": "https://api.agentry.to",
        "HTTPS://api.agentry.to/": "https://api.agentry.to",
        "https://api.agentry.to:443": "https://api.agentry.to",
        "https://api.agentry.to:": "https://api.agentry.to",
        "https://api.agentry.to.": "https://api.agentry.to.",
        "https://a_b.test/Gate%2Fway/": "https://a_b.test/Gate%2Fway",
        "http://[0:0::1]:8": "http://[::1]:8",
        "http://127.0.0.1:80": "http://127.0.0.1",
        "https://xn--bcher-kva.test": "https://xn--bcher-kva.test",
    }.items(),
)
def test_an_address_has_one_way_of_writing(given, used):
    """So that two ways to write it are one place to `sweep`."""
    assert Address.of(Secret(given)).url == used
    assert AgentityClient("tok", base_url=given).api_keys.scope.realm == used


NO_PROXY = [
    ("api.agentry.to", "agentry.to", True),
    ("agentry.to", "agentry.to", True),
    ("agentry.to", ".agentry.to", True),
    ("api.agentry.to", ".agentry.to", True),
    ("api.agentry.to", "*.agentry.to", True),
    ("api.agentry.to", "AGENTRY.TO.", True),
    ("api.agentry.to.", "agentry.to", True),
    ("api.agentry.to", "other.test, agentry.to", True),
    ("api.agentry.to", "other.test agentry.to", True),
    ("api.agentry.to", "*", True),
    ("::1:2", "*", True),
    ("api.agentry.to", "agentry.to:8443", True),
    ("api.agentry.to", "agentry.to:443", False),
    ("notagentry.to", "agentry.to", False),
    ("agentry.to", "api.agentry.to", False),
    ("api.agentry.to", "", False),
    ("api.agentry.to", ",. ,*.,", False),
    ("10.1.2.3", "10.0.0.0/8", True),
    ("10.1.2.3", "10.1.2.4/24", True),
    ("11.1.2.3", "10.0.0.0/8", False),
    ("10.1.2.3", "10.1.2.3", True),
    ("10.1.2.3", "10.1.2.3:8443", True),
    ("10.1.2.3", "10.1.2.3:443", False),
    ("10.1.2.3", "2.3", False),
    ("10.1.2.3", "10.0.0.0/99", False),
    ("2001:db8::1", "2001:db8::1", True),
    ("2001:db8::1", "2001:DB8:0::1", True),
    ("2001:db8::1", "[2001:db8::1]", True),
    ("2001:db8::1", "[2001:db8::1]:8443", True),
    ("2001:db8::1", "[2001:db8::1]:443", False),
    ("2001:db8::1", "2001:db8::/32", True),
    ("2001:db8::1", "[2001:db8::]/32", True),
    ("2001:db9::1", "2001:db8::/32", False),
    ("2001:db8::1", "10.0.0.0/8", False),
]


@pytest.mark.parametrize(("host", "no_proxy", "is_direct"), NO_PROXY)
def test_no_proxy_is_read_as_curl_and_requests_read_it(host, no_proxy, is_direct):
    """Names with all below them, addresses and networks, each with or without a port."""
    assert is_excepted(host, 8443, no_proxy) is is_direct


@pytest.mark.asyncio
@pytest.mark.parametrize("variable", ["all_proxy", "ALL_PROXY", "http_proxy"])
@pytest.mark.parametrize(("no_proxy", "asked"), [(None, 1), ("192.0.2.0/24", 0)])
@pytest.mark.parametrize("is_lent", [False, True])
async def test_the_proxy_of_the_environment_is_used_unless_excepted(
    variable, no_proxy, asked, is_lent, monkeypatch
):
    """ALL_PROXY is the proxy of those that have none of their own; a lent session's choice too."""
    async with (
        Wire(answer(200, {"apiKeys": []})) as proxy,
        aiohttp.ClientSession(trust_env=True) as lent,
    ):
        monkeypatch.setenv(variable, proxy.url)
        if no_proxy:
            monkeypatch.setenv("no_proxy", no_proxy)
        client = AgentityClient(
            "tok",
            base_url="http://192.0.2.1:9",
            allow_http=True,
            session=lent if is_lent else None,
        )
        async with client:
            if asked:
                await client.api_keys.list().collect()
            else:
                with pytest.raises(AgentKeysError):
                    await client.api_keys.list(timeout=0.05).collect()
    assert len(proxy.requests) == asked


def test_a_proxy_that_is_none_is_named_by_its_variable(monkeypatch):
    """ALL_PROXY is often one that only speaks SOCKS: that is said, and not passed over."""
    monkeypatch.setenv("ALL_PROXY", "socks5://user:hunter2@127.0.0.1:1080")
    with pytest.raises(ConfigurationError, match="ALL_PROXY is not") as caught:
        AgentityClient("tok")
    assert "hunter2" not in str(caught.value)


@pytest.mark.asyncio
async def test_of_two_proxies_that_of_the_scheme_wins(monkeypatch):
    """HTTP_PROXY goes before ALL_PROXY."""
    async with Wire(answer(200, {"apiKeys": []})) as proxy:
        monkeypatch.setenv("http_proxy", proxy.url)
        monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:9")
        async with agentity("http://agentity.test", allow_http=True) as client:
            await client.api_keys.list().collect()
    assert len(proxy.requests) == 1
