"""An account is the same one under each of its credentials, where they show it."""

from __future__ import annotations

import attempt_files
import attrs
import pytest
import pytest_asyncio
from holding import Holding
from lifecycle import left
from samples import agentity, agentry, jwt
from wire import Wire, answer

from agentkeys import PasswordLogin, Secret, StoredToken, Swept, TokenPair, issue, sweep
from agentkeys.agentity import login
from agentkeys.credentials import BearerToken, names_of
from agentkeys.keys import Scope
from agentkeys.server import LocalService
from agentkeys.server.faults import CREATES, Reset
from agentkeys.stores import MemoryStore

pytestmark = pytest.mark.asyncio
NAME = ("ci~k7f3q2", "k7f3q2")


@pytest_asyncio.fixture
async def service():
    async with LocalService() as service:
        yield service


async def password(service):
    return PasswordLogin(service.email, service.password)


async def token(service):
    tokens = await login(service.email, service.password, base_url=service.url)
    return BearerToken(tokens.access_token)


async def pair(service):
    tokens = await login(service.email, service.password, base_url=service.url)
    return TokenPair(tokens.access_token, tokens.refresh_token)


async def stored_password(service):
    return PasswordLogin(service.email, password_from=Holding(service.password))


async def stored_token(service):
    tokens = await login(service.email, service.password, base_url=service.url)
    return StoredToken(Holding(tokens.access_token))


WAYS = {
    "password": password,
    "token": token,
    "pair": pair,
    "stored password": stored_password,
    "stored token": stored_token,
}
EACH = pytest.mark.parametrize("before", WAYS.values(), ids=WAYS)
AFTER = pytest.mark.parametrize("after", WAYS.values(), ids=WAYS)


async def died(service, credentials) -> None:
    """Leave the attempt of an issue that reached the service, and heard no answer."""
    service.faults.add(CREATES, Reset(), times="always")
    async with agentity(service.url, credentials) as client:
        with pytest.raises(Exception, match=r"may be left|may make"):
            await issue(client.api_keys, "ci", into=MemoryStore(), timeout=2)
    service.faults.clear()


@EACH
@AFTER
async def test_ones_own_attempt_is_swept_under_other_credentials(service, state, before, after):
    """Issued under a password, a token or a pair of tokens; swept under any of them."""
    await died(service, await before(service))
    assert left(state)
    async with agentity(service.url, await after(service)) as client:
        swept = await sweep(client.api_keys)
    assert swept.unresolved == ()
    assert len(swept.waiting) == len(left(state)) > 0


@EACH
async def test_nobody_sweeps_the_attempts_of_another_account(service, state, before):
    """What is not there may be there for others: it is said, with what to do, and kept."""
    await service.add_account("you@example.com", "another password")
    you = PasswordLogin("you@example.com", "another password")
    async with agentity(service.url, await before(service)) as client:
        await client.api_keys._session.log_in(5)
        attempt_files.begin(client.api_keys.scope, *NAME).release()
    [path] = state.rglob("*.attempt")
    async with agentity(service.url, you) as client:
        [sentence] = (await sweep(client.api_keys)).unresolved
    assert "other credentials" in sentence
    assert "sweep with those" in sentence
    assert str(path) in sentence
    assert len(left(state)) == 1


async def test_what_cannot_be_known_is_said(service, state):
    """An attempt that knows an email alone, and a token that tells none."""
    async with agentity(service.url, await token(service)) as client:
        scope = attrs.evolve(client.api_keys.scope, account=service.email, also=())
        attempt_files.begin(scope, *NAME).release()
        [sentence] = (await sweep(client.api_keys)).unresolved
    assert service.email in sentence
    assert "sweep with those" in sentence
    async with agentity(service.url, await password(service)) as client:
        assert await sweep(client.api_keys) == Swept(waiting=(NAME[0],))


async def test_a_pair_of_tokens_that_tell_nothing_stays_one_account(state):
    """Each renewal gives another token, and the account is named after the first."""
    credentials = TokenPair("first", "refresh")
    replies = {
        "/auth/token/refresh": answer(200, {"accessToken": "second", "refreshToken": "r2"}),
        "/auth/api-keys": answer(200, {"apiKeys": []}),
    }
    async with (
        Wire(answer(401), lambda seen: replies[seen.target]) as wire,
        agentity(wire.url, credentials) as client,
    ):
        before = client.api_keys.scope
        await client.api_keys.list().collect()
        assert credentials.current() == Secret("second")
        assert client.api_keys.scope == before
        assert client.api_keys.scope.is_of(before)
        assert "second" not in str(before)


async def test_an_attempt_of_an_older_version_is_still_read(service, state):
    """It has neither a body nor other names."""
    async with agentity(service.url, await password(service)) as client:
        attempt_files.begin(client.api_keys.scope, *NAME).release()
        [path] = state.rglob("*.attempt")
        attempt_files.as_of_0_1(path)
        assert await sweep(client.api_keys) == Swept(waiting=(NAME[0],))


async def test_names_are_what_is_known_and_no_secret():
    """What credentials call themselves, the subjects of their tokens; or a digest of the token."""
    assert names_of(PasswordLogin("me@x.to", jwt("a password like a token"))) == ("me@x.to",)
    assert names_of(PasswordLogin("me@x.to", password_from="memory:pw")) == ("me@x.to",)
    assert names_of(StoredToken("memory:token")) == ()
    assert names_of(BearerToken(jwt("u1"))) == ("u1",)
    assert names_of(TokenPair(jwt("u1", iat=1, exp=2), jwt("u2"))) == ("u1",)
    assert names_of(BearerToken(jwt("u1", email="me@x.to"))) == ("u1",)
    [digest] = names_of(BearerToken("ag_opaque"))
    assert digest.startswith("sha256:")

    class FromAVault:
        def current(self):
            return None

        async def renew(self, *_):
            return Secret("x")

        def secrets(self):
            return [Secret("hunter2")]

    assert names_of(FromAVault()) == ()  # the digest of a password could be tried out


async def test_scopes_without_a_name_are_nobodys():
    """Two of them are not known to be of one account."""
    scope = Scope("Gate", "https://gate.test", "house")
    assert not scope.is_of(scope)
    named = attrs.evolve(scope, account="a", also=("b",))
    assert named.is_of(attrs.evolve(scope, account="b"))
    assert not named.is_of(attrs.evolve(scope, account="b", id="other"))
    assert scope.named_as(named) == named
    assert attrs.evolve(scope, account="c").named_as(named).also == ()


async def test_a_create_alone_needs_no_login_of_its_own():
    """The login that comes first is the one that the create needs anyway."""
    async with LocalService() as service:
        async with agentity(service.url, await password(service)) as client:
            service.requests.clear()
            await issue(client.api_keys, "ci", into=MemoryStore())
        paths = [seen.path for seen in service.requests]
        assert paths == ["/auth/token", "/auth/api-keys"]
        async with agentry(service.url, service.agentry_token) as client:
            service.requests.clear()
            await issue(client.api_keys, "ci", into=MemoryStore())
        assert len(service.requests) == 1
