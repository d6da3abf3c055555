"""Descriptors that give a blocking client the methods of its async client, one line a name."""

from __future__ import annotations

import asyncio
import functools
import inspect
from collections.abc import AsyncGenerator, Callable, Coroutine, Iterator
from typing import (
    TYPE_CHECKING,
    Any,
    Concatenate,
    ForwardRef,
    Generic,
    NoReturn,
    ParamSpec,
    Protocol,
    Self,
    TypeVar,
    get_args,
    get_type_hints,
    overload,
)

from agentkeys.errors import ClientClosedError
from agentkeys.forks import Unpicklable
from agentkeys.paging import Page, Pager
from agentkeys.sync.portal import Portal

__all__ = ["BlockingPager", "Facade", "Shown", "blocking", "leading_to", "paging", "same"]

P = ParamSpec("P")
R = TypeVar("R")
R_co = TypeVar("R_co", covariant=True)
T = TypeVar("T")
V = TypeVar("V")
T_contra = TypeVar("T_contra", contravariant=True)
T_co = TypeVar("T_co", covariant=True)
Item_co = TypeVar("Item_co", covariant=True)


_INSTEAD = (
    "write `for key in ...list():`, or `...list().collect()` for a list, or `...list().first()` for"
    " one page"
)


# Covariant, so that a method which collections inherit fits each of them.
class Facade(Unpicklable, Generic[T_co]):
    """The blocking twin of an async object: the same methods, run on a portal."""

    is_blocking = True

    def __init__(self, twin: T_co, portal: Portal) -> None:
        self._twin = twin
        self._portal = portal


class BlockingPager(Unpicklable, Generic[Item_co]):
    """A listing: iterate over its items, or over its `pages`. No request is sent before that.

    Each iteration starts the listing again, switches to the client's thread once a page, and reads
    the next page ahead, as `agentkeys.Pager` does.
    """

    _instead = Pager._instead  # noqa: SLF001  # of its twin

    # It holds the portal, so that a listing continues after its client is dropped.
    def __init__(self, pager: Pager[Item_co], portal: Portal) -> None:
        self._pager = pager
        self._portal = portal

    def __iter__(self) -> Iterator[Item_co]:
        for page in self.pages():
            yield from page.items

    def pages(self) -> Iterator[Page[Item_co]]:
        """Iterate over the pages."""
        reading = _Reading(self._pager.pages())
        try:
            while (page := self._portal.run(reading.next)) is not None:
                yield page
        finally:
            # The garbage collector may run this in any thread: it must not wait.
            self._portal.discard(reading.close)

    def first(self) -> Page[Item_co]:
        """Fetch one page; its `next_page_token` resumes the listing after it."""
        return self._portal.run(self._pager.first)

    def collect(self) -> list[Item_co]:
        """Fetch all items, as a list."""
        return self._portal.run(self._pager.collect)

    if not TYPE_CHECKING:  # type checkers report these two before the program runs

        def __await__(self) -> NoReturn:
            raise TypeError(
                f"this listing belongs to a blocking client; do not await it: {_INSTEAD}"
            )

        def __aiter__(self) -> NoReturn:
            raise TypeError(f"this listing belongs to a blocking client: {_INSTEAD}")

    def __repr__(self) -> str:
        return "<BlockingPager: `for` over it, or its collect() or first()>"

    def _repr_html_(self) -> str:
        # A repr must send no request; a debugger or an editor may call it.
        from agentkeys import notebook

        return notebook.sentence(
            "A listing; nothing is fetched yet: `listing.first()` fetches one page,"
            " `listing.collect()` all items, `for key in listing` one key after the other."
        )


class Shown(property, Generic[R_co]):
    """A property with the value of the async object's attribute of the same name.

    Args:
        of: the property of the async object, for its docstring; or a docstring.
        twin: makes the blocking twin of its value, if it has one.
    """

    def __init__(self, of: object, twin: Callable[[Any, Portal], R_co] | None = None) -> None:
        super().__init__()
        self._doc = of if isinstance(of, str) else of.__doc__
        self._lead = twin

    def __set_name__(self, owner: type, name: str) -> None:
        lead = self._lead

        def value(facade: Facade[Any]) -> Any:
            shown = getattr(facade._twin, name)  # noqa: SLF001  # the facade's own
            return shown if lead is None else lead(shown, facade._portal)  # noqa: SLF001

        value.__name__ = name
        # For Sphinx and `get_type_hints`: the R of the class's ``Shown[R]``.
        shown = owner.__annotations__[name].partition("[")[2][:-1]
        value.__annotations__["return"] = ForwardRef(shown, module=owner.__module__)
        super().__init__(value)
        self.__doc__ = self._doc

    if TYPE_CHECKING:

        @overload
        def __get__(self, facade: None, owner: type | None = None, /) -> Self: ...
        @overload
        def __get__(self, facade: Any, owner: type | None = None, /) -> R_co: ...
        def __get__(self, facade: Any, owner: type | None = None, /) -> Self | R_co: ...


