"""Remove secrets from texts: a whole secret is masked, a text with a piece of a secret is left out.

Use `mask` for every text that comes from outside: from a service, a program, a file's name.
"""

from __future__ import annotations

import base64
import html
import json
import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator
from typing import Final
from urllib.parse import quote, quote_plus, unquote

from agentkeys.secret import MASK, Secret

__all__ = [
    "LEFT_OUT",
    "PIECE",
    "declare_key_form",
    "forms_of",
    "key_in",
    "mask",
    "masker",
    "telling",
]

LEFT_OUT: Final = "(this text is left out: a part of a secret is in it)"
"""Replaces a text that holds a piece of a secret."""

PIECE: Final = 8
"""The number of consecutive characters of a secret that no text may hold."""

# Secrets up to this length are searched for as whole words: "a" is in every sentence.
_WORD: Final = 3
# A shorter secret, or one of letters alone, may be an ordinary word of a sentence. A mask in a
# well-known sentence would show which word the secret is.
_UNLIKE_A_WORD: Final = 16

# Not in a word that only ends in "ag_", like "flag_", but also after the forms that JSON or a URL
# give a line end or a quote.
_KEY_BEGINS: Final = r"(?:(?<![A-Za-z0-9])|(?<=%[0-9A-F]{2})|(?<=\\[nrt]))"
# The one documented way to put a key in a URL (Agentity's documentation, MCP), in any spelling.
_KEY_IN_URL: Final = r"(api_?key[\"']?(?:\s*[=:]\s*|%3D)[\"']?)[^&\s\"'<>,}]+"

_declared: Final[dict[str, None]] = {}


def declare_key_form(form: str) -> None:
    """Make `mask` find keys of this form in every text.

    Args:
        form: a regular expression. Its one group is the public part of a key, which is shown.
    """
    if re.compile(form).groups != 1:
        raise ValueError(f"the form of a key needs one group, the public part of the key: {form}")
    _declared[form] = None


def mask(text: str, secrets: Iterable[Secret] = ()) -> str:
    """Return *text* without any of *secrets*, and without anything that looks like a key.

    Returns `LEFT_OUT` if *text* holds a piece of a secret, in any encoding, and "" if a secret may
    be an ordinary word of *text*.
    """
    return masker(secrets)(text)


def masker(secrets: Iterable[Secret]) -> Callable[[str], str]:
    """Return `mask` for many texts and the same *secrets*."""
    known = [secret for secret in secrets if secret]
    says_a_word = telling(secret for secret in known if _is_like_a_word(secret.reveal()))
    others = [secret for secret in known if not _is_like_a_word(secret.reveal())]
    says_a_piece = telling(others)
    # Longest first, so that a shorter form does not cut into a longer one.
    forms = sorted(
        {form for secret in others for _, form in forms_of(secret.reveal())}, key=len, reverse=True
    )

    def masked(text: str) -> str:
        if says_a_word(text):
            return ""
        for form in forms:
            text = text.replace(form, MASK)
        text = _like_a_key().sub(lambda found: f"{_public(found)}{MASK}", text)
        return LEFT_OUT if says_a_piece(text) else text

    return masked


def key_in(text: str) -> str | None:
    """Return the text in quotes that has the form of a key, or None."""
    found = re.search(f'"({"|".join(_declared)})"', text) if _declared else None
    return found[1] if found else None


def forms_of(value: str) -> Iterator[tuple[str, str]]:
    """Yield the encoded forms of a secret, each with the name of its encoding, "" for none."""
    data = value.encode("utf-8", "surrogatepass")
    quoted = [quote(value, safe=safe, errors="replace") for safe in ("", "/")]
    in_json = [json.dumps(value, ensure_ascii=ascii_only)[1:-1] for ascii_only in (True, False)]
    # If several encodings give the same form, the first one names it.
    ways = {
        "": (value,),
        "percent-encoded": (
            *quoted,
            quote_plus(value, errors="replace"),
            *(re.sub("%..", lambda found: found[0].lower(), each) for each in quoted),
        ),
        "JSON-escaped": (*in_json, *(each.replace("/", r"\/") for each in in_json)),
        "as a Python literal": (repr(value)[1:-1], repr(data)[2:-1]),
        "HTML-escaped": (html.escape(value), html.escape(value, quote=False)),
        "in hexadecimal": (data.hex(), data.hex().upper()),
        "in Base64": _in_base64(data),
    }
    seen = {""}
    for how, forms in ways.items():
        for form in forms:
            if form not in seen:
                seen.add(form)
                yield how, form


def telling(secrets: Iterable[Secret], piece: int = PIECE) -> Callable[[str], bool]:
    """Return a function that says whether a text holds a piece of any of *secrets*.

    A piece is *piece* consecutive characters of a secret, or all of a shorter one: in upper or
    lower case, with characters in between that are neither letters nor digits, with any escapes, in
    Base64, Base32, hexadecimal or decimal. The public part of a key does not count.
    """
    words: list[str] = []
    wanted: dict[tuple[Callable[[str], str], int], set[str]] = {}
    for secret in secrets:
        value = _without_what_is_public(secret.reveal())
        if len(value) <= _WORD:
            words.append(rf"(?<!\w){re.escape(value)}(?!\w)")
            continue
        size = min(piece, len(_printing(value)))
        # "pass:word" is not an ordinary phrase about a password.
        by_letters = value.isalnum() or not _is_like_a_word(value)
        for view in (_letters, _printing) if by_letters else (_printing,):
            wanted.setdefault((view, size), set()).update(_pieces(view(value), size))
    word = re.compile("|".join(words), re.IGNORECASE) if words else None

    def tells(text: str) -> bool:
        if word is not None and word.search(text):
            return True
        return bool(wanted) and any(
            not pieces.isdisjoint(_pieces(view(reading), size))
            for reading in _readings(text)
            for (view, size), pieces in wanted.items()
        )

    return tells


