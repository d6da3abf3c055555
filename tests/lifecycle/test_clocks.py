"""How late a key may come is counted, whatever the clock on the wall is set to."""

from __future__ import annotations

import asyncio
import json
import shutil
import subprocess
import sys
import time

import attempt_files
import attrs
import pytest
from chaos import place_at
from lifecycle import left

from agentkeys import Swept, sweep
from agentkeys.keys import Scope
from agentkeys.lifecycle.machine import moments
from agentkeys.lifecycle.machine.commands import (
    End,
    Ending,
)
from agentkeys.lifecycle.machine.events import (
    Listed,
)
from agentkeys.lifecycle.machine.moments import Moment, elapsed
from agentkeys.lifecycle.machine.states import Asking, Entry, Plan
from agentkeys.lifecycle.machine.table import advance

SCOPE = Scope("Agentry", "https://agentry.test", account="me")
NAME = "ci~aaaaaa"
YEAR = 365 * 86400.0
NOW = Moment(1e9, "this boot", 5000.0)


@pytest.mark.parametrize(
    ("since", "seconds"),
    [
        (Moment(1e9 - 60, "this boot", 4000.0), 1000.0),
        (Moment(1e9 + YEAR, "this boot", 4000.0), 1000.0),  # it was ahead, and has been set
        (Moment(0.0, "this boot", 4000.0), 1000.0),  # it was behind
        (Moment(1e9 - 60, "this boot", 6000.0), None),  # a restored process, in a new name space
        (Moment(0.0, "another boot", 10.0), None),  # it had no battery, perhaps
        (Moment(1e9 - 60, "another boot", 10.0), None),
        (Moment(1e9 - 60), 60.0),  # of a system that does not name its boots
        (Moment(1e9 + 60), None),
    ],
)
def test_seconds_are_counted_by_a_clock_that_nobody_sets(since, seconds):
    """Or it is said that no clock can tell."""
    assert elapsed(since, NOW) == seconds


def test_the_boot_of_this_machine_has_a_name():
    """Else the clock on the wall is all there is."""
    if sys.platform != "linux":
        pytest.skip("only Linux has a name for each boot")
    before, after = moments.now(), moments.now()
    assert before.boot == after.boot is not None
    assert 0 <= after.uptime - before.uptime < 60
    assert abs(before.wall - time.time()) < 60


@pytest.mark.parametrize(
    ("ago", "seconds", "ending"),
    [
        (599, 0.0, Ending.MAY_COME),
        (600, 0.0, Ending.GONE),
        (1800, 3600.0, Ending.MAY_COME),
        (90_000, YEAR, Ending.GONE),
    ],
)
def test_a_key_may_come_late_for_so_long(ago, seconds, ending):
    """Ten minutes after its request could last be sent; and no file makes that for ever."""
    entry = Entry(Plan(SCOPE, "ci"), NAME, Asking(NOW, seconds))
    listed = Listed((), True, attrs.evolve(NOW, uptime=NOW.uptime + ago))
    assert advance(entry, listed, NOW).command == End(ending)


@pytest.mark.parametrize(
    "begun",
    [
        Moment(time.time() + YEAR),
        Moment(time.time() - YEAR, "another one", 5000.0),
        Moment(0.0, "another one", 5000.0),
    ],
    ids=["ahead", "before a boot", "behind, and before a boot"],
)
@pytest.mark.asyncio
async def test_what_no_clock_can_tell_counts_from_the_first_sweep(state, begun):
    """Neither is it dropped at once, nor does it wait a year: the first sweep notes its time."""
    if begun.boot and moments.now().boot is None:
        pytest.skip("this machine does not name its boots")
    async with place_at("agentry") as place:
        attempt_files.begin(place.keys.scope, NAME, "aaaaaa", begun=begun).release()
        [path] = attempt_files.files(state)
        assert await sweep(place.keys) == Swept(waiting=(NAME,))
        noted = path.read_text()
        assert await sweep(place.keys) == Swept(waiting=(NAME,))
        assert path.read_text() == noted
        [found] = attempt_files.survey().entries
        assert elapsed(found.entry.state.begun, moments.now()) < 60
        late = await place.keys.create(NAME)
        assert (await sweep(place.keys)).deleted == (late.id,)
    assert left(state) == []


# In a name space of its own, where the machine has been up for so much longer.
LATER = ["unshare", "--user", "--map-root-user", "--time", "--boottime"]


@pytest.mark.slow
@pytest.mark.asyncio
@pytest.mark.parametrize(("seconds", "waits"), [("500", True), ("700", False)])
async def test_a_wrong_clock_does_not_matter_within_a_boot(state, monkeypatch, seconds, waits):
    """The file says that it was begun next year, and is dropped after ten minutes all the same."""
    tried = [*LATER, "1", "true"]
    if not shutil.which("unshare") or await asyncio.to_thread(subprocess.call, tried):
        pytest.skip("this machine lets nobody have a time of their own")
    async with place_at("agentry") as place:
        monkeypatch.setenv("AGENTRY_BASE_URL", place.service.url)
        monkeypatch.setenv("AGENTRY_API_KEY", place.service.agentry_token)
        ahead = attrs.evolve(moments.now(), wall=time.time() + YEAR)
        attempt_files.begin(place.keys.scope, NAME, "aaaaaa", begun=ahead).release()
        command = [*LATER, seconds, sys.executable, "-m", "agentkeys", "sweep", "--json"]
        process = await asyncio.create_subprocess_exec(*command, stdout=subprocess.PIPE)
        out, _ = await process.communicate()
        assert json.loads(out)["waiting"] == [NAME] * waits
    assert len(left(state)) == waits
