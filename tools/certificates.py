"""Sphinx extension: a claim printed by `helpers.claims` becomes a small certificate.

In a notebook a claim is a line of text, and stays one in Colab and in a terminal. On the
site each such line is set apart: the check mark, the text, the number, the bound.
"""

from __future__ import annotations

import html
import re
from typing import Any

from docutils import nodes
from sphinx.transforms.post_transforms import SphinxPostTransform

CLAIM = re.compile(r"✓ (?P<text>.+): (?P<value>\S+) \((?P<bound>[^()]+)\)")


class Certificates(SphinxPostTransform):
    """Replace the lines of an output that are claims; keep every other line as it is."""

    default_priority = 200
    formats = ("html",)

    def run(self, **_: Any) -> None:
        """Go through the page's outputs."""
        for block in list(self.document.findall(nodes.literal_block)):
            lines = block.astext().splitlines()
            if "stream" in block.get("classes", []) and any(map(CLAIM.fullmatch, lines)):
                block.replace_self(list(_pieces(block, lines)))


def _pieces(block: nodes.literal_block, lines: list[str]) -> list[nodes.Node]:
    pieces: list[nodes.Node] = []
    claims: list[str] = []
    others: list[str] = []

    def flush() -> None:
        if claims:
            text = f'<ul class="claims">{"".join(claims)}</ul>'
            pieces.append(nodes.raw("", text, format="html"))
            claims.clear()
        if others:
            copy = block.deepcopy()
            copy.rawsource, copy.children = "", []
            copy += nodes.Text("\n".join(others))
            pieces.append(copy)
            others.clear()

    for line in lines:
        found = CLAIM.fullmatch(line)
        if bool(found) != bool(claims):
            flush()
        if found is None:
            others.append(line)
            continue
        part = {name: html.escape(text) for name, text in found.groupdict().items()}
        claims.append(
            f'<li><span class="claim-text">{part["text"]}</span> '
            f'<span class="claim-value">{part["value"]}</span> '
            f'<span class="claim-bound">{part["bound"]}</span></li>'
        )
    flush()
    return pieces


def setup(app: Any) -> dict[str, Any]:
    """Register with Sphinx."""
    app.add_post_transform(Certificates)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
