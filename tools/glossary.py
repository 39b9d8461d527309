"""Sphinx extension: the first use of a term in each chapter leads to the glossary.

In reference/glossary.md the entry of a term ends in lines such as

    first: range-finding | range test

that name a chapter and the words that stand for the term there. The lines are not shown. In the
chapter the first such words in the text become a link, which shows the definition when the mouse
rests on it. Words that are not there are a warning, and so fail the build.
"""

from __future__ import annotations

import re
from collections import defaultdict
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from docutils import nodes
from sphinx.util import logging

__all__ = ["Use", "link_first_uses", "uses"]

LOG = logging.getLogger(__name__)
PAGE = "reference/glossary"
USE = re.compile(r"^first: ([\w-]+) \| (.+)\n?", re.MULTILINE)
ENTRY = re.compile(r"^### (.+)\n((?:(?!^###? ).*\n)*)", re.MULTILINE)
NOT_IN = (nodes.reference, nodes.title, nodes.literal, nodes.literal_block, nodes.math, nodes.raw)


class Use(NamedTuple):
    """The first use of a term in a chapter."""

    phrase: str
    term: str
    definition: str


def uses(glossary: str) -> dict[str, list[Use]]:
    """Return the first uses that a glossary names, by chapter.

    Args:
        glossary: its Markdown.
    """
    found = defaultdict(list)
    for term, entry in ENTRY.findall(glossary):
        definition = _plain(USE.sub("", entry))
        for chapter, phrase in USE.findall(entry):
            found[chapter].append(Use(phrase, term, definition))
    return dict(found)


def _plain(markdown: str) -> str:
    """A definition without its last sentence, which says where to read on, and without markup."""
    text = " ".join(markdown.split()).split(" See [")[0]
    return re.sub(r"[$`*]|\\(?=[a-z]*)", "", text)


def link_first_uses(document: nodes.document, page: str, wanted: list[Use]) -> list[str]:
    """Make the first use of each term in a chapter a link, and return the phrases not found.

    Args:
        document: the chapter; it is changed.
        page: the address of the glossary, from there.
        wanted: from `uses`.
    """
    missing = []
    for phrase, term, definition in sorted(wanted, key=lambda use: -len(use.phrase)):
        pattern = re.compile(rf"(?<![\w-]){re.escape(phrase)}(?![\w-])")
        for text in list(document.findall(nodes.Text)):
            if (match := pattern.search(text.astext())) and not _within(text):
                link = nodes.reference(
                    "", match[0], refuri=f"{page}#{nodes.make_id(term)}", classes=["term"]
                )
                link["reftitle"] = definition
                before, after = text.astext()[: match.start()], text.astext()[match.end() :]
                text.parent.replace(text, [nodes.Text(before), link, nodes.Text(after)])
                break
        else:
            missing.append(phrase)
    return missing


def _within(text: nodes.Text) -> bool:
    node = text.parent
    while node is not None:
        if isinstance(node, NOT_IN):
            return True
        node = node.parent
    return False


@cache
def _glossary(path: Path) -> dict[str, list[Use]]:
    return uses(path.read_text(encoding="utf-8"))


def _read(app: Any, name: str, source: list[str]) -> None:  # noqa: ARG001
    if name == PAGE:
        source[0] = USE.sub("", source[0])


def _resolved(app: Any, document: nodes.document, name: str) -> None:
    wanted = _glossary(Path(app.srcdir) / f"{PAGE}.md").get(Path(name).name, [])
    if app.builder.format == "html" and wanted and name.startswith("chapters/"):
        page = app.builder.get_relative_uri(name, PAGE)
        for phrase in link_first_uses(document, page, wanted):
            LOG.warning(
                "the glossary names words that are not in the text: %r", phrase, location=name
            )


def setup(app: Any) -> dict[str, Any]:
    """Register with Sphinx."""
    app.connect("source-read", _read)
    app.connect("doctree-resolved", _resolved)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
