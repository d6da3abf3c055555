"""The tests of the contract of stores, for any store."""

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

# Nothing in this module binds a revealed secret to a name, because frames are searched too.

_AWKWARD: Final = {
    "with a space": "two words ",
    "with quotes": 'it\'s "so" `so`',
    "with signs": "a#b $c ${HOME} \\n %d =e;f&g|h",
    "with line ends": "-----BEGIN-----\nabc\r\ndef\n-----END-----\n",
    "of other letters": "clé-ключ-鍵-🔑",
}
# Turns of the event loop after which a write is cancelled: soon, later, and after its end.
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

    The tests are plain functions and need no plugin. If the store needs a set-up, write a fixture
    with ``autouse`` in the module.

    Args:
        make: returns the store. It gets a folder of the test's own, which it may use. Called again
            with the same folder, it returns a store for the same secret. If the secret is
            elsewhere, the tests remove its content.
        broken: returns a store that cannot keep a secret, e.g. a locked or a missing one.
        kept: for a write-only store: returns the secret that it has kept, or None.
        exchange: for an `IdentifiedStore` or a `RecognizableStore`: replaces the store's place by
            another, empty one, as if another disk were mounted, or another account were used. The
            other tests of these abilities run without it.

    The tests of abilities that a store does not declare are skipped.
    """
    abilities = (RecognizableAbility, IdentifiedAbility, VersionedAbility, LateAbility)
    kinds = (_WriteOnlyStore,) if kept else (_ReadableStore, *abilities)
    more = ((_BrokenStore, broken), (ExchangedAbility, exchange))
    bases = (*kinds, *(base for base, is_given in more if is_given))
    given = {"make": make, "broken": broken, "kept": kept, "exchange": exchange}
    return type("Conformance", bases, {k: staticmethod(v) for k, v in given.items() if v})


class _AnyStore:
    """Tests for any store, readable or write-only."""

    make: Any

    def test_it_is_a_store(self, tmp_path: Path) -> None:
        """It has all members of the protocol; its address and description are one line each."""
        store = self.make(tmp_path)
        law(isinstance(store, Store), "it lacks a member of the protocol Store")
        for text in (store.address, store.describe()):
            law(isinstance(text, str), "the address or the description is not a str")
            law(len(text.splitlines()) == 1, "the address or the description has several lines")

    def test_two_of_one_place_have_one_address(self, tmp_path: Path) -> None:
        """The address identifies the store."""
        law(
            self.make(tmp_path).address == self.make(tmp_path).address,
            "two stores of one place have different addresses",
        )

    def test_an_empty_secret_is_refused(self, tmp_path: Path) -> None:
        """An empty secret would count as no secret."""
        with pytest.raises(InvalidArgumentError):
            asyncio.run(self.make(tmp_path).write(Secret("")))

    def test_a_str_is_refused(self, tmp_path: Path) -> None:
        """A plain str would show in a traceback."""
        with pytest.raises(InvalidArgumentError):
            asyncio.run(self.make(tmp_path).write("a plain str"))


class _BrokenStore:
    """Tests for a store that cannot keep a secret."""

    broken: Any

    def test_a_broken_one_says_so(self, tmp_path: Path) -> None:
        """A StoreError names the store, and not the secret that it could not keep."""
        secret = made_up()
        with watched() as log:
            store = self.broken(tmp_path)
            for call in (store.probe(), store.write(secret)):
                error = error_of(call, StoreError)
                law(
                    error.store == store.describe(),
                    "the `store` of a StoreError is not the description",
                )
                law(str(error) != "", "a StoreError has no text")
                hidden(secret, error)
        hidden(secret, log)


class _ReadableStore(_AnyStore):
    """Tests for a readable store."""

    @pytest.fixture(autouse=True)
    def _emptied(self, tmp_path: Path) -> Iterator[None]:
        asyncio.run(self.make(tmp_path).remove())
        yield
        asyncio.run(self.make(tmp_path).remove())

    def test_an_empty_one_holds_nothing(self, tmp_path: Path) -> None:
        """There is no secret, and the version is `ABSENT`."""
        store = self.make(tmp_path)
        law(store.readable, "it can be read, but `readable` is False")
        stored = asyncio.run(store.read())
        law(stored.secret is None, "an empty store returned a secret")
        law(stored.version == ABSENT, "the version of an empty store is not ABSENT")

    @pytest.mark.parametrize("length", [16, 64, 1024])
    def test_what_is_written_is_read(self, tmp_path: Path, length: int) -> None:
        """Any other store of that place returns it, with the version that `write` returned."""
        secret = made_up(length)
        version = asyncio.run(self.make(tmp_path).write(secret))
        self._holds(tmp_path, secret)
        stored = asyncio.run(self.make(tmp_path).read())
        law(stored.version == version, "`write` and `read` returned different versions")
        law(isinstance(version, Version), "the version is not a Version")

    @pytest.mark.parametrize("kind", _AWKWARD)
    def test_it_keeps_a_secret_exactly_or_refuses_it(self, tmp_path: Path, kind: str) -> None:
        """No secret is changed on the way; a secret that is rejected leaves the old one."""
        before, awkward = made_up(), Secret(_AWKWARD[kind])
        store = self.make(tmp_path)
        asyncio.run(store.write(before))
        try:
            asyncio.run(store.write(awkward))
        except (StoreError, InvalidArgumentError):
            awkward = before
        self._holds(tmp_path, awkward)

    def test_it_is_replaced(self, tmp_path: Path) -> None:
        """With `ANY`, or with the current version as expected."""
        store, secrets_ = self.make(tmp_path), [made_up() for _ in range(3)]
        version = asyncio.run(store.write(secrets_[0], expected=ABSENT))
        version = asyncio.run(store.write(secrets_[1], expected=version))
        law(
            asyncio.run(store.write(secrets_[2], expected=ANY)) != version,
            "two secrets have the same version",
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
                law(
                    error.store == store.describe(),
                    "the `store` of a StoreError is not the description",
                )
                hidden(second, error)
                hidden(third, error)
                self._holds(tmp_path, second)
        hidden(second, log)

    def test_what_is_gone_is_not_what_was_read(self, tmp_path: Path) -> None:
        """After a removal, the version that was read before is a conflict."""
        store = self.make(tmp_path)
        version = asyncio.run(store.write(made_up()))
        asyncio.run(store.remove())
        error_of(store.write(made_up(), expected=version), StoreConflictError)
        error_of(store.remove(expected=version), StoreConflictError)
        self._holds(tmp_path, None)

    def test_it_is_removed(self, tmp_path: Path) -> None:
        """With the current version as expected; removing a missing secret is no error."""
        store = self.make(tmp_path)
        for expected in (asyncio.run(store.write(made_up())), ABSENT, ANY):
            asyncio.run(store.remove(expected=expected))
            self._holds(tmp_path, None)

    def test_a_probe_changes_nothing(self, tmp_path: Path) -> None:
        """Neither an empty store nor one with a secret is changed."""
        store, secret = self.make(tmp_path), made_up()
        asyncio.run(store.probe())
        self._holds(tmp_path, None)
        asyncio.run(store.write(secret))
        asyncio.run(store.probe())
        self._holds(tmp_path, secret)

    def test_one_of_many_rivals_wins(self, tmp_path: Path) -> None:
        """Of writers that all expect an empty store, one succeeds; the others raise."""
        rivals = [made_up() for _ in range(_RIVALS)]

        async def compete() -> list[object]:
            writes = [self.make(tmp_path).write(each, expected=ABSENT) for each in rivals]
            return list(await asyncio.gather(*writes, return_exceptions=True))

        outcomes = asyncio.run(compete())
        winners = [each for each, out in zip(rivals, outcomes, strict=True) if won(out)]
        law(
            len(winners) == 1,
            f"of {_RIVALS} writers that expected ABSENT, {len(winners)} succeeded",
        )
        self._holds(tmp_path, winners[0])

    def test_a_cancelled_write_is_done_or_not(self, tmp_path: Path) -> None:
        """At any turn of the cancellation, the store holds the old secret or the new one."""
        store, new = self.make(tmp_path), made_up()
        asyncio.run(store.write(new))
        for turns in _TURNS:
            old, new = asyncio.run(store.read()).secret, made_up()
            held = asyncio.run(cancelled_after(turns, store, new))
            law(held in {old, new}, f"cancelled after {turns} turns, it holds another secret")
        asyncio.run(store.write(new))
        self._holds(tmp_path, new)

    def test_it_works_in_any_loop(self, tmp_path: Path) -> None:
        """A store is not bound to the event loop in which it was made or first used."""

        async def make() -> Any:
            return self.make(tmp_path)

        store, secret = asyncio.run(make()), made_up()
        asyncio.run(store.write(secret))
        stored = asyncio.run(store.read())
        law(stored.secret == secret, "in another loop, it holds another secret")

    def test_the_secret_shows_nowhere(self, tmp_path: Path) -> None:
        """Not in its repr, address or description, in its results, or in a log."""
        store, secret = self.make(tmp_path), made_up()
        with watched() as log:
            asyncio.run(store.probe())
            version = asyncio.run(store.write(secret))
            stored = asyncio.run(store.read())
        for place, shown in {
            "the repr of the store": repr(store),
            "its address": store.address,
            "its description": store.describe(),
            "the repr of the result of `write`": repr(version),
            "the repr of the result of `read`": repr(stored),
        }.items():
            hidden(secret, shown, place)
        hidden(secret, log)

    def _holds(self, folder: Path, secret: Secret | None) -> None:
        found = asyncio.run(self.make(folder).read()).secret
        law(found == secret, "the store holds another secret than expected")


class _WriteOnlyStore(_AnyStore):
    """Tests for a write-only store."""

    kept: Any

    def test_what_is_written_is_kept(self, tmp_path: Path) -> None:
        """Each secret is kept exactly, and replaces the last one."""
        store = self.make(tmp_path)
        law(not store.readable, "it cannot be read, but `readable` is True")
        for secret in (made_up(), made_up(1024), *map(Secret, _AWKWARD.values())):
            law(
                isinstance(asyncio.run(store.write(secret)), Version),
                "`write` did not return a Version",
            )
            law(Secret(self.kept(tmp_path) or "") == secret, "it kept another secret")

    def test_a_probe_keeps_nothing(self, tmp_path: Path) -> None:
        """The probe changes nothing."""
        store, secret = self.make(tmp_path), made_up()
        asyncio.run(store.probe())
        law(self.kept(tmp_path) is None, "the probe left a value")
        asyncio.run(store.write(secret))
        asyncio.run(store.probe())
        law(Secret(self.kept(tmp_path) or "") == secret, "the probe changed the secret")

    def test_it_says_that_it_is_write_only(self, tmp_path: Path) -> None:
        """A method that would have to read raises StoreError, and changes nothing."""
        store, secret = self.make(tmp_path), made_up()
        asyncio.run(store.write(secret))
        for call in (
            store.read(),
            store.remove(),
            store.write(made_up(), expected=ABSENT),
            store.write(made_up(), expected=Version("another")),
        ):
            hidden(secret, error_of(call, StoreError))
        law(Secret(self.kept(tmp_path) or "") == secret, "a refused method changed the secret")
