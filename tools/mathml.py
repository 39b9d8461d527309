"""Sphinx extension: formulas become MathML when the site is built.

Every browser draws MathML by itself, so the pages need no script and no other host for
their mathematics, and screen readers can read it.
"""

from __future__ import annotations

import re
from typing import Any, Literal

from docutils import nodes
from latex2mathml.converter import convert

# latex2mathml sets "ln x" as two names with nothing between them.
FUNCTION = re.compile(r"(<mi>[a-z]{2,}</mi>)(?=<m(?:i|n|sub|sup|row)>)")
APPLIED = r'\1<mo>&#x2061;</mo><mspace width="0.17em"/>'


def _mathml(latex: str, display: Literal["inline", "block"]) -> str:
    return FUNCTION.sub(APPLIED, convert(latex, display=display))


def _inline(translator: Any, node: nodes.math) -> None:
    translator.body.append(_mathml(node.astext(), "inline"))
    raise nodes.SkipNode


def _display(translator: Any, node: nodes.math_block) -> None:
    attributes = translator.starttag(node, "div", CLASS="math", tabindex="0")
    translator.body.append(attributes + _mathml(node.astext(), "block") + "</div>")
    raise nodes.SkipNode


def setup(app: Any) -> dict[str, Any]:
    """Register with Sphinx."""
    app.add_html_math_renderer("mathml", (_inline, None), (_display, None))
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
