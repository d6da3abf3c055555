"""The repository of a file, found and read as by git, without running anything that git would run.

The folder's own files are read as data: where a linked worktree has its folder, and where the
worktree is. A folder that is a repository itself (bare) is ignored, because a clone can contain
one. The environment (GIT_DIR, GIT_INDEX_FILE) is ignored too, because a later commit may run
without it.
"""

from __future__ import annotations

import enum
import os
import shlex
import stat
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

import attrs

from agentkeys import filesystem
from agentkeys.stores.files.git import ignore, index, settings

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

__all__ = ["CouldNotLook", "Tracked", "Tracking", "is_exposed", "tracked"]

_INDEX_BOUND: Final = 256 << 20
_BOUND: Final = 1 << 20  # for all other files
_HEX: Final = frozenset("0123456789abcdef")


class Tracked(enum.Enum):
    """Whether git tracks a file."""

    YES = "yes"
    NO = "no"


@attrs.frozen
class CouldNotLook:
    """It is not known whether git tracks a file.

    Args:
        reason: why, and what to do.
    """

    reason: str


Tracking: TypeAlias = Literal[Tracked.YES, Tracked.NO] | CouldNotLook
"""The three answers to whether git tracks a file."""


class _CouldNotLookError(Exception):
    pass


@attrs.frozen
class _Repository:
    """A repository.

    Args:
        folder: the folder that contains ``.git``.
        git: git's own folder, of this worktree.
        common: git's folder for all worktrees.
    """

    folder: Path
    git: Path
    common: Path


def tracked(path: str, *others: str) -> tuple[Tracking, ...]:
    """Return whether git tracks a file, and other files of its repository, in one pass.

    Args:
        path: the file, without links. It need not exist. It determines the repository.
        others: the other files.
    """
    files = [Path(each) for each in (path, *others)]
    try:
        repository = _repository_of(files[0])
        if repository is None:
            return (Tracked.NO,) * len(files)
        _check_owner(repository)
        worktrees = {repository.folder, _worktree(repository)}
        in_index = {file for each in worktrees for file in _in_index(repository, each, files)}
    except _CouldNotLookError as error:
        reason = str(error)
    except index.DamagedError:
        reason = "its index is damaged: run git status, which shows the problem"
    except OSError as error:
        reason = error.strerror or type(error).__name__
    else:
        return tuple(Tracked.YES if file in in_index else Tracked.NO for file in files)
    return (CouldNotLook(reason),) * len(files)


def is_exposed(path: str) -> bool:
    """Return whether the next ``git add`` would add a file that git does not track yet."""
    file = Path(path)
    try:
        repository = _repository_of(file)
    except (_CouldNotLookError, OSError):
        return False
    if repository is None:
        return False
    parts = file.relative_to(repository.folder).parts
    return ".git" not in parts and not _is_ignored(repository, parts)


def _repository_of(file: Path) -> _Repository | None:
    for folder in file.parents:
        if not os.path.lexists(f"{folder}/.git"):  # a fast path, as most folders have none
            continue
        git = _git_folder(folder / ".git")
        if git is not None:
            return _Repository(folder, git, _common(git))
    return None


def _git_folder(path: Path) -> Path | None:
    """Return git's own folder, which ``.git`` is or names; None if it is neither."""
    try:
        mode = path.stat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        return None
    if stat.S_ISDIR(mode):
        return path if _is_git_folder(path) else None
    named = _first_line(path)
    folder = path.parent / named.removeprefix("gitdir:").strip()
    if named.startswith("gitdir:") and _is_git_folder(folder):
        return folder
    raise _CouldNotLookError(f"{path} does not name a repository")


def _is_git_folder(path: Path) -> bool:
    common = _common(path)
    has_folders = (common / "objects").is_dir() and (common / "refs").is_dir()
    return has_folders and _is_head(path / "HEAD")


def _is_head(path: Path) -> bool:
    try:
        head = os.readlink(path) if path.is_symlink() else _first_line(path)  # noqa: PTH115
    except FileNotFoundError:
        return False
    is_reference = head.removeprefix("ref:").strip().startswith("refs/")
    return is_reference or (len(head) >= 40 and _HEX.issuperset(head[:40].lower()))


def _common(git: Path) -> Path:
    try:
        return git / _first_line(git / "commondir")
    except (FileNotFoundError, NotADirectoryError):
        return git


def _first_line(path: Path) -> str:
    return os.fsdecode(filesystem.read(path, at_most=_BOUND)).partition("\n")[0].rstrip("\r")


def _check_owner(repository: _Repository) -> None:
    """Refuse the repository of another user, as git does (safe.directory)."""
    ours = {os.geteuid()}
    if os.geteuid() == 0 and (user := os.environ.get("SUDO_UID", "")).isdecimal():
        ours.add(int(user))
    places = (repository.folder, repository.folder / ".git", repository.git)
    others = [place for place in places if place.lstat().st_uid not in ours]
    if others and not _is_safe(repository.folder):
        raise _CouldNotLookError(
            f"detected dubious ownership in repository at '{repository.folder}': {others[0]}"
            " belongs to another user. To add an exception for this directory, call: git config"
            f" --global --add safe.directory {shlex.quote(str(repository.folder))}"
        )


