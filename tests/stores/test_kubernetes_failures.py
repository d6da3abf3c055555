"""What goes wrong with a Secret: lost answers, refusals, others who write, and leaks."""

import asyncio
import base64
import logging
import time

import pytest
from kubernetes_cluster import ADMIN, AGENT, NAMESPACE, using
from kubernetes_server import KubernetesServer, Refusal, Trouble
from leaks import shown
from programs import Program

from agentkeys import Secret, StoreConflictError, StoreError, UncertainStoreError
from agentkeys.stores import ABSENT, ANY, KubernetesStore, Version
from agentkeys.testing.store_checks import made_up

pytestmark = pytest.mark.slow  # the laws of every store are in the file of the store

OLD, NEW, OTHERS = made_up(), made_up(), made_up()
ALL = ["get", "patch", "create", "delete"]


class Hasty(KubernetesStore):
    pause = 0.001


@pytest.fixture
def cluster(tmp_path):
    with KubernetesServer() as cluster:
        with using(cluster.kubeconfig(tmp_path / "config", token=AGENT)):
            cluster.bind(
                [{"apiGroups": [""], "resources": ["secrets", "namespaces"], "verbs": ALL}]
            )
            yield cluster


@pytest.fixture
def store(cluster):
    return Hasty(NAMESPACE, "bot", "key")


def in_base64(secret):
    return base64.b64encode(secret.reveal().encode()).decode()


def tells(text):
    """Return whether a text holds a secret, as it is or as the API has it, or a token."""
    forms = [form for each in (OLD, NEW, OTHERS) for form in (each.reveal(), in_base64(each))]
    return any(form in text for form in [*forms, AGENT, ADMIN])


def error_of(call, kind=StoreError):
    async def awaited():
        await call

    with pytest.raises(kind) as raised:
        asyncio.run(awaited())
    assert type(raised.value) is kind
    assert not tells(shown(raised.value))
    assert raised.value.store == "key of the Secret agents/bot in tests"
    return str(raised.value)


@pytest.mark.parametrize("lost", ["before", "after"])
@pytest.mark.parametrize("kind", ["get", "create"])
def test_a_lost_answer_to_a_first_write_is_settled(cluster, store, kind, lost):
    """Whether or not the server has acted, one Secret is made."""
    cluster.troubles = [Trouble(kind, lost=lost)]
    assert asyncio.run(store.write(NEW, expected=ABSENT)) == Version.of(NEW)
    assert cluster.data("bot") == {"key": NEW.reveal()}
    assert not cluster.troubles


@pytest.mark.parametrize("lost", ["before", "after"])
@pytest.mark.parametrize("expected", [Version.of(OLD), ANY], ids=["the old one", "any"])
def test_a_lost_answer_to_a_replacement_is_settled(cluster, store, expected, lost):
    """Likewise, and the other keys stay."""
    cluster.put("bot", {"key": OLD.reveal(), "other": "x"})
    cluster.troubles = [Trouble("patch", lost=lost)]
    asyncio.run(store.write(NEW, expected=expected))
    assert cluster.data("bot") == {"key": NEW.reveal(), "other": "x"}
    assert cluster.asked.count("patch") == (2 if lost == "before" else 1)


@pytest.mark.parametrize("lost", ["before", "after"])
@pytest.mark.parametrize("kind", ["patch", "delete"])
def test_a_lost_answer_to_a_removal_is_settled(cluster, store, kind, lost):
    """It is no error that there is nothing left to remove."""
    asyncio.run(store.write(OLD))
    if kind == "patch":
        cluster.change("bot", {"data": {"other": "eA=="}})
    cluster.troubles = [Trouble(kind, lost=lost)]
    asyncio.run(store.remove(expected=Version.of(OLD)))
    assert cluster.data("bot") == ({"other": "x"} if kind == "patch" else None)
    assert not cluster.troubles


@pytest.mark.parametrize("kind", ["create", "patch"])
def test_a_write_that_comes_late_changes_nothing(cluster, store, kind):
    """Its connection broke, it was sent again, and others have written since."""
    if kind == "patch":
        cluster.put("bot", {"key": OLD.reveal()})
    cluster.troubles = [Trouble(kind, lost="late")]
    asyncio.run(store.write(NEW))
    asyncio.run(store.write(OTHERS))
    before = cluster.secret("bot")
    cluster.deliver()
    assert cluster.secret("bot") == before
    assert cluster.data("bot") == {"key": OTHERS.reveal()}


