"""Break the formulas on purpose, one small change at a time: do the fast tests notice?

python -m tools.mutants                  all modules, about an hour and a quarter on two cores
python -m tools.mutants taylor claims    some

mutmut makes the changes, in a copy of the package, and runs the tests of the module and the
examples of its docstrings on each. The words of an error are left as they are: what a test asks of
them is that they say what matters, not each letter. What no test notices is listed, and must be
in tests/survivors.toml with the reason why none can or need.
"""

from __future__ import annotations

import argparse
import ast
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from pathlib import Path

from tools import ROOT

__all__ = ["MODULES", "Mutant", "prepare", "reason_for", "survivors"]

MODULES = (
    "batch_norm",
    "claims",
    "optimizers",
    "range_finder",
    "schedules",
    "search",
    "surfaces",
    "taylor",
)
PARTS = {
    "search": "Range uniform log_uniform one_minus_log_uniform integer_uniform integer_log_uniform "
    "grid at_random quasi_random zoom coarse_to_fine",
    "range_finder": "smooth steps_until_divergence RangeTest steepest_descent tenth_of_minimum "
    "turning_point half_of_turning_point middle_of_floor half_of_last_stable",
}
"""Of a module that is more than formulas: those that are, which are changed with what they use.
What trains networks, or works on a search in processes that may be killed, slow tests test."""
DRAWS = "plot"  # a method that is no formula
REASONS = ROOT / "tests" / "survivors.toml"
NEEDED = 0.95
SURVIVED, NO_TEST, COULD_NOT_BEGIN = 0, 33, 255
NOTICED = frozenset({1, 2, 3, 24, 36, 152, -24})
"""How the tests end if they fail, cannot be read, or take much longer than they should."""
MUTMUT = "mutmut==3.8.1"
FILES = ("_config.yml", "nbval.cfg", "references.bib")
LOADED = (
    "keras",
    "tensorflow",
    "matplotlib.pyplot",
    "optuna",
    "hypothesis.extra.numpy",
    "IPython.display",
)
"""What tests import, loaded once: the process that is forked for each change must not have computed
anything, or TensorFlow waits for ever. So the tests themselves, and what they build when they are
imported, are read anew, with the change in place."""
CONFTEST = """

from hypothesis import Phase

settings.register_profile(
    "mutants", deadline=None, phases=[Phase.explicit, Phase.generate], database=None
)
settings.load_profile("mutants")
"""
EXAMPLES = """\
import os

from helpers import {module}

os.environ["BOOK_CHAPTER"] = "example"
globals().update({{k: v for k, v in vars({module}).items() if k[:2] != "__"}})
"""
SETTINGS = """\
[tool.mutmut]
source_paths = ["helpers"]
only_mutate = {mutated}
also_copy = {files}
process_isolation = "forkserver"
forkserver_warmup = "import"
preload_modules_file = "preload.txt"
pytest_add_cli_args_test_selection = {tests}
pytest_add_cli_args = ["-m", "not slow", "-q", "--doctest-modules", "-pno:cacheprovider"]

[tool.pytest.ini_options]
markers = ["slow", "alone"]
doctest_optionflags = "NORMALIZE_WHITESPACE"
filterwarnings = ["error", "ignore::DeprecationWarning", "ignore::PendingDeprecationWarning"]
"""


@dataclass(frozen=True)
class Mutant:
    """One change.

    Attributes:
        function: the name of the changed function, with its module.
        before: the lines that were changed, stripped.
        after: what they were changed to.
    """

    function: str
    before: str
    after: str


