"""A report is data that shows itself in many ways, and no secret in any of them."""

from __future__ import annotations

import copy
import json
import pickle
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import attrs
import pytest
from audited import DAY, ago
from jsonschema import Draft4Validator

import agentkeys
from agentkeys import Finding, InvalidArgumentError, Policy, Report, Secret, audit, sync
from agentkeys.auditing import Age
from agentkeys.auditing.fixing import Step, planned
from agentkeys.auditing.rules import RULES
from agentkeys.lifecycle.machine.states import Asking
from agentkeys.masking import telling
from agentkeys.stores import open_store

SCHEMA = Path(__file__).parents[1] / "data" / "sarif-schema-2.1.0.json"
NOW = datetime(2026, 11, 30, 12, tzinfo=UTC)
STRICT = Policy(max_age=0.0, unused_for=0.0, unfinished_for=0.0)
SECRET = Secret("zebra-0123456789-quagga-9876")
HOSTILE = "\x1b[31m\u202e\ud800\n<b>|~\x00"


def aged(**changes):
    return Age(**{"key_id": 1, "name": "bot", "created_at": NOW, "age": DAY, **changes})


def found(rule="AK001", severity="error", **more):
    given = {"sentence": "it is so", "advice": "do it", "key_id": 1, "name": "bot", **more}
    return Finding(rule=rule, severity=severity, **given)


def report(*findings, ages=(), unseen=()):
    return Report(findings, ages, Policy(max_age=90 * DAY), NOW, ("here",), unseen)


WAYS = {
    "str": str,
    "repr": repr,
    "a page": Report.html,
    "a notebook": Report._repr_html_,
    "JSON": lambda report: json.dumps(report.to_dict()),
    "SARIF": lambda report: json.dumps(report.sarif("/srv")),
    "pickle": lambda report: repr(pickle.dumps(report)),
    "a finding": lambda report: " ".join(map(str, report.findings)),
}


@pytest.mark.asyncio
@pytest.mark.parametrize("way", WAYS)
async def test_no_secret_is_in_any_of_its_ways(world, state, way):
    """Not a key's, though a service calls another key by it, nor what a store holds instead.

    Nor one that the journal, or the name of one of its files, has taken for something else.
    """
    await world.issued(world.account, "first", into=world.address("A"))
    key = (await open_store(world.address("A")).read()).secret
    await world.issued(world.account, "second", into=world.address("B"))
    await open_store(world.address("B")).write(SECRET)
    values = [key.reveal(), SECRET.reveal()]
    for value in values:
        await world.account.create(value)
        await world.account.create(f"{value[::-1]} {value[:12]}")
        world.left(world.account, Asking(ago(DAY), 1.0), f"{value}~k7f3q2")
        (state / "attempts" / f"{value}.attempt").write_text("{}\n")
    found = await audit(world.account, policy=STRICT)
    assert {"AK001", "AK008", "AK015", "AK016"} <= {each.rule for each in found.findings}
    shown = WAYS[way](found)
    assert "first~" in shown
    for value in values:
        assert value not in shown
    assert not telling([key, SECRET], 12)(shown)


@pytest.mark.asyncio
async def test_what_a_service_calls_a_key_is_one_line_that_no_terminal_obeys(world):
    """In every text of it."""
    name = HOSTILE.replace("\ud800", "").replace("\x00", "")
    await world.account.create(name)
    text = str(await audit(world.account, policy=STRICT))
    assert all(each.isprintable() for each in text.splitlines())
    assert len(text.splitlines()) == 3
    assert r"\x1b[31m\u202e\n<b>|~" in text


@pytest.mark.asyncio
async def test_what_it_says_of_keys_is_whole(world):
    """All of them, the oldest first, each with its place and its store."""
    old = await world.issued(world.inbox, "old", age=3 * DAY, into=world.address("A"))
    new = await world.inbox.create("new")
    report = await audit(world.inbox)
    assert [(each.key_id, each.name) for each in report.ages] == [
        (old.id, old.name),
        (new.id, "new"),
    ]
    assert [each.store for each in report.ages] == [world.address("A"), ""]
    assert report.ages[0].age == pytest.approx(3 * DAY, abs=60)
    assert report.places == (str(world.inbox.scope),)


def test_a_blocking_twin_finds_the_same(tmp_path):
    """Without await."""
    with sync.LocalService() as service:
        with sync.AgentryClient(service.agentry_token, base_url=service.url) as client:
            keys = client.inbox(service.inbox_id).api_keys
            sync.issue(keys, "bot", into=f"dotenv:{tmp_path}/.env#KEY")
            found = sync.audit(keys, policy=Policy(max_age=0))
            assert isinstance(found, Report)
            assert [each.rule for each in found.findings] == ["AK001"]


