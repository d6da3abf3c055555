"""Every order of what can happen to keys that are issued, with the real machine in a model world.

A world is a service with commits that come late, a store whose place may be gone for a while, a
journal, and drivers that may crash between any two steps, while a sweep may begin at any time. What
each step leads to is a new world. `explore` goes through all of them, breadth first, and stops at
the first that harms somebody.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import attrs

from agentkeys.keys import Scope
from agentkeys.lifecycle.machine import commands as c
from agentkeys.lifecycle.machine import events as e
from agentkeys.lifecycle.machine import rows
from agentkeys.lifecycle.machine import table as m
from agentkeys.lifecycle.machine.moments import Moment
from agentkeys.lifecycle.machine.states import (
    Asking,
    Closed,
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

if TYPE_CHECKING:
    from collections.abc import Iterator

    from agentkeys.lifecycle.machine.states import State

THEIRS = 0
"""The id of a key that is not ours, and that has the very name that we give ours."""
OLD = 9
"""The id of the key that is replaced, if one is. The store holds its secret at first."""
TWIN = 10
"""What the id of a key is more that a try made which was refused."""
LONG: Final = 10 * m.PATIENCE
AGAIN = {c.Ending.DROPPED, c.Ending.MAY_COME}
"""After these `issue` begins anew."""
_LENT = c.End(c.Ending.LENT)
SILENT = {c.Ending.UNPROVEN, c.Ending.FOREIGN, c.Ending.UNKNOWN}
"""What only a person can decide."""


@attrs.frozen
class Rules:
    """What kind of world it is.

    Attributes:
        exact: whether the key gets its exact name.
        foreign: whether who sweeps has other credentials, that see no key of ours.
        late_writes: whether a write that nobody waits for any more may come late.
        creates: how many keys are asked for.
        crashes: how many drivers may die.
        boots: how often the machine may start anew, with a wall clock that is wrong.
        act_first: whether the driver runs a command before its entry is durable. It must not.
        is_blind: whether a store whose place is gone counts as one that was looked into. It must
            not.
        is_sleepy: whether the driver asks though it has slept since it noted that. It must not.
        lends: whether the key is lent to a caller, and stored nowhere.
        replaces: whether the key is to replace another one.
        is_owed: whether somebody must be told before the other one retires.
        grace: for how many seconds the other one lives on.
        longest: for how many seconds the other one may be used.
        losses: how many drivers may lose their lease while they live: somebody takes the entry
            over, and they are paused for as long as it takes.
        is_unfenced: whether one who has lost it goes on all the same. It must not.
        looks_away: whether one who has lost it does all that needs no note. It should not, though
            what was noted by then permits it.
        is_careless: whether one who has lost it leaves what it has written to the store. It must
            not.
        is_hasty: whether one who has a lease deletes a key though that cannot be noted. It must
            not.
        table: the machine's rows.
    """

    exact: bool = False
    foreign: bool = False
    late_writes: bool = False
    creates: int = 2
    crashes: int = 1
    boots: int = 0
    act_first: bool = False
    is_blind: bool = False
    is_sleepy: bool = False
    lends: bool = False
    replaces: bool = False
    is_owed: bool = False
    grace: float = m.PATIENCE
    longest: float = 2 * LONG
    losses: int = 0
    is_unfenced: bool = False
    looks_away: bool = False
    is_careless: bool = False
    is_hasty: bool = False
    table: rows.Table = attrs.field(default=m.TABLE, hash=False)

    def plan(self) -> Plan:
        scope = Scope("Agentity", "https://api.test", account="me")
        late = m.PATIENCE if self.late_writes else 0.0
        replaced = Replaced(OLD, "bot~old", "1", self.grace, self.longest, self.is_owed)
        return Plan(
            scope,
            "bot",
            self.exact,
            "" if self.lends else "dotenv:.env#KEY",
            late,
            replaced if self.replaces else None,
        )


class Driver(NamedTuple):
    who: str
    entry: int
    step: Any
    """The event that it has heard, or the command that it is about to run."""
    unnoted: State | None = None
    """The state that a driver which acts first has yet to note."""
    known: State | None = None
    """The state that a driver knows which has lost its entry."""


class World(NamedTuple):
    live: frozenset[int]
    late: frozenset[int]
    stored: int | None
    writes: frozenset[int]
    is_there: bool
    entries: tuple[tuple[int, State], ...]
    drivers: tuple[Driver, ...]
    creates: int
    crashes: int
    moves: int
    boots: int
    is_over: bool
    is_told: bool = False
    """Whether those who use the key that is replaced have been told."""
    is_put_back: bool = False
    """Whether somebody has put the old secret back by hand."""
    is_used: bool = False
    """Whether the key that is replaced was seen in use a moment ago."""
    useless: frozenset[int] = frozenset()
    """The keys that the service does not know, though it has made them."""
    ruined: int | None = None
    """A new key that somebody has deleted, whose secret the store holds."""
    aborts: int = 0
    losses: int = 0
    blame: str = ""
    """What should not have been done when it was."""

    def now(self) -> Moment:
        """Return the time: soon after the last note, or long after it."""
        seconds = LONG if self.is_over else 0.0
        return Moment(seconds, f"boot {self.boots}", seconds)


class Story(NamedTuple):
    """What was seen, and what led to harm."""

    worlds: int
    moves: int
    endings: frozenset[tuple[str, c.Ending]]
    rows: frozenset[tuple[type, type]]
    harm: str | None
    steps: tuple[str, ...]

    def __str__(self) -> str:
        numbered = [f"  {n}. {step}" for n, step in enumerate(self.steps, 1)]
        seen = f"{self.worlds} worlds, {self.moves} moves"
        return "\n".join([seen, *([f"HARM: {self.harm}", *numbered] if self.harm else [])])


class Model:
    def __init__(self, rules: Rules) -> None:
        self.rules = rules
        self.plan = rules.plan()
        self.rows: set[tuple[type, type]] = set()
        self.endings: set[tuple[str, c.Ending]] = set()

    def start(self) -> World:
        nothing: frozenset[int] = frozenset()
        old = OLD if self.rules.replaces else None
        live = frozenset({THEIRS} if old is None else {THEIRS, old})
        world = World(live, nothing, old, nothing, True, (), (), 0, 0, 0, 0, is_over=False)
        return self._begun(world)

    def _begun(self, world: World) -> World:
        """Begin an entry, which is durable before anything is asked."""
        number = world.creates + 1
        world = world._replace(is_over=False)
        return world._replace(
            entries=(*world.entries, (number, Asking(world.now(), 0.0))),
            drivers=(*world.drivers, Driver("issue", number, e.Begin())),
            creates=number,
        )

    def _entry(self, world: World, driver: Driver) -> Entry:
        number = driver.entry
        name = self.plan.name if self.rules.exact else f"{self.plan.name}~{number}"
        return Entry(self.plan, name, driver.known or dict(world.entries)[number])

    # What may happen next.

    def steps(self, world: World) -> Iterator[tuple[str, World]]:
        for driver in world.drivers:
            if driver.known is not None:
                yield from self._too_late(world, driver)
                continue
            if driver.entry not in dict(world.entries):
                yield f"{driver.who} sees that there is no entry", _without(world, driver)
                continue
            if driver.step == _LENT:
                yield "the lease ends", _with(world, driver, e.Resumed())
            elif isinstance(driver.step, c.End):
                pass  # it keeps the entry to itself for as long as it lives
            elif isinstance(driver.step, c.Command):
                yield from self._acts(world, driver)
            else:
                yield from self._hears(world, driver)
            if world.crashes < self.rules.crashes:
                yield f"{driver.who} is killed", self._killed(world, driver)
        yield from self._meanwhile(world)
        yield from self._sweeps(world)

    def _killed(self, world: World, driver: Driver) -> World:
        # A thread that hangs in a local store dies with its process.
        writes = world.writes if self.rules.late_writes else world.writes - {driver.entry, OLD}
        return _without(world, driver)._replace(crashes=world.crashes + 1, writes=writes)

    def _meanwhile(self, world: World) -> Iterator[tuple[str, World]]:
        for key_id in world.late:
            late = world.late - {key_id}
            made = world._replace(live=world.live | {key_id}, late=late)
            yield f"the service makes key {key_id}, late", made
            yield f"the service never makes key {key_id}", world._replace(late=late)
        for key_id in world.writes:
            writes = world.writes - {key_id}
            yield (
                f"the store keeps key {key_id}, late",
                world._replace(stored=key_id, writes=writes),
            )
            yield f"the store never keeps key {key_id}", world._replace(writes=writes)
        if world.moves < 2:
            where = "gone" if world.is_there else "back"
            moved = world._replace(is_there=not world.is_there, moves=world.moves + 1)
            yield f"the store's place is {where}", moved
        if world.boots < self.rules.boots:
            writes = world.writes if self.rules.late_writes else frozenset()
            anew = world._replace(boots=world.boots + 1, drivers=(), writes=writes)
            yield "the machine starts anew", anew
        # Who has lost the entry may be paused for ever before it writes.
        at_work = any(
            isinstance(each.step, c.Create)
            or (isinstance(each.step, c.Write) and each.known is None)
            for each in world.drivers
        )
        if not (world.is_over or world.late or world.writes or at_work):
            yield "ten minutes go by", world._replace(is_over=True, is_used=False)

        if self.rules.replaces:
            yield from self._others(world)

    def _others(self, world: World) -> Iterator[tuple[str, World]]:
        """People put an old secret back, or abort a rotation, when nobody is at work on it."""
        at_work = {each.entry for each in world.drivers}
        owned = {each.entry for each in world.drivers if each.known is None}
        for number, state in world.entries:
            if number in owned or OLD not in world.live:
                continue
            if not isinstance(state, Retiring | Ousting):
                continue
            # One who was paused is at work as well.
            may_change = number not in at_work and not world.is_put_back
            if may_change and world.is_there and world.stored == number:
                back = world._replace(stored=OLD, is_put_back=True)
                yield "somebody puts the old secret back", back
                ruined = world._replace(live=world.live - {number}, ruined=number)
                if number in world.live:
                    yield f"somebody deletes key {number}", ruined
            if world.aborts < 1 and isinstance(state, Retiring):
                driver = Driver("abort", number, e.Abort("digest of the old"))
                aborted = world._replace(drivers=(*world.drivers, driver), aborts=1)
                yield f"somebody aborts entry {number}", aborted

    def _sweeps(self, world: World) -> Iterator[tuple[str, World]]:
        owners = {each.entry: each for each in world.drivers if each.known is None}
        swept = {each.entry for each in owners.values() if each.who == "sweep"}
        for number, state in world.entries:
            owner = owners.get(number)
            if isinstance(state, Kept) or swept - {number}:
                continue
            if owner is None and not swept:
                after, said = world, ""
            elif owner is not None and self._may_be_lost(world, owner):
                said = f"the lease of {owner.who} ends; "
                after = self._lost(world, owner, state)
            else:
                continue
            sweep = Driver("sweep", number, e.Resumed())
            swept_now = after._replace(drivers=(*after.drivers, sweep))
            yield f"{said}sweep takes over entry {number}", swept_now

    # A driver loses its lease: whatever it was about to do when it looked, it does much later.

    def _may_be_lost(self, world: World, driver: Driver) -> bool:
        # A write that nobody answered, of one who is paused besides, nobody can take back.
        is_answered = not world.writes & {driver.entry, OLD}
        may_lose = world.losses < self.rules.losses and is_answered
        return may_lose and not isinstance(driver.step, c.End)

    def _lost(self, world: World, driver: Driver, state: State) -> World:
        world = world._replace(losses=world.losses + 1)
        if self.rules.is_unfenced:
            return world
        lost = driver._replace(known=state)
        drivers = (lost if each is driver else each for each in world.drivers)
        return world._replace(drivers=tuple(drivers))

    def _too_late(self, world: World, driver: Driver) -> Iterator[tuple[str, World]]:
        is_unnoted = isinstance(driver.step, c.Write) and isinstance(driver.known, Asking)
        if isinstance(driver.step, c.Command) and not is_unnoted:
            yield from self._acts(world, driver)
        elif self.rules.looks_away and (command := self._unnoted(world, driver)) is not None:
            yield f"{driver.who} does not look, and goes on", _with(world, driver, command)
        elif driver.step == _UNDONE:
            yield from self._undone(world, driver)
        elif _has_written(driver) and not self.rules.is_careless:
            yield f"{driver.who} has lost its entry", _with(world, driver, _UNDONE)
        else:
            yield f"{driver.who} has lost its entry, and stops", _without(world, driver)

    def _unnoted(self, world: World, driver: Driver) -> Any:
        """Return what a driver does next, if that needs no note."""
        if driver.step == _UNDONE or isinstance(driver.step, c.Command):
            return None
        entry = self._entry(world, driver)
        move = m.advance(entry, driver.step, world.now(), self.rules.table)
        goes_on = move.entry == entry and not isinstance(move.command, c.End | c.Write)
        return move.command if goes_on else None

    def _undone(self, world: World, driver: Driver) -> Iterator[tuple[str, World]]:
        """Take back what was written, unless somebody has seen it there, or still may."""
        state = dict(world.entries).get(driver.entry)
        written, before, good = _wanted(driver, replaces=self.rules.replaces)
        is_open = type(state) is type(driver.known)
        is_driven = any(each.entry == driver.entry and each.known is None for each in world.drivers)
        if is_open and is_driven:
            return
        after = _without(world, driver)
        if is_open or isinstance(state, good):
            yield f"{driver.who} leaves what it has written", after
        elif not world.is_there:
            return  # it waits for the store
        else:
            stored = before if world.stored == written else world.stored
            yield f"{driver.who} takes back what it has written", after._replace(stored=stored)

    # A driver hears of an event: the machine decides, and the journal notes.

    def _hears(self, world: World, driver: Driver) -> Iterator[tuple[str, World]]:
        if driver.unnoted is not None:
            after = _noted(world, driver.entry, driver.unnoted)
            yield f"{driver.who} notes it only now", _with(after, driver, driver.step)
            return
        entry = self._entry(world, driver)
        event = driver.step
        if self.rules.is_unfenced and (type(entry.state), type(event)) not in m.TABLE:
            yield f"{driver.who} does not know what to do", _without(world, driver)
            return
        self.rows.add((type(entry.state), type(event)))
        waits = isinstance(entry.state, Retiring)  # for its grace, which is what goes by
        now = world.now() if waits else world._replace(is_over=False).now()
        move = m.advance(entry, event, now, self.rules.table)
        said = f"{driver.who} hears: {_said(event)}"
        if self._gives_up(entry, event, move.command):
            yield f"{said}, and gives the entry up", _without(world, driver)
            return
        if move.entry == entry:
            yield said, self._told(world, driver, entry, move.command)
            return
        noted = f"{said}; notes {type(move.entry.state).__name__}"
        if self.rules.act_first and not isinstance(move.command, c.End):
            yield said, _with(world, driver, move.command, unnoted=move.entry.state)
            return
        after = _noted(world, driver.entry, move.entry.state)
        yield noted, self._told(after, driver, entry, move.command)
        if not isinstance(move.entry.state, Closed):
            yield (
                f"{said}; cannot note it",
                _with(world, driver, e.NotNoted(wanted=move.entry.state)),
            )

    def _gives_up(self, entry: Entry, event: Any, command: Any) -> bool:
        """Whether it has a lease, and what it does next would not be noted.

        One who is paused must be able to see that his key was deleted.
        """
        is_leased = self.rules.losses and not self.rules.is_hasty
        may_be_stored = not isinstance(entry.state, Asking | Denied)
        is_unnoted = isinstance(event, e.NotNoted) and not isinstance(command, c.End)
        return bool(is_leased) and may_be_stored and is_unnoted

    def _told(self, world: World, driver: Driver, entry: Entry, command: Any) -> World:
        if not isinstance(command, c.End):
            return _with(world, driver, command)
        self.endings.add((driver.who, command.ending))
        if command.ending in {c.Ending.HELD, c.Ending.LENT}:
            return _with(world, driver, command)
        left = _without(world, driver)
        # Once the store was touched, `issue` does not begin anew.
        is_again = command.ending in AGAIN and isinstance(entry.state, Asking | Denied)
        may_ask = not self.rules.exact and world.creates < self.rules.creates
        return self._begun(left) if is_again and may_ask and driver.who == "issue" else left

    # A driver runs a command: the world changes, or not, and an event comes of it.

    def _acts(self, world: World, driver: Driver) -> Iterator[tuple[str, World]]:
        entry = self._entry(world, driver)
        act = getattr(self, f"_{type(driver.step).__name__.lower()}")
        unnoted = driver.unnoted
        if isinstance(driver.step, c.Write) and self.rules.act_first:
            unnoted = driver.step.wanted
        for then, changed, event in act(world, driver, entry):
            yield f"{driver.who}: {then}", _with(changed, driver, event, unnoted)

    def _create(self, world: World, driver: Driver, _: Entry) -> Iterator[tuple[str, World, Any]]:
        n = driver.entry
        if (
            world.is_over and not self.rules.is_sleepy
        ):  # e.g. the machine slept since the entry was noted
            yield "it is too late to ask", world, e.Unsent()
            return
        made = world._replace(live=world.live | {n})
        yield f"key {n} is made", made, e.Made(n, f"digest {n}")
        if not self.rules.exact:
            twins = world._replace(live=made.live | {n + TWIN})
            said = f"key {n + TWIN} is made and denied, then key {n} is made"
            yield said, twins, e.Made(n, f"digest {n}", alone=False)
            yield f"key {n} is made and denied", made, e.Refused()
        yield f"key {n} is made, and its id cannot be read", made, e.Made(None, f"digest {n}")
        yield f"key {n} is made, and the answer lost", made, e.Lost()
        yield "the request is lost", world, e.Lost()
        late = world._replace(late=world.late | {n})
        yield f"no answer comes; key {n} may come late", late, e.Lost()
        yield "the key is refused", world, e.Refused()
        yield "the service cannot be reached", world, e.Unsent()

    def _find(self, world: World, driver: Driver, entry: Entry) -> Iterator[tuple[str, World, Any]]:
        is_foreign = self._is_foreign(driver)
        yield (
            "lists",
            world,
            e.Listed(self._ids(world, driver, entry), not is_foreign, _asked(world, entry)),
        )
        yield "cannot list", world, e.CannotList()
        # Who may not list the keys cannot have made one: what else a service says is a lie.
        if not is_foreign and driver.entry not in world.live:
            yield "may not list", world, e.CannotList(refused=True)

    def _is_foreign(self, driver: Driver) -> bool:
        return self.rules.foreign and driver.who == "sweep"

    def _ids(self, world: World, driver: Driver, entry: Entry) -> tuple[int, ...]:
        """Return the keys of the entry's name that the driver sees."""
        if self._is_foreign(driver):
            return ()
        if not self.rules.exact:
            return tuple(sorted(world.live & {driver.entry, driver.entry + TWIN}))
        # Who issues has seen beforehand which keys of that name there were.
        mine = world.live - {THEIRS} if driver.who == "issue" else world.live
        return tuple(sorted(mine))

    def _delete(self, world: World, driver: Driver, _: Entry) -> Iterator[tuple[str, World, Any]]:
        ids = driver.step.ids
        gone = world._replace(live=world.live - set(ids), blame=self._blame(world, ids))
        yield f"deletes {_keys(ids)}", gone, e.Deleted(ids)
        yield f"deletes {_keys(ids)}, and does not hear of it", gone, e.NotDeleted(ids=ids)
        yield f"cannot delete {_keys(ids)}", world, e.NotDeleted(ids=ids)

    def _weed(self, world: World, driver: Driver, entry: Entry) -> Iterator[tuple[str, World, Any]]:
        if not self._is_foreign(driver):
            ids = tuple(n for n in self._ids(world, driver, entry) if n != driver.step.but)
            yield (
                f"weeds {_keys(ids)}",
                world._replace(live=world.live - set(ids)),
                e.Weeded(ids),
            )
        yield "cannot weed", world, e.NotWeeded()

    def _write(
        self, world: World, driver: Driver, entry: Entry
    ) -> Iterator[tuple[str, World, Any]]:
        n = driver.entry
        if isinstance(entry.state, Asking) and not self.rules.act_first:
            wanted = driver.step.wanted
            noted = _noted(world, n, wanted)
            yield "notes Writing", noted, driver.step
            yield "the store fails before it is noted", world, e.NotNoted(wanted=wanted)
            return
        yield "the store fails", world, e.NotWritten()
        if not world.is_there or world.stored != (OLD if self.rules.replaces else None):
            return
        kept = world._replace(stored=n)
        yield f"the store keeps key {n}", kept, e.Written()
        yield f"the store keeps key {n}, and says that it failed", kept, e.NotWritten()
        yield f"the store keeps key {n}, and does not answer", kept, e.WriteUnknown()
        yield "the store does not answer", world, e.WriteUnknown()
        if driver.known is not None:
            return  # a write of one who was paused, that comes late besides, nobody can take back
        late = world._replace(writes=world.writes | {n}, is_over=False)
        yield f"the store does not answer; it may keep key {n} late", late, e.WriteUnknown()

    def _look(self, world: World, driver: Driver, entry: Entry) -> Iterator[tuple[str, World, Any]]:
        yield "cannot look into the store", world, e.CannotLook()
        if world.is_there or self.rules.is_blind:
            wanted = OLD if isinstance(entry.state, Restoring) else driver.entry
            holds = world.is_there and world.stored == wanted
            event = e.Holds() if holds else e.Lacks(driver.step.late, _asked(world, entry))
            yield f"looks into the store: {'there' if holds else 'not there'}", world, event

    def _blame(self, world: World, ids: tuple[int, ...]) -> str:
        """Say why the old key should not have been deleted, if it was."""
        if OLD not in ids or OLD not in world.live:
            return world.blame
        if world.ruined is not None:
            return "the old key was deleted though the new one is gone"
        if world.stored in {None, OLD} and not _will_be_undone(world, world.stored):
            return "the old key was deleted before the new one was stored"
        if self.rules.is_owed and not world.is_told:
            return "the old key was deleted before its users were told"
        if world.is_used and self.rules.grace:
            return "the old key was deleted while it was used"
        return world.blame

    def _verify(self, world: World, driver: Driver, _: Entry) -> Iterator[tuple[str, World, Any]]:
        made = driver.step.made
        yield "the new secret works", world, e.Verified(made)
        useless = world._replace(useless=world.useless | {driver.entry})
        yield "the new secret does not work", useless, e.Unusable(made=made)

    def _announce(self, world: World, driver: Driver, _: Entry) -> Iterator[tuple[str, World, Any]]:
        yield "tells the users of the key", world._replace(is_told=True), e.Announced()
        yield "cannot tell the users of the key", world, e.NotAnnounced()

    def _watch(
        self, world: World, driver: Driver, entry: Entry
    ) -> Iterator[tuple[str, World, Any]]:
        is_foreign = self._is_foreign(driver)
        asked = world.now()
        is_there = OLD in world.live and not is_foreign
        is_replaced = driver.entry in world.live and not is_foreign
        watched = e.Watched(is_there, is_replaced, not is_foreign, None, asked, driver.step.force)
        force = driver.step.force  # then nobody asks whether it is used
        if force or not (is_there and world.is_used):
            yield f"the old key is {'quiet' if is_there else 'not listed'}", world, watched
        # What one sees who was paused counts for nobody.
        if is_there and not force and driver.known is None:
            used = world._replace(is_used=True)
            yield "the old key is in use", used, attrs.evolve(watched, used=asked.wall)
        yield "cannot list", world, e.CannotList()

    def _restore(self, world: World, driver: Driver, _: Entry) -> Iterator[tuple[str, World, Any]]:
        yield "the store fails", world, e.NotWritten()
        if not world.is_there or world.stored != driver.entry:
            return
        back = world._replace(stored=OLD)
        yield "the store keeps the old key", back, e.Written()
        yield "the store keeps the old key, and says that it failed", back, e.NotWritten()
        yield "the store keeps the old key, and does not answer", back, e.WriteUnknown()
        yield "the store does not answer", world, e.WriteUnknown()
        if driver.known is not None:
            return
        late = world._replace(writes=world.writes | {OLD}, is_over=False)
        yield "the store does not answer; it may keep the old key late", late, e.WriteUnknown()

    # What must never be.

    def harm(self, world: World) -> str | None:
        if THEIRS not in world.live:
            return "a key of somebody else's was deleted"
        if world.blame or _is_taken_away(world):
            return world.blame or "a key was deleted while it was lent"
        if world.stored in world.useless:
            return f"the store holds the secret of key {world.stored}, which does not work"
        is_dead = world.stored not in {None, world.ruined, *world.live}
        if is_dead and not _will_be_undone(world, world.stored):
            return _dead(world)
        for key_id in world.live - {THEIRS}:
            if not self._is_known(world, key_id):
                return f"key {key_id} is alive, and nobody knows of it"
        return self._at_rest(world)

    def _is_known(self, world: World, key_id: int) -> bool:
        if key_id == OLD:
            # By the store, whose entry in the ledger it has, or as what another one replaces.
            states = {type(state) for _, state in world.entries}
            is_stored = world.stored == OLD or _will_be_undone(world, world.stored)
            return is_stored or bool(states - {Kept})
        number = key_id % TWIN
        if any(each.entry == number and each.known is None for each in world.drivers):
            return True
        state = dict(world.entries).get(number)
        if isinstance(state, Kept) and state.key_id is not None:
            return state.key_id == key_id
        return state is not None

    def _at_rest(self, world: World) -> str | None:
        """Sweep once more when everything works again: each key is stored, or gone."""
        if world.drivers or world.late or world.writes or self.rules.exact or self.rules.foreign:
            return None
        world = world._replace(is_there=True, is_used=False)
        # Over a boot, a first one begins to count; and what is stored has a grace before it.
        for _ in range(1 + self.rules.boots + 4 * self.rules.replaces):
            for number, state in world.entries:
                if not isinstance(state, Kept):
                    world = world._replace(is_over=True)
                    world = self._finished(world, Driver("sweep", number, e.Resumed()))
        return world.blame or _left_over(world)

    def _finished(self, world: World, driver: Driver) -> World:
        """Let one driver do all that it is told, in a world in which everything works."""
        world = world._replace(drivers=(driver,))
        for _ in range(20):
            if not world.drivers:
                return world
            [driver] = world.drivers
            if isinstance(driver.step, c.Command):
                works = (
                    *(
                        e.Written,
                        e.Holds,
                        e.Lacks,
                        e.Listed,
                        e.Deleted,
                        e.Weeded,
                    ),
                    *(e.Announced, e.Watched),
                )
                world = next(
                    after
                    for _, after in self._acts(world, driver)
                    if isinstance(after.drivers[0].step, works)
                )
            else:
                [_, world], *_ = self._hears(world, driver)
        raise AssertionError("it never ends")


