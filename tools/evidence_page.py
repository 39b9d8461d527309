"""Sphinx extension: the page Evidence, made of evidence/, linked with the chapters both ways.

In reference/evidence.md the comment "<!-- evidence -->" becomes the tables. In the chapters each
code cell gets an address, and under each output that states claims stands how many of the runs
they held in.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from html import escape
from pathlib import Path
from statistics import median
from typing import Any

import nbformat
from docutils import nodes

from tools.stored_claims import Claim, fallen, limits, stored_claims

__all__ = ["Evidence", "evidence_of", "page", "room", "spread"]

PAGE = "reference/evidence"
PLACE = "<!-- evidence -->"
NOT_COUNTED = "untrained"
HEAD = ("Claim", "Bound", "Stored", "Smallest", "Median", "Largest", "Room", "Seeds", "Others")


@dataclass(frozen=True)
class Evidence:
    """What is known of a chapter.

    Attributes:
        chapter: the name of its file.
        title: its heading.
        claims: those that its stored outputs state.
        runs: by condition, those made by the code as it is now.
        older: the conditions of runs that were made by earlier code.
    """

    chapter: str
    title: str
    claims: Sequence[Claim]
    runs: Mapping[str, Any]
    older: Sequence[str]

    def group(self, seeds: bool) -> dict[str, Any]:
        """Return the runs under other seeds, or those under other arithmetic and versions."""
        counted = {name: run for name, run in self.runs.items() if name != NOT_COUNTED}
        return {n: run for n, run in counted.items() if n.startswith("seed ") == seeds}

    def values(self, index: int) -> list[float]:
        """Return what a claim's number was in all runs that are counted, and as stored."""
        runs = [*self.group(True).values(), *self.group(False).values()]
        found = [run["values"][index] for run in runs]
        return [self.claims[index].value, *(value for value in found if value is not None)]

    def held(self, index: int, seeds: bool) -> tuple[int, int]:
        """Return in how many runs a claim held, and how many there are."""
        runs = self.group(seeds).values()
        return sum(index not in self.fallen(run) for run in runs), len(runs)

    def fallen(self, run: Mapping[str, Any]) -> list[int]:
        """Return which claims did not hold in a run, by number."""
        return fallen(self.claims, run["values"])


def evidence_of(path: Path, folder: Path) -> Evidence:
    """Return what is known of a chapter.

    Args:
        path: its notebook.
        folder: where the runs are kept.
    """
    notebook = nbformat.read(path, as_version=4)
    kept = folder / f"{path.stem}.json"
    runs = json.loads(kept.read_text(encoding="utf-8"))["runs"] if kept.is_file() else {}
    results = notebook.metadata.get("learning_rates", {}).get("results")
    heading = next(cell.source for cell in notebook.cells if cell.source.startswith("# "))
    return Evidence(
        path.stem,
        heading.splitlines()[0].removeprefix("# "),
        stored_claims(notebook),
        {name: run for name, run in runs.items() if run["results"] == results},
        [name for name, run in runs.items() if run["results"] != results],
    )


def room(bound: str, values: Sequence[float]) -> float:
    """Return how far inside its bound the worst value lies; negative if it is outside."""
    low, high = limits(bound)
    return min(min(values) - low, high - max(values))


def spread(values: Sequence[float]) -> float:
    """Return the distance from the smallest value to the largest."""
    return max(values) - min(values)


def page(found: Sequence[Evidence]) -> str:
    """Return the tables of the page Evidence, in Markdown and HTML.

    Args:
        found: the chapters, in the order of the book.
    """
    lines = [*_conditions(found), *_fallen(found)]
    for evidence in found:
        lines += [f"## {evidence.title}", "", *_chapter(evidence)]
    return "\n".join(lines)


def _conditions(found: Sequence[Evidence]) -> Iterator[str]:
    """A table of the conditions, how many chapters ran, how many claims held."""
    names = dict.fromkeys(n for e in found for n in (*e.group(True), *e.group(False)))
    ordered = sorted(names, key=lambda n: (not n.startswith("seed "), _number(n), n))
    rows = []
    for name in ordered:
        runs = [e.runs[name] for e in found if name in e.runs]
        total = sum(len(run["values"]) for run in runs)
        held = total - sum(len(e.fallen(e.runs[name])) for e in found if name in e.runs)
        versions = runs[0]["versions"]
        told = ", ".join(
            f"{package} {versions[key]}"
            for package, key in (
                ("Python", "python"),
                ("TensorFlow", "tensorflow"),
                ("Keras", "keras"),
                ("NumPy", "numpy"),
            )
        )
        processors = sorted({run["processor"] for run in runs})
        rows.append(
            [
                name,
                told,
                "; ".join(processors),
                f"{len(runs)} of {len(found)}",
                f"{held} of {total}",
            ]
        )
    head = ("Condition", "Versions", "Processor", "Chapters run", "Claims that held")
    yield "## The runs"
    yield ""
    yield from _table(head, rows)


