"""The store in Vault when answers are lost, others write, or the server refuses."""

from __future__ import annotations

import asyncio
import gc
import logging
import socket
import ssl
import time
from concurrent.futures import Future

import pytest
import trustme
import vaults
from leaks import shown
from sockets import PATIENCE, sockets
from vault_kv import Answer, KeyValue
from vault_server import Trouble, VaultServer

from agentkeys import Secret, StoreConflictError, StoreError, UncertainStoreError
from agentkeys.stores import ABSENT, ANY, VaultStore, Version
from agentkeys.stores.contract import protocol
from agentkeys.testing.store_checks import hidden, made_up, watched

pytestmark = pytest.mark.slow  # the laws of every store are in the file of the store

OLD, NEW, OTHERS = made_up(), made_up(), made_up()
READ_AND_WRITE = 'path "kv/data/*" { capabilities = ["create", "read", "update"] }'
WRITE_ONLY = 'path "kv/data/*" { capabilities = ["create", "update", "patch"] }'


class Quick(VaultStore):
    pause = 0.001


@pytest.fixture
def admin(monkeypatch, tmp_path):
    """Return who has all rights on a server of the test's own, which this process uses."""
    with vaults.fake() as someone:
        for name, value in someone.environment.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setenv("HOME", str(tmp_path))
        yield someone


@pytest.fixture
def server(admin):
    return admin.server


@pytest.fixture
def store(server):
    return Quick("kv/it", "key")


def run(call):
    async def awaited():
        return await call

    return asyncio.run(awaited())


def refusal(call, server, kind=StoreError):
    """Return what an error says, which shows neither a secret nor a token."""
    with pytest.raises(StoreError) as raised:
        run(call)
    assert type(raised.value) is kind
    for secret in (OLD, NEW, OTHERS, *map(Secret, server.tokens)):
        hidden(secret, raised.value)
        assert secret.reveal() not in shown(raised.value)
    return str(raised.value)


def held(admin):
    return (admin.fields("it") or {}).get("key")


def nothing():
    """Let a request pass."""


# What a call asks for: the mount and the secret; it writes, and asks for both once more.
WRITE, REMOVAL = 5, 6
LOSSES = ["lost before", "lost after", "cut", 500, 502, 503, 429]


@pytest.mark.parametrize("expected", [ABSENT, ANY], ids=["absent", "any"])
@pytest.mark.parametrize("kind", LOSSES)
@pytest.mark.parametrize("number", range(WRITE))
def test_one_lost_answer_is_settled(store, admin, kind, number, expected):
    """Whichever it is of the requests of a write, one version is written."""
    server = admin.server
    server.troubles = [Trouble(nothing, part="")] * number + [Trouble(kind, part="")]
    assert run(store.write(NEW, expected=expected)) == Version.of(NEW)
    assert not server.troubles
    assert Secret(held(admin)) == NEW
    assert admin.number("it") == 1


@pytest.mark.parametrize("kind", LOSSES)
@pytest.mark.parametrize("number", range(REMOVAL))
def test_one_lost_answer_of_a_removal_is_settled(store, server, admin, kind, number):
    """There is no secret, and one version more."""
    run(store.write(OLD))
    server.troubles = [Trouble(nothing, part="")] * number + [Trouble(kind, part="")]
    run(store.remove(expected=Version.of(OLD)))
    assert not server.troubles
    assert held(admin) is None
    assert admin.number("it") == 2


@pytest.mark.parametrize("kind", ["lost before", "lost after", 500])
def test_if_all_answers_to_a_write_are_lost_nobody_knows(store, server, kind):
    """It may have been done, and cannot be looked at."""
    server.troubles = [Trouble(kind, "POST"), *[Trouble("lost before", "GET") for _ in range(20)]]
    server.troubles.insert(0, Trouble(nothing, "GET"))
    assert "it is not known whether key of kv/it in Vault was changed" in refusal(
        store.write(NEW), server, UncertainStoreError
    )


