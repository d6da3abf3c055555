"""Each rule finds what it is about, and nothing else; what was not looked at proves nothing."""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import attrs
import pytest
import repositories
from audited import DAY, ago
from samples import agentity

from agentkeys import (
    AuthenticationError,
    InvalidArgumentError,
    PasswordLogin,
    Policy,
    Secret,
    abort,
    audit,
    rotate,
    sweep,
)
from agentkeys.auditing import gathering, rules
from agentkeys.auditing.rules import RULES
from agentkeys.cancellation import Waiting
from agentkeys.lifecycle.journal import FileJournal, Remembered
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
from agentkeys.server.faults import LISTS, Answer
from agentkeys.stores import MemoryStore, open_store

pytestmark = pytest.mark.asyncio

STRICT = Policy(max_age=timedelta(days=90), unused_for=30 * DAY)


async def ids_of(keys, policy=STRICT, *, rule=None):
    """Return the ids of the rules that find something, and check what every finding says."""
    report = await audit(keys, policy=policy)
    for each in report.findings:
        assert each.sentence
        assert each.advice
        assert each.sentence[-1] not in ".:"
    return [each.rule for each in report.findings if rule in {None, each.rule}]


async def finding_of(keys, rule, policy=STRICT):
    report = await audit(keys, policy=policy)
    [finding] = [each for each in report.findings if each.rule == rule]
    return finding


async def test_keys_that_are_looked_after_are_found_fault_with_by_no_rule(world):
    """Neither are no keys at all."""
    for keys in (world.account, world.inbox):
        assert await ids_of(keys) == []
    await world.issued(world.account, into=world.address("A"))
    await world.issued(world.inbox, into=world.address("B"))
    for keys in (world.account, world.inbox, world.tenant):
        assert await ids_of(keys) == []


@pytest.mark.parametrize(
    ("days", "found"), [(71, []), (73, ["AK002"]), (89, ["AK002"]), (91, ["AK001"])]
)
async def test_a_key_may_be_so_old(world, days, found):
    """An error from the limit on, and a note from 80 % of it."""
    await world.issued(world.account, age=days * DAY)
    assert await ids_of(world.account) == found
    assert await ids_of(world.account, Policy()) == []


async def test_the_sentence_names_the_age_the_key_and_its_store(world):
    """And the key's id, its name and its place stand in fields of their own."""
    key = await world.issued(world.account, age=91 * DAY)
    found = await finding_of(world.account, "AK001")
    assert found.sentence == f"the key {key.name!r} is 91 days old; the limit is 90 days"
    assert (found.severity, found.key_id, found.name) == ("error", key.id, key.name)
    assert (found.place, found.store) == (str(world.account.scope), world.address())


async def test_a_key_may_go_unused_for_so_long(world):
    """Where the service tells; a key that was never used is another finding."""
    key = await world.issued(world.inbox, age=40 * DAY)
    assert await ids_of(world.inbox) == ["AK004"]
    secret = (await open_store(world.address()).read()).secret
    world.service.clock.advance(-35 * DAY)
    await world.inbox._with(secret).list().collect()
    world.service.clock.advance(35 * DAY)
    found = await finding_of(world.inbox, "AK003")
    assert (found.key_id, "35 days" in found.sentence) == (key.id, True)
    await world.inbox._with(secret).list().collect()
    assert await ids_of(world.inbox) == []


async def test_a_service_that_does_not_tell_of_uses_has_no_unused_keys(world):
    """Nothing is concluded from a silence."""
    await world.issued(world.account, age=80 * DAY)
    assert await ids_of(world.account, Policy(unused_for=DAY)) == []


async def test_a_new_key_is_not_yet_unused(world):
    """It had no time for it."""
    await world.issued(world.inbox, age=29 * DAY)
    assert await ids_of(world.inbox) == []


async def test_several_live_keys_of_one_base_name_are_found(world):
    """With the one whose secret is stored named; not those that happen to begin alike."""
    first = await world.issued(world.account)
    await world.account.create("bot-2")
    assert await ids_of(world.account) == []
    second = await world.issued(world.account, replace=True)
    found = await finding_of(world.account, "AK005")
    where = f"{second.id} (its secret is in {open_store(world.address()).describe()})"
    assert found.sentence == f"2 live keys are called 'bot': {first.id}, {where}"


async def test_keys_of_two_inboxes_are_not_several_of_one_name(world):
    """A tenant lists both."""
    await world.service.add_inbox("other@agentkeys.local")
    await world.issued(world.inbox, into=world.address("A"))
    await world.tenant.create("bot")
    assert await ids_of(world.tenant) == []


