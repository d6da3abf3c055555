"""Sphinx's settings: MyST pages, docstrings for the reference, and the program's own help."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from click.testing import CliRunner
from docutils import nodes
from docutils.parsers.rst import Directive

from agentkeys import __version__
from agentkeys.cli import commands

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
    ("py:.*", r"(.*\.)?ServiceName"),
]

# Who takes one of these is made by a client and not by its user, and a protocol by nobody.
_NOT_YOURS_TO_MAKE = re.compile(
    r"\b(Session|Portal|FetchPage|Search|_Run)\b|^\(\*args, \*\*kwargs\)$"
)
_RECORD = re.compile(r"(?<![\w.])(NewApiKey|ApiKey)\b")


class CommandHelp(Directive):
    """Shows what ``agentkeys ... --help`` prints: ``{command-help} agentkeys agentity create``."""

    required_arguments = 1
    final_argument_whitespace = True

    def run(self) -> list[nodes.Node]:
        """Return the help of the command that the argument names."""
        text = help_of(self.arguments[0])
        return [nodes.literal_block(text, text, language="text")]


def help_of(line: str) -> str:
    """Return what the command *line* prints with ``--help``, on a terminal of 80 columns."""
    name, *words = line.split()
    # Two columns are click's margin.
    done = CliRunner().invoke(commands, [*words, "--help"], prog_name=name, terminal_width=78)
    if done.exit_code != 0:
        raise ValueError(f"{line!r} is no command: {done.output}")
    return done.output


def show_signature(*event: Any) -> tuple[str, str] | None:
    """Hide the arguments of what users do not make; say whose record a blocking twin returns."""
    _, what, _, documented, _, arguments, _ = event
    if not arguments:
        return None
    if what == "exception" or (what == "class" and _NOT_YOURS_TO_MAKE.search(arguments)):
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


def setup(app: Sphinx) -> None:
    """Add the directive, and what makes the reference readable."""
    app.add_directive("command-help", CommandHelp)
    app.connect("autodoc-process-signature", show_signature)
    app.connect("autodoc-process-docstring", keep_colons, priority=1)  # before napoleon