@pytest.mark.parametrize("change", ["write", "remove"])
def test_a_write_in_between_is_a_conflict(store, server, admin, change):
    """What somebody else has written between the look and the change stays."""
    run(store.write(OLD))
    others = {"key": OTHERS.reveal(), "user": "somebody"}
    server.troubles = [Trouble(lambda: server.put("it", others), "POST")]
    expected = Version.of(OLD)
    call = (
        store.remove(expected=expected)
        if change == "remove"
        else store.write(NEW, expected=expected)
    )
    refusal(call, server, StoreConflictError)
    assert admin.fields("it") == others


def test_a_field_that_comes_in_between_is_kept(store, server, admin):
    """The secret is looked at again."""
    server.put("it", {"a": "1"})
    server.troubles = [Trouble(lambda: server.put("it", {"a": "1", "b": "2"}), "POST")]
    run(store.write(NEW, expected=ABSENT))
    assert admin.fields("it") == {"a": "1", "b": "2", "key": NEW.reveal()}


def test_a_write_only_store_keeps_a_field_that_comes_in_between(store, server, admin, monkeypatch):
    """Where there was nothing to patch, something was written meanwhile."""
    monkeypatch.setenv("VAULT_TOKEN", admin.permitted(WRITE_ONLY))
    server.troubles = [Trouble(lambda: server.put("it", {"user": "me"}), "POST")]
    run(store.write(NEW))
    assert admin.fields("it") == {"user": "me", "key": NEW.reveal()}


def test_a_lost_answer_to_a_write_only_store_is_uncertain(store, server, admin, monkeypatch):
    """It is not sent again: nothing would keep what came in between."""
    server.put("it", {"user": "me"})
    monkeypatch.setenv("VAULT_TOKEN", admin.permitted(WRITE_ONLY))
    run(store.probe())
    server.troubles = [Trouble("lost after", "PATCH")]
    refusal(store.write(NEW), server, UncertainStoreError)
    assert admin.number("it") == 2


def test_a_call_that_was_cancelled_sends_nothing_more(store, server, admin, monkeypatch):
    """Its thread is told so, and ends with the request that it waits for."""
    monkeypatch.setenv("VAULT_TOKEN", admin.permitted(WRITE_ONLY))
    arrived: Future[None] = Future()
    released: Future[None] = Future()

    def wait():
        arrived.set_result(None)
        return released

    async def cancelled():
        writing = asyncio.ensure_future(store.write(NEW))
        await asyncio.wrap_future(arrived)
        writing.cancel()
        asyncio.get_running_loop().call_soon(released.set_result, None)
        await asyncio.wait([writing])
        return writing.cancelled()

    server.troubles = [Trouble(wait, "PATCH")]
    assert asyncio.run(cancelled())
    assert admin.fields("it") is None
    assert not any(each.startswith("POST /v1/kv/") for each in server.asked)


def test_a_right_to_delete_is_not_needed(store, admin, monkeypatch):
    """The version without the field is what removes it."""
    monkeypatch.setenv("VAULT_TOKEN", admin.permitted(READ_AND_WRITE))
    run(store.write(NEW))
    run(store.remove())
    assert admin.fields("it") == {}
    assert run(store.read()).version == ABSENT


@pytest.mark.parametrize("number", range(WRITE))
def test_no_call_lasts_longer_than_its_timeout(server, number):
    """Whichever request is not answered; the thread does not go on."""
    server.troubles = [Trouble(nothing, part="")] * number + [Trouble("hang", part="")]
    began = time.monotonic()
    is_sent = number >= 2
    said = refusal(
        Quick("kv/it", "key", timeout=0.5).write(NEW),
        server,
        UncertainStoreError if is_sent else StoreError,
    )
    assert time.monotonic() - began < 1.5
    assert "did not answer" in said


REFUSALS = {
    "sealed": (lambda server: setattr(server, "is_sealed", True), "the server is sealed: unseal"),
    "standby": (lambda server: setattr(server, "active", "http://localhost:1"), "is a standby"),
    "unknown token": (lambda server: server.tokens.clear(), "the token is invalid or has expired"),
    "no rights": (
        lambda server: server.tokens.update({server.root: {}}),
        "is not permitted to use",
    ),
    "no mount": (
        lambda server: server.namespaces[""].clear(),
        "the server does not know this path",
    ),
    "too busy": (lambda server: busy(server, 429), "the server answered 429: try again later"),
    "broken": (lambda server: busy(server, 500), "the server answered 500: try again later"),
    "odd": (lambda server: busy(server, 418), "the server answered 418 to: "),
    "too small": (lambda server: busy(server, 413), "is too large for the server"),
    "cut": (
        lambda server: busy(server, "cut"),
        "the connection to the server failed or broke",
    ),
    "reset": (lambda server: busy(server, "lost before"), "the connection to the server failed"),
}


