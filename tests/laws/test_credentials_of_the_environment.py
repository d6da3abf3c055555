"""Which variable a client takes its credentials from, and what it refuses."""

from __future__ import annotations

import asyncio
import inspect
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from leaks import shown

import agentkeys
from agentkeys import ConfigurationError, PasswordLogin, StoredToken, sync
from agentkeys.agentity import login as log_in
from agentkeys.credentials import BearerToken
from agentkeys.sync import LocalService

if TYPE_CHECKING:
    from collections.abc import Iterator

EMAIL = "AGENTITY_EMAIL"
PASSWORD, PASSWORD_FROM = "AGENTITY_PASSWORD", "AGENTITY_PASSWORD_FROM"
ACCESS, ACCESS_FROM = "AGENTITY_ACCESS_TOKEN", "AGENTITY_ACCESS_TOKEN_FROM"
KEY, KEY_FROM = "AGENTRY_API_KEY", "AGENTRY_API_KEY_FROM"
PASSWORD_FILE, ACCESS_FILE, KEY_FILE = (f"{name}_FILE" for name in (PASSWORD, ACCESS, KEY))
MODULES = {"async": agentkeys, "blocking": sync}


@pytest.fixture(scope="module")
def service() -> Iterator[Any]:
    with LocalService() as service:
        tokens = asyncio.run(log_in(service.email, service.password, base_url=service.url))
        access = tokens.access_token.reveal()
        yield SimpleNamespace(
            url=service.url,
            values={
                EMAIL: service.email,
                PASSWORD: service.password,
                ACCESS: access,
                KEY: service.agentry_token,
            },
        )


@pytest.fixture
def given(service, tmp_path, monkeypatch) -> Any:
    """Set variables to what is right: the secret, or the address of a file that holds it."""

    def given(*names: str) -> None:
        for name in names:
            secret = service.values[name.removesuffix("_FROM").removesuffix("_FILE")]
            if name.endswith(("_FROM", "_FILE")):
                path = tmp_path / f"{name}?x"
                path.write_text(f"{secret}\n")
                secret = f"file:{path}?" if name.endswith("_FROM") else str(path)
            monkeypatch.setenv(name, secret)

    return given


def listed(client: Any) -> Any:
    """List the keys, whichever kind of client it is."""

    async def all_of_it() -> Any:
        async with client:
            return await client.api_keys.list().collect()

    if inspect.iscoroutinefunction(client.close):
        return asyncio.run(all_of_it())
    with client:
        return client.api_keys.list().collect()


def credentials(client: Any) -> Any:
    return getattr(client, "_twin", client)._session.credentials


@pytest.mark.parametrize("module", MODULES.values(), ids=MODULES)
@pytest.mark.parametrize(
    "names_and_kind",
    [
        ([KEY], BearerToken),
        ([KEY_FROM], StoredToken),
        ([KEY_FILE], StoredToken),
        ([EMAIL, PASSWORD], PasswordLogin),
        ([EMAIL, PASSWORD_FROM], PasswordLogin),
        ([EMAIL, PASSWORD_FILE], PasswordLogin),
        ([ACCESS], BearerToken),
        ([ACCESS_FROM], StoredToken),
        ([ACCESS_FILE], StoredToken),
        ([ACCESS, EMAIL, PASSWORD], BearerToken),
        ([ACCESS, EMAIL, PASSWORD_FROM], BearerToken),
        ([ACCESS_FROM, EMAIL, PASSWORD], StoredToken),
        ([ACCESS_FROM, EMAIL, PASSWORD_FROM], StoredToken),
    ],
    ids=lambda each: "+".join(each[0]),
)
def test_the_precedence(module, names_and_kind, service, given):
    """As the table of docs/credentials.md has it; and each of them signs in."""
    names, wins = names_and_kind
    given(*names)
    kind = module.AgentryClient if names[0].startswith("AGENTRY") else module.AgentityClient
    client = kind(base_url=service.url)
    assert type(credentials(client)) is wins
    listed(client)


