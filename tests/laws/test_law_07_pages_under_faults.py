"""Law 7 on the local service: cursors that go round, empty pages, and keys that come and go."""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING

import pytest
import pytest_asyncio
from samples import agentry
from ways import SCOPES

from agentkeys import PaginationError
from agentkeys.server import LocalService
from agentkeys.server.faults import AGENTRY, LISTS, CycledCursors, EmptyPage, RepeatedCursor

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

pytestmark = pytest.mark.asyncio

ROUND = [RepeatedCursor(), CycledCursors(1), CycledCursors(2), CycledCursors(3), CycledCursors(10)]
PAGED = {name: scope for name, scope in SCOPES.items() if scope.service == "agentry"}
KEYS = 6


@pytest_asyncio.fixture
async def service() -> AsyncIterator[LocalService]:
    async with LocalService() as service:
        await service.add_pod("p")
        await service.add_inbox("i", "p")
        yield service


@pytest_asyncio.fixture
async def client(service):
    async with agentry(service.url, service.agentry_token) as client:
        yield client


@pytest.mark.parametrize("kind", ROUND, ids=repr)
@pytest.mark.parametrize("scope", PAGED.values(), ids=PAGED.keys())
async def test_no_listing_goes_round_for_ever(service, client, scope, kind):
    """However long the circle is, its second beginning is an error, and no request more."""
    keys = scope.keys(client)
    for n in range(3):
        await keys.create(str(n))
    service.faults.add(LISTS & AGENTRY, kind)
    service.requests.clear()
    with pytest.raises(PaginationError) as caught:
        await keys.list(limit=1).collect()
    length = kind.length if isinstance(kind, CycledCursors) else 1
    assert service.requests.count == length + 1
    assert caught.value.page_token


# With the last of these the last page is the one that comes late.
@pytest.mark.parametrize("position", range(KEYS - 1))
@pytest.mark.parametrize("times", [1, 3])
async def test_an_empty_page_hides_no_key(service, client, position, times):
    """At the beginning, in the middle, before the end, several in a row: every key comes once."""
    made = [(await client.api_keys.create(str(n))).id for n in range(KEYS)]
    pages = client.api_keys.list(limit=1).pages()
    found = [(await anext(pages)).items[0].id for _ in range(position)]
    fault = service.faults.add(LISTS & AGENTRY, EmptyPage(), times=times)
    found += [key.id async for page in pages for key in page.items]
    assert found == made[::-1]
    assert fault.hits == times


async def test_keys_that_come_and_go_between_two_pages_disturb_no_other(client):
    """After each item one key is deleted, be it past or to come, or one is made."""
    tried = 0
    keys = client.api_keys
    there = [(await keys.create(str(n))).id for n in range(KEYS)][::-1]
    for limit, after, victim in product([1, 2, 3], range(1, KEYS + 1), [None, *range(KEYS)]):
        tried += 1
        found = []
        async for key in keys.list(limit=limit):
            found.append(key.id)
            if len(found) == after:
                made = await keys.create("late")
                if victim is not None:
                    await keys.delete(there[victim])
        gone = None if victim is None else there[victim]
        stayed = [key_id for key_id in there if key_id != gone]
        assert [key_id for key_id in found if key_id in stayed] == stayed
        assert len(found) == len(set(found))
        assert set(found) <= {*there, made.id}
        there = ([made.id, *stayed] if gone is not None else there)[:KEYS]
        if gone is None:
            await keys.delete(made.id)
    assert tried == 3 * KEYS * (KEYS + 1)
