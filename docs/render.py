"""Write what the pages show of the program and its docstrings: ``python docs/render.py``.

- ``command-line.md`` shows the help of each command, and ``agentkeys.1`` is its man page.
- ``audit.md`` has a table of the rules.
- ``reference.md`` has comments with directives of Sphinx's autodoc. Behind each comment are the
  signatures and docstrings, for readers of the file. ``conf.py`` gives Sphinx the directives.

The text is committed, and a test compares it with the program.
"""

from __future__ import annotations

import ast
import importlib
import inspect
import re
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Any

import man

from agentkeys.auditing.rules import RULES

if TYPE_CHECKING:
    from collections.abc import Iterator

DOCS = Path(__file__).parent

MARKED = r"(?<=^<!-- {0} -->\n).*?(?=^<!-- end of {0} -->$)"
HELP = re.compile(MARKED.format("help"), re.MULTILINE | re.DOTALL)
TABLE = re.compile(MARKED.format("rules"), re.MULTILINE | re.DOTALL)
AUTODOC = re.compile(
    r"^(?:<!-- autodoc\n(?P<hidden>.*?)^-->\n.*?^<!-- end of autodoc -->"
    r"|```\{eval-rst\}\n(?P<shown>.*?)^```)$",
    re.MULTILINE | re.DOTALL,
)
DIRECTIVE = re.compile(r"^\.\. (\w+):: *(\S+)\n((?:   .+\n|\n(?=   ))*)", re.MULTILINE)
OPTION = re.compile(r"^ +:([\w-]+): *(.*)\n", re.MULTILINE)
SECTION = re.compile(r"^(Args|Attributes|Raises|Returns|Yields):\n((?:    .*\n|\n)+)", re.MULTILINE)
FIELD = re.compile(r"^([\w*.]+(?:, [\w*.]+)*): ", re.MULTILINE)
# Who takes one of these is made by a client and not by its user, and a protocol by nobody.
NOT_YOURS_TO_MAKE = re.compile(
    r"\b(Session|Portal|FetchPage|Search|_Run)\b|^\(\*args, \*\*kwargs\)$"
)
WIDTH = 88


def pages() -> dict[Path, str]:
    """Return what each of the files should hold."""
    audit, command_line, reference = (
        DOCS / f"{name}.md" for name in ("audit", "command-line", "reference")
    )
    return {
        DOCS / "agentkeys.1": man.page(),
        audit: TABLE.sub(lambda _: table_of_rules(), audit.read_text()),
        command_line: HELP.sub(lambda _: help_of_all(), command_line.read_text()),
        reference: AUTODOC.sub(with_docstrings, reference.read_text()),
    }


def help_of_all() -> str:
    """Return a heading for each command, and below it what the command prints."""
    return "".join(
        f"\n{'##' if line.count(' ') < 2 else '###'} {line}\n\n"
        f"```text {line} --help\n{man.help_of(line)}```\n"
        for line in man.lines()
    )


def table_of_rules() -> str:
    """Return a row for each rule of the audit."""
    rows = "".join(f"| `{rule.id}` | {rule.severity} | {rule.about} |\n" for rule in RULES)
    return f"\n| rule | severity | what it finds |\n|---|---|---|\n{rows}\n"


def with_docstrings(found: re.Match[str]) -> str:
    """Return the comment with the directives, and the docstrings that they name."""
    directives = _directives(found)
    text = "\n".join(_entries(directives))
    return f"<!-- autodoc\n{directives}-->\n\n{text}\n<!-- end of autodoc -->"


def for_sphinx(page: str) -> str:
    """Return the page with the directives for Sphinx in place of the docstrings."""
    return AUTODOC.sub(lambda found: f"```{{eval-rst}}\n{_directives(found)}```", page)


def _directives(found: re.Match[str]) -> str:
    return found["hidden"] or found["shown"]


def _entries(directives: str) -> Iterator[str]:
    """Yield a heading, a signature and a docstring for each name, and for each of its members."""
    module = ""
    for directive, name, body in DIRECTIVE.findall(directives):
        if directive in {"module", "currentmodule"}:
            module = name
        elif directive in {"data", "autodata"}:
            text = textwrap.dedent(OPTION.sub("", body)) or _below(module, name)
            yield f"#### {name}\n\n{_markdown(text)}\n"
        else:
            documented = getattr(importlib.import_module(module), name)
            yield _entry("####", name, documented)
            for member, each in _members(documented, dict(OPTION.findall(body))):
                yield _entry("#####", f"{name}.{member}", each)


def _entry(level: str, name: str, documented: Any) -> str:
    text = _markdown(inspect.getdoc(documented) or "")
    if inspect.isclass(documented) and issubclass(documented, Exception):
        text = f"Inherits from `{documented.__bases__[0].__name__}`.\n\n{text}"
    stub = _stub(name.rpartition(".")[2], documented)
    return f"{level} {name}\n\n```pyi\n{stub}\n```\n\n{text}\n"


