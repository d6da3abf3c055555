"""What was decided is done, on a real service and with real stores."""

from __future__ import annotations

import attrs
import pytest

from agentkeys import StoreConflictError, issue, status
from agentkeys.fleet.carrying_out import How, carry_out, decided, reconcile
from agentkeys.fleet.manifest.declared import Declared
from agentkeys.fleet.places import keys_at
from agentkeys.stores import open_store

DAY = 86400.0


@pytest.fixture
def bot(service, tmp_path):
    """A key that shall be there."""
    (tmp_path / "run").mkdir()
    store = f"file:{tmp_path}/run/bot"
    return Declared("agentry", "bot", store, inbox=service.inbox_id, max_age=90 * DAY)


async def live(keys):
    return {key.id for key in await keys.list().collect()}


async def secret_in(declared):
    return (await open_store(declared.store).read()).secret


@pytest.mark.asyncio
async def test_a_key_is_issued_once(client, service, bot):
    """A second time there is nothing to do."""
    keys = keys_at(client, bot)
    done = await reconcile(bot, keys)
    assert done.step.do == "issue"
    again = await reconcile(bot, keys)
    assert again.step.do == "nothing"
    assert again.key_id == done.key_id
    assert await live(keys) == {done.key_id}
    assert await service.is_live(await secret_in(bot))


@pytest.mark.asyncio
async def test_a_key_that_is_too_old_is_replaced_and_retires(client, service, bot):
    """First the new key is stored; after the grace the old one is deleted."""
    keys = keys_at(client, bot)
    old = await reconcile(bot, keys)
    aged = attrs.evolve(bot, max_age=0.0, grace=0.05)
    new = await reconcile(aged, keys)
    assert new.step.do == "rotate"
    assert await live(keys) == {old.key_id, new.key_id}
    step = await decided(bot, keys, seconds=30.0)
    while step.do == "wait":  # for the grace
        step = await decided(bot, keys, seconds=30.0)
    assert step.do == "retire"
    done = await carry_out(step, keys)
    assert done.deleted == (old.key_id,)
    assert await live(keys) == {new.key_id}
    assert await service.is_live(await secret_in(bot))


@pytest.mark.asyncio
async def test_a_key_of_before_is_adopted(client, bot):
    """Its secret is in the store, and the service shows how it begins."""
    keys = keys_at(client, bot)
    made = await keys.create("bot")
    await open_store(bot.store).write(made.secret)
    done = await reconcile(bot, keys)
    assert (done.step.do, done.key_id) == ("adopt", made.id)
    (known,) = (await status(keys)).kept
    assert (known.key_id, known.store, known.name) == (made.id, bot.store, "bot")
    assert (await reconcile(bot, keys)).step.do == "nothing"


@pytest.mark.asyncio
async def test_a_key_that_was_deleted_is_issued_anew(client, service, bot):
    """Its secret is dead, and is replaced."""
    keys = keys_at(client, bot)
    first = await reconcile(bot, keys)
    await keys.delete(first.key_id)
    second = await reconcile(bot, keys)
    assert second.step.do == "issue"
    assert second.step.replace
    assert await live(keys) == {second.key_id}
    assert await service.is_live(await secret_in(bot))
    assert (await reconcile(bot, keys)).step.do == "nothing"


@pytest.mark.asyncio
async def test_a_dead_secret_is_looked_at_again_before_it_is_replaced(client, bot):
    """By now the store may hold one that lives."""
    keys = keys_at(client, bot)
    first = await reconcile(bot, keys)
    await keys.delete(first.key_id)
    step = await decided(bot, keys, seconds=30.0)
    assert step.replace
    mine = await keys.create("somebody's")
    await open_store(bot.store).write(mine.secret)
    done = await carry_out(step, keys)
    assert done.step.do == "unclear"
    assert await secret_in(bot) == mine.secret
    assert await live(keys) == {mine.id}


@pytest.mark.asyncio
async def test_a_step_that_came_too_late_harms_nothing(client, bot):
    """Of two planners the second finds the store taken, and leaves no key."""
    keys = keys_at(client, bot)
    step = await decided(bot, keys, seconds=30.0)
    done = await carry_out(step, keys)
    with pytest.raises(StoreConflictError):
        await carry_out(step, keys)
    assert await live(keys) == {done.key_id}


@pytest.mark.asyncio
async def test_what_is_unclear_is_left_alone(client, bot):
    """A store that holds somebody's secret is neither written nor adopted."""
    keys = keys_at(client, bot)
    elsewhere = client.inbox(bot.inbox).api_keys
    issued = await issue(elsewhere, "other", into=bot.store)
    before = await secret_in(bot)
    done = await reconcile(bot, keys)
    assert done.step.do == "unclear"
    assert await live(keys) == {issued.key.id}
    assert await secret_in(bot) == before


@pytest.mark.asyncio
async def test_those_who_use_a_key_are_told(client, bot):
    """`then` is called by a rotation, and by the sweep that finishes one."""
    told = []
    keys = keys_at(client, bot)
    await reconcile(bot, keys)
    await reconcile(attrs.evolve(bot, max_age=0.0), keys, how=How(then=told.append))
    assert [each.name for each in told] == ["bot"]


@pytest.mark.asyncio
async def test_the_agent_surface_gives_permissions(client, service, bot):
    """They are those that are declared."""
    wanted = attrs.evolve(bot, agent=True, permissions={"read_inbox": True})
    keys = keys_at(client, wanted)
    await reconcile(wanted, keys)
    (key,) = await keys.list().collect()
    assert key.permissions == {"read_inbox": True}
    assert (await reconcile(wanted, keys)).step.do == "nothing"
    other = attrs.evolve(wanted, permissions={"read_inbox": False})
    assert (await reconcile(other, keys)).step.do == "unclear"
