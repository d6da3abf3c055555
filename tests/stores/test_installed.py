"""Stores of installed packages: real ones, as pip leaves them, on the path of this process."""

from __future__ import annotations

import asyncio
import importlib
import itertools
import subprocess
import sys

import pytest
from leaks import shown
from packages import MEMORY, install
from programs import loaded_by, printed_by

from agentkeys import ConfigurationError, InvalidArgumentError, Secret, StoreError
from agentkeys.schemes import FORMS
from agentkeys.stores import open_store
from agentkeys.stores.addresses import _OPENING

KEY = Secret("agk_live_0123456789abcdef")
PASTED = "agk_live_pasted_0123456789"
_numbers = itertools.count()


@pytest.fixture
def scheme():
    """Return one that no test had before: what was imported once stays."""
    return f"scheme{next(_numbers)}"


@pytest.fixture
def path(tmp_path, monkeypatch):
    """Return a folder from which this process imports."""
    folder = tmp_path / "site-packages"
    folder.mkdir()
    monkeypatch.syspath_prepend(folder)
    return folder


def refusal(address, kind=ConfigurationError):
    """Return what `open_store` says of an address; no error of a package's is behind it."""
    importlib.invalidate_caches()
    with pytest.raises(kind) as refused:
        open_store(address)
    assert PASTED in address or PASTED not in shown(refused.value)
    assert refused.value.__context__ is None
    return str(refused.value)


def test_an_installed_package_has_a_scheme(path, scheme):
    """Its address opens its store, which keeps secrets."""
    install(path, scheme)
    store = open_store(f"{scheme}:a place")
    asyncio.run(store.write(KEY))
    assert asyncio.run(open_store(store.address).read()).secret == KEY


def test_a_package_that_is_installed_later_is_found(path, scheme):
    """A notebook runs on while it is."""
    refusal(f"{scheme}:x", InvalidArgumentError)
    install(path, scheme)
    importlib.invalidate_caches()
    assert open_store(f"{scheme}:x").address == f"{scheme}:x"


def test_a_package_is_imported_when_an_address_needs_it(path, scheme):
    """And not before, though its scheme is listed."""
    install(path, scheme, "raise RuntimeError")
    assert f"{scheme}:..." in refusal("nobody:x", InvalidArgumentError)
    assert scheme not in sys.modules


def test_a_scheme_of_ours_is_ours(path):
    """No package can have the addresses of another store."""
    install(path, "memory", package="an-intruder")
    assert type(open_store("memory:x")).__module__ == "agentkeys.stores.memory"


def test_a_scheme_of_ours_costs_no_search():
    """The metadata of all packages is read for schemes that are not ours."""
    code = "from agentkeys.stores import open_store; open_store('memory:x')"
    assert "importlib.metadata" not in loaded_by(code)


def test_every_form_of_an_address_is_of_a_scheme():
    """What errors and help list is what can be opened."""
    assert sorted(FORMS) == sorted(_OPENING)
    assert all(form.startswith(f"{scheme}:") for scheme, form in FORMS.items())


@pytest.mark.parametrize("address", [f"{PASTED}:x", f"x:{PASTED}", PASTED, f"{PASTED}:{PASTED}"])
def test_what_nobody_knows_is_not_repeated(address):
    """Somebody may have pasted a secret. The sentence lists what there is."""
    said = refusal(address, InvalidArgumentError)
    assert PASTED not in said
    assert all(form in said for form in FORMS.values())


@pytest.mark.parametrize("name", ["Upper", "1st", "_x", "a b", "a_b"])
def test_what_is_no_scheme_is_not_looked_up(path, name):
    """A scheme is what RFC 3986 says, in lower case."""
    install(path, "package", value="package:Store", package="odd")
    metadata = path / "odd-1.0.dist-info" / "entry_points.txt"
    metadata.write_text(f"[agentkeys.stores]\n{name} = package:Store\n")
    assert f"{name}:..." not in refusal(f"{name}:x", InvalidArgumentError)


def test_two_packages_of_one_scheme_are_named(path, tmp_path, scheme, monkeypatch):
    """Nobody may guess which of them has the secret."""
    install(path, scheme, package="first-one")
    monkeypatch.syspath_prepend(install(tmp_path / "more", scheme, package="second-one"))
    said = refusal(f"{scheme}:x")
    assert "first-one and second-one: uninstall all but one" in said


def test_one_package_that_is_there_twice_is_one(path, tmp_path, scheme, monkeypatch):
    """An editable install and what it was before are both on the path."""
    install(path, scheme)
    monkeypatch.syspath_prepend(install(tmp_path / "more", scheme))
    assert open_store(f"{scheme}:x").address == f"{scheme}:x"


