"""`agentkeys audit` says what is the matter, for people and for machines, and ends as it says."""

from __future__ import annotations

import json
from pathlib import Path

import attempt_files
import attrs
import pytest
from jsonschema import Draft4Validator

from agentkeys import AgentryClient
from agentkeys.keys import Scope
from agentkeys.server.faults import LISTS, Answer

SCHEMA = Path(__file__).parents[1] / "data" / "sarif-schema-2.1.0.json"
OLD = ("--max-age", "0s")


def saved(run, *words, save="dotenv:.env#KEY"):
    """Make a key whose secret is stored; return its id."""
    ended = run(*words, "--save", save)
    assert ended.code == 0, ended.err
    return ended.out.strip()


def test_what_is_well_ends_with_0(place):
    """With the keys and their ages, and what was counted."""
    key_id = saved(place, "agentity", "create", "bot")
    ended = place("audit")
    assert (ended.code, ended.err) == (0, "1 key: 0 errors, 0 warnings, 0 notes.\n")
    titles, row = ended.out.splitlines()
    assert titles.split() == ["ID", "NAME", "AGE", "USED", "STORE"]
    assert row.split()[0] == key_id
    assert row.endswith(".env#KEY")


def test_what_is_found_ends_with_5(place):
    """With a line for each finding."""
    key_id = saved(place, "agentity", "create", "bot")
    ended = place("audit", *OLD)
    assert ended.code == 5
    [line] = [line for line in ended.out.splitlines() if line.startswith("AK")]
    assert line.startswith("AK001 error: the key 'bot~")
    assert f"(id {key_id})" in line


@pytest.mark.parametrize(
    ("severity", "code"), [("note", 5), ("warning", 5), ("error", 0), (None, 5)]
)
def test_the_mildest_finding_that_matters_can_be_chosen(run, served, severity, code):
    """A warning is enough if nothing is said."""
    saved(run, "agentity", "create", "bot")
    saved(run, "agentity", "create", "bot", save="dotenv:.env#OTHER")
    ended = run("audit", *([] if severity is None else ["--fail-on", severity]))
    assert "AK005 warning" in ended.out
    assert ended.code == code


def test_without_a_service_it_looks_where_the_journal_knows_of_keys(place):
    """With one, at all keys of the account or the tenant too, each of them once."""
    inbox = "demo@agentkeys.local"
    kept = saved(place, "agentry", "create", inbox, "kept")
    free = json.loads(place("agentry", "create", "--tenant", "free", "--json").out)["api_key_id"]
    of_agentity = place("agentity", "create", "other", "--json").out
    assert of_agentity
    shown = json.loads(place("audit", "--json").out)
    assert [each["key_id"] for each in shown["ages"]] == [kept]
    saved(place, "agentity", "create", "bot", save="dotenv:.env#BOT")
    shown = json.loads(place("audit", "agentry", "--json").out)
    ids = [each["key_id"] for each in shown["ages"]]
    assert "bot" not in {each["name"].partition("~")[0] for each in shown["ages"]}
    assert (ids.count(kept), ids.count(free)) == (1, 1)
    assert len(shown["places"]) == 2
    shown = json.loads(place("audit", "agentity", "agentry", "--json").out)
    assert "other" in [each["name"] for each in shown["ages"]]


def test_nothing_is_asked_where_nothing_is_known(run, served):
    """No place, no request; and that it looked at nothing can be seen."""
    served.requests.clear()
    ended = run("audit")
    assert (ended.code, ended.out) == (0, "")
    assert ended.err == "0 keys: 0 errors, 0 warnings, 0 notes.\n"
    assert len(served.requests) == 0


def test_a_place_that_cannot_be_looked_at_is_named_and_stops_no_other(run, served):
    """And the exit code says that not everything was looked at."""
    saved(run, "agentity", "create", "bot")
    saved(run, "agentry", "create", served.inbox_id, "ci", save="dotenv:.env#CI")
    with served.faults.add(LISTS & {"GET /auth/api-keys"}, Answer(403, {"message": "no"})):
        ended = run("audit")
    assert ended.code == 1
    assert "Agentity's account at" in ended.err
    assert "could not be checked" in ended.err
    assert "ci~" in ended.out
    assert ended.err.endswith("1 key: 0 errors, 0 warnings, 0 notes; 1 place not checked.\n")


