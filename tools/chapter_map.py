"""Sphinx extension: a picture of which chapter needs which, drawn from the chapters themselves.

Each chapter names in its "You need" the chapters before it, and in "Time" how long it takes. In
intro.md the comment "<!-- chapter map -->" becomes the picture. Arrows that follow from others are
left out.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from functools import cache
from html import escape
from itertools import pairwise, permutations, product
from pathlib import Path
from typing import Any, NamedTuple

__all__ = ["Chapter", "draw", "layers", "needs", "reduced"]

PLACE = "<!-- chapter map -->"
BOX, GAP, ROW, MARGIN = (200, 64), 20, 110, 8
PASS = 12  # the width of the place of an arrow that passes a row
LINE = 24  # characters of a title on a line of its box


class Chapter(NamedTuple):
    """What the map tells of a chapter."""

    title: str
    minutes: int
    needed: set[str]


def needs(paths: Sequence[Path]) -> dict[str, Chapter]:
    """Return for each chapter its short title, its time to read, and the chapters that it needs.

    Args:
        paths: notebooks, in the book's order.
    """
    found = {}
    for path in paths:
        cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
        text = "".join(cells[0]["source"])
        title = _short(text.splitlines()[0].removeprefix("# "))
        (needed,) = re.findall(r"^\*\*You need.*$", text, flags=re.MULTILINE)
        (minutes,) = re.findall(r"^\*\*Time\*\*: (\d+) minutes to read", text, flags=re.MULTILINE)
        found[path.stem] = Chapter(
            title, int(minutes), set(re.findall(r"\(([\w-]+)\.ipynb", needed))
        )
    return found


def _short(title: str) -> str:
    """A title up to its first colon or, if that is long, comma; a question stays a question."""
    short = title.split(":", maxsplit=1)[0]
    if len(short) > 2 * LINE:
        short = short.split(",")[0]
    asks = short.startswith(("What", "Why", "How")) and not short.endswith("?")
    return f"{short}?" if asks else short


def reduced(needed: Mapping[str, set[str]]) -> dict[str, set[str]]:
    """Return what is needed, without what is needed by something else that is needed.

    Args:
        needed: for each chapter those that it names; each stands before those that need it.
    """
    every: dict[str, set[str]] = {}
    for name, before in needed.items():
        every[name] = before.union(*(every[other] for other in before))
    return {
        name: {one for one in before if not any(one in every[other] for other in before)}
        for name, before in needed.items()
    }


def layers(needed: Mapping[str, set[str]]) -> list[list[str]]:
    """Return the chapters in rows: each stands below all that it needs, as high as it may.

    Where an arrow passes a row, the row has a place for it, named "from > to". Within the rows
    everything stands so that the arrows are short.

    Args:
        needed: from `reduced`.
    """
    depth: dict[str, int] = {}
    for name, before in needed.items():
        depth[name] = 1 + max((depth[other] for other in before), default=-1)
    rows = [[n for n in needed if depth[n] == d] for d in range(max(depth.values()) + 1)]
    arrows = [(a, b) for b, before in needed.items() for a in before]
    for a, b in sorted(arrows):
        for d in range(depth[a] + 1, depth[b]):
            rows[d].append(f"{a} > {b}")

    def length(order: Sequence[Sequence[str]]) -> float:
        at = _places(order)
        ways = [[at[stop][0] for stop in _way(a, b, order)] for a, b in arrows]
        return sum((x - y) ** 2 for way in ways for x, y in pairwise(way))

    return [list(row) for row in min(product(*map(permutations, rows)), key=length)]


def _way(a: str, b: str, rows: Sequence[Sequence[str]]) -> list[str]:
    """What an arrow passes, from its begin to its end."""
    return [a, *(stop for row in rows for stop in row if stop == f"{a} > {b}"), b]


def _places(rows: Sequence[Sequence[str]]) -> dict[str, tuple[float, float]]:
    """How far right of the picture's middle each box or pass is, and below its top."""
    at: dict[str, tuple[float, float]] = {}
    for d, row in enumerate(rows):
        widths = [PASS if ">" in name else BOX[0] for name in row]
        left = -(sum(widths) + GAP * (len(row) - 1)) / 2
        for name, width in zip(row, widths, strict=True):
            at[name] = left + width / 2, MARGIN + d * ROW
            left += width + GAP
    return at


def draw(chapters: Mapping[str, Chapter]) -> str:
    """Return the map as SVG, a link a chapter.

    Args:
        chapters: from `needs`.
    """
    needed = reduced({name: chapter.needed for name, chapter in chapters.items()})
    rows = layers(needed)
    at = _places(rows)
    half = max(abs(x) for x, _ in at.values()) + BOX[0] / 2 + MARGIN
    height = (len(rows) - 1) * ROW + BOX[1] + 2 * MARGIN
    arrows = []
    for b, before in needed.items():
        for a in sorted(before):
            (x, y), *passes, (x_end, y_end) = [at[stop] for stop in _way(a, b, rows)]
            line = f"M{x:.0f} {y + BOX[1]}"
            for x_pass, y_pass in passes:
                line += f" L{x_pass:.0f} {y_pass} V{y_pass + BOX[1]}"
            arrows.append(f'<path d="{line} L{x_end:.0f} {y_end - 3}"/>')
    boxes = [_box(name, chapter, *at[name]) for name, chapter in chapters.items()]
    return (
        '<div class="chapter-map-frame" tabindex="0" role="region" aria-label="Map">'
        f'<svg class="chapter-map" viewBox="{-half:.0f} 0 {2 * half:.0f} {height}" role="group" '
        f'aria-label="The chapters, each below those that it needs">'
        '<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="8" '
        'markerHeight="8" orient="auto"><path d="M0 0L8 4L0 8z"/></marker></defs>'
        f'<g class="arrows" aria-hidden="true">{"".join(arrows)}</g>{"".join(boxes)}</svg></div>'
    )


def _box(name: str, chapter: Chapter, x: float, y: float) -> str:
    words, lines = chapter.title.split(), [""]
    for word in words:
        if len(f"{lines[-1]} {word}") > LINE and lines[-1]:
            lines.append("")
        lines[-1] = f"{lines[-1]} {word}".strip()
    lines.append(f"{chapter.minutes} min")
    first = y + BOX[1] / 2 - 8 * (len(lines) - 1)
    text = "".join(
        f'<tspan x="{x:.0f}" y="{first + 16 * i:.0f}">{escape(line)} </tspan>'
        for i, line in enumerate(lines)
    )
    return (
        f'<a href="chapters/{name}.html"><rect x="{x - BOX[0] / 2:.0f}" y="{y}" width="{BOX[0]}" '
        f'height="{BOX[1]}" rx="6"/><text>{text}</text></a>'
    )


@cache
def _picture(root: Path) -> str:
    toc = (root / "_toc.yml").read_text(encoding="utf-8")
    return draw(
        needs([root / f"{name}.ipynb" for name in re.findall(r"file: (chapters/[\w-]+)", toc)])
    )


def _read(app: Any, name: str, source: list[str]) -> None:  # noqa: ARG001
    if PLACE in source[0]:
        source[0] = source[0].replace(PLACE, _picture(Path(app.srcdir)))


def setup(app: Any) -> dict[str, Any]:
    """Register with Sphinx."""
    app.connect("source-read", _read)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
