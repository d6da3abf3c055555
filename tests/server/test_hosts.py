"""Only what names this machine, or a host that is allowed, is answered: no page of another host."""

from __future__ import annotations

import pytest

from agentkeys.errors import InvalidArgumentError
from agentkeys.server import LocalService

pytestmark = pytest.mark.asyncio

OURS = [
    "localhost",
    "LocalHost:1",
    "localhost:",
    "127.0.0.1",
    "127.8.9.10:65535",
    "[::1]",
    "[::1]:8080",
    "[0:0:0:0:0:0:0:1]",
]
FOREIGN = [
    "evil.test",
    "evil.test:80",
    "localhost.evil.test",
    "127.0.0.1.evil.test",
    "evil.test:localhost",
    "localhost@evil.test",
    "evil.test#localhost",
    "10.0.0.1",
    "128.0.0.1",
    "0.0.0.0",  # noqa: S104 - a browser may connect there
    "[::]",
    "[::2]:80",
    "[::1",
    "[localhost]",
    "::ffff:10.0.0.1",
    "2130706433",
    "",
    "\xff",
]
ROUTES = [
    "POST /auth/register",
    "POST /auth/token",
    "POST /auth/token/refresh",
    "GET /auth/api-keys",
    "GET /human/v0/api-keys",
    "POST /human/v0/api-keys",
    "GET /openapi.json",
    "OPTIONS /auth/token",
    "GET /nowhere",
]


def request_of(route, *lines):
    head = [f"{route} HTTP/1.1", *lines, "Content-Length: 2", "", "{}"]
    return "\r\n".join(head).encode("latin-1")


@pytest.mark.parametrize("host", OURS)
async def test_hosts_of_this_machine_are_answered(api, host):
    """By any of its own names, with any port or none, and pages of it likewise."""
    for lines in ([f"Host: {host}"], [f"Host: {host}", f"Origin: http://{host}"]):
        assert (await api.raw(request_of("GET /openapi.json", *lines))).status == 200


@pytest.mark.parametrize("host", FOREIGN)
async def test_another_host_is_refused(api, host):
    """A name that leads here is not enough: that is how a page reaches this machine."""
    answer = await api.raw(request_of("GET /openapi.json", f"Host: {host}"))
    assert answer.status == 403
    assert "--allowed-host" in answer.json["message"]


@pytest.mark.parametrize("host", [*FOREIGN, "null"])
async def test_a_page_of_another_host_is_refused(api, host):
    """It names this machine as the host, and itself as the origin."""
    origins = {f"http://{host}", f"https://{host}", host}
    for origin in origins:
        answer = await api.raw(
            request_of("POST /auth/token/refresh", "Host: localhost", f"Origin: {origin}")
        )
        assert answer.status == 403
        assert "Origin" in answer.json["message"]


@pytest.mark.parametrize("route", ROUTES)
async def test_every_route_looks_at_the_host(api, route):
    """Before credentials, bodies and faults, in the service's own shape."""
    answer = await api.raw(request_of(route, "Host: evil.test"))
    assert answer.status == 403
    (api.of_agentity if " /auth/" in route else api.of_agentry)(answer)
    answer = await api.raw(request_of(route, "Host: localhost", "Origin: http://evil.test"))
    assert answer.status == 403
    assert [request.status for request in api.service.requests] == [403, 403]


async def test_the_address_in_the_request_line_counts_as_well(api):
    """What a proxy would be sent: both hosts must be allowed."""
    for address, host, status in [
        ("http://localhost/openapi.json", "localhost", 200),
        ("http://[::1]:80/openapi.json", "localhost", 200),
        ("http://evil.test/openapi.json", "localhost", 403),
        ("http://localhost/openapi.json", "evil.test", 403),
    ]:
        answer = await api.raw(request_of(f"GET {address}", f"Host: {host}"))
        assert answer.status == status


@pytest.mark.parametrize("lines", [[], ["Host: localhost", "Host: evil.test"]])
async def test_a_request_has_one_host(api, lines):
    """None, or two, is a 400."""
    assert (await api.raw(request_of("GET /openapi.json", *lines))).status == 400


async def test_http_1_0_does_without_a_host(api):
    """No browser speaks it."""
    assert (await api.raw(b"GET /openapi.json HTTP/1.0\r\n\r\n")).status == 200


async def test_what_is_allowed_is_answered(api_of):
    """Names in small or large letters, addresses with or without brackets, on every port."""
    allowed = ["keys.test", "My_Container", "10.0.0.1", "[fd00::1]", "fd00::2"]
    async with LocalService(allowed_hosts=allowed) as service:
        api = api_of(service)
        for host in ["KEYS.test:80", "my_container", "10.0.0.1:9", "[fd00::1]:1", "[fd00::2]"]:
            lines = (f"Host: {host}", f"Origin: https://{host}")
            assert (await api.raw(request_of("GET /openapi.json", *lines))).status == 200
        for host in ["other.test", "a.keys.test", "10.0.0.2", "[fd00::3]"]:
            answer = await api.raw(request_of("GET /openapi.json", f"Host: {host}"))
            assert answer.status == 403


async def test_where_it_listens_is_allowed(api_of):
    """It was told so; but to listen everywhere allows nothing."""
    for host, named, status in [
        ("127.0.0.2", "127.0.0.2", 200),
        ("0.0.0.0", "0.0.0.0", 403),  # noqa: S104 - what a container needs
        ("0.0.0.0", "10.0.0.1", 403),  # noqa: S104
        ("0.0.0.0", "localhost", 200),  # noqa: S104
    ]:
        async with LocalService(host=host) as service:
            answer = await api_of(service).raw(request_of("GET /openapi.json", f"Host: {named}"))
            assert answer.status == status


@pytest.mark.parametrize(
    "allowed", ["keys.test", None, 5, [None], ["http://keys.test"], ["keys.test:80"], ["*"], [""]]
)
async def test_what_is_no_host_cannot_be_allowed(allowed):
    """A str for a list, a scheme, a port or a star is refused before anything starts."""
    with pytest.raises(InvalidArgumentError, match=r"allowed.host"):
        LocalService(allowed_hosts=allowed)
