"""Every command of both services, in every scope, with --local and against a service elsewhere."""

from __future__ import annotations

import json
import re

import pytest

SCOPES = [
    pytest.param(["demo@agentkeys.local"], id="inbox"),
    pytest.param(["--tenant"], id="tenant"),
    pytest.param(["--agent", "demo@agentkeys.local"], id="agent-inbox"),
    pytest.param(["--agent", "--tenant"], id="agent-tenant"),
    pytest.param(["--pod", "demo"], id="pod"),
    pytest.param(["--agent", "--pod", "demo"], id="agent-pod"),
]
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")


def test_an_agentity_key_is_made_listed_and_deleted(place):
    """What `create` made, `list` shows without its secret, and `delete` ends."""
    made = place("agentity", "create", "production agent")
    assert made.code == 0
    assert re.fullmatch(r"agk_live_\w+\n", made.out)
    assert "'production agent'" in made.err

    listed = place("agentity", "list")
    assert (listed.code, listed.err) == (0, "")
    header, row = listed.out.splitlines()
    assert header.split() == ["ID", "NICKNAME", "CREATED", "UPDATED"]
    assert re.fullmatch(r"1   production agent  [\dTZ:-]{20}  [\dTZ:-]{20}", row)

    assert place("agentity", "delete", "1") == (0, "deleted 1\n", "")
    assert place("agentity", "list") == (0, "", "There are no keys here.\n")


def test_agentity_in_json(place):
    """--json prints a document on one line: the key's fields, and nothing on stderr."""
    made = place("agentity", "create", "a", "--json")
    assert (made.code, made.err, made.out.count("\n")) == (0, "", 1)
    key = json.loads(made.out)
    secret = key.pop("key")
    assert secret.startswith("agk_live_")
    assert key.keys() == {"id", "nickname", "created_at", "updated_at"}
    assert TIME.fullmatch(key["created_at"])
    assert TIME.fullmatch(key["updated_at"])

    listed = place("agentity", "list", "--json")
    assert (listed.code, listed.err, json.loads(listed.out)) == (0, "", [key])
    deleted = place("agentity", "delete", "1", "--json")
    assert (deleted.code, deleted.err) == (0, "")
    assert json.loads(deleted.out) == [{"id": 1, "deleted": True}]
    assert place("agentity", "list", "--json") == (0, "[]\n", "")


@pytest.mark.parametrize("scope", SCOPES)
def test_an_agentry_key_is_made_listed_and_deleted_in_each_scope(place, scope):
    """All five scopes have the three commands, in text and in JSON."""
    first = place("agentry", "create", *scope, "one")
    assert first.code == 0
    assert re.fullmatch(r"ag_\w+\n", first.out)
    made = place("agentry", "create", *scope, "two", "--json")
    assert (made.code, made.err) == (0, "")
    new = json.loads(made.out)
    assert new.pop("api_key").startswith(new["prefix"])

    listed = json.loads(place("agentry", "list", *scope, "--json").out)
    assert [key["name"] for key in listed] == ["two", "one"]
    assert {**new, "used_at": None} == listed[0]
    assert new["inbox_id"] == (scope[-1] if "@" in scope[-1] else None)
    assert new["pod_id"] == ("demo" if "--pod" in scope else None)
    plain = place("agentry", "list", *scope)
    assert plain.out.splitlines()[1].startswith(f"{new['api_key_id']}  two")

    ids = [key["api_key_id"] for key in listed]
    deleted = place("agentry", "delete", *scope, *ids)
    assert deleted == (0, f"deleted {ids[0]}\ndeleted {ids[1]}\n", "")
    assert place("agentry", "list", *scope, "--json").out == "[]\n"


def test_a_key_that_was_printed_works(run, served, monkeypatch):
    """What `create` prints is the secret, whole: its bearer can list."""
    made = run("agentry", "create", "--tenant", "ci")
    monkeypatch.setenv("AGENTRY_API_KEY", made.out.strip())
    (key,) = json.loads(run("agentry", "list", "--tenant", "--json").out)
    assert key["used_at"] is not None


