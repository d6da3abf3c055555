"""Which server the store in Vault asks, and what it asks it with."""

from __future__ import annotations

import asyncio
import os

import pytest
import vaults
from programs import loaded_by, printed_by
from vault_kv import KeyValue
from vault_server import VaultServer

from agentkeys import InvalidArgumentError, StoreError
from agentkeys.stores import VaultStore, open_store
from agentkeys.testing.store_checks import hidden, made_up

pytestmark = pytest.mark.slow  # the laws of every store are in the file of the store

KEY = made_up()


@pytest.fixture(autouse=True)
def _clean(monkeypatch, tmp_path):
    """Keep what this machine says of Vaults and proxies out of the test."""
    for name in [name for name in os.environ if name.startswith(("VAULT_", "BAO_"))]:
        monkeypatch.delenv(name)
    for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))


@pytest.fixture
def server():
    with vaults.fake() as admin:
        yield admin.server


@pytest.fixture
def setenv(monkeypatch, server):
    def set_all(**values):
        for name, value in values.items():
            filled = value.replace("URL", server.url).replace("TOKEN", server.root)
            monkeypatch.setenv(name, filled)

    return set_all


@pytest.fixture
def store():
    return VaultStore("kv/it", "key")


def refusal(call):
    async def awaited():
        await call

    with pytest.raises(StoreError) as raised:
        asyncio.run(awaited())
    hidden(KEY, raised.value)
    return str(raised.value)


@pytest.mark.parametrize(
    "given",
    [
        {"VAULT_ADDR": "URL", "VAULT_TOKEN": "TOKEN"},
        {"VAULT_ADDR": "URL/", "VAULT_TOKEN": "TOKEN"},
        {"BAO_ADDR": "URL", "BAO_TOKEN": "TOKEN"},
        {"BAO_ADDR": "URL", "VAULT_TOKEN": "TOKEN"},
        {"VAULT_ADDR": "URL", "BAO_TOKEN": "TOKEN"},
        {"VAULT_ADDR": "URL", "BAO_ADDR": "URL", "VAULT_TOKEN": "TOKEN", "BAO_TOKEN": "other"},
        {"BAO_ADDR": "URL", "BAO_TOKEN": "TOKEN", "VAULT_TOKEN": "another server's"},
    ],
    ids=" ".join,
)
def test_the_environment_names_the_server_and_the_token(store, server, setenv, given):
    """As Vault or OpenBao has it; the token that is named like the server comes first."""
    setenv(**given)
    asyncio.run(store.write(KEY))
    assert server.data("it") == {"key": KEY.reveal()}


def test_the_token_of_a_login_is_used(store, setenv, tmp_path, server):
    """What `vault login` has left, whenever it did; the environment comes first."""
    setenv(VAULT_ADDR="URL")
    assert "there is no token: set VAULT_TOKEN, or log in with `vault login`" in refusal(
        store.read()
    )
    (tmp_path / ".vault-token").write_text(f"{server.root}\n")
    asyncio.run(store.write(KEY))
    setenv(VAULT_TOKEN="another")
    assert "the token is invalid" in refusal(store.read())


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({}, "no server is configured: set VAULT_ADDR or BAO_ADDR"),
        ({"VAULT_ADDR": "URL", "BAO_ADDR": "https://other"}, "name two servers: unset one"),
        ({"VAULT_ADDR": "vault.example.com:8200"}, "set it to https://HOST:PORT"),
        ({"VAULT_ADDR": "unix:///run/vault"}, "set it to https://HOST:PORT"),
        ({"VAULT_ADDR": "https://me:S3NT1NEL@example.com"}, "set it to https://HOST:PORT"),
        ({"VAULT_ADDR": "https://example.com:99999"}, "set it to https://HOST:PORT"),
        ({"VAULT_ADDR": "http://vault.example.com"}, "is http, so others could read the token"),
        ({"VAULT_ADDR": "http://10.0.0.1:8200"}, "is http, so others could read the token"),
        ({"VAULT_ADDR": "URL", "VAULT_TOKEN": "two S3NT1NEL"}, "a character that no token has"),
        ({"VAULT_ADDR": "URL", "VAULT_TOKEN": "x\r\ny: S3NT1NEL"}, "a character that no token"),
        ({"VAULT_ADDR": "URL", "VAULT_TOKEN": "clé-S3NT1NEL"}, "a character that no token has"),
    ],
)
def test_what_cannot_be_right_is_refused_before_anything_is_sent(
    store, server, setenv, given, said
):
    """With a sentence that does not repeat it."""
    setenv(**({"VAULT_TOKEN": "TOKEN"} | given))
    for call in (store.probe(), store.write(KEY), store.identity()):
        text = refusal(call)
        assert said in text
        assert "S3NT1NEL" not in text
    assert server.asked == []


