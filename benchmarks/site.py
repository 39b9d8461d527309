"""How long does the website take to build, and how long its pages' extensions of our own?

python -m benchmarks.site     measure, print, store in benchmarks/results/site.json

The book is built as `make book` does, and as Jupyter Book builds it without the extensions in
`tools/`; each time into an empty folder.
"""

from __future__ import annotations

import shutil
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import yaml

from benchmarks.measured import RESULTS, command, provenance, seconds
from tools import ROOT

STORED = RESULTS / "site.json"
OURS, PLAIN = "make book", "without the extensions in tools/"
LEFT_OUT = ("_build", ".venv", ".tools", ".git", ".*_cache", "__pycache__")


def plain(folder: Path) -> None:
    """Take a copy's own extensions out of its settings."""
    path = folder / "_config.yml"
    settings = yaml.safe_load(path.read_text(encoding="utf-8"))
    settings["sphinx"].pop("local_extensions")
    settings["sphinx"]["config"].pop("html_math_renderer")  # is one of them
    path.write_text(yaml.safe_dump(settings), encoding="utf-8")


def build(folder: Path) -> None:
    """Build a copy anew."""
    shutil.rmtree(folder / "_build", ignore_errors=True)
    code = "from jupyter_book.cli.main import main; main()"
    subprocess.run(
        [sys.executable, "-c", code, "build", str(folder), "-n", "--keep-going", "--quiet"],
        check=True,
        cwd=folder,
        capture_output=True,
    )


def measure(rounds: int) -> dict[str, Any]:
    """Let the two take turns, and return all seconds."""
    found: dict[str, list[float]] = {OURS: [], PLAIN: []}
    with tempfile.TemporaryDirectory(prefix="site-") as made:
        folders = {name: Path(made, str(i), "book") for i, name in enumerate(found)}
        for folder in folders.values():
            shutil.copytree(ROOT, folder, ignore=shutil.ignore_patterns(*LEFT_OUT))
        plain(folders[PLAIN])
        for _ in range(rounds):
            for name, folder in folders.items():
                found[name].append(seconds(lambda: build(folder)))  # noqa: B023
        pages = len(list((folders[OURS] / "_build" / "html").rglob("*.html")))
    return {"seconds": found, "pages": pages, **provenance()}


def report(found: dict[str, Any]) -> str:
    """The table that people read."""
    middle = {name: statistics.median(times) for name, times in found["seconds"].items()}
    lines = [f"{found['pages']} pages, built anew"]
    lines += [f"{name:36} {value:6.1f} s" for name, value in middle.items()]
    lines.append(f"ratio {middle[OURS] / middle[PLAIN]:.2f}; the budget is 60 s")
    return "\n".join(lines)


if __name__ == "__main__":
    command("site", measure, report, STORED, rounds=3)
