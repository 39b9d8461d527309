"""The book's address stands in one place, and everything else agrees with it."""

import re
import subprocess
import tomllib
from itertools import chain

import nbformat
import pytest
import yaml

from helpers import BOOK, __version__
from tools import ROOT, notebooks, repository

NEW = "https://github.com/somebody/their-book"


def test_everything_agrees_with_the_address():
    address = repository.address()
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["name"] == BOOK
    assert project["urls"]["Homepage"] == address
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert citation["repository-code"] == address
    assert str(citation["version"]) == __version__
    assert f"git clone {address}" in (ROOT / "README.md").read_text()
    for path in notebooks.chapters():
        first = next(c for c in nbformat.read(path, 4).cells if c.cell_type == "code")
        assert f'"{address}"' in first.source
        assert f"@v{__version__}" in first.source


def test_a_fork_changes_it_everywhere_with_one_command(book_copy):
    subprocess.run(["git", "init", "-q"], cwd=book_copy, check=True)
    subprocess.run(["git", "add", "-A"], cwd=book_copy, check=True)
    old = repository.address(book_copy)
    changed = repository.set_address(NEW + "/", book_copy)
    assert repository.address(book_copy) == NEW
    pages = {f"reference/{name}.md" for name in ("install", "own-project")}
    assert {"_config.yml", "README.md", "pyproject.toml", "CITATION.cff", *pages} <= set(changed)
    for words in (old, old.replace("https://github.com", "mybinder.org/v2/gh")):
        left = subprocess.run(
            ["git", "grep", "-l", words], cwd=book_copy, capture_output=True, text=True, check=False
        )
        assert left.stdout == ""
    for path in notebooks.chapters(book_copy):
        assert notebooks.check(path, book_copy) == []


@pytest.mark.parametrize(
    "url", ["", "github.com/a/b", "https://github.com/a", "https://a/b/c d", "http://a.b/c/d"]
)
def test_a_bad_address_is_refused(url):
    with pytest.raises(ValueError, match="expected an address"):
        repository.set_address(url)


def test_every_dependency_has_its_reason():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    named = [*project["project"]["dependencies"], *chain(*project["dependency-groups"].values())]
    reasons = (ROOT / "CONTRIBUTING.md").read_text()
    for requirement in named:
        name = re.match(r"[\w-]+", requirement).group()
        assert re.search(rf"^\| `{name}` \| .+ \|$", reasons, flags=re.M), name