@pytest.mark.parametrize("module", MODULES.values(), ids=MODULES)
@pytest.mark.parametrize(
    ("kind", "names"),
    [
        ("AgentryClient", [KEY, KEY_FROM]),
        ("AgentryClient", [KEY_FROM, KEY_FILE]),
        ("AgentityClient", [ACCESS, ACCESS_FROM]),
        ("AgentityClient", [PASSWORD, PASSWORD_FROM, EMAIL]),
        ("AgentityClient", [PASSWORD, PASSWORD_FROM, ACCESS]),
    ],
)
def test_two_for_one_are_refused(module, kind, names, given):
    """None of them wins: a sentence names both."""
    given(*names)
    with pytest.raises(ConfigurationError, match=f"^{names[0]} and {names[1]} are set: unset"):
        getattr(module, kind)()


def test_an_empty_variable_counts_as_not_set(given, monkeypatch):
    """Of a pair, the other one is used."""
    given(KEY_FROM)
    monkeypatch.setenv(KEY, "")
    assert type(credentials(agentkeys.AgentryClient())) is StoredToken
    given(KEY)
    monkeypatch.setenv(KEY_FROM, "")
    assert type(credentials(agentkeys.AgentryClient())) is BearerToken


def test_an_argument_wins(given):
    """Then the environment is not looked at."""
    given(KEY, KEY_FROM)
    assert type(credentials(agentkeys.AgentryClient("ag_other"))) is BearerToken


@pytest.mark.parametrize("names", [[PASSWORD_FROM], [EMAIL], []])
def test_half_a_login(names, given):
    """The sentence says what to set."""
    given(*names)
    with pytest.raises(ConfigurationError, match=f"{PASSWORD_FROM} or {ACCESS_FROM}"):
        agentkeys.AgentityClient()
    with pytest.raises(ConfigurationError, match=KEY_FROM):
        agentkeys.AgentryClient()


@pytest.mark.parametrize("module", MODULES.values(), ids=MODULES)
@pytest.mark.parametrize("name", [KEY_FROM, PASSWORD_FROM, ACCESS_FROM])
@pytest.mark.parametrize(
    ("address", "says"),
    [
        ("S3NT1NEL-of-somebody", "not the address of a store: use"),
        ("ag_S3NT1NEL:of-somebody", "not the address of a store: use"),
        ("dotenv:S3NT1NEL-of-somebody", "dotenv:PATH#NAME"),
        ("dotenv:.env#S3NT1NEL-of-somebody", "name of a dotenv entry"),
        ("keyring:S3NT1NEL-of-somebody", "keyring:SERVICE#NAME"),
        ("file:x?S3NT1NEL-of-somebody", "file:PATH"),
        ("command:S3NT1NEL-of-somebody --x", "write-only"),
        ("command:'S3NT1NEL-of-somebody", "write-only"),
    ],
)
def test_a_bad_address(module, name, address, says, monkeypatch):
    """A sentence names the variable, and does not show what it holds."""
    monkeypatch.setenv(EMAIL, "me@example.com")
    monkeypatch.setenv(name, address)
    kind = module.AgentryClient if name == KEY_FROM else module.AgentityClient
    with pytest.raises(ConfigurationError, match=f"^{name} (does not name|names) ") as raised:
        kind()
    assert says in str(raised.value)
    assert "S3NT1NEL" not in shown(raised.value)


def test_no_program_is_run(tmp_path, monkeypatch):
    """A program is write-only: it takes secrets, and gives none."""
    monkeypatch.setenv(KEY_FROM, f"command:touch {tmp_path / 'ran'}")
    with pytest.raises(ConfigurationError, match=r"write-only.*: name a store that can be read"):
        agentkeys.AgentryClient()
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("module", MODULES.values(), ids=MODULES)
def test_what_is_not_there_yet(module, service, tmp_path, monkeypatch):
    """The store is read when a token is needed; until then it may be empty."""
    path = tmp_path / "key"
    monkeypatch.setenv(KEY_FROM, f"file:{path}")
    client = module.AgentryClient(base_url=service.url)
    path.write_text(service.values[KEY])
    listed(client)
    path.unlink()
    with pytest.raises(ConfigurationError, match="there is no token in"):
        listed(module.AgentryClient(base_url=service.url))


def test_a_blocking_client_in_a_running_loop(service, given):
    """As in a notebook: the store is read in the client's own loop."""
    given(KEY_FROM, EMAIL, PASSWORD_FROM)

    async def cell() -> None:
        listed(sync.AgentryClient(base_url=service.url))
        listed(sync.AgentityClient(base_url=service.url))

    asyncio.run(cell())
