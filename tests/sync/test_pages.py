"""A blocking listing is the async one, crossed to once a page."""

from __future__ import annotations

import threading

import pytest
from samples import INBOX_KEY
from wire import answer, hang

from agentkeys import Page, Pager, PaginationError, ServerError
from agentkeys.sync import BlockingPager
from agentkeys.sync.portal import Portal


class Counting(Portal):
    """Counts how often a thread crosses to the loop and waits."""

    def __init__(self) -> None:
        super().__init__()
        self.crossings = 0

    def run(self, start):
        self.crossings += 1
        return super().run(start)


class Source:
    """Pages of ten numbers; it counts what it is asked for, and can be waited for."""

    def __init__(self, pages: int) -> None:
        self._pages = pages
        self.asked = []
        self.arrived = threading.Condition()

    async def fetch(self, token: str | None) -> Page[int]:
        number = int(token or 0)
        with self.arrived:
            self.asked.append(number)
            self.arrived.notify_all()
        following = str(number + 1) if number + 1 < self._pages else None
        return Page(tuple(range(number * 10, number * 10 + 10)), following)

    def wait_for(self, *asked: int) -> None:
        with self.arrived:
            assert self.arrived.wait_for(lambda: self.asked == list(asked), 20)


@pytest.fixture
def portal():
    portal = Counting()
    yield portal
    portal.close()


def test_iteration_crosses_once_a_page(portal):
    """Ten pages of ten items: eleven crossings, the last of which finds the end."""
    source = Source(10)
    assert list(BlockingPager(Pager(source.fetch), portal)) == list(range(100))
    assert portal.crossings == 11
    assert source.asked == list(range(10))


def test_the_first_item_costs_one_request(portal):
    """Nothing is read ahead of the first page, and nothing is asked for before the first item."""
    source = Source(3)
    listing = iter(BlockingPager(Pager(source.fetch), portal))
    assert (source.asked, portal.crossings) == ([], 0)
    assert next(listing) == 0
    assert (source.asked, portal.crossings) == ([0], 1)


def test_a_blocking_listing_reads_one_page_ahead(portal):
    """When page two is handed out, page three is asked for, while the thread does other things."""
    source = Source(5)
    pages = BlockingPager(Pager(source.fetch), portal).pages()
    next(pages)
    assert source.asked == [0]
    next(pages)
    source.wait_for(0, 1, 2)
    next(pages)
    source.wait_for(0, 1, 2, 3)


def test_each_iteration_of_a_listing_starts_anew(portal):
    """A listing can be iterated again, and in two places at once."""
    listing = BlockingPager(Pager(Source(2).fetch), portal)
    assert list(listing) == list(listing) == list(range(20))
    assert [a + b for a, b in zip(listing, listing, strict=True)] == list(range(0, 40, 2))


def test_pages_first_and_collect(portal):
    """`pages` gives pages, `first` one page to resume from, `collect` all items as a list."""
    listing = BlockingPager(Pager(Source(3).fetch), portal)
    assert [page.next_page_token for page in listing.pages()] == ["1", "2", None]
    first = listing.first()
    assert (first.count, first.next_page_token) == (10, "1")
    portal.crossings = 0
    assert listing.collect() == list(range(30))
    assert portal.crossings == 1


def test_closing_an_iteration_cancels_what_it_reads_ahead(wire, agentry, background):
    """`close` on the generator, or leaving a loop over it, ends the request for the next page."""

    def page(number: int, token: str):
        return answer(
            200, {"api_keys": [{**INBOX_KEY, "name": str(number)}], "next_page_token": token}
        )

    server = wire(page(1, "b"), page(2, "c"), hang)
    for key in agentry(server.url).api_keys.list():
        if key.name == "2":
            break
    background.wait(server.arrived)
    background.wait(server.disconnected)


def test_errors_come_where_the_items_would(wire, agentry):
    """A page that fails, or a token that comes again, ends the listing behind what was good."""
    page = answer(200, {"api_keys": [INBOX_KEY], "next_page_token": "A"})
    client = agentry(wire(page, answer(501), page, page).url)
    listing = iter(client.api_keys.list())
    assert next(listing).id == "key_1"
    with pytest.raises(ServerError):
        next(listing)
    found = []
    with pytest.raises(PaginationError) as caught:
        found.extend(client.api_keys.list())
    assert caught.value.page_token == "A"
    assert len(found) == 2


def test_an_empty_listing_is_empty(wire, agentity):
    """No items, no error."""
    client = agentity(wire(answer(200, {"apiKeys": []})).url)
    assert list(client.api_keys.list()) == []
    assert [page.count for page in client.api_keys.list().pages()] == [0]
