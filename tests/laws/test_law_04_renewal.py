"""Law 4: one renewal in flight; at most one in a call; a 401 that remains costs nothing."""

from __future__ import annotations

import asyncio
import base64
import json
import threading
import time
from typing import TYPE_CHECKING

import pytest
from samples import NEW_KEY, TOKEN, agentity, jwt
from wire import Seen, Wire, answer, close, hang

from agentkeys import (
    AuthenticationError,
    CachedLogin,
    ClientClosedError,
    ConfigurationError,
    DeadlineExceededError,
    DecodeError,
    PasswordLogin,
    Secret,
    TokenPair,
    TransportError,
)
from agentkeys.credentials import Token

if TYPE_CHECKING:
    from agentkeys.agentity import Tokens
from agentkeys.agentity import login as log_in

pytestmark = pytest.mark.asyncio

LOGIN, REFRESH, KEYS = "/auth/token", "/auth/token/refresh", "/auth/api-keys"


class Service:
    """Logs in, refreshes single-use tokens, and takes only the newest access token."""

    def __init__(self, **claims: object) -> None:
        self.claims = claims
        self.issued = 0
        self.refresh_token = ""
        self.access_token = ""

    def __call__(self, seen: Seen):
        if seen.target == LOGIN:
            return self.pair()
        if seen.target == REFRESH:
            if seen.json["refreshToken"] != self.refresh_token:
                return answer(401, {"message": "invalid or expired refresh token"})
            return self.pair()
        if seen.headers.get("authorization") != f"Bearer {self.access_token}":
            return answer(401)
        return answer(200, {"apiKeys": []})

    def pair(self):
        self.issued += 1
        self.access_token = jwt(str(self.issued), **self.claims)
        self.refresh_token = f"refresh-{self.issued}"
        return answer(200, {"accessToken": self.access_token, "refreshToken": self.refresh_token})


def login() -> PasswordLogin:
    return PasswordLogin("me@example.com", "pass:word")


def targets(wire: Wire) -> list[str]:
    return [seen.target for seen in wire.requests]


async def test_a_login_sends_basic_credentials_and_no_body():
    """RFC 7617 in UTF-8; a password may hold a colon."""
    async with Wire(Service()) as wire, agentity(wire.url, login()) as client:
        await client.api_keys.list().collect()
    sent = wire.requests[0]
    assert sent.body == b""
    scheme, pair = sent.headers["authorization"].split()
    assert (scheme, base64.b64decode(pair)) == ("Basic", b"me@example.com:pass:word")


async def test_logging_in_by_hand_gives_a_pair_to_start_from():
    """`agentity.login` is how a TokenPair gets its first pair."""
    service = Service()
    async with Wire(service) as wire:
        tokens = await log_in("me@example.com", "pw", base_url=wire.url)
        pair = TokenPair(tokens.access_token, tokens.refresh_token)
        async with agentity(wire.url, pair) as client:
            await client.api_keys.list().collect()
    assert targets(wire) == [LOGIN, KEYS]


async def test_a_token_that_no_header_can_hold_is_refused():
    """A service that gives such a token as this is not obeyed: nothing is sent with it."""
    given = answer(200, {"accessToken": "a X-Evil: 1", "refreshToken": "r"})
    async with Wire(given) as wire, agentity(wire.url, login()) as client:
        with pytest.raises(ConfigurationError, match="access token"):
            await client.api_keys.list().collect()
    assert targets(wire) == [LOGIN]
    given = answer(200, {"accessToken": "a\r\nX-Evil: 1", "refreshToken": "r"})
    async with Wire(given) as wire, agentity(wire.url, login()) as client:
        with pytest.raises(DecodeError, match=r"characters that print at \$\.accessToken"):
            await client.api_keys.list().collect()
    assert targets(wire) == [LOGIN]


async def test_a_refresh_has_no_authorization():
    """The refresh token speaks for itself, in the body."""
    service = Service()
    async with Wire(service) as wire, agentity(wire.url, login()) as client:
        await client.api_keys.list().collect()
        service.access_token = "ended"
        await client.api_keys.list().collect()
    assert targets(wire) == [LOGIN, KEYS, KEYS, REFRESH, KEYS]
    assert "authorization" not in wire.requests[3].headers
    assert wire.requests[3].json == {"refreshToken": "refresh-1"}


