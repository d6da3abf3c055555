"""Async iteration over pages, with one page of read-ahead."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Coroutine, Iterator
from contextlib import aclosing
from typing import TYPE_CHECKING, Any, Final, Generic, NoReturn, TypeAlias, TypeVar

import attrs

from agentkeys.cancellation import outlast
from agentkeys.errors import PaginationError
from agentkeys.forks import Unpicklable
from agentkeys.masking import mask
from agentkeys.records import Collected, as_json

if TYPE_CHECKING:
    from collections.abc import Set as AbstractSet

__all__ = ["Page", "Pager"]

Item_co = TypeVar("Item_co", covariant=True)


@attrs.frozen
class Page(Generic[Item_co]):
    """One page of a listing.

    Attributes:
        items: the items of this page, in the service's order.
        next_page_token: the token of the next page, or None if this is the last page.
        request_id: the id of the request that fetched it, for the service's support, or None.
    """

    items: tuple[Item_co, ...]
    next_page_token: str | None = None
    request_id: str | None = attrs.field(default=None, kw_only=True, eq=False, repr=False)

    def __iter__(self) -> Iterator[Item_co]:
        return iter(self.items)

    def to_dict(self) -> dict[str, Any]:
        """Return the items with JSON types, without secrets, and the token of the next page."""
        return {"items": as_json(self.items), "next_page_token": self.next_page_token}

    @property
    def count(self) -> int:
        """The number of items on this page. It is not a total: the services return no total."""
        return len(self.items)

    def _repr_html_(self) -> str:
        from agentkeys import notebook

        more = "There are more items: `next_page_token` is the token of the next page."
        return notebook.table(
            self.items, notebook.now(), note=more if self.next_page_token is not None else ""
        )


_INSTEAD: Final = (
    "write `async for key in ...list():`, or `keys = await ...list().collect()` for a list, or"
    " `await ...list().first()` for one page"
)

FetchPage: TypeAlias = Callable[[str | None], Coroutine[Any, Any, Page[Item_co]]]
"""Fetches the page for a token; None is the first page."""


class Pager(Unpicklable, Generic[Item_co]):
    """A listing: iterate over its items, or over its `pages`. No request is sent before that.

    Each iteration starts the listing again. It raises the errors of a call, and `PaginationError`
    if the service returns the same page token twice.
    """

    _instead = "list again, or copy the pages or the list that you fetch"

    def __init__(
        self,
        fetch: FetchPage[Item_co],
        *,
        page_token: str | None = None,
        path: Callable[[], str] | None = None,  # the path of the listing, for an error
    ) -> None:
        self._fetch = fetch
        self._page_token = page_token
        self._path = path

    def __aiter__(self) -> AsyncGenerator[Item_co, None]:  # noqa: PYI058  # it has aclose(), which a caller may want
        return self._items()

    async def pages(self) -> AsyncGenerator[Page[Item_co], None]:
        """Iterate over the pages.

        From the second page on, the next page is requested while the caller works on the current
        one. So a caller that takes a few items needs one request, and a caller that takes all
        rarely waits.
        """
        page = await self.first()
        yield page
        seen = {self._page_token}
        ahead: asyncio.Task[Page[Item_co]] | None = None
        try:
            while (token := page.next_page_token) is not None:
                if token in seen:
                    raise _repeated(token, self._path() if self._path else "")
                seen.add(token)
                page = await (ahead or self._fetch(token))
                ahead = self._ask_ahead(page.next_page_token, seen)
                yield page
        finally:
            if ahead is not None:
                await _abandon(ahead)

    async def first(self) -> Page[Item_co]:
        """Fetch one page; its `next_page_token` resumes the listing after it."""
        return await self._fetch(self._page_token)

    async def collect(self) -> list[Item_co]:
        """Fetch all items, as a list."""
        return Collected([item async for item in self])

    if not TYPE_CHECKING:  # type checkers report these two before the program runs

        def __await__(self) -> NoReturn:
            raise TypeError(f"a listing cannot be awaited: {_INSTEAD}")

        def __iter__(self) -> NoReturn:
            raise TypeError(f"this listing is async: {_INSTEAD}")

    def __repr__(self) -> str:
        return "<Pager: `async for` over it, or `await` its collect() or first()>"

    def _repr_html_(self) -> str:
        # A repr cannot wait for a page.
        from agentkeys import notebook

        return notebook.sentence(
            "A listing; nothing is fetched yet: `await listing.first()` fetches one page,"
            " `await listing.collect()` all items, `async for` one item after the other."
        )

    async def _items(self) -> AsyncGenerator[Item_co, None]:
        async with aclosing(self.pages()) as pages:
            async for page in pages:
                for item in page.items:
                    yield item

    def _ask_ahead(
        self, token: str | None, seen: AbstractSet[str | None]
    ) -> asyncio.Task[Page[Item_co]] | None:
        return None if token is None or token in seen else asyncio.create_task(self._fetch(token))


def _repeated(token: str, path: str) -> PaginationError:
    listing = f"GET {path}: " if path else ""
    return PaginationError(
        f"{listing}the service returned the page token {mask(token)!r} twice, so the"
        " listing would never end: list again, and tell the service's support if it happens again",
        page_token=token,
        path=path,
    )


async def _abandon(page: asyncio.Task[Page[Item_co]]) -> None:
    page.cancel()
    try:
        await outlast(page)
    finally:
        if not page.cancelled():
            page.exception()  # retrieve the error, or asyncio would log it
