"""The journal in files finds the entries of one place without a look at all others."""

from __future__ import annotations

import os
import re
import secrets
from pathlib import Path
from typing import Any

import attempt_files
import attrs
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from journals import ELSEWHERE, HERE, asking, in_state, kept, writing
from programs import Program

from agentkeys.errors import ConfigurationError, JournalError
from agentkeys.keys import Scope
from agentkeys.lifecycle.journal import FileJournal, Remembered
from agentkeys.lifecycle.journal.ids import fingerprint, new_id, place_of
from agentkeys.lifecycle.journal.lines import dumped
from agentkeys.lifecycle.machine.states import Closed, Kept

SAME_PLACE = attrs.evolve(HERE, account="another", also=("me",))
INBOXES = (attrs.evolve(HERE, id=f"agent{number}@acme.to") for number in range(100_000))
IN_THE_SAME_PART = next(each for each in INBOXES if place_of(each)[:2] == place_of(HERE)[:2])
PLACES = [
    HERE,
    IN_THE_SAME_PART,
    ELSEWHERE,
    SAME_PLACE,
    Scope("Agentity", "https://api.test", account="me"),
]
FROM_BEFORE = "0123456789abcdef"


@pytest.fixture(autouse=True)
def _home(tmp_path, monkeypatch):
    monkeypatch.setenv("AGENTKEYS_HOME", str(tmp_path / "home"))


def everything(_: object) -> bool:
    return True


def everywhere(scope: Scope) -> Remembered:
    """Return the entries of a place from all files that there are."""
    return FileJournal().remembered(scope.is_at)


def near(scope: Scope, journal: FileJournal | None = None) -> Remembered:
    return (journal or FileJournal()).remembered(scope.is_at, scope)


def said_of(found: Remembered, scope: Scope) -> set[str]:
    """Return the sentences about files that may be of a place, by their names."""
    others = {place_of(each) for each in PLACES} - {place_of(scope)}
    named = {each: re.findall(r"/([0-9a-f]{16})[0-9a-f]{16}\.", each) for each in found.unreadable}
    return {each for each, places in named.items() if not others.intersection(places)}


def files() -> list[Path]:
    """Return the files of all entries."""
    folders = FileJournal.folder(), FileJournal.ledger()
    return [path for each in folders for path in attempt_files.files(each)]


def plant(path: Path, content: bytes) -> Path:
    for folder in (*reversed(path.parents[:2]), path.parent):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    path.write_bytes(content)
    path.chmod(0o600)
    return path


def as_before(path: Path) -> Path:
    """Give a file the name and the folder that earlier versions gave it."""
    return path.rename(path.parents[1] / f"{secrets.token_hex(8)}{path.suffix}")


class Two:
    """Two journals in one folder, and what they do at random."""

    def __init__(self) -> None:
        self.journals = [FileJournal(), FileJournal()]
        self.owned: list[Any] = []

    def begin(self, journal: FileJournal, scope: Scope, pick: int) -> None:
        self.owned.append(journal.begin(asking(scope, nonce="abcdef"[pick % 6] * 6)))

    def adopt(self, journal: FileJournal, scope: Scope, pick: int) -> None:
        entry = kept(asking(scope), digest=f"{pick:064}")
        try:
            journal.adopt(entry)
        except JournalError:  # only if there is a file of it that nobody can read
            of_it = f"/{fingerprint(entry)}.key"
            assert any(of_it in each for each in everywhere(scope).unreadable)

    def keep(self, journal: FileJournal, scope: Scope, pick: int) -> None:
        """Keep an entry, which may replace one of its place."""
        if not self.owned:
            return
        owned = self.owned.pop(pick % len(self.owned))
        there = [each for each in everywhere(scope).entries if isinstance(each.entry.state, Kept)]
        is_replaced = there and owned.entry.plan.scope.is_at(scope)
        entry = kept(owned.entry, replaces=there[-1].id if is_replaced else None)
        owned.note(in_state(entry, writing(entry).state))
        owned.note(entry)
        owned.release()

    def end(self, journal: FileJournal, scope: Scope, pick: int) -> None:
        if self.owned:
            owned = self.owned.pop(pick % len(self.owned))
            owned.note(in_state(owned.entry, Closed()))
            owned.release()

    def leave(self, journal: FileJournal, scope: Scope, pick: int) -> None:
        if self.owned:
            self.owned.pop(pick % len(self.owned)).release()

    def claim(self, journal: FileJournal, scope: Scope, pick: int) -> None:
        claimed = journal.claim(scope.is_at, scope).entries
        assert all(each.entry.plan.scope.is_at(scope) for each in claimed)
        assert journal.claim(scope.is_at).entries == ()  # nothing was missed
        self.owned += claimed

    def forget(self, journal: FileJournal, scope: Scope, pick: int) -> None:
        for seen in near(scope, journal).entries[:1]:
            if isinstance(seen.entry.state, Kept):
                held = journal.hold(seen.id)
                assert held is not None
                held.forget()

    def tear(self, journal: FileJournal, scope: Scope, pick: int) -> None:
        """A process died before its first line was whole."""
        whole = dumped(asking(scope))
        entry_id = new_id(scope)
        path = journal.folder() / entry_id[:2] / f"{entry_id}.attempt"
        plant(path, whole[: pick % len(whole)])

    def spoil(self, journal: FileJournal, scope: Scope, pick: int) -> None:
        if there := files():
            there[pick % len(there)].write_bytes(b'{"format": 99}\n')

    def grow_old(self, journal: FileJournal, scope: Scope, pick: int) -> None:
        """An earlier version has left an entry."""
        free = [each for each in files() if each.suffix == ".key" and len(each.stem) > 16]
        if free:
            as_before(free[pick % len(free)])

    def mistake(self, journal: FileJournal, scope: Scope, pick: int) -> None:
        """Somebody has renamed a file to that of an entry of another place."""
        kept_ones = [each for each in files() if each.suffix == ".key"]
        if kept_ones:
            entry_id = new_id(scope)
            target = journal.ledger() / entry_id[:2] / f"{entry_id}.key"
            plant(target, kept_ones[pick % len(kept_ones)].read_bytes())


