"""`apply --distribute`, `worker` and `fleet status`: the keys are made by way of a queue."""

from __future__ import annotations

import json

import pytest

COUNT = 3


@pytest.fixture(autouse=True)
def many(served, background, declare, database, monkeypatch):
    """Three inboxes, each of which shall have a key, and a journal in a database."""
    monkeypatch.setenv("AGENTKEYS_JOURNAL", database)
    for n in range(COUNT):
        background.run(served.add_inbox(f"agent{n}@acme.to"))
    declare(COUNT)
    return served


def fields(ended) -> dict[str, object]:
    return json.loads(ended.out)


def test_keys_are_queued_and_made(run):
    """Each command says how many, and the second plan has nothing to do."""
    assert run("apply", "--distribute", "--yes").out == f"queued {COUNT} of {COUNT}\n"
    assert fields(run("fleet", "status", "--json"))["todo"] == COUNT
    done = run("worker", "--once")
    assert (done.code, done.err) == (0, f"Done: {COUNT} issued.\n")
    assert fields(run("fleet", "status", "--json"))["todo"] == 0
    assert run("apply", "--distribute", "--yes").err.endswith("There is nothing to do.\n")
    assert fields(run("apply", "--distribute", "--yes", "--json")) == {"queued": 0, "waiting": 0}
    assert run("plan", "--exit-code").code == 0


def test_what_is_unclear_is_not_queued_and_not_counted(run, tmp_path):
    """It needs a person, and no worker: the numbers are of what is to be done."""
    (tmp_path / "run" / "0").write_text("somebody's secret")
    queued = run("apply", "--distribute", "--yes", "--json")
    assert queued.code == 4
    assert fields(queued) == {"queued": COUNT - 1, "waiting": 0}
    again = run("apply", "--distribute", "--yes", "--json")
    assert fields(again) == {"queued": 0, "waiting": COUNT - 1}


def test_without_a_terminal_it_does_not_ask(run, many):
    """As `apply` alone: nothing is planned, and nothing is sent."""
    before = len(many.requests)
    ended = run("apply", "--distribute")
    assert ended.code == 2
    assert "add --yes" in ended.err
    assert len(many.requests) == before


@pytest.mark.parametrize(
    "more",
    [["--prune"], ["--canary", "1"], ["--max-failures", "10"], ["--then", "true"]],
    ids=lambda more: more[0],
)
def test_what_a_worker_does_not_do_is_refused(run, more):
    """And not passed over: who gives it relies on it."""
    ended = run("apply", "--distribute", "--yes", *more)
    assert ended.code == 2
    assert more[0] in ended.err


def test_a_file_without_rows_yet_is_no_mistake(run, declare):
    """There is nothing to do, and the worker has the credentials for the first row."""
    declare(0)
    assert run("worker", "--once").code == 0
    assert run("apply", "--distribute", "--yes").err.endswith("There is nothing to do.\n")


def test_mistakes_are_said_line_by_line(run, declare, tmp_path):
    """Those of the file, and those of its rows."""
    (tmp_path / "agentkeys.toml").write_text("[keys.a]\nstoer = 1\n")
    ended = run("worker", "--once")
    assert ended.code == 2
    assert "agentkeys.toml:2: " in ended.err
    declare(1)
    (tmp_path / "inboxes.csv").write_text("inbox,slug\na@acme.to\n")
    ended = run("worker", "--once")
    assert ended.code == 2
    assert "inboxes.csv:2: " in ended.err


def test_a_key_that_fails_is_shown_until_it_is_made(run, tmp_path):
    """On the worker's stderr, and by `fleet status`, whose exit code says so."""
    run("apply", "--distribute", "--yes")
    (tmp_path / "run" / "1").mkdir()
    worker = run("worker", "--once", "--tries", "1")
    assert (worker.code, worker.err.count("agent-1 of agentry")) == (0, 1)
    status = run("fleet", "status")
    assert status.code == 4
    assert "agent-1 of agentry" in status.out
    (tmp_path / "run" / "1").rmdir()
    run("apply", "--distribute", "--yes")
    assert run("worker", "--once").err == "Done: 1 issued.\n"
    assert run("fleet", "status").code == 0