def _members(documented: type, options: dict[str, str]) -> Iterator[tuple[str, Any]]:
    """Yield what autodoc shows of a class with these options."""
    if "members" not in options:
        return
    chosen, private, hidden = (
        re.findall(r"\w+", options.get(name, ""))
        for name in ("members", "private-members", "exclude-members")
    )
    line = [each.__name__ for each in documented.__mro__]
    end = line.index(options.get("inherited-members", line[1]) or "object")
    for name in dict.fromkeys(name for each in documented.__mro__[:end] for name in vars(each)):
        member = inspect.getattr_static(documented, name)
        if not isinstance(member, property):
            member = getattr(documented, name)
        is_chosen = name in private if name.startswith("_") else name in chosen or not chosen
        has_text = (callable(member) or isinstance(member, property)) and inspect.getdoc(member)
        if is_chosen and name not in hidden and has_text:
            yield name, member


def _stub(name: str, documented: Any) -> str:
    """Return the signature as a stub file has it."""
    if isinstance(documented, property):
        return f"{name}: {_type(inspect.signature(documented.fget).return_annotation)}"
    if inspect.isclass(documented) and issubclass(documented, Exception):
        return f"class {name}({documented.__bases__[0].__name__})"
    found = inspect.signature(documented)
    if inspect.isclass(documented):
        if NOT_YOURS_TO_MAKE.search(str(found)):
            return f"class {name}"
        return _wrapped(f"class {name}", found, "")
    kind = "async def" if inspect.iscoroutinefunction(documented) else "def"
    return _wrapped(f"{kind} {name}", found, f" -> {_type(found.return_annotation)}")


def _wrapped(begin: str, signature: inspect.Signature, end: str) -> str:
    """Return a signature in one line, or in a line for each argument."""
    arguments = [*_arguments(signature)]
    line = f"{begin}({', '.join(arguments)}){end}"
    if len(line) <= WIDTH:
        return line
    return f"{begin}(\n" + "".join(f"    {each},\n" for each in arguments) + f"){end}"


def _arguments(signature: inspect.Signature) -> Iterator[str]:
    kinds = inspect.Parameter
    before = None
    for each in signature.parameters.values():
        if before is kinds.POSITIONAL_ONLY and each.kind is not before:
            yield "/"
        if each.kind is kinds.KEYWORD_ONLY and before not in {each.kind, kinds.VAR_POSITIONAL}:
            yield "*"
        if (each.name, before) not in {("self", None), ("cls", None)}:
            yield _argument(each)
        before = each.kind
    if before is kinds.POSITIONAL_ONLY and len(signature.parameters) > 1:
        yield "/"


def _argument(each: inspect.Parameter) -> str:
    stars = {each.VAR_POSITIONAL: "*", each.VAR_KEYWORD: "**"}.get(each.kind, "")
    annotation = "" if each.annotation is each.empty else f": {_type(each.annotation)}"
    # The text of some objects has their address.
    text = "..." if " at 0x" in repr(each.default) else repr(each.default)
    default = "" if each.default is each.empty else f" = {text}"
    return f"{stars}{each.name}{annotation}{default}"


def _type(annotation: Any) -> str:
    written = getattr(annotation, "__forward_arg__", annotation)
    if written is inspect.Signature.empty:
        return "None"
    return written if isinstance(written, str) else inspect.formatannotation(written)


def _below(module: str, name: str) -> str:
    """Return the string below the assignment of a name, in the module that has it."""
    tree = ast.parse(inspect.getsource(importlib.import_module(module)))
    for node, below in zip(tree.body, [*tree.body[1:], None], strict=True):
        target = node.targets[0] if isinstance(node, ast.Assign) else getattr(node, "target", None)
        if isinstance(target, ast.Name) and target.id == name and isinstance(below, ast.Expr):
            return inspect.cleandoc(ast.literal_eval(below.value))
    origin = next(
        node.module
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and name in {each.name for each in node.names}
    )
    return _below(str(origin), name)


def _markdown(docstring: str) -> str:
    """Return a docstring of Google's style as Markdown."""
    text = SECTION.sub(_list, f"{docstring.strip()}\n")
    return text.replace("``", "`").strip()


def _list(section: re.Match[str]) -> str:
    """Return the fields of a section as a list, with a line of text before it."""
    title = "Arguments" if section[1] == "Args" else section[1]
    fields = FIELD.sub(_field, textwrap.dedent(section[2]).replace("\n    ", "\n  "))
    return f"{title}:\n\n{fields.strip()}\n\n"


def _field(found: re.Match[str]) -> str:
    return f"- {', '.join(f'`{name}`' for name in found[1].split(', '))}: "


def main() -> None:
    """Write the files."""
    for path, text in pages().items():
        path.write_text(text)


if __name__ == "__main__":
    main()
