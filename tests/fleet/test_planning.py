"""A file is compared with a real service and real stores, and carried out."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from agentkeys import ConfigurationError, InvalidArgumentError, ManifestError, status
from agentkeys.fleet import apply, plan
from agentkeys.fleet.applying import Applying, Limits
from agentkeys.fleet.carrying_out import Done, How
from agentkeys.fleet.manifest.declared import Account
from agentkeys.stores import open_store

pytestmark = pytest.mark.asyncio


def path_of(address):
    return Path(address.partition(":")[2])


async def planned(fleet, **how):
    """Return what is to be done, as pairs, and close the plan."""
    with await plan(fleet.file, fleet.client, **how) as made:
        return [(step.do, step.declared.name) for step in made.steps()], dict(made.counts)


async def done(fleet, **how):
    """Plan and apply; return what became of it."""
    with await plan(fleet.file, fleet.client, prune=how.pop("prune", False)) as made:
        return await apply(made, fleet.client, **how)


async def test_keys_are_issued_until_all_are_as_declared(fleet):
    """A second plan has nothing to do."""
    steps, counts = await planned(fleet)
    assert sorted(steps) == sorted(("issue", f"agent-{n}") for n in range(12))
    assert counts == {"issue": 12}
    assert not any((await fleet.whole()).values())  # a plan changes nothing
    applied = await done(fleet)
    assert applied.done == {"issue": 12}
    assert (applied.failed, applied.left, applied.not_begun) == ((), (), 0)
    assert await fleet.is_as_declared()
    assert await planned(fleet) == ([], {"nothing": 12})


async def test_what_is_old_is_replaced_and_what_is_not_declared_is_left_alone(fleet):
    """`max_age = "0"` makes all of them too old."""
    await done(fleet)
    mine = await fleet.client.inbox(fleet.inboxes[0]).api_keys.create("by-hand")
    fleet.declare(defaults='grace = "0"')
    fleet.file.write_text(fleet.file.read_text().replace('"90d"', '"0"'))
    applied = await done(fleet)
    assert applied.done == {"rotate": 12}
    await fleet.client.inbox(fleet.inboxes[0]).api_keys.delete(mine.id)
    assert await fleet.is_as_declared()


async def test_each_place_is_listed_once(fleet):
    """However many keys it has; and no key is listed by whom it is not asked for."""
    more = "".join(
        f'\n[keys.more-{n}]\nservice = "agentry"\ninbox = "{fleet.inboxes[0]}"\n'
        f'store = "file:run/more-{n}"\n'
        for n in range(5)
    )
    fleet.declare(more=more)
    before = len(fleet.service.requests)
    _, counts = await planned(fleet)
    assert counts == {"issue": 17}
    assert len(fleet.service.requests) - before == 12


async def test_a_place_that_cannot_be_listed_is_unclear(fleet):
    """Nothing is concluded about its keys, and the others are planned."""
    await done(fleet)
    fleet.inboxes[11] = "nobody@acme.to"
    fleet.declare()
    steps, counts = await planned(fleet)
    assert counts == {"nothing": 11, "unclear": 1}
    assert steps == [("unclear", "agent-11")]


async def test_a_store_that_cannot_be_read_is_unclear(fleet):
    """No key is issued twice because a disk is away."""
    await done(fleet)
    (fleet.folder / "run").rename(fleet.folder / "away")
    (fleet.folder / "run").write_text("no folder")
    _, counts = await planned(fleet)
    assert counts == {"unclear": 12}
    (fleet.folder / "run").unlink()
    (fleet.folder / "away").rename(fleet.folder / "run")
    assert await fleet.is_as_declared()


async def test_keys_that_are_declared_no_more_are_pruned_when_asked_for(fleet):
    """Those of ours, at a place of the file: the key, its secret, and its entry."""
    extra = (
        f'\n[keys.extra]\nservice = "agentry"\ninbox = "{fleet.inboxes[0]}"\n'
        'store = "file:run/extra"\n'
    )
    fleet.declare(more=extra)
    await done(fleet)
    mine = await fleet.client.inbox(fleet.inboxes[0]).api_keys.create("by-hand")
    fleet.declare()
    assert await planned(fleet) == ([], {"nothing": 12})
    steps, _ = await planned(fleet, prune=True)
    assert steps == [("prune", "extra")]
    applied = await done(fleet, prune=True)
    assert applied.done == {"prune": 1}
    assert {key.name.partition("~")[0] for key in await fleet.keys(0)} == {"agent-0", "by-hand"}
    assert mine.id in {key.id for key in await fleet.keys(0)}
    assert not (fleet.folder / "run/extra").exists()
    assert {known.name for known in (await status()).kept} == {f"agent-{n}" for n in range(12)}
    assert await planned(fleet, prune=True) == ([], {"nothing": 12})


async def test_a_key_in_a_changed_store_is_not_pruned(fleet):
    """The store holds another secret than the ledger says: that is a person's."""
    extra = (
        f'\n[keys.extra]\nservice = "agentry"\ninbox = "{fleet.inboxes[0]}"\n'
        'store = "file:run/extra"\n'
    )
    fleet.declare(more=extra)
    await done(fleet)
    mine = await fleet.client.inbox(fleet.inboxes[0]).api_keys.create("by-hand")
    await open_store(f"file:{fleet.folder}/run/extra").write(mine.secret)
    fleet.declare()
    steps, _ = await planned(fleet, prune=True)
    assert steps == [("unclear", "extra")]