def _is_like_a_word(value: str) -> bool:
    return len(value) < _UNLIKE_A_WORD or not any(map(str.isdigit, value))


def _like_a_key() -> re.Pattern[str]:
    # re caches what it has compiled.
    declared = f"{_KEY_BEGINS}(?:{'|'.join(_declared)})|" if _declared else ""
    return re.compile(f"{declared}{_KEY_IN_URL}", re.IGNORECASE)


def _public(found: re.Match[str]) -> str:
    return next((group for group in found.groups() if group is not None), "")


def _without_what_is_public(value: str) -> str:
    """Return a secret without the prefix that all keys of its service share."""
    found = _like_a_key().match(value)
    return value[len(_public(found)) :] if found else value


def _pieces(text: str, size: int) -> set[str]:
    return {text[start : start + size] for start in range(len(text) - size + 1)}


def _letters(text: str) -> str:
    """Return the letters and digits of *text*, in normal form."""
    return re.sub(r"[\W_]+", "", unicodedata.normalize("NFKC", text).casefold())


def _printing(text: str) -> str:
    """Return the printable characters of *text*, for secrets with other characters than letters."""
    folded = unicodedata.normalize("NFKC", text).casefold()
    return "".join(filter(str.isprintable, folded))


_TO_BASE64: Final = str.maketrans("-_", "+/")
_NOTATION: Final = re.compile(r"0x|u\+(?:00)?", re.IGNORECASE)
_DEEPEST: Final = 4
"""How many levels of escapes are read."""

_ESCAPES: Final = re.compile(
    r"\\u\{([0-9a-f]{1,6})\}|(?:\\|%)u([0-9a-f]{4})|\\U([0-9a-f]{8})", re.IGNORECASE
)
_OCTAL: Final = re.compile(r"\\([0-7]{3})")
_IN_BYTES: Final = re.compile(r"(?:\\x|=)(?=[0-9a-f]{2})", re.IGNORECASE)
_UNSEEN: Final = re.compile(  # the escape sequences of a terminal, and the tags of HTML
    r"\x1b\[[0-9;:<=>?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)|<[^<>]*>"
)
_BACKSLASH: Final = re.compile(r"\\([abfnrtv])|\\(.)", re.DOTALL)


def _readings(text: str) -> Iterator[str]:
    """Yield what *text* may stand for: itself, with its escapes read, and decoded."""
    for _ in range(_DEEPEST):
        yield text
        yield from _decoded(text)
        read = _unescaped(text)
        if read == text:
            return
        text = read


def _unescaped(text: str) -> str:
    """Read the escapes of JSON, Python, URLs, quoted-printable and HTML, once each."""
    text = _UNSEEN.sub("", text)
    text = _ESCAPES.sub(lambda found: _character(int(next(filter(None, found.groups())), 16)), text)
    text = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    text = _OCTAL.sub(lambda found: f"%{int(found[1], 8) & 0xFF:02x}", text)
    text = unquote(_IN_BYTES.sub("%", text), errors="replace")
    return html.unescape(_BACKSLASH.sub(lambda found: found[2] or "", text))


def _character(number: int) -> str:
    return chr(number) if number <= 0x10FFFF else ""


def _decoded(text: str) -> Iterator[str]:
    """Yield *text* decoded as a whole: it is unknown where the encoded part begins."""
    base64_letters = re.sub("[^A-Za-z0-9]+", "", text)
    with_signs = re.sub("[^A-Za-z0-9+/]+", "", text.translate(_TO_BASE64))
    for letters in {base64_letters, with_signs}:
        yield from _in_blocks(base64.b64decode, letters, 4)
    yield from _in_blocks(base64.b32decode, re.sub("[^A-Z2-7]+", "", text), 8)
    digits = re.sub("[^0-9a-f]+", "", _NOTATION.sub("", text.lower()))
    yield from _in_blocks(bytes.fromhex, digits, 2)
    yield "".join(_character(int(number)) for number in re.findall("[0-9]{1,7}", text))


def _in_blocks(decode: Callable[[str], bytes], letters: str, size: int) -> Iterator[str]:
    for start in range(size):
        rest = letters[start:]
        # The last block is filled with zeros, so that its first bytes are kept.
        yield decode(rest + "A" * (-len(rest) % size)).decode("utf-8", "replace")


def _in_base64(data: bytes) -> Iterator[str]:
    """Yield the Base64 forms of *data* inside a longer text, one for each alignment.

    The characters at both ends that depend on the neighbouring bytes are left out.
    """
    for before in range(3):
        encoded = base64.b64encode(b"\0" * before + data).decode()
        whole = len(data) + before
        end = len(encoded) if whole % 3 == 0 else -4 + whole % 3
        form = encoded[(0, 2, 3)[before] : end]
        yield form
        yield form.translate(str.maketrans("+/", "-_"))
