"""Many keys at once: at most --jobs requests, no failure stops another; Ctrl-C reports."""

from __future__ import annotations

import asyncio
import json
import re

import pytest

from agentkeys.concurrency import run_each
from agentkeys.server.faults import CREATES, DELETES, Answer, Delay, NeverAnswer

IDS = [str(n) for n in range(1, 31)]


@pytest.fixture
def thirty(run, served):
    """Make thirty keys of the account."""
    assert run("agentity", "create", *(f"bot-{n}" for n in IDS)).code == 0
    served.requests.clear()


def listed(run) -> list[str]:
    return [key["nickname"] for key in json.loads(run("agentity", "list", "--json").out)]


@pytest.mark.parametrize(("options", "jobs"), [(["--jobs", "7"], 7), ([], 16)])
def test_so_many_requests_are_in_flight(
    start, background, served, thirty, interrupt, *, options, jobs
):
    """As --jobs says, no fewer and no more; the sentence after Ctrl-C has the numbers."""
    served.faults.add(DELETES, Delay(0), times=5)
    fault = served.faults.add(DELETES, NeverAnswer(), times="always")
    process = start("agentity", "delete", *IDS, *options)
    background.run(fault.wait(jobs))
    interrupt(process)
    out, err = process.communicate(timeout=30)
    assert (process.returncode, fault.hits) == (130, jobs)
    assert len(out.splitlines()) == 5
    assert err.strip().splitlines()[-1] == (
        f"Error: interrupted: 5 of 30 keys were deleted, {jobs} may have been, {25 - jobs} were"
        " not: run the command again to continue"
    )


def test_a_second_run_goes_on(start, run, background, served, *, thirty, interrupt):
    """Keys that the first run deleted without hearing of it are no error."""
    fault = served.faults.add(DELETES, NeverAnswer(), when="after", times="always")
    process = start("agentity", "delete", *IDS)
    background.run(fault.wait(16))
    interrupt(process)
    process.communicate(timeout=30)
    served.faults.clear()
    left = len(listed(run))
    assert 0 < left < 30
    ended = run("agentity", "delete", *IDS)
    assert (ended.code, len(ended.out.splitlines())) == (0, left)
    assert listed(run) == []


def test_one_failure_stops_nothing_and_the_end_says_why(run, served, thirty):
    """The exit code is that of the worst, and stdout has what was deleted."""
    served.faults.add(DELETES, Answer(403), times=2)
    served.faults.add(DELETES, Answer(400), times=1)
    ended = run("agentity", "delete", *IDS)
    assert (ended.code, len(ended.out.splitlines())) == (6, 27)
    assert ended.err.count("was not deleted: ") == 3
    assert ended.err.splitlines()[-1] == (
        "3 of 30 keys were not deleted: 2 PermissionDeniedError, 1 BadRequestError."
    )


def test_json_keeps_the_order_of_the_ids(run, thirty):
    """Whichever answer came first."""
    outcomes = json.loads(run("agentity", "delete", *IDS, "--json").out)
    assert [outcome["id"] for outcome in outcomes] == [int(each) for each in IDS]


def test_json_says_what_an_interruption_left(start, background, served, thirty, interrupt):
    """An array of what was done, and the sentence as an object."""
    served.faults.add(DELETES, Delay(0), times=3)
    fault = served.faults.add(DELETES, NeverAnswer(), times="always")
    process = start("agentity", "delete", *IDS, "--json")
    background.run(fault.wait(16))
    interrupt(process)
    out, err = process.communicate(timeout=30)
    assert (process.returncode, len(json.loads(out))) == (130, 3)
    assert "3 of 30" in json.loads(err)["message"]


def test_a_bar_is_shown_on_a_terminal(terminal, thirty):
    """And is gone when the lines of the keys come; a pipe has nothing of it."""
    code, shown = terminal("agentity", "delete", "--yes", *IDS).end()
    assert code == 0
    bar, _, lines = shown.partition("deleted ")
    assert re.search(r"\d+%", bar)
    assert "%" not in lines
    assert len(re.findall(r"^(?:.*\x1b\[2K)?deleted \d+$", shown, re.MULTILINE)) == 30


def test_a_pipe_has_no_bar(start, thirty):
    """Not even an empty line."""
    out, err = start("agentity", "delete", *IDS).communicate(timeout=30)
    assert (len(out.splitlines()), err) == (30, "")


def test_several_keys_are_made(run, served, tmp_path):
    """Each line has a secret and a name; a file may have the names."""
    (tmp_path / "names").write_text("\ufeffb c\n\n  d \r\n")
    made = run("agentity", "create", "a", "--names-from", "names")
    lines = dict(line.split("  ", 1)[::-1] for line in made.out.splitlines())
    assert (made.code, {*lines}) == (0, {"a", "b c", "d"})
    assert {*listed(run)} == {*lines}
    assert all(secret.startswith("agk_live_") for secret in lines.values())
    assert not any(secret in made.err for secret in lines.values())


def test_several_keys_in_json(run, served):
    """An object a line, as each is made."""
    lines = run("agentry", "create", "--tenant", "a", "b", "--json").out.splitlines()
    assert {json.loads(line)["name"] for line in lines} == {"a", "b"}


