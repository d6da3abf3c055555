"""The journal as files, so that a later process finds the entries of a dead one.

A file has one line for each step; the line is on the disk before the step is taken. The owner locks
the file while it lives. The file is removed when nothing is left to do, and moves into the ledger,
a folder of its own, when the secret is stored.
"""

from __future__ import annotations

import contextlib
import errno
import os
import threading
from functools import partial
from typing import TYPE_CHECKING, Final

from agentkeys import forks, home, locks
from agentkeys.errors import ConfigurationError, JournalError
from agentkeys.filesystem import RefusedError, create_own, open_own, sync_folder
from agentkeys.lifecycle.journal import ids, lines, own_files
from agentkeys.lifecycle.journal.contract import Claimed, Remembered, Seen, left
from agentkeys.lifecycle.journal.lines import NotAnEntry, Torn
from agentkeys.lifecycle.journal.reading import KEPT, check_found, each, file_of, read
from agentkeys.lifecycle.machine.states import Closed, Entry, Kept
from agentkeys.plain import shown

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from agentkeys.keys import Scope
    from agentkeys.lifecycle.machine.states import Plan

__all__ = ["FileJournal", "OwnedFile"]

_UNDER_WAY: Final = ".attempt"
_READ_AND_APPENDED_TO: Final = os.O_RDWR | os.O_APPEND


class FileJournal:
    """Keeps entries as files: unfinished ones in ``attempts``, kept ones in ``keys``.

    Both folders are below AGENTKEYS_HOME, or in the user's state directory.
    """

    def begin(self, entry: Entry) -> OwnedFile:
        """Add a new entry; see `Journal.begin`."""
        while True:
            with contextlib.suppress(_TakenError):  # a sweep took the new file for a dead process's
                entry_id = ids.new_id(entry.plan.scope)
                return self._begun(file_of(self.folder(), entry_id, _UNDER_WAY), entry)

    def adopt(self, entry: Entry) -> str:
        """Add an entry to the ledger; see `Journal.adopt`."""
        entry_id = ids.fingerprint(entry)
        self.put(entry_id, entry)
        return entry_id

    def put(self, entry_id: str, entry: Entry) -> None:
        """Add an entry of another journal; see `Journal.put`."""
        kept = file_of(self.ledger(), entry_id)
        under_way = file_of(self.folder(), entry_id, _UNDER_WAY)
        path = kept if isinstance(entry.state, Kept) else under_way
        while True:
            there = _held(path) if os.path.lexists(path) else None  # it removes a torn one
            if there is not None:
                there.release()
            if os.path.lexists(path) or os.path.lexists(kept):
                return
            with contextlib.suppress(_TakenError):
                self._begun(path, entry).release()

    @staticmethod
    def _begun(path: Path, entry: Entry) -> OwnedFile:
        try:
            check_found(path, entry)  # an id of another journal may say another place
            owned = _created(path, entry)
        except OSError as error:  # a RefusedError is one
            reason = error.strerror or type(error).__name__
        else:
            return owned
        raise ConfigurationError(
            f"cannot write to {shown(path.parent)}, which must keep the entry if this process is"
            f" killed: {reason}: set AGENTKEYS_HOME to a folder of your own, or to a new"
            " folder"
        )

    def claim(
        self,
        is_wanted: Callable[[Scope], bool],
        near: Scope | None = None,
    ) -> Claimed:
        """Lock the entries in wanted scopes whose processes are gone; see `Journal.claim`."""
        owned: list[OwnedFile] = []
        unreadable: list[str] = []
        look = partial(_claimed, is_wanted=is_wanted)
        for found in each(self.folder(), _UNDER_WAY, look, near):
            if isinstance(found, str):
                unreadable.append(found)
            elif found is not None:
                owned.append(found)
        return Claimed(tuple(sorted(owned, key=lambda each: each.id)), tuple(unreadable))

    def remembered(
        self,
        is_wanted: Callable[[Scope], bool],
        near: Scope | None = None,
    ) -> Remembered:
        """Return the entries in wanted scopes; see `Journal.remembered`."""
        entries: dict[str, Seen] = {}
        unreadable: list[str] = []
        for found in self._seen(near):
            if isinstance(found, str):
                unreadable.append(found)
            elif is_wanted(found.entry.plan.scope):
                entries[found.id] = found
        in_order = [entries[each] for each in sorted(entries)]
        return Remembered(left(in_order), tuple(unreadable))

    def each(self) -> Iterator[Seen | str]:
        """Yield every entry; see `Journal.each`."""
        return self._seen(None)

    def _seen(self, near: Scope | None) -> Iterator[Seen | str]:
        # In this order, so that an entry that moves into the ledger meanwhile is seen twice, not
        # missed.
        for folder, ending in ((self.folder(), _UNDER_WAY), (self.ledger(), KEPT)):
            for found in each(folder, ending, read, near):
                if found is not None:
                    yield found

    def hold(self, entry_id: str) -> OwnedFile | None:
        """Take over an entry of the ledger; see `Journal.hold`."""
        return _held(file_of(self.ledger(), entry_id))

    def survey(self) -> Remembered:
        """Return what is left by owners that are gone; see `Journal.survey`."""
        found = self.claim(lambda _: True)
        found.release()
        entries = tuple(Seen(each.id, each.entry, each.describe()) for each in found.entries)
        return Remembered(entries, found.unreadable)

    def describe(self) -> str:
        """Return the folder of the unfinished entries."""
        return shown(self.folder())

    def way_out(self) -> str:
        """Return how a person removes entries that nothing can finish."""
        return f"delete the files in {self.describe()} that name it"

    @staticmethod
    def folder() -> Path:
        """Return the folder of the unfinished entries.

        Raises:
            ConfigurationError: there is no such folder, or platformdirs is needed and not
                installed.
        """
        try:
            return home.state_folder() / "attempts"
        except ModuleNotFoundError:
            pass
        raise ConfigurationError(
            "issuing a key needs platformdirs: pip install 'agentkeys-sdk[issue]', or set"
            " AGENTKEYS_HOME to a folder"
        )

    @classmethod
    def ledger(cls) -> Path:
        """Return the folder of the ledger, for kept entries; raises as `folder` does."""
        return cls.folder().with_name("keys")


