"""Entries go from one journal to another one, and none is lost on the way."""

from __future__ import annotations

import pytest
from journals import asking, kept, writing

from agentkeys import ConfigurationError, Secret
from agentkeys.lifecycle.journal import FileJournal
from agentkeys.lifecycle.journal.postgres import PostgresJournal
from agentkeys.lifecycle.moving import moved


def everything(_: object) -> bool:
    return True


@pytest.fixture(params=["into the database", "back"])
def both(request, database):
    """A journal, and the one to which its entries go."""
    journals = FileJournal(), PostgresJournal(Secret(database))
    return journals if request.param == "into the database" else journals[::-1]


def entries_of(journal):
    return {each.id: each.entry for each in journal.remembered(everything).entries}


def filled(journal):
    """Add what is kept and what was left, and return all of it."""
    journal.adopt(kept(asking(nonce="kkkkkk"), "1" * 64))
    owned = journal.begin(asking(nonce="wwwwww"))
    owned.note(writing(owned.entry))
    owned.release()
    owned = journal.begin(asking(nonce="stored"))
    owned.note(writing(owned.entry, "2" * 64))
    owned.note(kept(owned.entry, "2" * 64))
    owned.release()
    journal.begin(asking()).release()
    return entries_of(journal)


def test_all_of_it_goes_over_as_it_is(both):
    """With its ids, for others name it by these; and nobody owns it there."""
    source, target = both
    entries = filled(source)
    done = moved(source, target)
    assert (done.moved, done.left, done.unreadable) == (4, (), ())
    assert entries_of(source) == {}
    assert entries_of(target) == entries
    assert len(target.claim(everything).entries) == 2


def test_what_somebody_works_on_stays_and_is_named(both):
    """He notes his next step where he has begun."""
    source, target = both
    held = source.hold(source.adopt(kept(asking())))
    owned = source.begin(asking(nonce="worked"))
    done = moved(source, target)
    assert done.moved == 0
    assert len(done.left) == 2
    assert any("bot~worked" in each for each in done.left)
    owned.note(writing(owned.entry))
    owned.release()
    held.release()
    assert moved(source, target).moved == 2
    assert len(entries_of(target)) == 2


def test_who_moves_again_after_he_was_killed_doubles_nothing(both):
    """What is in both has been noted there, and may have gone on since."""
    source, target = both
    entries = filled(source)
    for entry_id, entry in entries.items():
        target.put(entry_id, entry)
    gone_on = next(each for each in target.claim(everything).entries if each.entry.key_id)
    gone_on.note(kept(gone_on.entry))
    gone_on.release()
    known = entries_of(target)
    assert moved(source, target).moved == 4
    assert entries_of(source) == {}
    assert entries_of(target) == known


def test_what_cannot_be_noted_there_stays_here(database, tmp_path, monkeypatch):
    """And can be swept here, as before."""
    source = PostgresJournal(Secret(database))
    entries = filled(source)
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("AGENTKEYS_HOME", str(tmp_path / "file"))
    with pytest.raises(ConfigurationError):
        moved(source, FileJournal())
    assert entries_of(source) == entries
    assert len(source.claim(everything).entries) == 2