async def test_what_fails_does_not_hold_the_others_up(fleet):
    """One store cannot be written; all others are, and the failure has its sentence."""
    with await plan(fleet.file, fleet.client) as made:
        (fleet.folder / "run/key-7").mkdir()
        applied = await apply(made, fleet.client)
    assert applied.done == {"issue": 11}
    assert [each.step.declared.name for each in applied.failed] == ["agent-7"]
    assert "run/key-7" in str(applied.failed[0].error)


async def test_after_too_many_failures_nothing_more_is_begun(fleet):
    """What was not begun is counted, and a second run does the rest."""
    with await plan(fleet.file, fleet.client) as made:
        (fleet.folder / "run").rename(fleet.folder / "away")
        applied = await apply(made, fleet.client, jobs=1, max_failures=3)
    assert (len(applied.failed), applied.not_begun) == (3, 9)
    (fleet.folder / "away").rename(fleet.folder / "run")
    assert (await done(fleet)).done == {"issue": 12}
    assert await fleet.is_as_declared()


async def test_a_canary_comes_first(fleet):
    """If one of the first keys fails, no other one is begun."""
    with await plan(fleet.file, fleet.client) as made:
        _, second, *_ = [step.declared.store for step in made.steps()]
        path_of(second).mkdir()
        applied = await apply(made, fleet.client, canary=2)
    assert applied.done == {"issue": 1}
    assert [each.step.declared.store for each in applied.failed] == [second]
    assert applied.not_begun == 10
    path_of(second).rmdir()
    assert (await done(fleet, canary=2)).done == {"issue": 11}
    assert await fleet.is_as_declared()


async def test_a_canary_is_looked_at_again(fleet):
    """A key that is not as declared, though it was issued, ends it as well."""

    def spoil(done):
        if isinstance(done, Done):
            path_of(done.step.declared.store).unlink()

    with await plan(fleet.file, fleet.client) as made:
        applying = Applying(made, Limits(canary=1), How())
        await applying.run(fleet.client, Account("agentry"), tell=spoil)
    assert applying.applied.not_begun == 11
    assert "not as declared" in str(applying.applied.failed[0].error)


async def test_a_cancelled_apply_goes_on_where_it_stopped(fleet):
    """What was done stays, and the rest is done by the next one."""
    with await plan(fleet.file, fleet.client) as made:
        begun = asyncio.Event()
        applying = Applying(made, Limits(jobs=2), How())
        running = applying.run(fleet.client, Account("agentry"), tell=lambda _: begun.set())
        work = asyncio.ensure_future(running)
        await begun.wait()
        work.cancel()
        with pytest.raises(asyncio.CancelledError):
            await work
    assert 1 <= sum(map(len, (await fleet.whole()).values())) < 12
    await done(fleet)
    assert await fleet.is_as_declared()


async def test_two_at_once_make_each_key_once(fleet):
    """Each key is issued by one of them; the other finds its store taken."""
    with await plan(fleet.file, fleet.client) as one, await plan(fleet.file, fleet.client) as two:
        applied = await asyncio.gather(*(apply(each, fleet.client) for each in (one, two)))
    assert sum(each.done.get("issue", 0) for each in applied) == 12
    assert await fleet.is_as_declared()


async def test_two_keys_of_one_store_or_name_are_a_mistake(fleet):
    """The second one is named with its line, and where the first one is."""
    again = f'\n[keys.again]\nservice = "agentry"\ninbox = "{fleet.inboxes[0]}"\nstore = '
    fleet.declare(more=f'{again}"file:run/key-3"\n')
    with pytest.raises(ManifestError) as caught:
        await plan(fleet.file, fleet.client)
    (sentence,) = caught.value.mistakes
    assert "agentkeys.toml:12: a key of this store is declared already, at" in sentence
    assert sentence.endswith("inboxes.csv:5")
    fleet.declare(more=f'{again}"file:run/other"\nname = "agent-0"\n')
    with pytest.raises(ManifestError, match="a key 'agent-0' of this place is declared already"):
        await plan(fleet.file, fleet.client)


async def test_each_service_needs_a_client(fleet):
    """And none is left over, or there twice."""
    with pytest.raises(ConfigurationError, match="keys of agentry: pass a client of each"):
        await plan(fleet.file)
    with pytest.raises(InvalidArgumentError, match="several clients of one service"):
        await plan(fleet.file, fleet.client, fleet.client)
    with pytest.raises(InvalidArgumentError, match="clients must be clients"):
        await plan(fleet.file, fleet.client.api_keys)
