"""The lifecycle, explored whole: every order of what can happen to two keys that are issued.

The machine is the real one. Of the world around it there is a model: a service that makes keys
late, denies what it did, and loses answers; a store that lies, hangs, and goes away; a journal that
cannot write; and drivers that die between any two steps, while a sweep may begin at any time.
"""

from __future__ import annotations

import attrs
import pytest
from worlds import Rules, Story, explore

from agentkeys.lifecycle import machine as m
from agentkeys.lifecycle.states import Asking, Closed, Denied, Dropping, Writing

# What is explored, and how many worlds there were when it was last counted. There may be more.
KINDS = {
    "a nonce in the name": (Rules(), 80_000),
    "a store whose writes come late": (Rules(late_writes=True), 60_000),
    "an exact name": (Rules(exact=True), 2_400),
    "swept with other credentials": (Rules(foreign=True), 55_000),
    "a machine that starts anew": (Rules(creates=1, boots=1, late_writes=True), 5_000),
    "other credentials, exact name": (Rules(exact=True, foreign=True), 2_300),
}


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


# That the exploration can fail: each row is broken, and it finds who is harmed by that.

DEAD = "the store holds the secret of key 1, which was deleted"
SMALL = [
    Rules(creates=1, crashes=1),
    Rules(creates=1, crashes=1, late_writes=True),
    Rules(creates=1, crashes=1, exact=True),
    Rules(creates=1, crashes=1, foreign=True),
    Rules(creates=1, crashes=0, boots=1, late_writes=True),
]


def test_every_row_is_met_in_some_world():
    """What no world leads to would be code that nobody needs; what is missing, a KeyError."""
    met = [explore(rules).rows for rules in SMALL]
    assert set().union(*met) == set(m.TABLE)


def forget(entry, *_):
    return m.Move(attrs.evolve(entry, state=Closed()), m.End(m.Ending.GONE))


def leave(entry, *_):
    return m.Move(entry, m.End(m.Ending.LEFT))


def delete(entry, *_):
    return m.Move(entry, m.Delete((1,)))


def harmed(harm: str = "", **broken) -> Story | None:
    """Return the first story in which machine or drivers that are broken do such harm."""
    stories = (explore(attrs.evolve(rules, **broken)) for rules in SMALL)
    return next((story for story in stories if story.harm and harm in story.harm), None)


# There nothing is left: the key was never made, or it is deleted.
FORGETTING_IS_RIGHT = {
    (Asking, m.Begin),
    (Asking, m.Unsent),
    (Asking, m.Deleted),
    (Denied, m.Deleted),
    (Writing, m.Deleted),
    (Dropping, m.Deleted),
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
        (Asking, m.Resumed),
        (Asking, m.Listed),
        (Asking, m.Deleted),
        (Denied, m.Resumed),
        (Denied, m.Listed),
        (Denied, m.Deleted),
        (Writing, m.Resumed),
        (Writing, m.Lacks),
        (Writing, m.Holds),
        (Dropping, m.Resumed),
        (Dropping, m.Listed),
        (Dropping, m.Deleted),
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
        *(m.Resumed, m.Written, m.NotWritten, m.WriteUnknown),
        *(m.Holds, m.CannotLook, m.Listed, m.CannotList, m.Weeded, m.NotWeeded),
    ],
)
def test_deleting_without_a_proof_leaves_a_dead_secret_in_the_store(event):
    """Once the store may hold the secret, only a look that found it lacking permits a deletion."""
    story = harmed(DEAD, table={**m.TABLE, (Writing, event): delete})
    print(story)
    assert story is not None


def impatient(entry, state, listed, now):
    later = attrs.evolve(listed, asked=attrs.evolve(now, uptime=now.uptime + 10 * m.PATIENCE))
    return m.TABLE[Asking, m.Listed](entry, state, later, now)


def hasty(entry, state, lacks, now):
    return m.TABLE[Writing, m.Lacks](entry, state, attrs.evolve(lacks, late=False), now)


def timeless(entry, state, listed, now):
    """Take the wall clock's word for it, though it may have been set meanwhile."""
    if m.elapsed(state.begun, listed.asked) is None:
        return forget(entry)
    return m.TABLE[Asking, m.Listed](entry, state, listed, now)


def by_name(entry, state, listed, now):
    nonce = attrs.evolve(entry, plan=attrs.evolve(entry.plan, exact=False))
    return attrs.evolve(m.TABLE[Asking, m.Listed](nonce, state, listed, now), entry=entry)


@pytest.mark.parametrize(
    ("broken", "harm"),
    [
        ({"table": {**m.TABLE, (Asking, m.Listed): impatient}}, "nobody knows of it"),
        ({"table": {**m.TABLE, (Writing, m.Lacks): hasty}}, DEAD),
        ({"table": {**m.TABLE, (Asking, m.Listed): timeless}}, "keys [1] are alive"),
        ({"table": {**m.TABLE, (Asking, m.Listed): by_name}}, "somebody else's was deleted"),
        ({"act_first": True}, DEAD),
        ({"is_blind": True}, DEAD),
        ({"is_sleepy": True}, "nobody knows of it"),
    ],
    ids=[
        "does not wait for a key that comes late",
        "does not wait for a write that comes late",
        "does not wait when no clock can tell",
        "takes an exact name for a proof",
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
