"""What holds for stores of every kind, and for the one in memory."""

from __future__ import annotations

import asyncio
import gc
import subprocess
import sys

import pytest
from leaks import shown

import agentkeys.stores
from agentkeys import InvalidArgumentError, Secret, StoreConflictError
from agentkeys.stores import ABSENT, MemoryStore, Version, open_store

KEY = Secret("agk_live_0123456789abcdef")


@pytest.mark.parametrize(
    "address", ["", "memory", "memory:", ":x", "nowhere:x", "DOTENV:.env#A", "agk_live_x", None, 5]
)
def test_what_is_no_address_is_refused(address):
    """With a sentence that says what one looks like, and does not repeat what may be a secret."""
    with pytest.raises(InvalidArgumentError, match="address of a store") as refused:
        open_store(address)
    assert "agk_live_x" not in str(refused.value)


def test_a_name_in_memory_is_found_again():
    """From everywhere in the process, also when nobody holds the store."""
    asyncio.run(open_store("memory:found again").write(KEY))
    gc.collect()
    assert asyncio.run(open_store("memory:found again").read()).secret == KEY
    asyncio.run(open_store("memory:found again").remove())


def test_a_store_without_a_name_has_one_of_its_own():
    """Its address leads to it as long as it is there, and its secret goes with it."""
    store, other = MemoryStore(), MemoryStore()
    asyncio.run(store.write(KEY))
    address = store.address
    assert asyncio.run(other.read()).secret is None
    assert asyncio.run(open_store(address).read()).secret == KEY


def test_a_forgotten_store_without_a_name_is_gone():
    """Nothing keeps a secret alive that nobody can ask for."""
    store = MemoryStore()
    asyncio.run(store.write(KEY))
    address = store.address
    del store
    gc.collect()
    assert asyncio.run(open_store(address).read()).secret is None


@pytest.mark.parametrize("expected", [None, "absent", 5])
def test_what_is_no_version_cannot_be_expected(expected):
    """None is not taken for `ABSENT`."""
    store = MemoryStore()
    asyncio.run(store.write(KEY))
    with pytest.raises(InvalidArgumentError, match="expected must be ABSENT, ANY or a Version"):
        asyncio.run(store.write(KEY, expected=expected))


def test_a_lone_surrogate_is_refused():
    """It is no character, and the error that Python raises for it would hold the secret."""
    with pytest.raises(InvalidArgumentError, match="lone surrogate") as refused:
        asyncio.run(MemoryStore().write(Secret("agk_live_x\ud800")))
    assert "agk_live_x" not in shown(refused.value)


def test_a_conflict_says_what_is_there_instead():
    """Each of the three ways in which it can come about has a sentence of its own."""
    store = MemoryStore("conflicts")
    version = asyncio.run(store.write(KEY))
    for expected, reason in (
        (ABSENT, "already holds a secret"),
        (Version("another"), "holds another secret than the one that was read"),
    ):
        with pytest.raises(StoreConflictError, match=f"conflicts in the memory .* {reason}"):
            asyncio.run(store.remove(expected=expected))
    asyncio.run(store.remove())
    with pytest.raises(StoreConflictError, match="no longer holds a secret"):
        asyncio.run(store.remove(expected=version))


def test_the_names_are_there_and_sorted():
    """`__all__` can be imported, and a misspelt name is an AttributeError."""
    assert sorted(agentkeys.stores.__all__) == agentkeys.stores.__all__
    for name in agentkeys.stores.__all__:
        assert getattr(agentkeys.stores, name) is not None
        assert name in dir(agentkeys.stores)
    with pytest.raises(AttributeError, match="VoultStore"):
        _ = agentkeys.stores.VoultStore


def test_a_store_imports_what_it_needs_when_it_is_opened():
    """Importing them all costs neither python-dotenv nor keyring, and testing costs no pytest."""
    code = "import agentkeys.stores, agentkeys.testing, sys; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    )
    assert not {"dotenv", "keyring", "pytest", "cattrs", "aiohttp"} & set(done.stdout.split())
