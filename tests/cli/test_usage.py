"""Wrong usage and bad input: one sentence on stderr, exit code 2 (6 for credentials)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from wire import answer

from agentkeys import __version__
from agentkeys.cli import commands

if TYPE_CHECKING:
    import click

SURROGATE = "\udcff"  # what Python makes of an argument that is no UTF-8

ROTATE = ["agentity", "rotate", "n", "--save", "dotenv:.env#K"]
WRONG = [
    ["nothing"],
    ["--nothing"],
    ["agentity", "nothing"],
    ["agentity", "create"],
    ["agentity", "create", ""],
    ["agentity", "create", SURROGATE],
    ["agentity", "delete"],
    ["agentity", "delete", "-1"],
    ["agentity", "delete", ".."],
    ["agentity", "delete", "1", SURROGATE],
    ["agentity", "list", ""],
    ["agentity", "delete", "1", "--all", "--yes"],
    ["agentity", "delete", "--limit", "5", "--yes"],
    ["agentity", "delete", "--name", "*"],
    ["agentity", "delete", "--all"],
    ["agentity", "delete", "1", "--jobs", "0"],
    ["agentity", "delete", "--unused-for", "30d", "--yes"],
    ["agentity", "list", "--unused-for", "30d"],
    ["agentity", "list", "--sort", "-used"],
    ["agentity", "list", "--sort", "size"],
    ["agentity", "list", "--limit", "0"],
    ["agentity", "list", "--older-than", "90"],
    ["agentity", "list", "--format", "xml"],
    ["agentity", "list", "--json", "--format", "csv"],
    ["agentity", "create", "a", "a"],
    ["agentity", "create", "a", ""],
    ["agentity", "create", "a", "b", "--save", "dotenv:.env#K"],
    ["agentity", "create", "--names-from", "no-such-file"],
    ["agentity", "list", "--local"],
    ["agentity", "list", "--timeout", "0"],
    ["agentity", "list", "--timeout", "-1"],
    ["agentity", "list", "--timeout", "nan"],
    ["agentity", "list", "--timeout", "soon"],
    ["--local", "agentity", "list", "--base-url", "http://127.0.0.1:1"],
    ["agentry", "create"],
    ["agentry", "create", "i"],
    ["agentry", "create", "i", ""],
    ["agentry", "create", "--tenant"],
    ["agentry", "create", "--tenant", "--pod", "p", "n"],
    ["agentry", "create", "--tenant", "n", "--permission", "a"],
    ["agentry", "create", "i", "n", "--permission", "a"],
    ["agentry", "create", "--agent", "i", "n", "--permission", "a=1"],
    ["agentry", "create", "--agent", "i", "n", "--permission", "a="],
    ["agentry", "create", "--agent", "i", "n", "--permission", "=true"],
    ["agentry", "list"],
    ["agentry", "list", "i", "--limit", "0"],
    ["agentry", "list", "i", "--limit", "-1"],
    ["agentry", "list", "i", "--limit", "ten"],
    ["agentry", "list", "i", "--page-size", "0"],
    ["agentry", "create", "--tenant", "--inbox", "j", "ci"],
    ["agentry", "list", "--tenant", "--agent", "--inbox", "j"],
    ["agentry", "list", "--pod", "p", "--inbox", "j"],
    ["agentry", "list", "--tenant", "--inbox", ".."],
    ["agentry", "delete", "i"],
    ["agentry", "delete", "--tenant"],
    ["agentry", "delete", "--tenant", "good", ".."],
    ["agentity", "rotate"],
    ["agentity", "rotate", "n"],
    [*ROTATE, "x"],
    ["agentity", "rotate", "", "--save", "dotenv:.env#K"],
    ["agentity", "rotate", "n", "--save", "nonsense"],
    ["agentity", "rotate", "n", "--save", "memory:x"],
    [*ROTATE, "--grace", "24"],
    [*ROTATE, "--grace", "1w"],
    [*ROTATE, "--grace", "-1d"],
    [*ROTATE, "--grace", "99999999999d"],
    [*ROTATE, "--max-grace", "99999999999d"],
    [*ROTATE, "--max-grace", ""],
    [*ROTATE, "--verify-within", "soon"],
    [*ROTATE, "--replaces", "x"],
    [*ROTATE, "--verify", "no-such-program"],
    [*ROTATE, "--verify", ""],
    [*ROTATE, "--then", "'unclosed"],
    [*ROTATE, "--then", "no-such-program --now"],
    ["agentity", "adopt", "1"],
    ["agentity", "adopt", "x", "--save", "dotenv:.env#K"],
    ["agentity", "adopt", "1", "--save", "memory:x"],
    ["agentity", "adopt", "1", "--save", "dotenv:.env#K", "--name", ""],
    ["agentity", "abort"],
    ["agentity", "abort", ""],
    ["agentity", "announced"],
    ["agentity", "announced", ""],
    ["agentry", "rotate", "i", "--save", "dotenv:.env#K"],
    ["agentry", "rotate", "i", "n"],
    ["agentry", "rotate", "--tenant", "--pod", "p", "n", "--save", "dotenv:.env#K"],
    ["agentry", "adopt", "--tenant", "..", "--save", "dotenv:.env#K"],
    ["agentry", "abort", "i"],
    ["agentry", "announced", "i", "n", "x"],
    ["status", "x"],
    ["status", "--timeout", "1"],
    ["sweep", "x"],
    ["sweep", "--then", "no-such-program"],
    ["serve", "x"],
    ["--local", "serve", "--database", "keys.db"],
    ["serve", "--port", "70000"],
    ["serve", "--port", "http"],
]
BAD_IDS = ["", ".", "..", "a\0b", SURROGATE]
SCOPES = {
    "inbox": ["{}"],
    "agent-inbox": ["--agent", "{}"],
    "pod": ["--pod", "{}"],
}


@pytest.mark.parametrize("args", WRONG, ids=" ".join)
def test_wrong_usage_is_one_line_and_sends_nothing(run, wire, args):
    """Wrong usage is one line on stderr and exit code 2, and nothing is sent."""
    server = wire(answer(500))
    ended = run(*args)
    assert (ended.code, ended.out) == (2, "")
    assert ended.err.startswith("{" if "--json" in args else "Error: ")
    assert ended.err.count("\n") == 1
    assert server.connections == 0


@pytest.mark.parametrize("bad", BAD_IDS, ids=ascii)
@pytest.mark.parametrize("scope", SCOPES.values(), ids=SCOPES)
@pytest.mark.parametrize("verb", [["create", "n"], ["list"], ["delete", "k"]], ids=lambda v: v[0])
def test_a_scope_that_would_leave_its_segment(run, wire, bad, scope, verb):
    """An inbox or a pod that is no segment of a path is refused before anything is sent."""
    server = wire(answer(500))
    command, *rest = verb
    ended = run("agentry", command, *(word.format(bad) for word in scope), *rest)
    assert (ended.code, ended.out, ended.err.count("\n")) == (2, "", 1)
    assert server.connections == 0


@pytest.mark.parametrize("bad", BAD_IDS, ids=ascii)
@pytest.mark.parametrize("scope", [["i"], ["--tenant"], ["--pod", "p"]], ids=" ".join)
def test_a_key_that_would_leave_its_segment(run, wire, bad, scope):
    """One bad id among good ones: nothing is deleted."""
    server = wire(answer(204))
    ended = run("agentry", "delete", *scope, "good", bad)
    assert (ended.code, ended.out, ended.err.count("\n")) == (2, "", 1)
    assert server.connections == 0


def test_wrong_usage_says_where_the_help_is(run):
    """It names the command whose help to read; --local in the wrong place is told its place."""
    assert run("agentity", "create").err.endswith(": see 'agentkeys agentity create --help'\n")
    assert "before the service" in run("agentity", "list", "--local").err


@pytest.mark.parametrize(
    ("service", "says"),
    [
        ("agentity", "AGENTITY_EMAIL and AGENTITY_PASSWORD, or AGENTITY_ACCESS_TOKEN"),
        ("agentry", "AGENTRY_API_KEY"),
    ],
)
def test_without_credentials_it_says_what_to_set(run, service, says):
    """Without credentials it says which variables to set, and that --local needs none."""
    ended = run(service, "list", *(["--tenant"] if service == "agentry" else []))
    assert (ended.code, ended.out, ended.err.count("\n")) == (6, "", 1)
    assert says in ended.err
    assert "--local" in ended.err


def test_half_of_the_credentials(run, monkeypatch):
    """An email without its password is no credentials, where nobody can be asked for it."""
    monkeypatch.setenv("AGENTITY_EMAIL", "me@example.com")
    assert "no credentials" in run("agentity", "list").err


def test_an_email_with_a_colon(run, monkeypatch):
    """The environment's email is refused with a sentence; the password shows nowhere."""
    monkeypatch.setenv("AGENTITY_EMAIL", "a:b@example.com")
    monkeypatch.setenv("AGENTITY_PASSWORD", "correct horse")
    ended = run("agentity", "list")
    assert (ended.code, ended.err.count("\n")) == (6, 1)
    assert "colon" in ended.err
    assert "horse" not in ended.err


