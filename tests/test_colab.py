"""A reader with only the notebook: an empty folder, an environment as Colab's, no `helpers`.

Each test run executes one chapter whole, another one each day, with the versions that Colab ships,
and in one kernel the cells of all chapters that fetch the helpers and import them. With
BOOK_COLAB=all (`make colab`, each week in CI) every chapter runs whole, with those versions and
with the newest; BOOK_COLAB=name runs that chapter.
"""

import datetime as dt
import os
import shutil
import subprocess

import pytest

from helpers import BOOK, __version__
from tools import ROOT, notebooks
from tools.environments import COLAB, NEWEST, VersionsError, uv

pytestmark = pytest.mark.slow

RUN = """
import sys, nbformat
from nbclient import NotebookClient
notebook = nbformat.read(sys.argv[1], 4)
NotebookClient(notebook, timeout=900, kernel_name="python3").execute()
text = "".join(o.get("text", "") for c in notebook.cells for o in c.get("outputs", []))
html = "".join(o.get("data", {}).get("text/html", "")
               for c in notebook.cells for o in c.get("outputs", []))
print("tensorboard-frame" if "tensorboard-frame" in html else "", "claims:", text.count("\u2713"))
"""


def run(*command, **options):
    done = subprocess.run(command, capture_output=True, text=True, check=False, **options)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="session")
def release(tmp_path_factory):
    """A git repository of the book as it is now, with the tag of its release."""
    folder = tmp_path_factory.mktemp("release")
    left_out = shutil.ignore_patterns(
        "_build", ".venv", ".tools", ".git", ".*_cache", "__pycache__"
    )
    clone = shutil.copytree(ROOT, folder / "book", ignore=left_out)
    git = ["git", "-C", str(clone), "-c", "user.name=test", "-c", "user.email=test@example.org"]
    run(*git, "init", "-q")
    run(*git, "add", "-A")
    run(*git, "commit", "-q", "-m", "release")
    run(*git, "tag", f"v{__version__}")
    return clone


ENVIRONMENTS = {"colab": ("3.12", COLAB), "newest": ("3.13", NEWEST)}
WANTED = os.environ.get("BOOK_COLAB", "some")


@pytest.fixture(scope="session", params=ENVIRONMENTS if WANTED == "all" else ["colab"])
def fresh_python(request, tmp_path_factory):
    """An environment with what Colab brings, and without this book's package."""
    folder = tmp_path_factory.mktemp(request.param) / "env"
    version, packages = ENVIRONMENTS[request.param]
    try:
        uv()
    except VersionsError as error:
        pytest.skip(str(error))
    python = str(folder / "bin" / "python")
    everywhere = {**os.environ, "PYENV_VERSION": version}  # where pyenv has it, its shims show it
    everywhere.pop("UV_COMPILE_BYTECODE", None)  # two notebooks import a tenth of all modules
    run(uv(), "venv", "--quiet", "--python", version, str(folder), env=everywhere)
    install = [uv(), "pip", "install", "--quiet", "--python", python]
    run(*install, "nbclient", *packages.split(), env=everywhere)
    return python


CHAPTERS = notebooks.chapters()
TODAYS = CHAPTERS[dt.date.today().toordinal() % len(CHAPTERS)]
WHOLE = [c for c in CHAPTERS if WANTED in ("all", c.stem) or (WANTED == "some" and c == TODAYS)]


def code_cells(notebook):
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def run_in_colab(notebook, release, python, folder):
    """Run a notebook as Colab does, and return what it printed."""
    import nbformat

    nbformat.write(notebook, folder / "only.ipynb")
    environment = {
        k: v
        for k, v in os.environ.items()
        if not k.startswith(("PYTHONPATH", "PYTHONDONTWRITE", "VIRTUAL_ENV", "BOOK_"))
    }
    environment["BOOK_REPOSITORY"] = f"file://{release}"
    environment["JUPYTER_PATH"] = ""
    environment["TMPDIR"] = str(folder)
    run(python, "-m", "pip", "uninstall", "--quiet", "--yes", BOOK)  # of an earlier chapter
    listing = [python, "-m", "pip", "freeze"]
    before = run(*listing)
    assert BOOK not in before
    out = run(python, "-c", RUN, "only.ipynb", cwd=folder, env=environment)
    after = run(*listing)
    assert BOOK in after
    changed = set(before.splitlines()) - set(after.splitlines())
    assert not changed, "the first cell changed what was installed"
    return out


@pytest.mark.parametrize("chapter", WHOLE, ids=lambda path: path.stem)
def test_a_chapter_runs_with_nothing_but_its_file(chapter, release, fresh_python, tmp_path):
    import nbformat

    notebook = nbformat.read(chapter, 4)
    for cell in code_cells(notebook):
        cell.outputs = []
    out = run_in_colab(notebook, release, fresh_python, tmp_path)
    assert ("tensorboard-frame" in out) == ("show_tensorboard(" in chapter.read_text())
    assert int(out.split("claims: ")[1]) >= 3


def test_what_every_chapter_imports_is_in_the_release(release, fresh_python, tmp_path):
    import nbformat

    firsts = [code_cells(nbformat.read(chapter, 4))[:3] for chapter in CHAPTERS]
    (fetch,) = {cells[0].source for cells in firsts}
    sources = [fetch, *(cell.source for cells in firsts for cell in cells[1:])]
    assert all("from helpers import" in cells[2].source for cells in firsts)
    cells = [nbformat.v4.new_code_cell(source) for source in sources]
    run_in_colab(nbformat.v4.new_notebook(cells=cells), release, fresh_python, tmp_path)
