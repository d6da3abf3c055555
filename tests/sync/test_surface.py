"""Nobody forgets a twin: the blocking surface is the async one, name by name."""

from __future__ import annotations

import inspect
import pydoc
from typing import get_args

import pytest

import agentkeys
from agentkeys import agentity, agentry, server, sync
from agentkeys.paging import Pager
from agentkeys.server import blocking
from agentkeys.server.faults import Fault, Faults
from agentkeys.sync.descriptors import Facade, Shown
from agentkeys.sync.service import LocalServiceSettings
from agentkeys.transport.client import Client


def public(kind: type) -> set[str]:
    return {name for name in dir(kind) if not name.startswith("_")}


def twins() -> dict[type, type]:
    """Return the blocking class of each async one."""
    found = {}
    local = [getattr(blocking, name) for name in blocking.__all__]
    for kind in [*(getattr(sync, name) for name in sync.__all__), *local]:
        for base in getattr(kind, "__orig_bases__", ()):
            found |= {twin: kind for twin in get_args(base) if inspect.isclass(twin)}
    found[Pager] = sync.BlockingPager
    return found


def calls(kind: type) -> list[str]:
    """Return the methods that make a call, or a listing."""
    return [
        name
        for name in public(kind)
        if inspect.iscoroutinefunction(method := getattr(kind, name))
        or "Pager[" in str(getattr(method, "__annotations__", {}).get("return"))
    ]


ASYNC = [
    kind
    for module in (agentity, agentry)
    for name in module.__all__
    if inspect.isclass(kind := getattr(module, name))
    and (issubclass(kind, Client) or calls(kind) or "api_keys" in dir(kind))
    and not hasattr(kind, "fetch")  # credentials are used by a client, and not called
]


@pytest.mark.parametrize("kind", ASYNC, ids=lambda kind: f"{kind.__module__}.{kind.__name__}")
def test_every_class_has_its_twin(kind):
    """Clients, scopes and collections, each with every public name."""
    assert public(kind) <= public(twins()[kind])


PAIRS = [(kind, twin, name) for kind, twin in twins().items() for name in sorted(calls(kind))]


@pytest.mark.parametrize(
    ("kind", "twin", "name"), PAIRS, ids=[f"{twin.__name__}.{name}" for _, twin, name in PAIRS]
)
def test_every_call_has_the_same_signature(kind, twin, name):
    """The same parameters, defaults and annotations; a BlockingPager for a Pager; no coroutine."""
    original, made = getattr(kind, name), getattr(twin, name)
    expected, found = inspect.signature(original), inspect.signature(made)
    assert list(found.parameters.values()) == list(expected.parameters.values())
    if kind is not Pager:
        returns = str(expected.return_annotation).replace("Pager", "BlockingPager")
        assert found.return_annotation == returns
    assert not inspect.iscoroutinefunction(made)
    assert inspect.getdoc(made)


PROPERTIES = [
    (kind, twin, name)
    for kind, twin in twins().items()
    for name in sorted(public(twin))
    if isinstance(getattr(twin, name), property)
]


@pytest.mark.parametrize(
    ("kind", "twin", "name"),
    PROPERTIES,
    ids=[f"{twin.__name__}.{name}" for _, twin, name in PROPERTIES],
)
def test_every_property_says_what_it_is(kind, twin, name):
    """In the words of the async one, if that has any."""
    shown = inspect.getdoc(getattr(twin, name))
    assert shown not in {None, inspect.getdoc(Shown)}
    if isinstance(original := getattr(kind, name, None), property):
        assert shown == inspect.getdoc(original)


BLOCKING_SERVICE = {
    Fault: (blocking.BlockingFault, {"hit", "is_for", "removal"}),
    Faults: (blocking.BlockingFaults, {"due"}),
    server.Requests: (blocking.BlockingRequests, {"note"}),
}


@pytest.mark.parametrize("kind", BLOCKING_SERVICE, ids=lambda kind: kind.__name__)
def test_what_the_local_service_gives_has_its_twin(kind):
    """Each name but those that are for the service alone."""
    twin, for_the_service = BLOCKING_SERVICE[kind]
    assert public(kind) - for_the_service <= public(twin)


def test_there_is_something_to_compare():
    """The lists above find what they are about."""
    assert len(ASYNC) == 9
    assert len(PAIRS) >= 3 * 4 + 7
    assert len(PROPERTIES) >= 20


@pytest.mark.parametrize("name", ["AgentityClient", "AgentryClient"])
def test_the_clients_are_made_with_the_same_arguments(name):
    """All but `session`, which belongs to a loop of the caller's."""
    expected = dict(inspect.signature(getattr(agentkeys, name)).parameters)
    del expected["session"]
    assert dict(inspect.signature(getattr(sync, name)).parameters) == expected


def test_the_local_service_is_made_with_the_same_arguments():
    """Its settings are exactly those of the async one."""
    expected = inspect.signature(server.LocalService).parameters
    assert set(LocalServiceSettings.__annotations__) == set(expected)
    assert all(parameter.kind is parameter.KEYWORD_ONLY for parameter in expected.values())


FUNCTIONS = [
    function
    for module in (agentity, agentry)
    for name in module.__all__
    if inspect.iscoroutinefunction(function := getattr(module, name))
]


@pytest.mark.parametrize("function", FUNCTIONS, ids=lambda function: function.__name__)
def test_every_function_has_its_twin(function):
    """With the same arguments, and without the await: `register`, `login`."""
    twin = getattr(sync, function.__name__)
    assert inspect.signature(twin).parameters == inspect.signature(function).parameters
    returns = inspect.signature(twin).return_annotation.rpartition(".")[2]
    assert returns == inspect.signature(function).return_annotation
    assert function.__name__ in sync.__all__
    assert not inspect.iscoroutinefunction(twin)


def test_help_shows_the_blocking_signature():
    """As a notebook shows it: the arguments, and what is returned without an await."""
    shown = pydoc.render_doc(sync.AgentryTenantApiKeys, renderer=pydoc.plaintext)
    assert "create(self, name: 'str', *, timeout: 'float | None' = None) -> 'NewApiKey'" in shown
    assert "-> 'BlockingPager[ApiKey]'" in shown
    assert "async " not in shown
    assert "Create a key; only the result holds its secret, in `api_key`." in shown


def test_the_list_of_names_is_sorted_and_whole():
    """One sorted `__all__`, every name of which is there."""
    assert list(sync.__all__) == sorted(sync.__all__)
    facades = {
        name
        for name, kind in vars(sync).items()
        if inspect.isclass(kind) and issubclass(kind, Facade) and not name.startswith("_")
    }
    assert facades - {"Facade"} <= set(sync.__all__)


def test_a_client_says_that_it_is_blocking():
    """Its repr is that of its twin, and that."""
    with sync.AgentryClient("token", base_url="https://x") as client:
        assert repr(client) == "<AgentryClient of https://x> (blocking)"
