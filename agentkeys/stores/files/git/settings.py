"""The user's own settings of git, never those of a repository.

They are read as data. No program is run, because git may not be installed, as in a container.
"""

from __future__ import annotations

import os
import re
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Final

from agentkeys import filesystem

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Setting", "expanded", "in_file", "users"]

Setting = tuple[str, str]
"""A name, in lower case except for quoted parts, and its value."""

_BOUND: Final = 1 << 20
_DEEPEST: Final = 10
"""How many levels of includes are read, as in git."""

_STATEMENT: Final = re.compile(
    r"""
    [\s\ufeff]+ | [#;][^\n]*
    | \[ [^\S\n]* (?P<section>[A-Za-z0-9.-]+) (?:\s+"(?P<sub>(?:\\.|[^"\\\n])*)")? [^\S\n]* \]
    | (?P<name>[A-Za-z][A-Za-z0-9-]*) [^\S\n]*
      (?: = (?P<value> (?: [^"\\\n;#] | \\(?s:.) | "(?:[^"\\\n]|\\(?s:.))*" )* ) )?
    """,
    re.VERBOSE,
)
_ESCAPE: Final = re.compile(r'"|\\(.)', re.DOTALL)
_ESCAPED: Final = {"n": "\n", "t": "\t", "b": "\b", "\n": ""}


def users() -> Iterator[Setting]:
    """Return the settings of the system, of the user, and of the environment, in this order."""
    environment = os.environ
    if not environment.get("GIT_CONFIG_NOSYSTEM"):
        yield from in_file(Path(environment.get("GIT_CONFIG_SYSTEM", "/etc/gitconfig")))
    if "GIT_CONFIG_GLOBAL" in environment:
        yield from in_file(Path(environment["GIT_CONFIG_GLOBAL"]))
    else:
        yield from in_file(own("config"))
        yield from in_file(expanded("~/.gitconfig"))
    yield from _in_environment()


def own(name: str) -> Path:
    """Return the path of one of git's files among the user's settings."""
    home = os.environ.get("XDG_CONFIG_HOME")
    return (Path(home) if home else expanded("~/.config")) / "git" / name


def expanded(path: str) -> Path:
    """Return *path* with ``~`` expanded, if possible."""
    return Path(os.path.expanduser(path))  # noqa: PTH111  # pathlib's raises


def in_file(path: Path, *, includes: int = _DEEPEST) -> Iterator[Setting]:
    """Return the settings of a file and of its includes; none if the file cannot be read.

    Includes for some repositories only are left out.
    """
    try:
        text = filesystem.read(path, at_most=_BOUND).decode(errors="surrogateescape")
    except OSError:
        return
    for name, value in _parsed(text):
        yield name, value
        if name == "include.path" and includes:
            yield from in_file(path.parent / expanded(value), includes=includes - 1)


def _parsed(text: str) -> Iterator[Setting]:
    section, at = "", 0
    while found := _STATEMENT.match(text, at):
        at = found.end()
        if found["section"]:
            sub = "" if found["sub"] is None else f".{_plain(found['sub'])}"
            section = found["section"].lower() + sub
        elif found["name"]:
            yield f"{section}.{found['name'].lower()}", _plain((found["value"] or "").strip())


def _plain(value: str) -> str:
    return _ESCAPE.sub(lambda each: _ESCAPED.get(each[1], each[1]) if each[1] else "", value)


def _in_environment() -> Iterator[Setting]:
    count = os.environ.get("GIT_CONFIG_COUNT", "")
    for number in range(min(int(count), _BOUND) if count.isdecimal() else 0):
        name = os.environ.get(f"GIT_CONFIG_KEY_{number}")
        value = os.environ.get(f"GIT_CONFIG_VALUE_{number}")
        if name is None or value is None:
            return
        yield _lower(name), value
    try:  # the settings of `git -c`, for the programs that git runs
        for each in shlex.split(os.environ.get("GIT_CONFIG_PARAMETERS", "")):
            name, _, value = each.partition("=")
            yield _lower(name), value
    except ValueError:
        return


def _lower(name: str) -> str:
    section, dot, rest = name.partition(".")
    middle, last_dot, last = rest.rpartition(".")
    return f"{section.lower()}{dot}{middle}{last_dot}{last.lower()}"
