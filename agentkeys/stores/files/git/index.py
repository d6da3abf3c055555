"""The entries of a git index for one path. Pure: no program is run, and no setting is read.

The format is described in gitformat-index(5). An index may come from another user, so nothing in it
is trusted: names are compared and not kept, and every length is checked.
"""

from __future__ import annotations

import hashlib
import unicodedata
from struct import error as StructError  # noqa: N812  # it is named as no class is
from struct import unpack_from
from typing import TYPE_CHECKING, Final

import attrs

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

__all__ = ["Base", "DamagedError", "Found", "find"]

_HEADER: Final = 12
_EXTENDED: Final = 0x4000
_LENGTH: Final = 0xFFF  # this long, or longer
_FOLDER: Final = 0o040000
_LONGEST: Final = 1 << 16  # bytes of a name, more than any system has in a path


class DamagedError(Exception):
    """The index is damaged, or has a newer form that is not supported."""


@attrs.frozen
class Base:
    """The shared index that a split index changes.

    Args:
        name: the name of its file.
        removed: a bitmap (EWAH) of its entries that were removed; empty for none.
    """

    name: str
    removed: bytes

    def is_removed(self, position: int) -> bool:
        """Return whether the shared index's entry at *position* was removed."""
        try:
            return bool(self.removed) and _is_set(self.removed, position)
        except StructError:
            raise DamagedError from None


@attrs.frozen
class Found:
    """The entries of an index for a path.

    Args:
        position: the entry of the path, counted from 0; None if there is none.
        alike: names that differ only in case or in the form of accents.
        folder: the entry of a whole folder that contains the path, if there is one.
        base: the shared index that also counts.
    """

    position: int | None
    alike: tuple[bytes, ...]
    folder: bytes | None
    base: Base | None


def find(data: bytes, *paths: bytes) -> tuple[Found, ...]:
    """Look for *paths* in an index in one pass, because there may be many entries.

    Raises:
        DamagedError: it cannot be read.
    """
    # The repository's settings say whether it uses SHA-1 or SHA-256. Its index shows it too.
    for digest in (hashlib.sha1, hashlib.sha256):
        try:
            return _found(data, paths, digest)
        except (ValueError, IndexError, StructError):
            continue
    raise DamagedError


def _found(
    data: bytes, paths: Sequence[bytes], digest: Callable[..., hashlib._Hash]
) -> tuple[Found, ...]:
    size = digest(usedforsecurity=False).digest_size
    body, checksum = data[:-size], data[-size:]
    # index.skipHash leaves zeros.
    if checksum not in {digest(body, usedforsecurity=False).digest(), bytes(size)}:
        raise ValueError
    entries = _Entries(body, size)
    found = [_Looking(path) for path in paths]
    for number, (mode, name) in enumerate(entries):
        folded = _folded(name)
        for each in found:
            each.look_at(number, mode, name, folded)
    extensions = dict(_extensions(body, entries.end))
    base = _base(extensions.get(b"link", b""), size)
    return tuple(each.found(base) for each in found)


class _Looking:
    """What was found of one path so far."""

    def __init__(self, path: bytes) -> None:
        self._path = path
        self._folded = _folded(path)
        self._position: int | None = None
        self._alike: list[bytes] = []
        self._folder: bytes | None = None

    def look_at(self, number: int, mode: int, name: bytes, folded: bytes) -> None:
        if name == self._path:
            self._position = number
        elif mode == _FOLDER and self._path.startswith(name):
            self._folder = name
        elif folded == self._folded:
            self._alike.append(name)

    def found(self, base: Base | None) -> Found:
        return Found(self._position, tuple(self._alike), self._folder, base)


class _Entries:
    """The mode and the name of each entry; afterwards `end` is the position after the entries."""

    def __init__(self, body: bytes, oid: int) -> None:
        signature, self._version, self._count = unpack_from(">4sII", body)
        if signature != b"DIRC" or self._version not in {2, 3, 4}:
            raise ValueError
        self._body = body
        self._oid = oid
        self.end = _HEADER

    def __iter__(self) -> Iterator[tuple[int, bytes]]:
        name = b""
        for _ in range(self._count):
            (mode,) = unpack_from(">I", self._body, self.end + 24)
            (flags,) = unpack_from(">H", self._body, self.end + 40 + self._oid)
            at = self.end + 42 + self._oid + (2 if flags & _EXTENDED else 0)
            name = self._name(at, name)
            if len(name) > _LONGEST or min(len(name), _LENGTH) != flags & _LENGTH:
                raise ValueError
            yield mode, name

    def _name(self, at: int, before: bytes) -> bytes:
        """Return the name at *at*, and set `end` to the position after it."""
        if self._version == 4:  # it gives the length that it does not share with the last name
            cut, at = _number(self._body, at)
            if cut > len(before):
                raise ValueError
            stop = self._body.index(b"\0", at)
            self.end = stop + 1
            return before[: len(before) - cut] + self._body[at:stop]
        stop = self._body.index(b"\0", at)
        self.end += (stop - self.end + 8) & ~7  # 1 to 8 zeros
        return self._body[at:stop]


def _number(body: bytes, at: int) -> tuple[int, int]:
    """Return a number of variable length, and its end."""
    value = body[at] & 127
    while body[at] & 128:
        at += 1
        value = ((value + 1) << 7) + (body[at] & 127)
        if value > _LONGEST:
            raise ValueError
    return value, at + 1


def _extensions(body: bytes, at: int) -> Iterator[tuple[bytes, bytes]]:
    while at < len(body):
        name, size = unpack_from(">4sI", body, at)
        at += 8 + size
        # An extension with a lower-case name must be understood.
        if at > len(body) or not (b"A" <= name[:1] <= b"Z" or name in {b"link", b"sdir"}):
            raise ValueError
        yield name, body[at - size : at]


def _base(link: bytes, size: int) -> Base | None:
    oid, removed = link[:size], link[size:]
    return Base(f"sharedindex.{oid.hex()}", removed) if any(oid) else None


def _is_set(bitmap: bytes, position: int) -> bool:
    """Return a bit of a bitmap: runs of equal words, each followed by literal words."""
    (count,) = unpack_from(">I", bitmap, 4)
    at, word = 0, 0
    while word < count:
        (run,) = unpack_from(">Q", bitmap, 8 + 8 * word)
        at += (run >> 1 & 0xFFFFFFFF) * 64
        if position < at:
            return bool(run & 1)
        literals, word = run >> 33, word + 1
        if position < at + literals * 64:
            (bits,) = unpack_from(">Q", bitmap, 8 + 8 * (word + (position - at) // 64))
            return bool(bits >> ((position - at) % 64) & 1)
        at += literals * 64
        word += literals
    return False


def _folded(name: bytes) -> bytes:
    if name.isascii():
        return name.lower()
    text = name.decode(errors="surrogateescape")
    return unicodedata.normalize("NFC", text).casefold().encode(errors="surrogateescape")
