"""Who owns an entry in PostgreSQL: whoever has its lease, and prolongs that while he lives."""

from __future__ import annotations

import gc
import os
import signal
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from journals import asking, in_state, kept, writing
from programs import Program
from proxies import Proxy

from agentkeys import ConfigurationError, JournalError, Secret
from agentkeys.lifecycle.journal import LostError
from agentkeys.lifecycle.journal.postgres import PostgresJournal
from agentkeys.lifecycle.journal.postgres.schema import MIGRATIONS
from agentkeys.lifecycle.machine.states import Closed

if TYPE_CHECKING:
    from collections.abc import Callable

SECONDS = 2.0
PATIENCE = 30.0


def everything(_: object) -> bool:
    return True


def until(happened: Callable[[], object]) -> float:
    """Wait for what happens elsewhere; return for how long."""
    begun = time.monotonic()
    while not happened():
        assert time.monotonic() < begun + PATIENCE
        time.sleep(0.01)
    return time.monotonic() - begun


@pytest.fixture
def address(database) -> str:
    return f"{database}?lease={SECONDS:g}"


@pytest.fixture
def journal(address) -> PostgresJournal:
    return PostgresJournal(Secret(address))


@pytest.fixture
def other(address) -> PostgresJournal:
    """That of another machine."""
    return PostgresJournal(Secret(address))


@pytest.fixture
def sql(postgres, database) -> Callable[[str], list[tuple[object, ...]]]:
    return lambda statement: postgres.run(statement, database.rpartition("/")[2])


def end_leases(sql: Callable[[str], object]) -> None:
    """Do what the time does where nobody prolongs a lease."""
    sql("UPDATE agentkeys.entries SET until = clock_timestamp() WHERE until IS NOT NULL")


def taken_over(other: PostgresJournal, sql: Callable[[str], object]) -> object:
    """Take the only entry over. Its owner, who lives, may have prolonged the lease in between."""
    while True:
        end_leases(sql)
        for taken in other.claim(everything).entries:
            return taken


# What a write does that comes too late.


@pytest.mark.parametrize("then", ["writing", "kept", "closed"])
def test_a_write_of_an_older_epoch_changes_nothing(then, journal, other, sql):
    """Whatever it would have noted; and its writer is told."""
    owned = journal.begin(asking())
    taken_over(other, sql)
    entries = {
        "writing": writing(owned.entry),
        "kept": kept(owned.entry),
        "closed": in_state(owned.entry, Closed()),
    }
    before = sql("SELECT * FROM agentkeys.entries")
    with pytest.raises(LostError, match=f"another process has taken over the row {owned.id}"):
        owned.note(entries[then])
    assert sql("SELECT * FROM agentkeys.entries") == before
    assert not owned.is_held()


def test_a_key_that_is_replaced_stays_if_its_successor_was_lost(journal, other, sql):
    """Both are changed, or neither is."""
    old = journal.adopt(kept(asking(nonce="oooooo")))
    owned = journal.begin(asking())
    taken_over(other, sql)
    with pytest.raises(LostError):
        owned.note(kept(owned.entry, "1" * 64, replaces=old))
    assert len(other.remembered(everything).entries) == 2


def test_what_was_taken_over_and_given_back_is_another_ones_still(journal, other, sql):
    """Its first owner did not see what was done meanwhile."""
    owned = journal.begin(asking())
    taken_over(other, sql).release()
    other.survey()
    with pytest.raises(LostError):
        owned.note(writing(owned.entry))
    owned.release()
    journal.survey()
    assert len(other.claim(everything).entries) == 1


def test_a_release_of_what_was_taken_over_changes_nothing(journal, other, sql):
    """Nor does a deletion."""
    for end in ("release", "forget"):
        owned = journal.begin(asking())
        taken = taken_over(other, sql)
        getattr(owned, end)()
        journal.survey()
        assert journal.claim(everything).entries == ()
        taken.forget()
        other.survey()


# How long it lasts.


@pytest.mark.slow
def test_an_owner_who_lives_keeps_his_entry(journal, other):
    """Three times as long as a lease lasts, with nothing to note."""
    owned = journal.begin(asking())
    deadline = time.monotonic() + 3 * SECONDS
    while time.monotonic() < deadline:
        assert owned.is_held()
        assert other.claim(everything).entries == ()
        time.sleep(0.05)


@pytest.mark.slow
def test_where_there_is_nothing_to_prolong_no_thread_runs(journal):
    """It ends soon after the last lease."""
    before = set(threading.enumerate())
    owned = journal.begin(asking())
    [thread] = set(threading.enumerate()) - before
    owned.note(in_state(owned.entry, Closed()))
    until(lambda: not thread.is_alive())


