"""For the tests of those who use agentkeys. Every name here is imported when it is first used."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from agentkeys.testing.stores import store_conformance

__all__ = ["store_conformance"]

_ELSEWHERE = {
    "store_conformance": "agentkeys.testing.stores",
}


def __getattr__(name: str) -> object:
    if name not in _ELSEWHERE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    value = getattr(import_module(_ELSEWHERE[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
