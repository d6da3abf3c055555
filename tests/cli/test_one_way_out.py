"""Whatever a command prints, asks or logs goes out one way, which escapes what does not print."""

from __future__ import annotations

import ast
import json
import logging
from pathlib import Path

import pytest
from wire import answer

import agentkeys
from agentkeys.cli.ground.logs import logged
from agentkeys.cli.ground.output import as_json

PACKAGE = Path(agentkeys.__file__).parent
# Colours, a title, a cleared screen, another direction, a line of its own, half a character.
TEXT = "a\x1b[31mb\x1b]0;title\x07c\x1b[2J\u202ed\nError: e\r\x7f\x9b2J"
SHOWN_TEXT = r"a\x1b[31mb\x1b]0;title\x07c\x1b[2J\u202ed\nError: e\r\x7f\x9b2J"
HOSTILE, SHOWN = f"{TEXT}\ud800", rf"{SHOWN_TEXT}\ud800"
SECRET = f"agk_live_{HOSTILE}"
NEW = {"id": 7, "nickname": "ci", "createdAt": "2026-01-01T00:00:00Z"}
NEW |= {"updatedAt": NEW["createdAt"]}
INBOX_KEY = {"api_key": "ag_0123456789", "name": "ci", "prefix": "ag_", "created_at": "2026-01-01"}
INBOX_KEY |= {"created_at": NEW["createdAt"], "api_key_id": TEXT}

# Where a name of Python's or of a library's leads out of the process.
OUT = {"print", "input", "getpass", "echo", "secho", "prompt", "confirm", "echo_via_pager"}
OUT |= {"StreamHandler", "basicConfig", "lastResort", "print_exc", "print_exception", "Console"}
OUT |= {"stdout", "stderr", "__stdout__", "__stderr__", "writelines", "warn"}
ALLOWED = {
    "cli/ground/output.py": OUT,
    "__main__.py": {"stderr", "stdout"},  # it sets the stream up, and may lack click
    "programs.py": {"stdout", "stderr"},  # those of a child
    "stores/kubernetes/access.py": {"stdout", "stderr"},  # likewise
}


def ways_out(path: Path) -> set[str]:
    """Return the names in a module that lead out."""
    nodes = list(ast.walk(ast.parse(path.read_text())))
    names = {node.id for node in nodes if isinstance(node, ast.Name)}
    names |= {node.attr for node in nodes if isinstance(node, ast.Attribute)}
    names |= {
        alias.name for node in nodes if isinstance(node, ast.ImportFrom) for alias in node.names
    }
    names |= {word.arg for node in nodes if isinstance(node, ast.Call) for word in node.keywords}
    return names & OUT


@pytest.mark.parametrize(
    "path",
    [p for p in sorted(PACKAGE.rglob("*.py")) if "testing" not in p.parts],
    ids=lambda path: str(path.relative_to(PACKAGE)),
)
def test_there_is_no_other_way_out(path):
    """No module prints, asks or logs by itself: it would print what a service said as it is."""
    assert ways_out(path) <= ALLOWED.get(str(path.relative_to(PACKAGE)), set())


def test_the_search_for_ways_out_finds_one():
    """In the one module that has them."""
    assert {"echo", "prompt", "confirm", "Console", "stdout"} <= ways_out(
        PACKAGE / "cli/ground/output.py"
    )


def assert_prints(text: str) -> None:
    assert all(c.isprintable() or c == "\n" for c in text), ascii(text)


@pytest.mark.parametrize("sent", [json.dumps(SECRET), f'"agk_live_{TEXT}"'], ids=["escaped", "raw"])
def test_a_secret_that_does_not_print_is_salvaged_as_a_json_string(run, wire, sent):
    """It is an error, and what was made is not lost: a JSON string says exactly what it is."""
    body = json.dumps(NEW)[:-1] + f', "key": {sent}}}'
    wire(answer(201, body.encode()))
    ended = run("agentity", "create", "ci")
    assert ended.code == 11
    assert_prints(ended.out + ended.err)
    assert json.loads(ended.out) == json.loads(sent, strict=False)
    assert ended.out.count("\n") == ended.err.count("\n") == 1
    assert "as a JSON string" in ended.err
    assert "agk_live_a" not in ended.err


