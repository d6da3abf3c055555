"""What every store of secrets must do, as tests that run on any store."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from agentkeys.errors import InvalidArgumentError, StoreConflictError, StoreError
from agentkeys.secret import Secret
from agentkeys.stores import ABSENT, ANY, Store, Version
from agentkeys.testing.store_abilities import (
    ExchangedAbility,
    IdentifiedAbility,
    LateAbility,
    RecognizableAbility,
    VersionedAbility,
)
from agentkeys.testing.store_checks import (
    cancelled_after,
    error_of,
    hidden,
    law,
    made_up,
    watched,
    won,
)

__all__ = ["store_conformance"]

# Nothing in this module binds what a secret reveals to a name: frames are among what is searched.

_AWKWARD: Final = {
    "with a space": "two words ",
    "with quotes": 'it\'s "so" `so`',
    "with signs": "a#b $c ${HOME} \\n %d =e;f&g|h",
    "with line ends": "-----BEGIN-----\nabc\r\ndef\n-----END-----\n",
    "of other letters": "clé-ключ-鍵-🔑",
}
# Turns of the event loop after which a write is cancelled: soon, later, and when it is over.
_TURNS: Final = (0, 1, 2, 3, 5, 8, 13, 21, 55, 144, 377, 987)
_RIVALS: Final = 4


def store_conformance(
    make: Callable[[Path], Store],
    *,
    broken: Callable[[Path], Store] | None = None,
    kept: Callable[[Path], str | None] | None = None,
    exchange: Callable[[Path], object] | None = None,
) -> type[object]:
    """Return a class of tests for a store, for pytest to find under a name like ``TestMyStore``.

    They are plain functions: no plugin is needed. What the store needs can be a fixture with
    ``autouse`` in the module.

    Args:
        make: makes the store. It is given a folder of the test's own, to use if it likes. Called
            again with the same folder it makes a store of the same secret. If it lies elsewhere,
            what is there is removed.
        broken: makes one that cannot keep a secret: a locked one, one that is not there.
        kept: for a write-only store: returns what it has kept, or None.
        exchange: for an `IdentifiedStore` or a `RecognizableStore`: puts another, empty place where
            the store's is, as if another disk were mounted there, or another account were used.
            The other tests of these abilities run without it.

    What a store does not declare is not tested: those tests are skipped.

    """
    abilities = (RecognizableAbility, IdentifiedAbility, VersionedAbility, LateAbility)
    kinds = (_WriteOnlyStore,) if kept else (_ReadableStore, *abilities)
    more = ((_BrokenStore, broken), (ExchangedAbility, exchange))
    bases = (*kinds, *(base for base, is_given in more if is_given))
    given = {"make": make, "broken": broken, "kept": kept, "exchange": exchange}
    return type("Conformance", bases, {k: staticmethod(v) for k, v in given.items() if v})


class _AnyStore:
    """What holds for a store, whether or not it can be read."""

    make: Any

    def test_it_is_a_store(self, tmp_path: Path) -> None:
        """It has all that the contract names; its address and description are one line each."""
        store = self.make(tmp_path)
        law(isinstance(store, Store), "it lacks something that the protocol Store has")
        for text in (store.address, store.describe()):
            law(isinstance(text, str), "an address and a description are str")
            law(len(text.splitlines()) == 1, "an address and a description are one line")

    def test_two_of_one_place_have_one_address(self, tmp_path: Path) -> None:
        """An address says which store it is."""
        law(
            self.make(tmp_path).address == self.make(tmp_path).address,
            "two stores of one place have different addresses",
        )

    def test_an_empty_secret_is_refused(self, tmp_path: Path) -> None:
        """It would be taken for none."""
        with pytest.raises(InvalidArgumentError):
            asyncio.run(self.make(tmp_path).write(Secret("")))

    def test_a_str_is_refused(self, tmp_path: Path) -> None:
        """What shows in a traceback is not taken in."""
        with pytest.raises(InvalidArgumentError):
            asyncio.run(self.make(tmp_path).write("a plain str"))


class _BrokenStore:
    """What holds for a store that cannot keep a secret."""

    broken: Any

    def test_a_broken_one_says_so(self, tmp_path: Path) -> None:
        """A StoreError names the store, and not the secret that it could not keep."""
        secret = made_up()
        with watched() as log:
            store = self.broken(tmp_path)
            for call in (store.probe(), store.write(secret)):
                error = error_of(call, StoreError)
                law(error.store == store.describe(), "a StoreError has `store`: the description")
                law(str(error) != "", "a StoreError says what failed")
                hidden(secret, error)
        hidden(secret, log)


class _ReadableStore(_AnyStore):
    """What holds for a store that can be read."""

    @pytest.fixture(autouse=True)
    def _emptied(self, tmp_path: Path) -> Iterator[None]:
        asyncio.run(self.make(tmp_path).remove())
        yield
        asyncio.run(self.make(tmp_path).remove())

    def test_an_empty_one_holds_nothing(self, tmp_path: Path) -> None:
        """There is no secret, and its version is `ABSENT`."""
        store = self.make(tmp_path)
        law(store.readable, "it can be read, but says that it cannot")
        stored = asyncio.run(store.read())
        law(stored.secret is None, "an empty store gave a secret")
        law(stored.version == ABSENT, "the version of an empty store is ABSENT")

    @pytest.mark.parametrize("length", [16, 64, 1024])
    def test_what_is_written_is_read(self, tmp_path: Path, length: int) -> None:
        """Any other store of that place gives it back, with the version that `write` returned."""
        secret = made_up(length)
        version = asyncio.run(self.make(tmp_path).write(secret))
        self._holds(tmp_path, secret)
        stored = asyncio.run(self.make(tmp_path).read())
        law(stored.version == version, "`write` and `read` gave different versions")
        law(isinstance(version, Version), "a version is a Version")

    @pytest.mark.parametrize("kind", _AWKWARD)
    def test_it_keeps_a_secret_exactly_or_refuses_it(self, tmp_path: Path, kind: str) -> None:
        """No secret is changed on the way; one that cannot be kept leaves the one before."""
        before, awkward = made_up(), Secret(_AWKWARD[kind])
        store = self.make(tmp_path)
        asyncio.run(store.write(before))
        try:
            asyncio.run(store.write(awkward))
        except (StoreError, InvalidArgumentError):
            awkward = before
        self._holds(tmp_path, awkward)

    def test_it_is_replaced(self, tmp_path: Path) -> None:
        """By whoever does not say what to expect, or expects what is there."""
        store, secrets_ = self.make(tmp_path), [made_up() for _ in range(3)]
        version = asyncio.run(store.write(secrets_[0], expected=ABSENT))
        version = asyncio.run(store.write(secrets_[1], expected=version))
        law(
            asyncio.run(store.write(secrets_[2], expected=ANY)) != version,
            "two secrets have one version",
        )
        self._holds(tmp_path, secrets_[2])

    def test_what_was_not_expected_is_left_alone(self, tmp_path: Path) -> None:
        """A conflict changes nothing, and shows neither secret."""
        store, first, second, third = self.make(tmp_path), made_up(), made_up(), made_up()
        with watched() as log:
            outdated = asyncio.run(store.write(first))
            asyncio.run(store.write(second))
            for change in (
                store.write(third, expected=ABSENT),
                store.write(third, expected=outdated),
                store.remove(expected=ABSENT),
                store.remove(expected=outdated),
            ):
                error = error_of(change, StoreConflictError)
                law(error.store == store.describe(), "a StoreError has `store`: the description")
                hidden(second, error)
                hidden(third, error)
                self._holds(tmp_path, second)
        hidden(second, log)

    def test_what_is_gone_is_not_what_was_read(self, tmp_path: Path) -> None:
        """A version that was read is a conflict once the secret is removed."""
        store = self.make(tmp_path)
        version = asyncio.run(store.write(made_up()))
        asyncio.run(store.remove())
        error_of(store.write(made_up(), expected=version), StoreConflictError)
        error_of(store.remove(expected=version), StoreConflictError)
        self._holds(tmp_path, None)

    def test_it_is_removed(self, tmp_path: Path) -> None:
        """By whoever expects what is there; removing nothing is fine."""
        store = self.make(tmp_path)
        for expected in (asyncio.run(store.write(made_up())), ABSENT, ANY):
            asyncio.run(store.remove(expected=expected))
            self._holds(tmp_path, None)

    def test_a_probe_changes_nothing(self, tmp_path: Path) -> None:
        """Neither an empty store nor one that holds a secret."""
        store, secret = self.make(tmp_path), made_up()
        asyncio.run(store.probe())
        self._holds(tmp_path, None)
        asyncio.run(store.write(secret))
        asyncio.run(store.probe())
        self._holds(tmp_path, secret)

    def test_one_of_many_rivals_wins(self, tmp_path: Path) -> None:
        """Of writers who all expect an empty store, one writes and the others are told."""
        rivals = [made_up() for _ in range(_RIVALS)]

        async def compete() -> list[object]:
            writes = [self.make(tmp_path).write(each, expected=ABSENT) for each in rivals]
            return list(await asyncio.gather(*writes, return_exceptions=True))

        outcomes = asyncio.run(compete())
        winners = [each for each, out in zip(rivals, outcomes, strict=True) if won(out)]
        law(len(winners) == 1, f"of {_RIVALS} writers who expected ABSENT {len(winners)} wrote")
        self._holds(tmp_path, winners[0])

    def test_a_cancelled_write_is_done_or_not(self, tmp_path: Path) -> None:
        """Whenever the cancellation comes, the store holds the old secret or the new one."""
        store, new = self.make(tmp_path), made_up()
        asyncio.run(store.write(new))
        for turns in _TURNS:
            old, new = asyncio.run(store.read()).secret, made_up()
            held = asyncio.run(cancelled_after(turns, store, new))
            law(held in {old, new}, f"cancelled after {turns} turns it holds something else")
        asyncio.run(store.write(new))
        self._holds(tmp_path, new)

    def test_it_works_in_any_loop(self, tmp_path: Path) -> None:
        """A store is not bound to the event loop in which it was made or first used."""

        async def make() -> Any:
            return self.make(tmp_path)

        store, secret = asyncio.run(make()), made_up()
        asyncio.run(store.write(secret))
        stored = asyncio.run(store.read())
        law(stored.secret == secret, "in another loop it holds something else")

    def test_the_secret_shows_nowhere(self, tmp_path: Path) -> None:
        """Not in its repr, address or description, in what it returns, or in a log."""
        store, secret = self.make(tmp_path), made_up()
        with watched() as log:
            asyncio.run(store.probe())
            version = asyncio.run(store.write(secret))
            stored = asyncio.run(store.read())
        for place, shown in {
            "the repr of the store": repr(store),
            "its address": store.address,
            "its description": store.describe(),
            "the repr of what `write` returned": repr(version),
            "the repr of what `read` returned": repr(stored),
        }.items():
            hidden(secret, shown, place)
        hidden(secret, log)

    def _holds(self, folder: Path, secret: Secret | None) -> None:
        found = asyncio.run(self.make(folder).read()).secret
        law(found == secret, "the store does not hold what it should")


class _WriteOnlyStore(_AnyStore):
    """What holds for a store that cannot be read."""

    kept: Any

    def test_what_is_written_is_kept(self, tmp_path: Path) -> None:
        """Exactly, and what is written next takes its place."""
        store = self.make(tmp_path)
        law(not store.readable, "it cannot be read, but says that it can")
        for secret in (made_up(), made_up(1024), *map(Secret, _AWKWARD.values())):
            law(isinstance(asyncio.run(store.write(secret)), Version), "`write` returns a Version")
            law(Secret(self.kept(tmp_path) or "") == secret, "it kept something else")

    def test_a_probe_keeps_nothing(self, tmp_path: Path) -> None:
        """It leaves what is there."""
        store, secret = self.make(tmp_path), made_up()
        asyncio.run(store.probe())
        law(self.kept(tmp_path) is None, "the probe has left something")
        asyncio.run(store.write(secret))
        asyncio.run(store.probe())
        law(Secret(self.kept(tmp_path) or "") == secret, "the probe has changed something")

    def test_it_says_that_it_is_write_only(self, tmp_path: Path) -> None:
        """Whatever would have to read it is a StoreError, and changes nothing."""
        store, secret = self.make(tmp_path), made_up()
        asyncio.run(store.write(secret))
        for call in (
            store.read(),
            store.remove(),
            store.write(made_up(), expected=ABSENT),
            store.write(made_up(), expected=Version("another")),
        ):
            hidden(secret, error_of(call, StoreError))
        law(Secret(self.kept(tmp_path) or "") == secret, "a refusal has changed something")
