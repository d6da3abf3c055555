"""`agentkeys sweep` says what it did not look at: 1 if it could not, 4 if that needs a person."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys

import attempt_files
import attrs
import pytest

from agentkeys import AgentryClient
from agentkeys.keys import Scope

SWEEP = [sys.executable, "-m", "agentkeys", "sweep"]
SCOPE = Scope("Vault", "https://vault.test", "team", "t1", account="me")


def with_rights_that_count():
    """Return what to put before a command: of root's nothing is refused by its mode."""
    if os.geteuid():
        return []
    if shutil.which("setpriv") is None:
        pytest.skip("root needs setpriv, to do without root's rights")
    return ["setpriv", "--bounding-set=-dac_override,-dac_read_search"]


@pytest.mark.parametrize(
    ("name", "mode"),
    [("", 0), ("attempts", 0), ("attempts", 0o100), ("{}", 0), ("{}", 0o400)],
)
def test_what_cannot_be_opened_or_listed_is_named(home, name, mode):
    """As after a `sudo` that kept HOME: it is never nothing to sweep."""
    held = attempt_files.begin(SCOPE, "ci~k7f3q2", "k7f3q2")
    held.release()
    path = home / name if "{}" not in name else held.path
    path.chmod(mode)
    done = subprocess.run(
        [*with_rights_that_count(), *SWEEP], capture_output=True, text=True, check=False, timeout=60
    )
    path.chmod(0o700)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (4, "", 1)
    assert str(held.path if path == held.path else path) in done.stderr
    assert "Permission denied" in done.stderr


def test_a_service_that_the_command_does_not_know_is_named(run):
    """Whoever made a third one has to sweep it by himself."""
    attempt_files.begin(SCOPE, "ci~k7f3q2", "k7f3q2").release()
    ended = run("sweep")
    assert (ended.code, ended.out, ended.err.count("\n")) == (1, "", 1)
    assert "Vault's team t1 at https://vault.test was not swept" in ended.err
    assert str(attempt_files.folder()) in ended.err


def test_keys_of_a_kind_that_the_command_does_not_know_are_named(run, served):
    """Of a service that it knows: somebody's own subclass of its client has made them."""
    client = AgentryClient(served.agentry_token, base_url=served.url)
    scope = attrs.evolve(client.api_keys.scope, kind="team")
    attempt_files.begin(scope, "ci~k7f3q2", "k7f3q2").release()
    attempt_files.begin(client.api_keys.scope, "ci~abcdef", "abcdef").release()
    ended = run("sweep")
    assert (ended.code, ended.out) == (1, "")
    assert f"{scope} was not swept" in ended.err
    assert "The key ci~abcdef does not exist" in ended.err


def test_what_is_unreadable_is_named_once_and_stops_nothing(run, served, home):
    """However many places are swept."""
    client = AgentryClient(served.agentry_token, base_url=served.url)
    made = []
    for keys, words in (
        (client.api_keys, ["--tenant"]),
        (client.inbox(served.inbox_id).api_keys, [served.inbox_id]),
    ):
        name = f"ci{len(made)}~k7f3q2"
        made.append(json.loads(run("agentry", "create", *words, name, "--json").out))
        attempt_files.begin(keys.scope, name, "k7f3q2").release()
    (home / "attempts" / "bad.attempt").write_text("{}\n")
    ended = run("sweep", "--json")
    shown = json.loads(ended.out)
    assert ended.code == 4
    assert {*shown["deleted"]} == {key["api_key_id"] for key in made}
    [sentence] = shown["unresolved"]
    assert "bad.attempt" in sentence
    assert ended.err.count("bad.attempt") == 1
