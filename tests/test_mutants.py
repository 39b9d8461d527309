"""What is made ready for mutmut, and the reasons of what no test notices."""

import ast
import json
import sys
import tomllib

import pytest

from tools import ROOT, mutants
from tools.mutants import Mutant, reason_for

SOURCE = '''\
"""A module."""
from helpers.checks import checked

LIMIT = 3


@checked
def half(x: float) -> float:
    if x > LIMIT:
        raise ValueError(
            f"expected at most {LIMIT}, "
            f"found {x!r}"
        )
    return x / 2


def third(x: float) -> float:
    """Divide.

    >>> third(6)
    2.0
    """
    return x / 3
'''


def test_guards_are_applied_at_the_end_and_words_of_errors_are_marked():
    prepared, _ = mutants._prepared(SOURCE)
    assert "@checked" not in prepared
    assert prepared.endswith("half = checked(half)\n")
    marked = [line for line in prepared.splitlines() if line.endswith("# pragma: no mutate")]
    assert len(marked) == 4
    assert not any("return" in line or "if x" in line for line in marked)
    names = {}
    exec(compile(prepared, "prepared", "exec"), names)
    assert names["half"](3) == 1.5


def test_what_is_no_formula_is_left_out(monkeypatch):
    monkeypatch.setitem(mutants.PARTS, "module", "half")
    source = SOURCE.replace("x / 2", "divided(x)") + "\n\ndef divided(x):\n    return x / 2\n"
    assert mutants._left_out("module", source) == {"third", "plot"}
    assert mutants._left_out("other", source) == {"plot"}
    prepared, _ = mutants._prepared(source, {"third"})
    marked = [line for line in prepared.splitlines() if "no mutate block" in line]
    assert marked == ["def third(x: float) -> float:  # pragma: no mutate block"]


def test_the_parts_of_a_module_are_there():
    for module, names in mutants.PARTS.items():
        source = (ROOT / "helpers" / f"{module}.py").read_text()
        left_out = mutants._left_out(module, source)
        assert len(left_out) > 5
        prepared, _ = mutants._prepared(source, left_out)
        assert prepared.count("no mutate block") == len(left_out) - ("def plot(" not in source)
        assert not left_out & set(names.split())


def test_examples_are_moved_out_of_what_is_changed():
    prepared, examples = mutants._prepared(SOURCE)
    assert ">>>" not in prepared
    names = {}
    exec(examples, names)
    (example,) = (f for name, f in names.items() if name.startswith("example_of_line_"))
    assert ">>> third(6)\n2.0" in example.__doc__


def test_how_tests_ended_is_known_or_an_error(tmp_path):
    assert mutants._checked(tmp_path, "a", 0, "taylor") == 0
    assert mutants._checked(tmp_path, "a", 1, "taylor") == 1
    assert mutants._checked(tmp_path, "a", mutants.NO_TEST, "taylor") == mutants.SURVIVED
    with pytest.raises(RuntimeError, match="ended with None"):
        mutants._checked(tmp_path, "a", None, "taylor")


BREAKS_IT = "import os\nif os.environ['MUTANT_UNDER_TEST'] == 'a':\n    import nothing_there\n"
PASSES = "def test():\n    pass\n"


@pytest.mark.parametrize(
    ("test", "ended"),
    [
        (PASSES, 0),
        (BREAKS_IT + PASSES, 1),
        ("import nothing_there", "without any change .* ended with 1"),
        ("", "without any change .* ended with 5"),
    ],
)
def test_where_the_tests_could_not_begin_they_run_once_more(tmp_path, monkeypatch, test, ended):
    monkeypatch.setattr(mutants, "_python", lambda: [sys.executable])
    folder = tmp_path / "mutants" / "tests"
    folder.mkdir(parents=True)
    for name in ("test_taylor.py", "examples_taylor.py"):
        (folder / name).write_text(test)
    if isinstance(ended, int):
        assert mutants._checked(tmp_path, "a", mutants.COULD_NOT_BEGIN, "taylor") == ended
    else:
        with pytest.raises(RuntimeError, match=ended):
            mutants._checked(tmp_path, "a", mutants.COULD_NOT_BEGIN, "taylor")


def test_a_copy_has_what_its_tests_need(tmp_path):
    mutants.prepare(tmp_path, ["taylor"])
    settings = tomllib.loads((tmp_path / "pyproject.toml").read_text())["tool"]["mutmut"]
    assert settings["only_mutate"] == ["helpers/taylor.py"]
    for path in (*settings["pytest_add_cli_args_test_selection"], *settings["also_copy"]):
        assert (tmp_path / path).exists(), path
    ast.parse((tmp_path / "helpers" / "taylor.py").read_text())


def test_how_the_tests_of_each_change_ended_is_read(tmp_path):
    folder = tmp_path / "mutants" / "helpers"
    folder.mkdir(parents=True)
    codes = {"helpers.a.x_f__mutmut_1": 1, "helpers.a.x_f__mutmut_2": 0}
    (folder / "a.py.meta").write_text(json.dumps({"exit_code_by_key": codes}))
    assert dict(mutants._codes(tmp_path)) == codes


def test_a_reason_must_fit_all_that_it_names():
    known = [{"function": r"taylor\.", "before": "dtype=float", "reason": "why"}]
    assert reason_for(Mutant("helpers.taylor.f", "np.asarray(x, dtype=float)", ""), known) == "why"
    assert reason_for(Mutant("helpers.search.f", "np.asarray(x, dtype=float)", ""), known) == ""
    assert reason_for(Mutant("helpers.taylor.f", "x + 1", "x - 1"), known) == ""


def test_every_reason_says_why_and_does_not_fit_everything():
    for entry in tomllib.loads(mutants.REASONS.read_text())["survivor"]:
        assert len(entry["reason"]) > 20
        assert set(entry) <= {"function", "before", "after", "reason"}
        assert (
            reason_for(Mutant("helpers.optimizers.adam", "m / (1 - b)", "m * (1 - b)"), [entry])
            == ""
        )
