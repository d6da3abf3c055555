"""The fixtures, for pytest. Their parts are imported when one of them is asked for.

pytest imports this module in every suite of every environment with agentkeys in it, whatever
the version of pytest: so it holds fixtures and nothing else, and registers no hook.
"""

from __future__ import annotations

import pytest

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from agentkeys import AgentityClient, AgentryClient, sync
    from agentkeys.testing.leaks import LeakWatch
    from agentkeys.testing.made import Made


@pytest.fixture
def agentkeys_service(_agentkeys_made: Made) -> Iterator[sync.LocalService]:
    """Both services on a port of this machine, fresh for the test, in a thread of their own.

    Meanwhile the environment leads to them, so that a client without arguments does, too.
    """
    from importlib import import_module

    from agentkeys.errors import ConfigurationError

    missing = ""
    try:
        import_module("agentkeys.server")
    except ConfigurationError as error:
        missing = str(error)
    if missing:
        pytest.fail(f"the fixture agentkeys_service cannot be made: {missing}", pytrace=False)
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
    """Secrets for the test to use, and a watch that fails it if one of them shows anywhere."""
    from agentkeys.testing.watching import watching

    with watching(request, tmp_path, _agentkeys_made) as watch:
        yield watch


@pytest.fixture
def _agentkeys_made() -> Made:
    """The secrets that `agentkeys_service` made, for `assert_no_leaks`."""
    from agentkeys.testing.made import Made

    return Made()
