"""The local service without an event loop: the twin of `agentkeys.server.LocalService`."""

from __future__ import annotations

import asyncio
import threading
import urllib.error
import urllib.request

import pytest

from agentkeys import (
    AgentryClient,
    AuthenticationError,
    ClientClosedError,
    ConfigurationError,
    ConflictError,
    InvalidArgumentError,
    NotFoundError,
    PasswordLogin,
    TokenPair,
    sync,
)


def client_threads() -> int:
    return [thread.name for thread in threading.enumerate()].count("agentkeys")


def test_the_blocking_service_serves_both():
    """What it says of itself is what clients need, blocking or not."""
    with sync.LocalService() as service:
        login = PasswordLogin(service.email, service.password)
        with sync.AgentityClient(login, base_url=service.url) as agentity:
            made = agentity.api_keys.create("one")
            assert [key.id for key in agentity.api_keys.list()] == [made.id]
        with sync.AgentryClient(service.agentry_token, base_url=service.url) as agentry:
            made = agentry.inbox(service.inbox_id).api_keys.create("two")
            assert [key.id for key in agentry.api_keys.list()] == [made.id]

        async def with_the_async_client() -> int:
            async with AgentryClient(service.agentry_token, base_url=service.url) as client:
                return len(await client.api_keys.list().collect())

        assert asyncio.run(with_the_async_client()) == 1


def test_accounts_inboxes_and_pods_can_be_added():
    """As with the async one, with the same refusals."""
    with sync.LocalService() as service:
        service.add_account("other@example.com", "pw")
        service.add_pod("p")
        service.add_inbox("i", pod_id="p")
        with pytest.raises(InvalidArgumentError):
            service.add_inbox("j", "nowhere")
        with sync.AgentryClient(service.agentry_token, base_url=service.url) as client:
            assert client.agent.pod("p").api_keys.list().collect() == []
            assert client.agent.inbox("i").api_keys.list().collect() == []
            with pytest.raises(NotFoundError):
                client.agent.inbox("j").api_keys.list().collect()
        login = PasswordLogin("other@example.com", "pw")
        with sync.AgentityClient(login, base_url=service.url) as client:
            assert client.api_keys.list().collect() == []


def test_its_end_is_the_end_of_its_port_and_its_thread():
    """Closing twice is fine; it can be asked nothing afterwards."""
    before = client_threads()
    with sync.LocalService() as service:
        url = service.url
    service.close()
    assert client_threads() == before
    with pytest.raises(urllib.error.URLError):
        urllib.request.urlopen(url, timeout=5)  # noqa: S310  # our own http address
    with pytest.raises(ConfigurationError):
        _ = service.url
    with pytest.raises(ClientClosedError):
        service.add_pod("p")
    with pytest.raises(ClientClosedError):
        service.start()


def test_one_that_cannot_start_leaves_nothing(tmp_path):
    """A port that is in use: the error of the async one, and no thread."""
    before = client_threads()
    with sync.LocalService() as first:
        port = int(first.url.rpartition(":")[2])
        with pytest.raises(ConfigurationError), sync.LocalService(port=port):
            pass
    assert client_threads() == before


def test_its_repr_shows_where_it_is_and_no_secret():
    """Running or not."""
    service = sync.LocalService()
    assert repr(service) == "<LocalService not running> (blocking)"
    with service:
        assert service.url in repr(service)
        assert service.password not in repr(service)
        assert service.agentry_token not in repr(service)


def test_an_account_is_opened_with_register():
    """`register` needs no client, and leaves no thread; what is wrong is an error."""
    before = client_threads()
    with sync.LocalService() as service:
        account = sync.register("new@example.com", "pw", name="New", base_url=service.url)
        assert (account.email, account.name) == ("new@example.com", "New")
        tokens = sync.login("new@example.com", "pw", base_url=service.url)
        pair = TokenPair(tokens.access_token, tokens.refresh_token)
        with sync.AgentityClient(pair, base_url=service.url) as client:
            assert client.api_keys.list().collect() == []
        with pytest.raises(ConflictError):
            sync.register("new@example.com", "pw", name="New", base_url=service.url)
        with pytest.raises(ConfigurationError, match="leave the session out"):
            sync.register("x@example.com", "pw", name="X", base_url=service.url, session=object())
        wrong = PasswordLogin("new@example.com", "wrong")
        with (
            sync.AgentityClient(wrong, base_url=service.url) as client,
            pytest.raises(AuthenticationError),
        ):
            client.api_keys.list().collect()
    assert client_threads() == before
