"""What is there is documented, and what is documented is there."""

from __future__ import annotations

import ast
import importlib
import inspect
import re
import time
import tomllib
from pathlib import Path

import click
import pytest

import agentkeys
from agentkeys import Policy, errors, server, sync
from agentkeys.auditing.rules import RULES
from agentkeys.cli import commands
from agentkeys.errors import requests
from agentkeys.lifecycle.machine.states import FORMAT
from agentkeys.schemes import FORMS
from agentkeys.server.storage import schema
from agentkeys.sources import SUFFIXES
from agentkeys.stores import open_store
from agentkeys.sync.service import LocalServiceSettings
from agentkeys.testing import LeakWatch, plugin

ROOT = Path(__file__).parents[2]
PACKAGE = Path(agentkeys.__file__).parent
MODULES = [
    "agentkeys",
    "agentkeys.agentity",
    "agentkeys.agentry",
    "agentkeys.auditing",
    "agentkeys.credentials",
    "agentkeys.errors",
    "agentkeys.fleet",
    "agentkeys.keys",
    "agentkeys.observers",
    "agentkeys.observers.opentelemetry",
    "agentkeys.rates",
    "agentkeys.rates.postgres",
    "agentkeys.server.blocking",
    "agentkeys.server.faults",
    "agentkeys.stores",
    "agentkeys.testing",
    "agentkeys.server",
    "agentkeys.sync",
]
# What is the same object in two modules is documented in one of them.
ELSEWHERE = {f"{name}.{each}" for name in MODULES[1:-2] for each in agentkeys.__all__}

DIRECTIVE = re.compile(r"^\.\. (\w+):: *([\w.]+)", re.MULTILINE)
ROW = re.compile(r"^\| (?P<names>`.+?) \| (?P<rest>.+) \|$", re.MULTILINE)
SECRETS = (
    "AGENTITY_PASSWORD",
    "AGENTITY_ACCESS_TOKEN",
    "AGENTRY_API_KEY",
    "AGENTKEYS_SERVE_PASSWORD",
    "AGENTKEYS_SERVE_AGENTRY_KEY",
    "AGENTKEYS_ADMIN_TOKEN",
    "AGENTKEYS_JOURNAL",
)
# What the names of several variables begin with: an option of `serve` has one each.
PREFIXES = {"AGENTKEYS_SERVE", "AGENTKEYS_SERVE_", "AGENTKEYS_ADMIN_"}
VARIABLE = re.compile(r"\b(?:AGENTITY|AGENTRY|AGENTKEYS)_[A-Z_]+\b")
BRANCH = re.compile(r"^( *)- `(\w+)`", re.MULTILINE)
HELP = re.compile(r"^```text (.+) --help$", re.MULTILINE)


def page(name: str) -> str:
    return (ROOT / "docs" / f"{name}.md").read_text()


def section(name: str, heading: str) -> str:
    """Return a page from one heading to the next of its level or a higher one."""
    level = heading.partition(" ")[0]
    text = page(name).partition(f"\n{heading}\n")[2]
    assert text, f"{name}.md has no heading {heading!r}"
    return re.split(rf"^#{{1,{len(level)}}} ", text, maxsplit=1, flags=re.MULTILINE)[0]


def rows(text: str) -> dict[str, list[str]]:
    """Return the rows of a section's tables: the cells behind each `name` of the first one."""
    return {
        name: [cell.strip() for cell in found["rest"].split(" | ")]
        for found in ROW.finditer(text)
        for name in re.findall(r"`(\w+)`", found["names"])
    }


def public_names(module: str) -> set[str]:
    return {f"{module}.{name}" for name in importlib.import_module(module).__all__}


def in_the_reference() -> set[str]:
    """Return the full names of what the reference documents."""
    documented, module = set(), ""
    for directive, name in DIRECTIVE.findall(page("reference")):
        if directive in {"module", "currentmodule"}:
            module = name
        else:
            documented.add(f"{module}.{name}")
    return documented


@pytest.mark.parametrize("module", MODULES)
def test_every_public_name_is_in_the_reference(module):
    """What `__all__` lists can be looked up."""
    assert public_names(module) - ELSEWHERE - in_the_reference() == set()


