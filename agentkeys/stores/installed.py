"""Stores of installed packages. A package declares a scheme as an entry point."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, NamedTuple

from agentkeys.errors import AgentKeysError, ConfigurationError
from agentkeys.masking import mask
from agentkeys.schemes import FORMS
from agentkeys.stores.contract import Store

if TYPE_CHECKING:
    from collections.abc import Callable
    from importlib.metadata import EntryPoint, EntryPoints

__all__ = ["can_be_opened", "opened", "schemes"]

_GROUP: Final = "agentkeys.stores"
_SCHEME: Final = re.compile(r"[a-z][a-z0-9+.-]*")
"""The form of a scheme in RFC 3986, in lower case."""

_MEMBERS: Final = sorted(name for name in vars(Store) if not name.startswith("_"))


class _Maker(NamedTuple):
    """The maker of one scheme's stores.

    Attributes:
        scheme: the start of an address.
        package: the distribution that declares it.
        make: a function of the rest of an address.
    """

    scheme: str
    package: str
    make: Callable[[str], Store]


# A maker that was found is cached, because a search reads the metadata of all packages. A failed
# search is not cached, because a package can be installed while a notebook runs.
_makers: Final[dict[str, _Maker]] = {}


def can_be_opened(address: str) -> bool:
    """Whether there is a store for an address's scheme, ours or of an installed package."""
    scheme, colon, _ = address.partition(":")
    return bool(colon) and (scheme in FORMS or scheme in _makers or scheme in schemes())


def schemes() -> list[str]:
    """Return the schemes that installed packages declare.

    Raises:
        ConfigurationError: the metadata of the installed packages cannot be read.
    """
    return sorted({each.name for each in _declared() if _SCHEME.fullmatch(each.name)})


def opened(scheme: str, place: str) -> Store | None:
    """Return the store of an address, or None if no package declares the scheme.

    Raises:
        ConfigurationError: several packages declare the scheme, or its package is broken.
    """
    maker = _makers.get(scheme) or _found(scheme)
    if maker is None:
        return None
    _makers[scheme] = maker
    return _made(maker, place)


def _declared() -> EntryPoints:
    from importlib.metadata import entry_points  # it is slow, and no store of ours needs it

    try:
        return entry_points(group=_GROUP)
    except Exception as error:  # noqa: BLE001  # any package may have broken metadata
        reason = type(error).__name__
    raise ConfigurationError(
        f"the entry points of the installed packages cannot be read ({reason}): reinstall the"
        " broken package"
    )


def _found(scheme: str) -> _Maker | None:
    points = [*_declared().select(name=scheme)] if _SCHEME.fullmatch(scheme) else []
    packages = sorted({*map(_package, points)})
    if len(packages) > 1:
        which = " and ".join(packages)
        raise ConfigurationError(
            f"several packages declare the scheme {scheme!r}: {which}: uninstall all but one"
        )
    return _loaded(points[0]) if points else None


def _package(point: EntryPoint) -> str:
    return getattr(point.dist, "name", None) or point.module


def _loaded(point: EntryPoint) -> _Maker:
    package = _package(point)
    try:
        make = point.load()
    except AgentKeysError:
        raise
    except ModuleNotFoundError as error:
        reason = f"there is no module {mask(str(error.name))!r}"
    except (Exception, SystemExit) as error:  # noqa: BLE001  # a package may raise anything
        reason = f"{type(error).__name__} was raised"
    else:
        if callable(make):
            return _Maker(point.name, package, make)
        reason = "its entry point cannot be called"
    # None of the error's text, because it can be anything.
    raise ConfigurationError(
        f"the stores {point.name!r} of the package {package} cannot be loaded: {reason}: reinstall"
        " or update the package"
    )


def _made(maker: _Maker, place: str) -> Store:
    try:
        store = maker.make(place)
        lacking = [name for name in _MEMBERS if not hasattr(store, name)]
        is_found_again = not lacking and can_be_opened(store.address)
    except AgentKeysError:
        raise
    except (Exception, SystemExit) as error:  # noqa: BLE001  # a package may raise anything
        reason = f"{type(error).__name__} was raised: check the address, or update the package"
    else:
        if is_found_again:
            return store
        kind = type(store).__name__
        why = f"has no {', '.join(lacking)}" if lacking else "has an address that no sweep can open"
        reason = f"its store, of type {kind}, {why}: update the package"
    raise ConfigurationError(
        f"the package {maker.package} cannot open the address {maker.scheme}:...: {reason}"
    )