def test_http_to_another_machine_is_permitted_by_the_address(server, setenv, tmp_path):
    """It goes through the proxy; no password of ~/.netrc goes with it."""
    setenv(VAULT_ADDR="http://vault.example.com:8200", VAULT_TOKEN="TOKEN", http_proxy="URL")
    store = open_store("vault:kv/it#key?allow_http")
    assert store.address == "vault:kv/it#key?allow_http"
    (tmp_path / ".netrc").write_text("machine vault.example.com login me password S3NT1NEL\n")
    (tmp_path / ".netrc").chmod(0o600)
    asyncio.run(store.write(KEY))
    assert server.data("it") == {"key": KEY.reveal()}
    assert not any("Authorization" in headers for headers in server.headers)


def test_this_machine_is_not_reached_through_a_proxy(store, setenv, server):
    """There, it would be another machine."""
    with VaultServer() as proxy:
        setenv(VAULT_ADDR="URL", VAULT_TOKEN="TOKEN", http_proxy=proxy.url)
        asyncio.run(store.write(KEY))
        assert proxy.asked == []


def test_a_namespace_is_asked(store, setenv, server):
    """The one that VAULT_NAMESPACE names; another one is not there."""
    server.namespaces["team/a"] = [KeyValue("kv/")]
    setenv(VAULT_ADDR="URL", VAULT_TOKEN="TOKEN", VAULT_NAMESPACE="team/a")
    asyncio.run(store.write(KEY))
    assert server.data("it") is None
    inside = asyncio.run(store.identity())
    assert server.cluster_id in inside
    setenv(VAULT_NAMESPACE="")
    assert asyncio.run(store.identity()) != inside
    setenv(VAULT_NAMESPACE="nowhere")
    assert "check VAULT_NAMESPACE" in refusal(store.read())


@pytest.mark.parametrize(
    "address",
    [
        "vault:kv",
        "vault:kv/it",
        "vault:kv/it#",
        "vault:#key",
        "vault:kv#key",
        "vault:kv//it#key",
        "vault:kv/../it#key",
        "vault:kv/./it#key",
        "vault:kv/it\n#key",
        "vault:kv/it#key?x",
        "vault:kv/it#?allow_http",
    ],
)
def test_what_is_no_address_is_refused(address):
    """Before anything is sent."""
    with pytest.raises(InvalidArgumentError):
        open_store(address)


def test_slashes_at_the_ends_make_no_difference():
    """There is one address of one place."""
    assert VaultStore("/kv/it/", "key").address == "vault:kv/it#key"


def test_the_library_is_imported_when_it_is_used():
    """Neither with the stores, nor with another one."""
    assert "hvac" not in loaded_by("from agentkeys.stores import open_store; open_store('file:x')")


def test_without_the_library_the_extra_is_named():
    """For whoever opens such a store."""
    code = """
import sys
sys.modules["hvac"] = None
from agentkeys import ConfigurationError
from agentkeys.stores import open_store
try:
    open_store("vault:kv/it#key")
except ConfigurationError as error:
    print(error)
"""
    assert "needs hvac: pip install 'agentkeys-sdk[vault]'" in printed_by(code)


def test_a_str_is_no_field_of_a_secret():
    """Arguments are checked."""
    with pytest.raises(InvalidArgumentError):
        VaultStore("kv/it", None)
    with pytest.raises(InvalidArgumentError):
        VaultStore("kv/it", "key", timeout=0)
