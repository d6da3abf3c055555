"""What a person is asked on a terminal."""

from __future__ import annotations

import pytest
from wire import answer

DELETED = {"message": "API key deleted successfully"}
TIME = "2026-01-01T00:00:00.000Z"
LISTED = {
    "apiKeys": [
        {"id": n, "nickname": f"bot-{n}", "createdAt": TIME, "updatedAt": TIME} for n in (7, 8)
    ]
}


@pytest.mark.parametrize(("reply", "sent", "code"), [("y", 2, 0), ("n", 0, 1), ("", 0, 1)])
def test_delete_asks_first(terminal, wire, reply, sent, code):
    """On a terminal `delete` shows names and ages, and asks; only yes deletes."""
    server = wire(answer(200, LISTED), answer(200, DELETED))
    asked = terminal("agentity", "delete", "7", "8")
    asked.read_until("[y/N]")
    assert "these 2 keys" in asked.shown
    assert all(f"{n}   bot-{n}" in asked.shown for n in (7, 8))
    assert "ago" in asked.shown
    assert [seen.method for seen in server.requests] == ["GET"]
    asked.type(f"{reply}\n")
    ended, shown = asked.end()
    assert (ended, len(server.requests) - 1) == (code, sent)
    assert ("deleted 7" in shown) == bool(sent)
    assert ("Nothing was deleted" in shown) == (not sent)


def test_the_end_of_the_input_is_no(terminal, wire):
    """Ctrl-D is no yes."""
    server = wire(answer(200, LISTED), answer(200, DELETED))
    asked = terminal("agentity", "delete", "7")
    asked.read_until("[y/N]")
    asked.type("\x04")
    assert asked.end()[0] == 1
    assert [seen.method for seen in server.requests] == ["GET"]


def test_ctrl_c_at_the_question(terminal, wire, interrupt):
    """Ctrl-C at the question ends with 130, without a traceback, and deletes nothing."""
    server = wire(answer(200, LISTED), answer(200, DELETED))
    asked = terminal("agentity", "delete", "7")
    asked.read_until("[y/N]")
    interrupt(asked.process)
    code, shown = asked.end()
    assert code == 130
    assert "Traceback" not in shown
    assert [seen.method for seen in server.requests] == ["GET"]


def test_yes_is_not_asked(terminal, wire):
    """--yes deletes without a question."""
    server = wire(answer(200, DELETED))
    code, shown = terminal("agentity", "delete", "--yes", "7").end()
    assert (code, shown) == (0, "deleted 7\n")
    assert len(server.requests) == 1


def test_an_id_in_the_question_is_escaped(terminal, wire):
    """An id from who knows where does not move the cursor of the one who is asked."""
    key = {"api_key_id": "a\x1b[2Jb", "name": "n\x1b[2J", "prefix": "ag_", "created_at": TIME}
    wire(answer(200, {"api_keys": [key]}))
    asked = terminal("agentry", "delete", "--tenant", "a\x1b[2Jb")
    asked.read_until("[y/N]")
    assert r"a\x1b[2Jb  n\x1b[2J" in asked.shown


def test_the_secret_on_a_terminal(terminal):
    """On a terminal the secret stands alone on a line, after the word that it is shown once."""
    code, shown = terminal("--local", "agentity", "create", "production-agent").end()
    note, secret = shown.splitlines()
    assert code == 0
    assert "only once" in note
    assert secret.startswith("agk_live_")


def test_the_password_is_asked_for(terminal, served, monkeypatch):
    """With AGENTITY_EMAIL alone, a person is asked for the password, which is not shown."""
    password = served.password
    monkeypatch.delenv("AGENTITY_PASSWORD")
    asked = terminal("agentity", "list", "--json")
    asked.read_until(f"Password of {served.email}: ")
    asked.type(f"{password}\n")
    code, shown = asked.end()
    assert (code, shown.splitlines()[-1]) == (0, "[]")
    assert password not in shown
