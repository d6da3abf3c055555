"""The arithmetic of turns, with a clock that the tests give."""

from __future__ import annotations

import heapq
import math
from itertools import pairwise

import attrs
import pytest
from busiest import TINY, busiest_second
from hypothesis import given
from hypothesis import strategies as st

from agentkeys.rates.schedule import LONGEST_PAUSE, Schedule, Turn, gcra

RATES = st.sampled_from([0.5, 1.0, 3.0, 10.0, 50.0])
GAPS = st.floats(0, 0.6)


@attrs.define
class Street:
    """Requests that come, wait for their turns and leave, at times that a test says.

    Attributes:
        schedule: what gives them their turns.
        now: the time.
        left: when each request left, by its number.
    """

    schedule: Schedule
    now: float = 100.0
    left: dict[int, float] = attrs.field(factory=dict)
    _waking: list[tuple[float, int, Turn]] = attrs.field(factory=list)
    _count: int = 0

    def come(self, patience: float = 1e9) -> Turn | float:
        turn = self.schedule.reserve(self.now, patience)
        if isinstance(turn, Turn):
            self._look(self._count, turn)
            self._count += 1
        return turn

    def go_on(self, until: float, late: float = 0.0) -> None:
        """Let time go by; whoever wakes up does it so many seconds late, but not after *until*."""
        while self._waking and self._waking[0][0] <= until:
            due, number, turn = heapq.heappop(self._waking)
            self.now = max(self.now, min(due + late, until))
            self._look(number, turn)
        self.now = max(self.now, until)

    def _look(self, number: int, turn: Turn) -> None:
        if turn.is_left:
            return
        wait = self.schedule.left(turn, self.now)
        if wait > 0:
            heapq.heappush(self._waking, (self.now + max(wait, TINY), number, turn))
        else:
            self.left[number] = self.now


def test_a_rate_is_an_even_distance():
    """The first goes at once, the others one interval after the other."""
    tat, waits = 0.0, []
    for _ in range(4):
        tat, wait = gcra(tat, 10.0, 4.0)
        waits.append(wait)
    assert waits == [0.0, 0.25, 0.5, 0.75]


def test_a_burst_is_as_long_as_it_says():
    """After a silence so many go at once, and then one an interval."""
    tat, waits = 0.0, []
    for _ in range(5):
        tat, wait = gcra(tat, 10.0, 4.0, 3)
        waits.append(wait)
    assert waits == [0.0, 0.0, 0.0, 0.25, 0.5]


def test_a_silence_is_not_saved_up():
    """An hour without requests allows no more than the burst."""
    tat, _ = gcra(0.0, 10.0, 4.0)
    tat, wait = gcra(tat, 3610.0, 4.0)
    assert wait == 0.0
    assert gcra(tat, 3610.0, 4.0)[1] == 0.25


@given(RATES, st.integers(1, 4), st.lists(st.tuples(GAPS, st.floats(0, 3)), max_size=60))
def test_no_second_has_more_than_the_rate_and_the_burst(rate, burst, steps):
    """Whatever comes when, and however late those that wait wake up."""
    street = Street(Schedule(rate, burst))
    for gap, late in steps:
        street.come()
        street.go_on(street.now + gap, late)
    street.go_on(street.now + 1000)
    assert len(street.left) == len(steps)
    assert busiest_second(list(street.left.values())) <= max(rate, 1) + burst


@given(RATES, st.lists(GAPS, min_size=2, max_size=60))
def test_who_comes_first_leaves_first(rate, gaps):
    """And nobody waits longer than the requests before take at that rate."""
    street = Street(Schedule(rate, 1))
    came = []
    for gap in gaps:
        came.append(street.now)
        street.come()
        street.go_on(street.now + gap)
    street.go_on(street.now + 1000)
    left = [street.left[number] for number in range(len(gaps))]
    assert left == sorted(left)
    for (before, after), arrival in zip(pairwise(left), came[1:], strict=True):
        assert after == pytest.approx(max(before + 1 / rate, arrival))


