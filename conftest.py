"""What all tests share: each chapter knows its name, and CI may not skip."""

import os
import shutil
from pathlib import Path

import pytest


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Tell a chapter's kernel, which starts with its first cell, whose claims it makes."""
    if item.path.suffix == ".ipynb":
        os.environ["BOOK_CHAPTER"] = item.path.stem


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo):
    """On CI nothing is skipped: what is missing there is a fault of the set-up."""
    outcome = yield
    report = outcome.get_result()
    if report.skipped and os.environ.get("CI") == "true":
        report.outcome = "failed"
        report.longrepr = f"skipped, which CI does not allow: {report.longrepr}"


@pytest.fixture(scope="session")
def chromium() -> str:
    """The path of a Chromium, or a skip that says what to install."""
    for name in ("chromium", "chromium-browser", "google-chrome"):
        if path := shutil.which(name):
            return path
    pytest.skip("needs a browser: apt-get install chromium")


@pytest.fixture
def book_copy(tmp_path: Path) -> Path:
    """A copy of the book to break on purpose."""
    root = Path(__file__).parent
    left_out = shutil.ignore_patterns(
        "_build", ".venv", ".tools", ".git", ".*_cache", "__pycache__"
    )
    return Path(shutil.copytree(root, tmp_path / "book", ignore=left_out))
