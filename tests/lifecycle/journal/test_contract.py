"""What every journal does, whatever it is made of."""

from __future__ import annotations

import threading
import time

import attrs
import pytest
from journals import ELSEWHERE, HERE, asking, in_state, kept, writing

from agentkeys.lifecycle.journal import Journal
from agentkeys.lifecycle.machine.moments import now
from agentkeys.lifecycle.machine.states import Closed, Dropping, Kept, Retiring


def everything(_: object) -> bool:
    return True


def until(happened) -> None:
    """Wait for what another thread does soon."""
    deadline = time.monotonic() + 20.0
    while not happened():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def ids_in(journal: Journal) -> list[str]:
    return [each.id for each in journal.remembered(everything).entries]


def test_it_is_a_journal(journal):
    """What has these methods can be handed in as `journal=`."""
    assert isinstance(journal, Journal)


def test_a_new_entry_is_there_for_everybody(journal, other):
    """As soon as `begin` returns, with all that it says."""
    owned = journal.begin(asking())
    assert owned.is_held()
    [seen] = other.remembered(everything).entries
    assert (seen.id, seen.entry) == (owned.id, owned.entry)
    assert owned.id in owned.describe()
    assert owned.id in seen.where


def test_nobody_else_gets_what_is_owned(journal, other):
    """Neither by a sweep nor by a survey."""
    owned = journal.begin(asking())
    assert other.claim(everything).entries == ()
    assert other.survey().entries == ()
    assert owned.is_held()


def test_what_is_released_is_left_to_whoever_sweeps(journal, other):
    """With how far it has come, and then it is theirs."""
    owned = journal.begin(asking())
    noted = writing(owned.entry)
    owned.note(noted)
    owned.release()
    until(lambda: other.survey().entries)
    assert other.survey().scopes == {HERE}
    [taken] = other.claim(everything).entries
    assert (taken.id, taken.entry) == (owned.id, noted)
    assert taken.is_held()
    assert journal.claim(everything).entries == ()


def test_a_process_sees_at_once_what_it_has_released(journal):
    """So that `sweep` after `rotate` finds what that has left."""
    for _ in range(5):
        owned = journal.begin(asking())
        owned.release()
        [taken] = journal.claim(everything).entries
        taken.note(in_state(taken.entry, Closed()))
        taken.release()
    assert ids_in(journal) == []


def test_after_a_release_nothing_is_noted(journal, other):
    """A thread that comes too late gets an error, and what it announces is not done."""
    owned = journal.begin(asking())
    owned.release()
    with pytest.raises(OSError, match=r".") as caught:
        owned.note(writing(owned.entry))
    assert not isinstance(caught.value, TimeoutError)
    assert [type(each.entry.state).__name__ for each in other.remembered(everything).entries] == [
        "Asking"
    ]


def test_what_is_forgotten_is_gone(journal, other):
    """For nothing was begun."""
    journal.begin(asking()).forget()
    until(lambda: not other.remembered(everything).entries)


def test_what_is_closed_is_gone(journal, other):
    """Nothing is left to be done."""
    owned = journal.begin(asking())
    owned.note(in_state(owned.entry, Closed()))
    owned.release()
    assert ids_in(other) == []
    assert other.claim(everything).entries == ()


def test_what_is_kept_is_in_the_ledger(journal, other):
    """It keeps its id, and no sweep gets it."""
    owned = journal.begin(asking())
    entry = writing(owned.entry)
    owned.note(entry)
    owned.entry = entry
    owned.note(kept(entry))
    owned.release()
    [seen] = other.remembered(everything).entries
    assert seen.id == owned.id
    assert isinstance(seen.entry.state, Kept)
    assert other.claim(everything).entries == ()
    assert other.survey().entries == ()


