"""Execute, normalise and check the chapters.

python -m tools.notebooks execute [NAME ...]     run, store outputs, stamp
python -m tools.notebooks normalise [NAME ...]   tidy after editing by hand
python -m tools.notebooks check [NAME ...]       say what is wrong, run nothing
"""

from __future__ import annotations

import argparse
import ast
import hashlib
import json
import os
import re
import sys
import time
from collections.abc import Iterator, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

import nbformat
import yaml

from helpers import BOOK
from helpers.experiments import Experiment
from helpers.source import definitions_used, digest, text_of
from tools import ROOT, write_whole
from tools.repository import setup_code

__all__ = ["chapters", "check", "code_digest", "execute", "named", "normalise"]

Notebook = Any
Cell = Any
STAMP = "learning_rates"
MACHINE_PATH = re.compile(
    r"(?<![\w./])/(?:home|root|tmp|work|Users|private|var)/[\w.-]+|[A-Z]:\\\\"
)
ESCAPE = re.compile(r"NBVAL_\w+|nbval-|raises-exception|skip-execution|remove-output")
LARGEST = 1_500_000
BOUNDS = ("at_least", "at_most", "between", "close_to", "tolerance")
"""The arguments of a claim that say what its number must be."""


def chapters(root: Path = ROOT) -> list[Path]:
    """Return the notebooks of `_toc.yml`, in its order."""
    toc = yaml.safe_load((root / "_toc.yml").read_text(encoding="utf-8"))
    files = (entry for part in toc["parts"] for entry in part["chapters"])
    return [root / f"{entry['file']}.ipynb" for entry in files if _is_chapter(entry["file"])]


def _is_chapter(file: str) -> bool:
    return file.startswith("chapters/")


def execute(path: Path) -> None:
    """Run a chapter in a new kernel and store its outputs, in place and at once.

    Its first cell is brought up to date with the book's address and release.

    Raises:
        nbclient.exceptions.CellExecutionError: a cell failed; the file is unchanged.
    """
    from nbclient import NotebookClient

    notebook = _read(path)
    first = _code_cells(notebook)[0]
    if BOOK in first.source:
        first.source = setup_code()
    os.environ["BOOK_CHAPTER"] = path.stem
    client = NotebookClient(
        notebook,
        timeout=None,
        kernel_name="python3",
        resources={"metadata": {"path": str(path.parent)}},
    )
    client.execute()
    normalise(notebook)
    notebook.metadata[STAMP] = {
        "code": code_digest(notebook),
        "results": results_digest(notebook),
        "outputs": _outputs_digest(notebook),
    }
    _write(notebook, path)


def normalise(notebook: Notebook) -> None:
    """Make a notebook's file depend on nothing but its content, in place.

    Cell ids are kept, and made from the source where they are missing or double; counts
    run from 1; streams are joined; time stamps, widgets and versions go; each figure's alt
    text is copied to where the site's builder looks for it.
    """
    notebook.nbformat, notebook.nbformat_minor = 4, 5
    stamp = notebook.metadata.get(STAMP)
    notebook.metadata = nbformat.NotebookNode(
        {
            "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
            "language_info": {"name": "python"},
        }
    )
    if stamp:
        notebook.metadata[STAMP] = stamp
    seen: set[str] = set()
    for cell in notebook.cells:
        cell.source = cell.source.rstrip()
        if not cell.get("id") or cell.id in seen:
            cell.id = hashlib.sha256(f"{cell.source}{len(seen)}".encode()).hexdigest()[:8]
        seen.add(cell.id)
        kept = ("tags", "mystnb", "cellView", "jupyter")
        cell.metadata = nbformat.from_dict(
            {k: cell.metadata[k] for k in kept if k in cell.metadata}
        )
    for count, cell in enumerate(_code_cells(notebook), 1):
        cell.outputs = _joined(cell.outputs)
        cell.execution_count = count
        cell.metadata.pop("mystnb", None)
        for output in cell.outputs:
            output.pop("transient", None)
            if output.output_type == "execute_result":
                output.execution_count = count
        for alt in _alts(cell):
            cell.metadata["mystnb"] = {"image": {"alt": alt}}


