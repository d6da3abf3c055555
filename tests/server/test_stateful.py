"""Whatever is done to the services, in whatever order, they answer as a model in memory does."""

from __future__ import annotations

import base64
import http.client
import json
from datetime import UTC, datetime
from urllib.parse import quote, urlsplit

import hypothesis.strategies as st
import pytest
from background import Background
from document import see_that_it_is_named
from hypothesis import HealthCheck, settings
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    precondition,
    rule,
    run_state_machine_as_test,
)
from model import (
    ACCESS_SECONDS,
    IN_POD,
    INBOX,
    POD,
    REFRESH_SECONDS,
    SURFACES,
    Account,
    Cursor,
    Key,
    Model,
    iso,
)

from agentkeys.server import Clock, LocalService

BEGIN = datetime(2030, 1, 1, tzinfo=UTC).timestamp()
EMAILS = st.sampled_from(["owner@agentkeys.local", "other@example.com"])
NAMES = st.sampled_from(["ci", "bot", 'ü\N{GRINNING FACE}\\"', "a" * 255])
PERMISSIONS = st.none() | st.dictionaries(st.sampled_from(["a", "é"]), st.booleans())
LIMITS = st.integers(1, 4) | st.just(100)
# Which of those that there are; 0 is the newest.
WHICH = st.integers(0, 3)
CALLER = st.none() | WHICH


