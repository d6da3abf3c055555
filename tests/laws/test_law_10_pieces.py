"""Law 10: no text from outside shows a piece of a secret, wherever in an answer."""

from __future__ import annotations

import base64
import logging

import pytest
from leaks import shown
from samples import agentity, agentry
from wire import Wire, answer

from agentkeys import AgentKeysError, APIError, PasswordLogin

TOKEN = "tk-4f5W6x7Y8z9A0b1C2d3E4f5G6h7J8k9L0m1N"
LAST = TOKEN[-12:]
PIECES = {
    "first 20": TOKEN[:20],
    "last 12": LAST,
    "Base64": base64.b64encode(f"x{LAST}".encode()).decode(),
    "hexadecimal": LAST.encode().hex(":"),
    "percent": "".join(f"%{b:02x}" for b in LAST.encode()),
    "split": "\u200b".join(LAST),
}
PLACES = {
    "message": lambda piece: answer(400, {"message": f"you sent {piece}"}),
    "inner message": lambda piece: answer(400, {"error": {"message": f"you sent {piece}"}}),
    "error": lambda piece: answer(400, {"error": piece}),
    "detail": lambda piece: answer(400, {"detail": [piece, "x"]}),
    "code": lambda piece: answer(400, {"code": piece, "message": "no"}),
    "errors": lambda piece: answer(400, {"errors": [{"message": piece, "path": ["a", piece]}]}),
    "a name in errors": lambda piece: answer(400, {"errors": [{piece: [{piece: 1}]}]}),
    "spread over errors": lambda piece: answer(400, {"errors": list(piece)}),
    "spread over a path": lambda piece: answer(400, {"errors": [{"path": list(piece)}]}),
    "text": lambda piece: answer(400, f"you sent {piece}".encode()),
    "a page": lambda piece: answer(502, f"<html><title>{piece}</title>".encode()),
    "the request id": lambda piece: answer(
        400, headers={"X-Request-Id": piece.encode("ascii", "ignore").decode()}
    ),
    "a redirect": lambda piece: answer(
        307, {"message": piece}, headers={"Location": f"/x?{piece.encode('ascii', 'ignore')!r}"}
    ),
}


@pytest.mark.asyncio
@pytest.mark.parametrize("place", PLACES.values(), ids=PLACES)
@pytest.mark.parametrize("piece", PIECES.values(), ids=PIECES)
async def test_an_error_that_echoes_a_part_of_a_token_shows_none_of_it(caplog, place, piece):
    """Neither in its text nor in what else it holds, nor in the log."""
    caplog.set_level(logging.DEBUG, logger="agentkeys")
    async with Wire(place(piece)) as wire, agentity(wire.url, TOKEN) as client:
        with pytest.raises(APIError) as caught:
            await client.api_keys.create("x")
    everything = shown(caught.value) + repr(vars(caught.value)) + caplog.text
    assert piece not in everything
    assert LAST not in "".join(filter(str.isalnum, everything))


@pytest.mark.asyncio
async def test_a_text_that_is_left_out_is_said_to_be():
    """So that nobody searches for what the service said."""
    async with Wire(answer(400, {"message": f"you sent ...{LAST}"})) as wire:
        async with agentity(wire.url, TOKEN) as client:
            with pytest.raises(APIError, match="left out") as caught:
                await client.api_keys.create("x")
    assert "left out" in str(caught.value.message)


@pytest.mark.asyncio
@pytest.mark.parametrize("password", ["password", "Incorrect", "email", "or", "is incorrect"])
async def test_a_password_that_is_a_word_of_the_sentence_is_not_guessed_from_it(password):
    """Of a sentence that everybody knows nothing is shown, or the gap would say the password."""
    said = "The email or the password is incorrect"
    async with Wire(answer(401, {"code": "bad_login", "message": said})) as wire:
        async with agentity(wire.url, PasswordLogin("me@example.com", password)) as client:
            with pytest.raises(APIError) as caught:
                await client.api_keys.create("x")
    assert caught.value.message is None
    assert caught.value.code == "bad_login"
    assert "*" not in str(caught.value)
    assert "left out" not in str(caught.value)
    assert "incorrect" not in str(caught.value)


@pytest.mark.asyncio
@pytest.mark.parametrize("password", ["api-keys", "inboxes", "human", "support"])
async def test_a_password_that_is_a_part_of_the_path_is_not_guessed_from_it(password):
    """The path of an error then has no ids: it is the one of the endpoint."""
    async with Wire(answer(404)) as wire, agentry(wire.url, password) as client:
        with pytest.raises(AgentKeysError) as caught:
            await client.inbox("support@acme.to").api_keys.create("x")
    assert caught.value.path == "/human/v0/inboxes/{inbox_id}/api-keys"