def test_a_token_that_cannot_be_sent(run, monkeypatch):
    """A token with white space is refused, and not shown."""
    monkeypatch.setenv("AGENTRY_API_KEY", "ag_secret ag_secret")
    ended = run("agentry", "list", "--tenant")
    assert (ended.code, ended.err.count("\n")) == (2, 1)
    assert "secret" not in ended.err


@pytest.mark.parametrize("how", ["--base-url", "AGENTRY_BASE_URL"])
def test_http_to_another_host(run, monkeypatch, how):
    """Http to another host is refused, from an option as from the environment."""
    monkeypatch.setenv("AGENTRY_API_KEY", "token")
    args = ["agentry", "list", "--tenant"]
    if how.startswith("--"):
        args += [how, "http://example.com"]
    else:
        monkeypatch.setenv(how, "http://example.com")
    ended = run(*args)
    assert (ended.code, ended.out, ended.err.count("\n")) == (2, "", 1)
    assert "in the clear" in ended.err


def test_a_secret_given_as_an_argument_is_not_repeated(run):
    """Somebody who gives a key as an argument does not see it in the log as well."""
    ended = run("agentry", "list", "i", "ag_0123456789")
    assert ended.code == 6
    assert "0123456789" not in ended.err


def _all_of(command: click.Command, path: str = "agentkeys"):
    yield path, command
    for name, each in getattr(command, "commands", {}).items():
        yield from _all_of(each, f"{path} {name}")


