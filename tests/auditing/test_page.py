"""The page of a report, as a real browser shows it."""

from __future__ import annotations

import itertools
import socket
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser

import pytest
from browser import CHROMIUM, DRIVER, Browser

from agentkeys import Finding, Policy, Report
from agentkeys.auditing import Age

NOW = datetime(2026, 11, 30, 12, tzinfo=UTC)
DAY = 86400.0
HOSTILE = (
    "</title></svg></table></style><script>document.title = 'run'</script>"
    '<img src="http://127.0.0.1:9/x" onerror="document.title=1"><a href="javascript:1">&amp;"\''
)


def report(policy=Policy(max_age=90 * DAY), *, days=(200, 91, 80, 3), name=HOSTILE):  # noqa: B008
    ages = tuple(
        Age(
            key_id=f"{number} {name}",
            name=f"{number} {name}" if number == 1 else f"bot-{number}",
            created_at=NOW - timedelta(days=each),
            age=each * DAY,
            place=name,
            store=name,
            is_leaving=number == 0,
        )
        for number, each in enumerate(days)
    )
    finding = Finding(
        rule="AK001", severity="error", sentence=name, advice=name, key_id=name, place=name
    )
    return Report((finding,), ages, policy, NOW, (name,), (name,))


@pytest.fixture(scope="module")
def browser():
    if CHROMIUM is None or DRIVER is None:
        pytest.skip("needs chromium and chromedriver, as Debian's chromium and chromium-driver")
    with Browser() as browser:
        yield browser


@pytest.fixture
def shown(browser, tmp_path):
    """Show a page in the browser."""

    def shown(html):
        path = tmp_path / "page.html"
        path.write_text(html, encoding="utf-8")
        browser.open("about:blank")
        browser.said()
        browser.fetched()
        browser.open(path.as_uri())
        return path.as_uri()

    return shown


def asked(listener):
    """Return what was sent to a listener: a browser may connect ahead, and then not send a word."""
    try:
        connection, _ = listener.accept()
    except BlockingIOError:
        return b""
    with connection:
        connection.settimeout(0)
        try:
            return connection.recv(1)
        except BlockingIOError:
            return b""


BOXES = """
return [...document.querySelectorAll(arguments[0])].map(each => {
  const box = each.getBoundingClientRect();
  return {left: box.left, right: box.right, top: box.top, bottom: box.bottom,
          width: box.width, text: each.textContent, fill: each.getAttribute("fill")};
});
"""


@pytest.mark.slow
def test_the_page_fetches_nothing_and_nothing_in_it_runs(browser, shown):
    """Whatever a service called its keys, it is text; the console has nothing to complain of."""
    url = shown(report().html())
    assert browser.fetched() == [url]
    assert browser.said() == []
    assert browser.run("return document.title").startswith("API keys: 4 keys")
    nodes = "script, img, a, link, iframe, object, embed, form, [onerror], [src], [href], [style]"
    assert browser.run("return document.querySelectorAll(arguments[0]).length", nodes) == 0
    text = browser.run("return document.body.textContent")
    assert text.count(HOSTILE) >= 5


@pytest.mark.slow
@pytest.mark.parametrize(
    "planted",
    [
        "<img src='http://HOST/planted'>",
        "<iframe src='http://HOST/planted'></iframe>",
        "<script src='http://HOST/planted'></script>",
        "<script>document.title = 'planted'</script>",
        "<style>body { background: url(http://HOST/planted) }</style>",
        "<p style='background: url(http://HOST/planted)'>x</p>",
        "<link rel='stylesheet' href='http://HOST/planted'>",
        "<base href='http://HOST/planted'>",
        "<svg><image href='http://HOST/planted'/></svg>",
    ],
)
def test_the_policy_of_the_page_permits_nothing(browser, shown, planted):
    """If something got through the escaping, the browser would refuse to fetch or to run it."""
    html = report().html()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(0)
        planted = planted.replace("HOST", f"127.0.0.1:{listener.getsockname()[1]}")
        shown(html.replace("<h2>Findings</h2>", f"{planted}<h2>Findings</h2>"))
        assert asked(listener) == b""
    assert browser.run("return document.title").startswith("API keys")
    assert "Content Security Policy" in " ".join(browser.said())


