from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").rglob("*.md"))]
FENCE = re.compile(r"^(```+).*?^\1[ ]*$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)
TOCTREE = re.compile(r"^```\{toctree\}\n(?::.*\n)*\n*((?:.+\n)+?)```", re.MULTILINE)


def prose(page: Path) -> str:
    """Return the text of a page without its code."""
    return FENCE.sub("", page.read_text())


def anchors(page: Path) -> set[str]:
    """Return the anchors of a page's headings, as GitHub and MyST make them."""
    headings = HEADING.findall(prose(page))
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def is_dead(page: Path, link: str) -> bool:
    """Tell whether a link leads nowhere in this repository."""
    path, _, anchor = link.partition("#")
    target = page.parent / path if path else page
    return not target.exists() or bool(anchor and anchor not in anchors(target))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_no_link_between_pages_is_dead(page):
    """Each link leads to a page, and to a heading of it if it names one."""
    links = [link for link in LINK.findall(prose(page)) if "://" not in link]
    assert [link for link in links if is_dead(page, link)] == []


def test_every_page_is_in_the_table_of_contents():
    """Whoever starts at the index finds every page, and none that is not there."""
    index = ROOT / "docs" / "index.md"
    listed = {name for found in TOCTREE.findall(index.read_text()) for name in found.split()}
    pages = {path.relative_to(index.parent).with_suffix("") for path in PAGES[2:]} - {Path("index")}
    assert listed == {str(page) for page in pages}
