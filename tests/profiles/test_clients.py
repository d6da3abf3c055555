"""Which account a client takes: the one that was asked for, whole, and never a mixture of two."""

from __future__ import annotations

import timeit

import pytest
from programs import loaded_by

import agentkeys
from agentkeys import (
    AgentityClient,
    AgentryClient,
    ConfigurationError,
    InvalidArgumentError,
    ProfileError,
    sync,
)

SERVICES = ["AgentityClient", "AgentryClient"]
every = pytest.mark.parametrize("kind", SERVICES)


def names(client) -> list[str]:
    """Return the names of the keys, after one of that client's own was made."""
    client.api_keys.create(f"of {client!r}")
    return [key.name for key in client.api_keys.list()]


@pytest.mark.usefixtures("accounts")
@every
def test_two_profiles_are_two_accounts(kind, two):
    """Each client speaks to the service of its profile, with the secret that its store holds."""
    for name, service in zip(("one", "other"), two, strict=True):
        with getattr(sync, kind)(profile=name) as client:
            assert names(client) == [f"of <{kind} of {service.url}> (blocking)"]


@pytest.mark.usefixtures("accounts")
@every
@pytest.mark.asyncio
async def test_the_variable_names_the_profile(kind, two, monkeypatch):
    """For a program that is not to be changed; an argument is more than the variable."""
    monkeypatch.setenv("AGENTKEYS_PROFILE", "other")
    async with getattr(agentkeys, kind)() as client:
        assert two[1].url in repr(client)
        await client.api_keys.list().collect()
    async with getattr(agentkeys, kind)(profile="one") as client:
        assert two[0].url in repr(client)
        await client.api_keys.list().collect()


@pytest.mark.usefixtures("accounts")
def test_an_argument_wins_over_what_the_profile_says(two):
    """The base address that is given is the one that is used."""
    client = AgentryClient(profile="one", base_url=two[1].url)
    assert two[1].url in repr(client)


@pytest.mark.usefixtures("accounts")
@every
def test_a_profile_that_is_asked_for_is_whole(kind, two, monkeypatch):
    """No variable of the service has a say: its address would get the secret of the profile."""
    for name in ("AGENTITY_BASE_URL", "AGENTRY_BASE_URL"):
        monkeypatch.setenv(name, "https://elsewhere.example")
    monkeypatch.setenv("AGENTRY_API_KEY", "of somebody else")
    monkeypatch.setenv("AGENTITY_ACCESS_TOKEN", "of somebody else")
    with getattr(sync, kind)(profile="other") as client:
        assert two[1].url in repr(client)
        client.api_keys.list().collect()


def test_the_address_of_the_service_is_no_variables(write, monkeypatch):
    """A profile without an address means the service's own."""
    write('[profiles.a.agentry]\ntoken_from = "file:key"\n')
    monkeypatch.setenv("AGENTRY_BASE_URL", "https://elsewhere.example")
    assert "https://api.agentry.to" in repr(AgentryClient(profile="a"))


@pytest.mark.usefixtures("accounts")
@pytest.mark.parametrize(
    ("kind", "variable"),
    [
        ("AgentityClient", "AGENTITY_EMAIL"),
        ("AgentityClient", "AGENTITY_PASSWORD_FROM"),
        ("AgentityClient", "AGENTITY_BASE_URL"),
        ("AgentryClient", "AGENTRY_API_KEY"),
        ("AgentryClient", "AGENTRY_API_KEY_FILE"),
        ("AgentryClient", "AGENTRY_BASE_URL"),
    ],
)
def test_two_variables_that_may_mean_two_accounts_are_refused(kind, variable, monkeypatch):
    """Which of them is meant nobody can know; those of the other service do not matter."""
    monkeypatch.setenv("AGENTKEYS_PROFILE", "one")
    monkeypatch.setenv(variable, "S3NT1NEL")
    with pytest.raises(ConfigurationError, match=f"AGENTKEYS_PROFILE and {variable}") as caught:
        getattr(agentkeys, kind)()
    assert "S3NT1NEL" not in str(caught.value)
    [other] = {*SERVICES} - {kind}
    getattr(agentkeys, other)()


