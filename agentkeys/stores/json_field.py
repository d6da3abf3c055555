"""One field of a JSON object as text. The rest of the text stays the same, byte for byte."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Final

import attrs

from agentkeys.secret import Secret

__all__ = ["FieldError", "field_in", "with_field", "without_field"]

_SPACE: Final = re.compile(r"[ \t\r\n]*")
_DECODER: Final = json.JSONDecoder()


class FieldError(Exception):
    """The text has no usable field. The message is a clause without any of the text."""


@attrs.frozen
class _Member:
    """A member: the start of its name, and the start and end of its value."""

    name: str
    begin: int
    value: int
    end: int


def field_in(text: Secret, name: str) -> Secret | None:
    """Return the value of a field; None if there is no such field, or it is null.

    Raises:
        FieldError: the text is not a JSON object, or the value is not a string.
    """
    member = _only([each for each in _members(text) if each.name == name])
    if member is None or text.reveal()[member.value : member.end] == "null":
        return None
    if text.reveal()[member.value] != '"':
        raise FieldError("the value of this field is not a string")
    return Secret(json.loads(text.reveal()[member.value : member.end]))


def with_field(text: Secret, name: str, value: Secret) -> Secret:
    """Return the text with a new value of a field; a new field comes last."""
    members = _members(text)
    member = _only([each for each in members if each.name == name])
    if member is not None:
        return _spliced(text, member.value, member.end, _quoted(value))
    new = Secret(f"{json.dumps(name, ensure_ascii=False)}: {_quoted(value).reveal()}")
    if not members:
        return Secret(f"{{{new.reveal()}}}")
    return _spliced(text, members[-1].end, members[-1].end, Secret(f", {new.reveal()}"))


def without_field(text: Secret, name: str) -> Secret:
    """Return the text without a field."""
    members = _members(text)
    member = _only([each for each in members if each.name == name])
    if member is None:
        return text
    at = members.index(member)
    if len(members) == 1:
        return Secret("{}")
    if at == 0:
        return _spliced(text, member.begin, members[1].begin, Secret(""))
    return _spliced(text, members[at - 1].end, member.end, Secret(""))


def _only(members: list[_Member]) -> _Member | None:
    if len(members) > 1:
        raise FieldError("the JSON object has this field twice")
    return members[0] if members else None


def _spliced(text: Secret, begin: int, end: int, new: Secret) -> Secret:
    return Secret(f"{text.reveal()[:begin]}{new.reveal()}{text.reveal()[end:]}")


def _quoted(value: Secret) -> Secret:
    return Secret(json.dumps(value.reveal(), ensure_ascii=False))


def _members(text: Secret) -> list[_Member]:
    members: list[_Member] | None
    try:
        members = [*_walked(text.reveal())]
    except (ValueError, RecursionError):  # its frames hold the text
        members = None
    if members is None:
        raise FieldError("the value is not a JSON object")
    return members


def _walked(content: str) -> Iterator[_Member]:
    if not isinstance(json.loads(content), dict):  # the code below relies on this
        raise ValueError  # noqa: TRY004  # one error for every other value
    at = _after_space(content, content.index("{") + 1)
    while content[at] != "}":
        begin = at
        name, at = _DECODER.raw_decode(content, at)
        value = _after_space(content, content.index(":", at) + 1)
        _, end = _DECODER.raw_decode(content, value)
        yield _Member(name, begin, value, end)
        at = _after_space(content, end)
        if content[at] == ",":
            at = _after_space(content, at + 1)


def _after_space(content: str, at: int) -> int:
    space = _SPACE.match(content, at)
    return space.end() if space else at