def test_services_and_places_that_the_command_does_not_know_are_named(run, served):
    """Whoever made them has to audit them by himself; so is one that is somewhere else."""
    team = Scope("Vault", "https://vault.test", "team", "t1", account="me")
    attempt_files.begin(team, "ci~k7f3q2", "k7f3q2").release()
    own = AgentryClient(served.agentry_token, base_url=served.url).api_keys.scope
    elsewhere = attrs.evolve(own, realm="https://elsewhere.test")
    attempt_files.begin(elsewhere, "ci~abcdef", "abcdef").release()
    ended = run("audit")
    assert ended.code == 1
    assert f"{team} was not checked: audit it from Python" in ended.err
    assert f"{elsewhere} was not checked: give its --base-url" in ended.err


def test_a_journal_that_cannot_be_read_is_not_an_empty_one(run, served, home):
    """Though no place is known then."""
    (home / "keys").mkdir(mode=0o700, parents=True)
    (home / "keys" / "bad.key").write_text("{}\n")
    ended = run("audit")
    assert ended.code == 1
    assert "bad.key" in ended.err


def test_it_prints_sarif_that_names_the_file_from_here(place):
    """As the official schema has it, and on stdout alone."""
    saved(place, "agentity", "create", "bot")
    ended = place("audit", "--sarif", *OLD)
    document = json.loads(ended.out)
    validator = Draft4Validator(json.loads(SCHEMA.read_text()))
    assert [error.message for error in validator.iter_errors(document)] == []
    [result] = document["runs"][0]["results"]
    artifact = result["locations"][0]["physicalLocation"]["artifactLocation"]
    assert (artifact, ended.code) == ({"uri": ".env"}, 5)


def test_it_writes_a_page(place, tmp_path):
    """Into the file that was named, and says what was counted."""
    saved(place, "agentity", "create", "bot")
    ended = place("audit", "--html", "page.html", *OLD)
    assert (ended.code, ended.out) == (5, "")
    assert "<svg" in (tmp_path / "page.html").read_text()
    ended = place("audit", "--html", "nowhere/page.html")
    assert ended.code == 1
    assert "cannot write nowhere/page.html: No such file or directory" in ended.err


@pytest.mark.parametrize(
    "words",
    [
        ["--json", "--sarif"],
        ["--sarif", "--html", "x"],
        ["vault"],
        ["--max-age", "90"],
        ["--fail-on", "x"],
    ],
)
def test_what_cannot_be_meant_is_wrong_usage(run, words):
    """Before anything is sent."""
    assert run("audit", *words).code == 2


def test_no_secret_is_printed(place, tmp_path):
    """In none of the forms."""
    saved(place, "agentity", "create", "bot")
    secret = (tmp_path / ".env").read_text().partition("=")[2].strip().strip("'\"")
    assert secret.startswith("agk_live_")
    place("agentity", "create", secret)
    for form in ([], ["--json"], ["--sarif"], ["--html", "page.html"], ["-v"]):
        ended = place("audit", "agentity", *form, *OLD)
        assert ended.code == 5
        assert secret not in ended.out + ended.err
    assert secret not in (tmp_path / "page.html").read_text()


def test_what_can_be_put_right_is(place):
    """An old key that is stored is rotated, a stray one that nobody used is deleted."""
    kept = saved(place, "agentry", "create", "demo@agentkeys.local", "kept")
    free = json.loads(place("agentry", "create", "--tenant", "free", "--json").out)["api_key_id"]
    ended = place("audit", "agentry", *OLD, "--unused-for", "0s", "--fix", "--yes", "--json")
    ages = json.loads(ended.out)["ages"]
    assert free not in [each["key_id"] for each in ages]
    assert [each["key_id"] for each in ages if each["is_leaving"]] == [kept]
    [stored] = [each for each in ages if each["store"]]
    assert stored["key_id"] != kept
    assert f"deleted {free}" in ended.err


def test_it_sweeps_what_was_left(place, home):
    """And says before what that would delete."""
    saved(place, "agentity", "create", "bot")
    made = json.loads(place("agentity", "create", "ci~k7f3q2", "--json").out)
    [path] = home.glob("keys/*/*.key")
    document = json.loads(path.read_text().splitlines()[0])
    document["plan"]["name"] = "ci"
    document["name"] = "ci~k7f3q2"
    document["begun"] = {"wall": document["begun"]["wall"] - 2 * 86400, "boot": None, "uptime": 0.0}
    left = home / "attempts" / "0123456789abcdef.attempt"
    left.write_text(json.dumps(document) + "\n")
    left.chmod(0o600)
    assert "AK015" in place("audit").out
    ended = place("audit", "--fix", "--yes")
    assert f"would delete the key {made['id']}" in ended.err
    assert f"deleted {made['id']}" in ended.err
    assert ended.code == 0
    assert not left.exists()


