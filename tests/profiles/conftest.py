"""What the tests of profiles share: a home, two services, and a file that names their accounts."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from agentkeys.sync import LocalService

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "home"
    folder.mkdir(mode=0o700)
    monkeypatch.setenv("AGENTKEYS_HOME", str(folder))
    monkeypatch.chdir(tmp_path)
    return folder


@pytest.fixture
def write(home: Path) -> Any:
    """Write the file of the profiles."""

    def write(text: str) -> Path:
        path = home / "config.toml"
        path.write_text(text)
        path.chmod(0o600)
        return path

    return write


@pytest.fixture(scope="module")
def two() -> Iterator[tuple[LocalService, LocalService]]:
    """Two local services, that know nothing of each other's accounts."""
    with LocalService() as one, LocalService() as other:
        yield one, other


def section(name: str, service: LocalService, folder: Path) -> str:
    """Return the accounts of a local service, with the secrets in files."""
    token, password = folder / f"{name}-token", folder / f"{name}-password"
    token.write_text(service.agentry_token)
    password.write_text(service.password)
    return f"""
[profiles.{name}.agentity]
base_url = "{service.url}"
email = "{service.email}"
password_from = "file:{password}"

[profiles.{name}.agentry]
base_url = "{service.url}"
token_from = "file:{token}"
inbox = "{service.inbox_id}"
"""


@pytest.fixture
def accounts(two, write, tmp_path) -> Path:
    """A file with two profiles, one for each service; ``one`` is the default."""
    one, other = two
    sections = section("one", one, tmp_path) + section("other", other, tmp_path)
    return write(f'default = "one"\n{sections}')