@pytest.mark.usefixtures("accounts")
@every
def test_the_library_has_no_default(kind):
    """What a program does does not depend on what its user has typed once."""
    with pytest.raises(ConfigurationError, match="no credentials"):
        getattr(agentkeys, kind)()


@every
@pytest.mark.parametrize("module", [agentkeys, sync], ids=["async", "blocking"])
def test_credentials_and_a_profile_exclude_each_other(kind, module):
    """In a sentence, before the file is looked at."""
    with pytest.raises(InvalidArgumentError, match="credentials or profile, and not both"):
        getattr(module, kind)("token", profile="one")


def test_credentials_need_no_profile(monkeypatch):
    """A variable that names a profile that is not there is nothing to a client that has a token."""
    monkeypatch.setenv("AGENTKEYS_PROFILE", "missing")
    AgentryClient("token")


@pytest.mark.usefixtures("accounts")
def test_a_missing_profile_names_those_that_exist(monkeypatch):
    """Asked for by an argument or by a variable."""
    for ask in (lambda: AgentryClient(profile="three"), AgentryClient):
        monkeypatch.setenv("AGENTKEYS_PROFILE", "three")
        with pytest.raises(ProfileError, match=r"no profile 'three' in .*; there are one, other"):
            ask()


def test_without_a_file_there_are_no_profiles(home):
    """The sentence says where the file would be."""
    with pytest.raises(ProfileError, match=f"in {home}/config.toml; there are none"):
        AgentryClient(profile="acme")


def test_an_empty_variable_is_not_set(monkeypatch):
    """As every other one of ours."""
    monkeypatch.setenv("AGENTKEYS_PROFILE", "")
    with pytest.raises(ConfigurationError, match="no credentials"):
        AgentryClient()


def test_a_profile_may_have_one_service_only(write):
    """The other service is not looked for elsewhere."""
    write('[profiles.a.agentry]\ntoken_from = "file:key"\n')
    with pytest.raises(ProfileError, match="no account of agentity, only of agentry"):
        AgentityClient(profile="a")


def test_nobody_logs_in_at_agentry(write):
    """It knows no email."""
    write('[profiles.a.agentry]\nemail = "me@acme.to"\npassword_from = "file:key"\n')
    with pytest.raises(ProfileError, match="needs token_from"):
        AgentryClient(profile="a")


def test_a_login_needs_a_password(write):
    """A program is asked for none."""
    write('[profiles.a.agentity]\nemail = "me@acme.to"\n')
    with pytest.raises(ProfileError, match="no password_from"):
        AgentityClient(profile="a")


@pytest.mark.parametrize("wrong", [7, b"one", ["one"]])
def test_a_profile_is_named_by_a_str(wrong):
    """Anything else is refused with a sentence."""
    with pytest.raises(InvalidArgumentError, match="profile must be the name"):
        AgentryClient(profile=wrong)


@pytest.mark.usefixtures("accounts")
@every
def test_a_store_that_is_empty_is_named(kind, tmp_path):
    """By the first call: the store is not read before."""
    for name in ("one-token", "one-password"):
        (tmp_path / name).write_text("")
    with getattr(sync, kind)(profile="one") as client:
        with pytest.raises(ConfigurationError, match=r"there is no (token|password) in .*one-"):
            client.api_keys.list().collect()


def test_nothing_is_imported_for_nobody():
    """A client without a profile pays a look at a variable: microseconds."""
    code = "from agentkeys import AgentryClient; AgentryClient('x')"
    assert not {name for name in loaded_by(code) if name.startswith("agentkeys.profiles")}
    runs = 20_000
    took = min(timeit.repeat(lambda: AgentryClient._chosen("token", None), number=runs, repeat=3))
    assert took / runs < 20e-6


def test_http_to_another_host_can_be_permitted_by_a_variable(monkeypatch):
    """For an application that is not to be changed; what is no yes and no no is refused."""
    url = "http://agentry.internal:8080"
    for value, fault in (("", "is http to another host"), ("0", "is http"), ("yes", "must be 1")):
        monkeypatch.setenv("AGENTKEYS_ALLOW_HTTP", value)
        with pytest.raises(ConfigurationError, match=fault):
            AgentryClient("token", base_url=url)
    monkeypatch.setenv("AGENTKEYS_ALLOW_HTTP", "1")
    assert url in repr(AgentryClient("token", base_url=url))
