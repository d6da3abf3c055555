"""Tests for the optional abilities of a store."""

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
    """Tests for a store that notes its place before it writes."""

    make: Any

    def _noting(self, folder: Path) -> RecognizableStore:
        store = self.make(folder)
        if not isinstance(store, RecognizableStore):
            pytest.skip("it is not a RecognizableStore")
        return store

    def test_a_noted_write_writes(self, tmp_path: Path) -> None:
        """It writes as `write` does, and calls the note once, in a thread, without the secret."""
        store, secret, notes = self._noting(tmp_path), made_up(), list[Found]()
        threads: list[int] = []

        def note(found: Found) -> None:
            notes.append(found)
            threads.append(threading.get_ident())

        written = store.write_noted(secret, expected=ABSENT, note=note)
        version = asyncio.run(written)
        law(len(notes) == 1, f"a write called the note {len(notes)} times")
        law(
            threading.get_ident() not in threads,
            "the note was called in the thread of the event loop",
        )
        _holds(self.make(tmp_path), secret)
        stored = asyncio.run(self.make(tmp_path).read())
        law(stored.version == version, "`write_noted` and `read` returned different versions")
        for name, shown in {"place": notes[0].place, "state": notes[0].state}.items():
            law(isinstance(shown, str), "the place or the state of a note is not a str")
            hidden(secret, shown, f"the {name} of a note")

    def test_what_cannot_be_noted_is_not_written(self, tmp_path: Path) -> None:
        """The error of the note is raised unchanged, and the store keeps its content."""
        before, failure = made_up(), StoreError("it cannot be noted")
        store = self._noting(tmp_path)
        asyncio.run(store.write(before))
        error = error_of(store.write_noted(made_up(), note=failing(failure, [])), StoreError)
        law(error is failure, "another error than the note's was raised")
        _holds(self.make(tmp_path), before)

    def test_a_conflict_is_not_noted(self, tmp_path: Path) -> None:
        """A write that cannot succeed calls no note."""
        store, before, notes = self._noting(tmp_path), made_up(), list[Found]()
        asyncio.run(store.write(before))
        written = store.write_noted(made_up(), expected=ABSENT, note=notes.append)
        error_of(written, StoreConflictError)
        law(not notes, "a write that raised StoreConflictError called the note")
        _holds(self.make(tmp_path), before)

    def test_a_place_is_recognized(self, tmp_path: Path) -> None:
        """The place of a write that ended at its note is recognized; a different note is not."""
        found = noted(self._noting(tmp_path))
        law(is_as_found(self.make(tmp_path), found), "the place of the note is not recognized")
        state = "".join(map(other, found.state))
        law(
            not is_as_found(self.make(tmp_path), Found(found.place, state)),
            "it recognizes the note of another place as its own",
        )


class IdentifiedAbility:
    """Tests for a store that has an identity."""

    make: Any

    def test_its_identity_stays(self, tmp_path: Path) -> None:
        """The identity depends only on the place, not on its content, and holds no secret."""
        store, secret = self.make(tmp_path), made_up()
        if not isinstance(store, IdentifiedStore):
            pytest.skip("it is not an IdentifiedStore")
        identity = asyncio.run(store.identity())
        law(isinstance(identity, str), "the identity is not a str")
        law(identity != "", "the identity is empty")
        for change in (store.write(secret), store.write(made_up()), store.remove()):
            asyncio.run(change)
            now = asyncio.run(self.make(tmp_path).identity())
            law(now == identity, "the identity changed although the place is the same")
        hidden(secret, identity, "the identity")


class ExchangedAbility:
    """Tests for a store whose place can be replaced by another."""

    make: Any
    exchange: Any

    def test_another_place_is_not_recognized(self, tmp_path: Path) -> None:
        """A secret that is missing in the new place may be in the old one."""
        store = self.make(tmp_path)
        if not isinstance(store, IdentifiedStore | RecognizableStore):
            pytest.skip("it is neither an IdentifiedStore nor a RecognizableStore")
        found = self._found(store)
        self.exchange(tmp_path)
        law(
            not is_as_found(self.make(tmp_path), found),
            "another place is recognized as the noted one",
        )

    def _found(self, store: Store) -> Found:
        if isinstance(store, RecognizableStore):
            return noted(store)
        asyncio.run(store.write(made_up()))
        found = asyncio.run(found_at(store))
        law(found is not None, "it returned no identity")
        assert found is not None  # noqa: S101  # checked in the line before
        return found