class OwnedFile:
    """An entry whose file this process has open and locked, until it is released."""

    def __init__(self, path: Path, descriptor: int, entry: Entry) -> None:
        self._path = path
        self._descriptor = descriptor
        self._is_released = False
        self.entry = entry
        # A thread may still be writing when the event loop releases the entry, and the number of a
        # closed descriptor is soon in use for another file.
        self._lock = threading.Lock()
        forks.watch(self)

    @property
    def id(self) -> str:
        """The name of the file, which stays the same when the file moves into the ledger."""
        return self._path.stem

    def note(self, entry: Entry) -> None:
        """Write a state of the entry; see `Owned.note`."""
        refusal = None
        try:
            with self._lock:
                self._note(entry)
        except RefusedError as error:
            refusal = OSError(errno.EACCES, str(error))
        finally:
            if self._is_released:
                self.release()
        if refusal is not None:
            raise refusal
        if self._is_released:
            raise OSError(errno.ECANCELED, "its time was up")

    def is_held(self) -> bool:
        """Whether nobody else has it: the lock is this process's until it lets go or dies."""
        return True

    def current(self) -> tuple[Entry | None, bool]:
        """Return how far it has come: nobody else can have driven it on."""
        return self.entry, True

    def release(self) -> None:
        """Release the file for a later sweep; a thread that is writing unlocks it afterwards."""
        self._is_released = True
        if self._lock.acquire(blocking=False):
            try:
                if self._descriptor >= 0:
                    locks.unlock(self._descriptor)
                self._close()
            finally:
                self._lock.release()

    def forget(self) -> None:
        """Remove the file, because nothing was begun, and release it."""
        if self._descriptor >= 0:
            with contextlib.suppress(OSError):
                self._path.unlink(missing_ok=True)
        self.release()

    def begin_afresh(self) -> object:
        """Close the file in a forked child, or the lock would outlive the parent."""
        self._lock = threading.Lock()  # another thread of the parent may have held the old lock
        self._close()
        return self

    def describe(self) -> str:
        """Return which file it is."""
        return f"the file {shown(self._path)}"

    def _note(self, entry: Entry) -> None:
        if self._descriptor < 0:
            raise OSError(errno.EBADF, "it was released")
        if isinstance(entry.state, Closed):
            # Neither synced nor required: if the file stays, a sweep finds that nothing is left to
            # do.
            with contextlib.suppress(OSError):
                self._path.unlink(missing_ok=True)
        elif isinstance(entry.state, Kept):
            self._keep(entry.plan)
        else:
            own_files.append(self._descriptor, lines.dumped(entry))

    def _keep(self, plan: Plan) -> None:
        """Move the file into the ledger: its place there says that the secret is stored."""
        folder = self._path.parents[1 if ids.place_in(self.id) else 0]
        ledger = folder.with_name("keys")
        kept = ledger / self._path.relative_to(folder).with_suffix(KEPT)
        own_files.make_own_folder(kept.parent)
        # The replaced entry goes first: once this entry is in the ledger, no later run removes that
        # one. If it stays nevertheless, `remembered` leaves it out.
        if plan.replaces is not None:
            with contextlib.suppress(OSError, RefusedError):
                file_of(ledger, plan.replaces.entry).unlink(missing_ok=True)
        os.rename(self._path, kept)  # noqa: PTH104  # Path.rename does the same
        self._path = kept
        sync_folder(kept.parent)

    def _close(self) -> None:
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)