async def test_a_key_that_retires_is_not_one_of_several_nor_too_old(world):
    """It is about to go, and its entry is not compared with the store."""
    await world.issued(world.account, age=100 * DAY)
    await rotate(world.account, "bot", into=world.address())
    report = await audit(world.account, policy=STRICT)
    assert report.findings == ()
    assert [each.is_leaving for each in report.ages] == [True, False]


async def test_a_nonce_that_nobody_knows_is_found(world, state):
    """Not one of the ledger, nor of an attempt; and not while an entry cannot be read."""
    await world.issued(world.inbox)
    await world.inbox.create("ci~k7f3q2")
    found = await finding_of(world.inbox, "AK006")
    assert found.name == "ci~k7f3q2"
    world.left(world.inbox, Asking(ago(0), 60.0), "ci~k7f3q2")
    assert await ids_of(world.inbox) == []
    for path in state.glob("attempts/*/*"):
        path.write_text("{}\n")
    assert await ids_of(world.inbox, rule="AK006") == []


async def test_a_tenant_knows_the_keys_of_its_inboxes(world):
    """Their entries are of another place, and the tenant lists these keys too."""
    await world.issued(world.inbox)
    report = await audit(world.tenant, policy=STRICT)
    assert report.findings == ()
    assert [each.store for each in report.ages] == [world.address()]


async def test_a_key_that_is_kept_and_gone_is_found(world):
    """Somebody has deleted it, and whoever reads the store is refused."""
    key = await world.issued(world.account)
    await world.account.delete(key.id)
    found = await finding_of(world.account, "AK007")
    assert (found.key_id, found.store) == (key.id, world.address())


async def test_of_another_account_nothing_is_said_that_is_not_known(world):
    """Its keys are not listed here, and need not be gone; what the store holds can be known."""
    await world.service.add_account("b@example.com", "password")
    await world.issued(world.account)
    async with agentity(world.service.url, PasswordLogin("b@example.com", "password")) as other:
        assert await ids_of(other.api_keys) == []
        await open_store(world.address()).remove()
        assert await ids_of(other.api_keys) == ["AK009"]


async def test_a_store_that_holds_another_secret_is_found(world):
    """Somebody has changed it."""
    await world.issued(world.account)
    await open_store(world.address()).write(Secret("somebody-elses-0123456789"))
    found = await finding_of(world.account, "AK008")
    assert found.severity == "error"


async def test_a_store_that_holds_the_secret_of_a_later_key_is_milder(world):
    """Whoever reads it is served: the key before it is left over."""
    first = await world.issued(world.account)
    second = await world.issued(world.account, replace=True)
    found = await finding_of(world.account, "AK008")
    assert (found.severity, found.key_id) == ("warning", first.id)
    assert repr(second.name) in found.sentence


async def test_a_store_that_holds_none_is_found(world):
    """It was read, and nothing is there: that is not the same as not to have read it."""
    await world.issued(world.account)
    await open_store(world.address()).remove()
    assert await ids_of(world.account) == ["AK009"]
    assert [each.store for each in (await audit(world.account)).ages] == [""]


async def test_a_store_that_cannot_be_read_is_said_to_be_that(world):
    """A folder that is not there, as of a disk that is not mounted."""
    await world.issued(world.account)
    world.folder.rename(world.folder.with_name("elsewhere"))
    found = await finding_of(world.account, "AK010")
    assert (found.severity, "its folder does not exist" in found.sentence) == ("warning", True)
    assert await ids_of(world.account) == ["AK010"]


async def test_the_memory_of_a_process_that_is_gone_holds_no_nothing(world):
    """Nobody else can read it, so that it is empty here says nothing."""
    world.left(
        world.account, Writing(1, "0" * 64, True, ago(0), 0.0), store="memory:of-another-process"
    )
    key = await world.issued(world.account, "other", into=MemoryStore("a-name-of-its-own"))
    from agentkeys.stores import memory

    memory.forget("a-name-of-its-own")
    found = await finding_of(world.account, "AK010")
    assert found.key_id == key.id


async def test_a_program_that_was_given_a_secret_cannot_be_asked(world):
    """By its nature, so that is a note."""
    await world.issued(world.account, into=f"command:/bin/sh -c 'cat >{world.folder}/kept'")
    found = await finding_of(world.account, "AK010")
    assert found.severity == "note"


