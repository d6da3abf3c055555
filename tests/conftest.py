from __future__ import annotations

import os

import pytest


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """No credentials, address or proxy of whoever runs the tests gets into them."""
    for name in list(os.environ):
        if name.startswith(("AGENTITY_", "AGENTRY_", "AGENTKEYS_")) or name.lower().endswith(
            "_proxy"
        ):
            monkeypatch.delenv(name)
    # `python -m` would put the working directory, and so the sources, before the installed package.
    monkeypatch.setenv("PYTHONSAFEPATH", "1")
