"""Every chapter's file is what its code made; and the checks that say so catch what they should."""

import json
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import nbformat
import pytest
from markdown_it import MarkdownIt

from tools import ROOT, notebooks, repository

CHAPTERS = notebooks.chapters()
NAMES = [path.stem for path in CHAPTERS]


def code_cells(notebook):
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


@pytest.mark.parametrize("path", CHAPTERS, ids=NAMES)
def test_stored_outputs_are_complete_clean_and_fresh(path):
    assert notebooks.check(path) == []


def test_every_notebook_is_in_the_table_of_contents():
    assert sorted((ROOT / "chapters").glob("*.ipynb")) == sorted(CHAPTERS)


@pytest.mark.parametrize("path", CHAPTERS, ids=NAMES)
def test_every_citation_is_in_the_bibliography(path):
    bibliography = (ROOT / "references.bib").read_text()
    known = set(re.findall(r"url\s*=\s*\{(.+?)\}", bibliography))
    text = "\n".join(cell.source for cell in nbformat.read(path, 4).cells)
    cited = set(
        re.findall(r"\]\((https://(?:arxiv|doi|proceedings|www\.deeplearningbook)[^)]+)\)", text)
    )
    assert cited
    assert cited <= known


SECTIONS = {
    "objectives": "**After this chapter you can**",
    "what it needs": "**You need**",
    "time": "**Time**",
    "what goes wrong": "\n## What goes wrong",
    "a rule to take away": "\n## The rule to take away",
    "self-checks": "\n## Check yourself",
    "exercises": "\n## Exercises",
    "where to go next": "\n## Where to go next",
}
ANSWER = re.compile(r"^<details><summary>(.+?)</summary>\n\n(.+?)\n\n</details>$", re.M | re.S)
EXERCISE = re.compile(r"^### Exercise (\d+) \((easy|medium|hard)\): ", re.M)
SOLUTION = re.compile(r"# @title Solution of exercise (\d+)")


def lacks(notebook):
    """What a chapter lacks of what every chapter has."""
    text = "\n".join(c.source for c in notebook.cells if c.cell_type == "markdown")
    missing = [name for name, words in SECTIONS.items() if words not in f"\n{text}"]
    if missing:
        return missing
    objectives = text.split("**After this chapter you can**")[1].split("\n**")[0]
    questions = text.split("\n## Check yourself")[1].split("\n## ")[0]
    questions = re.split(r"^\*\*\d+\. ", questions, flags=re.M)[1:]
    answers = [ANSWER.findall(question) for question in questions]
    found = EXERCISE.findall(text)
    solved = [
        SOLUTION.findall(cell.source.splitlines()[0])[0]
        for cell in code_cells(notebook)
        if "hide-cell" in cell.metadata.get("tags", []) and cell.source.startswith("# @title")
    ]
    marks = [["easy", "medium", "hard"].index(mark) for _, mark in found]
    wanted = {
        "three objectives": len(re.findall(r"^- ", objectives, flags=re.M)) >= 3,
        "two predictions": text.count("> **Predict") >= 2,
        "four questions": len(questions) >= 4,
        "two answers to each question": all(len(each) >= 2 for each in answers),
        "a word on each answer": all(len(why) > 20 for each in answers for _, why in each),
        "exactly one right answer to each question": all(
            sum(why.startswith(("Right", "Yes")) for _, why in each) == 1 for each in answers
        ),
        "three exercises with solutions": len(found) >= 3 and solved == [n for n, _ in found],
        "exercises from easy to hard": marks == sorted(marks) and {0, 2} <= set(marks),
        "references": len(re.findall(r"\]\(https://(?:doi|arxiv|proceedings)", text)) >= 1,
    }
    return [name for name, there in wanted.items() if not there]


def test_no_chapter_lacks_a_part():
    lacking = {path.stem: lacks(nbformat.read(path, 4)) for path in CHAPTERS}
    assert {name: parts for name, parts in lacking.items() if parts} == {}


@pytest.mark.parametrize(
    ("old", "new", "part"),
    [
        ("**After this chapter you can**", "", "objectives"),
        ("> **Predict", "", "two predictions"),
        ("## What goes wrong", "", "what goes wrong"),
        ("Right.", "Well.", "exactly one right answer to each question"),
        ("(easy)", "", "three exercises with solutions"),
        ("(easy)", "(hard)", "exercises from easy to hard"),
        ("# @title Solution of exercise 1", "# solution 1", "three exercises with solutions"),
    ],
)
def test_what_a_chapter_lacks_is_found(old, new, part):
    notebook = nbformat.read(ROOT / "chapters" / "decay-schedules.ipynb", 4)
    for cell in notebook.cells:
        cell.source = cell.source.replace(old, new)
    assert part in lacks(notebook)