def test_a_secret_that_does_not_print_in_json(run, wire):
    """JSON has it exactly, in ASCII that prints."""
    wire(answer(201, {**NEW, "key": SECRET}))
    ended = run("agentity", "create", "ci", "--json")
    assert ended.code == 11
    assert_prints(ended.out)
    assert json.loads(ended.out) == {"key": SECRET}


def test_an_id_that_does_not_print_is_escaped_when_the_secret_is_saved(run, wire, tmp_path):
    """The id is what goes to stdout then."""
    wire(answer(200, {"api_keys": []}), answer(201, INBOX_KEY))
    ended = run("agentry", "create", "i", "ci", "--exact-name", "--save", f"dotenv:{tmp_path}/e#K")
    assert (ended.code, ended.out) == (0, f"{SHOWN_TEXT}\n")
    assert_prints(ended.err)


@pytest.mark.parametrize("options", [[], ["--json"]], ids=["text", "json"])
@pytest.mark.parametrize("encoding", ["utf-8", "latin-1", "ascii"])
def test_a_listing_prints_in_any_encoding(start, wire, monkeypatch, options, encoding):
    """Escaped once, and never an error of the stream."""
    monkeypatch.setenv("PYTHONIOENCODING", encoding)
    wire(answer(200, json.dumps({"apiKeys": [{**NEW, "nickname": TEXT}]}).encode()))
    out, err = start("agentity", "list", *options, encoding=encoding).communicate(timeout=30)
    assert_prints(out)
    assert (json.loads(out)[0]["nickname"] == TEXT) if options else (SHOWN_TEXT in out)
    assert err == ""


def test_json_has_no_character_that_does_not_print():
    """DEL is ASCII, and Python's json writes it as it is."""
    everything = "".join(map(chr, range(0x300))) + "\u202e\u2028\ud800"
    assert_prints(as_json(everything))
    assert json.loads(as_json(everything)) == everything


@pytest.mark.parametrize("verbose", [False, True])
def test_a_log_record_is_one_line_that_prints(capsys, monkeypatch, verbose):
    """A file's name in it does not move the cursor, nor begin a line of its own."""
    if not verbose:  # pytest's own handler raises what does not fit together
        monkeypatch.setattr(logging.getLogger("agentkeys"), "propagate", False)
    with logged(verbose=verbose):
        logging.getLogger("agentkeys").warning("%s cannot be read", Path("/home") / TEXT)
        logging.getLogger("agentkeys").warning("%s", "your key agk_live_0123456789")
        if not verbose:
            logging.getLogger("agentkeys").warning("%d", TEXT)
    err = capsys.readouterr().err
    assert err.startswith(f"/home/{SHOWN_TEXT} cannot be read\n")
    assert "agk_live_0" not in err
    assert err.count("\n") == 3 - verbose
    assert_prints(err)


def test_a_logged_traceback_prints(capsys):
    """Each line of it."""
    with logged(verbose=True, traceback=True):
        logging.getLogger("anybody").error("it failed", exc_info=LookupError(TEXT))
    err = capsys.readouterr().err
    assert "it failed\nLookupError: a" in err
    assert_prints(err)


def test_a_file_with_a_hostile_name_among_the_attempts(run, home, wire):
    """What somebody put there is named, escaped."""
    wire(answer(200, {"apiKeys": []}))
    (home / "attempts").mkdir(parents=True, mode=0o700)
    (home / "attempts" / f"x{TEXT}.json").write_text("{")
    ended = run("sweep")
    assert_prints(ended.err + ended.out)


def test_a_question_is_escaped(terminal, wire, monkeypatch):
    """What the environment says of the account does not style the terminal."""
    monkeypatch.setenv("AGENTITY_EMAIL", TEXT)
    monkeypatch.delenv("AGENTITY_ACCESS_TOKEN", raising=False)
    asked = terminal("agentity", "list")
    asked.read_until(f"Password of {SHOWN_TEXT}")
    assert "\x1b" not in asked.shown
