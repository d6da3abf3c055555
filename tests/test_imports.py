"""Who may import whom, and what an import costs."""

from __future__ import annotations

import ast
from importlib.util import find_spec
from pathlib import Path

import pytest
from programs import loaded_by

import agentkeys

PACKAGE = Path(agentkeys.__file__).parent
MODULES = sorted(PACKAGE.rglob("*.py"))

# Each layer may import those before it, and itself.
LAYERS = [
    {
        "arguments",
        "cancellation",
        "errors",
        "filesystem",
        "forks",
        "home",
        "masking",
        "notebook",
        "plain",
        "secret",
        "terminal",
    },
    {"credentials", "paging", "stores"},
    {"transport", "keys"},
    {"agentity", "agentry", "lifecycle"},
    {"sync", "sync_lifecycle", "sync_service"},
    {"cli", "__main__"},
]


def part(path: Path) -> str:
    """Return the part of the package that a module belongs to: ``transport``, ``errors``."""
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imported(path: Path) -> set[str]:
    """Return the parts of the package that a module imports, wherever it does it."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module:
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
    return {name.split(".")[1] for name in names if name.startswith("agentkeys.")} - {"__version__"}


def allowed(name: str) -> set[str]:
    if name == "server":
        return {"server", "arguments", "errors", "masking", "secret"}
    if name in {"testing", "__init__"}:
        return set.union(*LAYERS, {"server", "testing"})
    index = next(i for i, layer in enumerate(LAYERS) if name in layer)
    # The blocking client and the command line reach the local service when it is asked for.
    local = {"server"} if name in {"sync_service", "cli"} else set()
    return set.union(*LAYERS[: index + 1]) | local


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_run_one_way(path):
    """No part imports what is built on it; the server imports nothing of the client."""
    public = set(agentkeys.__all__) if part(path) in {"cli", "testing"} else set()
    assert imported(path) - public <= allowed(part(path))


def test_few_client_modules_import_aiohttp():
    """All I/O is in one place: sending, its sessions, names, and what is lost; two name a type."""
    client = [path for path in MODULES if part(path) not in {"server", "testing"}]
    with_aiohttp = {
        path.name
        for path in client
        for node in ast.parse(path.read_text()).body
        if (isinstance(node, ast.Import) and any(alias.name == "aiohttp" for alias in node.names))
        or (isinstance(node, ast.ImportFrom) and str(node.module).startswith("aiohttp"))
    }
    sending = {"exchange.py", "http.py", "losses.py", "lookup.py", "sessions.py"}
    assert with_aiohttp == sending | {"client.py", "sync_service.py"}


def test_importing_the_package_imports_next_to_nothing():
    """No aiohttp, no attrs, not even typing, before a name is used."""
    extra = loaded_by("import agentkeys") - loaded_by("import __future__")
    assert extra == {"agentkeys"}


@pytest.mark.parametrize(
    "code", ["import agentkeys.errors", "from agentkeys import APIError, Secret"]
)
def test_errors_and_secrets_are_light(code):
    """They import nothing heavy, so that handling an error costs nothing."""
    assert not loaded_by(code) & {"aiohttp", "attrs", "attr", "cattrs", "asyncio"}


def test_the_client_imports_no_server():
    """Neither SQLAlchemy nor what else only the local service needs."""
    heavy = {"sqlalchemy", "jwt", "argon2", "click", "rich", "aiohttp.web", "agentkeys.server"}
    code = "from agentkeys import AgentityClient, AgentryClient; AgentityClient('x')"
    assert not loaded_by(code) & heavy


@pytest.mark.parametrize("name", agentkeys.__all__)
def test_every_public_name_is_there(name):
    """What `__all__` lists can be imported, and is listed by `dir`."""
    assert getattr(agentkeys, name) is not None
    assert name in dir(agentkeys)


def test_the_list_of_names_is_sorted_and_whole():
    """One sorted `__all__`; and a misspelt name is an AttributeError."""
    assert list(agentkeys.__all__) == sorted(agentkeys.__all__)
    with pytest.raises(AttributeError, match="AgentyClient"):
        _ = agentkeys.AgentyClient


def test_the_package_is_typed():
    """Type checkers are told to read it."""
    assert (PACKAGE / "py.typed").is_file()
    assert find_spec("agentkeys") is not None
