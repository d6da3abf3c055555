"""The lifecycle, explored whole: every order of what can happen to keys, issued or replaced.

The machine is the real one. Of the world around it there is a model: a service that makes keys
late, denies what it did, and loses answers; a store that lies, hangs, and goes away; a journal that
cannot write; and drivers that die between any two steps, while a sweep may begin at any time.
"""

from __future__ import annotations

import re

import attrs
import pytest
from worlds import OLD, Rules, Story, explore

from agentkeys.lifecycle.machine import commands as c
from agentkeys.lifecycle.machine import events as e
from agentkeys.lifecycle.machine import rows
from agentkeys.lifecycle.machine import table as m
from agentkeys.lifecycle.machine.moments import elapsed
from agentkeys.lifecycle.machine.states import (
    Asking,
    Closed,
    Denied,
    Dropping,
    Ousting,
    Restoring,
    Retiring,
    Writing,
)

ROTATED = Rules(creates=1, replaces=True, is_owed=True)

pytestmark = pytest.mark.slow  # it is pure

# What is explored, and how many worlds there were when it was last counted. There may be more.
KINDS = {
    "a nonce in the name": (Rules(), 80_000),
    "a store whose writes come late": (Rules(creates=1, late_writes=True), 3_000),
    "an exact name": (Rules(exact=True), 2_400),
    "swept with other credentials": (Rules(creates=1, foreign=True), 4_000),
    "a machine that starts anew": (Rules(creates=1, boots=1, late_writes=True), 5_000),
    "other credentials, exact name": (Rules(exact=True, foreign=True), 2_300),
    "a key is replaced": (Rules(creates=1, replaces=True), 17_000),
    "a key is replaced, and its users must be told": (ROTATED, 29_000),
    "a key is replaced, with writes that come late": (
        Rules(creates=1, replaces=True, late_writes=True, is_owed=True),
        22_000,
    ),
    "a key is replaced, and retires at once": (
        Rules(creates=1, replaces=True, late_writes=True, grace=0.0),
        18_000,
    ),
    "a key is lent": (Rules(lends=True), 24_000),
    "a key is lent, by a machine that starts anew": (Rules(lends=True, boots=1), 38_000),
    "a key is replaced, and used for ever": (
        Rules(creates=1, replaces=True, longest=m.PATIENCE),
        17_000,
    ),
    "a key is replaced, by a machine that starts anew": (
        Rules(creates=1, replaces=True, boots=1, late_writes=True),
        41_000,
    ),
    "a key is replaced, and swept with other credentials": (
        Rules(creates=1, replaces=True, foreign=True),
        10_000,
    ),
}


TWO_CREATES = [
    (Rules(late_writes=True), 60_000),
    (Rules(foreign=True), 55_000),
    (Rules(replaces=True), 220_000),
]


@pytest.mark.long
@pytest.mark.parametrize(("rules", "least"), TWO_CREATES)
def test_no_order_of_events_harms_anybody_when_a_second_key_is_asked_for(rules, least):
    """The first one may come late, and be found, while the second one is stored."""
    story = explore(rules)
    print(story)
    assert story.harm is None, story
    assert story.worlds >= least


@pytest.mark.parametrize(
    "crashes", [1, pytest.param(3, marks=pytest.mark.long)], ids="killed {} times".format
)
@pytest.mark.parametrize("kind", KINDS)
def test_no_order_of_events_harms_anybody(kind, crashes):
    """No stored secret loses its key, no key is forgotten, no other key is deleted."""
    rules, least = KINDS[kind]
    story = explore(attrs.evolve(rules, crashes=crashes))
    print(story)
    assert story.harm is None, story
    assert story.worlds >= least


# A journal whose owners have leases: one may be lost while its owner lives, who is paused.

LEASED = Rules(creates=1, crashes=0, losses=1)