def explore(rules: Rules, most: int = 1_000_000) -> Story:
    """Go through every world, or to the first that harms somebody."""
    model = Model(rules)
    start = model.start()
    came: dict[World, tuple[World, str] | None] = {start: None}
    waiting = deque([start])
    moves, harm, world = 0, None, start
    while waiting and harm is None:
        world = waiting.popleft()
        harm = model.harm(world)
        if harm is not None:
            break
        for said, after in model.steps(world):
            moves += 1
            if after not in came:
                came[after] = (world, said)
                waiting.append(after)
        assert len(came) <= most, "there are more worlds than were expected"
    steps = _path(came, world) if harm else ()
    ended, rows = frozenset(model.endings), frozenset(model.rows)
    return Story(len(came), moves, ended, rows, harm, steps)


def _path(came: dict[World, tuple[World, str] | None], world: World) -> tuple[str, ...]:
    steps = []
    while (before := came[world]) is not None:
        world, said = before
        steps.append(said)
    return tuple(reversed(steps))


_UNDONE: Final = "to be undone"


def _has_written(driver: Driver) -> bool:
    return driver.who != "sweep" and isinstance(driver.known, Writing | Restoring)


def _wanted(driver: Driver, *, replaces: bool) -> tuple[int, int | None, tuple[type, ...]]:
    """Return what a driver has written, what was there before, and where it should be there."""
    if isinstance(driver.known, Restoring):
        return OLD, driver.entry, (Dropping, type(None))
    return driver.entry, OLD if replaces else None, (Kept, Retiring, Ousting, Restoring)


