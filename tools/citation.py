"""Sphinx extension: how to cite the book, from CITATION.cff, at the comment "<!-- citation -->"."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

__all__ = ["box"]

PLACE = "<!-- citation -->"


def box(cff: str) -> str:
    """Return the citation as a sentence and as BibTeX, in Markdown.

    Args:
        cff: the text of a CITATION.cff.
    """
    known = yaml.safe_load(cff)
    authors = " and ".join(author["name"] for author in known["authors"])
    year = str(known["date-released"])[:4]
    title, address, version = known["title"], known["repository-code"], known["version"]
    return f"""\
{authors} ({year}). *{title}*, version {version}. [{address.split("//")[1]}]({address})

```bibtex
@misc{{learning-rates-in-practice,
  author  = {{{{{authors}}}}},
  title   = {{{title}}},
  year    = {{{year}}},
  version = {{{version}}},
  url     = {{{address}}}
}}
```
"""


def _read(app: Any, name: str, source: list[str]) -> None:  # noqa: ARG001
    if PLACE in source[0]:
        cff = (Path(app.srcdir) / "CITATION.cff").read_text(encoding="utf-8")
        source[0] = source[0].replace(PLACE, box(cff))


def setup(app: Any) -> dict[str, Any]:
    """Register with Sphinx."""
    app.connect("source-read", _read)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
