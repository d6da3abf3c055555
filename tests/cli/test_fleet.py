"""`plan` and `apply`: the keys are made as a file declares them, on a real service."""

from __future__ import annotations

import json
import re

import pytest

from agentkeys import AgentryClient
from agentkeys.server import LocalService
from agentkeys.server.faults import CREATES, Answer, Delay, NeverAnswer
from agentkeys.stores import open_store

COUNT = 12
SECRET = re.compile(r"ag_[A-Za-z0-9]{8}")


@pytest.fixture
def many(served, background, declare):
    """Twelve inboxes, each of which shall have a key."""
    for n in range(COUNT):
        background.run(served.add_inbox(f"agent{n}@acme.to"))
    declare(COUNT)
    return served


@pytest.fixture
def is_as_declared(many, background, tmp_path):
    """Whether each inbox has one key of its name, whose secret is in its store and lives."""

    async def look():
        async with AgentryClient(many.agentry_token, base_url=many.url) as client:
            for n in range(COUNT):
                keys = await client.inbox(f"agent{n}@acme.to").api_keys.list().collect()
                secret = (await open_store(f"file:{tmp_path}/run/{n}").read()).secret
                if [key.name.partition("~")[0] for key in keys] != [f"agent-{n}"]:
                    return False
                if secret is None or not await many.is_live(secret):
                    return False
        return True

    return lambda: background.run(look())


def test_a_file_is_planned_and_applied(run, many, is_as_declared):
    """What was done goes to stdout, and no secret is shown; a second time there is nothing."""
    plan = run("plan")
    assert plan.code == 0
    assert len(plan.out.splitlines()) == COUNT
    assert "+ agent-3  agentry inbox agent3@acme.to  file:/" in plan.out
    assert plan.err == f"{COUNT} to issue.\n"
    assert run("plan", "--exit-code").code == 3
    applied = run("apply", "--yes")
    assert applied.code == 0
    assert len(re.findall(r"^issued agent-\d+ \S+$", applied.out, re.MULTILINE)) == COUNT
    assert applied.err.endswith(f"{COUNT} to issue.\nDone: {COUNT} issued.\n")
    assert is_as_declared()
    assert run("plan", "--exit-code") == (0, "", f"{COUNT} as declared.\n")
    again = run("apply", "--yes")
    assert again == (0, "", f"{COUNT} as declared.\nThere is nothing to do.\n")
    assert not SECRET.search(plan.out + plan.err + applied.out + applied.err)


def test_it_works_without_an_account(run, tmp_path):
    """`--local` has one inbox, and both services."""
    (tmp_path / "keys.toml").write_text(
        '[keys.bot]\nservice = "agentry"\ninbox = "demo@agentkeys.local"\nstore = "file:bot"\n'
        '[keys.me]\nservice = "agentity"\nstore = "dotenv:.env#ME"\n'
    )
    assert run("--local", "plan", "keys.toml").err == "2 to issue.\n"
    assert run("--local", "apply", "keys.toml", "--yes").code == 0
    assert run("--local", "plan", "keys.toml").err == "2 as declared.\n"


def test_json_has_all_of_it(run, many):
    """A plan is one document, however many lines it has; `apply` says how many were done."""
    found = json.loads(run("plan", "--json").out)
    assert found["counts"] == {"issue": COUNT}
    assert len(found["steps"]) == COUNT
    first = found["steps"][0]
    assert set(first) == {"do", "declared", "why", "key_id", "replace"}
    assert (first["do"], first["declared"]["service"]) == ("issue", "agentry")
    applied = json.loads(run("apply", "--yes", "--json").out)
    assert applied == {"done": {"issue": COUNT}, "failed": [], "unclear": [], "not_begun": 0}
    assert json.loads(run("plan", "--json").out) == {"counts": {"nothing": COUNT}, "steps": []}


def test_mistakes_are_said_line_by_line(run, many, tmp_path):
    """Each with its file and line; the exit code is 2, and nothing is sent."""
    (tmp_path / "agentkeys.toml").write_text('[keys.x]\nstor = "file:x"\ninbox = 1\n')
    before = len(many.requests)
    ended = run("plan")
    assert (ended.code, ended.out) == (2, "")
    assert ended.err == (
        "Error: agentkeys.toml:2: [keys.x] may have no field 'stor': did you mean store?\n"
        "Error: agentkeys.toml:3: inbox must be a string, not an integer\n"
    )
    shown = [json.loads(line) for line in run("apply", "--yes", "--json").err.splitlines()]
    assert [each["type"] for each in shown] == ["ManifestError"] * 2
    assert run("plan", "nowhere.toml").code == 2
    assert len(many.requests) == before


def test_without_a_terminal_it_does_not_ask(run, many):
    """Nothing is sent either."""
    before = len(many.requests)
    ended = run("apply")
    assert ended.code == 2
    assert "add --yes" in ended.err
    assert len(many.requests) == before


@pytest.mark.parametrize(("answer", "is_done"), [("y", True), ("n", False)])
def test_on_a_terminal_it_shows_the_plan_and_asks(
    terminal, run, many, is_as_declared, *, answer, is_done
):
    """Only a yes changes something."""
    shown = terminal("apply", columns=200)
    shown.read_until(f"Do these {COUNT}?")
    assert "+ agent-3  agentry inbox agent3@acme.to" in shown.shown
    shown.type(f"{answer}\n")
    code, text = shown.end()
    assert code == 0
    assert (f"Done: {COUNT} issued." in text) == is_done
    assert ("Nothing was changed." in text) != is_done
    assert is_as_declared() == is_done


