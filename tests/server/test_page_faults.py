"""Pages that go wrong on purpose: cursors without an end, and empty pages."""

from __future__ import annotations

import pytest

from agentkeys.server.faults import (
    CycledCursors,
    EmptyPage,
    RepeatedCursor,
)

TENANT_LIST = "GET /human/v0/api-keys"


async def listing(api, path=None):
    return await api.send("GET", path or api.tenant, token=api.service.agentry_token)


async def page(api, token=None, path=None):
    query = "?limit=1" if token is None else f"?limit=1&page_token={token}"
    answer = (await listing(api, (path or api.tenant) + query)).json
    return [key["name"] for key in answer["api_keys"]], answer.get("next_page_token")


@pytest.fixture
def three_keys(api):
    async def made():
        for name in "abc":
            await api.create(api.tenant, name=name)

    return made


@pytest.mark.asyncio
async def test_a_repeated_cursor_never_ends(api, three_keys):
    """The second page names itself as the next one, for ever; the first is as it should be."""
    await three_keys()
    api.service.faults.add(TENANT_LIST, RepeatedCursor())
    names, token = await page(api)
    assert names == ["c"]
    assert [await page(api, token) for _ in range(3)] == [(["b"], token)] * 3


@pytest.mark.asyncio
async def test_a_repeated_cursor_needs_no_second_page(api):
    """A listing of one page repeats that."""
    await api.create(api.tenant, name="a")
    api.service.faults.add(TENANT_LIST, RepeatedCursor())
    names, token = await page(api)
    assert names == ["a"]
    assert token
    assert await page(api, token) == (["a"], token)


@pytest.mark.asyncio
async def test_cursors_go_round(api, three_keys):
    """A, B, C, A: each is good, and none is the last."""
    await three_keys()
    api.service.faults.add(TENANT_LIST, CycledCursors(3))
    tokens = [None]
    for _ in range(7):
        names, token = await page(api, tokens[-1])
        assert names == ["c"]
        tokens.append(token)
    assert len(set(tokens[1:4])) == 3
    assert tokens[1:4] == tokens[4:7]


@pytest.mark.asyncio
async def test_an_empty_page_leads_to_the_one_that_was_asked_for(api, three_keys):
    """At the start and in the middle: whoever goes on misses no key, and sees none twice."""
    await three_keys()
    for times, expected in [(1, [[], "c", "b", "a"]), (3, [[], [], [], "c", "b", "a"])]:
        api.service.faults.clear()
        api.service.faults.add(TENANT_LIST, EmptyPage(), times=times)
        seen, token = [], None
        while True:
            names, token = await page(api, token)
            seen.append(names)
            if token is None:
                break
        assert seen == [list(each) for each in expected]
    _, second = await page(api)
    api.service.faults.add(TENANT_LIST, EmptyPage())
    names, token = await page(api, second)
    assert names == []
    assert (await page(api, token))[0] == ["b"]


@pytest.mark.asyncio
async def test_empty_pages_without_end_never_repeat_a_cursor(api):
    """Only a bound on time or pages ends such a listing."""
    api.service.faults.add(TENANT_LIST, EmptyPage(), times="always")
    tokens = [None]
    for _ in range(20):
        names, token = await page(api, tokens[-1])
        assert names == []
        tokens.append(token)
    assert len(set(tokens)) == 21


@pytest.mark.asyncio
async def test_the_service_is_strict_about_cursors_all_the_same(api, three_keys):
    """A token that nobody gave is refused, in a listing that goes wrong too; so are two."""
    await three_keys()
    api.service.faults.add(TENANT_LIST, RepeatedCursor())
    assert (await listing(api, f"{api.tenant}?page_token=x")).status == 400
    assert (await listing(api, f"{api.tenant}?page_token=fault-1-x")).status == 400
    twice = f"{api.tenant}?page_token=fault-1-&page_token=fault-1-"
    assert (await listing(api, twice)).status == 400
