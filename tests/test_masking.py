"""No text holds a piece of a secret, however the piece is written."""

from __future__ import annotations

import base64
import json
import re

import pytest

from agentkeys import AgentityClient, AgentryClient, Secret
from agentkeys.masking import LEFT_OUT, declare_key_form, mask, telling
from agentkeys.secret import MASK

DECLARED = AgentityClient, AgentryClient  # which say what their keys look like
KEY = "agk_live_0a1B2c3D4e5F6g7H8i9J0k1L2m3N4o5P6q"
PASSWORD = 'Tr0ub4dor & "3" ünd/mehr'
FIRST, LAST, MIDDLE = KEY[:20], KEY[-12:], KEY[15:23]


def in_base64(before: str, piece: str) -> str:
    return base64.b64encode(f"{before}{piece} and more".encode()).decode()


# How a piece may be written, and what of it must not show.
WRITTEN = {
    "first 20": (FIRST, FIRST[9:]),
    "last 12": (LAST, LAST),
    "eight in the middle": (MIDDLE, MIDDLE),
    "in capitals": (LAST.upper(), LAST.upper()),
    "without signs between": (LAST.replace("_", ""), LAST[4:]),
    **{
        f"Base64 at offset {n}": (in_base64("x" * n, LAST), in_base64("x" * n, LAST)[4:12])
        for n in range(4)
    },
    "Base64 of the middle": (in_base64("", MIDDLE), in_base64("", MIDDLE)[:8]),
    "Base64 over lines": ("\n".join(in_base64("", LAST)), "\n".join(in_base64("", LAST)[:9])),
    "Base64 for URLs": (
        base64.urlsafe_b64encode(b"?>~" + LAST.encode()).decode(),
        base64.urlsafe_b64encode(b"?>~" + LAST.encode()).decode()[4:],
    ),
    "Base32": (base64.b32encode(LAST.encode()).decode(), base64.b32encode(LAST.encode()).decode()),
    "hexadecimal": (LAST.encode().hex(), LAST.encode().hex()),
    "hexadecimal in capitals": (LAST.encode().hex(" ").upper(), LAST.encode().hex(" ").upper()),
    "hexadecimal with colons": (LAST.encode().hex(":"), LAST.encode().hex(":")),
    "hexadecimal as in C": (", ".join(f"0x{b:x}" for b in LAST.encode()), f"0x{ord(LAST[0]):x}"),
    "decimal": (str(list(LAST.encode())), str(list(LAST.encode()))),
    "percent-encoded": ("".join(f"%{b:02X}" for b in LAST.encode()), f"%{ord(LAST[0]):02X}"),
    "percent-encoded twice": ("".join(f"%25{b:x}" for b in LAST.encode()), f"%25{ord(LAST[0]):x}"),
    "percent-encoded in part": (f"{LAST[:5]}%{ord(LAST[5]):x}{LAST[6:]}", LAST[6:]),
    "escaped as in JSON": ("".join(f"\\u{ord(c):04x}" for c in LAST), f"\\u{ord(LAST[0]):04x}"),
    "escaped as in Python": ("".join(f"\\x{ord(c):x}" for c in LAST), f"\\x{ord(LAST[0]):x}"),
    "escaped as in C": ("".join(f"\\{ord(c):03o}" for c in LAST), f"\\{ord(LAST[0]):03o}"),
    "escaped as in HTML": ("".join(f"&#{ord(c)};" for c in LAST), f"&#{ord(LAST[0])};"),
    "quoted-printable": ("".join(f"={ord(c):X}" for c in LAST), f"={ord(LAST[0]):X}"),
    "split by what does not print": ("\u200b".join(LAST), "\u200b".join(LAST)),
    "split by control characters": ("\x00".join(LAST), "\x00".join(LAST)),
    "split by a direction": ("\u202e".join(LAST), "\u202e".join(LAST)),
    "split by soft hyphens": ("\u00ad".join(LAST), "\u00ad".join(LAST)),
    "split by colours": ("\x1b[31m".join(LAST), "\x1b[31m".join(LAST)),
    "split by tags": ("<b>".join(LAST), "<b>".join(LAST)),
    "split by hyphens": ("-".join(re.findall(".{4}", LAST)), LAST[:4]),
    "broken over lines": (f"{LAST[:6]}\n│ {LAST[6:]}", LAST[:6]),
    "in wide letters": (
        "".join(chr(ord(c) + 0xFEE0) for c in LAST),
        "".join(chr(ord(c) + 0xFEE0) for c in LAST),
    ),
    "in UTF-16": (LAST.encode("utf-16-le").decode("latin-1"), "\0".join(LAST)),
}


