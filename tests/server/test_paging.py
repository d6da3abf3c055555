"""Pages stay right while keys are made and deleted between them."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agentkeys.server import LocalService

pytestmark = pytest.mark.asyncio

ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"


async def test_newest_first_and_ties_by_sequence(api_of):
    """Keys of one moment are listed in the opposite order of their creation."""
    async with LocalService(clock=lambda: 1_800_000_000.0) as service:
        api = api_of(service)
        keys = [await api.create() for _ in range(5)]
        assert {key["created_at"] for key in keys} == {"2027-01-15T08:00:00.000Z"}
        assert await api.ids() == [key["api_key_id"] for key in reversed(keys)]


@pytest.mark.parametrize(("limit", "expected"), [("", 50), ("?limit=100", 100), ("?limit=1", 1)])
async def test_a_page_has_50_keys_unless_another_limit_is_given(api, limit, expected):
    """The default limit is 50, the largest 100; count is the number of keys in the page."""
    for _ in range(101):
        await api.create()
    page = (await api.send("GET", api.inbox + limit, token=api.service.agentry_token)).json
    assert (len(page["api_keys"]), page["count"]) == (expected, expected)
    assert page["next_page_token"]


async def test_the_last_page_has_no_token(api):
    """A page that ends exactly at the last key is the last page."""
    for _ in range(4):
        await api.create()
    pages = [page async for page in pages_of(api, api.inbox, itertools.repeat(2))]
    assert [page["count"] for page in pages] == [2, 2]
    assert "next_page_token" not in pages[-1]
    await api.service.add_inbox("empty")
    empty = "/human/v0/inboxes/empty/api-keys"
    answer = await api.send("GET", empty, token=api.service.agentry_token)
    assert answer.json == {"api_keys": [], "count": 0}


async def pages_of(api, path, limits):
    query = ""
    for limit in limits:
        target = f"{path}?limit={limit}{query}"
        page = (await api.send("GET", target, token=api.service.agentry_token)).json
        yield page
        if "next_page_token" not in page:
            return
        query = f"&page_token={page['next_page_token']}"


steps = st.lists(
    st.tuples(
        st.integers(1, 4),  # the limit of a page, and what happens before the next one
        st.lists(st.one_of(st.just("create"), st.integers(0, 30)), max_size=4),
    ),
    min_size=1,
    max_size=8,
)


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    first=st.integers(0, 10),
    steps=steps,
    ticks=st.sampled_from([[0.0], [0.001], [-1.0], [0.0, 0.0, 1.0, -2.0]]),
    pages=st.sampled_from(["inbox", "pod", "tenant"]),
)
async def test_no_key_is_listed_twice_and_none_is_skipped(api_of, first, steps, ticks, pages):
    """Whatever is made and deleted between pages, and whatever the clock does."""
    moments = itertools.accumulate(itertools.cycle(ticks), initial=1_800_000_000.0)
    async with LocalService(clock=lambda: next(moments)) as service:
        api = api_of(service)
        await service.add_pod("p")
        await service.add_inbox("i", "p")
        path = {"inbox": "inboxes/i/", "pod": "pods/p/", "tenant": ""}[pages]
        path = f"/agent/v0/{path}api-keys"
        existing = [(await api.create(path))["api_key_id"] for _ in range(first)]
        throughout, listed = set(existing), []
        limits = itertools.chain((limit for limit, _ in steps), itertools.repeat(3))
        changes = itertools.chain((changed for _, changed in steps), itertools.repeat([]))
        async for page in pages_of(api, path, limits):
            listed += [key["api_key_id"] for key in page["api_keys"]]
            for change in next(changes):
                if change == "create":
                    existing.append((await api.create(path))["api_key_id"])
                elif existing:
                    gone = existing.pop(change % len(existing))
                    await api.send("DELETE", f"{path}/{gone}", token=service.agentry_token)
                    throughout.discard(gone)
        assert len(listed) == len(set(listed))
        assert throughout <= set(listed)


async def first_token(api, path=None):
    path = path or api.inbox
    for _ in range(2):
        await api.create(path)
    answer = await api.send("GET", f"{path}?limit=1", token=api.service.agentry_token)
    return answer.json["next_page_token"]


async def refused(api, page_token, path=None):
    target = f"{path or api.inbox}?page_token={page_token}"
    answer = await api.send("GET", target, token=api.service.agentry_token)
    if answer.status == 200:
        return False
    assert (answer.status, answer.json["errors"][0]["path"]) == (400, ["page_token"])
    return True


async def test_no_changed_character_makes_a_good_page_token(api):
    """A page token with one character changed, added or cut answers 400."""
    token = await first_token(api)
    assert not await refused(api, token)
    changed = [
        token[:index] + ALPHABET[(ALPHABET.index(token[index]) + 1) % 64] + token[index + 1 :]
        for index in range(len(token))
    ]
    for forged in [*changed, token[:-1], token + "A", token + "=", "%20" + token, token + "%0A"]:
        assert await refused(api, forged)


@pytest.mark.parametrize("forged", ["", "A", "0", "AAAA" * 20, "%00", "%ff", "..", "eyJhIjoxfQ"])
async def test_a_forged_page_token_is_a_400(api, forged):
    """What this service did not give is no page token, the empty one included."""
    assert await refused(api, forged)


async def test_a_page_token_is_good_for_its_collection_only(api, api_of):
    """The token of one inbox is refused by another, by the tenant, and by another service."""
    await api.service.add_inbox("other")
    token = await first_token(api)
    assert await refused(api, token, "/human/v0/inboxes/other/api-keys")
    assert await refused(api, token, api.tenant)
    assert not await refused(api, token, "/agent/v0/inboxes/demo%40agentkeys.local/api-keys")
    async with LocalService() as stranger:
        assert await refused(api_of(stranger), token)


async def test_a_page_token_survives_a_restart(api_of, tmp_path):
    """A kept database goes on with the page tokens it gave."""
    database = f"sqlite:///{tmp_path}/keys.db"
    async with LocalService(database=database) as service:
        token = await first_token(api_of(service))
    async with LocalService(database=database) as service:
        assert not await refused(api_of(service), token)