async def test_many_calls_log_in_once():
    """However many calls wait for a token, one login is made."""
    async with Wire(Service()) as wire, agentity(wire.url, login()) as client:
        await asyncio.gather(*(client.api_keys.list().collect() for _ in range(50)))
    assert targets(wire).count(LOGIN) == 1


async def test_many_refused_calls_refresh_once():
    """All calls that meet 401 share one refresh, and each is sent once more."""
    service = Service()
    async with Wire(service) as wire, agentity(wire.url, login()) as client:
        await client.api_keys.list().collect()
        service.access_token = "ended"
        await asyncio.gather(*(client.api_keys.list().collect() for _ in range(50)))
    assert targets(wire).count(REFRESH) == 1
    assert targets(wire).count(LOGIN) == 1


async def test_calls_in_two_loops_share_a_login():
    """The flight is shared by threads with a loop each."""
    service = Service()
    both = threading.Barrier(2)
    async with Wire(service) as wire:
        client = agentity(wire.url, login())

        async def work():
            await asyncio.to_thread(both.wait)
            await asyncio.gather(*(client.api_keys.list().collect() for _ in range(10)))

        await asyncio.gather(*(asyncio.to_thread(asyncio.run, work()) for _ in range(2)))
    assert targets(wire).count(LOGIN) == 1
    assert targets(wire).count(KEYS) == 20


async def test_a_refused_refresh_falls_back_to_the_login():
    """A refresh token that somebody else used up does not end the session."""
    service = Service()
    async with Wire(service) as wire, agentity(wire.url, login()) as client:
        await client.api_keys.list().collect()
        service.access_token = service.refresh_token = "used up"
        await client.api_keys.list().collect()
    assert targets(wire) == [LOGIN, KEYS, KEYS, REFRESH, LOGIN, KEYS]


async def test_a_401_that_remains_is_reported_and_costs_nothing():
    """A delete of somebody else's key renews once, is reported, and the session goes on."""
    service = Service()

    def strict(seen: Seen):
        return answer(401, {"message": "not yours"}) if seen.method == "DELETE" else service(seen)

    async with Wire(strict) as wire, agentity(wire.url, login()) as client:
        await client.api_keys.list().collect()
        with pytest.raises(AuthenticationError, match=r"not yours.*one of this account") as caught:
            await client.api_keys.delete(7)
        await client.api_keys.list().collect()
    assert targets(wire) == [LOGIN, KEYS, f"{KEYS}/7", REFRESH, f"{KEYS}/7", KEYS]
    assert (caught.value.applied, caught.value.attempts) == ("no", 2)


async def test_a_call_renews_at_most_once():
    """A call that logged in does not renew again when it is refused all the same."""
    service = Service()

    def strict(seen: Seen):
        return answer(401) if seen.target == KEYS else service(seen)

    async with Wire(strict) as wire, agentity(wire.url, login()) as client:
        with pytest.raises(AuthenticationError):
            await client.api_keys.list().collect()
    assert targets(wire) == [LOGIN, KEYS]


async def test_a_fixed_token_is_not_renewed():
    """A 401 to a fixed token is reported at once."""
    async with Wire(answer(401)) as wire, agentity(wire.url) as client:
        with pytest.raises(AuthenticationError):
            await client.api_keys.create("x")
    assert len(wire.requests) == 1
    assert wire.requests[0].headers["authorization"] == f"Bearer {TOKEN}"


async def test_a_wrong_password_is_reported():
    """The login's own 401 is the error, and the call was not applied."""
    async with Wire(answer(401, {"message": "wrong email or password"})) as wire:
        async with agentity(wire.url, login()) as client:
            with pytest.raises(AuthenticationError, match="wrong email or password") as caught:
                await client.api_keys.create("x")
    assert targets(wire) == [LOGIN]
    assert caught.value.path == LOGIN
    assert caught.value.applied == "no"


async def test_a_login_that_gets_no_answer_leaves_the_create_unapplied():
    """The login is uncertain; the create never left."""
    async with Wire(close) as wire, agentity(wire.url, login()) as client:
        with pytest.raises(TransportError) as caught:
            await client.api_keys.create("x")
    assert set(targets(wire)) == {LOGIN}
    assert caught.value.applied == "no"


async def test_each_waiting_call_gets_an_error_of_its_own():
    """A failed login is raised in every waiting call, and none shares its error."""
    async with Wire(answer(401)) as wire, agentity(wire.url, login()) as client:
        errors = await asyncio.gather(
            *(client.api_keys.create("x") for _ in range(10)), return_exceptions=True
        )
    assert all(isinstance(error, AuthenticationError) for error in errors)
    assert len({id(error) for error in errors}) == 10
    assert len(wire.requests) == 1