def test_permissions_are_allowed_and_denied(place):
    """--permission FLAG allows, FLAG=false denies, and both may be repeated."""
    flags = ["--permission", "read_inbox", "--permission", "b=false", "--permission", "c=true"]
    new = place("agentry", "create", "--agent", "--tenant", "ci", *flags, "--json")
    assert json.loads(new.out)["permissions"] == {"read_inbox": True, "b": False, "c": True}
    plain = place("agentry", "list", "--agent", "--tenant").out.splitlines()[1]
    assert all(flag in plain for flag in ("read_inbox=true", "b=false", "c=true"))


def test_a_list_command_shows_all_pages(place):
    """--page-size is the size of a page: whatever it is, every key is listed."""
    for name in ("a", "b", "c"):
        place("agentry", "create", "--tenant", name)
    listed = place("agentry", "list", "--tenant", "--page-size", "1", "--json", "-v")
    assert [key["name"] for key in json.loads(listed.out)] == ["c", "b", "a"]
    assert listed.err.count("GET /human/v0/api-keys: 200") == 3


def test_the_tenants_keys_of_one_inbox(place):
    """--tenant --inbox lists the keys of one inbox."""
    place("agentry", "create", "--tenant", "a")
    place("agentry", "create", "demo@agentkeys.local", "b")
    listed = place("agentry", "list", "--tenant", "--inbox", "demo@agentkeys.local", "--json")
    assert [key["name"] for key in json.loads(listed.out)] == ["b"]


@pytest.mark.parametrize("form", [[], ["--json"]], ids=["text", "json"])
@pytest.mark.parametrize(
    ("service", "scope"), [("agentity", []), ("agentry", ["--tenant"])], ids=["agentity", "agentry"]
)
def test_a_secret_is_printed_once(place, service, scope, form):
    """`create` prints the secret once, on stdout, and no command prints it again."""
    made = place(service, "create", *scope, "a", *form, "-v")
    (secret,) = re.findall(r"(?:agk_live|ag)_\w{38}", made.out)
    assert secret not in made.err
    listed = place(service, "list", *scope, *form, "-v")
    key_id = next(iter(json.loads(place(service, "list", *scope, "--json").out)[0].values()))
    deleted = place(service, "delete", *scope, str(key_id), *form, "-v")
    again = place(service, "delete", *scope, str(key_id), *form, "-v")
    assert again.code == 7
    assert secret not in "".join(map(str, (*listed, *deleted, *again)))


def test_a_key_that_is_gone_is_no_error_among_several(place):
    """So a second run goes on; alone, such a key is an error."""
    for name in ("a", "b"):
        place("agentity", "create", name)
    ended = place("agentity", "delete", "1", "77", "2", "1")
    assert (ended.code, ended.out) == (0, "deleted 1\ndeleted 2\n")
    assert ended.err == "The key 77 does not exist.\n"
    assert place("agentity", "delete", "77").code == 7


def test_delete_reports_failures_in_json(place):
    """--json has an entry for each id, and the reason of each failure."""
    place("agentity", "create", "a")
    ended = place("agentity", "delete", "77", "1", "--json")
    assert ended.code == 0
    gone, deleted = json.loads(ended.out)
    assert deleted == {"id": 1, "deleted": True}
    assert gone == {"id": 77, "deleted": False, "gone": True}
    failed = place("agentity", "delete", "77", "--json")
    assert failed.code == 7
    (outcome,) = json.loads(failed.out)
    assert (outcome["id"], outcome["deleted"]) == (77, False)
    assert outcome["error"] == json.loads(failed.err)["message"].partition(": ")[2]


def test_verbose_logs_each_request_on_stderr(place):
    """-v logs a line for each request, on stderr alone, and for that command alone."""
    verbose = place("agentity", "list", "--json", "-v")
    assert verbose.out == "[]\n"
    assert "GET /auth/api-keys: 200 in" in verbose.err
    assert place("agentity", "list", "--json").err == ""


def test_base_url_goes_before_the_environment(run, served, monkeypatch):
    """--base-url says where the service is, whatever the environment says."""
    monkeypatch.setenv("AGENTITY_BASE_URL", "http://127.0.0.1:1")
    assert run("agentity", "list", "--base-url", served.url, "--json").out == "[]\n"
