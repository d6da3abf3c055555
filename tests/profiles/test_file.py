"""The file of the profiles: what is refused of it, and in which words."""

from __future__ import annotations

import os

import pytest
from leaks import shown

from agentkeys import AgentityClient, ProfileError
from agentkeys.profiles import config

EMAIL = '[profiles.a.agentity]\nemail = "me@acme.to"\n'
GOOD = f'{EMAIL}password_from = "keyring:agentity#me"\n'
IN = r"\[profiles\.a\.agentity\]"
SENTINEL = "hunter2-S3NT1NEL"
WRONG = {
    "no TOML": (f"[profiles.a\n{SENTINEL}", "not TOML, at line 1"),
    "a number without end": (f"x = {'7' * 5000} # {SENTINEL}", "not TOML"),
    "a nest without end": (f"x = {'[' * 50_000} # {SENTINEL}", "nested too deeply"),
    "a line alone": (SENTINEL, "not TOML, at end of document"),
    "a secret": (f'[profiles.a.agentity]\npassword = "{SENTINEL}"', f"{IN} .*unknown field 'pass"),
    "a key": (f'[profiles.a.agentity]\napi_key = "{SENTINEL}"', "Do not write a secret there"),
    "for an address": (
        f'{EMAIL}password_from = "{SENTINEL}"',
        f"password_from in {IN} must be the address of a store, like keyring",
    ),
    "a program": (
        f'[profiles.a.agentity]\ntoken_from = "command:show {SENTINEL}"',
        "can be read, which a program is not",
    ),
    "in a URL": (f'{GOOD}base_url = "https://me:{SENTINEL}@acme.to"', "without a user"),
    "in a query": (f'{GOOD}base_url = "https://acme.to?apiKey={SENTINEL}"', "without a user"),
    "no URL": (f'{GOOD}base_url = "{SENTINEL}"', "base_url in .* http or https"),
    "a field as a name": (f'[profiles.a.agentity]\n"{SENTINEL} x" = 1', "an unknown field; use"),
    "a profile as a name": (
        f'[profiles."{SENTINEL} x".agentity]',
        "a character that is not allowed",
    ),
    "a service as a name": (f'[profiles.a."{SENTINEL} x"]', "a character that is not allowed"),
    "no table": (f'[profiles]\na = "{SENTINEL}"', r"\[profiles.a\] must be a table"),
    "no table below": (f'[profiles.a]\nagentity = "{SENTINEL}"', f"{IN} must be a table"),
    "no tables": (f'profiles = "{SENTINEL}"', r"\[profiles\] must be a table"),
    "a default": (f'default = ["{SENTINEL}"]\n{GOOD}', "default must be the name of a profile"),
    "above": (f"{SENTINEL} = 1\n{GOOD}", "the file has an unknown field"),
    "a number": (
        f"[profiles.a.agentity]\nemail = 7 # {SENTINEL}",
        f"email in {IN} must be a string",
    ),
    "a line end": (f'[profiles.a.agentity]\nemail = "{SENTINEL}\\n"', "without line ends"),
    "empty": ('[profiles.a.agentity]\nemail = ""', "not empty"),
    "a tenant": (f'{GOOD}tenant = "{SENTINEL}"', "tenant in .* must be true or false"),
    "two places": (f'{GOOD}tenant = true\npod = "{SENTINEL}"', "one of inbox, pod and tenant"),
    "a cache": (f'{GOOD}token_cache = "{SENTINEL}"', "one of 'file', 'keyring', 'none'"),
    "two sources": (f'{GOOD}token_from = "keyring:a#{SENTINEL}"', "either token_from, or email"),
    "no source": ("[profiles.a.agentity]\ntenant = true", "either token_from, or email"),
    "no email": (
        f'[profiles.a.agentity]\ntoken_from = "file:{SENTINEL}"\npassword_from = "file:a"',
        "password_from without email",
    ),
}


@pytest.mark.parametrize(("text", "sentence"), WRONG.values(), ids=WRONG)
def test_what_is_wrong_is_said_without_its_value(write, text, sentence):
    """The sentence has the file, the place and what is expected; no traceback has the value."""
    path = write(text)
    with pytest.raises(ProfileError, match=sentence) as caught:
        config.read()
    assert str(path) in str(caught.value)
    told = shown(caught.value).replace(str(path), "")
    if f"{SENTINEL} = 1" not in text:  # there it is a name like any other
        assert SENTINEL not in told


def test_an_address_that_nobody_knows_is_not_shown(write):
    """Its scheme may be the beginning of a secret."""
    write(f'[profiles.a.agentity]\ntoken_from = "{SENTINEL}:horse"')
    with pytest.raises(
        ProfileError, match="token_from of the profile 'a' does not name a usable store"
    ) as caught:
        AgentityClient(profile="a")
    assert SENTINEL not in shown(caught.value)


def test_what_is_not_utf_8_is_refused(home):
    """In a sentence, without what it is."""
    (home / "config.toml").write_bytes(b"# \xff hunter2")
    with pytest.raises(ProfileError, match="not UTF-8") as caught:
        config.read()
    assert "hunter2" not in shown(caught.value)


def test_what_is_huge_is_refused(write):
    """It is no file of profiles, whoever wrote it."""
    write("# " + "x" * (1 << 20))
    with pytest.raises(ProfileError, match="too large"):
        config.read()


posix = pytest.mark.skipif(os.name != "posix", reason="another way of permissions")


@posix
@pytest.mark.parametrize("mode", [0o620, 0o602, 0o666])
def test_a_file_that_others_can_write_is_refused(write, mode):
    """They could send the secret to a service of their own."""
    write(GOOD).chmod(mode)
    with pytest.raises(ProfileError, match=r"others may write to it \(chmod go-w"):
        config.read()


@posix
@pytest.mark.parametrize("mode", [0o720, 0o702, 0o777, 0o1777])
def test_a_folder_that_others_can_write_is_refused(write, home, mode):
    """They could exchange the file."""
    write(GOOD)
    home.chmod(mode)
    with pytest.raises(ProfileError, match=f"folder {home} is not safe: others may write"):
        config.read()


@posix
@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="needs to be root")
@pytest.mark.parametrize("which", ["file", "folder"])
def test_what_belongs_to_another_user_is_refused(write, home, which):
    """Whatever its mode is."""
    path = write(GOOD)
    os.chown(path if which == "file" else home, 65534, -1)
    with pytest.raises(ProfileError, match=r"belongs to another user \(uid 65534\)"):
        config.read()


@posix
def test_a_link_of_ones_own_is_followed(home, tmp_path):
    """To a file among those that somebody keeps in a repository; the file is checked there."""
    folder = tmp_path / "dotfiles"
    folder.mkdir(mode=0o700)
    (folder / "agentkeys.toml").write_text(GOOD)
    (home / "config.toml").symlink_to(folder / "agentkeys.toml")
    assert config.read().profile("a", "agentity").email == "me@acme.to"
    folder.chmod(0o777)
    with pytest.raises(ProfileError, match=f"folder {folder} is not safe"):
        config.read()


@posix
def test_what_is_no_file_is_refused(home):
    """A pipe would wait for somebody who writes."""
    os.mkfifo(home / "config.toml", 0o600)
    with pytest.raises(ProfileError, match="not a regular file"):
        config.read()


def test_a_service_of_another_package_may_have_a_profile(write):
    """Its client takes it: the file knows no list of services."""
    write('[profiles.a.tickets]\ntoken_from = "file:key"\n')
    assert config.read().profile("a", "tickets").token_from is not None
