"""`auth explain` says what a command does, and `whoami` says what the services show."""

from __future__ import annotations

import itertools
import json
from typing import Any

import pytest

from agentkeys.errors import AgentKeysError

SECRET = "S3NT1NEL"
SETTINGS = {
    "AGENTKEYS_PROFILE": "one",
    "AGENTITY_ACCESS_TOKEN": f"{SECRET}-token",
    "AGENTITY_EMAIL": "me@acme.to",
    "AGENTITY_PASSWORD_FROM": "file:/secrets/password",
    "AGENTITY_BASE_URL": "https://agentity.example",
}


@pytest.fixture
def explained(run) -> Any:
    def explained(*words: str) -> dict[str, Any]:
        [found] = json.loads(run(*words, "auth", "explain", "agentity", "--json").out)
        return found

    return explained


def explain(service: str, *before: str) -> list[str]:
    return [*before, "auth", "explain", service, "--json"]


@pytest.fixture
def profiles(run) -> None:
    for name in ("one", "other"):
        words = ["profile", "add", name, "agentity", "--email", f"{name}@acme.to"]
        assert run(*words, "--from", f"file:/{name}", "--base-url", f"https://{name}").code == 0
    assert run("profile", "use", "other").code == 0


def what_is_set() -> list[tuple[str, ...]]:
    return [each for n in range(len(SETTINGS) + 1) for each in itertools.combinations(SETTINGS, n)]


@pytest.mark.usefixtures("profiles")
@pytest.mark.parametrize("given", what_is_set(), ids="+".join)
@pytest.mark.parametrize("asked", [[], ["--profile", "one"]], ids=["nothing", "profile"])
def test_what_is_explained_is_what_a_command_does(run, wire, monkeypatch, given, asked):
    """For everything that may be set: the same base address, the same refusal, the same account."""
    for name in given:
        monkeypatch.setenv(name, SETTINGS[name])
    ended = run(*asked, "auth", "explain", "agentity", "--json")
    assert SECRET not in ended.out
    [found] = json.loads(ended.out)
    options = _options(asked)
    from agentkeys.cli.ground.services import profile_of, settings_of
    from agentkeys.cli.keys import agentity

    service = agentity.SERVICE
    refusal = None
    try:
        profile = profile_of(options, service)
        credentials = service.credentials(profile)
        client = service.client(credentials, **settings_of(options, service))
    except AgentKeysError as error:
        refusal = str(error)
    if found["source"] == "the email alone":
        assert "AGENTITY_EMAIL and AGENTITY_PASSWORD" in str(refusal)  # here is no terminal
        assert (found["email"], ended.code) == ("me@acme.to", 0)
        return
    assert (found["error"], ended.code == 0) == (refusal, refusal is None)
    if refusal is not None:
        assert found["base_url"] is None
        return
    assert found["base_url"] == client._settings.base_url
    account = getattr(client._session.credentials, "account", None)
    assert found["email"] == account
    assert found["profile"] == (profile.name if profile else None)
    [winner] = [row for row in found["sources"] if row["name"] == found["source"]]
    assert winner == next(row for row in found["sources"] if row["applies"])


def _options(asked: list[str]) -> Any:
    from agentkeys.cli.ground.options import Options

    return Options(profile=asked[1] if asked else None)


def test_nothing_is_sent_and_no_store_is_read(run, wire, tmp_path, monkeypatch):
    """A pipe that nobody writes to would wait for ever, and a server would see a request."""
    import os

    os.mkfifo(tmp_path / "pipe")
    server = wire()
    monkeypatch.delenv("AGENTRY_API_KEY")
    monkeypatch.setenv("AGENTRY_API_KEY_FILE", str(tmp_path / "pipe"))
    ended = run("auth", "explain")
    assert ended.code == 0
    assert f"file:{tmp_path}/pipe (not read)" in ended.out
    assert server.requests == []


@pytest.mark.parametrize("suffix", ["", "_FROM", "_FILE"])
def test_what_may_be_a_secret_is_not_shown(run, monkeypatch, suffix):
    """Somebody may have put it where an address or a path belongs."""
    monkeypatch.setenv(f"AGENTRY_API_KEY{suffix}", SECRET)
    for more in ([], ["--json"]):
        ended = run("auth", "explain", "agentry", *more)
        assert SECRET not in ended.out + ended.err
        assert f"AGENTRY_API_KEY{suffix}" in ended.out


