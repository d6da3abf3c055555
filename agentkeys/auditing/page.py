"""A report as a page: one file without scripts, which loads nothing.

Texts from a service, a store or the journal are escaped. If a text got through nevertheless, the
policy of the page allows nothing: not even a style, except the page's own, by its digest.
"""

from __future__ import annotations

import base64
import hashlib
from datetime import UTC
from html import escape
from typing import TYPE_CHECKING, Final

from agentkeys import notebook
from agentkeys.auditing.picture import picture

if TYPE_CHECKING:
    from collections.abc import Iterable

    from agentkeys.auditing.findings import Finding
    from agentkeys.auditing.results import Results

__all__ = ["in_notebook", "page"]

_STYLE: Final = """
:root { color-scheme: light dark; }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 960px; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.15rem; margin-top: 2rem; }
table { border-collapse: collapse; width: 100%; }
th, td { text-align: left; vertical-align: top; padding: .35rem .6rem .35rem 0;
  border-bottom: 1px solid #8884; overflow-wrap: anywhere; }
th, td:nth-child(-n+2) { white-space: nowrap; overflow-wrap: normal; }
svg { max-width: 100%; height: auto; }
.error { color: #c8553d; } .warning { color: #b07a10; } .note { color: #8a8f98; }
"""


def page(report: Results) -> str:
    """Return the page."""
    at = report.at.astimezone(UTC).strftime("%Y-%m-%d %H:%M UTC")
    places = ", ".join(map(escape, report.places))
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{_permitted()}">\n'
        '<meta name="referrer" content="no-referrer">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>API keys: {escape(report.summary())}</title>\n<style>{_STYLE}</style>\n</head>\n"
        f"<body>\n<h1>API keys</h1>\n<p>{places}, at {at}.</p>\n"
        f"<p>{escape(report.summary())}.</p>\n{_unseen(report.unseen)}"
        f"<h2>Ages</h2>\n{picture(report) or '<p>There are no keys here.</p>'}\n"
        f"<h2>Findings</h2>\n{_findings(report.findings)}\n</body>\n</html>\n"
    )


def in_notebook(report: Results) -> str:
    """Return the picture and a table, for a notebook."""
    about = notebook.sentence(f"{report.summary()}.")
    return (
        f"<div>{about}{picture(report)}{_findings(report.findings)}{_unseen(report.unseen)}</div>"
    )


def _permitted() -> str:
    digest = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
    return f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"


def _findings(findings: Iterable[Finding]) -> str:
    rows = "".join(map(_row, findings))
    if not rows:
        return "<p>There are no findings.</p>"
    head = "".join(f"<th>{title}</th>" for title in _TITLES)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"


_TITLES: Final = ("Rule", "Severity", "What", "Key", "What to do")


def _row(finding: Finding) -> str:
    severity = escape(finding.severity)
    key = "" if finding.key_id is None else escape(str(finding.key_id))
    return (
        f'<tr><td>{escape(finding.rule)}</td><td class="{severity}">{severity}</td>'
        f"<td>{escape(finding.sentence)}</td><td>{key}</td><td>{escape(finding.advice)}</td></tr>"
    )


def _unseen(sentences: Iterable[str]) -> str:
    items = "".join(f"<li>{escape(each)}</li>" for each in sentences)
    return f"<h2>Not checked</h2>\n<ul>{items}</ul>\n" if items else ""
