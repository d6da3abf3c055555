"""What a store of Vault's makes of an answer that is none of the key-value store's."""

import pytest
import vaults
from vault_kv import Answer
from vault_server import Trouble

from agentkeys import StoreError, UncertainStoreError
from agentkeys.stores import VaultStore
from agentkeys.testing.store_checks import made_up

OLD, NEW = made_up(), made_up()
# A gateway's own, one of Vault's with a reason, and one that says something else than an error.
FOREIGN = [{"message": "no route matched"}, {"errors": ["blocked"]}, {"warnings": ["wrong path"]}]
TIMES = 20


class Quick(VaultStore):
    pause = 0.001


@pytest.fixture
def server(monkeypatch, tmp_path):
    with vaults.fake() as admin:
        for name, value in admin.environment.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setenv("HOME", str(tmp_path))
        admin.server.put("it", {"key": OLD.reveal()})
        yield admin.server


@pytest.fixture
def store(server):
    return Quick("kv/it", "key")


@pytest.mark.parametrize("body", FOREIGN, ids=lambda body: next(iter(body)))
@pytest.mark.asyncio
async def test_a_404_of_something_between_is_no_empty_store(store, server, body):
    """A sweep would delete the key of a secret that is there."""
    server.troubles = [Trouble(Answer(404, body), "GET") for _ in range(TIMES)]
    for call in (store.read(), store.write(NEW), store.remove(), store.previous()):
        with pytest.raises(StoreError):
            await call
    assert not [asked for asked in server.asked if asked.startswith("POST")]


@pytest.mark.parametrize(
    "body", [{"wrap_info": {"ttl": 60}}, {"data": {"other": "x" * (11 << 20)}}]
)
@pytest.mark.asyncio
async def test_a_success_that_says_nothing_may_have_written(store, server, body):
    """A write that waits for somebody's approval comes later; a long answer was cut off."""
    server.troubles = [Trouble(Answer(200, body), "POST") for _ in range(TIMES)]
    with pytest.raises(UncertainStoreError):
        await store.write(NEW)


@pytest.mark.asyncio
async def test_an_older_value_that_is_no_text_is_passed_over(store, server):
    """It is no secret that one could go back to; one before it is."""
    server.put("it", {"key": 5})
    server.put("it", {"key": NEW.reveal()})
    assert (await store.previous()).secret == OLD
