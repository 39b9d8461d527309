"""What all tests share: each chapter knows its name, and CI may not skip."""

import os
import shutil
import signal
import sys
from collections.abc import Callable
from itertools import zip_longest
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

settings.register_profile("book", deadline=None)  # a busy machine is no fault
settings.load_profile("book")


def pytest_configure(config: pytest.Config) -> None:
    """Let Ctrl-C through, though a shell that starts the tests in the background blocks it."""
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


LONGEST = ("test_colab.py", "test_site.py", "test_website.py")
SHORT = ("test_tables.py",)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the files that take longest, end with the short: workers end at the same time."""
    items.sort(key=lambda item: (item.path.name not in LONGEST, item.path.name in SHORT))


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Tell a chapter's kernel, which starts with its first cell, whose claims it makes."""
    if item.path.suffix == ".ipynb":
        os.environ["BOOK_CHAPTER"] = item.path.stem
    elif isinstance(item, pytest.DoctestItem):  # no progress bars there, either
        os.environ.setdefault("BOOK_CHAPTER", "example")


def pytest_runtest_teardown() -> None:
    """Close all figures: which tests share a process is chance, and after twenty one is warned."""
    if "matplotlib.pyplot" in sys.modules:
        sys.modules["matplotlib.pyplot"].close("all")


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_call(item: pytest.Item):
    """Compare a chapter's figures, too: what a cell draws is what is stored, seen from afar."""
    outcome = yield
    if item.path.suffix == ".ipynb" and outcome.excinfo is None:
        from tools.evidence import drawn_apart
        from tools.pictures import difference, pictures_of

        stored, drawn = pictures_of(item.cell.outputs), pictures_of(item.test_outputs)
        pairs = zip_longest(stored, drawn, fillvalue="")
        apart = max((difference(*pair) for pair in pairs), default=0)
        if apart and apart > (most := drawn_apart(item.path, item.cell_num + 1)):
            told = f"the figure is not the stored one: {apart:.2g} % differ, at most {most:.2g} %"
            outcome.force_exception(AssertionError(told))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Keep the tests of a file on one worker (a chapter's cells share a kernel), but not tables.

    The two files about the website share the built site.
    """
    from xdist.scheduler import LoadFileScheduling

    class ByFileButTables(LoadFileScheduling):
        def _split_scope(self, nodeid: str) -> str:
            if "test_tables.py" in nodeid:
                return nodeid
            return super()._split_scope(nodeid).replace("test_website.py", "test_site.py")

    return ByFileButTables(config, log)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo):
    """On CI nothing is skipped: what is missing there is a fault of the set-up."""
    outcome = yield
    report = outcome.get_result()
    if report.skipped and os.environ.get("CI") == "true":
        report.outcome = "failed"
        report.longrepr = f"skipped, which CI does not allow: {report.longrepr}"


@pytest.fixture(scope="module")
def keras_begun() -> None:
    """Keras with the book's seeds and threads."""
    from helpers import reproducible

    reproducible.begin(0)


@pytest.fixture(scope="module")
def few() -> Any:
    """Fashion-MNIST with 64 images of each part."""
    from helpers import data

    return data.few(data.load_fashion_mnist(), 64)


@pytest.fixture(scope="session")
def chromium() -> str:
    """The path of a Chromium, or a skip that says what to install."""
    from tools import pdf

    return pdf.browser() or pytest.skip("needs a browser: apt-get install chromium")


@pytest.fixture(scope="session")
def copy_of_book(tmp_path_factory: pytest.TempPathFactory) -> Callable[[], Path]:
    """Copies of the book, without what is built or downloaded."""
    root = Path(__file__).parent
    left_out = ("_build", ".venv", ".tools", ".git", ".*_cache", "__pycache__")

    def copy() -> Path:
        target = tmp_path_factory.mktemp("copy") / "book"
        return Path(shutil.copytree(root, target, ignore=shutil.ignore_patterns(*left_out)))

    return copy


@pytest.fixture
def book_copy(copy_of_book: Callable[[], Path]) -> Path:
    """A copy of the book to break on purpose."""
    return copy_of_book()
