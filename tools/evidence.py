"""Run the chapters under other seeds, arithmetic and versions, and keep what their claims said.

python -m tools.evidence                     run what evidence/ lacks: 10 seeds, and all the others
python -m tools.evidence --seeds 3           three seeds
python -m tools.evidence --only "seed 3"     one condition, or several; --only Python: all with it
python -m tools.evidence --chapters recipe   one chapter, or several
python -m tools.evidence --list              say what is lacking, run nothing

A run is kept in evidence/CHAPTER.json by its condition, with the digest of what its results depend
upon and the versions. It is run again when one of the two has changed, or with --again; other
bounds of claims do not change it: what was measured is judged by the bounds of today. Each run is
stored when it ends, so that whatever stops the command loses the unfinished runs alone.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field
from itertools import zip_longest
from pathlib import Path
from typing import Any

import nbformat

from helpers.claims import MASKS
from tools import ROOT, notebooks, write_whole
from tools.environments import VERSIONS, VersionsError, python_of
from tools.pictures import SAME, difference, pictures_of
from tools.stored_claims import fallen, stored_claims

__all__ = [
    "UNTRAINED",
    "Condition",
    "conditions",
    "current",
    "drawn_apart",
    "jobs",
    "lacking",
    "named",
    "read",
    "record",
    "store",
]

FOLDER = ROOT / "evidence"
DRAWN = "drawn otherwise"
MEMORY = 8  # GiB that a chapter may need
ONE_THREAD = {"BOOK_THREADS": "1", "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
AVX2 = {
    "ONEDNN_MAX_CPU_ISA": "AVX2",
    "XLA_FLAGS": "--xla_cpu_max_isa=AVX2",
    "NPY_DISABLE_CPU_FEATURES": "AVX512F AVX512CD AVX512_SKX AVX512_CLX AVX512_CNL AVX512_ICL",
    "OPENBLAS_CORETYPE": "Haswell",
}


@dataclass(frozen=True)
class Condition:
    """What is other than when the stored outputs were made.

    Attributes:
        name: in words.
        variables: of the environment.
        versions: a name of `VERSIONS`; empty for those of this Python.
    """

    name: str
    variables: Mapping[str, str] = field(default_factory=dict)
    versions: str = ""


UNTRAINED = Condition("untrained", {"UNTRAINED": "1"})


def conditions(seeds: Iterable[int]) -> list[Condition]:
    """Return the conditions: the seeds, then other arithmetic, other versions, and no training."""
    return [
        *(Condition(f"seed {seed}", {"BOOK_SEED": str(seed)}) for seed in seeds),
        Condition("AVX2 only", AVX2),
        Condition("oneDNN off", {"TF_ENABLE_ONEDNN_OPTS": "0"}),
        Condition("one thread", ONE_THREAD),
        *(Condition(name, {}, name) for name in VERSIONS),
        UNTRAINED,
    ]


def read(chapter: str, folder: Path = FOLDER) -> dict[str, Any]:
    """Return what is known of a chapter: its runs, by condition."""
    path = folder / f"{chapter}.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {"runs": {}}


def store(chapter: str, condition: str, run: Mapping[str, Any], folder: Path = FOLDER) -> None:
    """Add a run to what is known of a chapter; the file is whole at any time."""
    folder.mkdir(exist_ok=True)
    runs = {**read(chapter, folder)["runs"], condition: run}
    lines = ",\n".join(f"{json.dumps(name)}: {json.dumps(runs[name])}" for name in sorted(runs))
    write_whole(folder / f"{chapter}.json", f'{{"runs": {{\n{lines}\n}}}}\n')


def current(
    run: Mapping[str, Any] | None, results: str, versions: Mapping[str, str] | None
) -> bool:
    """Return whether a run is of this digest with these versions (None: with any)."""
    return run is not None and run["results"] == results and versions in (None, run["versions"])


def lacking(
    wanted: Iterable[Condition], digests: Mapping[str, str], versions: Mapping[str, Any]
) -> list[tuple[str, Condition]]:
    """Return the runs that are not there, or no longer true, in the order to run them.

    Args:
        wanted: the conditions.
        digests: of what each chapter's results depend upon, by name.
        versions: for each name of `VERSIONS`, and for "", what is installed there now.
    """
    known = {chapter: read(chapter)["runs"] for chapter in digests}
    return [
        (chapter, condition)
        for condition in wanted
        for chapter, results in digests.items()
        if not current(known[chapter].get(condition.name), results, versions[condition.versions])
    ]


def record(answer: Mapping[str, Any], notebook: Any) -> dict[str, Any]:
    """Return what is kept of a run: values in the order of the stored claims, errors, differences.

    Args:
        answer: of `tools.run_claims`.
        notebook: the chapter with its stored outputs.
    """
    found = [
        [{**claim, "cell": number} for claim in cell["claims"]]
        for number, cell in enumerate(answer["cells"], 1)
    ]
    values: list[float | None] = []
    others = []
    places: dict[int, Iterator[dict[str, Any]]] = {n: iter(c) for n, c in enumerate(found, 1)}
    for index, stored in enumerate(stored_claims(notebook)):
        claim = next(places[stored.cell], None)
        values.append(None if claim is None else float(f"{claim['value']:.9g}"))
        if claim is not None and claim["text"] != stored.text:
            others.append(index)
    errors = {str(n): c["error"] for n, c in enumerate(answer["cells"], 1) if c["error"]}
    errors |= {str(n): "states more claims than are stored" for n in places if any(places[n])}
    return {
        "versions": answer["versions"],
        "values": values,
        "worded otherwise": others,
        "printed otherwise": _printed_otherwise(answer, notebook),
        DRAWN: _drawn_otherwise(answer, notebook),
        "errors": errors,
    }


def _printed_otherwise(answer: Mapping[str, Any], notebook: Any) -> list[int]:
    """The cells whose text, but for what claims mask, is not what is stored."""
    from tools.run_claims import text_of

    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    texts = [
        (text_of(cell), found["text"]) for cell, found in zip(cells, answer["cells"], strict=True)
    ]
    return [n for n, pair in enumerate(texts, 1) if len({_masked(text) for text in pair}) > 1]


def _drawn_otherwise(answer: Mapping[str, Any], notebook: Any) -> dict[str, float]:
    """How far figures are from those stored, in %, by cell, where they are not the same."""
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    apart = {}
    for number, (cell, found) in enumerate(zip(cells, answer["cells"], strict=True), 1):
        pairs = zip_longest(pictures_of(cell.outputs), found["pictures"], fillvalue="")
        apart[str(number)] = max((round(difference(*pair), 2) for pair in pairs), default=0)
    return {number: distance for number, distance in apart.items() if distance}


def _stamped(notebook: Any) -> str | None:
    """The digest of the results, as noted when the outputs were stored."""
    return notebook.metadata.get(notebooks.STAMP, {}).get("results")


def drawn_apart(path: Path, cell: int, folder: Path = FOLDER) -> float:
    """Return how far a chapter's figure may be from the stored one, in %.

    Half as far again as in any run: what no seed and no arithmetic moves may hardly differ, and
    what does not depend upon the chapter's numbers, such as its axes and words, is in most of it.
    Where all runs are of earlier code, whose cells may have had other numbers, all figures count.

    Args:
        path: the chapter.
        cell: the number of its code cell, from 1.
        folder: where the runs are kept.
    """
    results = _stamped(nbformat.read(path, as_version=4))
    known = read(path.stem, folder)["runs"].items()
    runs = [run for name, run in known if DRAWN in run and name != UNTRAINED.name]
    of_now = [run for run in runs if run["results"] == results]
    seen = [run[DRAWN].get(str(cell), 0) for run in of_now]
    seen += [apart for run in runs if not of_now for apart in run[DRAWN].values()]
    return SAME + 1.5 * max(seen, default=0)


def _masked(text: str) -> str:
    for pattern, replacement in MASKS:
        text = re.sub(pattern, replacement, text)
    return re.sub(r"0x[0-9a-f]+", "0x", text)


def _run(chapter: str, condition: Condition, python: str, snapshot: Snapshot) -> dict[str, Any]:
    """Run a chapter of the snapshot; return the answer."""
    with tempfile.TemporaryDirectory(prefix="evidence-") as made:
        folder = Path(made)
        notebook = Path(shutil.copy(snapshot.folder / "chapters" / f"{chapter}.ipynb", folder))
        answer = folder / "answer.json"
        others = ("PYTHONPATH", "VIRTUAL_ENV", "BOOK_", "CLAIMS_LOG")
        environment = {k: v for k, v in os.environ.items() if not k.startswith(others)}
        environment |= {
            "PYTHONPATH": str(snapshot.folder),
            "BOOK_CHAPTER": chapter,
            "CLAIMS_LOG": str(folder / "claims.jsonl"),
            "TMPDIR": made,
            "JUPYTER_PATH": "",
            "PYDEVD_DISABLE_FILE_VALIDATION": "1",
            "OMP_NUM_THREADS": "1",
            "BOOK_THREADS": "1",
            **condition.variables,
        }
        command = [python, str(ROOT / "tools" / "run_claims.py"), str(notebook), str(answer)]
        done = subprocess.run(
            command, cwd=folder, env=environment, capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise RuntimeError(f"{chapter}, {condition.name}: {done.stderr}")
        return json.loads(answer.read_text(encoding="utf-8"))


def _versions_in(python: str) -> Any:
    code = "import json, run_claims; print(json.dumps(run_claims.versions()))"
    done = subprocess.run(
        [python, "-c", code], cwd=ROOT / "tools", capture_output=True, text=True, check=True
    )
    return json.loads(done.stdout)


@dataclass(frozen=True)
class Snapshot:
    """The chapters and helpers as they were when the command began: editing may go on.

    Attributes:
        folder: where the copy is.
        origin: for each chapter, what is noted of where its runs come from.
    """

    folder: Path
    origin: Mapping[str, Mapping[str, str]]

    def notebook(self, chapter: str) -> Any:
        """Return a chapter with its stored outputs."""
        return nbformat.read(self.folder / "chapters" / f"{chapter}.ipynb", as_version=4)


def _snapshot(folder: Path, chapters: Iterable[str]) -> Snapshot:
    ignored = shutil.ignore_patterns("__pycache__", ".ipynb_checkpoints", "*.new")
    for part in ("helpers", "chapters"):
        shutil.copytree(ROOT / part, folder / part, ignore=ignored)
    everywhere = {"commit": _commit(), "processor": _processor()}
    empty = Snapshot(folder, {})
    digests = {c: notebooks.results_digest(empty.notebook(c), folder) for c in chapters}
    return Snapshot(folder, {c: {"results": found, **everywhere} for c, found in digests.items()})


def _commit() -> str:
    def git(*arguments: str) -> str:
        command = ["git", "-C", str(ROOT), *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()

    changed = git("status", "--porcelain", "--", "helpers", "chapters")
    return git("rev-parse", "--short=10", "HEAD") + (" and changes" if changed else "")


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text(encoding="utf-8").splitlines() if info.is_file() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return f"{names[0] if names else platform.processor()}, {platform.machine()}"


def jobs() -> int:
    """Return how many chapters may run at a time: as many as there are cores, and memory for."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return max(1, min(os.cpu_count() or 1, int(memory / MEMORY)))