class _TakenError(Exception):
    """A file of that name exists, or another process has removed it meanwhile."""


def _created(path: Path, entry: Entry) -> OwnedFile:
    own_files.make_own_folder(path.parent)
    descriptor = _locked_file(path)
    owned = OwnedFile(path, descriptor, entry)
    try:
        own_files.append(descriptor, lines.dumped(entry))
        sync_folder(path.parent)
    except BaseException:
        owned.forget()
        raise
    return owned


def _locked_file(path: Path) -> int:
    """Create an empty file and lock it. A sweep may take it in between, as a dead process's."""
    try:
        descriptor = create_own(path, _READ_AND_APPENDED_TO)
    except FileExistsError:
        raise _TakenError from None
    try:
        if locks.lock(descriptor) and locks.is_still(path, descriptor):
            return descriptor
    except OSError:  # e.g. the file system does not support locks
        os.close(descriptor)
        path.unlink(missing_ok=True)
        raise
    os.close(descriptor)
    raise _TakenError


def _held(path: Path) -> OwnedFile | None:
    try:
        return _claimed(path, lambda _: True)
    except RefusedError as error:
        reason = str(error)
    raise JournalError(
        f"{shown(path)} names the key in the store, but was not read: {reason}: check the file,"
        " then delete it, and adopt the key again"
    )


def _claimed(path: Path, is_wanted: Callable[[Scope], bool]) -> OwnedFile | None:
    """Lock an entry in a wanted scope; return None if it is not wanted, in use, or gone.

    Raises:
        RefusedError: it is not known whether the file is an entry.
    """
    try:
        descriptor = open_own(path, _READ_AND_APPENDED_TO)
    except FileNotFoundError:
        return None
    owned = None
    try:
        owned = _abandoned(path, descriptor, is_wanted)
    except RefusedError:
        raise
    except OSError as error:
        reason = error.strerror or type(error).__name__
    else:
        return owned
    finally:
        if owned is None:
            os.close(descriptor)
    raise RefusedError(f"it cannot be read or locked: {reason}")


def _abandoned(path: Path, descriptor: int, is_wanted: Callable[[Scope], bool]) -> OwnedFile | None:
    begun = lines.loaded(own_files.read(descriptor))
    # Before the lock, or a sweep of its scope that runs now would see a living process.
    if isinstance(begun, Entry) and not is_wanted(begun.plan.scope):
        return None
    if not (locks.lock(descriptor) and locks.is_still(path, descriptor)):
        return None
    match lines.loaded(own_files.read(descriptor)):
        case Torn():
            path.unlink(missing_ok=True)
        case NotAnEntry(why):
            raise RefusedError(why)
        case Entry() as entry if is_wanted(entry.plan.scope):
            check_found(path, entry)
            return OwnedFile(path, descriptor, entry)
    return None