@pytest.mark.parametrize(
    ("ignore", "add", "options", "found"),
    [
        (False, True, "", ("AK011", "error")),
        (False, True, "?allow_tracked", ("AK011", "note")),
        (True, True, "", ("AK011", "error")),
        (False, False, "", ("AK012", "warning")),
        (False, False, "?allow_tracked", None),
        (True, False, "", None),
    ],
)
async def test_a_secret_that_git_has_or_would_take_is_found(world, ignore, add, options, found):
    """Git's index is read as data; a file that it ignores is well where it is."""
    await world.issued(world.account, into=world.address(options=options))
    repositories.make(world.folder)
    if ignore:
        (world.folder / ".gitignore").write_text(".env\n")
    if add:
        repositories.run(world.folder, "add", "-f", ".env")
    report = await audit(world.account, policy=STRICT)
    said = [(each.rule, each.severity) for each in report.findings]
    assert said == ([found] if found else [])


async def test_a_file_with_a_secret_alone_is_found_as_well(world):
    """A store of any kind whose secret is in a file; and its address permits the same."""
    repositories.make(world.folder)
    await world.issued(world.account, into=f"file:{world.folder}/key")
    assert await ids_of(world.account) == ["AK012"]
    repositories.run(world.folder, "add", "-f", "key")
    assert await ids_of(world.account) == ["AK011"]


async def test_what_git_does_may_not_be_known(world):
    """A damaged index is no "git does not track it"."""
    await world.issued(world.account)
    repositories.make(world.folder)
    (world.folder / ".git" / "index").write_bytes(b"damaged")
    assert await ids_of(world.account) == ["AK013"]


@pytest.mark.parametrize("keys", ["account", "inbox"])
async def test_a_retirement_that_is_overdue_is_found(world, keys):
    """Not before its time, nor when a sweep has been there."""
    keys = getattr(world, keys)
    old = await world.issued(keys)
    await rotate(keys, "bot", into=world.address(), grace=timedelta(hours=1))
    assert await ids_of(keys) == []
    world.changed(since=ago(1.5 * DAY), switched=ago(1.5 * DAY))
    found = await finding_of(keys, "AK014")
    assert (found.key_id, "a day" in found.sentence or "hours" in found.sentence) == (old.id, True)
    assert await ids_of(keys, Policy(overdue_by=2 * DAY)) == []
    assert (await sweep(keys)).retired == (old.id,)
    assert await ids_of(keys) == []


async def test_a_key_that_is_used_after_its_replacement_is_not_overdue(world):
    """Its grace begins anew; and after the longest one a person must decide."""
    await world.issued(world.inbox)
    secret = (await open_store(world.address()).read()).secret
    await rotate(world.inbox, "bot", into=world.address(), grace=DAY, max_grace=7 * DAY)
    await world.inbox._with(secret).list().collect()
    world.changed(since=ago(5 * DAY), switched=ago(5 * DAY))
    assert await ids_of(world.inbox) == []
    world.changed(since=ago(8 * DAY), switched=ago(8 * DAY))
    assert "is still in use" in (await finding_of(world.inbox, "AK014")).sentence


@pytest.mark.parametrize(
    "state",
    [
        Asking(ago(2 * DAY), 60.0),
        Writing(1, "0" * 64, True, ago(2 * DAY), 0.0),
        Restoring(Retiring(1, "0" * 64, ago(0), ago(0), True), "1" * 64, ago(2 * DAY), 0.0),
        Retiring(1, "0" * 64, ago(2 * DAY), ago(2 * DAY), False),
    ],
    ids=lambda state: type(state).__name__,
)
async def test_an_attempt_that_is_unfinished_for_more_than_a_day_is_found(world, state):
    """Also one whose users were never told."""
    world.left(world.account, state, store=world.address())
    assert "AK015" in await ids_of(world.account)
    assert await ids_of(world.account, Policy(unfinished_for=3 * DAY), rule="AK015") == []


@pytest.mark.parametrize("ending", [Denied(), Dropping(1)])
async def test_an_attempt_without_a_time_is_as_old_as_its_key(world, ending):
    """If there is no key, nothing is left of it."""
    world.left(world.account, ending)
    assert await ids_of(world.account) == []
    world.service.clock.advance(-2 * DAY)
    key = await world.account.create("bot~k7f3q2")
    world.service.clock.advance(2 * DAY)
    assert key.id == 1
    assert await ids_of(world.account) == ["AK015"]