@pytest.mark.parametrize("more", [[], ["--json"]])
def test_a_key_in_the_place_of_a_profile_is_not_shown(run, monkeypatch, more):
    """Neither from the variable, nor from the option, nor as an email."""
    key = "agk_live_0123456789S3NT1NEL"
    monkeypatch.setenv("AGENTKEYS_PROFILE", key)
    shown = [run("auth", "explain", *more), run("--profile", key, "auth", "explain", *more)]
    monkeypatch.delenv("AGENTKEYS_PROFILE")
    monkeypatch.setenv("AGENTITY_EMAIL", key)
    shown.append(run("auth", "explain", *more))
    for ended in shown:
        assert "agk_live_**********" in ended.out
        assert SECRET not in ended.out + ended.err


def test_a_service_that_is_named_has_to_have_credentials(run):
    """The code is that of a command; of a service that nobody has named nothing is expected."""
    assert run("auth", "explain").code == 0
    ended = run("auth", "explain", "agentry")
    assert (ended.code, "no source wins" in ended.out) == (6, True)


def test_a_contradiction_is_explained(run, profiles, monkeypatch):
    """With the sentence and the code of a command, for each that is not named, too."""
    monkeypatch.setenv("AGENTKEYS_PROFILE", "one")
    monkeypatch.setenv("AGENTITY_EMAIL", "me@acme.to")
    ended = run("auth", "explain")
    assert ended.code == 2
    assert "AGENTKEYS_PROFILE and AGENTITY_EMAIL are set" in ended.out


def test_a_profile_may_leave_a_service_out(run, profiles):
    """That is no error of a command that nobody has pointed at that service."""
    assert run("--profile", "one", "auth", "explain").code == 0
    ended = run("--profile", "one", "auth", "explain", "agentry")
    assert (ended.code, "no account of agentry" in ended.out) == (2, True)


def test_whoami_shows_what_one_listing_shows(run, served, background):
    """The account that logged in, the key that signs in, and what nobody can know."""
    run("agentity", "create", "bot")
    made = json.loads(run("agentry", "create", "--tenant", "ops", "--json").out)
    served.requests.clear()
    agentity, agentry = json.loads(run("whoami", "--json").out)
    # No login: that of `create` is kept.
    paths = [(each.method, each.path) for each in served.requests]
    assert paths == [("GET", "/auth/api-keys"), ("GET", "/human/v0/api-keys")]
    assert agentity["email"] == served.email
    assert (agentity["keys"], agentity["subject"] is None) == (1, False)
    assert (agentry["keys"], agentry["candidates"]) == (1, [])
    assert all("no documented call" in each["unknown"][0] for each in (agentity, agentry))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AGENTRY_API_KEY", made["api_key"])
        [agentry] = json.loads(run("whoami", "agentry", "--json").out)
        text = run("whoami", "agentry")
    assert [key["api_key_id"] for key in agentry["candidates"]] == [made["api_key_id"]]
    assert f"may be       the key 'ops', {made['api_key_id']}" in text.out
    assert made["api_key"] not in text.out


def test_whoami_lists_the_place_that_is_meant(run, served):
    """A key of one inbox may list no others."""
    [found] = json.loads(run("whoami", "agentry", "--inbox", served.inbox_id, "--json").out)
    assert found["place"] == f"inbox {served.inbox_id}"


@pytest.mark.usefixtures("served")
def test_whoami_with_a_wrong_credential_is_refused(run, monkeypatch):
    """With the code of an authentication; the other service is shown all the same."""
    monkeypatch.setenv("AGENTRY_API_KEY", "ag_wrong")
    ended = run("whoami")
    assert ended.code == 6
    assert "Agentity at" in ended.out
    assert "401" in ended.err


def test_nobody_is_nobody(run):
    """Without any credentials."""
    ended = run("whoami")
    assert (ended.code, "no service has credentials" in ended.err) == (6, True)


def test_whoami_works_on_this_machine(run):
    """Both services have an account there."""
    agentity, agentry = json.loads(run("--local", "whoami", "--json").out)
    assert agentity["email"] == "owner@agentkeys.local"
    assert agentry["source"] == "--local"
