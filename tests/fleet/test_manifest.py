"""What a file that declares keys may say, and what is said about its mistakes."""

from __future__ import annotations

import contextlib
import json
import tracemalloc
from importlib import resources
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from agentkeys import ManifestError
from agentkeys.fleet import manifest
from agentkeys.fleet.manifest.declared import Declared
from agentkeys.fleet.manifest.tables import DEFAULTS, FIELDS, SERVICES

ONE = """
[keys.billing-bot]
service = "agentry"
inbox = "support@acme.to"
store = "memory:billing"
"""
EACH = """
[keys.each]
from = "inboxes.csv"
service = "agentry"
inbox = "{inbox}"
name = "agent-{inbox}"
store = "memory:agents/{slug}"
"""
FROM = "agentkeys.toml:3: inboxes.csv"
STORE = "agentkeys.toml:7: store"
SCHEMA = json.loads((resources.files(manifest) / "schema.json").read_text("utf-8"))


@pytest.fixture
def declared(tmp_path):
    """Write a file, and the rows beside it; give the keys that they declare."""

    def declared(text, rows=None):
        file = tmp_path / "agentkeys.toml"
        file.write_text(text)
        if rows is not None:
            (tmp_path / "inboxes.csv").write_text(rows)
        return [*manifest.read(file).declared()]

    return declared


@pytest.fixture
def refused(declared, tmp_path):
    """Give the mistakes of a file, each without the folder."""

    def refused(text, rows=None):
        found = []
        with contextlib.suppress(ManifestError):
            found = declared(text, rows)
        if not found:
            with pytest.raises(ManifestError) as caught:
                declared(text, rows)
            error = caught.value
            assert str(error) == "\n".join(error.mistakes)
            assert error.mistakes[0].startswith(f"{error.file}:{error.line or ''}".rstrip(":"))
            found = error.mistakes
        assert not [each for each in found if isinstance(each, Declared)]
        return [str(each).replace(f"{tmp_path}/", "") for each in found]

    return refused


def test_a_table_declares_a_key(declared):
    """What the table does not say is said by [defaults], or has its default."""
    text = f'[defaults]\ngrace = "12h"\nmax_age = "90d"\n{ONE}max_age = "30d"\n'
    (key,) = declared(text)
    assert key == Declared(
        service="agentry",
        name="billing-bot",
        store="memory:billing",
        inbox="support@acme.to",
        grace=12 * 3600.0,
        max_age=30 * 86400.0,
    )
    assert key.where.endswith("agentkeys.toml:5")


def test_each_row_fills_the_templates(declared):
    """A table with `from` declares a key for each row, and says in which line that is."""
    found = declared(EACH, 'inbox,slug,team\na@x.to,a,red\n"b@x.to",b,"of\ntwo lines"\n\n')
    assert [key.name for key in found] == ["agent-a@x.to", "agent-b@x.to"]
    assert [key.store for key in found] == ["memory:agents/a", "memory:agents/b"]
    assert [key.where.rpartition(":")[2] for key in found] == ["2", "4"]


def test_a_brace_is_written_twice(declared, refused):
    """What stands in braces is a column, and nothing of Python's formats."""
    text = EACH.replace("agent-{inbox}", "{{{slug}}}")
    assert [key.name for key in declared(text, "inbox,slug\na@x.to,a\n")] == ["{a}"]
    for template in ("{slug!r}", "{slug:>9}", "{slug.__class__}", "{", "{}"):
        text = EACH.replace("agent-{inbox}", template)
        (mistake,) = refused(text, "inbox,slug\na@x.to,a\n")
        assert mistake.startswith("agentkeys.toml:6: name ")


def test_relative_paths_begin_at_the_file(declared, tmp_path, monkeypatch):
    """The file means the same wherever the command is run."""
    monkeypatch.chdir("/")
    for given, address in {
        "dotenv:.env#KEY": f"dotenv:{tmp_path}/.env#KEY",
        "file:run/key": f"file:{tmp_path}/run/key",
        "file:/run/key": "file:/run/key",
        "file:~/key": f"file:{Path.home()}/key",
    }.items():
        (key,) = declared(ONE.replace("memory:billing", given))
        assert key.store == address