def prepare(folder: Path, modules: Sequence[str]) -> None:
    """Copy what mutmut needs.

    It does not change a function that has a decorator. So `checked` is applied at the end of the
    module instead.

    Args:
        folder: where to; it is empty.
        modules: those to change.
    """
    ignored = shutil.ignore_patterns("__pycache__", "conftest.py", "*.new")
    for name in ("helpers", "tests", "tools"):
        shutil.copytree(ROOT / name, folder / name, ignore=ignored)
    for name in FILES:
        shutil.copy(ROOT / name, folder)
    conftest = (ROOT / "conftest.py").read_text(encoding="utf-8") + CONFTEST
    (folder / "conftest.py").write_text(conftest, encoding="utf-8")
    (folder / "preload.txt").write_text("\n".join(LOADED), encoding="utf-8")
    tests = []
    for module in modules:
        path = folder / "helpers" / f"{module}.py"
        source = path.read_text(encoding="utf-8")
        prepared, examples = _prepared(source, _left_out(module, source))
        path.write_text(prepared, encoding="utf-8")
        tests += [f"tests/test_{module}.py", f"tests/examples_{module}.py"]
        examples = EXAMPLES.format(module=module) + examples
        (folder / tests[-1]).write_text(examples, encoding="utf-8")
    settings = SETTINGS.format(
        mutated=json.dumps([f"helpers/{module}.py" for module in modules]),
        tests=json.dumps(tests),
        files=json.dumps([*FILES, "conftest.py", "tools"]),
    )
    (folder / "pyproject.toml").write_text(settings, encoding="utf-8")


DEFINED = (ast.ClassDef, ast.FunctionDef)
DOCUMENTED = (ast.Module, *DEFINED)


def _left_out(module: str, source: str) -> set[str]:
    """The functions and classes of a module that are no formulas, and are not used by any."""
    every = {n.name: n for n in ast.parse(source).body if isinstance(n, DEFINED)}
    waiting, wanted = PARTS.get(module, " ".join(every)).split(), set[str]()
    while waiting:
        wanted.add(name := waiting.pop())
        used = {n.id for n in ast.walk(every[name]) if isinstance(n, ast.Name)}
        waiting += (used & every.keys()) - wanted
    return (every.keys() - wanted) | {DRAWS}


def _prepared(source: str, left_out: Set[str] = frozenset()) -> tuple[str, str]:
    """A module as mutmut needs it, and its examples.

    The module has no decorator `checked`, a mark on each line of an error and about what is left
    out, and no examples: mutmut would copy them with each change, and run all copies. They are in
    functions of their own.
    """
    guarded = re.findall(r"(?m)^@checked\ndef (\w+)", source)
    source = re.sub(r"(?m)^@checked\n(?=def )", "", source)
    lines = source.splitlines()
    examples = ""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Raise):
            for number in range(node.lineno, (node.end_lineno or node.lineno) + 1):
                lines[number - 1] += "  # pragma: no mutate"
        if isinstance(node, DOCUMENTED) and ">>>" in (text := ast.get_docstring(node) or ""):
            examples += f"\n\ndef example_of_line_{node.body[0].lineno}():\n    {text!r}\n"
            for number in range(node.body[0].lineno, (node.body[0].end_lineno or 0) + 1):
                lines[number - 1] = lines[number - 1].replace(">>>", "...")
        if isinstance(node, DEFINED) and node.name in left_out:
            header = range(node.lineno - 1, node.body[0].lineno - 1)
            last = max(i for i in header if re.search(r":\s*(#.*)?$", lines[i]))
            lines[last] += "  # pragma: no mutate block"
    checks = [f"{name} = checked({name})" for name in guarded]
    return "\n".join([*lines, "", *checks, ""]), examples


def _bare() -> dict[str, str]:
    """The environment, in which pytest loads no plugins: it would, for each change."""
    return {**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}


def _python() -> list[str]:
    """The command of a Python that has this project's environment, and mutmut."""
    uv = shutil.which("uv") or str(ROOT / ".tools" / "bin" / "uv")
    run = [uv, "run", "--quiet", "--project", str(ROOT), "--frozen", "--no-sync", "--with", MUTMUT]
    return [*run, "python"]


