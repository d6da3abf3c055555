"""The service over TLS."""

from __future__ import annotations

import asyncio
import ssl

import aiohttp
import pytest
import trustme

from agentkeys import AgentityClient, PasswordLogin, TransportError
from agentkeys.server import LocalService
from agentkeys.server.faults import ALL, Answer, Close, HalfBody, NeverAnswer, Reset

pytestmark = pytest.mark.asyncio
AUTHORITY = trustme.CA()


def served() -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    AUTHORITY.issue_cert("127.0.0.1", "localhost").configure_cert(context)
    return context


def trusting() -> ssl.SSLContext:
    context = ssl.create_default_context()
    AUTHORITY.configure_trust(context)
    return context


async def test_a_client_that_trusts_the_certificate_is_served():
    """The address says https; whoever does not trust the certificate sends nothing."""
    async with LocalService(ssl=served()) as service:
        assert service.url.startswith("https://127.0.0.1:")
        login = PasswordLogin(service.email, service.password)
        async with AgentityClient(login, base_url=service.url, ssl=trusting()) as client:
            new = await client.api_keys.create("a")
            assert [key.id async for key in client.api_keys.list()] == [new.id]
        count = service.requests.count
        async with AgentityClient(login, base_url=service.url) as client:
            with pytest.raises(TransportError):
                await client.api_keys.list().collect()
        assert service.requests.count == count


@pytest.mark.parametrize("kind", [Reset(), Close(), HalfBody(), Answer(418)], ids=repr)
async def test_faults_over_tls(kind):
    """They go wrong as they do over plain HTTP."""
    async with (
        LocalService(ssl=served()) as service,
        aiohttp.ClientSession() as session,
    ):
        service.faults.add(ALL, kind, times="always")  # aiohttp asks again
        asked = session.get(f"{service.url}/auth/api-keys", ssl=trusting())
        if isinstance(kind, Answer):
            async with asked as answer:
                assert answer.status == 418
        else:
            with pytest.raises(aiohttp.ClientError):
                async with asked as answer:
                    await answer.read()


async def test_a_request_that_is_no_http_is_refused(caplog):
    """TLS knows no half-closed connection, and the client reads the refusal all the same."""
    async with LocalService(ssl=served(), shutdown_timeout=2) as service:
        port = int(service.url.rpartition(":")[2])
        reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=trusting())
        writer.write(b"nonsense\r\n\r\n")
        assert (await reader.readline()).startswith(b"HTTP/1.0 400 ")
        writer.close()
        await writer.wait_closed()
    assert caplog.records == []


async def test_a_client_that_never_closes_does_not_hold_up_the_end():
    """Nor does one that does not shake hands: both are closed in time."""
    async with aiohttp.ClientSession() as session:
        async with LocalService(ssl=served(), shutdown_timeout=0.2) as service:
            port = int(service.url.rpartition(":")[2])
            _, silent = await asyncio.open_connection("127.0.0.1", port)
            fault = service.faults.add(ALL, NeverAnswer())
            asking = asyncio.create_task(
                session.get(f"{service.url}/auth/api-keys", ssl=trusting())
            )
            await fault.wait()
        with pytest.raises(aiohttp.ClientError):
            await asyncio.wait_for(asking, 10)
        silent.close()