def _is_safe(folder: Path) -> bool:
    is_safe = False
    for name, value in settings.users():
        if name == "safe.directory":
            is_safe = bool(value) and (is_safe or _is_meant(value, folder))
    return is_safe


def _is_meant(value: str, folder: Path) -> bool:
    place = settings.expanded(value.removesuffix("/*"))
    if value == "*":
        return True
    if not place.is_absolute():
        return False
    place = place.resolve()
    return place in folder.parents if value.endswith("/*") else place == folder


def _worktree(repository: _Repository) -> Path:
    """Return the folder of the files: beside ``.git``, unless the repository sets another."""
    files = (repository.common / "config", repository.git / "config.worktree")
    named = [
        value
        for file in files
        for name, value in settings.in_file(file, includes=0)
        if name == "core.worktree" and value
    ]
    return (repository.git / named[-1]).resolve() if named else repository.folder


def _in_index(repository: _Repository, worktree: Path, files: Sequence[Path]) -> set[Path]:
    """Return the files that are in the index."""
    within = [file for file in files if worktree in file.parents]
    names = [os.fsencode(file.relative_to(worktree)) for file in within]
    layers = _layers(repository.git, names) if names else []
    return {
        file
        for file, *found in zip(within, *layers, strict=True)
        if layers and _is_among(worktree, file, found)
    }


def _layers(git: Path, names: Sequence[bytes]) -> list[tuple[index.Found, ...]]:
    """Return the entries of the index for each name, and those of its shared index, if any."""
    found = _found(git / "index", names)
    if found is None:
        return []
    base = found[0].base
    if base is None:
        return [found]
    shared = _found(git / base.name, names)
    if shared is None:
        raise _CouldNotLookError(f"{base.name}, a part of git's index, does not exist")
    return [found, tuple(_but_removed(each, base) for each in shared)]


def _but_removed(shared: index.Found, base: index.Base) -> index.Found:
    is_removed = shared.position is not None and base.is_removed(shared.position)
    return attrs.evolve(shared, position=None) if is_removed else shared


def _is_among(worktree: Path, file: Path, layers: Sequence[index.Found]) -> bool:
    if any(each.position is not None for each in layers) or _is_alike(worktree, file, layers):
        return True
    for each in layers:
        if each.folder is not None:
            raise _CouldNotLookError(
                f"git's index is sparse and has {os.fsdecode(each.folder)} as a whole:"
                " run git sparse-checkout reapply --no-sparse-index"
            )
    return False


def _found(path: Path, names: Sequence[bytes]) -> tuple[index.Found, ...] | None:
    try:
        return index.find(filesystem.read(path, at_most=_INDEX_BOUND), *names)
    except FileNotFoundError:
        return None
    except index.DamagedError:
        reason = "run git status, which shows the problem"
    except OSError as error:
        reason = error.strerror or type(error).__name__
    raise _CouldNotLookError(f"{path} cannot be read: {reason}")


def _is_alike(worktree: Path, file: Path, layers: Sequence[index.Found]) -> bool:
    """Return whether git tracks the file by another spelling that is the same file here."""
    names = (worktree / os.fsdecode(name) for each in layers for name in each.alike)
    return file.exists() and any(name.exists() and name.samefile(file) for name in names)


def _is_ignored(repository: _Repository, parts: Sequence[str]) -> bool:
    """Return whether a path or one of its folders is ignored."""
    everywhere = [(0, each) for each in _patterns_for_all(repository)]
    nearest_first: list[tuple[int, list[ignore.Pattern]]] = []
    for depth in range(len(parts)):
        folder = repository.folder.joinpath(*parts[:depth])
        nearest_first.insert(0, (depth, _patterns(folder / ".gitignore", follow=False)))
        is_folder = depth + 1 < len(parts)
        said = (
            ignore.verdict(patterns, parts[start : depth + 1], is_folder=is_folder)
            for start, patterns in [*nearest_first, *everywhere]
        )
        if next((each for each in said if each is not None), False):
            return True
    return False


def _patterns_for_all(repository: _Repository) -> Iterator[list[ignore.Pattern]]:
    yield _patterns(repository.common / "info" / "exclude")
    named = [value for name, value in settings.users() if name == "core.excludesfile"]
    yield _patterns(settings.expanded(named[-1]) if named else settings.own("ignore"))


def _patterns(path: Path, *, follow: bool = True) -> list[ignore.Pattern]:
    try:
        text = filesystem.read(path, at_most=_BOUND, follow=follow)
    except OSError:
        return []
    return ignore.parse(text.decode(errors="surrogateescape"))