def left_as_markup(markdown):
    """What a plain Markdown renderer, as Colab's, would show with its markup."""
    html = MarkdownIt("commonmark").enable("table").render(markdown)
    html = re.sub(r"<code.*?</code>|\$\$.*?\$\$", "", html, flags=re.S)
    html = re.sub(r"\$[^$]*\$", "", html)
    return re.findall(
        r"\*\*|`|\]\(|:::|\{[a-z:]+\}|\[\^|\$|(?<!\w)[*_]\w|(?:^|>)\([\w-]+\)=", html, flags=re.M
    )


@pytest.mark.parametrize("path", CHAPTERS, ids=NAMES)
def test_nothing_in_a_chapter_is_markup_for_sphinx_alone(path):
    for cell in nbformat.read(path, 4).cells:
        if cell.cell_type == "markdown":
            assert not left_as_markup(cell.source), cell.source
            assert not re.search(r"\\underbrace|\\begin\{aligned\}", cell.source)  # MathML breaks


@pytest.mark.parametrize(
    "markdown",
    [
        ":::{note}\nA note.\n:::",
        "```{figure} a.png\n```\n\n:::",
        "See {cite}`smith2017`.",
        "(a-label)=\n# A title",
        "<details><summary>No</summary>\nIt is *not*.\n</details>",
        "a note[^1]",
    ],
)
def test_what_only_sphinx_knows_is_found(markdown):
    assert left_as_markup(markdown)


# The net is tested with a small chapter of its own: it runs in seconds, without TensorFlow.

CELLS = """\
from helpers import reproducible
from helpers.claims import claim
seed = reproducible.begin(keras=False)
import os
print("a printed value:", 2 + 2 + int(os.environ.get("TEST_SHIFT", 0)))
%%
claim("a measured value", seed / 42, at_least=1)
%%
import os
import matplotlib.pyplot as plt
from helpers import plots
plots.house_style()
fig, ax = plt.subplots(figsize=(2, 2))
ax = plots.learning_curve([1, 2], label="curve", ax=ax)
ax.set_ylim(0, int(os.environ.get("TEST_TOP", 3)))
plots.show(fig, alt="A curve that rises from 1 to 2 over two epochs, as a straight line.")
%%
from helpers.source import show_source
show_source(reproducible.seed_of_run)
"""


@pytest.fixture(scope="session")
def executed_book(copy_of_book):
    """A copy of the book whose only chapter is small, executed."""
    book_copy = copy_of_book()
    for path in (book_copy / "chapters").glob("*.ipynb"):
        path.unlink()
    cells = [nbformat.v4.new_code_cell(repository.setup_code(book_copy))]
    cells += [nbformat.v4.new_code_cell(code.strip()) for code in CELLS.split("%%\n")]
    nbformat.write(nbformat.v4.new_notebook(cells=cells), book_copy / "chapters" / "small.ipynb")
    toc = book_copy / "_toc.yml"
    toc.write_text(re.sub(r"chapters/[\w-]+", "chapters/small", toc.read_text()))
    done = tool(book_copy, "execute")
    assert done.returncode == 0, done.stderr
    return book_copy


@pytest.fixture
def small_book(executed_book, tmp_path):
    """A copy of that book, to break on purpose."""
    return Path(shutil.copytree(executed_book, tmp_path / "book"))