class Services(RuleBasedStateMachine):
    """Does the same to a service, over its socket, and to the model."""

    def __init__(self):
        super().__init__()
        self.background = Background()
        self.background.__enter__()
        self.clock = Clock(lambda: BEGIN)
        self.service = LocalService(
            clock=self.clock,
            access_token_lifetime=ACCESS_SECONDS,
            refresh_token_lifetime=REFRESH_SECONDS,
        )
        self.background.enter(self.service)
        self.background.run(self.service.add_pod(POD.pod))
        self.background.run(self.service.add_inbox(IN_POD.inbox, POD.pod))
        self.http = http.client.HTTPConnection(urlsplit(self.service.url).netloc, timeout=30)
        self.model = Model()
        self.model.accounts[self.service.email] = Account(self.service.password)
        self.registrations = 0
        self.account_key_ids = [4711]

    def teardown(self):
        """At the end, see that each key does what it should, and that none is listed twice."""
        try:
            for caller in (*range(len(self.model.keys)), None):
                self.list_keys(SURFACES[0], caller, 100, None)
        finally:
            self.http.close()
            self.background.__exit__()

    def send(self, method, path, *, token=None, basic=None, body=None):
        """Send a request and return the status and the JSON of its answer."""
        headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        if basic is not None:
            headers["Authorization"] = f"Basic {base64.b64encode(basic.encode()).decode()}"
        raw = None if body is None else json.dumps(body).encode()
        self.http.request(method, path, raw, headers)
        answer = self.http.getresponse()
        content = answer.read()
        see_that_it_is_named(method, path, answer.status)
        return answer.status, json.loads(content) if content else None

    @property
    def now(self):
        return iso(self.clock())

    @rule(seconds=st.sampled_from([-3600.0, 0.001, 1.0, ACCESS_SECONDS, REFRESH_SECONDS]))
    def pass_time(self, seconds):
        self.clock.advance(seconds)

    # Agentity: accounts, tokens, and the keys of an account.

    # Its hash takes longer than all the rest.
    @precondition(lambda self: self.registrations < 2)
    @rule(email=EMAILS)
    def register(self, email):
        self.registrations += 1
        basic, body = f"{email.capitalize()}:correct: horse", {"name": "me"}
        status, answer = self.send("POST", "/auth/register", basic=basic, body=body)
        if email in self.model.accounts:
            assert status == 409
            return
        assert (status, answer["createdAt"], answer["updatedAt"]) == (201, self.now, self.now)
        self.model.accounts[email] = Account("correct: horse")

    @initialize()
    def log_in(self):
        self.login(self.service.email, is_right=True)

    @rule(email=EMAILS, is_right=st.booleans())
    def login(self, email, is_right):
        account = self.model.accounts.get(email)
        password = account.password if account and is_right else "wrong"
        status, pair = self.send("POST", "/auth/token", basic=f"{email}:{password}")
        if account is None or not is_right:
            assert status == 401
            return
        assert status == 200
        self.model.log_in(account, pair, self.clock())

    @precondition(lambda self: self.model.sessions)
    @rule(which=WHICH)
    def refresh(self, which):
        session = newest(self.model.sessions, which)
        body = {"refreshToken": session.refresh_token}
        status, pair = self.send("POST", "/auth/token/refresh", body=body)
        is_known = not (session.is_forgotten or session.login.is_over)
        if not is_known or self.clock() >= session.refresh_expires or session.is_used:
            assert status == 401
            # Whoever comes with it a second time ends all that came of the login.
            if is_known and self.clock() < session.refresh_expires:
                session.login.is_over = True
            return
        assert status == 200
        session.is_used = True
        self.model.add_session(session.account, session.login, pair, self.clock())

    def of_account(self, which, method, path="", body=None):
        """Send a request with an access token; return its account, None if it was refused."""
        session = newest(self.model.sessions, which)
        token = session.access_token
        status, answer = self.send(method, f"/auth/api-keys{path}", token=token, body=body)
        if self.clock() >= session.access_expires or session.login.is_over:
            assert status == 401
            return None, status, answer
        return session.account, status, answer

    @precondition(lambda self: self.model.sessions)
    @rule(which=WHICH, nickname=NAMES)
    def create_account_key(self, which, nickname):
        account, status, key = self.of_account(which, "POST", body={"nickname": nickname})
        if account is None:
            return
        if nickname in {each["nickname"] for each in account.keys.values()}:
            assert status == 409
            return
        assert status == 201
        assert key.pop("key").startswith("agk_live_")
        assert key["id"] > self.account_key_ids[-1] or len(self.account_key_ids) == 1
        shown = {"nickname": nickname, "createdAt": self.now, "updatedAt": self.now}
        assert key == {"id": key["id"], **shown}
        account.keys[key["id"]] = key
        self.account_key_ids.append(key["id"])

    @precondition(lambda self: self.model.sessions)
    @rule(which=WHICH)
    def list_account_keys(self, which):
        account, status, answer = self.of_account(which, "GET")
        if account is not None:
            assert (status, answer) == (200, {"apiKeys": list(account.keys.values())})

    @precondition(lambda self: self.model.sessions)
    @rule(which=WHICH, which_key=WHICH)
    def delete_account_key(self, which, which_key):
        key_id = newest(self.account_key_ids, which_key)
        account, status, _ = self.of_account(which, "DELETE", f"/{key_id}")
        if account is None:
            return
        owner = self.model.owner(key_id)
        assert status == (404 if owner is None else 200 if owner is account else 401)
        if owner is account:
            del account.keys[key_id]

    # Agentry: keys of scopes, made and used by keys of others.

    def of_scope(self, surface, caller, method, path="", body=None):
        """Send a request as the tenant, or with a key; return its answer, None if refused."""
        key = newest(self.model.keys, caller) if self.model.keys and caller is not None else None
        token = self.service.agentry_token if key is None else key.secret
        if key is not None and key.is_alive:
            key.use(self.now)
        status, answer = self.send(method, f"{surface.path}{path}", token=token, body=body)
        if key is not None and not key.is_alive:
            assert status == 401
            return None
        if key is not None and not key.scope.holds(surface.scope):
            assert status == 404
            return None
        return status, answer

    @rule(surface=st.sampled_from(SURFACES), caller=CALLER, name=NAMES, permissions=PERMISSIONS)
    def create_key(self, surface, caller, name, permissions):
        takes = surface.takes_permissions and permissions is not None
        extra = {"permissions": permissions} if takes else {}
        answered = self.of_scope(surface, caller, "POST", body={"name": name, **extra})
        if answered is None:
            return
        status, shown = answered
        assert status == surface.created
        secret = shown.pop("api_key")
        ids = {"pod_id": surface.scope.pod, "inbox_id": surface.scope.inbox}
        assert secret.startswith(shown["prefix"])
        assert shown == {
            "api_key_id": shown["api_key_id"],
            "name": name,
            "prefix": shown["prefix"],
            "created_at": self.now,
            **{name: each for name, each in ids.items() if each is not None},
            **extra,
        }
        self.model.keys.append(Key(secret, surface.scope, len(self.model.keys), shown))

    @rule(
        surface=st.sampled_from(SURFACES),
        caller=CALLER,
        limit=LIMITS,
        which_cursor=st.none() | WHICH,
    )
    def list_keys(self, surface, caller, limit, which_cursor):
        path, cursor = f"?limit={limit}", None
        if self.model.cursors and which_cursor is not None:
            cursor = newest(self.model.cursors, which_cursor)
            path += f"&page_token={quote(cursor.text)}"
        answered = self.of_scope(surface, caller, "GET", path)
        if answered is not None:
            self.see_page(answered, surface.scope, limit, cursor)

    @rule(inbox=st.sampled_from([INBOX, IN_POD]), limit=LIMITS)
    def list_keys_of_an_inbox_alone(self, inbox, limit):
        path = f"?inbox_id={quote(inbox.inbox)}&limit={limit}"
        self.see_page(self.of_scope(SURFACES[0], None, "GET", path), inbox, limit, None)

    def see_page(self, answered, scope, limit, cursor):
        status, answer = answered
        if cursor is not None and cursor.scope != scope:
            assert status == 400
            return
        page = self.model.page(scope, limit, *(() if cursor is None else (cursor.after,)))
        text = answer.pop("next_page_token", None)
        shown = [key.shown for key in page.keys]
        assert (status, answer) == (200, {"api_keys": shown, "count": len(shown)})
        assert (text is None) == (page.end is None)
        if text is not None:
            self.model.cursors.append(Cursor(text, scope, page.end))

    @precondition(lambda self: self.model.keys)
    @rule(surface=st.sampled_from(SURFACES), caller=CALLER, which=WHICH)
    def delete_key(self, surface, caller, which):
        key = newest(self.model.keys, which)
        path = f"/{key.shown['api_key_id']}"
        answered = self.of_scope(surface, caller, "DELETE", path)
        if answered is None:
            return
        is_there = key.is_alive and surface.scope.holds(key.scope)
        assert answered[0] == (surface.deleted if is_there else 404)
        key.is_alive = key.is_alive and not is_there


def newest(those, which):
    return those[-1 - which % len(those)]


def run(**how):
    health = [HealthCheck.too_slow]
    run_state_machine_as_test(Services, settings=settings(suppress_health_check=health, **how))


def test_they_answer_as_the_model_does():
    """A few hundred requests in random order are answered as the model says, to the byte."""
    run(max_examples=25, stateful_step_count=40)


@pytest.mark.long
def test_they_answer_as_the_model_does_for_long():
    """So are ten thousand."""
    run(max_examples=200, stateful_step_count=50)