def _will_be_undone(world: World, stored: int | None) -> bool:
    """Whether one who was paused has written it just now, and is about to see to it."""
    return any(
        _has_written(each)
        and not isinstance(each.step, c.Write | c.Restore)
        and stored == (OLD if isinstance(each.known, Restoring) else each.entry)
        for each in world.drivers
    )


def _is_taken_away(world: World) -> bool:
    """Whether a key is gone that a caller has a lease of."""
    return any(each.step == _LENT and each.entry not in world.live for each in world.drivers)


def _left_over(world: World) -> str | None:
    """Say what is wrong with a world in which nothing more will happen."""
    left = world.live - {THEIRS}
    if any(isinstance(state, Retiring | Ousting) for _, state in world.entries):
        # Somebody has changed the store or the keys, and only a person can tell what is wanted.
        is_odd = world.stored == OLD or world.ruined is not None
        return None if is_odd else "after a last sweep, a key has not retired"
    if world.stored not in {None, *left}:
        return f"after a last sweep, {_dead(world)}"
    if left != ({world.stored} if world.stored is not None else set()):
        return f"after a last sweep, keys {sorted(left)} are alive; stored: {world.stored}"
    if len(world.entries) != len(left - {OLD}):
        return "after a last sweep, an entry is left"
    return None