async def test_a_call_that_is_cancelled_does_not_end_the_renewal_of_others():
    """The flight belongs to nobody: who began it may leave."""
    service, gate = Service(), asyncio.Event()

    async def slow(writer):
        await gate.wait()
        await service.pair()(writer)

    slow.is_reply = True
    async with Wire(slow, service) as wire, agentity(wire.url, login()) as client:
        first = asyncio.create_task(client.api_keys.list().collect())
        await wire.arrived.wait()
        second = asyncio.create_task(client.api_keys.list().collect())
        first.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first
        gate.set()
        assert await second == []
    assert targets(wire) == [LOGIN, KEYS]


async def test_an_impatient_leader_does_not_fail_the_others():
    """A waiting call with more time takes over when the leader's time is up."""
    service = Service()
    async with Wire(hang, service) as wire, agentity(wire.url, login(), timeout=0.5) as client:
        leader = asyncio.create_task(client.api_keys.list().collect())
        await wire.arrived.wait()
        patient = asyncio.create_task(client.api_keys.list(timeout=60).collect())
        with pytest.raises(DeadlineExceededError):
            await leader
        assert await patient == []
    assert targets(wire) == [LOGIN, LOGIN, KEYS]


async def test_a_loop_that_ends_in_mid_flight_does_not_strand_the_next():
    """A renewal that died with its loop is begun again in the next one."""
    service = Service()
    async with Wire(hang, service) as wire:
        client = agentity(wire.url, login())

        async def left() -> None:
            call = asyncio.create_task(client.api_keys.list().collect())
            await asyncio.wait([call], timeout=0.05)

        async def again() -> list[object]:
            found = await client.api_keys.list(timeout=60).collect()
            await client.close()
            return found

        await asyncio.to_thread(asyncio.run, left())
        assert await asyncio.to_thread(asyncio.run, again()) == []


@pytest.mark.parametrize("wall_clock_is_off_by", [0, 3600, -3600, 10**9])
async def test_a_tokens_age_is_counted_from_its_arrival(wall_clock_is_off_by):
    """A clock that is an hour off does not make every call refresh."""
    now = int(time.time()) + wall_clock_is_off_by
    service = Service(iat=now, exp=now + 900)
    async with Wire(service) as wire, agentity(wire.url, login()) as client:
        for _ in range(5):
            await client.api_keys.list().collect()
    assert targets(wire) == [LOGIN, *[KEYS] * 5]


async def test_a_token_is_renewed_before_it_ends():
    """With its lifetime known, no request is wasted on a 401."""
    # A lifetime that is over before the next call can be made.
    service = Service(iat=1000.0, exp=1000.000001)
    async with Wire(service) as wire, agentity(wire.url, login()) as client:
        await client.api_keys.list().collect()
        await client.api_keys.list().collect()
    assert targets(wire) == [LOGIN, KEYS, REFRESH, KEYS]


@pytest.mark.parametrize(
    "claims",
    [
        {},
        {"exp": 1000},
        {"iat": 1000},
        {"exp": 1000, "iat": 2000},
        {"exp": 1000, "iat": 1000},
        {"exp": "soon", "iat": 0},
        {"exp": None, "iat": None},
        {"exp": [], "iat": {}},
        {"exp": 10**400, "iat": 0},
        {"exp": float("inf"), "iat": 0},
        {"exp": float("nan"), "iat": 0},
    ],
)
async def test_nonsense_in_a_token_is_no_lifetime(claims):
    """Without a lifetime that makes sense only a 401 tells that the token has ended."""
    service = Service(**claims)
    async with Wire(service) as wire, agentity(wire.url, login()) as client:
        for _ in range(3):
            await client.api_keys.list().collect()
        service.access_token = "ended"
        await client.api_keys.list().collect()
    assert targets(wire) == [LOGIN, KEYS, KEYS, KEYS, KEYS, REFRESH, KEYS]


@pytest.mark.parametrize(
    "token",
    ["", "opaque", "a.b.c", "..", "a.!!.c", "a." + "W10" + ".c", "é.é.é", "a." + "WzFd" * 9],
)
async def test_a_token_that_is_no_jwt_is_a_token(token):
    """The client reads a JWT if it is one, and never needs it to be."""
    assert Token.of_jwt(Secret(token)).renew_at == float("inf")


