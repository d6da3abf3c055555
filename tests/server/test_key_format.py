"""Keys have a form that a secret scanner can verify offline."""

from __future__ import annotations

import re
import string
import zlib

import pytest

from agentkeys.server import has_valid_checksum

ALPHABET = string.digits + string.ascii_uppercase + string.ascii_lowercase


def checksum_of(body: str) -> str:
    """CRC32 in base62, written anew from the description."""
    number, digits = zlib.crc32(body.encode()), ""
    for _ in range(6):
        digits = ALPHABET[number % 62] + digits
        number //= 62
    return digits


@pytest.mark.asyncio
async def test_keys_are_a_prefix_32_characters_and_a_checksum(api):
    """Both services' keys, and the first token of the tenant, have the form."""
    jwt = await api.access_token()
    answer = await api.send("POST", api.account, token=jwt, json={"nickname": "a"})
    agentry = await api.create()
    for prefix, key in [
        ("agk_live_", answer.json["key"]),
        ("ag_", agentry["api_key"]),
        ("ag_", api.service.agentry_token),
    ]:
        match = re.fullmatch(rf"{prefix}([0-9A-Za-z]{{32}})([0-9A-Za-z]{{6}})", key)
        assert match[2] == checksum_of(match[1])
        assert has_valid_checksum(key)
    assert agentry["api_key"].startswith(agentry["prefix"])
    assert len(agentry["prefix"]) == len("ag_") + 8


@pytest.mark.asyncio
async def test_every_key_is_another(api):
    """Bodies are random: the characters of many keys are spread over the alphabet."""
    keys = [(await api.create())["api_key"] for _ in range(100)]
    assert len(set(keys)) == 100
    assert set("".join(key[3:35] for key in keys)) == set(ALPHABET)


def test_a_checksum_that_is_known():
    """The checksum is CRC32 of the body alone, most significant digit first."""
    body = "0" * 32
    assert checksum_of(body) == "2wjyrI"
    assert has_valid_checksum(f"ag_{body}2wjyrI")
    assert has_valid_checksum(f"agk_live_{body}2wjyrI")


def test_a_changed_key_has_a_wrong_checksum():
    """One character changed, added or cut, or another prefix, and it is no key."""
    body = "abcdefghijklmnopqrstuvwxyzABCDEF"
    key = f"ag_{body}{checksum_of(body)}"
    changed = [
        key[:index] + ("x" if key[index] != "x" else "y") + key[index + 1 :]
        for index in range(len(key))
    ]
    for wrong in [*changed, key[:-1], key + "a", key + "\n", " " + key, "sk_" + key[3:], ""]:
        assert not has_valid_checksum(wrong)
