"""helpers.source: digests that change with the code and with nothing else."""

import pytest

from helpers import source
from helpers.source import definitions_used, digest, show_source, source_of, text_of

CODE = '''
"""Module."""
from helpers.below import base

LIMIT = 3
MOST = 9

def top(x):
    """Docstring."""
    # comment
    if x > MOST:
        raise ValueError(f"too large: {x}")
    for y in (x,):
        _check_whole(y)
    if x > LIMIT:
        raise RuntimeError(f"did not settle: {x}")
    return _middle(x)

def _check_whole(x):
    if x != int(x):
        raise ValueError("expected a whole number")

def _middle(x):
    return base(x) + 1

def other(x):
    return x

DIGEST_STOPS_AT = ("_verified",)

def _verified():
    return other(1)

def uses_verified():
    return _verified()
'''
BELOW = "def base(x):\n    return 2 * x\n\n\ndef unused():\n    return 0\n"


@pytest.fixture
def package(tmp_path):
    def write(code=CODE, below=BELOW):
        import os
        import time

        for name, text in (("above", code), ("below", below)):
            path = tmp_path / f"{name}.py"
            path.write_text(text)
            os.utime(path, ns=(time.time_ns(), time.time_ns()))
        return tmp_path

    return write


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("# comment", "# another comment"),
        ('"""Docstring."""', '"""Another docstring."""'),
        ("too large", "larger than allowed"),
        ("did not settle", "has not settled"),
        ("MOST = 9", "MOST = 10"),
        ("x > MOST", "x >= MOST"),
        ("raise ValueError(f", "raise TypeError(f"),
        ("x != int(x)", "x % 1"),
        ("    for y in (x,):\n        _check_whole(y)\n", ""),
        ("def top(x):", "@checked\ndef top(x):"),
        ("def top(x):", "def top(x: int) -> float:"),
        ("def other(x):\n    return x", "def other(x):\n    return -x"),
        ("    return _middle(x)", "\n    return _middle( x )"),
    ],
)
def test_digest_ignores_what_cannot_change_a_result(package, old, new):
    before = digest([("above", "top")], package())
    assert old in CODE
    assert digest([("above", "top")], package(CODE.replace(old, new))) == before


def test_digest_ignores_that_what_a_class_is_made_with_is_checked(package):
    made = CODE + "\n\nclass Made:\n    x = 1\n"
    before = digest([("above", "Made")], package(made))
    assert digest([("above", "Made")], package(made.replace("class", "@checked\nclass"))) == before
    assert digest([("above", "Made")], package(made.replace("class", "@other\nclass"))) != before


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("LIMIT = 3", "LIMIT = 4"),
        ("x > LIMIT", "x >= LIMIT"),
        ("base(x) + 1", "base(x) + 2"),
        ("raise RuntimeError", "raise OSError"),
        ("raise ValueError(f", "return 0  # "),
        ("        raise ValueError(f", "        x = 0\n        raise ValueError(f"),
        ("    for y in (x,):\n        _check_whole(y)", "    for y in (x,):\n        x = y"),
        ("_check_whole(y)", "x = _check_whole(y)"),
        ("def top(x):", "@cached\ndef top(x):"),
    ],
)
def test_digest_changes_with_the_code(package, old, new):
    before = digest([("above", "top")], package())
    assert old in CODE
    assert digest([("above", "top")], package(CODE.replace(old, new))) != before


def test_digest_follows_imports_between_modules(package):
    before = digest([("above", "top")], package())
    assert digest([("above", "top")], package(below=BELOW.replace("2 * x", "3 * x"))) != before
    assert (
        digest([("above", "top")], package(below=BELOW.replace("return 0", "return 1"))) == before
    )


def test_digest_stops_where_the_module_says(package):
    before = digest([("above", "uses_verified")], package())
    changed = package(CODE.replace("return other(1)", "return other(2)"))
    assert digest([("above", "uses_verified")], changed) == before


def test_digest_of_code_itself():
    assert digest(["x = 1"]) == digest(["x=1  # one"])
    assert digest(["x = 1"]) != digest(["x = 2"])
    assert digest(["x = 1", "2"]) != digest(["x = 12"])
    with pytest.raises(SyntaxError):
        digest(["x ="])


@pytest.mark.parametrize("name", [("nowhere", "x"), ("claims", "nothing")])
def test_unknown_names_are_refused(name):
    with pytest.raises(LookupError):
        digest([name])


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("from helpers.models import mlp\nmlp()", {("models", "mlp")}),
        ("from helpers import models as m\nm.mlp()", {("models", "mlp")}),
        ("from helpers import models\nf(models)", {("models", "*")}),
        ("import numpy as np\nnp.mlp()", set()),
    ],
)
def test_definitions_used(code, expected):
    assert definitions_used(code) == expected


@pytest.mark.parametrize(
    "code",
    [
        "import helpers",
        "import helpers.models as m",
        "from . import models",
        "from .models import mlp",
    ],
)
def test_imports_that_digests_cannot_follow_are_refused(code):
    with pytest.raises(ValueError, match="from helpers import"):
        definitions_used(code)


@pytest.mark.parametrize(
    "statement", ["CONFIG['x'] = 2", "LIMIT += 1", "top(1)", "a, b = 1, 2", "if LIMIT:\n    x = 1"]
)
def test_a_top_level_that_digests_cannot_follow_is_refused(package, statement):
    with pytest.raises(ValueError, match="top level of a helper"):
        digest([("above", "top")], package(CODE + "\n" + statement + "\n"))


def test_digests_are_the_same_in_every_python():
    code = (
        "def f(x: int, *, y=(1, 2.5)) -> str:\n    return f'{x:>{y}} {x!r}' 'more' if x else None"
    )
    assert digest([code]) == "38782772cfd65b65"


def test_text_is_what_stands_in_the_file():
    assert text_of(("source", "source_of")) == source_of(source_of)
    assert text_of(("claims", "Bound")).startswith("@dataclass(frozen=True)\nclass Bound:")


def test_the_guard_of_arguments_is_not_shown():
    from helpers import softmax

    assert text_of(("softmax", "softmax")) == source_of(softmax.softmax)
    assert source_of(softmax.softmax).startswith("def softmax(")


def test_show_source_publishes_markdown_and_text(monkeypatch):
    import IPython.display

    shown = []
    monkeypatch.setattr(IPython.display, "display", lambda data, raw: shown.append(data))
    show_source(source.text_of)
    show_source(source.text_of, docstrings=False)
    full, short = (entry["text/plain"] for entry in shown)
    assert shown[0]["text/markdown"] == f"```python\n{full}\n```"
    assert full == source_of(source.text_of)
    assert '"""' in full
    assert '"""' not in short
    assert short.splitlines()[0] == full.splitlines()[0]
    assert short.splitlines()[-1] == full.splitlines()[-1]
    with pytest.raises(TypeError, match="written in Python"):
        show_source(len)