@pytest.mark.parametrize(
    ("text", "mistakes"),
    [
        (f"x = {'7' * 5000}", ["1: this is no TOML: a number has too many digits"]),
        (f"x = {'[' * 50_000}", ["1: this is no TOML: it is nested too deeply"]),
        ("[keys.x", ["1: this is no TOML: Expected ']' at the end of a table declaration"]),
        ("", ["0: the file declares no key: write a table [keys.NAME]"]),
        ("keys = 1", ["1: keys must be a table: write [keys]"]),
        ("[keys]\nbot = 1", ["2: keys.bot must be a table: write [keys.bot]"]),
        (f"[kets.x]\n{ONE}", ["1: the file may have no table 'kets': did you mean keys?"]),
        (
            f"""{ONE}stor = 1\nmax_age = 90\ngrace = '1w'\npod = true\ntenant = 'yes'
name = ''\npermissions = {{ read = 'x' }}""",
            [
                "6: [keys.billing-bot] may have no field 'stor': did you mean store?",
                '7: max_age must be a duration in quotes, like "24h" or "90d", not an integer',
                '8: grace must be a number and its unit, like "90d", "24h", "15m" or "30s"',
                "9: pod must be a string, not a boolean",
                "10: tenant must be true or false, not a string",
                "11: name must be a string of printable characters, at least one",
                "12: permissions must be a table of true and false, like { read_inbox = true }",
            ],
        ),
        (
            f"[defaults]\nstore = 'memory:x'\n{ONE}",
            [f"2: [defaults] may have no field 'store': there are {', '.join(DEFAULTS)}"],
        ),
        ("[keys.x]\nservice = 'agentri'", ["2: service must be one of 'agentity', 'agentry'"]),
        ("[keys.x]", ["1: [keys.x] needs the field service", "1: [keys.x] needs the field store"]),
        (
            f"{ONE}tenant = true",
            ["2: [keys.billing-bot] needs one of inbox, pod and tenant, and has 2"],
        ),
        (f"{ONE}permissions = {{ read = true }}", ["6: permissions need agent = true, or a pod"]),
        (f"{ONE}grace = '2h'\nmax_grace = '1h'", ["7: max_grace must not be shorter than grace"]),
        (
            ONE.replace("agentry", "agentity"),
            ["4: inbox is a field of keys of agentry, and this one is of agentity"],
        ),
        (
            ONE.replace("support@acme.to", ".."),
            ["2: inbox is '..', which names another resource"],
        ),
    ],
)
def test_a_mistake_has_its_line_and_says_what_is_expected(refused, text, mistakes):
    """All of them are said at once, in their order."""
    wanted = [f"agentkeys.toml:{each}".replace(":0:", ":") for each in mistakes]
    assert refused(text) == wanted


@pytest.mark.parametrize(
    ("rows", "mistakes"),
    [
        (None, [f"{FROM} cannot be read: No such file or directory"]),
        ("", [f"{FROM} must begin with a line of column names, each of them once"]),
        ("inbox,inbox\n", [f"{FROM} must begin with a line of column names, each of them once"]),
        ("inbox,slg\n", [f"{STORE} needs the column 'slug', and there are 'inbox', 'slg'"]),
        ("inbox,slug\na@x.to\n", ["inboxes.csv:2: the row must have 2 values"]),
        ("inbox,slug\na@x.to,a,b\n", ["inboxes.csv:2: the row must have 2 values"]),
        ("inbox,slug\na@x.to, \n", ["inboxes.csv:2: the column 'slug' is empty, or not printable"]),
        ("inbox,slug\n..,a\n", ["inboxes.csv:2: inbox is '..', which names another resource"]),
        (
            'inbox,slug\n"a@x.to,a\n',
            [f"{FROM} cannot be read: it is no CSV: unexpected end of data"],
        ),
    ],
)
def test_a_mistake_in_rows_has_its_line(refused, rows, mistakes):
    """The row is named, or the field of the file that names the rows."""
    assert refused(EACH, rows) == mistakes


@pytest.mark.parametrize("slug", ["../x", "a b", "x#KEY", "x?context=prod", "..", "a:b", "a'b"])
def test_no_row_leads_an_address_elsewhere(refused, slug):
    """A row says which store of a kind, and never another kind, place or option."""
    (mistake,) = refused(EACH, f"inbox,slug\na@x.to,{slug}\n")
    assert mistake.startswith("inboxes.csv:2: store cannot take the value of the column 'slug'")


def test_a_whole_address_may_come_from_a_row(declared, refused):
    """But not that of a program: no row says which program runs."""
    text = EACH.replace("memory:agents/{slug}", "{slug}")
    (key,) = declared(text, "inbox,slug\na@x.to,memory:x/y\n")
    assert key.store == "memory:x/y"
    (mistake,) = refused(text, "inbox,slug\na@x.to,command:/bin/rm x\n")
    assert mistake == "inboxes.csv:2: store is a program, and no row may say which program runs"


LOOKS_LIKE_A_KEY = f"agk_live_{'x7' * 12}"