def run(book, *command, option="-m", **variables):
    environment = {**os.environ, "PYTHONPATH": str(book), **variables}
    return subprocess.run(
        [sys.executable, option, *command],
        cwd=book,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


def tool(book, *arguments, **variables):
    return run(book, "tools.notebooks", *arguments, **variables)


def check(book):
    """What the check without execution finds wrong with the small chapter, as text."""
    return "\n".join(notebooks.check(book / "chapters" / "small.ipynb", book))


def nbval(book, **variables):
    options = [
        "--nbval",
        "--nbval-sanitize-with=nbval.cfg",
        "-o",
        "addopts=",
        "-p",
        "no:cacheprovider",
    ]
    return run(book, "pytest", *options, "chapters", **variables)


def change(book, edit):
    """Edit the small chapter's notebook; return its path."""
    path = Path(book) / "chapters" / "small.ipynb"
    notebook = nbformat.read(path, 4)
    edit(code_cells(notebook), notebook)
    path.write_text(nbformat.writes(notebook) + "\n")
    return path


def replace_in(path, old, new):
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


@pytest.mark.slow
def test_a_fresh_chapter_passes_both_checks(small_book):
    assert tool(small_book, "check").returncode == 0  # the command itself
    done = nbval(small_book)
    assert done.returncode == 0, done.stdout


@pytest.mark.slow
def test_executing_again_changes_no_byte(small_book):
    path = small_book / "chapters" / "small.ipynb"
    before = path.read_bytes()
    assert tool(small_book, "execute").returncode == 0
    assert path.read_bytes() == before


@pytest.mark.slow
def test_an_altered_value_is_caught_by_both(small_book):
    replace_in(small_book / "chapters" / "small.ipynb", "a printed value: 4", "a printed value: 5")
    assert "not those that its code printed" in check(small_book)
    assert nbval(small_book).returncode == 1


@pytest.mark.slow
def test_a_value_that_moves_is_caught_by_nbval(small_book):
    assert nbval(small_book, TEST_SHIFT="1").returncode == 1


@pytest.mark.slow
def test_a_figure_that_is_drawn_otherwise_is_caught(small_book):
    done = nbval(small_book, TEST_TOP="30")
    assert done.returncode == 1
    assert "the figure is not the stored one" in done.stdout


@pytest.mark.slow
def test_a_claim_may_move_but_not_break(small_book):
    done = nbval(small_book, BOOK_SEED="1")  # seed 1042 instead of 42: the claim's value moves
    assert done.returncode == 0, done.stdout
    change(small_book, lambda cells, _: cells[2].update(source=cells[2].source.replace("=1", "=2")))
    done = nbval(small_book)
    assert done.returncode == 1
    assert "ClaimError" in done.stdout


@pytest.mark.slow
def test_an_altered_bound_is_caught(small_book):
    replace_in(small_book / "chapters" / "small.ipynb", "(at least 1)", "(at least 0)")
    assert nbval(small_book).returncode == 1


@pytest.mark.parametrize(
    ("module", "old", "new", "caught"),
    [
        ("reproducible", "SEED_STRIDE = 1000", "SEED_STRIDE = 999", True),
        ("plots", "np.arange(1, len(curve) + 1)", "np.arange(len(curve))", True),
        ("reproducible", "Return the seed of this run", "Tell the seed of this run", True),  # shown
        ("plots", "Draw one number an epoch", "Draw a number an epoch", False),
        ("plots", "The axes drawn on", "The axes used", False),
        ("plots", "__all__ = [", "LIMIT = 1\n__all__ = [", False),
    ],
)
def test_a_helper_that_changed_is_caught(small_book, module, old, new, caught):
    replace_in(small_book / "helpers" / f"{module}.py", old, new)
    assert ("make execute CHAPTER=small" in check(small_book)) == caught


def test_a_bound_is_no_part_of_what_results_depend_upon():
    def digests(code):
        cells = [nbformat.v4.new_code_cell(text) for text in ("", code)]
        notebook = nbformat.v4.new_notebook(cells=cells)
        return notebooks.results_digest(notebook), notebooks.code_digest(notebook)

    code = """from helpers.claims import Bound, claim
claim("loss", 2.0, between=(-1, 3))
limits = Bound(at_most=4), dict(at_most=4)"""
    results, whole = digests(code)
    for old, new in (("(-1, 3)", "(0, 2.5)"), ("Bound(at_most=4)", "Bound(at_least=1)")):
        assert digests(code.replace(old, new))[0] == results
        assert digests(code.replace(old, new))[1] != whole
    for old, new in (("2.0", "2.1"), ("dict(at_most=4)", "dict(at_most=5)"), ("(-1, 3)", "two()")):
        assert digests(code.replace(old, new))[0] != results


@pytest.mark.parametrize(
    ("use", "table"),
    [
        ("sweeps.VALLEY", "learning-rate-valley"),
        ("sweeps.RANGE_TRUTH", "rates-adam-32"),
        ("optimizer_sweeps.SENSITIVITY", "sensitivity-adam"),
    ],
)
def test_a_stored_table_that_changed_is_caught(book_copy, use, table):
    cells = ["", f"from helpers import optimizer_sweeps, sweeps\n{use}"]
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(c) for c in cells])
    before = notebooks.code_digest(notebook, book_copy)
    assert notebooks.code_digest(notebook, book_copy) == before
    replace_in(book_copy / "helpers" / "tables" / f"{table}.jsonl", '"seed": 0', '"seed": 9')
    assert notebooks.code_digest(notebook, book_copy) != before


def drop_output(cells, _):
    cells[1].outputs = []


def swap(_, notebook):
    notebook.cells[1], notebook.cells[2] = notebook.cells[2], notebook.cells[1]


def without_alt(cells, _):
    cells[3].outputs[0].metadata["image/png"].pop("alt")