async def test_deep_nesting_in_a_token_is_no_lifetime():
    """A payload that would exhaust the stack is no lifetime either."""
    payload = base64.urlsafe_b64encode(b"[" * 100_000).decode()
    assert Token.of_jwt(Secret(f"a.{payload}.c")).renew_at == float("inf")


async def test_a_pair_is_handed_over_before_it_is_used():
    """`on_renewal` has the new pair in hand before any request bears it."""
    events: list[str] = []

    def kept(pair: Tokens) -> None:
        events.append(f"kept {pair.refresh_token.reveal()}")

    service = Service()
    service.pair()

    def record(seen: Seen):
        events.append(
            f"{seen.target} {json.loads(seen.body or b'{}').get('refreshToken', '')}".strip()
        )
        return service(seen)

    async with Wire(record) as wire:
        pair = TokenPair("ended", "refresh-1", on_renewal=kept)
        async with agentity(wire.url, pair) as client:
            await client.api_keys.list().collect()
    assert events == [KEYS, f"{REFRESH} refresh-1", "kept refresh-2", KEYS]


@pytest.mark.parametrize("is_async", [True, False])
async def test_a_pair_that_cannot_be_kept_is_not_lost(is_async):
    """What `on_renewal` raises ends the call; the next one offers it the same pair again."""
    offered: list[Tokens] = []
    service = Service()
    service.pair()

    def keep(pair: Tokens) -> None:
        offered.append(pair)
        if len(offered) == 1:
            raise OSError(28, "the disk is full")

    async def keep_later(pair: Tokens) -> None:
        keep(pair)

    async with Wire(service) as wire:
        pair = TokenPair("ended", "refresh-1", on_renewal=keep_later if is_async else keep)
        async with agentity(wire.url, pair) as client:
            with pytest.raises(OSError, match="the disk is full"):
                await client.api_keys.list().collect()
            assert await client.api_keys.list().collect() == []
    assert offered[0] is offered[1]
    assert targets(wire) == [KEYS, REFRESH, KEYS, KEYS]


async def test_a_pair_whose_refresh_token_is_dead_is_reported():
    """There is no password to fall back to."""
    async with Wire(Service()) as wire, agentity(wire.url, TokenPair("ended", "dead")) as client:
        with pytest.raises(AuthenticationError, match="refresh") as caught:
            await client.api_keys.create("x")
    assert targets(wire) == [KEYS, REFRESH]
    assert caught.value.applied == "no"


async def test_credentials_of_ones_own():
    """Whatever has `current`, `renew` and `secrets` is credentials."""

    class Vault:
        def __init__(self) -> None:
            self.reads = 0

        def current(self):
            return None

        async def renew(self, caller, refused, timeout):
            self.reads += 1
            return Secret(f"token-{self.reads}")

        def secrets(self):
            return ()

    async with Wire(answer(201, NEW_KEY)) as wire, agentity(wire.url, vault := Vault()) as client:
        await client.api_keys.create("x")
    assert vault.reads == 1
    assert wire.requests[0].headers["authorization"] == "Bearer token-1"


async def test_a_renewal_that_is_cancelled_before_its_first_step_is_begun_again():
    """Whoever cancels all tasks at once does not strand the credentials."""
    async with Wire(Service()) as wire, agentity(wire.url, login()) as client:
        keep = asyncio.all_tasks()
        first = asyncio.create_task(client.api_keys.list().collect())
        while len(asyncio.all_tasks() - keep) < 2:  # noqa: ASYNC110  # the call and its renewal
            await asyncio.sleep(0)
        for task in asyncio.all_tasks() - keep:
            task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first
        assert await client.api_keys.list(timeout=30).collect() == []


async def test_a_loop_that_has_stopped_does_not_hold_the_renewal():
    """A loop that was left standing, neither running nor closed, holds up nobody."""
    async with Wire(hang, Service()) as wire:
        client = agentity(wire.url, login())

        def left_standing() -> asyncio.AbstractEventLoop:
            loop = asyncio.new_event_loop()
            waiting = asyncio.wait_for(client.api_keys.list().collect(), 0.05)
            with pytest.raises(TimeoutError):
                loop.run_until_complete(waiting)
            return loop

        loop = await asyncio.to_thread(left_standing)
        assert await client.api_keys.list(timeout=30).collect() == []
        await client.close()
        await asyncio.to_thread(
            lambda: (
                [task.cancel() for task in asyncio.all_tasks(loop)],
                loop.run_until_complete(loop.shutdown_asyncgens()),
                loop.close(),
            )
        )