@pytest.mark.asyncio
async def test_keys_of_a_blocking_client_are_refused_and_so_is_the_other_way(world):
    """With the name of the function that is meant."""
    with sync.AgentryClient("ag_x", base_url=world.service.url) as client:
        with pytest.raises(InvalidArgumentError, match=r"agentkeys\.sync\.audit"):
            await audit(client.api_keys)
    with pytest.raises(InvalidArgumentError, match=r"await agentkeys\.audit"):
        sync.audit(world.account)


VALIDATOR = Draft4Validator(json.loads(SCHEMA.read_text()))


@pytest.mark.parametrize(
    "findings",
    [
        (),
        tuple(found(rule.id, rule.severity) for rule in RULES),
        (found(key_id=None, name="", store=""),),
        (found(store="dotenv:/srv/a b/%.env#KEY"), found(store="keyring:a#b")),
        (found(name=HOSTILE, sentence=HOSTILE, store=f"dotenv:/{HOSTILE}#KEY", key_id=HOSTILE),),
    ],
)
@pytest.mark.parametrize("unseen", [(), ("no answer",)])
def test_it_is_sarif_as_its_schema_has_it(findings, unseen):
    """The official one, of OASIS. What was not looked at makes a run that has not succeeded."""
    shown = report(*findings, unseen=unseen).in_other_words(
        lambda text: text.encode(errors="replace").decode()
    )
    document = shown.sarif("/srv")
    assert [error.message for error in VALIDATOR.iter_errors(document)] == []
    [run] = document["runs"]
    assert [each["ruleId"] for each in run["results"]] == [each.rule for each in findings]
    rules = run["tool"]["driver"]["rules"]
    assert all(rules[each["ruleIndex"]]["id"] == each["ruleId"] for each in run["results"])
    assert run["invocations"][0]["executionSuccessful"] == (not unseen)


def test_the_schema_finds_what_is_wrong():
    """Or the test above would show nothing."""
    document = report(found()).sarif()
    document["runs"][0]["results"][0]["level"] = "bad"
    assert not VALIDATOR.is_valid(document)


@pytest.mark.parametrize(
    ("store", "root", "uri"),
    [
        ("dotenv:/srv/app/.env#KEY", "/srv", "app/.env"),
        ("dotenv:/srv/a b/%.env#KEY?allow_tracked", "/srv", "a%20b/%25.env"),
        ("dotenv:/srv/.env#KEY", "", "file:///srv/.env"),
        ("dotenv:/srvshop/.env#KEY", "/srv", "file:///srvshop/.env"),
        ("dotenv:/srv/a:b/.env#KEY", "/srv", "a%3Ab/.env"),
        ("file:/srv/app/bot#1.key", "/srv", "app/bot%231.key"),
        ("file:/srv/a?b/key?allow_tracked", "/srv", "a%3Fb/key"),
        ("keyring:a#b", "/srv", None),
        ("", "/srv", None),
    ],
)
def test_a_finding_about_a_file_names_it(store, root, uri):
    """From the root of the sources if it is there, so that a CI shows it in its place."""
    [result] = report(found(store=store)).sarif(root)["runs"][0]["results"]
    [location] = result["locations"]
    physical = location.get("physicalLocation", {}).get("artifactLocation", {})
    assert physical.get("uri") == uri


def test_a_finding_is_the_same_one_in_the_next_run():
    """Though its sentence says another age by then; and those of two keys are two."""
    first, later, other = found(), found(sentence="it is older"), found(key_id=2)
    results = report(first, later, other).sarif()["runs"][0]["results"]
    prints = [each["partialFingerprints"]["agentkeys/v1"] for each in results]
    assert (prints[0] == prints[1], prints[0] == prints[2]) == (True, False)


def test_it_is_json():
    """Times in UTC, durations in seconds, and nothing that JSON does not know."""
    zone = datetime.now(UTC).astimezone().tzinfo
    shown = report(found(), ages=(aged(used_at=NOW.astimezone(zone)),)).to_dict()
    assert json.loads(json.dumps(shown))["ages"][0]["used_at"] == "2026-11-30T12:00:00.000Z"
    assert (shown["at"], shown["policy"]["max_age"]) == ("2026-11-30T12:00:00.000Z", 90 * DAY)