async def test_an_attempt_that_has_just_begun_is_no_finding(world):
    """Somebody may be at work."""
    world.left(world.account, Asking(ago(60), 60.0))
    assert await ids_of(world.account) == []


def replacing(old, *, entry="0" * 16, grace=60.0):
    return {"replaces": Replaced(old.id, old.name, entry, grace, 7 * grace)}


async def test_a_deletion_that_was_begun_is_not_overdue_at_once(world):
    """Somebody may be at it."""
    old = await world.account.create("bot")
    for days, found in ((0.5, []), (1.5, ["AK014"])):
        state = Ousting(2, "0" * 64, ago(days * DAY))
        world.left(world.account, state, store=world.address(), **replacing(old))
        assert await ids_of(world.account, rule="AK014") == found
        FileJournal().claim(lambda _: True).entries[0].forget()


async def test_a_key_whose_users_were_not_told_is_not_overdue(world):
    """Its grace has not begun: that they were not told is the finding."""
    old = await world.account.create("bot")
    state = Retiring(2, "0" * 64, ago(9 * DAY), ago(9 * DAY), False)
    world.left(world.account, state, store=world.address(), **replacing(old))
    found = await ids_of(world.account)
    assert ("AK014" in found, "AK015" in found) == (False, True)


async def test_a_key_that_an_attempt_decides_on_is_not_one_of_several(world):
    """Neither one that is being made, nor one whose making is taken back."""
    old = await world.account.create("bot")
    new = await world.account.create("bot~k7f3q2")
    retiring = Retiring(new.id, "0" * 64, ago(0), ago(0), True)
    states = Asking(ago(0), 60.0), Restoring(retiring, "1" * 64, ago(0), 0.0)
    for state in states:
        world.left(world.account, state, store=world.address(), **replacing(old))
        report = await audit(world.account)
        assert report.findings == ()
        is_taken_back = isinstance(state, Restoring)
        assert [each.is_leaving for each in report.ages] == [False, is_taken_back]
        FileJournal().claim(lambda _: True).entries[0].forget()


async def test_an_id_of_another_account_or_place_is_not_taken_for_this_ones(world):
    """Ids are numbers at some services."""
    world.service.clock.advance(-2 * DAY)
    key = await world.account.create("ci")
    world.service.clock.advance(2 * DAY)
    theirs = attrs.evolve(world.account.scope, account="b@example.com", also=())
    entry = Entry(Plan(theirs, "bot"), "bot~k7f3q2", Dropping(key.id))
    FileJournal().begin(entry).release()
    assert await ids_of(world.account) == []
    plan = Plan(attrs.evolve(theirs, kind="team"), "bot", store=world.address())
    FileJournal().adopt(attrs.evolve(entry, plan=plan, state=Kept(key.id, "0" * 64, ago(0))))
    assert [each.store for each in (await audit(world.account)).ages] == [""]


async def gathered(keys):
    waiting = Waiting(60.0)
    facts, _ = await gathering._gathered(keys, STRICT, keys.scope, waiting, FileJournal())
    assert rules.found(facts) == ()
    return facts


async def test_what_comes_and_goes_while_the_keys_are_listed_is_no_finding(world):
    """The journal is read before and after, and an entry may be in one of the two alone."""
    await world.issued(world.account)
    await world.account.create("ci~k7f3q2")
    world.left(world.account, Asking(ago(0), 60.0), "ci~k7f3q2")
    facts = await gathered(world.account)
    came = attrs.evolve(facts, earlier=Remembered())
    went = attrs.evolve(facts, later=Remembered())
    too_late_for_the_listing = attrs.evolve(came, keys=())
    for each in (came, went, too_late_for_the_listing):
        assert rules.found(each) == ()
    assert [each.rule for each in rules.found(attrs.evolve(facts, keys=()))] == ["AK007"]


async def test_what_cannot_be_read_of_the_journal_is_found(world, state):
    """It may be an entry of any place."""
    await world.issued(world.account)
    [path] = state.glob("keys/*/*.key")
    path.write_text("{}\n")
    found = await finding_of(world.account, "AK016")
    assert (path.name in found.sentence, found.key_id) == (True, None)


async def test_a_gone_key_in_a_rotation_says_how_to_go_back(world):
    """The store holds a dead key, and the living one is about to be deleted."""
    await world.issued(world.account)
    rotated = await rotate(world.account, "bot", into=world.address())
    await world.account.delete(rotated.key.id)
    found = await finding_of(world.account, "AK007")
    assert "abort" in found.advice