def test_a_package_whose_metadata_cannot_be_read_has_a_sentence(path, scheme):
    """It may be any package, and have nothing to do with stores."""
    install(path, scheme)
    (path / "broken-1.0.dist-info").mkdir()
    (path / "broken-1.0.dist-info" / "METADATA").write_text("Name: broken\n")
    (path / "broken-1.0.dist-info" / "entry_points.txt").write_bytes(b"\xff\xfe")
    assert "cannot be read (UnicodeDecodeError): reinstall" in refusal(f"{scheme}:x")


def test_a_package_is_looked_up_once(path, scheme, monkeypatch):
    """A search reads the metadata of all packages, and an audit opens hundreds of stores."""
    install(path, scheme)
    open_store(f"{scheme}:x")
    monkeypatch.setattr(sys, "path", [])  # where packages are searched
    assert open_store(f"{scheme}:y").address == f"{scheme}:y"


RAISES = f"raise RuntimeError({PASTED!r})"
CALLED = f"def Store(place):\n    {RAISES}"
LACKS = """
    class Store:
        def __init__(self, place): self.address = f"{__name__}:{place}"
        readable = True
        async def read(self): ...
        async def write(self, secret, *, expected=None): ...
"""
ELSEWHERE = MEMORY.replace("{__name__}:", "elsewhere:")
NAMELESS = ELSEWHERE.replace('f"elsewhere:{place}"', "None")
BROKEN = [
    (RAISES, "cannot be loaded: RuntimeError was raised"),
    ("import sys; sys.exit(3)", "cannot be loaded: SystemExit was raised"),
    ("import not_there.at_all", "cannot be loaded: there is no module 'not_there'"),
    ("", "cannot be loaded: AttributeError was raised"),
    ("Store = 5", "cannot be loaded: its entry point cannot be called"),
    (CALLED, "RuntimeError was raised: check the address"),
    ("import sys\ndef Store(place): sys.exit(3)", "SystemExit was raised"),
    ("def Store(place): return None", "of type NoneType, has no address, describe, probe, read"),
    (LACKS, "of type Store, has no describe, probe, remove: update the package"),
    (ELSEWHERE, "of type Store, has an address that no sweep can open: update the package"),
    (ELSEWHERE.replace("elsewhere:", ""), "has an address that no sweep can open"),
    (NAMELESS, "AttributeError was raised: check the address"),
]


@pytest.mark.parametrize(("code", "reason"), BROKEN, ids=lambda each: each.strip()[:30])
def test_a_broken_package_has_a_sentence(path, scheme, code, reason):
    """It says what is broken and names the package, but nothing of what the package says."""
    install(path, scheme, code)
    said = refusal(f"{scheme}:x")
    assert reason in said
    assert f"{scheme}-package" in said


@pytest.mark.parametrize("when", ["loaded", "called"])
def test_a_package_may_say_what_to_do(path, scheme, when):
    """An error of ours goes through, like that of an extra which is not installed."""
    what = "raise ConfigurationError('pip install it[all]')"
    code = what if when == "loaded" else f"def Store(place): {what}"
    install(path, scheme, f"from agentkeys import ConfigurationError\n{code}")
    assert refusal(f"{scheme}:x") == "pip install it[all]"


def test_a_scheme_may_stand_for_another_one(path, scheme):
    """A package of a team can name the places of its secrets."""
    code = """
        from agentkeys.stores import open_store
        def Store(place): return open_store(f"memory:team {place}")
    """
    install(path, scheme, code)
    assert open_store(f"{scheme}:bot").address == "memory:team bot"


def test_the_command_line_takes_it(path, scheme, tmp_path):
    """Of a broken one it prints the sentence."""
    install(path, scheme, RAISES)
    ended = subprocess.run(
        [sys.executable, "-m", "agentkeys", "agentity", "create", "bot", "--save", f"{scheme}:x"],
        env={"PATH": "", "HOME": str(tmp_path), "PYTHONPATH": str(path)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ended.returncode == 2
    assert "cannot be loaded: RuntimeError was raised" in ended.stderr
    assert PASTED not in ended.stderr


def test_what_a_store_class_needs_is_public():
    """All of it comes from one place, and threads are imported when they are used."""
    names = "ABSENT, ANY, Stored, Version, check_expected, check_secret"
    assert "asyncio" not in loaded_by(f"from agentkeys.stores import {names}")
    names = "AtWork, in_thread"
    assert printed_by(f"from agentkeys.stores import {names}\nprint(AtWork, in_thread)")
    with pytest.raises(StoreError):
        raise StoreError("errors are where all errors are", store="a place")