def test_findings_are_told_by_their_severity():
    """From one up, and no other word is taken for one."""
    notes, warnings, errors = (found(severity=each) for each in ("note", "warning", "error"))
    all_three = report(notes, warnings, errors)
    assert all_three.at_least("note") == (notes, warnings, errors)
    assert all_three.at_least("warning") == (warnings, errors)
    assert all_three.at_least("error") == (errors,)
    with pytest.raises(InvalidArgumentError, match="note, warning, error"):
        all_three.at_least("none")


def test_reports_are_joined():
    """The worst finding first, the oldest key first, and what both say once."""
    unread = found("AK016", "warning", key_id=None)
    one = report(unread, ages=(aged(),))
    old = aged(key_id=2, created_at=NOW - timedelta(days=9))
    two = report(unread, found(), ages=(old,))
    joined = Report.joined([one, two], one.policy, NOW, ["one more was not looked at"])
    assert [each.rule for each in joined.findings] == ["AK001", "AK016"]
    assert [each.key_id for each in joined.ages] == [2, 1]
    assert (joined.places, joined.unseen) == (("here",), ("one more was not looked at",))


@pytest.mark.parametrize("share", [0.0, 0.5, 1.0, 2.0])
def test_the_bars_of_text_are_of_one_length(share):
    """Full at the limit; without a limit, at the oldest key."""
    age = aged(age=90 * DAY * share)
    bar = report(ages=(age,)).bar(age, "#", ".").split(" ")[0]
    assert (len(bar), bar.count("#")) == (20, round(20 * min(share, 1.0)))
    assert report().bar(age).endswith(f"{90 * share:.0f} days" if share else "0 seconds")


def test_it_can_be_copied_and_pickled():
    """It is plain data."""
    whole = report(found(), ages=(aged(),))
    assert pickle.loads(pickle.dumps(whole)) == copy.deepcopy(whole) == whole


def test_a_frame_has_a_row_for_each_finding_or_age():
    """With the fields as its columns, also if there is none."""
    pytest.importorskip("pandas")
    whole = report(found(), found("AK005"), ages=(aged(),))
    assert list(whole.to_frame()["rule"]) == ["AK001", "AK005"]
    assert whole.to_frame("ages")["created_at"][0] == NOW
    assert [*report().to_frame()] == [field.name for field in attrs.fields(Finding)]
    with pytest.raises(InvalidArgumentError, match="'findings' or 'ages'"):
        whole.to_frame("keys")


def test_without_pandas_a_frame_is_a_sentence():
    """In a process that cannot find it."""
    code = (
        "import sys; sys.modules['pandas'] = None\n"
        "from datetime import datetime, UTC\n"
        "from agentkeys import ConfigurationError, Policy, Report\n"
        "try: Report((), (), Policy(), datetime.now(UTC)).to_frame()\n"
        "except ConfigurationError as error: print(error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout == "to_frame() needs pandas: pip install pandas\n"


def test_the_plan_does_what_needs_no_decision():
    """An old key that a store is sure to hold is rotated, one that nobody has is deleted."""
    kept, free = aged(store="dotenv:/.env#A"), aged(key_id=2, name="free")
    old = [found(key_id=each) for each in (1, 2)]
    unused = [found("AK004", "warning", key_id=each) for each in (1, 2)]
    overdue = found("AK014", "warning", key_id=3, place="there")
    whole = report(*old, *unused, overdue, ages=(kept, free))
    assert planned(whole) == (
        Step("sweep", "there", ("AK014",)),
        Step("rotate", "", ("AK001",), 1, "bot"),
        Step("delete", "", ("AK004",), 2, "free"),
    )


@pytest.mark.parametrize("doubt", ["AK007", "AK008", "AK009", "AK010"])
def test_the_plan_leaves_a_key_of_a_doubtful_store_alone(doubt):
    """Whether the store holds it is a person's to find out."""
    kept = aged(store="dotenv:/.env#A")
    assert planned(report(found(), found(doubt), ages=(kept,))) == ()


def test_the_plan_deletes_nothing_while_the_journal_is_not_read_whole():
    """What could not be read may say that a store holds it."""
    whole = report(found("AK004"), found("AK016", key_id=None), ages=(aged(),))
    assert planned(whole) == ()


def test_the_order_of_imports_decides_nothing():
    """`agentkeys.audit` is the function, whatever was imported before."""
    code = "import agentkeys.auditing.rules; from agentkeys import Report, audit; print(audit)"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.startswith("<function audit")
    assert agentkeys.audit is audit
