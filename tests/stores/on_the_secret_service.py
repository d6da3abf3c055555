"""The conformance suite on whatever keyring the session has; run by test_secret_service.py."""

from __future__ import annotations

from agentkeys.stores import KeyringStore
from agentkeys.testing import store_conformance

TestSecretService = store_conformance(lambda _: KeyringStore("agentkeys tests", "A NAME"))
