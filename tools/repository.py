"""The book's address, in one place: `repository.url` in `_config.yml`.

python -m tools.repository                            print it
python -m tools.repository https://github.com/me/lr   change it everywhere
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import yaml

from tools import ROOT

__all__ = ["address", "set_address", "setup_code"]

SETUP = '''\
# In Colab this fetches the book's helpers; elsewhere they are at hand.
import os
from importlib.metadata import PackageNotFoundError, version

try:
    version("{book}")
except PackageNotFoundError:
    repository = os.environ.get(
        "BOOK_REPOSITORY",
        "{address}",
    )
    %pip install --quiet "{book} @ git+{{repository}}@v{release}"'''


def address(root: Path = ROOT) -> str:
    """Return the book's repository address."""
    config = yaml.safe_load((root / "_config.yml").read_text(encoding="utf-8"))
    return str(config["repository"]["url"])


def setup_code(root: Path = ROOT) -> str:
    """Return the code of every chapter's first cell: install `helpers` where missing."""
    text = (root / "helpers" / "__init__.py").read_text(encoding="utf-8")
    constants = dict(re.findall(r'^(\w+) = "(.+)"$', text, flags=re.MULTILINE))
    return SETUP.format(
        book=constants["BOOK"], address=address(root), release=constants["__version__"]
    )


def _on_binder(repository: str) -> str:
    return repository.replace("https://github.com", "mybinder.org/v2/gh")


def set_address(new: str, root: Path = ROOT) -> list[str]:
    """Replace the book's address in every tracked file, and return the files changed.

    Raises:
        ValueError: new is not an address of the form https://host/owner/name.
    """
    new = new.strip().removesuffix("/").removesuffix(".git")
    if not re.fullmatch(r"https://[\w.-]+/[\w.-]+/[\w.-]+", new):
        raise ValueError(f"expected an address such as https://github.com/me/book, found {new!r}")
    old = address(root)
    swaps = {on(old): on(new) for on in (str, _on_binder)}
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=root, capture_output=True, text=True, check=True
    ).stdout
    changed = []
    for name in filter(None, listed.split("\0")):
        path = root / name
        try:
            text = path.read_text(encoding="utf-8")
        except (UnicodeDecodeError, FileNotFoundError):
            continue
        if old in text or _on_binder(old) in text:
            for before, after in swaps.items():
                text = text.replace(before, after)
            path.write_text(text, encoding="utf-8")
            changed.append(name)
    return changed


if __name__ == "__main__":
    if len(sys.argv) == 1:
        print(address())
    else:
        try:
            print("\n".join(set_address(sys.argv[1])))
        except ValueError as error:
            sys.exit(str(error))