def test_who_cannot_wait_takes_no_turn():
    """The answer is how long it would be, and the next one waits no longer for it."""
    street = Street(Schedule(1.0, 1))
    street.come()
    assert [street.come(patience=0.5) for _ in range(3)] == [1.0, 1.0, 1.0]
    turn = street.come()
    assert isinstance(turn, Turn)
    assert street.schedule.left(turn, street.now) == 1.0


@given(st.integers(2, 30), st.randoms())
def test_turns_that_all_are_given_back_are_all_free(count, chance):
    """In whatever order: who comes then waits for those alone that have left."""
    street = Street(Schedule(2.0, 1))
    street.come()
    turns = [street.come() for _ in range(count)]
    chance.shuffle(turns)
    for turn in turns:
        assert isinstance(turn, Turn)
        street.schedule.give_back(turn, street.now)
    assert street.come(patience=0.4) == pytest.approx(0.5)


def test_a_turn_that_is_given_back_lets_nobody_overtake():
    """Others wait behind it, so it stays empty, and who comes later is behind them."""
    street = Street(Schedule(1.0, 1))
    street.come()
    given_back, behind = street.come(), street.come()
    assert isinstance(given_back, Turn)
    street.schedule.give_back(given_back, street.now)
    assert street.come(patience=2.5) == pytest.approx(3.0)
    assert isinstance(behind, Turn)
    assert street.schedule.left(behind, street.now) == pytest.approx(2.0)


def test_turns_that_are_given_back_are_not_kept():
    """A limiter that is busy for years holds no more than the turns to come."""
    street = Street(Schedule(10.0, 1))
    for _ in range(1000):
        street.come()
        turn = street.come()
        assert isinstance(turn, Turn)
        street.come()
        street.schedule.give_back(turn, street.now)
        street.go_on(street.now + 0.3)
    assert len(street.schedule._ahead) <= 3


@given(RATES, st.integers(1, 3), st.integers(0, 20), st.floats(0.01, 100))
def test_a_pause_delays_everybody_and_keeps_the_order(rate, burst, waiting, seconds):
    """Those who wait leave as before, only later; nobody leaves during the pause."""
    street = Street(Schedule(rate, burst))
    for _ in range(waiting + 1):
        street.come()
    paused = dict(street.left)
    begun = street.now
    street.schedule.pause(begun, seconds)
    street.come()
    street.go_on(begun + 1000)
    later = {number: t for number, t in street.left.items() if number not in paused}
    assert later
    assert all(t >= begun + seconds - TINY for t in later.values())
    assert list(later) == sorted(later)
    assert busiest_second(list(later.values())) <= max(rate, 1) + 1


def test_pauses_at_once_are_one_pause():
    """Twenty requests that are refused in the same moment do not add up."""
    street = Street(Schedule(10.0, 1))
    for _ in range(20):
        street.schedule.pause(street.now, 5.0)
    street.schedule.pause(street.now, 2.0)
    assert street.come(patience=4.0) == pytest.approx(5.0)


@pytest.mark.parametrize("seconds", [0.0, -5.0, -math.inf, math.nan])
def test_a_pause_of_no_time_changes_nothing(seconds):
    """Neither the turns to come, nor the burst."""
    schedule = Schedule(1.0, 3)
    schedule.pause(100.0, seconds)
    turns = [schedule.reserve(100.0, 1e9) for _ in range(4)]
    assert [turn.slot for turn in turns if isinstance(turn, Turn)] == [100, 100, 100, 101]


def test_a_pause_is_an_hour_at_most():
    """A service that asks for a year is asked again."""
    street = Street(Schedule(10.0, 1))
    street.schedule.pause(street.now, 1e9)
    assert street.come(patience=0.0) == pytest.approx(LONGEST_PAUSE)