def test_the_reference_lists_nothing_else():
    """What is not public is not promised."""
    public = {
        f"{name}.{each}" for name in MODULES for each in importlib.import_module(name).__all__
    }
    assert in_the_reference() - public == set()


ERRORS = [
    error
    for error in vars(errors).values()
    if inspect.isclass(error) and issubclass(error, errors.AgentKeysError)
]


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: error.__name__)
def test_every_error_is_in_the_tree(error):
    """The list on the page about errors has each, below what it inherits from."""
    path: list[str] = []
    tree = {}
    for indent, name in BRANCH.findall(section("errors", "## Every error")):
        del path[len(indent) // 2 :]
        tree[name] = path[-1] if path else "Exception"
        path.append(name)
    assert tree.get(error.__name__) == error.__bases__[0].__name__


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: error.__name__)
def test_every_error_is_explained(error):
    """A table says when it is raised, the root and the base of all requests' errors apart."""
    if error in {errors.AgentKeysError, errors.RequestError}:
        assert f"`{error.__name__}`" in page("errors")
    else:
        assert error.__name__ in rows(section("errors", "## Every error"))


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: error.__name__)
def test_every_attribute_of_an_error_is_explained(error):
    """What an error tells can be looked up."""
    told = set(inspect.signature(error.__init__).parameters) - {"self", "text", "args", "kwargs"}
    if "request" in told:
        told = told - {"request"} | set(requests.RequestFields.__annotations__)
    assert told - set(re.findall(r"`(\w+)`", section("errors", "## Every error"))) == set()


CLIENTS = [
    agentkeys.AgentityClient,
    agentkeys.AgentryClient,
    sync.AgentityClient,
    sync.AgentryClient,
]
SETTINGS = {
    "AgentityClient": section("settings", "## Of a client"),
    "LocalService": section("local-service", "## Settings"),
    "RetryPolicy": section("timeouts-and-retries", "## How often, how soon"),
}


@pytest.mark.parametrize("client", CLIENTS, ids=lambda client: client.__module__)
def test_every_setting_of_a_client_is_explained(client):
    """The table has each argument of each client's constructor."""
    assert set(inspect.signature(client).parameters) <= set(rows(SETTINGS["AgentityClient"]))


@pytest.mark.parametrize(
    "configured",
    [agentkeys.AgentityClient, agentkeys.RetryPolicy, server.LocalService],
    ids=lambda configured: configured.__name__,
)
def test_the_tables_of_settings_are_right(configured):
    """Each setting stands there with its default, and none that is not there."""
    names = {"RetryPolicy": agentkeys.RetryPolicy, "time": time}
    documented = {
        name: eval(cells[0].strip("`"), names)  # noqa: S307  # our own page
        for name, cells in rows(SETTINGS[configured.__name__]).items()
    }
    parameters = inspect.signature(configured).parameters.values()
    assert documented == {parameter.name: parameter.default for parameter in parameters}


def test_the_blocking_local_service_takes_the_same():
    """Its settings are listed a second time, for type checkers."""
    assert set(LocalServiceSettings.__annotations__) == set(rows(SETTINGS["LocalService"]))


@pytest.mark.parametrize("service", [server.LocalService, sync.LocalService])
def test_every_member_of_the_local_service_is_explained(service):
    """What it offers stands on its page."""
    members = {name for name in vars(service) if not name.startswith("_")} - {"begin_afresh"}
    assert members - set(re.findall(r"\w+", page("local-service"))) == set()


def test_every_environment_variable_is_explained():
    """The table has each that the sources name, and none that they do not."""
    named = {
        variable
        for path in PACKAGE.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
        for variable in VARIABLE.findall(node.value)
    }
    documented = set(rows(section("settings", "## Environment variables")))
    # Where a secret lies is said by its name and a suffix, which the code puts together.
    named |= {f"{name}{suffix}" for name in SECRETS for suffix in SUFFIXES}
    named -= PREFIXES
    assert {name for name in documented if VARIABLE.fullmatch(name)} == named