OWNER = """
    import sys
    from journals import asking
    from agentkeys import Secret
    from agentkeys.lifecycle.journal.postgres import PostgresJournal
    from agentkeys.lifecycle.journal import LostError
    journal = PostgresJournal(Secret(sys.argv[1]))
    owned = journal.begin(asking())
    print("owned", flush=True)
    for line in sys.stdin:
        if line == "end\\n":
            owned.release()
            break
        try:
            owned.note(owned.entry)
        except LostError:
            print("lost", owned.is_held(), flush=True)
        else:
            print("noted", owned.is_held(), flush=True)
"""


@pytest.fixture
def owner(address, monkeypatch) -> Program:
    """A process that owns an entry."""
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2] / "support"))
    program = Program(OWNER, address)
    assert program.read() == "owned"
    yield program
    program.kill()


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP])
def test_another_machine_takes_over_within_the_lease(number, owner, other):
    """From who was killed, and from who was stopped."""
    assert other.claim(everything).entries == ()
    owner.send(number)
    seconds = until(lambda: other.claim(everything).entries)
    assert seconds < SECONDS + 1.0
    if number == signal.SIGSTOP:
        owner.send(signal.SIGCONT)
        owner.tell()
        assert owner.read() == "lost False"


@pytest.mark.slow
def test_who_was_stopped_goes_on_if_nobody_took_over(owner, sql):
    """Longer than the lease lasts, which is prolonged when he is back."""
    owner.send(signal.SIGSTOP)
    until(lambda: sql("SELECT 1 FROM agentkeys.entries WHERE until < clock_timestamp()"))
    owner.send(signal.SIGCONT)
    owner.tell()
    assert owner.read() == "noted True"


@pytest.mark.slow
def test_who_ends_gives_his_entries_up_at_once(owner, other):
    """Nobody has to wait for the lease of a program that has ended."""
    owner.tell("end")
    ended = owner.end()
    assert (ended.code, ended.err) == (0, "")
    assert len(other.claim(everything).entries) == 1


@pytest.mark.slow
def test_behind_a_broken_network_the_owner_stops_before_another_one_begins(
    postgres, database, other
):
    """By his own clock, for nobody can tell him; and when it is mended, he is told."""
    with Proxy(postgres.port) as proxy:
        name = database.rpartition("/")[2]
        address = f"{postgres.address(name, port=proxy.port)}?lease={SECONDS:g}"
        journal = PostgresJournal(Secret(address))
        owned = journal.begin(asking())
        proxy.break_off()
        held: list[bool] = []

        def is_taken() -> bool:
            held.append(owned.is_held())
            return bool(other.claim(everything).entries)

        assert until(is_taken) < SECONDS + 1.0
        assert held[0]
        assert not held[-1]
        proxy.mend()
        with pytest.raises(LostError):
            owned.note(writing(owned.entry))


@pytest.mark.long
def test_what_the_network_holds_up_has_an_end(postgres, database):
    """Even where nothing says that it is broken."""
    with Proxy(postgres.port) as proxy:
        address = postgres.address(database.rpartition("/")[2], port=proxy.port)
        journal = PostgresJournal(Secret(address))
        journal.survey()
        proxy.break_off()
        begun = time.monotonic()
        with pytest.raises(JournalError, match="did not answer in time"):
            journal.survey()
        assert time.monotonic() - begun < 40
        proxy.mend()
        journal.survey()


@pytest.mark.long
def test_a_connection_that_was_lost_while_nobody_used_it_is_replaced(postgres, database):
    """As a firewall loses it: nobody is told. The first call does not fail because of it."""
    with Proxy(postgres.port) as proxy:
        address = postgres.address(database.rpartition("/")[2], port=proxy.port)
        journal = PostgresJournal(Secret(address))
        journal.survey()
        used = time.monotonic()
        proxy.lose()
        until(lambda: time.monotonic() > used + 1.1)
        assert journal.survey().entries == ()


def test_a_step_is_one_round_trip(postgres, database):
    """The database may be far away, and a key has many steps."""
    with Proxy(postgres.port) as proxy:
        address = postgres.address(database.rpartition("/")[2], port=proxy.port)
        journal = PostgresJournal(Secret(f"{address}?lease=600"))
        owned = journal.begin(asking())
        steps = (lambda: owned.note(writing(owned.entry)), lambda: journal.remembered(everything))
        for step in steps:  # a connection that was idle for a second is tried first
            assert min(asked(proxy, step) for _ in range(5)) == 1
        owned.release()


