"""What is done about one key, over all combinations of what can be known of it."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime
from itertools import product

import attrs
import pytest

from agentkeys.agentry import ApiKey
from agentkeys.auditing.facts import Empty, Held, Unread
from agentkeys.fleet.around import Around
from agentkeys.fleet.deciding import TO_DO, Holding, Listed, decide
from agentkeys.fleet.manifest.declared import Declared
from agentkeys.keys import Scope
from agentkeys.lifecycle.journal import Remembered, Seen
from agentkeys.lifecycle.machine.moments import Moment
from agentkeys.lifecycle.machine.states import (
    Asking,
    Denied,
    Dropping,
    Entry,
    Kept,
    Ousting,
    Plan,
    Replaced,
    Restoring,
    Retiring,
    Writing,
)

DAY = 86400.0
NOW = Moment(1_000 * DAY)
STORE = "dotenv:/app/.env#BOT"
SCOPE = Scope("Agentry", "https://api.agentry.to", "inbox", "a@x.to", "human", "me")
THEIRS = attrs.evolve(SCOPE, account="somebody else")
BOT = Declared("agentry", "bot", STORE, inbox="a@x.to")
OWN, OTHER = "11", "22"
"""The digest of the secret that the ledger says is in the store, and another one."""
AT_HOME = "bot~aaaaaa"
"""The name of the key that the ledger says is in the store."""


def at(days):
    return Moment(NOW.wall - days * DAY)


def key(key_id, name, days=10, used=None):
    made = datetime.fromtimestamp(at(days).wall, UTC)
    used_at = None if used is None else datetime.fromtimestamp(at(used).wall, UTC)
    return ApiKey(key_id, name, "ag_x", made, inbox_id="a@x.to", used_at=used_at)


def entry(state, name=AT_HOME, *, base="bot", store=STORE, scope=SCOPE, replaces=None):
    exact = not name.startswith(f"{base}~")
    return Entry(Plan(scope, base, exact, store, replaces=replaces), name, state)


KEPT = entry(Kept("new", OWN, at(10)))
OLD = Replaced("old", "bot~bbbbbb", "0" * 16, grace=1 * DAY, longest=7 * DAY)


def retiring(days, *, announced=True):
    return Retiring("new", OWN, at(days), at(days), announced)


STATES = {
    "nothing": None,
    "kept": KEPT,
    "kept, digest unknown": entry(Kept("new", "", at(10))),
    "kept, of another name": entry(Kept("new", OWN, at(10)), "bat~aaaaaa", base="bat"),
    "kept elsewhere": attrs.evolve(KEPT, plan=attrs.evolve(KEPT.plan, store="dotenv:/b#BOT")),
    "asking": entry(Asking(at(1), 30.0)),
    "asking for another name": entry(Asking(at(1), 30.0), "bat~aaaaaa", base="bat"),
    "denied": entry(Denied()),
    "writing": entry(Writing("new", OWN, alone=True, begun=at(1), late=0.0)),
    "dropping": entry(Dropping("new")),
    "untold": entry(retiring(3, announced=False), replaces=OLD),
    "in grace": entry(retiring(0.5), replaces=OLD),
    "due": entry(retiring(3), replaces=OLD),
    "due elsewhere": entry(retiring(3), store="dotenv:/b#BOT", replaces=OLD),
    "long due": entry(retiring(30), replaces=OLD),
    "ousting": entry(Ousting("new", OWN, at(3)), replaces=OLD),
    "restoring": entry(Restoring(retiring(3), "33", at(1), 0.0), replaces=OLD),
}
LISTINGS = {
    "not listed": Unread("the service is down"),
    "empty": (),
    "young": (key("new", AT_HOME),),
    "old": (key("new", AT_HOME, days=100),),
    "an id again": (key("new", "bot~dddddd"),),
    "both": (key("new", AT_HOME), key("old", "bot~bbbbbb", days=100)),
    "both, one used": (key("new", AT_HOME), key("old", "bot~bbbbbb", days=100, used=0.1)),
    "only what was replaced": (key("old", "bot~bbbbbb", days=100),),
    "a stranger": (key("x", "bot"),),
    "a stranger with a nonce": (key("x", "bot~cccccc"),),
    "two strangers": (key("x", "bot~cccccc"), key("y", "bot")),
    "it and a stranger": (key("new", AT_HOME), key("x", "bot~cccccc")),
    "others": (key("z", "bots"), key("z2", "bot~c"), key("z3", "robot~cccccc")),
}
STORES = {
    "its secret": Holding(Held(OWN), frozenset({"new"})),
    "its secret, by another key's prefix": Holding(Held(OWN), frozenset(), frozenset({"new"})),
    "another secret": Holding(Held(OTHER)),
    "a stranger's": Holding(Held(OTHER), frozenset({"x"}), frozenset({"y"})),
    "one of two strangers'": Holding(Held(OTHER), frozenset({"x", "y"})),
    "empty": Holding(Empty()),
    "unread": Holding(Unread("it is locked")),
    "write-only": Holding(Unread("nobody can", by_nature=True)),
}
SCOPES = {"ours": SCOPE, "theirs": THEIRS}
ALL = [*product(STATES, LISTINGS, STORES, (None, 90 * DAY), SCOPES, (False, True))]


@attrs.frozen
class World:
    """One combination."""

    state: str
    listing: str
    store: str
    max_age: float | None
    account: str
    is_broken: bool

    @property
    def entry(self):
        found = STATES[self.state]
        if found is None:
            return None
        return attrs.evolve(found, plan=attrs.evolve(found.plan, scope=SCOPES[self.account]))

    @property
    def keys(self):
        found = LISTINGS[self.listing]
        return () if isinstance(found, Unread) else found

    @property
    def found(self):
        return STORES[self.store].found

    @property
    def ledger(self):
        seen = () if self.entry is None else (Seen("1" * 16, self.entry, "there"),)
        return Remembered(seen, ("a file cannot be read",) if self.is_broken else ())

    @property
    def listed(self):
        return Listed(LISTINGS[self.listing], SCOPE)

    def step(self, around=None):
        declared = attrs.evolve(BOT, max_age=self.max_age)
        ledger, listed = (self.ledger, self.listed) if around is None else around.of(declared)
        return decide(declared, ledger, listed, STORES[self.store], NOW)

    @property
    def is_there(self):
        """Whether the key of the entry is listed."""
        return (self.entry.key_id, self.entry.name) in {(each.id, each.name) for each in self.keys}

    @property
    def is_held(self):
        """Whether the store holds the secret that the ledger says, as far as anybody can tell."""
        if isinstance(self.found, Unread):
            return self.found.by_nature
        digest = getattr(self.entry.state, "digest", None)
        return isinstance(self.found, Held) and digest in {"", self.found.digest}

    @property
    def strangers(self):
        """The keys of that name which the ledger does not know."""
        known = set()
        if self.entry is not None:
            known = {self.entry.name, *([OLD.name] if self.entry.plan.replaces else [])}
        named = {"bot", AT_HOME, "bot~bbbbbb", "bot~cccccc", "bot~dddddd"}
        return [each for each in self.keys if each.name in named - known]


WORLDS = [World(*each) for each in ALL]


def each(*wanted):
    found = [(world, world.step()) for world in WORLDS]
    return [(world, step) for world, step in found if step.do in wanted]


def test_every_combination_is_decided_and_says_why():
    """Whatever is not simply done or left alone has a sentence."""
    count = Counter(world.step().do for world in WORLDS)
    assert set(count) == {*TO_DO, "wait", "nothing", "unclear"} - {"prune"}
    for world, step in each("wait", "unclear", "finish", "rotate"):
        assert step.why, world


def test_could_not_look_is_never_nothing_there():
    """If the listing, the store or the journal could not be read, nothing new is concluded."""
    for world in WORLDS:
        do = world.step().do
        if world.listing == "not listed":
            assert do == "unclear", world
        elif world.store == "unread":
            assert do in {"unclear", "finish"}, world
        elif world.is_broken and world.entry is None:
            assert do == "unclear", world


def test_a_key_is_issued_only_where_none_is():
    """No key of the name is unknown to the ledger, and the store holds no secret that lives."""
    for world, step in each("issue"):
        assert not world.strangers, world
        here = world.entry is not None and world.entry.plan.store == STORE
        if not here:
            assert world.store in {"empty", "write-only"}, world
            assert not step.replace
            continue
        assert isinstance(world.entry.state, Kept), world
        assert not world.is_there, world
        assert world.account == "ours", world
        assert world.is_held or world.store == "empty", world
        assert step.replace == (world.store != "empty"), world


def test_a_key_is_replaced_only_if_it_is_too_old_and_surely_stored():
    """It is listed, the ledger says where its secret is, and the store does not deny it."""
    for world, step in each("rotate"):
        assert isinstance(world.entry.state, Kept), world
        assert step.key_id == "new"
        assert world.listing == "old", world
        assert world.max_age == 90 * DAY, world
        assert world.is_held, world
        assert "another key's prefix" not in world.store, world


def test_a_key_retires_only_when_its_successor_is_stored():
    """Everybody was told, the grace is over, nobody uses it, and the new secret is in its place."""
    for world, step in each("retire"):
        assert step.key_id == "old"
        assert world.state in {"due", "long due", "ousting"}, world
        assert world.is_held, world
        assert world.is_there, world
        assert world.account == "ours" or "old" in {key.id for key in world.keys}, world
        assert "used" not in world.listing or world.state == "ousting", world


def test_a_key_is_adopted_only_if_the_secret_proves_it():
    """Of all listed keys it is the only one that begins like the secret, and it has the name."""
    for world, step in each("adopt"):
        assert STORES[world.store].fits == {step.key_id}, world
        assert [key.id for key in world.strangers].count(step.key_id) == 1, world


def test_a_key_is_as_declared_only_if_it_is_seen_so():
    """It is listed, young enough, and the store holds it."""
    for world, _ in each("nothing"):
        assert isinstance(world.entry.state, Kept), world
        assert world.is_there, world
        assert world.is_held, world
        assert world.max_age is None or world.listing != "old", world


def test_an_attempt_is_finished_before_anything_else():
    """Nothing is decided over what somebody may be at."""
    attempts = {"asking", "denied", "writing", "dropping", "restoring"}
    for world in WORLDS:
        if world.state in attempts and world.listing != "not listed":
            assert world.step().do == "finish", world


def test_what_concerns_a_key_is_enough():
    """Among the entries and keys of a large place the same is decided as among those of one key."""
    known = [(Kept(f"k{n}", f"d{n}", at(3)), f"n{n}") for n in range(3)]
    noise = [
        Seen(f"{n:016x}", entry(state, name, base=name, store=name), "")
        for n, (state, name) in enumerate(known)
    ]
    more = tuple(key(f"k{n}", f"n{n}") for n in range(3))
    for world in WORLDS:
        ledger = attrs.evolve(world.ledger, entries=(*noise, *world.ledger.entries))
        listed = world.listed
        if not isinstance(listed.keys, Unread):
            listed = attrs.evolve(listed, keys=(*more, *listed.keys))
        assert world.step(Around(ledger, listed)) == world.step(), world


@pytest.mark.parametrize(
    ("state", "listing", "store", "do"),
    [
        ("nothing", "empty", "empty", "issue"),
        ("nothing", "others", "write-only", "issue"),
        ("nothing", "a stranger", "empty", "unclear"),
        ("nothing", "a stranger", "a stranger's", "adopt"),
        ("nothing", "two strangers", "a stranger's", "adopt"),
        ("nothing", "two strangers", "one of two strangers'", "unclear"),
        ("nothing", "empty", "another secret", "unclear"),
        ("kept", "young", "its secret", "nothing"),
        ("kept", "young", "its secret, by another key's prefix", "unclear"),
        ("kept", "old", "its secret", "rotate"),
        ("kept", "old", "write-only", "rotate"),
        ("kept", "old", "empty", "unclear"),
        ("kept", "empty", "its secret", "issue"),
        ("kept", "it and a stranger", "a stranger's", "adopt"),
        ("kept elsewhere", "young", "empty", "issue"),
        ("due elsewhere", "both", "empty", "issue"),
        ("kept, of another name", "young", "its secret", "unclear"),
        ("untold", "both", "its secret", "wait"),
        ("in grace", "both", "its secret", "wait"),
        ("due", "both", "its secret", "retire"),
        ("due", "both, one used", "its secret", "wait"),
        ("long due", "both, one used", "its secret", "unclear"),
        ("due", "only what was replaced", "its secret", "unclear"),
        ("due", "both", "another secret", "unclear"),
        ("ousting", "young", "its secret", "retire"),
    ],
)
def test_what_is_decided(state, listing, store, do):
    """The common cases, by name."""
    assert World(state, listing, store, 90 * DAY, "ours", is_broken=False).step().do == do


def test_permissions_that_differ_are_said():
    """No key can change them, and a rotation keeps them."""
    declared = attrs.evolve(BOT, agent=True, permissions={"read": True})
    listed = (attrs.evolve(key("new", AT_HOME), permissions={"read": False}),)
    ledger = Remembered((Seen("1" * 16, KEPT, "there"),))
    step = decide(declared, ledger, Listed(listed, SCOPE), STORES["its secret"], NOW)
    assert step.do == "unclear"
    assert "permissions" in step.why