@pytest.mark.parametrize(
    ("kind", "change", "after"),
    [
        ("patch", lambda it: it.change("bot", {"data": {"other": "eA=="}}), {"other": "x"}),
        ("patch", lambda it: it.change("bot", {"metadata": {"labels": {"a": "b"}}}), {}),
        ("create", lambda it: it.put("bot", {"other": "x"}), {"other": "x"}),
    ],
    ids=["another key", "a label", "another made it"],
)
def test_what_others_change_besides_the_key_stays(cluster, store, kind, change, after):
    """Between the look and the write; the write is done."""
    if kind == "patch":
        cluster.put("bot", {"key": OLD.reveal()})
    expected = Version.of(OLD) if kind == "patch" else ABSENT
    cluster.troubles = [Trouble(kind, meanwhile=lambda: change(Beneath(cluster)))]
    asyncio.run(store.write(NEW, expected=expected))
    assert cluster.data("bot") == {"key": NEW.reveal(), **after}
    assert cluster.asked.count("patch") == (2 if kind == "patch" else 1)


class Beneath:
    """What others do while the server handles a request, so not by another request."""

    def __init__(self, cluster):
        self._cluster = cluster

    def change(self, name, patch):
        found = self._cluster.secrets[NAMESPACE, name]
        for part, values in patch.items():
            found.setdefault(part, {})
            found[part] = {**found[part], **values}
        found["metadata"]["resourceVersion"] = "another"

    def put(self, name, data):
        encoded = {k: base64.b64encode(v.encode()).decode() for k, v in data.items()}
        metadata = {"name": name, "uid": "u", "resourceVersion": "another"}
        self._cluster.secrets[NAMESPACE, name] = {
            "apiVersion": "v1",
            "kind": "Secret",
            "type": "Opaque",
            "metadata": metadata,
            "data": encoded,
        }

    def delete(self, name):
        del self._cluster.secrets[NAMESPACE, name]


@pytest.mark.parametrize(
    ("change", "after"),
    [
        (
            lambda it: it.change("bot", {"data": {"key": in_base64(OTHERS)}}),
            {"key": OTHERS.reveal(), "other": "x"},
        ),
        (lambda it: it.delete("bot"), None),
    ],
    ids=["replaced", "deleted"],
)
@pytest.mark.parametrize("does", ["write", "remove"])
def test_what_others_have_written_meanwhile_is_a_conflict(cluster, store, does, change, after):
    """Theirs stays, and nothing is made again that they have deleted."""
    cluster.put("bot", {"key": OLD.reveal(), "other": "x"})
    cluster.troubles = [Trouble("patch", meanwhile=lambda: change(Beneath(cluster)))]
    arguments = (NEW,) if does == "write" else ()
    call = getattr(store, does)(*arguments, expected=Version.of(OLD))
    error_of(call, StoreConflictError)
    assert cluster.data("bot") == after


def test_a_secret_in_which_others_put_a_key_is_not_deleted(cluster, store):
    """Though it had no other one when it was read."""
    asyncio.run(store.write(OLD))
    others = Beneath(cluster)
    put = {"data": {"key": in_base64(OLD), "other": "eA=="}}
    cluster.troubles = [Trouble("delete", meanwhile=lambda: others.change("bot", put))]
    asyncio.run(store.remove(expected=Version.of(OLD)))
    assert cluster.data("bot") == {"other": "x"}


def test_a_secret_that_others_have_deleted_meanwhile_is_removed(cluster, store):
    """That is what was wanted."""
    asyncio.run(store.write(OLD))
    others = Beneath(cluster)
    cluster.troubles = [Trouble("delete", meanwhile=lambda: others.delete("bot"))]
    asyncio.run(store.remove(expected=Version.of(OLD)))
    assert cluster.data("bot") is None


@pytest.mark.parametrize("kind", ["get", "create"])
def test_a_busy_server_is_asked_again(cluster, store, kind):
    """After the pause that it asks for."""
    busy = [Trouble(kind, refusal=Refusal(429, "TooManyRequests", Retry_After="0"))]
    cluster.troubles = busy * 3
    asyncio.run(store.write(NEW))
    assert cluster.data("bot") == {"key": NEW.reveal()}
    assert cluster.asked.count(kind) > 3


