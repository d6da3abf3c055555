"""A login whose tokens other processes of this user share."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable
from typing import Final

from agentkeys.agentity.logins import Login, PasswordLogin
from agentkeys.credentials import Caller, Token
from agentkeys.errors import InvalidArgumentError
from agentkeys.secret import Secret
from agentkeys.token_cache.entry import Entry, Proof
from agentkeys.token_cache.slot import Slot

__all__ = ["CachedLogin"]

_PATIENCE: Final = 5.0
"""Seconds that we wait at most while another process logs in; it may be stopped."""
_SHARE: Final = 0.25
"""The share of the call's time that we wait at most."""
_PAUSE: Final = 0.02
_LEAST: Final = 0.001


class CachedLogin(Login):
    """Shares the tokens of a `PasswordLogin` with the other processes of this user.

    The tokens are kept for each base address and email. If several processes need a token at once,
    one of them refreshes it or logs in, and the others use its tokens. A process with another
    password does not get them. If the tokens cannot be kept, a warning on the logger `agentkeys`
    says why, and this process logs in by itself.

    Args:
        login: the login.
        keyring: keep the tokens in the keyring of the operating system. By default they are in a
            file with mode 0600, in the cache folder of the user or in AGENTKEYS_HOME.

    Attributes:
        account: the email.

    Raises:
        InvalidArgumentError: *login* is no `PasswordLogin`.

    """

    def __init__(self, login: PasswordLogin, *, keyring: bool = False) -> None:
        if not isinstance(login, PasswordLogin):
            raise InvalidArgumentError(
                f"login must be a PasswordLogin, not {type(login).__name__}:"
                " CachedLogin(PasswordLogin(email, password))"
            )
        super().__init__()
        self._login = login
        self.account = login.account
        self._keyring = keyring
        self._slot: Slot | None = None
        self._own: Secret | None = None  # a refresh token that no other process has
        self._seen: tuple[Secret, ...] = ()

    async def fetch(self, caller: Caller, timeout: float) -> Token:
        """Return the token that is kept, or get a new one while the other processes wait."""
        end = time.monotonic() + timeout
        until = time.monotonic() + min(_PATIENCE, timeout * _SHARE)
        slot = self._slot_at(caller.base_url)
        while (token := self._usable(await self._kept(slot))) is None:
            lock = slot.try_hold()
            if lock is not None:
                try:
                    return await self._alone(slot, caller, end)
                finally:
                    slot.drop(lock)
            if time.monotonic() >= until:
                slot.give_up("another process has held the lock for too long")
            if not slot.is_usable:
                return await self._renewed(slot, caller, end, self._taken_own())
            await asyncio.sleep(_PAUSE)
        return token

    def secrets(self) -> Iterable[Secret]:
        """Return the password and the tokens."""
        own = () if self._own is None else (self._own,)
        return (*super().secrets(), *self._login.secrets(), *self._seen, *own)

    async def _alone(self, slot: Slot, caller: Caller, end: float) -> Token:
        """Get a new token behind the lock, unless another process has just done so."""
        entry = await self._kept(slot)
        token = self._usable(entry)
        if token is not None:
            return token
        refresh_token = self._taken_own()
        # Single-use: it is gone before it is sent, so that nobody sends it again if we are killed.
        if entry is not None and await slot.remove():
            refresh_token = entry.refresh_token
        return await self._renewed(slot, caller, end, refresh_token)

    async def _renewed(
        self, slot: Slot, caller: Caller, end: float, refresh_token: Secret | None
    ) -> Token:
        left = max(end - time.monotonic(), _LEAST)
        tokens = await self._login.tokens(caller, refresh_token, left)
        self._seen = tokens.access_token, tokens.refresh_token
        proof = Proof.of(await self._login.password())
        entry = Entry(caller.base_url, self.account, proof, *self._seen, time.time())
        if not await slot.write(entry):
            self._own = tokens.refresh_token
        return Token.of_jwt(tokens.access_token)

    def _taken_own(self) -> Secret | None:
        refresh_token, self._own = self._own, None
        return refresh_token

    async def _kept(self, slot: Slot) -> Entry | None:
        """Return what is kept, if it is of our password."""
        entry = await slot.read()
        if entry is None or not entry.proof.fits(await self._login.password()):
            return None
        self._seen = entry.access_token, entry.refresh_token
        return entry

    def _usable(self, entry: Entry | None) -> Token | None:
        """Return the token of an entry; None if it is about to end, or is the one we had."""
        return None if entry is None or entry.access_token == self.last else entry.token()

    def _slot_at(self, base_url: str) -> Slot:
        if self._slot is None or self._slot.base_url != base_url:
            self._slot, self._own = Slot(base_url, self.account, keyring=self._keyring), None
        return self._slot
