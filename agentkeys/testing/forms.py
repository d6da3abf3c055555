"""Where a text holds a secret, in whatever way it is written."""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from agentkeys.errors import InvalidArgumentError
from agentkeys.masking import forms_of
from agentkeys.secret import MASK, Secret

# A shorter one would be found where it is not, as a part of something else.
_SHORTEST: Final = 8
# Colours, and the ends of lines with the frames that a terminal's tables have beside them.
_COLOURS: Final = re.compile("\x1b\\[[0-9;]*[A-Za-z]")
_LINE_ENDS: Final = re.compile(r"[ \t│┃|]*\r?\n[ \t│┃|]*")
_ENCODINGS: Final = ("utf-8", "utf-16-le", "utf-16-be")


class Found(NamedTuple):
    """How a secret is written where it shows ("" if as it is), and in which line from 1."""

    how: str
    line: int | None


class Watched:
    """A secret that must not show.

    Attributes:
        name: what a failure calls it.
    """

    def __init__(self, name: str, secret: Secret) -> None:
        if len(secret.reveal()) < _SHORTEST:
            raise InvalidArgumentError(
                f"a secret of fewer than {_SHORTEST} characters cannot be watched: it would be"
                " found by chance"
            )
        self.name = name
        # Longest first, so that masking one does not cut into another.
        forms = sorted(forms_of(secret.reveal()), key=lambda form: -len(form[1]))
        self._forms = tuple((how, Secret(form)) for how, form in forms)
        # A report indents each line of a text, and so of a secret that has several.
        lines = secret.reveal().splitlines()
        self._lines = tuple(Secret(line) for line in lines if len(line) >= _SHORTEST)

    def __repr__(self) -> str:
        return f"<Watched: {self.name}>"

    def found_in(self, content: str | bytes) -> Found | None:
        """Return how and where *content* shows it, None if it does not."""
        return self._in_text(content) if isinstance(content, str) else self._in_bytes(content)

    def _in_text(self, text: str) -> Found | None:
        plain = _COLOURS.sub("", text)
        for how, form in self._forms:
            at = plain.find(form.reveal())
            if at >= 0:
                return Found(how, plain.count("\n", 0, at) + 1)
        if "\n" in plain and self._in_text(_LINE_ENDS.sub("", plain)):
            return Found("broken over lines", None)
        return None

    def _in_bytes(self, data: bytes) -> Found | None:
        for encoding in _ENCODINGS:
            for how, form in self._forms:
                at = data.find(form.reveal().encode(encoding, "surrogatepass"))
                if at >= 0:
                    return Found(how, data.count(b"\n", 0, at) + 1)
        return None

    def masked_in(self, text: str) -> str:
        """Return *text* without it."""
        for form in (*(form for _, form in self._forms), *self._lines):
            text = text.replace(form.reveal(), MASK)
        return text