@pytest.mark.parametrize(
    ("rules", "least"),
    [
        (LEASED, 45_000),
        # The epoch of what is noted protects; a look before it spares requests that are in vain.
        (attrs.evolve(LEASED, looks_away=True), 50_000),
        (attrs.evolve(LEASED, crashes=1, late_writes=True), 55_000),
        *(
            pytest.param(rules, least, marks=pytest.mark.long)
            for rules, least in [
                (attrs.evolve(LEASED, losses=2), 640_000),
                (attrs.evolve(LEASED, replaces=True), 370_000),
                (attrs.evolve(LEASED, replaces=True, is_owed=True), 700_000),
                (attrs.evolve(LEASED, replaces=True, grace=0.0, late_writes=True), 330_000),
            ]
        ),
    ],
)
def test_no_order_of_events_harms_anybody_when_a_lease_is_lost(rules, least):
    """Whoever was paused before a write takes it back, if nobody has seen it in the store."""
    story = explore(rules)
    print(story)
    assert story.harm is None, story
    assert story.worlds >= least


@pytest.mark.parametrize(
    ("broken", "harm"),
    [
        ({"is_unfenced": True}, "nobody knows of it"),
        ({"is_careless": True}, "after a last sweep, the store holds the secret of key 1"),
        ({"is_hasty": True}, "the store holds the secret of key 1, which was deleted"),
    ],
)
def test_one_with_a_lease_who_does_not_see_that_it_is_lost_harms_somebody(broken, harm):
    """The epoch, what is undone at the finish, and to delete nothing that cannot be noted."""
    story = explore(attrs.evolve(LEASED, **broken))
    print(story)
    assert story.harm is not None
    assert harm in story.harm


# That the exploration can fail: each row is broken, and it finds who is harmed by that.

DEAD = "the store holds the secret of key 1, which was deleted"
ISSUED = [
    Rules(creates=1, crashes=1),
    Rules(creates=1, crashes=1, late_writes=True),
    Rules(creates=1, crashes=1, exact=True),
    Rules(creates=1, crashes=1, foreign=True),
    Rules(creates=1, crashes=0, boots=1, late_writes=True),
]
REPLACED = [
    ROTATED,
    Rules(creates=1, replaces=True, late_writes=True, grace=0.0),
    Rules(creates=1, replaces=True, longest=m.PATIENCE),
    Rules(creates=1, replaces=True, foreign=True),
]


def test_every_row_is_met_in_some_world():
    """What no world leads to would be code that nobody needs; what is missing, a KeyError."""
    met = [explore(rules).rows for rules in (*ISSUED, *REPLACED)]
    assert set().union(*met) == set(m.TABLE)


# Nothing else meets these: who issues a key that replaces none is never there.
OF_ROTATIONS = {
    *((Asking, e.Verified), (Asking, e.Unusable)),
    *(row for row in m.TABLE if row[0] in {Retiring, Ousting, Restoring}),
}


def forget(entry, *_):
    return rows.Move(attrs.evolve(entry, state=Closed()), c.End(c.Ending.GONE))


def leave(entry, *_):
    return rows.Move(entry, c.End(c.Ending.LEFT))


def delete(entry, *_):
    return rows.Move(entry, c.Delete((1,)))


def harmed(harm: str = "", **broken) -> Story | None:
    """Return the first story in which machine or drivers that are broken do such harm."""
    table = broken.get("table", m.TABLE)
    is_of_rotations = any(row in OF_ROTATIONS for row in m.TABLE if table[row] is not m.TABLE[row])
    kinds = REPLACED if is_of_rotations else ISSUED
    stories = (explore(attrs.evolve(rules, **broken)) for rules in kinds)
    return next((story for story in stories if story.harm and harm in story.harm), None)


# There nothing is left: the key was never made, or it is deleted.
FORGETTING_IS_RIGHT = {
    (Asking, e.Begin),
    (Asking, e.Unsent),
    (Asking, e.Deleted),
    (Denied, e.Deleted),
    (Writing, e.Deleted),
    (Dropping, e.Deleted),
}