@pytest.mark.parametrize(("written", "piece"), WRITTEN.values(), ids=WRITTEN)
@pytest.mark.parametrize("around", ["{}", "your key is {}: no", '{{"token": "{}"}}', "key={}&b"])
def test_a_text_with_a_piece_of_a_secret_is_left_out(written, piece, around):
    """Eight characters in a row are a piece, as they are or encoded, wherever they begin."""
    text = around.format(written)
    assert piece in text
    assert piece not in mask(text, [Secret("other-Tr0ub4dor-9"), Secret(KEY)])


@pytest.mark.parametrize("start", range(9, len(KEY) - 7))
def test_eight_characters_anywhere_are_a_piece(start):
    """And seven are none."""
    tells = telling([Secret(KEY)])
    assert tells(f"x {KEY[start : start + 8]}")
    assert tells(f"x {in_base64('ab', KEY[start : start + 8])}")
    assert not tells(f"x {KEY[start : start + 7]} x")


@pytest.mark.parametrize(
    "piece", ["Tr0ub4do", ' & "3" ü', "nd/mehr", '"3" ünd/mehr', "%20%26%20%223%22%20%c3%bc"]
)
def test_signs_are_characters_of_a_piece(piece):
    """A password is of more than letters and digits."""
    shown = mask(f"you sent {piece}!", [Secret(PASSWORD)])
    assert (shown == LEFT_OUT) == (piece != "nd/mehr")


@pytest.mark.parametrize(
    "text",
    [
        "The email or the password is incorrect",
        "use a key that begins with agk_live_",
        "agk_live_ and ag_ are prefixes",
        "the key 42 was not found in 2026-01-01T00:00:00Z",
        "0f8fad5b-d9cb-469f-a165-70867728950e",
        "req_01H9ZQ8V6T5S4R3Q2P1N0M",
        "",
    ],
)
def test_a_text_without_one_stays_as_it_is(text):
    """What all keys of a service begin with is no secret."""
    secrets = [Secret(KEY), Secret(PASSWORD), Secret("hunter22"), Secret("pw"), Secret("x1")]
    assert mask(text, secrets) == text


@pytest.mark.parametrize(
    "password",
    ["password", "Password", "incorrect", "is", "email", "pass", "or the password", "password1"],
)
def test_a_password_that_is_a_word_of_the_sentence_leaves_nothing(password):
    """A mask in a sentence that everybody knows would say which word is the password."""
    assert mask("The email or the password is incorrect", [Secret(password)]) == ""


@pytest.mark.parametrize("password", ["pass-word", "p@ssword", "sword fish", "passw0rd", "r the"])
def test_a_password_that_is_only_like_a_word_leaves_the_sentence(password):
    """What the sentence does not hold as it is, it does not give away."""
    said = "wrong email or password"
    assert mask(said, [Secret(password)]) == said


def test_a_secret_that_is_like_no_word_is_masked_where_it_stands():
    """The rest of the sentence helps."""
    assert mask(f"the password {PASSWORD} is old", [Secret(PASSWORD)]) == (
        f"the password {MASK} is old"
    )
    assert mask(json.dumps([PASSWORD]), [Secret(PASSWORD)]) == f'["{MASK}"]'


def test_a_service_declares_the_form_of_its_keys():
    """From then on they are masked everywhere, but for what they all begin with."""
    text = "your key zz-0123456789abcdef is old"
    assert mask(text) == text
    declare_key_form("(zz-)[0-9a-f]{16}")
    assert mask(text) == f"your key zz-{MASK} is old"
    assert mask("keys begin with zz-", [Secret("zz-0123456789abcdef")]) == "keys begin with zz-"
    with pytest.raises(ValueError, match="one group"):
        declare_key_form("zz-[0-9a-f]{16}")
