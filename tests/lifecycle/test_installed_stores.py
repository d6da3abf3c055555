"""Keys in stores of installed packages, when a package is broken, or is gone."""

from __future__ import annotations

import importlib
import itertools
import logging

import attempt_files
import pytest
from lifecycle import died_before_storing, left
from packages import install

from agentkeys import RotationError, StoreError, abort, audit, issue, rotate, status, sweep
from agentkeys.stores import MemoryStore, open_store

pytestmark = pytest.mark.asyncio
_numbers = itertools.count()
PASTED = "agk_live_pasted_0123456789"
BROKEN = {
    "is broken": f"raise RuntimeError({PASTED!r})",
    "ends the program": "import sys\nsys.exit(1)",
    "raises in its constructor": f"def Store(place): raise OSError({PASTED!r})",
    "raises when it is read": f"""
        from agentkeys.stores import MemoryStore
        class Store(MemoryStore):
            def __init__(self, place):
                super().__init__(place)
                self.address = f"{{__name__}}:{{place}}"
            async def read(self): raise OSError({PASTED!r})
    """,
    "cannot say where": f"""
        from agentkeys.stores import MemoryStore
        class Store(MemoryStore):
            def __init__(self, place):
                super().__init__(place)
                self.address = f"{{__name__}}:{{place}}"
            def describe(self): raise OSError({PASTED!r})
            read = describe
    """,
}


class Of(MemoryStore):
    """A store of a package, as it was before that broke."""

    def __init__(self, scheme: str) -> None:
        super().__init__()
        self.address = f"{scheme}:x"


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """Install a package of a scheme that no test had before, and return the scheme."""
    monkeypatch.syspath_prepend(tmp_path / "site-packages")

    def installed(*code):
        scheme = f"kept{next(_numbers)}"
        install(tmp_path / "site-packages", scheme, *code)
        importlib.invalidate_caches()
        return scheme

    return installed


async def died(place, store, nonce):
    """Leave a key whose owner died before its secret was stored; return its id."""
    name = f"ci~{nonce}"
    new = await place.keys.create(name)
    held = attempt_files.begin(place.keys.scope, name, nonce)
    await died_before_storing(held, new.id, store, new.secret)
    return new.id


@pytest.mark.parametrize("code", BROKEN.values(), ids=BROKEN)
async def test_a_broken_package_ends_no_sweep(place, state, installed, code):
    """The key that it may hold is left and named, and the keys of other stores are finished."""
    kept = await died(place, Of(installed(code)), "k7f3q2")
    gone = await died(place, MemoryStore(), "k7f3qa")
    swept = await sweep(place.keys)
    assert swept.deleted == (gone,)
    assert PASTED not in (said := "".join(swept.unresolved))
    assert str(kept) in said
    assert len(left(state)) == 1


async def test_a_package_that_is_gone_is_named_by_its_scheme(place, installed):
    """Whoever reads that installs it again, and sweeps."""
    await died(place, Of("gone-since"), "k7f3q2")
    [said] = (await sweep(place.keys)).unresolved
    assert "its store gone-since:x cannot be opened" in said


@pytest.mark.parametrize("code", BROKEN.values(), ids=BROKEN)
async def test_a_broken_package_ends_no_audit(place, installed, code):
    """What cannot be read is a finding of its own, and the status is told without a store."""
    store = Of(installed(code))
    await issue(place.keys, "billing", into=store)
    await issue(place.keys, "other", into=MemoryStore("other"))
    report = await audit(place.keys)
    assert any(finding.rule.startswith("AK") for finding in report.findings)
    assert PASTED not in str(report.to_dict())
    assert {each.store for each in (await status(place.keys)).kept} == {
        store.address,
        "memory:other",
    }


async def test_a_key_lives_in_a_store_of_a_package(place, installed):
    """By its address alone it is issued, rotated and found."""
    address = f"{installed()}:x"
    issued = await issue(place.keys, "billing", into=address)
    rotated = await rotate(place.keys, "billing", into=address, grace=0)
    assert rotated.replaced == issued.key
    await sweep(place.keys)
    assert [key.id for key in await place.keys.list().collect()] == [rotated.key.id]


async def test_a_package_that_breaks_before_a_rotation_is_taken_back(place, installed, monkeypatch):
    """The new key works on, and once the package is mended the rotation can be taken back."""
    code = """
        import os
        from agentkeys.stores import MemoryStore
        class Store(MemoryStore):
            def __init__(self, place):
                if "BROKEN" in os.environ: raise OSError
                super().__init__(place)
                self.address = f"{__name__}:{place}"
    """
    address = f"{installed(code)}:x"
    await issue(place.keys, "billing", into=address)
    old = (await open_store(address).read()).secret
    rotated = await rotate(place.keys, "billing", into=address, grace=3600)
    monkeypatch.setenv("BROKEN", "yes")
    with pytest.raises(RotationError, match="OSError was raised"):
        await abort(place.keys, "billing", secret=old)
    monkeypatch.delenv("BROKEN")
    await sweep(place.keys)
    assert place.made[rotated.key.id] == (await open_store(address).read()).secret
    assert await abort(place.keys, "billing", secret=old) == (rotated.key.id,)
    assert (await open_store(address).read()).secret == old


async def test_a_store_that_no_sweep_can_open_is_warned_of(place, installed, caplog):
    """Once in a process, before the key is made; of one that a sweep can open nothing is said."""

    class Unknown(Of):
        async def write(self, *args, **kwargs):
            raise StoreError("it is full", store="here")

    with caplog.at_level(logging.WARNING, "agentkeys"):
        await issue(place.keys, "billing", into=Of(installed()))
        assert caplog.messages == []
        for _ in range(2):
            with pytest.raises(StoreError):
                await issue(place.keys, "billing", into=Unknown("unheard-of"))
    [said] = caplog.messages
    assert "no sweep can open a store of type Unknown" in said