def check(path: Path, root: Path = ROOT) -> list[str]:
    """Return what is wrong with a chapter's file; nothing is run."""
    name = path.relative_to(root) if path.is_relative_to(root) else path
    text = path.read_text(encoding="utf-8")
    notebook = nbformat.reads(text, as_version=4)
    cells = _code_cells(notebook)
    cure = f"run `make execute CHAPTER={path.stem}`"
    wrong = []
    counts = [cell.execution_count for cell in cells]
    if counts != list(range(1, len(cells) + 1)):
        wrong.append(f"execution counts are {counts}, not 1 to {len(cells)}; {cure}")
    if not any(cell.outputs for cell in cells):
        wrong.append(f"no outputs are stored; {cure}")
    stamp = notebook.metadata.get(STAMP, {})
    digests = {"code": code_digest(notebook, root), "results": results_digest(notebook, root)}
    if {name: stamp.get(name) for name in digests} != digests:
        wrong.append(f"its outputs are older than its code, or than a helper it uses; {cure}")
    if stamp.get("outputs") != _outputs_digest(notebook):
        wrong.append(f"its outputs are not those that its code printed; {cure}")
    if not cells or cells[0].source != setup_code(root):
        wrong.append("its first code cell is not the one that installs helpers (tools.repository)")
    for number, cell in enumerate(cells, 1):
        wrong += [f"code cell {number}: {problem}" for problem in _problems(cell)]
    tidy = nbformat.reads(text, as_version=4)
    normalise(tidy)
    if nbformat.writes(tidy) + "\n" != text:
        wrong.append(f"not normalised; run `python -m tools.notebooks normalise {path.stem}`")
    if len(text) > LARGEST:
        wrong.append(f"{len(text):,} bytes; at most {LARGEST:,}")
    return [f"{name}: {problem}" for problem in wrong]


def _problems(cell: Cell) -> Iterator[str]:
    if ESCAPE.search(cell.source + json.dumps(cell.metadata)):
        yield "is excluded from comparison"
    for output in cell.outputs:
        if output.output_type == "error":
            yield f"stored an error: {output.ename}"
        if output.get("name") == "stderr":
            yield f"stored stderr: {output.text.strip()[:80]!r}"
        if "application/vnd.jupyter.widget-view+json" in output.get("data", {}):
            yield "stored a widget"
        if hit := MACHINE_PATH.search(json.dumps({**output, "metadata": None})):
            yield f"holds a path of one machine: {hit.group()}"
    pictures = [o for o in cell.outputs if any("image" in kind for kind in o.get("data", {}))]
    alts = _alts(cell)
    if len(alts) != len(pictures):
        yield "shows a figure without alt text; use plots.show(figure, alt=...)"
    if len(pictures) > 1:
        yield "shows several figures; one a cell"
    if alts and cell.metadata.get("mystnb", {}).get("image", {}).get("alt") != alts[0]:
        yield "its alt text is not where the site's builder looks for it"


def code_digest(notebook: Notebook, root: Path = ROOT) -> str:
    """Return a digest of all that a chapter's stored outputs depend upon.

    That is: the code cells (but not the first, which only installs), the helpers they use, the
    stored tables they read, and the full source of each helper the page shows.
    """
    package, code = root / "helpers", _code(notebook)
    hashed = hashlib.sha256(_digest_of(code, root).encode())
    for shown in sorted(_shown(code, package)):
        hashed.update(text_of(shown, package).encode())
    return hashed.hexdigest()[:16]


def results_digest(notebook: Notebook, root: Path = ROOT) -> str:
    """Return a digest of all that a chapter's results depend upon.

    That is what its outputs depend upon, but neither the sources it shows nor the bounds of its
    claims: a run whose numbers are known need not be repeated to judge them by other bounds.
    """
    return _digest_of(ast.unparse(_WithoutBounds().visit(ast.parse(_code(notebook)))), root)


def _digest_of(code: str, root: Path) -> str:
    """A digest of code, of the helpers it uses and of the stored tables it reads."""
    package = root / "helpers"
    used = definitions_used(code, package)
    hashed = hashlib.sha256(digest([code, *sorted(used)], package).encode())
    for module, name in sorted(used):
        found = import_module(f"helpers.{module}") if module.endswith("sweeps") else None
        for experiment in _experiments(getattr(found, name, None)):
            table = package / "tables" / experiment.path.name
            hashed.update(table.read_bytes() if table.is_file() else b"missing")
    return hashed.hexdigest()[:16]


