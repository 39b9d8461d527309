"""The page "Use these in your own project": its code runs, block by block, in one namespace."""

import contextlib
import io
import re

import pytest

from tools import ROOT

pytestmark = pytest.mark.slow
PAGE = ROOT / "reference" / "own-project.md"


def test_the_page_runs(keras_begun):
    blocks = re.findall(r"^```python\n(.*?)^```", PAGE.read_text(), flags=re.MULTILINE | re.DOTALL)
    assert len(blocks) == 5
    names: dict[str, object] = {}
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        for block in blocks:
            exec(compile(block, PAGE.name, "exec"), names)
    assert 1e-5 < names["start"] < 1
    assert len(names["log"].steps) == 3 * len(names["train"])
    assert len(names["study"].trials) == 4
    assert "peak" in printed.getvalue()


def test_the_page_installs_this_release():
    from helpers import __version__

    assert f"@v{__version__}" in PAGE.read_text()