def asked(proxy: Proxy, step: Callable[[], object]) -> int:
    before = proxy.asked
    step()
    return proxy.asked - before


@pytest.mark.slow
def test_a_database_that_is_killed_loses_nothing_that_was_noted(postgres, journal, other):
    """Its clients wait until it is back, and go on; so do their leases."""
    owned = journal.begin(asking())
    for _ in range(3):
        postgres.kill()
        postgres.start()
        entry = writing(owned.entry)
        owned.note(entry)
        owned.entry = entry
        assert [each.entry for each in other.remembered(everything).entries] == [entry]
    assert owned.is_held()


def test_a_forked_child_owns_nothing(journal, other):
    """It has connections of its own, and what its parent owns stays the parent's."""
    owned = journal.begin(asking())
    reading, writing_end = os.pipe()
    child = os.fork()
    if not child:
        said = f"{owned.is_held()} {len(journal.claim(everything).entries)}"
        os.write(writing_end, said.encode())
        os._exit(0)
    os.close(writing_end)
    with os.fdopen(reading) as pipe:
        assert pipe.read() == "False 0"
    os.waitpid(child, 0)
    assert owned.is_held()
    owned.note(writing(owned.entry))
    assert len(other.remembered(everything).entries) == 1


def test_a_journal_that_is_dropped_leaves_no_connection(address, sql):
    """Its connections are closed with it."""
    count = (
        "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'agentkeys'"
        " AND datname = current_database()"
    )
    made = PostgresJournal(Secret(address))
    made.survey()
    assert sql(count) == [(1,)]
    del made
    gc.collect()
    until(lambda: sql(count) == [(0,)])


# The tables.


def test_of_many_who_begin_at_once_one_makes_the_tables(address, sql):
    """The others wait for that, and nobody fails."""
    failures: list[BaseException] = []

    def begin() -> None:
        try:
            PostgresJournal(Secret(address)).begin(asking()).forget()
        except BaseException as error:  # noqa: BLE001
            failures.append(error)

    threads = [threading.Thread(target=begin) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert sql("SELECT number FROM agentkeys.version") == [(len(MIGRATIONS),)]


def test_newer_tables_are_refused_in_a_sentence(journal, other, sql):
    """An older version cannot know what they mean."""
    journal.survey()
    sql("UPDATE agentkeys.version SET number = 99")
    with pytest.raises(ConfigurationError, match=r"of version 99, .* upgrade agentkeys"):
        other.survey()


def test_a_user_without_rights_is_told_what_to_do(postgres, database, journal, sql):
    """And with those that the page names, it works."""
    name = database.rpartition("/")[2]
    journal.survey()
    sql(f"CREATE ROLE {name} LOGIN")
    own = PostgresJournal(Secret(f"postgresql://{name}@127.0.0.1:{postgres.port}/{name}"))
    with pytest.raises(ConfigurationError, match=r"may not do what is needed there \(42501\)"):
        own.survey()
    sql(f"GRANT USAGE ON SCHEMA agentkeys TO {name}")
    sql(f"GRANT SELECT ON agentkeys.version TO {name}")
    sql(f"GRANT SELECT, INSERT, UPDATE, DELETE ON agentkeys.entries TO {name}")
    own.begin(asking()).forget()
    assert own.survey().entries == ()


def test_a_database_that_is_not_there_is_named(postgres):
    """At once, without its password."""
    journal = PostgresJournal(Secret(postgres.address("nowhere")))
    with pytest.raises(ConfigurationError, match="there is no such database or user"):
        journal.survey()


def test_the_time_of_another_machine_is_told_by_the_database(journal, other, sql):
    """An entry that was noted a minute ago there was begun a minute ago here, if this one ran."""
    owned = journal.begin(asking())
    owned.release()
    journal.survey()
    sql("UPDATE agentkeys.entries SET noted = noted - interval '1 minute'")
    [seen] = other.survey().entries
    assert seen.entry == owned.entry  # its own clock knows better
    elsewhere = """regexp_replace(line, '"boot": "[^"]*"', '"boot": "x"')"""
    sql(f"UPDATE agentkeys.entries SET line = {elsewhere}")  # noqa: S608  # ours
    [seen] = other.survey().entries
    begun = seen.entry.state.begun
    assert begun.boot == owned.entry.state.begun.boot
    assert 50 < owned.entry.state.begun.uptime - begun.uptime < 70
    sql("UPDATE agentkeys.entries SET noted = noted - interval '50 years'")
    [seen] = other.survey().entries
    assert seen.entry.state.begun.boot is None  # no machine has run since then