class VersionedAbility:
    """Tests for a store that keeps the previous secret."""

    make: Any

    def _versioned(self, folder: Path) -> VersionedStore:
        store = self.make(folder)
        if not isinstance(store, VersionedStore):
            pytest.skip("it is not a VersionedStore")
        return store

    def test_the_previous_secret_is_the_one_before(self, tmp_path: Path) -> None:
        """`previous` returns it after each write, in every store of the place."""
        store, secrets_ = self._versioned(tmp_path), [made_up() for _ in range(4)]
        versions = [asyncio.run(store.write(each)) for each in secrets_]
        previous = asyncio.run(self._versioned(tmp_path).previous())
        law(
            previous.secret == secrets_[-2],
            "`previous` returned another secret than the previous one",
        )
        law(previous.version == versions[-2], "`previous` and `write` returned different versions")
        hidden(secrets_[-2], repr(previous), "the repr of the result of `previous`")

    def test_reading_the_previous_secret_changes_nothing(self, tmp_path: Path) -> None:
        """The current secret and the previous one stay."""
        store, before, current = self._versioned(tmp_path), made_up(), made_up()
        asyncio.run(store.write(before))
        asyncio.run(store.write(current))
        for _ in range(2):
            law(
                asyncio.run(store.previous()).secret == before,
                "`previous` returned another result the second time",
            )
        _holds(self.make(tmp_path), current)

    def test_one_can_go_back(self, tmp_path: Path) -> None:
        """The previous secret can be written again, expecting the version of the current one."""
        store, before = self._versioned(tmp_path), made_up()
        asyncio.run(store.write(before))
        current = asyncio.run(store.write(made_up()))
        previous = asyncio.run(store.previous()).secret
        law(previous is not None, "`previous` returned no secret")
        asyncio.run(store.write(previous or before, expected=current))
        _holds(self.make(tmp_path), before)


class LateAbility:
    """Tests for a store on another machine."""

    make: Any
    _rounds = 3
    _rivals = 6

    def test_how_late_a_write_may_come_is_a_number(self, tmp_path: Path) -> None:
        """A sweep waits for that many seconds before it treats a secret as missing."""
        seconds = late_write(self.make(tmp_path))
        law(0 <= seconds < math.inf, "late_write is not a number of seconds")

    def test_an_atomic_write_has_one_winner(self, tmp_path: Path) -> None:
        """Of several writers in threads that expect the same version, one succeeds."""
        store = self.make(tmp_path)
        if not getattr(store, "atomic", False):
            pytest.skip("it does not declare `atomic`")
        version = ABSENT
        for _ in range(self._rounds):
            rivals = [made_up() for _ in range(self._rivals)]
            version = _one_of(self.make, tmp_path, rivals, version)


def _one_of(make: Any, folder: Path, rivals: list[Secret], expected: Any) -> Any:
    """Let rivals write at the same time; return the version of the one that succeeded."""
    outcomes: list[tuple[Secret, Any]] = []
    barrier = threading.Barrier(len(rivals))

    def write(secret: Secret) -> None:
        store = make(folder)
        barrier.wait()
        try:
            outcomes.append((secret, asyncio.run(store.write(secret, expected=expected))))
        except StoreConflictError:
            return
        except Exception as error:  # noqa: BLE001  # the test's own thread reports it below
            outcomes.append((secret, error))

    threads = [threading.Thread(target=write, args=(each,)) for each in rivals]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    law(
        len(outcomes) == 1,
        f"of {len(rivals)} writers that expected one version, {len(outcomes)}"
        " did not raise StoreConflictError",
    )
    [(winner, version)] = outcomes
    if isinstance(version, Exception):
        raise version
    _holds(make(folder), winner)
    return version


def _holds(store: Store, secret: Secret | None) -> None:
    found = asyncio.run(store.read()).secret
    law(found == secret, "the store holds another secret than expected")
