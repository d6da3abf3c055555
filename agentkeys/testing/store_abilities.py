"""What a store must do that declares more than every store does, as tests."""

from __future__ import annotations

import asyncio
import math
import threading
from pathlib import Path
from typing import Any

import pytest

from agentkeys.errors import StoreConflictError, StoreError
from agentkeys.secret import Secret
from agentkeys.stores import (
    ABSENT,
    Found,
    IdentifiedStore,
    RecognizableStore,
    Store,
    VersionedStore,
)
from agentkeys.stores.contract.protocol import found_at, late_write
from agentkeys.testing.store_checks import (
    error_of,
    failing,
    hidden,
    is_as_found,
    law,
    made_up,
    noted,
    other,
)

__all__ = [
    "ExchangedAbility",
    "IdentifiedAbility",
    "LateAbility",
    "RecognizableAbility",
    "VersionedAbility",
]


class RecognizableAbility:
    """What holds for a store that notes which place it is before it writes."""

    make: Any

    def _noting(self, folder: Path) -> RecognizableStore:
        store = self.make(folder)
        if not isinstance(store, RecognizableStore):
            pytest.skip("it is no RecognizableStore")
        return store

    def test_a_noted_write_writes(self, tmp_path: Path) -> None:
        """As `write` does; and it is noted once, in a thread, without the secret."""
        store, secret, notes = self._noting(tmp_path), made_up(), list[Found]()
        threads: list[int] = []

        def note(found: Found) -> None:
            notes.append(found)
            threads.append(threading.get_ident())

        written = store.write_noted(secret, expected=ABSENT, note=note)
        version = asyncio.run(written)
        law(len(notes) == 1, f"a write was noted {len(notes)} times")
        law(threading.get_ident() not in threads, "a note was called where the event loop runs")
        _holds(self.make(tmp_path), secret)
        stored = asyncio.run(self.make(tmp_path).read())
        law(stored.version == version, "`write_noted` and `read` gave different versions")
        for name, shown in {"place": notes[0].place, "state": notes[0].state}.items():
            law(isinstance(shown, str), "the place and the state of a note are str")
            hidden(secret, shown, f"the {name} of a note")

    def test_what_cannot_be_noted_is_not_written(self, tmp_path: Path) -> None:
        """The error of the note goes through, and the store holds what it held before."""
        before, failure = made_up(), StoreError("it cannot be noted")
        store = self._noting(tmp_path)
        asyncio.run(store.write(before))
        error = error_of(store.write_noted(made_up(), note=failing(failure, [])), StoreError)
        law(error is failure, "another error than that of the note was raised")
        _holds(self.make(tmp_path), before)

    def test_a_conflict_is_not_noted(self, tmp_path: Path) -> None:
        """Nothing is about to be written."""
        store, before, notes = self._noting(tmp_path), made_up(), list[Found]()
        asyncio.run(store.write(before))
        written = store.write_noted(made_up(), expected=ABSENT, note=notes.append)
        error_of(written, StoreConflictError)
        law(not notes, "a write was noted that could not be")
        _holds(self.make(tmp_path), before)

    def test_a_place_is_recognized(self, tmp_path: Path) -> None:
        """That of a write which ended at its note; and not one whose note says something else."""
        found = noted(self._noting(tmp_path))
        law(is_as_found(self.make(tmp_path), found), "the place of the note is not recognized")
        state = "".join(map(other, found.state))
        law(
            not is_as_found(self.make(tmp_path), Found(found.place, state)),
            "it takes itself for the place of a note that is of another one",
        )


class IdentifiedAbility:
    """What holds for a store that has an identity."""

    make: Any

    def test_its_identity_stays(self, tmp_path: Path) -> None:
        """It is that of the place, whatever the place holds, and has no secret in it."""
        store, secret = self.make(tmp_path), made_up()
        if not isinstance(store, IdentifiedStore):
            pytest.skip("it is no IdentifiedStore")
        identity = asyncio.run(store.identity())
        law(isinstance(identity, str), "an identity is a str")
        law(identity != "", "an identity is not empty")
        for change in (store.write(secret), store.write(made_up()), store.remove()):
            asyncio.run(change)
            now = asyncio.run(self.make(tmp_path).identity())
            law(now == identity, "the identity changed, though the place is the same")
        hidden(secret, identity, "the identity")


