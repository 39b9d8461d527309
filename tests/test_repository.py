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
    assert {"_config.yml", "README.md", "pyproject.toml", "CITATION.cff", "intro.md"} <= set(
        changed
    )
    left = subprocess.run(
        ["git", "grep", "-l", old], cwd=book_copy, capture_output=True, text=True, check=False
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


def test_workflows_are_pinned_and_have_least_permission():
    for path in (ROOT / ".github" / "workflows").glob("*.yml"):
        workflow = yaml.safe_load(path.read_text())
        assert workflow["permissions"] == {"contents": "read"}, path.name
        for action in re.findall(r"uses: (\S+)", path.read_text()):
            assert re.fullmatch(r"[\w./-]+@[0-9a-f]{40}", action) or action.startswith("./"), action


def test_every_dependency_has_its_reason():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    named = [*project["project"]["dependencies"], *chain(*project["dependency-groups"].values())]
    reasons = (ROOT / "CONTRIBUTING.md").read_text()
    for requirement in named:
        name = re.match(r"[\w-]+", requirement).group()
        assert re.search(rf"^\| `{name}` \| .+ \|$", reasons, flags=re.M), name


def test_the_lock_file_names_the_public_registry_only():
    hosts = set(re.findall(r"https?://([^/\"]+)", (ROOT / "uv.lock").read_text()))
    assert hosts == {"pypi.org", "files.pythonhosted.org"}
