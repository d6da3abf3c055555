"""A service declares what its keys look like, and they are masked wherever they show."""

from __future__ import annotations

import re
from typing import Final

import attrs
import pytest
from leaks import shown
from wire import Wire, answer

from agentkeys import AgentityClient, AgentryClient, BadRequestError, DecodeError
from agentkeys.cli.ground import output
from agentkeys.cli.keys import agentity as cli_agentity
from agentkeys.cli.keys import agentry as cli_agentry
from agentkeys.masking import mask
from agentkeys.secret import MASK, Secret
from agentkeys.server.storage.key_format import AGENTITY_PREFIX, AGENTRY_PREFIX, new_key
from agentkeys.transport.call.endpoint import Endpoint
from agentkeys.transport.client import Client
from agentkeys.transport.reading.convert import Reader, as_spelt
from agentkeys.transport.settings import Service

KEY = "gate:OTHERSKEY234567"


@attrs.frozen
class NewPass:
    id: int
    code: Secret


CREATE: Final = Endpoint("POST", "/passes", returns=NewPass)


class Gate(Client):
    """A client of a third service."""

    _service = Service(
        "Gate",
        "https://gate.test",
        "GATE_BASE_URL",
        Reader(as_spelt),
        key_form="(gate:)[A-Z2-7]{8,}",
    )

    async def create(self) -> NewPass:
        return await self._session.call(CREATE, json={})


@pytest.mark.asyncio
async def test_the_keys_of_a_third_service_are_masked_wherever_they_show(capsys):
    """It declares what they look like; nothing else knows of it."""
    said = {"message": f"{KEY} is old", "code": KEY, "errors": [{KEY: [KEY]}]}
    reply = answer(400, said, headers={"X-Request-Id": KEY})
    async with Wire(reply) as wire, Gate("token", base_url=wire.url) as gate:
        with pytest.raises(BadRequestError) as caught:
            await gate.create()
    assert caught.value.message == f"gate:{MASK} is old"
    assert "OTHERSKEY" not in shown(caught.value) + repr(vars(caught.value))
    # At the command line, and in what the leak watch reports, for places may be named by a key.
    output.note(f"Error: {KEY}")
    assert capsys.readouterr().err == f"Error: gate:{MASK}\n"
    assert mask(f"a secret shows: the password in the name of a file: {KEY}").endswith(f":{MASK}")


@pytest.mark.asyncio
async def test_a_key_of_a_third_service_is_salvaged_by_its_form():
    """Where the answer does not say which of its texts is the secret."""
    reply = answer(201, b'<p>keep "gate:NEWKEY234567" well</p>')
    async with Wire(reply) as wire, Gate("token", base_url=wire.url) as gate:
        with pytest.raises(DecodeError) as caught:
            await gate.create()
    assert caught.value.salvaged == Secret("gate:NEWKEY234567")


def test_each_service_declares_one_form_of_its_keys():
    """Where it is described: for the client, the command line, and the local service."""
    for kind, command, prefix in (
        (AgentityClient, cli_agentity.SERVICE, AGENTITY_PREFIX),
        (AgentryClient, cli_agentry.SERVICE, AGENTRY_PREFIX),
    ):
        assert kind._service.key_form == command.key_form
        assert re.fullmatch(command.key_form, new_key(prefix).reveal())[1] == prefix