class ExchangedAbility:
    """What holds for a store in whose place another one can be put."""

    make: Any
    exchange: Any

    def test_another_place_is_not_recognized(self, tmp_path: Path) -> None:
        """A secret that is not there may be in the place that was there before."""
        store = self.make(tmp_path)
        if not isinstance(store, IdentifiedStore | RecognizableStore):
            pytest.skip("it is no IdentifiedStore, and no RecognizableStore")
        found = self._found(store)
        self.exchange(tmp_path)
        law(
            not is_as_found(self.make(tmp_path), found),
            "another place is taken for the one of the note",
        )

    def _found(self, store: Store) -> Found:
        if isinstance(store, RecognizableStore):
            return noted(store)
        asyncio.run(store.write(made_up()))
        found = asyncio.run(found_at(store))
        law(found is not None, "it cannot tell its identity")
        assert found is not None  # noqa: S101  # the law before says it in a sentence
        return found


class VersionedAbility:
    """What holds for a store that keeps the secret before the current one."""

    make: Any

    def _versioned(self, folder: Path) -> VersionedStore:
        store = self.make(folder)
        if not isinstance(store, VersionedStore):
            pytest.skip("it is no VersionedStore")
        return store

    def test_the_previous_secret_is_the_one_before(self, tmp_path: Path) -> None:
        """After each write, in any other store of that place, and with the version that it had."""
        store, secrets_ = self._versioned(tmp_path), [made_up() for _ in range(4)]
        versions = [asyncio.run(store.write(each)) for each in secrets_]
        previous = asyncio.run(self._versioned(tmp_path).previous())
        law(previous.secret == secrets_[-2], "`previous` returned another secret than that before")
        law(previous.version == versions[-2], "`previous` and `write` gave different versions")
        hidden(secrets_[-2], repr(previous), "the repr of what `previous` returned")

    def test_reading_the_previous_secret_changes_nothing(self, tmp_path: Path) -> None:
        """The current one stays, and the previous one as well."""
        store, before, current = self._versioned(tmp_path), made_up(), made_up()
        asyncio.run(store.write(before))
        asyncio.run(store.write(current))
        for _ in range(2):
            law(
                asyncio.run(store.previous()).secret == before,
                "`previous` returned something else the second time",
            )
        _holds(self.make(tmp_path), current)

    def test_one_can_go_back(self, tmp_path: Path) -> None:
        """To what was there before, under the version of what is there now."""
        store, before = self._versioned(tmp_path), made_up()
        asyncio.run(store.write(before))
        current = asyncio.run(store.write(made_up()))
        previous = asyncio.run(store.previous()).secret
        law(previous is not None, "`previous` returned nothing")
        asyncio.run(store.write(previous or before, expected=current))
        _holds(self.make(tmp_path), before)


class LateAbility:
    """What holds for a store whose writes travel."""

    make: Any
    _rounds = 3
    _rivals = 6

    def test_how_late_a_write_may_come_is_a_number(self, tmp_path: Path) -> None:
        """Of seconds, in which a sweep does not yet believe that a secret is not there."""
        seconds = late_write(self.make(tmp_path))
        law(0 <= seconds < math.inf, "late_write is a number of seconds")

    def test_an_atomic_write_has_one_winner(self, tmp_path: Path) -> None:
        """Of writers in threads, each with a loop of its own, who expect the same version."""
        store = self.make(tmp_path)
        if not getattr(store, "atomic", False):
            pytest.skip("it does not say that it is atomic")
        version = ABSENT
        for _ in range(self._rounds):
            rivals = [made_up() for _ in range(self._rivals)]
            version = _one_of(self.make, tmp_path, rivals, version)


def _one_of(make: Any, folder: Path, rivals: list[Secret], expected: Any) -> Any:
    """Have rivals write at once; return the version of the one who did."""
    outcomes: list[tuple[Secret, Any]] = []
    barrier = threading.Barrier(len(rivals))

    def write(secret: Secret) -> None:
        store = make(folder)
        barrier.wait()
        try:
            outcomes.append((secret, asyncio.run(store.write(secret, expected=expected))))
        except StoreConflictError:
            return
        except Exception as error:  # noqa: BLE001  # it is said below, in the test's own thread
            outcomes.append((secret, error))

    threads = [threading.Thread(target=write, args=(each,)) for each in rivals]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    law(
        len(outcomes) == 1,
        f"of {len(rivals)} writers who expected one version, {len(outcomes)}"
        " did not meet a conflict",
    )
    [(winner, version)] = outcomes
    if isinstance(version, Exception):
        raise version
    _holds(make(folder), winner)
    return version


def _holds(store: Store, secret: Secret | None) -> None:
    found = asyncio.run(store.read()).secret
    law(found == secret, "the store does not hold what it should")