@pytest.mark.parametrize("kind", ["get", "create"])
def test_a_server_that_is_busy_for_long_is_not_waited_for(cluster, store, kind):
    """The error says when, at once; and nothing was done, which is certain."""
    cluster.troubles = [Trouble(kind, refusal=Refusal(429, "TooManyRequests", Retry_After="3600"))]
    began = time.monotonic()
    assert "the cluster is busy (429): try again in 3600 s" in error_of(store.write(NEW))
    assert time.monotonic() - began < 10
    assert cluster.asked.count(kind) == 1
    assert cluster.data("bot") is None


@pytest.mark.parametrize(
    ("kind", "refusal", "sentence"),
    [
        ("get", (401, "Unauthorized"), "does not accept these credentials: log in again (401 U"),
        ("create", (401, "Unauthorized"), "does not accept these credentials: log in again (401 U"),
        (
            "create",
            (403, "Forbidden"),
            "the credentials do not permit to create it (403 Forbidden)",
        ),
        ("get", (403, "Forbidden"), "the credentials do not permit to get it (403 Forbidden)"),
        ("create", (410, "Gone"), "the cluster rejects the request (410 Gone)"),
        ("create", (413, "RequestEntityTooLarge"), "(413 RequestEntityTooLarge)"),
        ("create", (422, "Invalid"), "the cluster rejects the change"),
        ("create", (400, NEW.reveal()), "the cluster rejects the request (400)"),
    ],
)
def test_a_refusal_has_a_sentence(cluster, store, kind, refusal, sentence):
    """With the status and its code, and without a word of the server; it is certain."""
    cluster.troubles = [Trouble(kind, refusal=Refusal(*refusal))]
    assert sentence in error_of(store.write(NEW, expected=ABSENT))
    assert cluster.data("bot") is None


def test_a_server_that_is_broken_for_a_while_is_asked_again(cluster, store):
    """A request may have been acted on in spite of a 5xx, so the store looks."""
    cluster.troubles = [
        Trouble("get", refusal=Refusal(503, "ServiceUnavailable")),
        Trouble("create", refusal=Refusal(500, "InternalError")),
        Trouble("create", refusal=Refusal(504, "Timeout")),
    ]
    asyncio.run(store.write(NEW, expected=ABSENT))
    assert cluster.data("bot") == {"key": NEW.reveal()}


def test_what_cannot_be_settled_is_uncertain(cluster, store):
    """The server was asked to write, and nobody can look since."""
    cluster.troubles = [Trouble("get"), *[Trouble("get", lost="before")] * 10]
    cluster.troubles += [Trouble("create", lost="after")]
    said = error_of(store.write(NEW), UncertainStoreError)
    assert "the cluster did not answer (ServerDisconnectedError)" in said


def test_a_request_without_an_answer_is_settled_in_the_time_of_the_call(cluster):
    """A connection that hangs takes a part of it."""
    cluster.troubles = [Trouble("create", hangs=True)]
    asyncio.run(Hasty(NAMESPACE, "bot", "key", timeout=3.0).write(NEW, expected=ABSENT))
    assert cluster.data("bot") == {"key": NEW.reveal()}


def test_a_server_that_never_answers_is_given_up(cluster):
    """In time."""
    cluster.troubles = [Trouble("get", hangs=True)] * 9
    said = error_of(Hasty(NAMESPACE, "bot", "key", timeout=0.3).read())
    assert "it did not answer within 0.3 s" in said


def test_a_cluster_that_is_away_is_named(cluster, store, tmp_path):
    """Nobody listens there."""
    cluster.url = "http://127.0.0.1:1"
    cluster.kubeconfig(tmp_path / "config", token=AGENT)
    assert "the cluster did not answer (ClientConnectorError)" in error_of(store.write(NEW))


def test_another_server_is_not_taken_for_an_empty_cluster(cluster, store, tmp_path):
    """What it does not find is no proof that a secret is not stored."""
    cluster.url += "/elsewhere"
    cluster.kubeconfig(tmp_path / "config", token=AGENT)
    said = error_of(store.read())
    assert "the answer is not from a Kubernetes API (404): check the server of the context" in said


