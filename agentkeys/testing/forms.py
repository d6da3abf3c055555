"""Find a secret in a text, in any encoding."""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from agentkeys.errors import InvalidArgumentError
from agentkeys.masking import forms_of
from agentkeys.secret import MASK, Secret

# A shorter secret would be found by chance, as a part of another word.
_SHORTEST: Final = 8
# Colours, and line ends with the frames of a terminal's tables beside them.
_COLOURS: Final = re.compile("\x1b\\[[0-9;]*[A-Za-z]")
_LINE_ENDS: Final = re.compile(r"[ \t│┃|]*\r?\n[ \t│┃|]*")
_ENCODINGS: Final = ("utf-8", "utf-16-le", "utf-16-be")


class Found(NamedTuple):
    """The encoding of a secret that was found ("" for none), and its line from 1."""

    how: str
    line: int | None


class Watched:
    """A secret that must not show.

    Attributes:
        name: its name in a failure.
    """

    def __init__(self, name: str, secret: Secret) -> None:
        if len(secret.reveal()) < _SHORTEST:
            raise InvalidArgumentError(
                f"a secret of fewer than {_SHORTEST} characters cannot be watched: it would be"
                " found by chance"
            )
        self.name = name
        # Longest first, so that masking one form does not cut into another.
        forms = sorted(forms_of(secret.reveal()), key=lambda form: -len(form[1]))
        self._forms = tuple((how, Secret(form)) for how, form in forms)
        # A report indents each line of a text, and so of a secret with several lines.
        lines = secret.reveal().splitlines()
        self._lines = tuple(Secret(line) for line in lines if len(line) >= _SHORTEST)

    def __repr__(self) -> str:
        return f"<Watched: {self.name}>"

    def found_in(self, content: str | bytes) -> Found | None:
        """Return the encoding and line of the secret in *content*; None if it is not there."""
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
        """Return *text* with the secret masked."""
        for form in (*(form for _, form in self._forms), *self._lines):
            text = text.replace(form.reveal(), MASK)
        return text