def command_lines(command: click.Command, line: str) -> dict[str, click.Command]:
    """Return every command from *command* down, by what is typed to run it."""
    lines = {line: command}
    for name, each in getattr(command, "commands", {}).items():
        lines |= command_lines(each, f"{line} {name}")
    return lines


COMMANDS = command_lines(commands, "agentkeys")


def test_every_command_shows_its_help():
    """The page has the help of each; another test compares it with the program."""
    assert sorted(HELP.findall(page("command-line"))) == sorted(COMMANDS)


@pytest.mark.parametrize("line", COMMANDS)
def test_every_option_says_what_it_does(line):
    """Its help does, and that is what the page shows."""
    options = [each for each in COMMANDS[line].params if isinstance(each, click.Option)]
    assert COMMANDS[line].help
    assert [option.name for option in options if not option.help] == []


def test_every_rule_of_the_audit_is_explained():
    """The table has its id, its severity and what it finds, in the words that SARIF has too."""
    documented = rows(section("audit", "## The rules"))
    assert documented == {rule.id: [rule.severity, rule.about] for rule in RULES}


def test_every_setting_of_a_policy_is_explained():
    """With its default, in seconds."""
    documented = {
        name: eval(cells[0].strip("`"))  # noqa: S307  # our own page
        for name, cells in rows(section("audit", "## The policy")).items()
    }
    parameters = inspect.signature(Policy).parameters.values()
    assert documented == {parameter.name: parameter.default for parameter in parameters}


def test_every_extra_is_explained():
    """Whoever installs it knows what each extra adds; those for developers apart."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = set(project["optional-dependencies"]) - {"test", "docs"}
    assert extras == set(rows(section("index", "## Install")))


def test_every_form_of_an_address_is_explained():
    """The table has each store that can be opened, and so has the docstring of `open_store`."""
    table = page("stores").partition("\n\n`open_store`")[0]
    for form in FORMS.values():
        assert f"| `{form}` |" in table
        assert f"``{form}``" in str(open_store.__doc__)


def test_every_fixture_is_explained():
    """Each that the plugin gives is in the table, and no other."""
    kind = type(plugin.agentkeys_service)
    fixtures = {name for name, each in vars(plugin).items() if isinstance(each, kind)}
    public = {name for name in fixtures if not name.startswith("_")}
    assert public == set(rows(section("testing", "## The fixtures")))


def test_every_member_of_the_watch_is_explained():
    """What `assert_no_leaks` offers stands in a table of its page."""
    offered = {name for name in vars(LeakWatch) if not name.startswith("_")}
    explained = set(
        re.findall(r"^\| `(\w+)", section("testing", "## No secret shows"), re.MULTILINE)
    )
    assert explained == offered | {"password", "token"}


def test_every_law_names_the_tests_that_show_it():
    """Each law has a row, every file that is named is there, and every file of laws is named."""
    text = page("guarantees")
    laws = re.findall(r"^\| (\d+)\. .+?\| (.+?) \| .*\d", text, re.MULTILINE)
    assert [int(number) for number, _ in laws] == list(range(1, 14))
    assert all("`tests/" in shown for _, shown in laws)
    named = set(re.findall(r"`(tests/[\w/]+\.py)`", text))
    assert {name for name in named if not (ROOT / name).exists()} == set()
    of_laws = {str(path.relative_to(ROOT)) for path in (ROOT / "tests/laws").glob("test_*.py")}
    assert of_laws - named == set()


def test_the_formats_that_are_written_are_explained():
    """Who upgrades can look up which version reads which file."""
    text = page("upgrading")
    assert f"writes format {FORMAT} of the journal and reads formats 1 to {FORMAT}" in text
    assert [int(each) for each in re.findall(r"^\| (\d) \|", text, re.MULTILINE)] == [
        *range(1, FORMAT + 1)
    ]
    assert f"has schema {schema.VERSION}." in text


def test_every_pipe_of_an_example_is_private():
    """What goes through it are credentials, and another user could read them first."""
    texts = [page.read_text() for page in (ROOT / "docs").rglob("*.md")]
    pipes = [line for text in texts for line in text.splitlines() if "mkfifo" in line]
    assert pipes
    assert [line for line in pipes if "mkfifo -m 600 " not in line] == []