def _run_all(
    due: list[tuple[str, Condition]], pythons: Mapping[str, str], snapshot: Snapshot, at_once: int
) -> int:
    """Run chapters, store each run when it ends, and return in how many something fell."""
    fell, start = 0, time.monotonic()
    with ThreadPoolExecutor(at_once) as pool:
        waiting = {
            pool.submit(_run, chapter, condition, pythons[condition.versions], snapshot): (
                chapter,
                condition,
            )
            for chapter, condition in due
        }
        try:
            for count, done in enumerate(as_completed(waiting), 1):
                chapter, condition = waiting[done]
                run = record(done.result(), snapshot.notebook(chapter))
                store(chapter, condition.name, {**snapshot.origin[chapter], **run})
                failed = fallen(stored_claims(snapshot.notebook(chapter)), run["values"])
                fell += condition is not UNTRAINED and bool(failed or run["errors"])
                total = len(run["values"])
                print(
                    f"{count} of {len(due)}, {time.monotonic() - start:.0f} s: {condition.name}, "
                    f"{chapter}: {total - len(failed)} of {total} claims hold",
                    *run["errors"].values(),
                    sep="\n    ",
                    flush=True,
                )
        except BaseException:
            pool.shutdown(cancel_futures=True, wait=False)
            raise
    return fell


