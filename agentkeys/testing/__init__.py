"""Fixtures for the tests of programs that use agentkeys, and the objects that they return.

Installing agentkeys registers the plugin with pytest (`agentkeys.testing.plugin`). Every name is
imported when it is first used, because pytest imports this package in every suite.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from agentkeys.testing.leaks import LeakWatch
    from agentkeys.testing.stores import store_conformance

__all__ = ["LeakWatch", "store_conformance"]

_ELSEWHERE = {
    "LeakWatch": "agentkeys.testing.leaks",
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
