"""How a secret may be written, and where text holds it in one of these ways."""

from __future__ import annotations

import base64
import html
import json
import re
from typing import TYPE_CHECKING, Final, NamedTuple
from urllib.parse import quote, quote_plus

from agentkeys.errors import InvalidArgumentError
from agentkeys.secret import MASK, Secret

if TYPE_CHECKING:
    from collections.abc import Iterator

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
        forms = sorted(_forms(secret.reveal()), key=lambda form: -len(form[1]))
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


def _forms(value: str) -> Iterator[tuple[str, str]]:
    data = value.encode("utf-8", "surrogatepass")
    quoted = quote(value, safe="", errors="replace")
    in_json = json.dumps(value)[1:-1]
    in_utf8 = json.dumps(value, ensure_ascii=False)[1:-1]
    # The first way that gives a form names it.
    ways = {
        "": (value,),
        "percent-encoded": (
            quoted,
            quote(value, errors="replace"),
            quote_plus(value, errors="replace"),
            re.sub("%..", lambda found: found[0].lower(), quoted),
        ),
        "JSON-escaped": (in_json, in_utf8, in_json.replace("/", r"\/")),
        "as a Python literal": (repr(value)[1:-1], repr(data)[2:-1]),
        "HTML-escaped": (html.escape(value), html.escape(value, quote=False)),
        "in hexadecimal": (data.hex(), data.hex().upper()),
        "in Base64": _in_base64(data),
    }
    seen = set()
    for how, forms in ways.items():
        for form in forms:
            if form not in seen:
                seen.add(form)
                yield how, form


def _in_base64(data: bytes) -> Iterator[str]:
    """Return what Base64 makes of *data* wherever it stands in something longer.

    The characters at either end that depend on what stands beside it are left out.
    """
    for before in range(3):
        encoded = base64.b64encode(b"\0" * before + data).decode()
        whole = len(data) + before
        end = len(encoded) if whole % 3 == 0 else -4 + whole % 3
        form = encoded[(0, 2, 3)[before] : end]
        yield form
        yield form.translate(str.maketrans("+/", "-_"))