def test_there_may_be_nothing_to_put_right(place):
    """That is said."""
    saved(place, "agentity", "create", "bot")
    ended = place("audit", "--fix", "--yes")
    assert ended.code == 0
    assert "Nothing can be fixed without your decision" in ended.err


def test_without_a_terminal_nobody_can_be_asked(run, served):
    """So nothing is changed."""
    saved(run, "agentity", "create", "bot")
    ended = run("audit", *OLD, "--fix")
    assert (ended.code, "add --yes" in ended.err) == (2, True)


@pytest.mark.parametrize("answer", ["n", "y"])
def test_it_asks_before_it_changes_anything(run, served, terminal, answer):
    """With the plan above the question; the ages are bars on a terminal."""
    key_id = saved(run, "agentity", "create", "bot")
    shown = terminal("audit", *OLD, "--fix", columns=200, env={"PYTHONUTF8": "1"})
    shown.read_until("Do this? [y/N]")
    assert f"id {key_id} (AK001)" in shown.shown
    shown.type(f"{answer}\n")
    code, text = shown.end()
    assert code == 5
    assert ("has replaced" in text, "Nothing was changed" in text) == (answer == "y", answer == "n")
    assert "████" in text
    keys = json.loads(run("agentity", "list", "--json").out)
    assert len(keys) == (2 if answer == "y" else 1)


def test_what_changed_since_the_question_is_seen(run, served, terminal):
    """A key is replaced only if it would be planned so right then."""
    saved(run, "agentity", "create", "bot")
    shown = terminal("audit", *OLD, "--fix", columns=200, env={"PYTHONUTF8": "1"})
    shown.read_until("Do this? [y/N]")
    env = Path(".env")
    env.write_text(f"{env.read_text().partition('=')[0]}=another\n")
    shown.type("y\n")
    code, text = shown.end()
    assert code == 5
    assert "failed: the store holds another secret than the ledger says" in text
    assert len(json.loads(run("agentity", "list", "--json").out)) == 1


def test_what_fails_is_said_and_stops_nothing_else(run, served):
    """And the exit code is not 0."""
    saved(run, "agentity", "create", "bot")
    with served.faults.add({"POST /auth/api-keys"}, Answer(403, {"message": "no"}), times="always"):
        ended = run("audit", *OLD, "--fix", "--yes", "--fail-on", "error")
    assert "rotate the key 'bot~" in ended.err
    assert "failed: " in ended.err
    assert ended.code == 5


def test_it_does_not_delete_the_key_that_it_signs_in_with(run, served, monkeypatch):
    """Though nobody has used it for longer than it may go unused."""
    made = json.loads(run("agentry", "create", "--tenant", "ops", "--json").out)
    monkeypatch.setenv("AGENTRY_API_KEY", made["api_key"])
    ended = run("audit", "agentry", "--unused-for", "0s", "--fix", "--yes")
    assert "delete the key 'ops'" in ended.err
    assert "this command uses that key as its token" in ended.err
    assert ended.code == 5
    assert made["api_key_id"] in run("agentry", "list", "--tenant").out


def test_what_two_surfaces_list_is_told_once_and_what_each_knows_is_told(run, served):
    """The same inbox: its keys are listed on both, and each surface has entries of its own."""
    for number, more in enumerate(([], ["--agent"])):
        words = ["agentry", "create", served.inbox_id, f"bot-{number}", *more]
        saved(run, *words, save=f"dotenv:.env#KEY{number}")
    Path(".env").write_text("KEY0=\nKEY1=\n")
    shown = json.loads(run("audit", "--json", *OLD).out)
    assert len(shown["places"]) == 2
    assert sorted(each["rule"] for each in shown["findings"]) == ["AK001"] * 2 + ["AK009"] * 2
    assert [each["store"] for each in shown["ages"]] == ["", ""]


def test_what_could_not_be_looked_at_shows_no_key(run, served):
    """Whatever the place is called that the journal names."""
    secret = "agk_live_0123456789abcdef0123456789"
    scope = Scope("Vault", "https://vault.test", "team", f"\x1b{secret}", account="me")
    attempt_files.begin(scope, "ci~k7f3q2", "k7f3q2").release()
    for form in ("--json", "--sarif"):
        ended = run("audit", form)
        assert "Vault's team" in ended.out
        assert secret not in ended.out + ended.err
        assert "\\u001b" not in ended.out
