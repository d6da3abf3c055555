"""What a store was directly before it is changed is noted first, or it is not changed."""

from __future__ import annotations

import asyncio
from functools import partial

import pytest
from programs import Program

from agentkeys import Secret, StoreError
from agentkeys.stores import DotenvStore, KeyringStore, MemoryStore
from agentkeys.stores.contract import ABSENT, RecognizableStore

KEY = Secret("agk_live_a_new_key")


@pytest.fixture(params=["dotenv", "keyring", "memory"])
def make(request, tmp_path, file_keyring):
    """Make stores of one place, each of them anew."""
    return {
        "dotenv": partial(DotenvStore, tmp_path / ".env", "KEY"),
        "keyring": partial(KeyringStore, "agentkeys tests", "KEY"),
        "memory": partial(MemoryStore, str(tmp_path)),
    }[request.param]


def read(store):
    return asyncio.run(store.read()).secret


def test_a_write_is_noted_once(make):
    """As `write` would write it; and there is nothing of the secret in the note."""
    notes = []
    store = make()
    assert isinstance(store, RecognizableStore)
    asyncio.run(store.probe())
    version = asyncio.run(store.write_noted(KEY, expected=ABSENT, note=notes.append))
    assert len(notes) == 1
    assert asyncio.run(store.read()).version == version
    assert KEY.reveal() not in str(notes)


def test_what_cannot_be_noted_is_not_written(make):
    """The error is the note's own, and nothing is left beside the store."""

    def note(found):
        raise StoreError("the disk is full", store="")

    before = Secret("agk_live_before")
    asyncio.run(make().write(before))
    with pytest.raises(StoreError, match=r"^the disk is full$"):
        asyncio.run(make().write_noted(KEY, note=note))
    assert read(make()) == before


def test_a_conflict_is_not_noted(make):
    """Nothing is about to be written."""
    notes = []
    asyncio.run(make().write(Secret("agk_live_before")))
    with pytest.raises(StoreError):
        asyncio.run(make().write_noted(KEY, expected=ABSENT, note=notes.append))
    assert notes == []


@pytest.mark.parametrize("before", [None, "A=1\n"], ids=["new", "old"])
def test_a_file_is_as_it_was_until_the_next_one_has_its_place(tmp_path, before):
    """The one of before, or the next one beside it, proves that the secret never was there."""
    env, seen = tmp_path / ".env", []
    if before:
        env.write_text(before)

    def note(found):
        seen.append(found)
        raise StoreError("it died", store="")

    store = DotenvStore(env, "KEY")
    with pytest.raises(StoreError):
        asyncio.run(store.write_noted(KEY, note=note))
    # The next one is gone, as after anybody's write.
    assert asyncio.run(store.is_as_found(seen[0])) is bool(before)
    env.touch()
    assert not asyncio.run(store.is_as_found(seen[0]))
    asyncio.run(store.write_noted(KEY, note=seen.append))
    assert not asyncio.run(store.is_as_found(seen[1]))


FORKED = """
    import asyncio, os
    from agentkeys import Secret
    from agentkeys.stores import MemoryStore

    found, store = [], MemoryStore("here")
    asyncio.run(store.write_noted(Secret("s"), note=found.append))
    print(asyncio.run(store.is_as_found(found[0])), flush=True)
    if not os.fork():
        print(asyncio.run(store.is_as_found(found[0])), flush=True)
        os._exit(0)
    os.wait()
"""


def test_a_forked_child_has_a_memory_of_its_own():
    """What its parent writes later is not there."""
    program = Program(FORKED)
    try:
        assert [program.read(), program.read()] == ["True", "False"]
    finally:
        program.kill()