def with_stderr(cells, _):
    cells[1].outputs.append(nbformat.v4.new_output("stream", name="stderr", text="a warning"))


def with_path(cells, _):
    cells[1].outputs[0].text = "read from /home/somebody/data"


def with_error(cells, _):
    cells[1].outputs.append(
        nbformat.v4.new_output("error", ename="ValueError", evalue="", traceback=[])
    )


def with_exemption(cells, _):
    cells[1].source = "# NBVAL_IGNORE_OUTPUT\n" + cells[1].source


def with_tag(cells, _):
    cells[1].metadata["tags"] = ["nbval-skip"]


def without_count(cells, _):
    cells[2].execution_count = None


def other_first_cell(cells, _):
    cells[0].source = "import os"


def edited(cells, _):
    cells[1].source = cells[1].source.replace("2 + 2", "2 * 2")


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        (drop_output, "not those that its code printed"),
        (swap, "execution counts|older than its code"),
        (without_alt, "alt text"),
        (with_stderr, "stored stderr"),
        (with_path, "path of one machine: /home/somebody"),
        (with_error, "stored an error: ValueError"),
        (with_exemption, "excluded from comparison"),
        (with_tag, "excluded from comparison"),
        (without_count, "execution counts"),
        (other_first_cell, "first code cell"),
        (edited, "older than its code"),
    ],
)
def test_planted_faults_are_caught(small_book, fault, message):
    change(small_book, fault)
    found = check(small_book)
    assert re.search(message, found), found


def test_the_command_names_what_is_wrong(small_book):
    change(small_book, drop_output)
    done = tool(small_book, "check")
    assert done.returncode == 1
    assert "chapters/small.ipynb: its outputs are not those" in done.stderr


def test_an_edit_by_hand_is_normalised(small_book):
    def by_hand(cells, notebook):
        notebook.metadata["language_info"]["version"] = "3.12.1"
        cells[1].metadata["execution"] = {"iopub.execute_input": "2026-01-01"}
        cells[1].execution_count = 17

    path = change(small_book, by_hand)
    assert "not normalised" in check(small_book)
    assert tool(small_book, "normalise", "small").returncode == 0
    assert check(small_book) == ""
    assert json.loads(path.read_text())["metadata"]["language_info"] == {"name": "python"}


def test_a_chapter_that_fails_stays_as_it_was(small_book):
    path = change(small_book, lambda cells, _: cells[2].update(source="1 / 0"))
    before = path.read_bytes()
    assert "ZeroDivisionError" in tool(small_book, "execute").stderr
    assert path.read_bytes() == before
    assert [p.name for p in path.parent.iterdir() if p.suffix == ".new"] == []


WAIT = "import pathlib, time\npathlib.Path('started').touch()\ntime.sleep(60)"
FULL = """
import resource, runpy, sys
resource.setrlimit(resource.RLIMIT_FSIZE, (3000, 3000))  # what a full disk does
sys.argv = ["notebooks", "execute"]
runpy.run_module("tools.notebooks", run_name="__main__")
"""


@pytest.mark.slow
def test_a_command_that_is_killed_leaves_the_chapter_as_it_was(small_book):
    original = (small_book / "chapters" / "small.ipynb").read_bytes()
    path = change(small_book, lambda cells, _: cells[2].update(source=WAIT))
    before = path.read_bytes()
    process = subprocess.Popen(
        [sys.executable, "-m", "tools.notebooks", "execute"],
        cwd=small_book,
        env={**os.environ, "PYTHONPATH": str(small_book)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    end = time.monotonic() + 60
    while not list(small_book.rglob("started")):
        assert time.monotonic() < end
        assert process.poll() is None
        time.sleep(0.05)
    process.kill()
    process.wait()
    assert path.read_bytes() == before
    assert [p.name for p in path.parent.iterdir() if "new" in p.name] == []
    path.write_bytes(original)
    assert tool(small_book, "execute").returncode == 0
    assert path.read_bytes() == original


@pytest.mark.slow
def test_a_full_disk_leaves_the_chapter_as_it_was(small_book):
    path = small_book / "chapters" / "small.ipynb"
    before = path.read_bytes()
    assert len(before) > 3000
    done = run(small_book, FULL, option="-c")
    assert done.returncode == 1
    assert "File too large" in done.stderr
    assert path.read_bytes() == before
    assert [p.name for p in path.parent.iterdir() if "new" in p.name] == []


def test_other_seeds_are_not_stored(small_book):
    assert "BOOK_SEED" in tool(small_book, "execute", BOOK_SEED="1").stderr


def test_an_unknown_chapter_is_named(small_book):
    assert "no chapter nowhere; there are small" in tool(small_book, "execute", "nowhere").stderr