def test_a_namespace_that_is_being_deleted_is_named(cluster, store):
    """That is no lack of rights, which would make the store write-only."""
    cluster.namespaces[NAMESPACE]["status"]["phase"] = "Terminating"
    for call in (store.probe(), store.write(NEW)):
        assert "the namespace agents is being deleted: use another one" in error_of(call)
    assert store.readable


def test_a_webhook_without_dry_runs_does_not_end_a_probe(cluster, store):
    """The access review must do, and does."""
    cluster.webhooks = True
    asyncio.run(store.probe())
    cluster.bind([{"apiGroups": [""], "resources": ["secrets"], "verbs": ["get", "patch"]}])
    assert "do not permit to create it" in error_of(store.probe())


def test_a_cluster_without_access_reviews_is_rehearsed(cluster, store):
    """The dry run must do, and does."""
    cluster.reviews = False
    asyncio.run(store.probe())
    cluster.bind([{"apiGroups": [""], "resources": ["secrets"], "verbs": ["get", "patch"]}])
    assert "do not permit to create it" in error_of(store.probe())


@pytest.mark.parametrize("held", [None, "a secret"])
def test_a_probe_is_seen_by_nobody(cluster, store, held):
    """No version changes, and nothing is asked for that would change one."""
    if held:
        cluster.put("bot", {"key": held})
    before = cluster.secret("bot")
    asyncio.run(store.probe())
    assert cluster.secret("bot") == before
    assert set(cluster.asked) == {"get", "review", "dry patch", *([] if held else ["dry create"])}


def test_no_secret_and_no_token_is_logged(cluster, store, caplog):
    """Not by the library either, at DEBUG, in calls that succeed and in calls that fail."""
    caplog.set_level(logging.DEBUG)
    asyncio.run(store.probe(), debug=True)
    asyncio.run(store.write(OLD), debug=True)
    cluster.troubles = [
        Trouble("patch", lost="after"),
        Trouble("patch", refusal=Refusal(400, "BadRequest")),
    ]
    asyncio.run(store.write(NEW), debug=True)
    error_of(store.write(OTHERS))
    asyncio.run(store.read(), debug=True)
    asyncio.run(store.identity(), debug=True)
    asyncio.run(store.remove(), debug=True)
    assert caplog.records, "nothing was logged at all, so nothing was looked at"
    assert not tells("".join(f"{each.getMessage()}{each.__dict__}" for each in caplog.records))
    assert not tells(f"{store!r}{store.address}{store.describe()}{vars(store)}")


SEQUENCE = """
    import asyncio, sys
    from agentkeys import Secret, StoreError
    from agentkeys.stores import open_store

    store = open_store("kubernetes:agents/bot#key")
    asyncio.run(store.probe())
    asyncio.run(store.write(Secret("one")))
    print(asyncio.run(store.read()).secret.reveal())

    async def cancelled(turns):
        writing = asyncio.ensure_future(store.write(Secret("two")))
        for _ in range(turns):
            await asyncio.sleep(0)
        writing.cancel()
        await asyncio.wait([writing])

    for turns in (1, 5, 25, 125):
        asyncio.run(cancelled(turns))
    try:
        asyncio.run(open_store("kubernetes:nowhere/bot#key").write(Secret("three")))
    except StoreError as error:
        print(type(error).__name__)
    asyncio.run(store.remove())
"""


def test_every_client_is_closed(cluster, monkeypatch):
    """In each of several loops, after a failure and after a cancellation: no warning."""
    monkeypatch.setenv("PYTHONDEVMODE", "1")
    cluster.bind([{"apiGroups": [""], "resources": ["secrets"], "verbs": ALL}])
    program = Program(SEQUENCE)
    try:
        ended = program.end()
    finally:
        program.kill()
    said = [line for line in ended.err.splitlines() if not line.startswith("Executing <")]
    assert (ended.code, said) == (0, [])
    assert ended.out == ["one", "StoreError"]


def test_secrets_are_compared_in_base64():
    """The forms that the tests here look for are those of the API."""
    assert tells(f"...{in_base64(NEW)}...")
    assert tells(Secret(f"...{AGENT}").reveal())