def test_a_key_that_is_replaced_leaves_the_ledger_when_its_successor_comes(journal, other):
    """At no moment both are missing."""
    old = journal.adopt(kept(asking(nonce="oooooo")))
    owned = journal.begin(asking())
    entry = kept(writing(owned.entry), "1" * 64, replaces=old)
    retiring = Retiring("k1", "1" * 64, now(), now(), announced=True)
    for state in (writing(owned.entry).state, retiring, entry.state):
        assert old in ids_in(other)
        owned.note(attrs.evolve(entry, state=state))
        owned.entry = attrs.evolve(entry, state=state)
    assert ids_in(other) == [owned.id]


def test_an_entry_of_the_ledger_is_held_by_one(journal, other):
    """Until it is released; what is not there is held by nobody."""
    entry_id = journal.adopt(kept(asking()))
    held = journal.hold(entry_id)
    assert held is not None
    assert other.hold(entry_id) is None
    held.release()
    until(lambda: other.hold(entry_id) is not None)
    assert journal.hold("0" * 16) is None


def test_what_is_held_can_be_forgotten(journal):
    """Its key was deleted."""
    held = journal.hold(journal.adopt(kept(asking())))
    assert held is not None
    held.forget()
    assert ids_in(journal) == []


def test_to_adopt_a_key_again_adds_nothing(journal, other):
    """Its id says what is in it."""
    assert journal.adopt(kept(asking())) == other.adopt(kept(asking()))
    assert len(ids_in(journal)) == 1


def test_scopes_that_are_not_wanted_are_left_alone(journal, other):
    """With a hint where to look, and without."""
    for scope in (HERE, ELSEWHERE):
        journal.begin(asking(scope)).release()
    journal.survey()
    for near in (None, HERE):
        assert other.remembered(HERE.is_at, near).scopes == {HERE}
        taken = other.claim(HERE.is_at, near)
        assert [each.entry.plan.scope for each in taken.entries] == [HERE]
        taken.release()
    assert other.survey().scopes == {HERE, ELSEWHERE}


def test_of_many_who_claim_at_once_one_gets_each_entry(journal, journal_in):
    """Ten of them, and twenty entries."""
    for _ in range(20):
        journal.begin(asking()).release()
    journal.survey()
    claimants = [journal_in() for _ in range(10)]
    found: list[str] = []

    def claim(claimant: Journal) -> None:
        found.extend(each.id for each in claimant.claim(everything).entries)

    threads = [threading.Thread(target=claim, args=(each,)) for each in claimants]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(found) == ids_in(journal)


def test_every_state_comes_back_as_it_was_noted(journal, other):
    """One format, whatever the journal is."""
    for state in (Dropping("k"), Dropping(7), Retiring(None, "0" * 64, now(), now(), False)):
        owned = journal.begin(asking())
        entry = in_state(writing(owned.entry), state)
        owned.note(entry)
        [seen] = [each for each in other.remembered(everything).entries if each.id == owned.id]
        assert seen.entry == entry


def test_what_cannot_be_read_is_named(journal, kind, request):
    """An entry of a newer version, say: it is a sentence, and no entry."""
    owned = journal.begin(asking())
    owned.release()
    journal.survey()
    spoil(kind, owned, request)
    for found in (journal.remembered(everything), journal.claim(everything), journal.survey()):
        assert found.entries == ()
        [sentence] = found.unreadable
        assert owned.id in sentence
        assert "format 99, which needs a newer agentkeys" in sentence


def spoil(kind: str, owned, request) -> None:
    """Make an entry of a format of the future."""
    if kind == "files":
        owned._path.write_text('{"format": 99}\n')
    else:
        postgres, address = request.getfixturevalue("postgres"), request.getfixturevalue("database")
        statement = "UPDATE agentkeys.entries SET line = '{\"format\": 99}' || chr(10)"
        postgres.run(statement, address.rpartition("/")[2])


def test_every_entry_comes_once(journal, other):
    """Those under way and those that are kept, however many; a plan reads all of them."""
    begun = [journal.begin(asking()).id for _ in range(3)]
    adopted = [journal.adopt(kept(asking(), digest=f"{number:064}")) for number in range(1100)]
    seen = [each.id for each in other.each() if not isinstance(each, str)]
    assert sorted(seen) == sorted(begun + adopted)
