"""The rows of a query, from a real PostgreSQL."""

from __future__ import annotations

import pytest

from agentkeys.fleet import manifest
from agentkeys.fleet.manifest.mistakes import Mistake

psycopg = pytest.importorskip("psycopg")

FILE = """
[keys.each]
from = "{source}"
service = "agentry"
inbox = "{{inbox}}"
name = "agent-{{id}}"
store = "dotenv:.env#K{{id}}"
"""


@pytest.fixture
def declared(database, tmp_path):
    """Make a table of inboxes; read a file whose rows are those of a query."""
    with psycopg.connect(database) as connection:
        connection.execute("CREATE TABLE inboxes (id int, inbox text)")
        connection.execute(
            "INSERT INTO inboxes SELECT n, format('agent%s@acme.to', n)"
            " FROM generate_series(1, 2500) n"
        )

    def declared(query):
        mark = "&" if "?" in database else "?"
        file = tmp_path / "agentkeys.toml"
        file.write_text(FILE.format(source=f"{database}{mark}query={query}"))
        return [*manifest.read(file).declared()]

    return declared


def test_each_row_of_a_query_is_a_key(declared):
    """However many there are; a number is written as digits."""
    found = declared("SELECT id, inbox FROM inboxes ORDER BY id")
    assert len(found) == 2500
    assert (found[6].name, found[6].inbox) == ("agent-7", "agent7@acme.to")
    assert found[6].where == "the query:7"


def test_a_query_may_have_what_a_url_cannot(declared):
    """It is percent-encoded, as in every URL."""
    (key,) = declared("SELECT id %2B 1 AS id, inbox FROM inboxes WHERE inbox LIKE 'agent1@%25'")
    assert key.name == "agent-2"


@pytest.mark.parametrize(
    ("query", "sentence"),
    [
        ("SELECT id, inbx FROM inboxes", "the query failed: UndefinedColumn 42703"),
        ("DELETE FROM inboxes RETURNING id, inbox", "the query failed: "),
        ("SELECT inbox FROM inboxes", "name needs the column 'id', and there are 'inbox'"),
        ("SELECT NULL AS id, inbox FROM inboxes LIMIT 1", "the column 'id' is empty"),
        ("", "must end in ?query=SELECT ..."),
    ],
)
def test_a_query_that_fails_is_a_mistake(declared, query, sentence):
    """It says what is wrong, and changes nothing in the database."""
    found = declared(query)
    assert all(isinstance(each, Mistake) for each in found)
    assert sentence in str(found[0])


def test_a_database_that_is_away_is_a_mistake(tmp_path):
    """Its address is not shown."""
    file = tmp_path / "agentkeys.toml"
    source = "postgresql://127.0.0.1:1/nowhere?connect_timeout=2&query=SELECT 1"
    file.write_text(FILE.format(source=source))
    (mistake,) = manifest.read(file).declared()
    assert str(mistake).endswith(":3: the query failed: OperationalError")
