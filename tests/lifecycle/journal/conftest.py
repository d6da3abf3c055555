from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from journals import KINDS, journal_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from agentkeys.lifecycle.journal import Journal


@pytest.fixture(params=KINDS)
def kind(request) -> str:
    """Which journal it is."""
    return request.param


@pytest.fixture
def journal_in(kind: str, request) -> Callable[[], Journal]:
    """Make one journal after the other at the same place, as several processes have them."""
    address = "" if kind == "files" else request.getfixturevalue("database")
    return lambda: journal_of(kind, address)


@pytest.fixture
def journal(journal_in: Callable[[], Journal]) -> Journal:
    return journal_in()


@pytest.fixture
def other(journal_in: Callable[[], Journal]) -> Journal:
    """That of another process."""
    return journal_in()
