"""Where does the time go when the chapters run?

python -m benchmarks.execution     measure, print, store in benchmarks/results/execution.json

Each chapter runs alone, as `make execute` runs it, and each cell's seconds are noted. The budgets
are for two cores: 60 s for a chapter of NumPy or theory, 120 s for one that trains MLPs, 180 s for
one that trains CNNs; 15 minutes for all together.
"""

from __future__ import annotations

import os
import statistics
import time
from pathlib import Path
from typing import Any

from benchmarks.measured import RESULTS, command, provenance

STORED = RESULTS / "execution.json"
SHOWN = 3
CNNS = ("decay-schedules", "warm-restarts", "recipe")
THEORY = ("taylor-gradient-descent",)
BUDGETS = {**dict.fromkeys(CNNS, 180), **dict.fromkeys(THEORY, 60)}
"""The seconds of a chapter that is not one of MLPs, which have 120."""


def cells_of(path: Path) -> list[float]:
    """Run a chapter; return the seconds of each code cell."""
    import nbformat
    from nbclient import NotebookClient

    notebook = nbformat.read(path, as_version=4)
    began: dict[int, float] = {}
    took: list[float] = []

    def begin(cell_index: int, **_: Any) -> None:
        began[cell_index] = time.perf_counter()

    def end(cell_index: int, **_: Any) -> None:
        took.append(time.perf_counter() - began[cell_index])

    os.environ["BOOK_CHAPTER"] = path.stem
    NotebookClient(
        notebook,
        timeout=None,
        kernel_name="python3",
        resources={"metadata": {"path": str(path.parent)}},
        on_cell_execute=begin,
        on_cell_executed=end,
    ).execute()
    return took


def measure(rounds: int) -> dict[str, Any]:
    """Run all chapters, one after the other, and return all seconds."""
    from tools.notebooks import chapters

    found = {path.stem: [cells_of(path) for _ in range(rounds)] for path in chapters()}
    return {"seconds": found, **provenance()}


def middles(runs: list[list[float]]) -> list[float]:
    """The median over the runs, cell by cell."""
    return [statistics.median(times) for times in zip(*runs, strict=True)]


def report(found: dict[str, Any]) -> str:
    """The tables that people read: by chapter, and the cells that take longest."""
    cells = {chapter: middles(runs) for chapter, runs in found["seconds"].items()}
    lines = [f"{'chapter':32} seconds   its longest code cells (number: seconds)"]
    for chapter, times in cells.items():
        longest = sorted(range(len(times)), key=times.__getitem__, reverse=True)[:SHOWN]
        told = ", ".join(f"{i + 1}: {times[i]:.0f}" for i in sorted(longest) if times[i] >= 1)
        lines.append(f"{chapter:32} {sum(times):7.0f}   {told}")
    total = sum(map(sum, cells.values()))
    lines.append(f"{'all':32} {total:7.0f}   {total / 60:.1f} minutes; the budget is 15")
    return "\n".join(lines)


if __name__ == "__main__":
    command("execution", measure, report, STORED, rounds=1)
