"""Law 7: pages cannot loop, lie or hang."""

from __future__ import annotations

import asyncio
import gc
from contextlib import aclosing
from urllib.parse import parse_qs, urlsplit

import pytest
from samples import INBOX_KEY, agentity, agentry
from wire import Wire, answer, hang

from agentkeys import InvalidArgumentError, Page, Pager, PaginationError, ServerError
from agentkeys.server import LocalService

pytestmark = pytest.mark.asyncio


def keys(*numbers: int) -> list[dict[str, object]]:
    return [{**INBOX_KEY, "api_key_id": f"key_{n}"} for n in numbers]


def page(numbers: range | list[int] = (), token: object = None, **more: object):
    return answer(200, {"api_keys": keys(*numbers), "next_page_token": token, **more})


def asked(wire: Wire) -> list[dict[str, list[str]]]:
    return [parse_qs(urlsplit(seen.target).query) for seen in wire.requests]


async def test_a_listing_goes_on_across_pages():
    """Every key comes once, in the service's order; each page is asked for with its token."""
    async with (
        Wire(page([3, 2], "b"), page([1], "c"), page([0])) as wire,
        agentry(wire.url) as client,
    ):
        found = [key.api_key_id async for key in client.api_keys.list(limit=2, inbox_id="i")]
    assert found == ["key_3", "key_2", "key_1", "key_0"]
    common = {"limit": ["2"], "inbox_id": ["i"]}
    assert asked(wire) == [common, {**common, "page_token": ["b"]}, {**common, "page_token": ["c"]}]


@pytest.mark.parametrize("end", [{}, {"next_page_token": None}, {"next_page_token": ""}])
async def test_no_token_is_the_end(end):
    """Absent, null and "" all end a listing."""
    async with Wire(answer(200, {"api_keys": keys(1), **end})) as wire, agentry(wire.url) as client:
        pages = [page async for page in client.api_keys.list().pages()]
    assert len(wire.requests) == 1
    assert [(len(each.items), each.next_page_token, each.count) for each in pages] == [(1, None, 1)]


async def test_an_empty_page_with_a_token_goes_on():
    """Only the token says that there is no more."""
    async with Wire(page([], "b"), page([], "c"), page([1])) as wire, agentry(wire.url) as client:
        assert len(await client.api_keys.list().collect()) == 1
    assert len(wire.requests) == 3


@pytest.mark.parametrize("cycle", ["A", "AB", "ABC"])
async def test_a_token_that_comes_again_ends_in_an_error(cycle):
    """A, A; A, B, A, B; and longer circles: each ends, and the error names the token."""
    tokens = [*cycle, *cycle]
    async with Wire(*(page([n], token) for n, token in enumerate(tokens))) as wire:
        async with agentry(wire.url) as client:
            listed = r"^GET /human/v0/api-keys: .* 'A'"
            with pytest.raises(PaginationError, match=listed) as caught:
                await client.api_keys.list().collect()
    assert len(wire.requests) == len(cycle) + 1
    assert caught.value.page_token == "A"
    assert caught.value.path == "/human/v0/api-keys"


async def test_the_token_that_a_listing_began_with_counts():
    """A listing that was resumed cannot be led back to its beginning either."""
    async with Wire(page([1], "A")) as wire, agentry(wire.url) as client:
        with pytest.raises(PaginationError):
            await client.api_keys.list(page_token="A").collect()
    assert len(wire.requests) == 1


async def test_what_came_before_the_repeated_token_is_handed_out():
    """The keys of the last good page are not lost."""
    async with Wire(page([1], "A"), page([2], "A")) as wire, agentry(wire.url) as client:
        found = []
        with pytest.raises(PaginationError):  # noqa: PT012  # what came before the error counts
            async for key in client.api_keys.list():
                found.append(key.id)  # noqa: PERF401
    assert found == ["key_1", "key_2"]


async def test_taking_a_few_costs_one_request():
    """Nothing is read ahead of the first page."""
    async with Wire(page([1, 2], "b")) as wire, agentry(wire.url) as client:
        async for _ in client.api_keys.list():
            break
        first = await client.api_keys.list().first()
        assert first.next_page_token == "b"
    assert len(wire.requests) == 2


async def test_page_three_is_asked_for_when_page_two_is_handed_out():
    """One page is read ahead, from the second on, and never two."""
    async with Wire(page([1], "b"), page([2], "c"), page([3], "d"), page([4])) as wire:
        async with agentry(wire.url) as client, aclosing(client.api_keys.list().pages()) as pages:
            await anext(pages)
            assert len(wire.requests) == 1
            await anext(pages)
            while len(wire.requests) < 3:
                wire.arrived.clear()
                await wire.arrived.wait()
            await anext(pages)
    assert [token for query in asked(wire) for token in query.get("page_token", [])][:2] == [
        "b",
        "c",
    ]


