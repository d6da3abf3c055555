"""Descriptors that give a blocking twin what its async object has, one line for each name."""

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


# Covariant, so that a method which collections inherit is one of each of them.
class Facade(Unpicklable, Generic[T_co]):
    """The blocking twin of an async object: the same methods, run on a portal."""

    is_blocking = True

    def __init__(self, twin: T_co, portal: Portal) -> None:
        self._twin = twin
        self._portal = portal


class BlockingPager(Unpicklable, Generic[Item_co]):
    """A listing: iterate over its items, or over its `pages`. Nothing is sent before that.

    Each iteration starts the listing anew, crosses to the client's thread once a page, and has the
    next page read ahead, as with `agentkeys.Pager`.
    """

    _instead = Pager._instead  # noqa: SLF001  # of its twin

    # It holds the portal, so that a listing goes on when nobody holds its client any more.
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
            # Perhaps in the garbage collector, on any thread: it must not wait.
            self._portal.discard(reading.close)

    def first(self) -> Page[Item_co]:
        """Fetch one page; its `next_page_token` resumes the listing from there."""
        return self._portal.run(self._pager.first)

    def collect(self) -> list[Item_co]:
        """Fetch all of it, as a list."""
        return self._portal.run(self._pager.collect)

    if not TYPE_CHECKING:  # a type checker says it before it runs

        def __await__(self) -> NoReturn:
            raise TypeError(f"this listing is of a blocking client, and is not awaited: {_INSTEAD}")

        def __aiter__(self) -> NoReturn:
            raise TypeError(f"this listing is of a blocking client: {_INSTEAD}")

    def __repr__(self) -> str:
        return "<BlockingPager: `for` over it, or its collect() or first()>"

    def _repr_html_(self) -> str:
        # To show something must not send anything, and may be done by a debugger or an editor.
        from agentkeys import notebook

        return notebook.sentence(
            "A listing, of which nothing is fetched yet: `listing.first()` fetches one page,"
            " `listing.collect()` all of it, `for key in listing` one key after the other."
        )


class Shown(property, Generic[R_co]):
    """A property: what the attribute of the same name is, in the async object.

    Args:
        of: the property of the async object, for its docstring; or a docstring.
        twin: makes the blocking twin of its value, if that has one.
    """

    def __init__(self, of: object, twin: Callable[[Any, Portal], R_co] | None = None) -> None:
        super().__init__()
        self._doc = of if isinstance(of, str) else of.__doc__
        self._lead = twin

    def __set_name__(self, owner: type, name: str) -> None:
        lead = self._lead

        def value(facade: Facade[Any]) -> Any:
            shown = getattr(facade._twin, name)  # noqa: SLF001  # it is the facade's
            return shown if lead is None else lead(shown, facade._portal)  # noqa: SLF001

        value.__name__ = name
        # For Sphinx and `get_type_hints`: R of the ``Shown[R]`` that the class says.
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

    Not every one of them takes a `Callable` in a class for a method.
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
    """Return *method* as one that waits."""

    @functools.wraps(method)
    def call(self: Facade[T], /, *args: P.args, **kwargs: P.kwargs) -> R:
        return self._portal.run(functools.partial(method, self._twin, *args, **kwargs))

    call.__signature__ = inspect.signature(method)  # type: ignore[attr-defined]  # for help()
    return call  # type: ignore[return-value]  # functions bind like this


def same(method: Callable[Concatenate[T, P], R]) -> Method[T, P, R]:
    """Return *method*, which waits for nothing, as one of the blocking twin."""

    @functools.wraps(method)
    def call(self: Facade[T], /, *args: P.args, **kwargs: P.kwargs) -> R:
        return method(self._twin, *args, **kwargs)

    return call  # type: ignore[return-value]  # functions bind like this


def leading_to(
    method: Callable[Concatenate[T, P], V], twin: Callable[[V, Portal], R]
) -> Method[T, P, R]:
    """Return *method*, which waits for nothing, as one that returns the *twin* of its value."""

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
    """Return *method*, which gives a `Pager`, as one that gives a `BlockingPager`."""

    @functools.wraps(method)
    def call(self: Facade[T], /, *args: P.args, **kwargs: P.kwargs) -> BlockingPager[Item_co]:
        return BlockingPager(method(self._twin, *args, **kwargs), self._portal)

    signature = inspect.signature(method)
    returns = str(signature.return_annotation).replace("Pager", "BlockingPager")
    call.__signature__ = signature.replace(return_annotation=returns)  # type: ignore[attr-defined]  # for help()
    (item,) = get_args(get_type_hints(method)["return"])
    returned = BlockingPager.__class_getitem__(item)  # type: ignore[attr-defined]  # of what it lists
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
            # What its own loop closed would look as if it had come to its end.
            raise ClientClosedError(
                "this listing was begun before the interpreter's exit or a fork: list again"
            )
        # A sentinel, for StopAsyncIteration would not leave a coroutine as itself (PEP 479).
        return await anext(self._pages, None)

    async def close(self) -> None:
        """End it where it began; a forked child leaves it to the parent."""
        if self._loop is asyncio.get_running_loop():
            await self._pages.aclose()