def _number(name: str) -> int:
    return int(name.removeprefix("seed ")) if name.startswith("seed ") else 0


def _fallen(found: Sequence[Evidence]) -> Iterator[str]:
    """What did not hold, or that all did."""
    yield from ("## What fell", "")
    lines = []
    for evidence in found:
        for name, run in evidence.runs.items():
            if name == NOT_COUNTED:
                continue
            for index in evidence.fallen(run):
                claim, value = evidence.claims[index], run["values"][index]
                said = "was not reached" if value is None else f"was {value:.4g}"
                lines.append(
                    f"- {evidence.title}, {name}: {_plain(claim.text)} {said} ({claim.bound})"
                )
    yield from lines or ["No claim fell in any of these runs."]
    yield ""


def _chapter(evidence: Evidence) -> Iterator[str]:
    """A chapter's claims."""
    commits = sorted({run["commit"] for run in evidence.runs.values()})
    link = f"[The chapter](../chapters/{evidence.chapter}.ipynb)"
    yield f"{link}, run at commit {', '.join(commits) or 'none'}."
    if evidence.older:
        yield f"Not yet run again since its code changed: {', '.join(sorted(evidence.older))}."
    yield ""
    rows = []
    for index, claim in enumerate(evidence.claims):
        values = evidence.values(index)
        told = [f"{v:.4g}" for v in (claim.value, min(values), median(values), max(values))]
        left = f"{room(claim.bound, values):.2g}"
        held = ["{} of {}".format(*evidence.held(index, seeds)) for seeds in (True, False)]
        address = f"../chapters/{evidence.chapter}.html#cell-{claim.cell}"
        text = f'<a href="{address}">{escape(claim.text)}</a>'
        rows.append([text, claim.bound, *told, left, *held])
    first: dict[int, int] = {}
    for index, claim in enumerate(evidence.claims):
        first.setdefault(claim.cell, index)
    ids = {index: f"{evidence.chapter}-{cell}" for cell, index in first.items()}
    yield from _table(HEAD, rows, ids)


def _table(
    head: Sequence[str], rows: Sequence[Sequence[str]], ids: Mapping[int, str] | None = None
) -> Iterator[str]:
    """A table in HTML; the first cell of a row is HTML already."""
    yield '<div class="evidence" tabindex="0" role="region" aria-label="Table">'
    yield '<table class="table">'
    yield "<thead><tr>" + "".join(f'<th scope="col">{name}</th>' for name in head) + "</tr></thead>"
    yield "<tbody>"
    for index, (first, *others) in enumerate(rows):
        name = f' id="{ids[index]}"' if ids and index in ids else ""
        cells = "".join(f"<td>{escape(text)}</td>" for text in others)
        yield f'<tr{name}><th scope="row">{first}</th>{cells}</tr>'
    yield "</tbody></table></div>"
    yield ""


def _plain(text: str) -> str:
    """Text of which Markdown makes no markup."""
    return "".join(f"\\{c}" if c in "\\*_`<>[]#|~$" else c for c in text)


@cache
def _all(root: Path) -> tuple[Evidence, ...]:
    import yaml

    toc = yaml.safe_load((root / "_toc.yml").read_text(encoding="utf-8"))
    files = [entry["file"] for part in toc["parts"] for entry in part["chapters"]]
    chapters = [root / f"{file}.ipynb" for file in files if file.startswith("chapters/")]
    return tuple(evidence_of(path, root / "evidence") for path in chapters)


def _read(app: Any, name: str, source: list[str]) -> None:
    if name == PAGE:
        source[0] = source[0].replace(PLACE, page(_all(Path(app.srcdir))))


def link_cells(document: nodes.document, evidence: Evidence, address: str) -> None:
    """Give each code cell an address, and tell under its claims in how many runs they held.

    Args:
        document: the chapter; it is changed.
        evidence: what is known of it.
        address: of the page Evidence, from there.
    """
    cells = [n for n in document.findall(nodes.container) if n.get("nb_element") == "cell_code"]
    for number, cell in enumerate(cells, 1):
        cell["ids"].append(f"cell-{number}")
        held = [
            evidence.held(index, seeds=True)
            for index, claim in enumerate(evidence.claims)
            if claim.cell == number
        ]
        fewest, runs = min(held, default=(0, 0))
        if runs:
            text = f"Held with {fewest} of {runs} other seeds"
            address_of = f"{address}#{evidence.chapter}-{number}"
            link = nodes.reference("", text, refuri=address_of, internal=True)
            cell.append(nodes.paragraph("", "", link, classes=["evidence-link"]))


def _resolved(app: Any, document: nodes.document, name: str) -> None:
    if app.builder.format == "html" and name.startswith("chapters/"):
        for evidence in _all(Path(app.srcdir)):
            if evidence.chapter == Path(name).name:
                link_cells(document, evidence, app.builder.get_relative_uri(name, PAGE))


def setup(app: Any) -> dict[str, Any]:
    """Register with Sphinx."""
    app.connect("source-read", _read)
    app.connect("doctree-resolved", _resolved)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