@pytest.mark.slow
def test_the_bars_are_as_long_as_the_keys_are_old(browser, shown):
    """With the limit between those below and those above it, and each in its colour."""
    shown(report().html())
    bars = browser.run(BOXES, "svg rect")
    [limit] = browser.run(BOXES, "svg line")
    assert [round(bar["width"] / bars[0]["width"], 2) for bar in bars] == [1, 0.45, 0.4, 0.01]
    assert [bar["right"] > limit["left"] + 1 for bar in bars] == [True, True, False, False]
    assert len({bar["fill"] for bar in bars}) == 4
    titles = [each["text"] for each in browser.run(BOXES, "svg g > title")]
    assert titles[0].endswith("200 days, retiring")
    assert titles[1] == f"1 {HOSTILE}: 91 days"


@pytest.mark.slow
@pytest.mark.parametrize("name", ["a-name-", "NAME", "W", "\u6f22", "@"])
def test_nothing_in_the_picture_covers_a_text_or_is_cut_off(browser, shown, name):
    """Texts stand beside each other, beside the bars, and inside the picture."""
    shown(report(name=name * 30).html())
    [picture] = browser.run(BOXES, "svg")
    texts = browser.run(BOXES, "svg text")
    for text in texts:
        assert picture["left"] <= text["left"] < text["right"] <= picture["right"] + 1, text
    for one, other in itertools.combinations([*texts, *browser.run(BOXES, "svg rect")], 2):
        apart = one["right"] <= other["left"] or other["right"] <= one["left"]
        assert apart or one["bottom"] <= other["top"] or other["bottom"] <= one["top"], (one, other)


@pytest.mark.slow
@pytest.mark.parametrize("width", [400, 1000])
def test_the_page_has_its_style_and_fits_its_window(browser, shown, width):
    """The policy permits the page's own style, by its digest."""
    shown(report(name="a" * 300).html())
    fits = "const root = document.documentElement; root.style.width = arguments[0] + 'px';"
    fits += " return [getComputedStyle(document.querySelector('table')).borderCollapse,"
    fits += " document.querySelector('table').getBoundingClientRect().right <= arguments[0]]"
    collapse, is_inside = browser.run(fits, width)
    assert (collapse, is_inside) == ("collapse", True)


class Balanced(HTMLParser):
    """Sees that what is opened is closed, and what a notebook gets."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: set[str] = set()

    def handle_starttag(self, tag, attributes):
        self.seen.add(tag)
        assert not [name for name, _ in attributes if name.startswith("on") or name == "style"]
        if tag != "meta":
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


@pytest.mark.parametrize("policy", [Policy(), Policy(max_age=90 * DAY), Policy(max_age=0)])
@pytest.mark.parametrize("days", [(), (0,), (3, 1), tuple(range(300, 0, -1)), (-1,)])
@pytest.mark.parametrize("show", [Report.html, Report._repr_html_])
def test_what_is_shown_is_well_formed(policy, days, show):
    """No keys, keys of no age, of a clock that is ahead, and very many; in a notebook as well."""
    parser = Balanced()
    parser.feed(show(report(policy, days=days)))
    assert parser.open == []
    assert ("svg" in parser.seen, "script" in parser.seen) == (bool(days), False)


def test_a_notebook_shows_the_picture_and_the_table():
    """And no style, which would be the whole notebook's."""
    shown = report()._repr_html_()
    assert all(tag in shown for tag in ("<svg", "<table"))
    assert not any(tag in shown for tag in ("<style", "<html", "<meta", "<script"))
