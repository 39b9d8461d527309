"""Break the formulas on purpose, one small change at a time: do the fast tests notice?

python -m tools.mutants                  all modules, about ten minutes on two cores
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
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterator, Mapping, Sequence
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
REASONS = ROOT / "tests" / "survivors.toml"
NEEDED = 0.95
KILLED, SURVIVED, TIMED_OUT = 1, 0, 36
MUTMUT = "mutmut==3.8.1"
FILES = ("conftest.py", "_config.yml", "nbval.cfg", "references.bib")
SETTINGS = """\
[tool.mutmut]
source_paths = ["helpers"]
only_mutate = {mutated}
also_copy = {files}
pytest_add_cli_args_test_selection = {tests}
pytest_add_cli_args = ["-m", "not slow", "-q", "-p", "no:cacheprovider", "--doctest-modules"]

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
    tests = [f"tests/test_{module}.py" for module in modules]
    mutated = [f"helpers/{module}.py" for module in modules]
    settings = SETTINGS.format(
        mutated=json.dumps(mutated),
        tests=json.dumps(tests + mutated),
        files=json.dumps([*FILES, "tools"]),
    )
    (folder / "pyproject.toml").write_text(settings, encoding="utf-8")
    for module in modules:
        path = folder / "helpers" / f"{module}.py"
        path.write_text(_prepared(path.read_text(encoding="utf-8")), encoding="utf-8")


def _prepared(source: str) -> str:
    """A module without the decorator `checked`, and with a mark on each line of an error."""
    guarded = re.findall(r"(?m)^@checked\ndef (\w+)", source)
    source = re.sub(r"(?m)^@checked\n(?=def )", "", source)
    lines = source.splitlines()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Raise):
            for number in range(node.lineno, (node.end_lineno or node.lineno) + 1):
                lines[number - 1] += "  # pragma: no mutate"
    return "\n".join([*lines, "", *(f"{name} = checked({name})" for name in guarded), ""])


def _mutmut(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run mutmut in the copy, with this project's environment."""
    uv = shutil.which("uv") or str(ROOT / ".tools" / "bin" / "uv")
    run = [uv, "run", "--quiet", "--project", str(ROOT), "--frozen", "--no-sync", "--with", MUTMUT]
    command = [*run, "python", "-m", "mutmut", *arguments]
    shows = arguments[0] == "run"
    return subprocess.run(command, cwd=folder, capture_output=not shows, text=True, check=False)


def _codes(folder: Path) -> Iterator[tuple[str, int | None]]:
    """Each mutant's name, and how the tests ended."""
    for path in sorted((folder / "mutants" / "helpers").glob("*.meta")):
        yield from json.loads(path.read_text(encoding="utf-8"))["exit_code_by_key"].items()


def survivors(folder: Path) -> list[Mutant]:
    """Return the changes that no test noticed, once mutmut has run in the folder."""
    found = []
    for name, code in _codes(folder):
        if code == SURVIVED:
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
            codes = [code for _, code in _codes(folder)]
            left = survivors(folder)
        noticed = sum(code not in (SURVIVED, None) for code in codes)
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
