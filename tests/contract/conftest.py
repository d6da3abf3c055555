from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from background import Background
from ways import Async, Blocking, CommandLine, Way

from agentkeys.server import LocalService

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def service() -> Iterator[LocalService]:
    with Background() as background:
        service = background.enter(LocalService())
        background.run(service.add_pod("p"))
        background.run(service.add_inbox("i", "p"))
        background.run(service.add_account("other@example.com", "pw"))
        yield service


@pytest.fixture(params=["async", "blocking", "command line"])
def way(request, service, capsys, monkeypatch, tmp_path) -> Way:
    if request.param == "async":
        return Async(service)
    if request.param == "blocking":
        return Blocking(service)
    monkeypatch.setenv("HOME", str(tmp_path))
    return CommandLine(service, capsys, monkeypatch)
