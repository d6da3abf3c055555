"""Who may import whom, and what an import costs."""

from __future__ import annotations

import ast
from graphlib import TopologicalSorter
from importlib.util import find_spec
from pathlib import Path

import pytest
from programs import loaded_by

import agentkeys

PACKAGE = Path(agentkeys.__file__).parent
MODULES = sorted(PACKAGE.rglob("*.py"))

# Each floor may import those below it, and itself.
FLOORS = [
    {"plain", "secret"},
    {"errors", "forks", "masking", "notebook", "terminal"},
    {
        *("arguments", "cancellation", "concurrency", "durations", "filesystem", "home", "locks"),
        *("observers", "postgres", "programs", "rates", "records", "retry", "schemes", "threads"),
    },
    {"credentials", "paging", "profiles", "sources", "stores", "token_cache"},
    {"keys"},
    {"transport"},
    {"agentity", "agentry"},
    {"lifecycle"},
    {"auditing"},
    {"fleet"},
    {"sync"},
    {"cli", "__main__"},
]

# Rooms that import each other still, though no two of their files do.
CROWDED = [
    {"server", "sync"},
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
        return {"server", "arguments", "errors", "filesystem", "masking", "secret"}
    if name in {"testing", "__init__"}:
        return set.union(*FLOORS, {"server", "testing"})
    index = next(i for i, floor in enumerate(FLOORS) if name in floor)
    # The blocking client and the command line reach the local service when it is asked for.
    local = {"server"} if name in {"sync", "cli"} else set()
    return set.union(*FLOORS[: index + 1]) | local


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_run_one_way(path):
    """No part imports what is built on it; the server imports nothing of the client."""
    public = set(agentkeys.__all__) if part(path) in {"cli", "testing"} else set()
    # What the blocking service gives is public there, and made by the descriptors of `sync`.
    twins = {"sync"} if path == PACKAGE / "server" / "blocking.py" else set()
    assert imported(path) - public - twins <= allowed(part(path))


def test_no_files_import_each_other_in_a_circle():
    """Whatever is imported where it is used, or for type checkers alone, counts as well."""
    imports = imports_of_files()
    assert len(tuple(TopologicalSorter(imports).static_order())) == len(imports)


def test_no_folders_import_each_other_in_a_circle():
    """Who looks into a room finds what it stands on below it, but where `CROWDED` says otherwise.

    The files of the package itself are no room: each of them is on a floor of its own.
    """
    rooms: dict[str, set[str]] = {}
    for name, files in imports_of_files().items():
        rooms.setdefault(room(name), set()).update(map(room, files))
    for name, below in rooms.items():
        crowded = {other for pair in CROWDED if name in pair for other in pair}
        below.difference_update({"", name}, crowded)
    TopologicalSorter(rooms | {"": set()}).prepare()


def imports_of_files() -> dict[str, set[str]]:
    """Return what each file of the package imports of it."""
    files = {name_of(path): path for path in MODULES}
    imports = {name: files_imported(path) & set(files) - {name} for name, path in files.items()}
    # The public names are imported when they are first used.
    return imports | {"agentkeys": set()}


def room(name: str) -> str:
    """Return the folder that a file is in, below the package."""
    path = PACKAGE.parent / name.replace(".", "/")
    folder = path if path.is_dir() else path.parent
    return "/".join(folder.relative_to(PACKAGE).parts)


def name_of(path: Path) -> str:
    """Return what a module is imported as."""
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def files_imported(path: Path) -> set[str]:
    """Return the modules that a module imports, each by the name of its file."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module:
            inner = {f"{node.module}.{alias.name}" for alias in node.names}
            names |= {name if find(name) else node.module for name in inner}
        elif isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
    return names


def find(name: str) -> bool:
    path = PACKAGE.parent / name.replace(".", "/")
    return path.with_suffix(".py").is_file() or (path / "__init__.py").is_file()


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
    assert with_aiohttp == sending | {"client.py", "service.py"}


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