EVERY = dict(_all_of(commands))


@pytest.mark.parametrize("path", EVERY)
def test_every_command_has_help(run, path):
    """--help and -h of every command say in a sentence what it does, and exit with 0."""
    words = path.split()[1:]
    ended = run(*words, "--help")
    assert (ended.code, ended.err) == (0, "")
    assert EVERY[path].help.split(".")[0] in " ".join(ended.out.split())
    assert run(*words, "-h") == ended


@pytest.mark.parametrize("path", EVERY)
def test_no_secret_is_an_argument(path):
    """No command has an option or an argument that asks for a secret."""
    names = {name for each in EVERY[path].params for name in (each.name, *each.opts)}
    assert not [name for name in names if any(w in name for w in ("pass", "token", "secret"))]


@pytest.mark.parametrize("path", [p for p, c in EVERY.items() if not hasattr(c, "commands")])
def test_every_command_takes_json(path):
    """--json is an option of every command, and its help documents the shape."""
    assert "--json" in {opt for each in EVERY[path].params for opt in each.opts}
    assert "--json prints" in " ".join(EVERY[path].help.split())


@pytest.mark.parametrize("args", [[], ["agentity"], ["agentry"]], ids=" ".join)
def test_a_group_alone_shows_its_help(run, args):
    """A group without a command shows its help."""
    ended = run(*args)
    assert "Commands:" in ended.out + ended.err


def test_the_version_is_shown(run):
    """--version shows the version."""
    assert run("--version") == (0, f"agentkeys {__version__}\n", "")
