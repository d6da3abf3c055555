"""A program can tell from the exit code, and from a line of JSON, what went wrong."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from wire import answer, close

from agentkeys import errors
from agentkeys.cli.ground.codes import CODES, FAILED, code_of, fields_of_error, worst
from agentkeys.cli.ground.output import report

FIELDS = ["type", "message", "status", "applied", "request_id", "key_id"]
PAGE = Path(__file__).parents[2] / "docs" / "command-line.md"
ROW = re.compile(r"^\| (\d+) \| .+? \| (.*?) ?\|$", re.MULTILINE)
STATUS = {400: 1, 401: 6, 403: 6, 404: 7, 409: 8, 422: 1, 429: 9, 500: 10, 503: 10}


def test_the_table_of_the_docs_is_that_of_the_code():
    """Each class stands beside its code, and no other class does."""
    documented = {
        name: int(code)
        for code, names in ROW.findall(PAGE.read_text())
        for name in re.findall(r"`(\w+Error)`", names)
    }
    assert documented == {kind.__name__: code for kind, code in CODES.items()}


def test_a_class_has_the_code_of_the_one_above_it():
    """A subclass of somebody's own, and a class that the table does not have."""

    class Own(errors.ConflictError):
        pass

    assert code_of(Own("taken", status=409)) == CODES[errors.ConflictError]
    assert code_of(errors.PaginationError("again")) == FAILED
    assert code_of(LookupError("unexpected")) == FAILED


@pytest.mark.parametrize("status", STATUS)
def test_an_answer_has_the_code_of_its_class(run, wire, status):
    """From the socket to the exit code."""
    wire(answer(status, {"message": "no"}))
    assert run("agentity", "list", "--timeout", "0.3").code == STATUS[status]


@pytest.mark.parametrize("trouble", [answer(503), close], ids=["503", "close"])
def test_only_a_create_may_have_been_done(run, wire, trouble):
    """A delete and a list may be repeated, whatever became of the first: 10, and not 11."""
    wire(trouble)
    assert run("agentity", "create", "ci").code == 11
    assert run("agentity", "delete", "1", "--timeout", "0.3").code == 10
    assert run("agentity", "list", "--timeout", "0.3").code == 10


def test_the_worst_of_several_is_the_highest():
    """And nothing at all is no failure."""
    assert worst([7, 10, 0]) == 10
    assert worst([]) == 0


def test_an_error_is_one_json_object(run, wire):
    """With what the service said, on one line, and nothing else."""
    wire(answer(409, {"message": "taken"}, {"X-Request-Id": "req-1"}))
    ended = run("agentity", "create", "ci", "--json")
    error = json.loads(ended.err)
    assert (ended.code, ended.out, list(error)) == (8, "", FIELDS)
    assert {**error, "message": ""} == {
        "type": "ConflictError",
        "message": "",
        "status": 409,
        "applied": "no",
        "request_id": "req-1",
        "key_id": None,
    }
    assert "taken" in error["message"]


@pytest.mark.parametrize(
    "args",
    [
        ["nothing", "--json"],
        ["agentity", "create", "--json"],
        ["agentry", "list", "i", "--pod", "p", "--tenant", "--json"],
        ["agentity", "list", "--json", "--timeout", "soon"],
    ],
    ids=" ".join,
)
def test_wrong_usage_is_json_too(run, args):
    """Wherever --json stands, and whatever was wrong before it."""
    error = json.loads(run(*args).err)
    assert (list(error), error["type"], error["applied"]) == (FIELDS, "UsageError", "no")


def test_a_name_that_looks_like_the_option_is_no_option(run, wire):
    """Behind -- it is a name."""
    wire(answer(409, {"message": "taken"}))
    assert run("agentity", "create", "--", "--json").err.startswith("Error: ")


def test_missing_credentials_are_a_configuration_error(run):
    """One of its own, for a program that can get others."""
    ended = run("agentity", "list", "--json")
    assert (ended.code, json.loads(ended.err)["type"]) == (6, "CredentialsError")


def test_a_failed_delete_names_its_key(run, wire):
    """The line on stderr has the id, for a program that reads no stdout."""
    wire(answer(404, {"message": "no such key"}))
    error = json.loads(run("agentity", "delete", "7", "--json").err)
    assert (error["key_id"], error["type"]) == (7, "NotFoundError")


@pytest.mark.parametrize("end", ["", "\\", '"', '\\"', "\n"], ids=ascii)
def test_no_secret_shows_and_it_is_json_still(capsys, end):
    """What is masked in a message may end in what JSON escapes."""
    report(f"the api_key=hunter2hunter2{end} is taken", in_json=True, key_id="ag_pasted1234")
    said = capsys.readouterr().err
    assert "hunter2" not in said
    assert "pasted" not in said
    assert json.loads(said)["message"].endswith(f"{end} is taken".lstrip("\\"))


def test_fields_that_are_not_known_are_null():
    """A sentence alone is an error of ours."""
    fields = fields_of_error("it is gone", "it is gone")
    assert fields == dict.fromkeys(FIELDS) | {"type": "AgentKeysError", "message": "it is gone"}


def test_a_traceback_is_shown_if_it_is_asked_for(run, wire):
    """-v logs the request, and shows no traceback; --traceback shows one, and logs nothing."""
    wire(answer(404, {"message": "no"}))
    args = ("agentry", "list", "--tenant")
    verbose, traced = run(*args, "-v").err, run(*args, "--traceback").err
    assert "GET /human/v0/api-keys: 404" in verbose
    assert "Traceback" not in verbose
    assert "Traceback" in traced
    assert "GET /human/v0/api-keys: 404 in" not in traced
