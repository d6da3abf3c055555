"""Sphinx's settings: MyST pages, and docstrings for the reference."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agentkeys import __version__

sys.path.insert(0, str(Path(__file__).parent))  # Sphinx leaves it out

from render import NOT_YOURS_TO_MAKE, for_sphinx

if TYPE_CHECKING:
    from sphinx.application import Sphinx

project = "agentkeys"
author = "the agentkeys authors"
project_copyright = author
release = version = __version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
exclude_patterns = ["_build"]
html_theme = "furo"
html_title = f"agentkeys {release}"
html_show_sphinx = False
html_show_copyright = False

myst_heading_anchors = 3

# Our docstrings say `name`, as Markdown does.
default_role = "code"
napoleon_use_ivar = True
napoleon_use_rtype = False
autodoc_member_order = "bysource"
autodoc_typehints_format = "short"

# There is no intersphinx, for the documentation is to build without a network.
nitpick_ignore_regex = [
    # The names of others.
    ("py:.*", r"(_?asyncio|aiohttp|collections|datetime|math|os|pathlib|ssl|threading|typing)\..*"),
    ("py:.*", r"(TracerProvider|MeterProvider|SSLContext|Middleware|Path|datetime|Callable\[\[\])"),
    # Type variables, and what is only of use to type checkers.
    ("py:.*", r"(.*\.)?(T|\w+T|\w+_co|\w+_contra)"),
    ("py:.*", r"(.*\.)?(ClientSettings|LocalServiceSettings|Clock|KeyId|_Anything)(\.\w+)?"),
    ("py:.*", r"(.*\.)?_?(Lease|Leasing)"),
    ("py:.*", r"(.*\.)?(ServiceName|BlockingClient|Client|Account|Spool|Journal)"),
]

_RECORD = re.compile(r"(?<![\w.])(NewApiKey|ApiKey)\b")


def show_signature(*event: Any) -> tuple[str, str] | None:
    """Hide the arguments of what users do not make; say whose record a blocking twin returns."""
    _, what, _, documented, _, arguments, _ = event
    if not arguments:
        return None
    if what == "exception" or (what == "class" and NOT_YOURS_TO_MAKE.search(arguments)):
        return "", ""
    # What the blocking twin says of itself, and not the annotations of what it wraps.
    signature = getattr(documented, "__signature__", None)
    if signature is not None:
        record = rf"~{documented.__module__}.\1"
        return arguments, _RECORD.sub(record, str(signature.return_annotation))
    return None


def keep_colons(*event: Any) -> None:
    """Keep napoleon from reading what stands before a colon as a type, as in "secret: do not"."""
    _, what, _, _, _, lines = event
    if what in {"attribute", "data", "property"}:
        lines.insert(0, "\\ ")  # which shows as nothing


def read_directives(*event: Any) -> None:
    """Give Sphinx the directives of a page in place of the text that is rendered from them."""
    _, _, source = event
    source[0] = for_sphinx(source[0])


def setup(app: Sphinx) -> None:
    """Add what makes the reference readable."""
    app.connect("source-read", read_directives)
    app.connect("autodoc-process-signature", show_signature)
    app.connect("autodoc-process-docstring", keep_colons, priority=1)  # before napoleon