class Method(Protocol[T_contra, P, R_co]):
    """A method of a blocking twin, as type checkers see it: a function that binds its twin.

    Not every type checker treats a `Callable` in a class as a method.
    """

    def __call__(self, facade: Facade[T_contra], /, *args: P.args, **kwargs: P.kwargs) -> R_co: ...

    @overload
    def __get__(self, facade: None, owner: type | None = None, /) -> Self: ...
    @overload
    def __get__(
        self, facade: Facade[T_contra], owner: type | None = None, /
    ) -> Callable[P, R_co]: ...


def blocking(
    method: Callable[Concatenate[T, P], Coroutine[Any, Any, R]],
) -> Method[T, P, R]:
    """Return the blocking twin of *method*."""

    @functools.wraps(method)
    def call(self: Facade[T], /, *args: P.args, **kwargs: P.kwargs) -> R:
        return self._portal.run(functools.partial(method, self._twin, *args, **kwargs))

    call.__signature__ = inspect.signature(method)  # type: ignore[attr-defined]  # for help()
    return call  # type: ignore[return-value]  # functions bind like this


def same(method: Callable[Concatenate[T, P], R]) -> Method[T, P, R]:
    """Return the twin of *method*, which does not wait."""

    @functools.wraps(method)
    def call(self: Facade[T], /, *args: P.args, **kwargs: P.kwargs) -> R:
        return method(self._twin, *args, **kwargs)

    return call  # type: ignore[return-value]  # functions bind like this


def leading_to(
    method: Callable[Concatenate[T, P], V], twin: Callable[[V, Portal], R]
) -> Method[T, P, R]:
    """Return the twin of *method*, which does not wait and returns the *twin* of its value."""

    @functools.wraps(method)
    def call(self: Facade[T], /, *args: P.args, **kwargs: P.kwargs) -> R:
        return twin(method(self._twin, *args, **kwargs), self._portal)

    signature = inspect.signature(method).replace(return_annotation=twin.__name__)
    call.__signature__ = signature  # type: ignore[attr-defined]  # for help()
    call.__annotations__ = {**method.__annotations__, "return": twin}
    return call  # type: ignore[return-value]  # functions bind like this


def paging(
    method: Callable[Concatenate[T, P], Pager[Item_co]],
) -> Method[T, P, BlockingPager[Item_co]]:
    """Return the twin of *method*, which returns a `BlockingPager` instead of a `Pager`."""

    @functools.wraps(method)
    def call(self: Facade[T], /, *args: P.args, **kwargs: P.kwargs) -> BlockingPager[Item_co]:
        return BlockingPager(method(self._twin, *args, **kwargs), self._portal)

    signature = inspect.signature(method)
    returns = str(signature.return_annotation).replace("Pager", "BlockingPager")
    call.__signature__ = signature.replace(return_annotation=returns)  # type: ignore[attr-defined]  # for help()
    (item,) = get_args(get_type_hints(method)["return"])
    returned = BlockingPager.__class_getitem__(item)  # type: ignore[attr-defined]  # the item type of the listing
    call.__annotations__ = {**method.__annotations__, "return": returned}
    return call  # type: ignore[return-value]  # functions bind like this


class _Reading(Generic[Item_co]):
    """One iteration over pages, which belongs to the loop that it began in."""

    def __init__(self, pages: AsyncGenerator[Page[Item_co], None]) -> None:
        self._pages = pages
        self._loop: asyncio.AbstractEventLoop | None = None

    async def next(self) -> Page[Item_co] | None:
        """Return the next page, or None at the end."""
        loop = asyncio.get_running_loop()
        self._loop = self._loop or loop
        if loop is not self._loop:
            # An iteration that its own loop has closed would look as if it had ended.
            raise ClientClosedError(
                "this listing began before the interpreter's exit or a fork: list again"
            )
        # A sentinel, because a coroutine cannot raise StopAsyncIteration unchanged (PEP 479).
        return await anext(self._pages, None)

    async def close(self) -> None:
        """Close the iteration in its own loop; a forked child leaves it to the parent."""
        if self._loop is asyncio.get_running_loop():
            await self._pages.aclose()