class _WithoutBounds(ast.NodeTransformer):
    """Leave out the bounds of claims that are written as numbers."""

    def visit_Call(self, node: ast.Call) -> ast.Call:
        self.generic_visit(node)
        if ast.unparse(node.func).rpartition(".")[2] in ("claim", "Bound"):
            node.keywords = [
                k for k in node.keywords if not (k.arg in BOUNDS and _written(k.value))
            ]
        return node


def _written(value: ast.expr) -> bool:
    """Whether a value is written as a number, or as several."""
    try:
        ast.literal_eval(value)
    except ValueError:
        return False
    return True


def _code(notebook: Notebook) -> str:
    return "\n".join(_plain_python(cell.source) for cell in _code_cells(notebook)[1:])


def _experiments(value: Any) -> Iterator[Experiment]:
    """The experiments in a value: itself, or those in its entries."""
    if isinstance(value, Experiment):
        yield value
    elif isinstance(value, Mapping | tuple | list):
        for entry in value.values() if isinstance(value, Mapping) else value:
            yield from _experiments(entry)


def _plain_python(code: str) -> str:
    """Code with IPython's magic lines made comments."""
    return re.sub(r"^(\s*)([%!].*)$", r"\1pass  # \2", code, flags=re.MULTILINE)


def _shown(code: str, package: Path) -> set[tuple[str, str]]:
    """The definitions that calls of show_source name."""
    tree = ast.parse(code)
    imports = [ast.unparse(n) for n in ast.walk(tree) if isinstance(n, ast.ImportFrom)]
    calls = [n for n in ast.walk(tree) if isinstance(n, ast.Call)]
    shown = [c for c in calls if ast.unparse(c.func).rpartition(".")[2] == "show_source"]
    arguments = [ast.unparse(argument) for call in shown for argument in call.args]
    return definitions_used("\n".join([*imports, *arguments]), package)


def _outputs_digest(notebook: Notebook) -> str:
    outputs = [cell.outputs for cell in _code_cells(notebook)]
    return hashlib.sha256(json.dumps(outputs, sort_keys=True).encode()).hexdigest()[:16]


def _code_cells(notebook: Notebook) -> list[Cell]:
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def _alts(cell: Cell) -> list[str]:
    found = (
        data["alt"]
        for output in cell.outputs
        for data in output.get("metadata", {}).values()
        if isinstance(data, dict) and data.get("alt")
    )
    return list(found)


def _joined(outputs: list[Any]) -> list[Any]:
    """Outputs with neighbouring pieces of one stream made one."""
    joined: list[Any] = []
    for output in outputs:
        is_stream = output.output_type == "stream"
        if is_stream and joined and joined[-1].get("name") == output.name:
            joined[-1].text += output.text
        else:
            joined.append(output)
    return joined


def _read(path: Path) -> Notebook:
    return nbformat.read(path, as_version=4)


def _write(notebook: Notebook, path: Path) -> None:
    nbformat.validate(notebook)
    write_whole(path, nbformat.writes(notebook) + "\n")


def named(names: list[str]) -> list[Path]:
    """Return the notebooks of these chapters, of all if no name is given; end if one is unknown."""
    known = {path.stem: path for path in chapters()}
    unknown = [name for name in names if name not in known]
    if unknown:
        sys.exit(f"no chapter {', '.join(unknown)}; there are {', '.join(known)}")
    return [known[name] for name in names] or list(known.values())


def main(arguments: list[str] | None = None) -> None:
    """Run one of the three commands."""
    parser = argparse.ArgumentParser(prog="python -m tools.notebooks", description=__doc__)
    parser.add_argument("command", choices=("execute", "normalise", "check"))
    parser.add_argument("names", nargs="*", help="chapters, by name; all if none is given")
    options = parser.parse_args(arguments)
    if options.command == "execute" and os.environ.get("BOOK_SEED", "0") != "0":
        sys.exit("BOOK_SEED is set: stored outputs are made with the book's own seeds")
    wrong = []
    for path in named(options.names):
        if options.command == "execute":
            print(f"{path.stem} ...", end=" ", flush=True)
            start = time.perf_counter()
            execute(path)
            print(f"{time.perf_counter() - start:.0f} s", flush=True)
        elif options.command == "normalise":
            notebook = _read(path)
            normalise(notebook)
            _write(notebook, path)
        else:
            wrong += check(path)
    if wrong:
        sys.exit("\n".join(wrong))


if __name__ == "__main__":
    main()
