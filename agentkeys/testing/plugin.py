"""The fixtures, for pytest. Their code is imported when a test uses one of them.

pytest imports this module in every suite of every environment with agentkeys, in any version of
pytest. So it holds only the fixtures and the hooks that must exist before, in a form that every
version supports.
"""

from __future__ import annotations

import sys
from types import SimpleNamespace

import pytest

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from agentkeys import AgentityClient, AgentryClient, sync
    from agentkeys.testing.leaks import LeakWatch
    from agentkeys.testing.made import Made


# Whether the parameters that pytest is about to name belong to a test with `assert_no_leaks`.
_naming = SimpleNamespace(is_watched=False)
_SHORTEST = 8  # a shorter secret cannot be watched


@pytest.hookimpl(tryfirst=True)
def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Record whether a test is watched, before its parameters are named."""
    _naming.is_watched = "assert_no_leaks" in metafunc.fixturenames


def pytest_make_parametrize_id(val: object, argname: str) -> str | None:
    """Use no possible secret in a test's id: ids are shown early, and kept in the cache."""
    may_be_secret = isinstance(val, (str, bytes)) and len(val) >= _SHORTEST
    return argname if may_be_secret and _naming.is_watched else None


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Mask a test's name where xdist collects the reports: its workers cannot."""
    if hasattr(report, "node"):
        report.nodeid = getattr(report, "agentkeys_name", report.nodeid)


@pytest.fixture(autouse=True)
def _agentkeys_memory() -> Iterator[None]:
    """Clear the named stores in memory of the test, so that the next test can use the names."""
    before = frozenset(_names_in_memory())
    yield
    for name in _names_in_memory() - before:
        sys.modules[_MEMORY].forget(name)


_MEMORY = "agentkeys.stores.memory"


def _names_in_memory() -> frozenset[str]:
    """Return the names of all stores in memory; none if the module is not imported."""
    return sys.modules[_MEMORY].names() if _MEMORY in sys.modules else frozenset()


@pytest.fixture
def agentkeys_service(_agentkeys_made: Made) -> Iterator[sync.LocalService]:
    """Both services on a port of this machine, new for each test, in their own thread.

    During the test, the environment variables point to them, so a client without arguments uses
    them.
    """
    from importlib import import_module

    from agentkeys.errors import ConfigurationError

    missing = ""
    try:
        import_module("agentkeys.server")
    except ConfigurationError as error:
        missing = str(error)
    if missing:
        pytest.fail(f"the fixture agentkeys_service is not available: {missing}", pytrace=False)
    from agentkeys.testing.service import running

    with running(_agentkeys_made) as service:
        yield service


@pytest.fixture
def agentity(agentkeys_service: sync.LocalService) -> Iterator[AgentityClient]:
    """An async client of Agentity, logged in to the account of `agentkeys_service`."""
    from agentkeys.testing import clients

    with clients.agentity(agentkeys_service) as client:
        yield client


@pytest.fixture
def agentry(agentkeys_service: sync.LocalService) -> Iterator[AgentryClient]:
    """An async client of Agentry, with the token of the tenant of `agentkeys_service`."""
    from agentkeys.testing import clients

    with clients.agentry(agentkeys_service) as client:
        yield client


@pytest.fixture
def agentity_sync(agentkeys_service: sync.LocalService) -> Iterator[sync.AgentityClient]:
    """A blocking client of Agentity, logged in to the account of `agentkeys_service`."""
    from agentkeys.testing import clients

    with clients.agentity_sync(agentkeys_service) as client:
        yield client


@pytest.fixture
def agentry_sync(agentkeys_service: sync.LocalService) -> Iterator[sync.AgentryClient]:
    """A blocking client of Agentry, with the token of the tenant of `agentkeys_service`."""
    from agentkeys.testing import clients

    with clients.agentry_sync(agentkeys_service) as client:
        yield client


@pytest.fixture
def assert_no_leaks(
    request: pytest.FixtureRequest, tmp_path: Path, _agentkeys_made: Made
) -> Iterator[LeakWatch]:
    """Secrets for the test, and a watch that fails the test if one of them shows anywhere."""
    from agentkeys.testing.watching import watching

    with watching(request, tmp_path, _agentkeys_made) as watch:
        yield watch


@pytest.fixture
def _agentkeys_made() -> Made:
    """The secrets that `agentkeys_service` made, for `assert_no_leaks`."""
    from agentkeys.testing.made import Made

    return Made()