def busy(server, kind):
    server.troubles = [Trouble(kind, part="") for _ in range(100)]


@pytest.mark.parametrize("why", REFUSALS)
def test_a_refusal_is_a_sentence(store, server, why):
    """Of every call, and it shows neither the secret nor the token."""
    refuse, said = REFUSALS[why]
    server.put("it", {"key": OLD.reveal()})
    for call in (store.probe, store.read, lambda: store.write(NEW), store.remove, store.identity):
        refuse(server)
        assert said in refusal(call(), server) or (why, call) == ("odd", store.identity)


@pytest.mark.parametrize("where", ["answers", "writes"])
def test_another_service_is_not_taken_for_vault(store, server, where):
    """What it answers is no object, or is not of Vault's form."""
    server.put("it", {"key": OLD.reveal()})
    part = {"answers": "/mounts/", "writes": "/data/"}[where]
    server.troubles = [Trouble(204, part=part) for _ in range(20)]
    said = refusal(store.write(NEW), server)
    assert "the server" in said or "the answer is not that of" in said


@pytest.mark.parametrize("body", [None, {}, {"errors": ["no such page"]}, {"warnings": ["odd"]}])
def test_not_found_is_not_taken_for_absent(store, server, body):
    """A proxy may say so of what it does not know, and a sweep would delete the key."""
    server.put("it", {"key": OLD.reveal()})
    server.troubles = [Trouble(Answer(404, body), "GET")]
    assert "the server does not say whether there is a secret" in refusal(store.read(), server)
    server.troubles = [Trouble(Answer(404, body), "GET")]
    refusal(store.write(NEW, expected=ABSENT), server)


def test_a_token_goes_to_no_other_server(store, server):
    """A standby sends to the active server, and that may be any."""
    with VaultServer() as other:
        other.tokens = server.tokens
        server.active = other.url
        refusal(store.read(), server)
        refusal(store.write(NEW), server)
        assert other.asked == []


def test_nobody_is_there(store, monkeypatch, server):
    """The port is closed."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        address = f"http://127.0.0.1:{free.getsockname()[1]}"
    monkeypatch.setenv("VAULT_ADDR", address)
    assert "the connection to the server failed" in refusal(store.probe(), server)


def test_a_secret_that_is_too_large_is_said(store, server):
    """By us if it is larger than every storage allows by default, else by the server."""
    server.kv.max_entry = 1000
    assert "is too large for the server" in refusal(store.write(made_up(2000)), server)
    server.asked.clear()
    assert "larger than 1 MiB" in refusal(store.write(made_up((1 << 20) + 1)), server)
    assert server.asked == []


def test_an_answer_is_not_read_without_end(store, server):
    """More than 10 MiB is none of Vault's."""
    server.put("it", {"key": OLD.reveal()})
    server.kv.entries["it"].versions[1].data["other"] = "x" * (11 << 20)
    assert "the answer is longer than 10 MiB" in refusal(store.read(), server)


def test_the_token_and_the_secret_show_nowhere(store, server, caplog):
    """Neither in a log at any level, nor in a repr; and the library logs nothing in our calls."""
    caplog.set_level(logging.DEBUG)
    with watched() as log:
        run(store.probe())
        run(store.write(NEW))
        run(store.previous())
        run(store.identity())
        server.troubles = [Trouble("lost after", "POST"), Trouble("cut", "GET")]
        run(store.write(OLD))
        run(store.remove())
    for secret in (OLD, NEW, Secret(server.root)):
        hidden(secret, log)
        hidden(secret, repr(store))
        hidden(secret, run(store.identity()))
    assert not {each.name.partition(".")[0] for each in caplog.records} & {*VaultStore.quiet}
    logging.getLogger("urllib3.connectionpool").debug("what the program's own code logs")
    assert "own code" in caplog.text