def test_pruning_is_a_question_of_its_own(terminal, run, many, declare, is_as_declared):
    """Whoever says no to it keeps these keys; --yes with --prune deletes them."""
    extra = (
        '[keys.extra]\nservice = "agentry"\ninbox = "agent0@acme.to"\nstore = "file:run/extra"\n'
    )
    declare(COUNT, more=extra)
    run("apply", "--yes")
    declare(COUNT)
    assert run("plan").err == f"{COUNT} as declared.\n"
    assert run("plan", "--prune").out.startswith("- extra  agentry inbox agent0@acme.to  file:/")
    shown = terminal("apply", "--prune", columns=200)
    shown.read_until("Delete the key declared no more?")
    shown.type("n\n")
    assert "Nothing was changed." in shown.end()[1]
    assert not is_as_declared()
    pruned = run("apply", "--prune", "--yes")
    assert re.fullmatch(r"pruned extra \S+\n", pruned.out)
    assert is_as_declared()


def test_nothing_is_pruned_after_a_failure(run, many, declare):
    """A key that is declared no more may be needed still by whoever waits for its successor."""
    extra = (
        '[keys.extra]\nservice = "agentry"\ninbox = "agent0@acme.to"\nstore = "file:run/extra"\n'
    )
    declare(COUNT, more=extra)
    run("apply", "--yes")
    declare(COUNT, more=extra.replace("extra", "successor"))
    with many.faults.add(CREATES, Answer(403, "PermissionDenied")):
        ended = run("apply", "--yes", "--prune")
    assert (ended.code, ended.out) == (6, "")
    assert "- extra " in run("plan", "--prune").out
    assert "pruned extra " in run("apply", "--yes", "--prune").out


def test_what_is_unclear_needs_a_person(run, many, tmp_path):
    """The others are done; the exit code is 4, and the plan has a sentence."""
    (tmp_path / "run/5").write_text("somebody's secret")
    plan = run("plan")
    (line,) = [line for line in plan.out.splitlines() if line.startswith("?")]
    assert "agent-5" in line
    assert "the store holds a secret, and no key of this name is listed" in line
    ended = run("apply", "--yes")
    assert ended.code == 4
    assert ended.err.endswith(f"Done: {COUNT - 1} issued.\n")
    assert run("plan", "--exit-code").code == 4
    assert (tmp_path / "run/5").read_text() == "somebody's secret"


def test_failures_are_counted_and_stop_it(run, many, is_as_declared):
    """After --max-failures nothing more is begun; the code is the worst one's; again does it."""
    fault = many.faults.add(CREATES, Answer(403, "PermissionDenied"), times="always")
    ended = run("apply", "--yes", "--jobs", "1", "--max-failures", "3")
    assert ended.code == 6
    assert ended.err.count("Error: agent-") == 3
    assert "3 failed: 3 PermissionDeniedError." in ended.err
    assert f"{COUNT - 3} were not begun: run the command again to go on." in ended.err
    fault.remove()
    assert run("apply", "--yes").code == 0
    assert is_as_declared()


def test_ctrl_c_ends_it_and_a_second_run_goes_on(
    start, run, many, background, *, interrupt, is_as_declared
):
    """It says how many were done; what was on its way is finished or left for the next one."""
    many.faults.add(CREATES, Delay(0), times=5)
    fault = many.faults.add(CREATES, NeverAnswer(), times="always")
    process = start("apply", "--yes", "--jobs", "3")
    background.run(fault.wait(3))
    interrupt(process)
    out, err = process.communicate(timeout=30)
    assert process.returncode == 130
    assert len(out.splitlines()) == 5
    assert "interrupted: 5 of 12 were done: run the command again to go on" in err
    many.faults.clear()
    assert run("apply", "--yes").code == 0
    assert is_as_declared()


@pytest.mark.slow
@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("done", [0, 4, 9])
def test_a_killed_apply_is_finished_by_the_next_one(
    start, run, many, background, *, is_as_declared, when, done
):
    """Exactly the declared keys, whether the service had made those on their way or not."""
    if done:
        many.faults.add(CREATES, Delay(0), times=done)
    fault = many.faults.add(CREATES, NeverAnswer(), when=when, times="always")
    process = start("apply", "--yes", "--jobs", "3")
    background.run(fault.wait(3))
    process.kill()
    process.wait()
    many.faults.clear()
    ended = run("apply", "--yes")
    assert ended.code == 0, ended
    assert is_as_declared()
    # What may come late is an attempt still, for a while.
    assert {*json.loads(run("plan", "--json").out)["counts"]} <= {"nothing", "finish"}


def test_a_key_may_name_its_profile(run, background, tmp_path):
    """Keys of two accounts stand in one file; those without a profile have the command's."""
    services = {name: background.enter(LocalService()) for name in ("one", "other")}
    for name, service in services.items():
        (tmp_path / name).write_text(service.agentry_token)
        where = ["--from", f"file:{name}", "--tenant", "--base-url", service.url]
        assert run("profile", "add", name, "agentry", *where).code == 0
    (tmp_path / "agentkeys.toml").write_text(
        "".join(
            f'[keys.bot-{n}]\nservice = "agentry"\ntenant = true\nstore = "dotenv:.env#K{n}"\n'
            f"{profile}"
            for n, profile in enumerate(['profile = "one"\n', 'profile = "other"\n', ""])
        )
    )
    plan = run("plan", "--profile", "one")
    assert plan.code == 0, plan.err
    assert "+ bot-1  agentry (other) tenant  dotenv:" in plan.out
    assert run("apply", "--yes", "--profile", "one").code == 0
    for name, names in {"one": {"bot-0", "bot-2"}, "other": {"bot-1"}}.items():
        listed = json.loads(run("--profile", name, "agentry", "list", "--tenant", "--json").out)
        assert {key["name"].partition("~")[0] for key in listed} == names
    assert run("plan", "--profile", "one").err == "3 as declared.\n"