async def test_a_callback_that_hangs_once_is_given_up():
    """The renewal is bounded with all that it waits for, and the pair is offered again."""
    offered: list[Tokens] = []

    async def keep(pair: Tokens) -> None:
        offered.append(pair)
        if len(offered) == 1:
            await asyncio.Event().wait()

    service = Service()
    service.pair()
    async with Wire(service) as wire:
        pair = TokenPair("ended", "refresh-1", on_renewal=keep)
        async with agentity(wire.url, pair, timeout=0.5) as client:
            with pytest.raises(DeadlineExceededError):
                await client.api_keys.list().collect()
            assert await client.api_keys.list(timeout=30).collect() == []
    assert offered[0] is offered[1]


async def test_a_closed_client_does_not_fail_another_that_shares_its_login():
    """Who waits for the renewal of a client that is closed takes it over."""
    service, shared = Service(), login()
    async with Wire(hang, service) as wire, agentity(wire.url, shared) as open_one:
        closing = agentity(wire.url, shared)
        first = asyncio.create_task(closing.api_keys.list().collect())
        await wire.arrived.wait()
        second = asyncio.create_task(open_one.api_keys.list(timeout=30).collect())
        await asyncio.sleep(0)
        await closing.close()
        with pytest.raises((ClientClosedError, TransportError)):
            await first
        assert await second == []


@pytest.mark.parametrize("token", ["a-str", None, Secret("a b"), Secret("")])
async def test_what_foreign_credentials_give_is_checked(token):
    """No Secret, or none that a header can hold, is a sentence and no request."""

    class Vault:
        def current(self):
            return token

        async def renew(self, caller, refused, timeout):
            return token

        def secrets(self):
            return ()

    async with Wire(answer(201, NEW_KEY)) as wire, agentity(wire.url, Vault()) as client:
        with pytest.raises(ConfigurationError, match="the credentials returned"):
            await client.api_keys.create("x")
    assert wire.requests == []


async def test_a_callback_that_waits_for_itself_is_told_so():
    """`on_renewal` that calls by the client that waits for it gets a sentence, not the deadline."""

    async def keep(_: Tokens) -> None:
        await client.api_keys.list().collect()

    service = Service()
    service.pair()
    async with Wire(service) as wire:
        pair = TokenPair("ended", "refresh-1", on_renewal=keep)
        async with agentity(wire.url, pair, timeout=20) as client:
            with pytest.raises(ConfigurationError, match="waits for the renewal"):
                await client.api_keys.list().collect()


async def test_a_callback_may_start_what_calls_later():
    """What `on_renewal` leaves behind may call when the renewal is over, and renew."""
    calls: list[asyncio.Task[object]] = []
    over = asyncio.Event()

    async def later() -> object:
        await over.wait()
        return await client.api_keys.list().collect()

    def keep(_: Tokens) -> None:
        calls.append(asyncio.create_task(later()))

    service = Service()
    service.pair()
    async with Wire(service) as wire:
        pair = TokenPair("ended", "refresh-1", on_renewal=keep)
        async with agentity(wire.url, pair) as client:
            await client.api_keys.list().collect()
            service.access_token = "another"  # so that the next call is refused, and renews
            over.set()
            assert await calls[0] == []
            await asyncio.gather(*calls)
    assert len(calls) == 2


@pytest.mark.parametrize("made", [lambda login: login, CachedLogin], ids=["plain", "cached"])
async def test_the_token_of_one_service_is_sent_to_no_other(made, tmp_path, monkeypatch):
    """Who hands one login to clients of two addresses is told so, before anything is sent."""
    monkeypatch.setenv("AGENTKEYS_HOME", str(tmp_path))
    login = made(PasswordLogin("ada@example.com", "pw"))
    async with Wire(Service()) as wire, Wire(Service()) as other:
        async with agentity(wire.url, login) as client, agentity(wire.url, login) as second:
            await client.api_keys.list().collect()
            await second.api_keys.list().collect()
        with pytest.raises(ConfigurationError, match="make another one for each base URL"):
            async with agentity(other.url, login) as client:
                await client.api_keys.list().collect()
        assert other.requests == []
        assert [seen.target for seen in wire.requests] == [LOGIN, KEYS, KEYS]