def _asked(world: World, entry: Entry) -> Moment:
    """Return the time; if no clock can tell how long ago the entry's note was, a first one."""
    begun = getattr(entry.state, "begun", None)
    can_tell = begun is None or begun.boot == world.now().boot
    return world.now() if can_tell else world._replace(is_over=False).now()


def _with(world: World, driver: Driver, step: Any, unnoted: State | None = None) -> World:
    after = driver._replace(step=step, unnoted=unnoted)
    return world._replace(
        drivers=tuple(after if each is driver else each for each in world.drivers)
    )


def _without(world: World, driver: Driver) -> World:
    return world._replace(drivers=tuple(each for each in world.drivers if each is not driver))


def _noted(world: World, number: int, state: State) -> World:
    """Let the journal remember it; an entry that is closed is forgotten."""
    others = [each for each in world.entries if each[0] != number]
    state = _from_now_on(state)
    if not isinstance(state, Closed):
        others.append((number, state))
    begun = _begun(state)
    if begun is not None and begun != _begun(dict(world.entries)[number]):
        world = world._replace(is_over=False)  # its time begins with the note
    return world._replace(entries=tuple(sorted(others, key=lambda each: each[0])))


def _from_now_on(state: State) -> State:
    """Let the time of a state begin at 0: there are no more than two moments in a world."""
    match state:
        case Retiring():
            moments = {"since": _first(state.since), "switched": _first(state.switched)}
            return attrs.evolve(state, **moments)
        case Restoring():
            retiring = _from_now_on(state.retiring)
            return attrs.evolve(state, begun=_first(state.begun), retiring=retiring)
        case Ousting():
            return attrs.evolve(state, switched=_first(state.switched))
        case Kept():
            return attrs.evolve(state, since=_first(state.since))
    return state


def _first(moment: Moment) -> Moment:
    return attrs.evolve(moment, wall=0.0, uptime=0.0)


def _begun(state: State) -> Moment | None:
    """Return from when on it is counted how long the state lasts."""
    return state.since if isinstance(state, Retiring) else getattr(state, "begun", None)


def _said(event: Any) -> str:
    return type(event).__name__


def _dead(world: World) -> str:
    return f"the store holds the secret of key {world.stored}, which was deleted"


def _keys(ids: tuple[int, ...]) -> str:
    return ", ".join(f"key {key_id}" for key_id in ids) or "nothing"
