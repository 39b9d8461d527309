"""Sphinx extension: pages about the package's modules, made of their docstrings, unimported.

A page reference/api/NAME.md that holds nothing but the comment "<!-- docstrings -->" becomes the
reference of helpers.NAME. The docstrings are plain text: words in backticks are code, a paragraph
that is indented or made of formulas keeps its lines, and nothing else is markup.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from textwrap import dedent
from typing import Any

import griffe

__all__ = ["page"]

PLACE = "<!-- docstrings -->"
FOLDER = "reference/api/"
FORMULA = re.compile(r"    |(?![A-Z][a-z]+ ).*\S (?:=|<=|>=|<|>|~|->) \S")
WIDTH = 76


def page(name: str, root: Path) -> str:
    """Return the reference of a module, in Markdown.

    Args:
        name: of the module.
        root: the folder in which the package lies.

    Raises:
        KeyError: the package has no such module.
    """
    module = _package(root)[name]
    lines = [f"# helpers.{name}", "", *_description(module)]
    for found in _public(module):
        lines += [f"## {found.name}", "", *_definition(found)]
        for method in _public(found) if found.is_class else ():
            if method.is_function and method.docstring:
                lines += [f"### `{found.name}.{method.name}`", "", *_definition(method)]
    return "\n".join(lines)


@cache
def _package(root: Path) -> Any:
    """The package, read and not imported."""
    return griffe.load(
        "helpers", search_paths=[root], allow_inspection=False, docstring_parser="google"
    )


def _public(parent: Any) -> Iterator[Any]:
    """What a module or class defines itself, for others to use, in its order."""
    for name, found in parent.members.items():
        if found.is_alias or name.startswith("_"):
            continue
        named = parent.exports is None or name in parent.exports
        told = not found.is_attribute or (found.docstring and not parent.is_class)
        if named and told:
            yield found


def _definition(found: Any) -> Iterator[str]:
    """How a function or a class is called, or what a constant holds; and its docstring."""
    if found.is_attribute:
        yield from ("```python", f"{found.name} = {found.value}"[: 2 * WIDTH], "```", "")
    elif not (found.is_class and "__init__" not in found.members and not found.parameters):
        yield from ("```python", _call(found), "```", "")
    yield from _description(found)


def _call(found: Any) -> str:
    """The name with its arguments, on one line or on one each."""
    arguments, keywords = [], False
    for parameter in found.parameters:
        if parameter.name in ("self", "cls"):
            continue
        kind = parameter.kind.value
        if kind == "keyword-only" and not keywords:
            keywords = True
            arguments.append("*")
        star = {"variadic positional": "*", "variadic keyword": "**"}.get(kind, "")
        keywords = keywords or star == "*"
        default = "" if star or parameter.default is None else f"={parameter.default}"
        arguments.append(f"{star}{parameter.name}{default}")
    call = f"{found.name}({', '.join(arguments)})"
    if len(call) <= WIDTH:
        return call
    inner = "".join(f"    {argument},\n" for argument in arguments)
    return f"{found.name}(\n{inner})"


def _description(found: Any) -> Iterator[str]:
    """A docstring, section by section."""
    for section in found.docstring.parsed if found.docstring else ():
        kind, value = section.kind.value, section.value
        if kind == "text":
            yield from _prose(value)
        elif kind == "admonition":
            title, text = section.title, value.description
            yield from (f"**{title}**", "")
            yield from ("```python", text, "```", "") if title == "Example" else _prose(text)
        else:
            yield from (f"**{section.title or kind.capitalize()}**", "")
            for item in value:
                label = getattr(item, "name", None) or getattr(item, "annotation", None)
                text = _escaped(" ".join(item.description.split()))
                yield f"- `{label}`: {text}" if label and kind != "returns" else f"- {text}"
            yield ""


def _prose(text: str) -> Iterator[str]:
    for paragraph in re.split(r"\n\s*\n", text.strip("\n")):
        if all(FORMULA.match(line) for line in paragraph.splitlines()):
            yield from ("```text", dedent(paragraph), "```", "")
        else:
            yield from (_escaped(paragraph), "")


def _escaped(text: str) -> str:
    """Text without markup but for the code in its backticks."""
    pieces = re.split(r"(`[^`]+`)", text)
    pieces[::2] = (re.sub(r"([\\*_<>$\[\]{}|~#])", r"\\\1", plain) for plain in pieces[::2])
    return "".join(pieces)


def _read(app: Any, name: str, source: list[str]) -> None:
    """Put the reference in place of its comment."""
    if name.startswith(FOLDER) and source[0].strip() == PLACE:
        source[0] = page(name.removeprefix(FOLDER), Path(app.srcdir))


def setup(app: Any) -> dict[str, Any]:
    """Register with Sphinx."""
    app.connect("source-read", _read)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