def _pythons(wanted: Iterable[Condition]) -> dict[str, str]:
    """The Python for each set of versions that is wanted and can be had."""
    found = {"": sys.executable}
    for name in dict.fromkeys(c.versions for c in wanted if c.versions):
        try:
            found[name] = python_of(name)
        except VersionsError as error:
            print(f"left out: {error}", file=sys.stderr)
    return found


def main(arguments: list[str] | None = None) -> None:
    """Run what is lacking, and say what fell."""
    parser = argparse.ArgumentParser(prog="python -m tools.evidence")
    parser.add_argument("--seeds", type=int, default=10, help="how many, from 1 on")
    parser.add_argument("--only", nargs="*", default=[], help="words of conditions")
    parser.add_argument("--chapters", nargs="*", default=[], help="chapters; all if none is given")
    parser.add_argument("--jobs", type=int, default=jobs(), help="runs at a time")
    parser.add_argument("--again", action="store_true", help="run also what is there")
    parser.add_argument("--list", action="store_true", help="say what is lacking, run nothing")
    options = parser.parse_args(arguments)
    names = [path.stem for path in notebooks.named(options.chapters)]
    wanted = named(conditions(range(1, options.seeds + 1)), options.only)
    pythons = _pythons(wanted)
    versions = {name: _versions_in(python) for name, python in pythons.items()}
    wanted = [condition for condition in wanted if condition.versions in pythons]
    with tempfile.TemporaryDirectory(prefix="evidence-") as made:
        snapshot = _snapshot(Path(made), names)
        digests = {chapter: facts["results"] for chapter, facts in snapshot.origin.items()}
        if old := [c for c in names if _stamped(snapshot.notebook(c)) != digests[c]]:
            sys.exit(f"older than their code, run make execute first: {', '.join(old)}")
        due = lacking(wanted, digests, versions)
        if options.again:
            due = [(chapter, condition) for condition in wanted for chapter in names]
        if options.list:
            print("\n".join(f"{condition.name}: {chapter}" for chapter, condition in due))
        elif fell := _run_all(due, pythons, snapshot, options.jobs):
            sys.exit(f"in {fell} runs a claim or a cell fell: see above, and the page Evidence")


def named(known: Iterable[Condition], words: Iterable[str]) -> list[Condition]:
    """Return the conditions in whose names one of these stands, as whole words; all for none."""
    patterns = [re.compile(rf"\b{re.escape(word)}(?!\w)") for word in words]
    return [c for c in known if not patterns or any(p.search(c.name) for p in patterns)]


if __name__ == "__main__":
    main()