STEPS = [name for name, each in vars(Two).items() if callable(each) and name != "__init__"]


@given(
    steps=st.lists(
        st.tuples(
            st.sampled_from(STEPS),
            st.integers(0, 1),
            st.sampled_from(PLACES),
            st.integers(0, 1000),
        ),
        max_size=40,
    )
)
@settings(
    max_examples=150,
    derandomize=True,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
def test_a_look_at_one_place_finds_what_a_look_at_all_finds(steps, tmp_path_factory):
    """Whatever two journals have done in one folder, and whatever else lies there."""
    before = os.environ["AGENTKEYS_HOME"]
    os.environ["AGENTKEYS_HOME"] = str(tmp_path_factory.mktemp("home"))
    try:
        two = Two()
        for step, which, scope, pick in steps:
            getattr(two, step)(two.journals[which], scope, pick)
            for each in PLACES:
                found, wanted = near(each, two.journals[which]), everywhere(each)
                assert found.entries == wanted.entries
                assert said_of(wanted, each) <= set(found.unreadable) <= set(wanted.unreadable)
        for each in two.owned:
            each.release()
    finally:
        os.environ["AGENTKEYS_HOME"] = before


CHURN = """
import sys, threading
sys.path.insert(0, sys.argv[1])
from journals import HERE, ELSEWHERE, asking, kept, writing
from agentkeys.lifecycle.journal import FileJournal
told = threading.Event()
threading.Thread(target=lambda: (sys.stdin.readline(), told.set()), daemon=True).start()
journal, rounds, last = FileJournal(), 0, None
print("begun", flush=True)
while not told.is_set() or rounds < 50:
    owned = journal.begin(asking(HERE if rounds % 2 else ELSEWHERE))
    owned.note(writing(owned.entry))
    owned.note(kept(owned.entry))
    owned.release()
    held = journal.hold(owned.id)
    assert held is not None
    held.forget()
    rounds += 1
"""


def test_what_stays_is_found_while_another_process_writes():
    """None of it is missed, and nothing that comes or goes meanwhile is called unreadable."""
    journal = FileJournal()
    stay = {journal.adopt(kept(asking(), digest=f"{number:064}")) for number in range(30)}
    under_way = journal.begin(asking())
    program = Program(CHURN, str(Path(attempt_files.__file__).parent))
    try:
        assert program.read() == "begun"
        for _ in range(150):
            found = near(HERE, journal)
            assert {*stay, under_way.id} <= {each.id for each in found.entries}
            assert found.unreadable == ()
        program.tell()
        assert program.end().code == 0
    finally:
        program.kill()
    under_way.release()
    assert {each.id for each in near(HERE).entries} == {*stay, under_way.id}


@pytest.mark.parametrize("other", [ELSEWHERE, IN_THE_SAME_PART], ids=["far", "in the same part"])
def test_nobody_looks_into_the_files_of_other_places(other):
    """Not even to say that they cannot be read, which an earlier version's are looked into for."""
    journal = FileJournal()
    journal.begin(asking(other)).release()
    journal.adopt(kept(asking(other)))
    for path in files():
        path.write_text("nonsense\n")
    mine = journal.adopt(kept(asking()))
    assert [each.id for each in near(HERE).entries] == [mine]
    assert near(HERE).unreadable == journal.claim(HERE.is_at, HERE).unreadable == ()
    assert len(everywhere(HERE).unreadable) == len(near(other).unreadable) == 2
    plant(journal.ledger() / f"{FROM_BEFORE}.key", b"nonsense\n")
    [sentence] = near(HERE).unreadable
    assert FROM_BEFORE in sentence


def test_entries_of_an_earlier_version_are_found_driven_on_and_replaced():
    """They have short names, in the folder itself."""
    journal = FileJournal()
    for entry in (asking(), kept(asking())):
        folder, ending = (
            (journal.ledger(), "key")
            if isinstance(entry.state, Kept)
            else (journal.folder(), "attempt")
        )
        plant(
            folder / f"{FROM_BEFORE[::-1] if ending == 'key' else FROM_BEFORE}.{ending}",
            dumped(entry),
        )
    assert [each.id for each in near(HERE).entries] == sorted([FROM_BEFORE, FROM_BEFORE[::-1]])
    [owned] = journal.claim(HERE.is_at, HERE).entries
    owned.note(writing(owned.entry))
    owned.note(kept(owned.entry))
    owned.release()
    assert (journal.ledger() / f"{FROM_BEFORE}.key").exists()
    held = journal.hold(FROM_BEFORE)
    assert held is not None
    held.release()
    successor = journal.begin(asking())
    successor.note(writing(successor.entry))
    successor.note(kept(successor.entry, replaces=FROM_BEFORE))
    successor.release()
    assert not (journal.ledger() / f"{FROM_BEFORE}.key").exists()
    assert [each.id for each in near(HERE).entries] == sorted([FROM_BEFORE[::-1], successor.id])


def renamed(path: Path, scope: Scope) -> Path:
    entry_id = new_id(scope)
    return path.parents[1] / entry_id[:2] / f"{entry_id}.key"


WRONG = {
    "the name of another place": lambda path: renamed(path, ELSEWHERE),
    "another part": lambda path: (
        path.parents[1] / ("00" if path.stem[:2] != "00" else "01") / path.name
    ),
    "no part": lambda path: path.parents[1] / path.name,
    "a short name in a part": lambda path: path.with_name(f"{FROM_BEFORE}.key"),
}


@pytest.mark.parametrize("wrong", WRONG.values(), ids=WRONG)
def test_a_file_that_its_place_does_not_lead_to_is_no_entry(wrong):
    """Nobody who looks near it would find it, so nobody believes it; who looks at all names it."""
    journal = FileJournal()
    journal.adopt(kept(asking()))
    [path] = files()
    target = wrong(path)
    target.parent.mkdir(mode=0o700, exist_ok=True)
    path.rename(target)
    assert near(HERE).entries == everywhere(HERE).entries == ()
    [sentence] = everywhere(HERE).unreadable
    assert str(target) in sentence
    assert "it has the name or the folder of another entry" in sentence


def test_an_entry_with_the_id_of_another_place_is_not_held_or_added():
    journal = FileJournal()
    journal.adopt(kept(asking()))
    [path] = files()
    target = renamed(path, ELSEWHERE)
    target.parent.mkdir(mode=0o700, exist_ok=True)
    path.rename(target)
    with pytest.raises(JournalError, match="the name or the folder of another entry"):
        journal.hold(target.stem)
    target.unlink()
    for entry in (asking(), kept(asking())):
        with pytest.raises(ConfigurationError, match="the name or the folder of another entry"):
            journal.put(new_id(ELSEWHERE), entry)
    assert files() == []


@pytest.mark.parametrize("which", ["folder", "ledger"])
def test_a_part_that_is_not_ours_alone_is_named_and_stops_no_other(which):
    """Neither believed nor passed over in silence."""
    journal = FileJournal()
    for scope in (HERE, ELSEWHERE):
        journal.begin(asking(scope)).release()
        journal.adopt(kept(asking(scope)))
    part = getattr(journal, which)() / place_of(HERE)[:2]
    part.chmod(0o777)
    for found in (near(HERE), everywhere(HERE)):
        assert len(found.entries) == 1
        [sentence] = found.unreadable
        assert sentence.startswith(f"{part} may name unfinished keys")
    assert len(near(ELSEWHERE).entries) == 2
    assert near(ELSEWHERE).unreadable == ()
    if which == "folder":
        with pytest.raises(ConfigurationError, match=re.escape(str(part))):
            journal.begin(asking())
    outside = part.rename(part.with_name("outside"))
    outside.chmod(0o700)
    part.symlink_to(outside)
    [sentence] = near(HERE).unreadable
    assert "it is a link" in sentence


def test_the_id_of_an_entry_begins_with_its_place():
    """And two names of one account are at one place."""
    assert place_of(HERE) == place_of(SAME_PLACE) != place_of(ELSEWHERE)
    journal = FileJournal()
    begun, adopted = journal.begin(asking()).id, journal.adopt(kept(asking(SAME_PLACE)))
    assert begun.startswith(place_of(HERE))
    assert adopted.startswith(place_of(HERE))
