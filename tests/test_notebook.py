"""In a notebook, keys show as a table: no secret, ages in words, escaped."""

from __future__ import annotations

import re
import subprocess
import sys
from datetime import UTC, datetime, timedelta

import attrs
import pytest

from agentkeys import AgentryClient, Page, Pager, Secret, agentity, agentry, notebook
from agentkeys.keys import Record
from agentkeys.sync import BlockingPager
from agentkeys.sync.portal import Portal

NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)
THEN = NOW - timedelta(days=3)
SECRET = "agk_live_abc123def456"
KEY = agentity.ApiKey(42, "production-agent", THEN, NOW)
NEW_KEY = agentity.NewApiKey(42, "production-agent", THEN, NOW, Secret(SECRET))
INBOX_KEY = agentry.ApiKey("key_1", "ci", "ag_abc", THEN)
NEW_INBOX_KEY = agentry.NewApiKey("key_1", Secret("ag_abc123def456"), "ci", "ag_abc", THEN)


@pytest.mark.parametrize(
    ("before", "words"),
    [
        ({"seconds": 0}, "just now"),
        ({"seconds": 59}, "just now"),
        ({"seconds": 60}, "1 minute ago"),
        ({"minutes": 59, "seconds": 59}, "59 minutes ago"),
        ({"hours": 1}, "1 hour ago"),
        ({"hours": 47}, "1 day ago"),
        ({"days": 29}, "29 days ago"),
        ({"days": 30}, "1 month ago"),
        ({"days": 364}, "12 months ago"),
        ({"days": 800}, "2 years ago"),
        ({"seconds": -30}, "just now"),
        ({"hours": -5}, "in 5 hours"),
    ],
)
def test_ages_are_words(before, words):
    """One unit, rounded down; what lies ahead is said so, and clocks may differ a little."""
    assert notebook.age(NOW - timedelta(**before), NOW) == words


def test_a_table_has_a_row_for_each_record():
    """The fields are its columns, times are ages with the exact time behind them."""
    assert notebook.table([KEY], NOW) == (
        "<table><thead><tr><th>id</th><th>nickname</th><th>created_at</th><th>updated_at</th>"
        "</tr></thead><tbody><tr><td>42</td><td>production-agent</td>"
        '<td title="2026-01-28T12:00:00+00:00">3 days ago</td>'
        '<td title="2026-01-31T12:00:00+00:00">just now</td></tr></tbody></table>'
    )


def test_what_is_empty_everywhere_is_no_column():
    """A field that one record has gets its column; permissions are words."""
    assert "inbox_id" not in notebook.table([INBOX_KEY], NOW)
    limited = attrs.evolve(INBOX_KEY, inbox_id="i", permissions={"read": True, "send": False})
    shown = notebook.table([INBOX_KEY, limited], NOW)
    assert "<th>inbox_id</th>" in shown
    assert "<td>read: yes, send: no</td>" in shown
    assert shown.count("<tr>") == 3


@pytest.mark.parametrize("record", [NEW_KEY, NEW_INBOX_KEY])
def test_a_secret_is_not_shown(record):
    """A new key's table has its secret hidden."""
    shown = record._repr_html_()
    assert record.secret.reveal() not in shown
    assert "<td>**********</td>" in shown


def test_what_the_service_says_is_escaped():
    """A name cannot put a script, or an attribute, into the notebook."""
    nasty = "<script>alert('x')</script>\"&`b`"
    shown = [
        attrs.evolve(KEY, nickname=nasty)._repr_html_(),
        notebook.table([attrs.evolve(INBOX_KEY, permissions={nasty: True})], NOW),
        notebook.sentence(nasty),
        notebook.table([KEY], NOW, note=nasty),
    ]
    for html in shown:
        assert "<script" not in html
        assert set(re.findall(r"<(\w+)", html)) <= {
            *("table", "thead", "tbody", "tr", "th", "td", "p", "code")
        }


def test_keys_and_pages_show_as_tables():
    """A page says if more follow; an empty one says that there is nothing."""
    for record in (KEY, NEW_KEY, INBOX_KEY, NEW_INBOX_KEY):
        assert record._repr_html_().startswith("<table>")
    assert "more" not in Page((KEY,))._repr_html_()
    assert "There are more" in Page((KEY,), "b")._repr_html_()
    assert Page(())._repr_html_() == "<p>There are no keys here.</p>"
    assert "There are more" in Page((), "b")._repr_html_()


def test_an_async_listing_says_how_to_fetch_it():
    """It cannot wait for a page, and sends nothing."""
    shown = AgentryClient("ag_x").api_keys.list()._repr_html_()
    assert "<code>await listing.first()</code>" in shown


def test_a_blocking_listing_says_how_to_fetch_it():
    """To show it sends nothing, and starts no thread."""
    portal = Portal()

    async def fetch(token):
        raise AssertionError("it was fetched")

    listing = BlockingPager(Pager(fetch), portal)
    shown = listing._repr_html_()
    assert "<code>listing.first()</code>" in shown
    assert "await" not in shown
    assert portal._worker is None


def test_a_third_services_keys_show_for_one_word():
    """Its record has `Record` as its base; its pages need nothing at all."""

    @attrs.frozen
    class Pass(Record):
        id: int
        made_at: datetime

    @attrs.frozen
    class Plain:
        id: int

    assert "<td>7</td>" in Pass(7, THEN)._repr_html_()
    assert "<td>7</td>" in Page((Plain(7),))._repr_html_()
    assert not hasattr(Pass(7, THEN), "__dict__")


def test_the_rendering_is_imported_when_it_is_needed():
    """Clients, records and pages cost nothing of it."""
    code = (
        "import sys, agentkeys.sync, agentkeys.agentry; print('agentkeys.notebook' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout == "False\n"


def test_a_listing_at_a_prompt_says_what_to_do_with_it():
    """Who prints one, or awaits it, is told how to get its keys."""
    pager = agentity.AgentityClient("token").api_keys.list()
    assert repr(pager) == "<Pager: `async for` over it, or `await` its collect() or first()>"
    blocking = BlockingPager(pager, Portal())
    assert repr(blocking) == "<BlockingPager: `for` over it, or its collect() or first()>"