def _mutmut(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run mutmut in the copy, with this project's environment, and no plugins of pytest."""
    command = [*_python(), "-m", "mutmut", *arguments]
    shows = arguments[0] == "run"
    return subprocess.run(
        command, cwd=folder, env=_bare(), capture_output=not shows, text=True, check=False
    )


def _alone(folder: Path, module: str, name: str) -> int:
    """How a module's tests end that run alone, on a change or, without a name, on none."""
    tests = [f"tests/test_{module}.py", f"tests/examples_{module}.py"]
    command = [*_python(), "-m", "pytest", "-x", "-m", "not slow", "--doctest-modules", *tests]
    changed = {**_bare(), "MUTANT_UNDER_TEST": name}
    return subprocess.run(command, cwd=folder / "mutants", env=changed, check=False).returncode


def _codes(folder: Path) -> Iterator[tuple[str, int | None]]:
    """Each mutant's name, and how the tests ended."""
    for path in sorted((folder / "mutants" / "helpers").glob("*.meta")):
        yield from json.loads(path.read_text(encoding="utf-8"))["exit_code_by_key"].items()


def _checked(folder: Path, name: str, code: int | None, module: str) -> int:
    """How the tests of a change ended.

    Where they could not even begin, that may be the change (it breaks what a test builds when it
    is imported) or a fault of this tool. So they run once more, alone, to tell.

    Raises:
        RuntimeError: alone they fail without the change, too, or they ended in an unknown way.
    """
    if code == COULD_NOT_BEGIN:
        if whole := _alone(folder, module, ""):
            raise RuntimeError(f"without any change the tests of {module} ended with {whole}")
        code = _alone(folder, module, name)
    if code == NO_TEST:
        return SURVIVED
    if code is None or code not in {*NOTICED, SURVIVED}:
        raise RuntimeError(f"the tests of {name} should pass or fail, they ended with {code}")
    return code


def survivors(folder: Path, names: Iterable[str]) -> list[Mutant]:
    """Return what was changed, given the names that mutmut has given to the changes."""
    found = []
    for name in names:
        lines = _mutmut(folder, "show", name).stdout.splitlines()
        before, after = (_changed(lines, sign) for sign in "-+")
        function = name.partition("__mutmut_")[0].replace("ǁ", ".")
        found.append(Mutant(re.sub(r"\.x[._]", ".", function), before, after))
    return found


def _changed(lines: Sequence[str], sign: str) -> str:
    """The lines of a diff that begin with a sign, without it."""
    return "\n".join(x[1:].strip() for x in lines if x[:1] == sign and x[:3] != 3 * sign)


def reason_for(mutant: Mutant, known: Sequence[Mapping[str, str]]) -> str:
    """Return why no test can or need notice a change; empty if no reason is known.

    Args:
        mutant: the change.
        known: reasons, each with a pattern for the lines before, the lines after, or the function.
    """
    for entry in known:
        fits = (re.search(entry.get(key, ""), value) for key, value in vars(mutant).items())
        if all(fits):
            return entry["reason"]
    return ""


def main(arguments: Sequence[str] | None = None) -> None:
    """Change, test, and say what no test noticed."""
    parser = argparse.ArgumentParser(prog="python -m tools.mutants")
    parser.add_argument("modules", nargs="*", help=f"of {', '.join(MODULES)}; all if none")
    chosen = parser.parse_args(arguments).modules or list(MODULES)
    if unknown := set(chosen) - set(MODULES):
        sys.exit(f"no module {', '.join(sorted(unknown))}; there are {', '.join(MODULES)}")
    known = tomllib.loads(REASONS.read_text(encoding="utf-8"))["survivor"]
    unexplained, poor = 0, []
    for module in chosen:
        with tempfile.TemporaryDirectory(prefix="mutants-") as made:
            folder = Path(made)
            prepare(folder, [module])
            if _mutmut(folder, "run", "--max-children", "2").returncode:
                sys.exit(f"mutmut failed on {module}: see above")
            codes = {name: _checked(folder, name, code, module) for name, code in _codes(folder)}
            left = survivors(folder, [n for n, code in codes.items() if code == SURVIVED])
        noticed = len(codes) - len(left)
        for mutant in left:
            if not (reason := reason_for(mutant, known)):
                unexplained += 1
            print(f"{mutant.function}: {reason or 'NO REASON IS KNOWN'}")
            print(f"    - {mutant.before}\n    + {mutant.after}")
        print(f"{module}: {noticed} of {len(codes)} noticed, {noticed / len(codes):.1%}")
        poor += [module] if noticed < NEEDED * len(codes) else []
    if poor or unexplained:
        sys.exit(f"less than {NEEDED:.0%}: {poor or 'none'}; without a reason: {unexplained}")


if __name__ == "__main__":
    main()
