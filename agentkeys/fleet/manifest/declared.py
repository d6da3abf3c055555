"""A key that shall be there, as data: what the planner, `apply` and the workers work on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, NamedTuple, Self

import attrs

from agentkeys.records import Record

__all__ = ["GRACE", "Account", "Declared"]

GRACE: Final = 86400.0
"""Seconds for which a replaced key lives on if the file does not say."""


class Account(NamedTuple):
    """Whose keys are declared: those of a service, as a client sees them.

    Attributes:
        service: the name of the service in lower case.
        profile: the profile that the file names; None for the client's own credentials.
    """

    service: str
    profile: str | None = None

    def __str__(self) -> str:
        return self.service if self.profile is None else f"{self.service} (profile {self.profile})"


@attrs.frozen
class Declared(Record):
    """A key that shall be there. It is a row of `agentkeys.toml`, filled in and checked.

    Attributes:
        service: the name of its service in lower case: "agentity" or "agentry".
        name: what you call the key, without the nonce.
        store: the address of the store that shall hold its secret.
        inbox: the inbox that it belongs to, if it belongs to one.
        pod: the pod that it belongs to, if it belongs to one.
        agent: whether it belongs to the agent surface.
        permissions: what it may do, on the agent surface; the service's default if None.
        grace: seconds for which a key lives on that it replaces.
        max_grace: seconds after which that key needs a person, if it is still used; None for the
            default of `rotate`.
        max_age: seconds after which it is replaced; None for never.
        profile: the profile with which it is looked after, if the file names one.
        where: the file and the line that declare it, for a sentence.
    """

    service: str
    name: str
    store: str
    inbox: str | None = None
    pod: str | None = None
    agent: bool = False
    permissions: Mapping[str, bool] | None = attrs.field(default=None, hash=False)
    grace: float = GRACE
    max_grace: float | None = None
    max_age: float | None = None
    profile: str | None = None
    where: str = attrs.field(default="", eq=False)

    @property
    def account(self) -> Account:
        """Whose key it is."""
        return Account(self.service, self.profile)

    @property
    def place(self) -> tuple[str, ...]:
        """What tells its place from every other one: keys of one place come in one listing."""
        whose = self.service, self.profile or "", "agent" if self.agent else "human"
        if self.pod is not None:
            return *whose, "pod", self.pod
        if self.inbox is not None:
            return *whose, "inbox", self.inbox
        return *whose, "whole", ""

    @classmethod
    def of(cls, data: Mapping[str, Any]) -> Self:
        """Return the key of which `to_dict` has made *data*, e.g. for a job in a queue."""
        return cls(**data)