@pytest.mark.parametrize(
    "line",
    [
        'from = "postgresql://me:hunter2@db/crm?query=SELECT 1"',
        'from = "postgresql://db/crm?password=hunter2&query=SELECT 1"',
        'store = "vault:https://me:hunter2@vault/kv/x#key"',
        f'name = "{LOOKS_LIKE_A_KEY}"',
        f"# it was {LOOKS_LIKE_A_KEY}",
        'api_key = "hunter2"',
        'password = "hunter2"',
    ],
)
def test_no_secret_stands_in_the_file(refused, line):
    """It is refused with its line, and not shown."""
    (mistake,) = refused(f"{ONE}{line}\n")
    assert mistake.startswith("agentkeys.toml:6: this line holds a password, or what looks like")
    assert "hunter2" not in mistake
    assert LOOKS_LIKE_A_KEY not in mistake


def test_no_secret_stands_in_a_row(refused):
    """Of a row it is said in which line it is."""
    (mistake,) = refused(EACH, f"inbox,slug,key\na@x.to,a,{LOOKS_LIKE_A_KEY}\n")
    assert mistake == "inboxes.csv:2: the row has a password or a key in it: remove it"


def test_a_permission_that_is_called_like_a_key_is_none(declared):
    """`manage_api_key = true` gives a permission."""
    (key,) = declared(f"{ONE}agent = true\npermissions = {{ manage_api_key = true }}\n")
    assert key.permissions == {"manage_api_key": True}


@pytest.mark.parametrize("name", ["agentkeys.toml", "inboxes.csv"])
def test_what_everybody_can_write_is_refused(declared, refused, tmp_path, name):
    """Whoever can change the file says which keys are made, and where they go."""
    assert declared(EACH, "inbox,slug\na@x.to,a\n")
    (tmp_path / name).chmod(0o666)
    (mistake,) = refused(EACH, "inbox,slug\na@x.to,a\n")
    assert "may be written by all users: run chmod o-w on it" in mistake


def test_no_more_than_twenty_mistakes_are_listed(refused):
    """They are likely to be one mistake."""
    assert len(refused("[keys.x]\n" + "\n".join(f"f{n} = 1" for n in range(30)))) == 20


def test_a_key_survives_the_way_through_a_queue(declared):
    """What `to_dict` makes of it is JSON, and `of` makes the same key of that."""
    (key,) = declared(f'{ONE}agent = true\npermissions = {{ read = true }}\nmax_age = "1d"\n')
    again = Declared.of(json.loads(json.dumps(key.to_dict())))
    assert again == key
    assert again.where == key.where


@pytest.mark.parametrize("count", [500, 5_000])
def test_rows_are_read_one_by_one(declared, tmp_path, count):
    """However many there are, they take no more memory."""
    (tmp_path / "inboxes.csv").write_text(
        "inbox,slug\n" + "".join(f"agent{n}@x.to,s{n}\n" for n in range(count))
    )
    file = tmp_path / "agentkeys.toml"
    file.write_text(EACH.replace("memory:agents/{slug}", "dotenv:.env#{slug}"))
    found = manifest.read(file).declared()
    next(found)
    tracemalloc.start()
    try:
        assert sum(1 for _ in found) == count - 1
        assert tracemalloc.get_traced_memory()[1] < 1_000_000
    finally:
        tracemalloc.stop()


def test_the_schema_has_the_fields_of_the_records():
    """What an editor proposes is what is read: names, types and defaults."""
    Draft202012Validator.check_schema(SCHEMA)
    table = SCHEMA["properties"]["keys"]["additionalProperties"]
    assert set(table["properties"]) == set(FIELDS)
    assert set(SCHEMA["properties"]["defaults"]["properties"]) == set(DEFAULTS)
    assert tuple(SCHEMA["$defs"]["service"]["enum"]) == SERVICES
    for name, field in FIELDS.items():
        said = dict(table["properties"][name])
        while "$ref" in said:
            said = {**SCHEMA["$defs"][said.pop("$ref").rpartition("/")[2]], **said}
        kind = str(field.type)
        wanted = "boolean" if kind == "bool" else "object" if "Mapping" in kind else "string"
        assert said.get("type", "string") == wanted, name
        assert ("pattern" in said) == ("float" in kind), name
        assert said["description"]
        if kind == "bool":
            assert said["default"] is field.default is False


@pytest.mark.parametrize(
    ("text", "is_valid"),
    [(ONE, True), (EACH, True), ("[keys.x]\nstor = 'y'", False), ("[keys.x]\nstore = 1", False)],
)
def test_the_schema_judges_as_the_reader_does(text, is_valid):
    """Of single fields: what goes together is the reader's."""
    import tomllib

    assert Draft202012Validator(SCHEMA).is_valid(tomllib.loads(text)) == is_valid