def test_a_name_that_is_taken_does_not_stop_the_others(run, served):
    """Its code is that of the command."""
    run("agentity", "create", "b")
    ended = run("agentity", "create", "a", "b", "c")
    assert (ended.code, len(ended.out.splitlines())) == (8, 2)
    assert "the key 'b': " in ended.err
    assert ended.err.splitlines()[-1] == "1 of 3 keys were not created: 1 ConflictError."


def test_creates_that_are_interrupted(start, run, background, served, interrupt):
    """No key is left that nobody has, and the names that were not made are said."""
    served.faults.add(CREATES, Delay(0), times=2)
    fault = served.faults.add(CREATES, Delay(0.3), when="after", times="always")
    process = start("agentity", "create", "a", "b", "c", "d", "e", "--jobs", "2")
    background.run(fault.wait(2))
    interrupt(process)
    out, err = process.communicate(timeout=30)
    assert process.returncode == 130
    made = {line.split("  ")[1] for line in out.splitlines()}
    assert {*listed(run)} == made
    assert f"{len(made)} of 5 keys were created; not created: " in err
    assert {name for name in "abcde" if f"'{name}'" in err.strip().splitlines()[-1]} == {
        *"abcde"
    } - made


def test_a_secret_that_cannot_be_printed_ends_the_making(start, run, served):
    """Each key whose secret reached nobody is deleted again, whichever came first."""
    with open("/dev/full", "w") as full:  # noqa: PTH123
        names = [f"n{n}" for n in range(40)]
        process = start("agentity", "create", *names, "--jobs", "4", stdout=full)
    _, err = process.communicate(timeout=30)
    assert process.returncode == 1
    assert listed(run) == []
    assert err.count("so the new key") < 40
    assert err.splitlines()[-1].startswith("40 of 40 keys were not created: ")


@pytest.mark.asyncio
@pytest.mark.parametrize("jobs", [1, 3, 50])
async def test_no_more_than_so_many_are_under_way(jobs):
    """And all of them are done."""
    under_way, most, done = 0, 0, []

    async def work(item: int) -> None:
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        await asyncio.sleep(0)
        under_way -= 1
        done.append(item)

    await run_each(range(20), work, jobs=jobs)
    assert (sorted(done), most) == ([*range(20)], min(jobs, 20))


@pytest.mark.asyncio
async def test_an_error_ends_all_of_it():
    """What is under way is cancelled and awaited."""
    ended = []

    async def work(item: int) -> None:
        if item == 2:
            raise LookupError
        try:
            await asyncio.Event().wait()
        finally:
            ended.append(item)

    with pytest.raises(LookupError):
        await run_each(range(9), work, jobs=3)
    assert sorted(ended) == [0, 1]


EACH = ["--save", "dotenv:.env#{NAME}_KEY"]


def test_each_of_several_secrets_has_a_place_of_its_own(run, served, tmp_path):
    """The name of the key is that of its variable. No secret is shown: a line has id and name."""
    names = ["billing-bot", "support.bot", "7of9"]
    ended = run("agentity", "create", *names, *EACH)
    assert ended.code == 0, ended.err
    lines = dict(line.split("  ") for line in ended.out.splitlines())
    assert sorted(name.partition("~")[0] for name in lines.values()) == sorted(names)
    held = dict(line.split("=") for line in (tmp_path / ".env").read_text().splitlines())
    assert held.keys() == {"BILLING_BOT_KEY", "SUPPORT_BOT_KEY", "_7OF9_KEY"}
    kept = json.loads(run("status", "--json").out)["kept"]
    where = {each["name"]: each["store"].rpartition("#")[2] for each in kept}
    assert where == dict(
        zip(names, ["BILLING_BOT_KEY", "SUPPORT_BOT_KEY", "_7OF9_KEY"], strict=True)
    )
    assert "agk_live_" not in ended.out + ended.err


def test_one_secret_may_have_such_a_place_too(run, served, tmp_path):
    """So that a script need not know how many there are."""
    assert re.fullmatch(r"\d+\n", run("agentity", "create", "bot", *EACH).out)
    assert (tmp_path / ".env").read_text().startswith("BOT_KEY=")


def test_a_store_that_is_taken_stops_no_other(run, served, tmp_path):
    """Its key is not made; a second run makes what is missing."""
    (tmp_path / ".env").write_text("B_KEY=mine\n")
    (tmp_path / ".env").chmod(0o600)
    ended = run("agentity", "create", "a", "b", "c", *EACH)
    assert ended.code == 8
    assert sorted(name.partition("~")[0] for name in listed(run)) == ["a", "c"]
    assert "B_KEY=mine" in (tmp_path / ".env").read_text()
    assert "the key 'b'" in ended.err
    assert "1 of 3 keys were not created" in ended.err


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["a", "b", "--save", "dotenv:.env#KEY"], "put {NAME} into the address"),
        (["a-b", "a.b", *EACH], "the secrets of 'a-b' and 'a.b' would be stored at the same place"),
    ],
    ids=["one place", "two names, one variable"],
)
def test_two_secrets_have_no_place_in_common(run, served, words, sentence):
    """The second would be in the way of the first; nothing is sent."""
    ended = run("agentity", "create", *words)
    assert (ended.code, sentence in ended.err) == (2, True), ended.err
    assert len(served.requests) == 0
