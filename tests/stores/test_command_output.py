"""What a program said last is shown, unless it gives a part of the secret away."""

from __future__ import annotations

import asyncio
import sys

import pytest

from agentkeys import AgentityClient, Secret, StoreError
from agentkeys.stores import CommandStore

DECLARED = AgentityClient  # which says what its keys look like
KEY = Secret("agk_live_9fQx2LmZ7Rk4TvB1nW8sYc3")
SAYS = """
import base64, sys
key = sys.stdin.read()
print({}, file=sys.stderr)
sys.exit(3)
"""

# What a program may say, as Python, of `key`.
SAID = {
    "the last five": "key[-5:]",
    "five in the middle": "key[12:17]",
    "the first after what all begin with": "key[9:14]",
    "in capitals": "key[-5:].upper()",
    "Base64": "base64.b64encode(key.encode()).decode()",
    "Base64 at offset 1": "base64.b64encode(b'x' + key.encode()).decode()",
    "Base64 at offset 2": "base64.b64encode(b'xx' + key.encode()).decode()",
    "Base64 of the last five": "base64.b64encode(key[-5:].encode()).decode()",
    "Base64 over lines": "base64.encodebytes(3 * key.encode()).decode()",
    "hexadecimal with spaces": "key.encode().hex(' ')",
    "hexadecimal with colons": "'md: ' + key[-5:].encode().hex(':')",
    "a dump": "f'00000010  {key[-16:].encode().hex(chr(32))}  |...|'",
    "percent-encoded": "''.join(f'%{ord(c):x}' for c in key)",
    "percent-encoded in part": "'bad value ' + key[-5:].replace('s', '%73')",
    "split by what does not print": "'\\x00'.join(key)",
    "split by lines": "'\\n'.join(key)",
    "in the line before": "key[-5:] + '\\nnot logged in'",
    "a quoted part": "repr(list(key[-6:]))",
}


def error_of(said):
    store = CommandStore([sys.executable, "-c", SAYS.format(said)])
    with pytest.raises(StoreError) as caught:
        asyncio.run(store.write(KEY))
    return str(caught.value)


@pytest.mark.parametrize("said", SAID.values(), ids=SAID)
def test_a_line_with_a_part_of_the_secret_is_left_out(said):
    """Five characters are a part, as they are or encoded; the error says that it left them out."""
    error = error_of(said)
    assert "its error output is left out, because it holds a part of the secret" in error
    assert "it exited with code 3" in error
    assert "Its error output" not in error


@pytest.mark.parametrize(
    "line",
    ["not logged in", "a key begins with agk_live_", "error 404 at 2026-01-01T00:00:00Z", "denied"],
)
def test_any_other_line_is_shown(line):
    """What all keys of the service begin with is no secret."""
    assert error_of(repr(line)).endswith(f"Its error output: {line}")
