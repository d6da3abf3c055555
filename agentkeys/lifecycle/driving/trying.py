"""Create a key that replaces another one: its secret is verified before it is stored."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final, TypeVar

import attrs

from agentkeys.credentials import StoredToken
from agentkeys.errors import (
    NotFoundError,
    PermissionDeniedError,
    RotationError,
)
from agentkeys.lifecycle.driving.callbacks import Then, Verify, tried
from agentkeys.lifecycle.driving.making import IssuingHands
from agentkeys.lifecycle.machine import commands, events
from agentkeys.lifecycle.machine.states import KeyId
from agentkeys.transport.collection import Keys

if TYPE_CHECKING:
    from agentkeys.keys import Key
    from agentkeys.lifecycle.journal import Owned
    from agentkeys.lifecycle.machine.events import Event, Made
    from agentkeys.secret import Secret

__all__ = ["RotatingHands", "Wanted"]

KeyT = TypeVar("KeyT", bound="Key[Any]")

# A key that gets one of these errors is known to the service.
_KNOWN: Final = (PermissionDeniedError, NotFoundError)


@attrs.frozen
class Wanted:
    """How a key is to be replaced; see `rotate`."""

    grace: float
    longest: float
    replaces: KeyId | None
    verify: Verify | None
    verify_within: float
    then: Then | None


class RotatingHands(IssuingHands[KeyT]):
    """Creates keys, verifies their secrets, stores one, and announces it."""

    def __init__(self, *arguments: Any, wanted: Wanted, **named: Any) -> None:
        super().__init__(*arguments, then=wanted.then, **named)
        self._wanted = wanted

    async def do(self, owned: Owned, command: commands.Command) -> Event:
        """Run a command; see `driver.Hands`."""
        if isinstance(command, commands.Verify):
            return await self._verify(command.made)
        event = await super().do(owned, command)
        if isinstance(event, events.Written):
            self._sign_in_anew()
        return event

    def _sign_in_anew(self) -> None:
        """Use the new key from now on, if the client reads its token from this store."""
        credentials = self.keys._credentials if isinstance(self.keys, Keys) else None  # noqa: SLF001
        if isinstance(credentials, StoredToken) and credentials.address == self._store.address:
            credentials.forget()

    async def _verify(self, made: Made) -> Event:
        assert self._secret is not None  # noqa: S101  # it was made in the step before
        verify = self._wanted.verify or self._proved
        trying = tried(verify, self._secret, self._wanted.verify_within)
        try:
            # A cancelled call needs the remaining time to delete the key.
            why = await self.waiting.result(trying, most=self.waiting.half(), runs_on=lambda: False)
        except TimeoutError:
            why = "there was no time left to verify it"
        if why is None:
            return events.Verified(made)
        return events.Unusable(RotationError(f"the new key does not work: {why}"), made=made)

    async def _proved(self, secret: Secret) -> None:
        """Verify that the service knows the key; raise the service's error if it does not."""
        if not isinstance(self.keys, Keys):
            return
        seconds = self.waiting.half()
        try:
            async with asyncio.timeout(seconds):
                await self.keys._with(secret)._prove(seconds)  # noqa: SLF001
        except _KNOWN:
            pass