async def test_reading_ahead_is_cancelled_and_awaited_when_the_consumer_leaves():
    """Nothing is left running behind a closed listing."""
    async with Wire(page([1], "b"), page([2], "c"), hang) as wire, agentry(wire.url) as client:
        before = asyncio.all_tasks()
        async with aclosing(client.api_keys.list().pages()) as pages:
            await anext(pages)
            await anext(pages)
            while len(wire.requests) < 3:
                wire.arrived.clear()
                await wire.arrived.wait()
        own = {task for task in asyncio.all_tasks() - before if "fetch" in repr(task)}
        assert own == set()
        await wire.disconnected.wait()


async def test_a_listing_that_is_dropped_is_cleaned_up():
    """So is one that a `break` leaves to the garbage collector."""
    async with Wire(page([1], "b"), page([2], "c"), hang) as wire, agentry(wire.url) as client:
        async for key in client.api_keys.list():
            if key.id == "key_2":
                break
        while len(wire.requests) < 3:
            wire.arrived.clear()
            await wire.arrived.wait()
        gc.collect()
        await wire.disconnected.wait()


async def test_the_error_of_a_page_ahead_is_raised_when_the_consumer_gets_there():
    """The keys before it are handed out first."""
    async with (
        Wire(page([1], "b"), page([2], "c"), answer(501)) as wire,
        agentry(wire.url) as client,
    ):
        pages = client.api_keys.list().pages()
        assert [(await anext(pages)).items[0].id for _ in range(2)] == ["key_1", "key_2"]
        with pytest.raises(ServerError):
            await anext(pages)
    assert len(wire.requests) == 3


async def test_an_error_ahead_that_nobody_gets_to_is_dropped_in_silence(caplog):
    """Whoever leaves before the bad page hears nothing of it."""
    async with (
        Wire(page([1], "b"), page([2], "c"), answer(501)) as wire,
        agentry(wire.url) as client,
    ):
        async with aclosing(client.api_keys.list().pages()) as pages:
            await anext(pages)
            await anext(pages)
            while len(wire.requests) < 3:
                wire.arrived.clear()
                await wire.arrived.wait()
        gc.collect()
    assert caplog.records == []


async def test_a_listing_can_be_iterated_again():
    """Each iteration starts anew."""
    async with Wire(page([1])) as wire, agentry(wire.url) as client:
        listing = client.api_keys.list()
        assert wire.requests == []
        assert len(await listing.collect()) == len(await listing.collect()) == 1
    assert len(wire.requests) == 2


async def test_agentitys_listing_is_one_page():
    """The same surface, where the service has no pages."""
    async with Wire(answer(200, {"apiKeys": []})) as wire, agentity(wire.url) as client:
        assert await client.api_keys.list().first() == Page(())
        assert [page.count async for page in client.api_keys.list().pages()] == [0]


async def test_a_pager_serves_any_fetch():
    """Paging knows nothing of services: a function from token to page is all it takes."""
    pages = {None: Page((1, 2), "x"), "x": Page((), "y"), "y": Page((3,))}

    async def fetch(token: str | None) -> Page[int]:
        return pages[token]

    assert await Pager(fetch).collect() == [1, 2, 3]


@pytest.mark.parametrize(
    "arguments",
    [
        {"limit": 0},
        {"limit": -1},
        {"limit": "ten"},
        {"limit": 1.0},
        {"limit": True},
        {"page_token": ""},
        {"page_token": 5},
    ],
)
async def test_bad_arguments_are_refused_before_anything_is_sent(arguments):
    """A limit below 1 or "ten", and an empty token, which would begin anew, get a sentence."""
    async with Wire(page()) as wire, agentry(wire.url) as client:
        for collection in (client.api_keys, client.agent.api_keys, client.inbox("i").api_keys):
            with pytest.raises(InvalidArgumentError, match=next(iter(arguments))):
                collection.list(**arguments)
    assert wire.requests == []


async def test_against_the_local_service_every_key_comes_once():
    """Pages of 3 over 10 keys, while keys are deleted and made in between."""
    async with LocalService() as service, agentry(service.url, service.agentry_token) as client:
        inbox = client.inbox(service.inbox_id).api_keys
        made = [(await inbox.create(f"key {n}")).id for n in range(10)]
        found = []
        async for each in inbox.list(limit=3).pages():
            found += [key.id for key in each.items]
            if len(found) == 3:
                await inbox.delete(made[9])  # handed out already
                await inbox.create("late")
    assert found == made[::-1]
