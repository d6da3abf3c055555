"""Tools read signatures at run time (`typing.get_type_hints`): each public one can be read."""

from __future__ import annotations

import importlib
import inspect
from typing import TYPE_CHECKING, get_args, get_type_hints

import pytest

from agentkeys import agentry, sync

if TYPE_CHECKING:
    from collections.abc import Iterator

MODULES = [
    "agentkeys",
    "agentkeys.agentity",
    "agentkeys.agentry",
    "agentkeys.auditing",
    "agentkeys.credentials",
    "agentkeys.errors",
    "agentkeys.keys",
    "agentkeys.lifecycle",
    "agentkeys.paging",
    "agentkeys.server",
    "agentkeys.server.faults",
    "agentkeys.stores",
    "agentkeys.sync",
    "agentkeys.testing",
]


def public(module: str) -> Iterator[tuple[str, object]]:
    """Yield what a module offers: functions, classes, and the methods that those have of ours."""
    for name in importlib.import_module(module).__all__:
        offered = getattr(importlib.import_module(module), name)
        if inspect.isfunction(offered):
            yield f"{module}.{name}", offered
        elif inspect.isclass(offered):
            yield f"{module}.{name}", offered
            for method in dir(offered):
                found = inspect.getattr_static(offered, method)
                found = getattr(found, "__func__", getattr(found, "fget", found))
                own = inspect.isfunction(found) and found.__module__.startswith("agentkeys")
                if own and (method.startswith("__") or not method.startswith("_")):
                    yield f"{module}.{name}.{method}", found


OFFERED = dict(entry for module in MODULES for entry in public(module))


@pytest.mark.parametrize("name", OFFERED)
def test_a_public_signature_can_be_read_at_run_time(name):
    """Whatever it names can be found, without an import that the reader must know of."""
    get_type_hints(OFFERED[name])


def test_the_walk_goes_everywhere():
    """Constructors, inherited methods, properties, class methods, blocking twins."""
    assert {
        "agentkeys.AgentityClient.__init__",
        "agentkeys.AgentryClient.close",
        "agentkeys.issue",
        "agentkeys.agentry.TenantApiKeys.delete",
        "agentkeys.sync.AgentryApiKeys.create",
        "agentkeys.sync.LocalService.faults",
        "agentkeys.stores.Version.of",
        "agentkeys.testing.store_conformance",
    } <= OFFERED.keys()
    assert len(OFFERED) > 300


def test_a_blocking_listing_says_what_it_returns():
    """Not what its async twin does."""
    hint = get_type_hints(sync.AgentryApiKeys.list)["return"]
    assert hint.__origin__ is sync.BlockingPager
    assert get_args(hint) == (agentry.ApiKey,)