@pytest.mark.parametrize("row", m.TABLE, ids=lambda row: "-".join(each.__name__ for each in row))
def test_a_row_that_forgets_too_early_loses_a_key(row):
    """Each row but those that end with no key: if it forgets the entry, a key is lost."""
    story = harmed(table={**m.TABLE, row: forget})
    print(story)
    assert (story is None) == (row in FORGETTING_IS_RIGHT)


@pytest.mark.parametrize(
    "row",
    [
        (Asking, e.Resumed),
        (Asking, e.Listed),
        (Asking, e.Deleted),
        (Denied, e.Resumed),
        (Denied, e.Listed),
        (Denied, e.Deleted),
        (Writing, e.Resumed),
        (Writing, e.Lacks),
        (Writing, e.Holds),
        (Dropping, e.Resumed),
        (Dropping, e.Listed),
        (Dropping, e.Deleted),
        (Retiring, e.Resumed),
        (Retiring, e.Announced),
        (Retiring, e.Watched),
        (Retiring, e.Holds),
        (Ousting, e.Resumed),
        (Ousting, e.Watched),
        (Ousting, e.Holds),
        (Restoring, e.Resumed),
        (Restoring, e.Holds),
        (Restoring, e.Lacks),
    ],
    ids=lambda row: "-".join(each.__name__ for each in row),
)
def test_a_row_that_never_finishes_leaves_an_entry_for_ever(row):
    """When everything works again, one more sweep must settle it all."""
    story = harmed("after a last sweep", table={**m.TABLE, row: leave})
    print(story)
    assert story is not None


@pytest.mark.parametrize(
    "event",
    [
        *(e.Resumed, e.Written, e.NotWritten, e.WriteUnknown),
        *(
            e.Holds,
            e.CannotLook,
            e.Listed,
            e.CannotList,
            e.Weeded,
            e.NotWeeded,
        ),
    ],
)
def test_deleting_without_a_proof_leaves_a_dead_secret_in_the_store(event):
    """Once the store may hold the secret, only a look that found it lacking permits a deletion."""
    story = harmed(DEAD, table={**m.TABLE, (Writing, event): delete})
    print(story)
    assert story is not None


def delete_the_old_one(entry, *_):
    return rows.Move(entry, c.Delete((OLD,)))


@pytest.mark.parametrize(
    "event",
    [*(e.Resumed, e.NotAnnounced, e.Watched, e.CannotList, e.Lacks, e.CannotLook)],
)
def test_deleting_the_old_key_without_a_proof_harms_whoever_uses_it(event):
    """It goes when the new secret was seen in the store, its users know, and nobody uses it."""
    ended = {(Retiring, e.Deleted): leave, (Retiring, e.NotDeleted): leave}
    story = harmed("the", table={**m.TABLE, **ended, (Retiring, event): delete_the_old_one})
    print(story)
    assert story is not None
    assert OLD_HARM.search(story.harm), story


OLD_HARM = re.compile("the old key was deleted|holds the secret of key 9, which was deleted")


@pytest.mark.parametrize(
    ("row", "broken"), [((Dropping, e.Resumed), leave), ((Dropping, e.Listed), forget)]
)
def test_a_lease_that_nobody_finishes_leaves_a_key(row, broken):
    """Whoever dies with a lease is finished by a sweep, for the entry lasts as long as the key."""
    rules = Rules(creates=1, crashes=1, lends=True, table={**m.TABLE, row: broken})
    story = explore(rules)
    print(story)
    assert story.harm is not None


def store_at_once(entry, _, failed, now):
    return m.TABLE[Asking, e.Verified](entry, entry.state, e.Verified(failed.made), now)


def busy(entry, state, watched, now):
    return m.TABLE[Retiring, e.Watched](entry, state, attrs.evolve(watched, used=None), now)


