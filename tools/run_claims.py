"""Run one chapter and write what its claims said, cell by cell; any environment's Python will do.

python run_claims.py NOTEBOOK ANSWER     the variable CLAIMS_LOG names a file that is not there yet

All cells run, also after one that failed, and all claims are stated, also those that do not hold:
who reads the values compares them with the bounds. The answer holds the versions, and for each code
cell its claims, the text it printed, its figures and its error. With the variable UNTRAINED set, no
optimizer of Keras changes a weight: what a claim says then, it does not say of training.
"""

from __future__ import annotations

import json
import os
import platform
import re
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

PACKAGES = ("keras", "matplotlib", "numpy", "optuna", "scipy", "tensorflow")
ALL_CLAIMS = """
import math
from helpers.claims import Bound
Bound.holds = lambda bound, value: math.isfinite(value)
"""
NO_TRAINING = """
import sys
if "keras" in sys.modules:
    import keras
    keras.optimizers.Optimizer._backend_update_step = lambda *arguments: None
"""
COLOUR = re.compile(r"\x1b\[[0-9;]*m")


def versions() -> dict[str, str]:
    """Return the versions of Python and of the libraries that a result may depend upon."""
    found = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "none"
    return found


def run(path: Path, log: Path, *, trained: bool = True) -> list[dict[str, Any]]:
    """Run a notebook in a kernel of this Python, and return what each code cell said.

    Args:
        path: the notebook.
        log: the file to which claims write.
        trained: whether Keras's optimizers train.
    """
    import nbformat
    from nbclient import NotebookClient
    from nbclient.exceptions import DeadKernelError

    notebook = nbformat.read(path, as_version=4)
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    begins = [i for i, c in enumerate(notebook.cells) if "reproducible.begin(" in c.source]
    code = ALL_CLAIMS if trained else ALL_CLAIMS + NO_TRAINING
    notebook.cells.insert(begins[0] + 1 if begins else 0, nbformat.v4.new_code_cell(code))
    for cell in cells:
        cell.outputs = []
    claims: dict[str, list[dict[str, Any]]] = {}
    read = 0

    def after(cell: Any, **_: Any) -> None:
        nonlocal read
        lines = log.read_text(encoding="utf-8").splitlines() if log.is_file() else []
        claims[cell.id] = [json.loads(line) for line in lines[read:]]
        read = len(lines)

    client = NotebookClient(
        notebook,
        timeout=None,
        kernel_name="python3",
        allow_errors=True,
        on_cell_executed=after,
        resources={"metadata": {"path": str(path.parent)}},
    )
    died = ""
    try:
        client.execute()
    except DeadKernelError as error:
        died = f"{type(error).__name__}: {error}"
    answer = [
        {
            "claims": claims.get(c.id, []),
            "text": text_of(c),
            "error": error_of(c),
            "pictures": [
                o["data"]["image/png"] for o in c.outputs if "image/png" in o.get("data", {})
            ],
        }
        for c in cells
    ]
    if died:
        first = next(entry for entry, c in zip(answer, cells, strict=True) if c.id not in claims)
        first["error"] = died
    return answer


def data_of(cell: Any) -> list[Any]:
    """Return what each of a cell's outputs displays, by its kind."""
    return [output.get("data", {}) for output in cell.outputs]


def text_of(cell: Any) -> str:
    """Return what a cell printed, without what it drew."""
    texts = []
    for output, data in zip(cell.outputs, data_of(cell), strict=True):
        texts.append(output.get("text", ""))
        texts.append(data.get("text/plain", ""))
    return "".join(texts)


def error_of(cell: Any) -> str:
    """Return the error that ended a cell, on one line; empty if none did."""
    errors = [o for o in cell.outputs if o.output_type == "error"]
    return COLOUR.sub("", f"{errors[0].ename}: {errors[0].evalue}")[:500] if errors else ""


def main(notebook: str, answer: str) -> None:
    """Run a notebook and write the answer."""
    cells = run(
        Path(notebook), Path(os.environ["CLAIMS_LOG"]), trained="UNTRAINED" not in os.environ
    )
    text = json.dumps({"versions": versions(), "cells": cells})
    Path(answer).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