async def test_an_aborted_rotation_leaves_no_finding(world):
    """The old key is in its store again."""
    await world.issued(world.account)
    old = (await open_store(world.address()).read()).secret
    await rotate(world.account, "bot", into=world.address())
    await abort(world.account, "bot", secret=old)
    assert await ids_of(world.account) == []


async def test_an_audit_changes_nothing(world, state):
    """Neither on the service nor on the disk, whatever it finds there."""
    await world.issued(world.inbox, age=200 * DAY)
    world.left(world.inbox, Asking(ago(2 * DAY), 60.0), "ci~k7f3q2")
    await world.inbox.create("ci~k7f3q2")

    def everything():
        files = [*world.folder.rglob("*"), *state.rglob("*")]
        return {each: (each.stat().st_mtime_ns, each.stat().st_ino) for each in files}

    before = everything()
    world.service.requests.clear()
    assert len(await ids_of(world.inbox)) >= 3
    assert [(seen.method, seen.status) for seen in world.service.requests] == [("GET", 200)]
    assert everything() == before


KILLED = """
import asyncio, os, sys
import attempt_files
from agentkeys import AgentryClient, Secret
from agentkeys.stores import open_store

url, inbox, key_id, address = sys.argv[1:]
keys = AgentryClient(os.environ["TOKEN"], base_url=url).inbox(inbox).api_keys
held = attempt_files.begin(keys.scope, "bot~k7f3q2", "k7f3q2")
secret = Secret("ag_abc123def456")

def note(found):
    held.receive(key_id, address, secret, found)
    os._exit(9)

asyncio.run(open_store(address).write_noted(secret, note=note))
"""


async def test_a_look_leaves_what_a_sweep_needs_for_its_proof(world):
    """The process that was to write was killed, so no store holds the secret, and its key goes.

    That it never did is proved by the file that it had prepared. The store is that of a key which
    is kept, so an audit looks into it.
    """
    await world.issued(world.inbox, "other", into=world.address("OTHER"))
    (world.folder / ".env").unlink()
    key = await world.inbox.create("bot~k7f3q2")
    words = [world.service.url, world.service.inbox_id, key.id, world.address()]
    environment = {"PYTHONPATH": "tests/support", "TOKEN": world.service.agentry_token}
    killed = subprocess.run(  # noqa: ASYNC221  # nobody waits meanwhile
        [sys.executable, "-c", KILLED, *words],
        env=os.environ | environment,
        cwd=Path(__file__).parents[2],
        check=False,
        timeout=60,
    )
    assert killed.returncode == 9
    assert await ids_of(world.inbox) == ["AK009"]
    swept = await sweep(world.inbox)
    assert (swept.deleted, swept.unresolved) == ((key.id,), ())


async def test_keys_that_cannot_be_listed_are_an_error_and_no_empty_report(world):
    """Nothing is known then."""
    await world.issued(world.inbox)
    with world.service.faults.add(LISTS, Answer(401, {"message": "no"}), times="always"):
        with pytest.raises(AuthenticationError):
            await audit(world.inbox)


async def test_a_rule_can_be_left_out(world):
    """By its id."""
    await world.issued(world.account, age=91 * DAY)
    assert await ids_of(world.account, attrs.evolve(STRICT, ignore="AK001")) == []


@pytest.mark.parametrize(
    "wrong",
    [
        {"max_age": -1},
        {"max_age": "90d"},
        {"unused_for": timedelta(days=-1)},
        {"warn_at": 1.5},
        {"unfinished_for": float("inf")},
        {"overdue_by": True},
    ],
)
async def test_a_policy_that_cannot_be_right_is_refused(wrong):
    """Before anything is sent, and by its name."""
    with pytest.raises(InvalidArgumentError, match=next(iter(wrong))):
        Policy(**wrong)


async def test_what_is_no_policy_is_refused(world):
    """Before anything is sent."""
    world.service.requests.clear()
    with pytest.raises(InvalidArgumentError, match="policy must be a Policy"):
        await audit(world.account, policy={"max_age": 1})
    assert len(world.service.requests) == 0


async def test_every_rule_has_an_id_of_its_own_and_a_test():
    """The ids go on without a gap, in this order, and each stands in this file."""
    assert [rule.id for rule in RULES] == [f"AK{n:03}" for n in range(1, len(RULES) + 1)]
    assert len({rule.name for rule in RULES}) == len(RULES)
    with open(__file__) as file:  # noqa: ASYNC230, PTH123
        text = file.read()
    assert [rule.id for rule in RULES if f'"{rule.id}"' not in text] == []
