"""Edit the file that lists the profiles. Comments and unchanged parts stay.

The file is edited as text. The new text is parsed before it replaces the file: if it does not have
exactly the intended content, because the file is written in another form, nothing is changed, and
the error says to edit it by hand.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
from collections.abc import Callable
from dataclasses import fields, replace
from functools import partial, reduce
from typing import TYPE_CHECKING, Final, TypeAlias

from agentkeys import filesystem, locks
from agentkeys.errors import ProfileError
from agentkeys.profiles import config
from agentkeys.profiles.config import Config, Profile
from agentkeys.secret import Secret

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["add", "remove", "use"]

_DEFAULT: Final = re.compile(r"^default\s*=.*\n?", re.MULTILINE)
_HEADER: Final = re.compile(r"^\s*\[", re.MULTILINE)


Change: TypeAlias = tuple[Config, Callable[[str], str]]
"""The intended content of the file, and the function that edits its text."""


def add(profile: Profile, *, replacing: bool = False) -> Config:
    """Add a profile; return the new content of the file.

    Raises:
        ProfileError: the profile exists and must not be replaced; or the file cannot be changed.
    """

    def added(before: Config) -> Change:
        services = before.profiles.get(profile.name, {})
        if profile.service in services and not replacing:
            raise ProfileError(
                f"the profile {profile.name!r} already has an account of {profile.service}: add"
                " --replace to replace it"
            )
        after = {**before.profiles, profile.name: {**services, profile.service: profile}}
        return replace(before, profiles=after), partial(_with, profile)

    return _edited(added)


def use(name: str | None) -> Config:
    """Make a profile the default; None for no default. Return the new content of the file."""

    def used(before: Config) -> Change:
        if name is not None:
            before.named(name)
        return replace(before, default=name), partial(_with_default, name)

    return _edited(used)


def remove(name: str, service: str | None = None) -> Config:
    """Remove a profile, or one account of it; return the new content of the file.

    If nothing of it is left, it is no longer the default.
    """

    def removed(before: Config) -> Change:
        services = before.named(name)
        gone = set(services) if service is None else {before.profile(name, service).service}
        left = {key: value for key, value in services.items() if key not in gone}
        others = {key: value for key, value in before.profiles.items() if key != name}
        after = replace(before, profiles=others | ({name: left} if left else {}))
        edits = [partial(_without, name, each) for each in gone]
        if not left and before.default == name:
            after = replace(after, default=None)
            edits.append(partial(_with_default, None))
        return after, lambda text: reduce(lambda done, edit: edit(done), edits, text)

    return _edited(removed)


def _with(profile: Profile, text: str) -> str:
    kept = _without(profile.name, profile.service, text).rstrip()
    return f"{kept}\n\n{_table(profile)}" if kept else _table(profile)


def _table(profile: Profile) -> str:
    lines = [f"[profiles.{profile.name}.{profile.service}]"]
    for field in fields(profile)[2:]:
        value = getattr(profile, field.name)
        if value != field.default:
            shown = value.reveal() if isinstance(value, Secret) else value
            # TOML escapes printable characters as JSON does.
            lines.append(f"{field.name} = {json.dumps(shown, ensure_ascii=False)}")
    return "\n".join(lines) + "\n"


def _without(name: str, service: str, text: str) -> str:
    """Remove a table, from its header to the next one, but not the comment above the next."""
    header = re.search(rf"^\[profiles\.{name}\.{service}\].*\n?", text, re.MULTILINE)
    if header is None:
        return text
    following = _HEADER.search(text, header.end())
    end = following.start() if following else len(text)
    lines = text[header.end() : end].splitlines(keepends=True)
    while lines and (not lines[-1].strip() or lines[-1].lstrip().startswith("#")):
        end -= len(lines.pop())
    return text[: header.start()] + text[end:].lstrip("\n")


def _with_default(name: str | None, text: str) -> str:
    line = "" if name is None else f'default = "{name}"\n'
    first = _HEADER.search(text)
    end = first.start() if first else len(text)
    head, tables = text[:end], text[end:]
    if _DEFAULT.search(head):
        return _DEFAULT.sub(line, head, count=1) + tables
    return f"{line}{chr(10) if line and text.strip() else ''}{text}"


def _edited(change: Callable[[Config], Change]) -> Config:
    """Change the file under a lock; return its new content."""
    path = config.file()
    failure = ""
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        real = filesystem.trusted_path(path)
        with _alone(real):
            after, edit = change(config.read())
            # A Secret, because comments may hold secrets.
            text = Secret(edit(real.read_bytes().decode() if real.exists() else ""))
            if config.parsed(text, path) == after:
                _replace(real, text)
                return after
    except OSError as error:  # a RefusedError is one
        failure = str(error.strerror or type(error).__name__)
    if failure:
        raise ProfileError(f"the profiles in {path} cannot be changed: {failure}")
    raise ProfileError(
        f"{path} has a form that agentkeys cannot edit, and was not changed: edit it by hand"
    )


def _replace(path: Path, text: Secret) -> None:
    new = path.with_name(f"{path.name}.new")
    new.unlink(missing_ok=True)  # of a process that was killed
    with open(filesystem.create_own(new, os.O_WRONLY), "wb") as file:  # noqa: PTH123  # a descriptor
        file.write(text.reveal().encode())
        file.flush()
        os.fsync(file.fileno())
    new.replace(path)
    filesystem.sync_folder(path.parent)


@contextlib.contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Hold the lock of a file."""
    lock = f"{path}.lock"
    descriptor = locks.hold(lock)
    if descriptor is None:
        raise ProfileError(f"another command is changing {path}: wait until it has ended")
    try:
        yield
    finally:
        locks.drop(lock, descriptor)
