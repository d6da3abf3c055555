"""A client that is no part of the package has its blocking twin beside it, in one file."""

from __future__ import annotations

import attrs
import pytest

from agentkeys import InvalidArgumentError, Swept, agentry
from agentkeys.stores import MemoryStore
from agentkeys.sync import Keys, LocalService, issue, sweep
from agentkeys.sync.clients import BlockingClient
from agentkeys.sync.descriptors import Facade, Shown, blocking, leading_to, paging


@attrs.frozen
class Desk:
    """What has keys."""

    api_keys: agentry.ApiKeys


class Office(agentry.AgentryClient):
    """The client of a test's own."""

    def desk(self, inbox_id: str) -> Desk:
        """Return one of them; nothing is sent."""
        return Desk(self.inbox(inbox_id).api_keys)


class BlockingDeskKeys(Keys[agentry.ApiKeys]):
    """Its keys."""

    create = blocking(agentry.ApiKeys.create)
    list = paging(agentry.ApiKeys.list)
    delete = blocking(agentry.ApiKeys.delete)


class BlockingDesk(Facade[Desk]):
    """The twin of what has keys."""

    api_keys: Shown[BlockingDeskKeys] = Shown("The keys of the desk.", BlockingDeskKeys)


class BlockingOffice(BlockingClient[Office]):
    """The twin of the client."""

    _kind = Office

    desk = leading_to(Office.desk, BlockingDesk)


@pytest.fixture
def office(tmp_path, monkeypatch):
    monkeypatch.setenv("AGENTKEYS_HOME", str(tmp_path))
    with (
        LocalService() as service,
        BlockingOffice(service.agentry_token, base_url=service.url) as office,
    ):
        yield office.desk(service.inbox_id)


def test_it_makes_lists_and_deletes_keys(office):
    """The same calls, without await."""
    made = [office.api_keys.create(name) for name in ("one", "two")]
    assert [key.id for key in office.api_keys.list()] == [key.id for key in reversed(made)]
    office.api_keys.delete(made[0].id)
    assert [key.name for key in office.api_keys.list()] == ["two"]


def test_its_keys_are_issued_and_swept(office):
    """As those of the twins in the package; a call without a name is refused as the async one."""
    issued = issue(office.api_keys, "bot", into=MemoryStore("desk"))
    assert [key.id for key in office.api_keys.list()] == [issued.key.id]
    assert sweep(office.api_keys) == Swept()
    with pytest.raises(InvalidArgumentError):
        office.api_keys.create("")
