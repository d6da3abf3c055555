from __future__ import annotations

import pytest

from agentkeys.stores import KeyringStore
from agentkeys.testing import store_conformance


@pytest.fixture(autouse=True)
def _keyring(file_keyring):
    """Every test here has a keyring of its own."""


TestConformance = store_conformance(lambda _: KeyringStore("agentkeys tests", "A NAME"))