def test_other_fields_show_nowhere(store, server):
    """They are secrets of others."""
    other = made_up()
    server.put("it", {"other": other.reveal()})
    server.troubles = [Trouble(400, "POST")]
    with watched() as log, pytest.raises(StoreError) as raised:
        run(store.write(NEW))
    hidden(other, raised.value)
    hidden(other, log)


def test_nothing_is_left_open(store, server):
    """Each call closes its connections, also when it fails; no garbage collection is needed."""
    before = sockets()
    server.troubles = [Trouble("cut", "GET"), Trouble("lost after", "POST"), Trouble(500)]
    gc.disable()
    try:
        run(store.write(NEW))
        end = time.monotonic() + PATIENCE
        while sockets() > before:  # the server closes its ends
            assert time.monotonic() < end, "a socket is left"
            server.rest()
    finally:
        gc.enable()


def test_places_are_told_apart(store, server, monkeypatch):
    """By the mount, the cluster and the address: a copy of a cluster has its ids."""
    found = run(protocol.found_at(store))
    assert run(protocol.is_as_found(Quick("kv/it", "key"), found))
    monkeypatch.setenv("VAULT_ADDR", server.url.replace("127.0.0.1", "localhost"))
    assert not run(protocol.is_as_found(store, found))
    monkeypatch.setenv("VAULT_ADDR", server.url)
    cluster, server.cluster_id = server.cluster_id, "another"
    assert not run(protocol.is_as_found(store, found))
    server.cluster_id = cluster
    assert run(protocol.is_as_found(store, found))
    server.namespaces[""] = [KeyValue("kv/")]
    assert not run(protocol.is_as_found(store, found))


def test_the_health_is_asked_without_the_token(store, server):
    """Anybody may ask it."""
    run(store.identity())
    [asked] = [i for i, each in enumerate(server.asked) if "health" in each]
    assert "X-Vault-Token" not in server.headers[asked]


def test_a_place_that_cannot_be_asked_is_none(store, server):
    """It is an error, and no identity."""
    server.is_sealed = True
    refusal(store.identity(), server)
    assert run(protocol.found_at(store)) is None


@pytest.fixture
def authority():
    return trustme.CA()


@pytest.fixture
def encrypted(authority, monkeypatch):
    """Return a server with TLS that asks for a certificate of the client's."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    authority.configure_trust(context)
    context.verify_mode = ssl.CERT_OPTIONAL
    with VaultServer(ssl=context) as server:
        monkeypatch.setenv("VAULT_ADDR", server.url)
        monkeypatch.setenv("VAULT_TOKEN", server.root)
        yield server


def test_a_certificate_that_nobody_trusts_is_said(encrypted):
    """And nothing was sent."""
    said = refusal(Quick("kv/it", "key").write(NEW), encrypted)
    assert "name the certificates to trust in VAULT_CACERT" in said
    assert encrypted.asked == []


@pytest.mark.parametrize("name", ["VAULT_CACERT", "VAULT_CAPATH", "BAO_CACERT"])
def test_certificates_are_trusted_that_the_environment_names(
    encrypted, authority, monkeypatch, tmp_path, name
):
    """As the command lines do, with a certificate of the client's."""
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    ours = authority.issue_cert("me@example.com")
    ours.private_key_and_cert_chain_pem.write_to_path(str(tmp_path / "ours.pem"))
    monkeypatch.setenv(name, str(tmp_path / "ca.pem"))
    monkeypatch.setenv("VAULT_CLIENT_CERT", str(tmp_path / "ours.pem"))
    run(Quick("kv/it", "key").write(NEW))
    monkeypatch.setenv("VAULT_CLIENT_CERT", str(tmp_path / "missing.pem"))
    assert "VAULT_CLIENT_CERT" in refusal(Quick("kv/it", "key").read(), encrypted)


@pytest.mark.filterwarnings("ignore:Unverified HTTPS request")
def test_certificates_are_not_checked_if_the_environment_says_so(encrypted, monkeypatch):
    """As `vault -tls-skip-verify`; urllib3 warns."""
    monkeypatch.setenv("VAULT_SKIP_VERIFY", "true")
    run(Quick("kv/it", "key").write(NEW))