def restless(entry, state, lacks, now):
    return m.TABLE[Restoring, e.Lacks](entry, state, attrs.evolve(lacks, late=False), now)


def heedless(entry, state, watched, now):
    there = attrs.evolve(watched, is_replaced=True)
    return m.TABLE[Retiring, e.Watched](entry, state, there, now)


def untold(entry, state, resumed, now):
    told = attrs.evolve(state, announced=True)
    return m.TABLE[Retiring, e.Resumed](attrs.evolve(entry, state=told), told, resumed, now)


def unseen(entry, state, holds, now):
    """Believe what was seen before: the deletion is noted and sent without another look."""
    return m.TABLE[Retiring, e.Holds](entry, state, holds, now)


def impatient(entry, state, listed, now):
    later = attrs.evolve(listed, asked=attrs.evolve(now, uptime=now.uptime + 10 * m.PATIENCE))
    return m.TABLE[Asking, e.Listed](entry, state, later, now)


def hasty(entry, state, lacks, now):
    return m.TABLE[Writing, e.Lacks](entry, state, attrs.evolve(lacks, late=False), now)


def timeless(entry, state, listed, now):
    """Take the wall clock's word for it, though it may have been set meanwhile."""
    if elapsed(state.begun, listed.asked) is None:
        return forget(entry)
    return m.TABLE[Asking, e.Listed](entry, state, listed, now)


def by_name(entry, state, listed, now):
    nonce = attrs.evolve(entry, plan=attrs.evolve(entry.plan, exact=False))
    return attrs.evolve(m.TABLE[Asking, e.Listed](nonce, state, listed, now), entry=entry)


@pytest.mark.parametrize(
    ("broken", "harm"),
    [
        ({"table": {**m.TABLE, (Asking, e.Listed): impatient}}, "nobody knows of it"),
        ({"table": {**m.TABLE, (Writing, e.Lacks): hasty}}, DEAD),
        ({"table": {**m.TABLE, (Asking, e.Listed): timeless}}, "keys [1] are alive"),
        ({"table": {**m.TABLE, (Asking, e.Listed): by_name}}, "somebody else's was deleted"),
        ({"table": {**m.TABLE, (Asking, e.Unusable): store_at_once}}, "does not work"),
        ({"table": {**m.TABLE, (Retiring, e.Watched): busy}}, "while it was used"),
        ({"table": {**m.TABLE, (Retiring, e.Watched): heedless}}, "though the new one is gone"),
        ({"table": {**m.TABLE, (Retiring, e.Watched): unseen}}, "before the new one was stored"),
        ({"table": {**m.TABLE, (Retiring, e.Resumed): untold}}, "before its users were told"),
        ({"table": {**m.TABLE, (Restoring, e.Lacks): restless}}, "key 9, which was deleted"),
        ({"act_first": True}, DEAD),
        ({"is_blind": True}, DEAD),
        ({"is_sleepy": True}, "nobody knows of it"),
    ],
    ids=[
        "does not wait for a key that comes late",
        "does not wait for a write that comes late",
        "does not wait when no clock can tell",
        "takes an exact name for a proof",
        "stores a secret that does not work",
        "does not wait for a key that is used",
        "does not see whether the new key is there",
        "does not look into the store before it deletes the old key",
        "does not wait until its users are told",
        "does not wait for an old secret that comes late",
        "acts before it has noted",
        "takes a store that is gone for one that lacks the secret",
        "asks though it has slept",
    ],
)
def test_a_promise_that_is_broken_harms_somebody(broken, harm):
    """What machine and driver promise is needed, each of it."""
    story = harmed(harm, **broken)
    print(story)
    assert story is not None


def test_a_story_can_be_read():
    """It says who was harmed, and each step that led there, numbered."""
    story = str(harmed(DEAD, is_blind=True))
    assert "HARM: the store holds the secret of key 1, which was deleted" in story
    assert "\n  1. " in story
    assert "the store's place is gone" in story
