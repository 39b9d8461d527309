"""A reader with only the notebook: an empty folder, a fresh environment, no `helpers`.

One chapter runs whole, another one each day, all of them with BOOK_COLAB=all (as CI does each
week); of the others, the cells that fetch the helpers and import them.
"""

import datetime as dt
import os
import shutil
import subprocess
import sys

import pytest

from helpers import BOOK, __version__
from tools import ROOT, notebooks

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


@pytest.fixture(scope="session")
def fresh_python(tmp_path_factory):
    """A new environment with what Colab brings: everything but this book's package."""
    folder = tmp_path_factory.mktemp("colab") / "env"
    uv = shutil.which("uv", path=f"{os.environ['PATH']}:{ROOT / '.tools' / 'bin'}")
    if uv is None:
        pytest.skip("needs uv: python tools/get_uv.py")
    wanted = run(
        uv,
        "export",
        "--frozen",
        "--quiet",
        "--no-hashes",
        "--no-emit-project",
        "--no-default-groups",
        cwd=ROOT,
    )
    requirements = folder.parent / "requirements.txt"
    requirements.write_text(wanted + "ipykernel\nnbclient\npip\n")
    run(uv, "venv", "--quiet", "--python", sys.executable, str(folder))
    python = str(folder / "bin" / "python")
    run(
        uv,
        "pip",
        "install",
        "--quiet",
        "--compile-bytecode",
        "--python",
        python,
        "-r",
        str(requirements),
    )
    return python


def has_its_turn(chapter):
    """Whether this chapter runs whole today."""
    chapters = notebooks.chapters()
    todays = chapters[dt.date.today().toordinal() % len(chapters)]
    return chapter == todays or os.environ.get("BOOK_COLAB") == "all"


@pytest.mark.parametrize("chapter", notebooks.chapters(), ids=lambda path: path.stem)
def test_a_chapter_runs_with_nothing_but_its_file(chapter, release, fresh_python, tmp_path):
    import nbformat

    notebook = nbformat.read(chapter, 4)
    code = [i for i, cell in enumerate(notebook.cells) if cell.cell_type == "code"]
    for i in code:
        notebook.cells[i].outputs = []
    if not has_its_turn(chapter):
        del notebook.cells[code[2] + 1 :]  # after those that fetch, begin and import
        assert "from helpers import" in notebook.cells[-1].source
    nbformat.write(notebook, tmp_path / "only.ipynb")
    environment = {
        k: v
        for k, v in os.environ.items()
        if not k.startswith(("PYTHONPATH", "VIRTUAL_ENV", "BOOK_"))
    }
    environment["BOOK_REPOSITORY"] = f"file://{release}"
    environment["JUPYTER_PATH"] = ""
    environment["TMPDIR"] = str(tmp_path)
    run(fresh_python, "-m", "pip", "uninstall", "--quiet", "--yes", BOOK)  # of an earlier chapter
    listing = [fresh_python, "-m", "pip", "freeze"]
    before = run(*listing)
    assert BOOK not in before
    out = run(fresh_python, "-c", RUN, "only.ipynb", cwd=tmp_path, env=environment)
    if has_its_turn(chapter):
        assert ("tensorboard-frame" in out) == ("show_tensorboard(" in chapter.read_text())
        assert int(out.split("claims: ")[1]) >= 3
    after = set(run(*listing).splitlines())
    assert set(before.splitlines()) <= after, "the first cell changed what was installed"
    assert len(after) == len(before.splitlines()) + 1
