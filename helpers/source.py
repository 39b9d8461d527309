"""The real source of the helpers: shown in the pages, and digested to tell when it changed.

A digest covers a definition and, through the names it uses, every other definition of this
package that it depends upon. Comments, docstrings and the texts of errors are left out, and
so is what only refuses bad input: a result that is there was not refused. So a stored output
or a stored table is out of date exactly when code that could have changed it has changed.
"""

from __future__ import annotations

import ast
import copy
import functools
import hashlib
import inspect
import re
import textwrap
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from helpers.checks import checked

__all__ = ["definitions_used", "digest", "show_source", "source_of", "text_of"]

PACKAGE = Path(__file__).parent
DIGEST_STOPS_AT = ("digest", "show_source")
"""How code is digested or shown cannot change a result."""
GUARD = re.compile(r"^@checked\n", re.MULTILINE)

Name = tuple[str, str]
"""A definition: module and name, such as ("models", "mlp"); name "*" is the whole module."""


@checked
def source_of(thing: Any) -> str:
    """Return the source text of a function, class or module of this package.

    The line "@checked" is left out (see `helpers.checks`): what remains can be copied.

    Args:
        thing: the function, class or module.

    Raises:
        TypeError: thing has no Python source (a number, a built-in function).

    Example:
        >>> source_of(source_of).splitlines()[0]
        'def source_of(thing: Any) -> str:'
    """
    try:
        text = textwrap.dedent(inspect.getsource(inspect.unwrap(thing))).strip("\n")
    except (TypeError, OSError):
        raise TypeError(
            f"expected a function, class or module written in Python, found {thing!r}"
        ) from None
    return GUARD.sub("", text)


@checked
def show_source(*things: Any, docstrings: bool = True) -> None:
    """Show the real source of helpers in the page, with highlighting.

    Works on the site, in Colab, in Jupyter, and as plain text in a terminal.

    Args:
        things: functions, classes or modules of this package.
        docstrings: whether to show their docstrings too.

    Raises:
        TypeError: a thing has no Python source.

    Example:
        >>> show_source(Name)
        Traceback (most recent call last):
        TypeError: expected a function, class or module written in Python, found tuple[str, str]
    """
    from IPython.display import display

    for thing in things:
        text = source_of(thing)
        if not docstrings:
            text = _without_docstrings(text)
        shown = {"text/markdown": f"```python\n{text}\n```", "text/plain": text}
        display(shown, raw=True)


@checked
def digest(things: Iterable[Name | str], package: Path = PACKAGE) -> str:
    """Return a short digest of code: of definitions with all they depend upon, or of text.

    Args:
        things: names of definitions, such as ("models", "mlp"), or pieces of Python code.
        package: the folder of the package to look the names up in.

    Returns:
        16 hexadecimal digits.

    Raises:
        LookupError: the package has no such definition.
        SyntaxError: a piece of code is not Python.
        TypeError: a thing is neither a name nor a text.

    Example:
        >>> digest(["x = 1  # a comment"]) == digest(["x = 1"])
        True
    """
    things = list(things)
    for thing in things:
        if not isinstance(thing, str) and not (isinstance(thing, tuple) and len(thing) == 2):
            raise TypeError(f"expected (module, name), or code as a text, found {thing!r}")
    hashed = hashlib.sha256()
    for code in (thing for thing in things if isinstance(thing, str)):
        hashed.update(f"code:{_normalised(ast.parse(code))}".encode())
    names = [thing for thing in things if not isinstance(thing, str)]
    modules = _modules(package)
    for module, name in sorted(_closure(names, modules)):
        for node in modules[module].without_refusals(name):
            hashed.update(f"{module}.{name}:{_normalised(node)}".encode())
    return hashed.hexdigest()[:16]


@checked
def definitions_used(code: str, package: Path = PACKAGE) -> set[Name]:
    r"""Return the definitions of this package that a piece of code names.

    Args:
        code: Python code with its imports, such as the code cells of a chapter.
        package: the folder of the package.

    Example:
        >>> definitions_used("from helpers import models\nmodels.mlp()")
        {('models', 'mlp')}
    """
    tree = ast.parse(code)
    return _names_used([tree], _imports([tree]), None, _modules(package))


@checked
def text_of(name: Name, package: Path = PACKAGE) -> str:
    """Return the text of a definition as `source_of` does, docstring and comments too.

    Args:
        name: module and name, such as ("models", "mlp").
        package: the folder of the package.

    Raises:
        LookupError: the package has no such definition.

    Example:
        >>> text_of(("source", "PACKAGE"))
        'PACKAGE = Path(__file__).parent'
    """
    module, definition = name
    lines = (package / f"{module}.py").read_text(encoding="utf-8").splitlines()
    parts = []
    for node in _modules(package)[module].nodes(definition):
        decorators = [n.lineno for n in getattr(node, "decorator_list", [])]
        parts += lines[min([node.lineno, *decorators]) - 1 : node.end_lineno]
    return GUARD.sub("", "\n".join(parts))


class _Module:
    """The top-level definitions of one module, by name."""

    def __init__(self, path: Path):
        self.name = path.stem
        tree = ast.parse(path.read_text(encoding="utf-8"))
        self.definitions: dict[str, list[ast.stmt]] = {}
        for node in tree.body:
            for name in _names_defined(node):
                self.definitions.setdefault(name, []).append(node)
        self.imports = _imports([tree])
        stops = self.definitions.get("DIGEST_STOPS_AT", [])
        self.stops = {
            n.value for node in stops for n in ast.walk(node) if isinstance(n, ast.Constant)
        }
        self.bare: dict[str, list[ast.stmt]] = {}

    def nodes(self, name: str) -> list[ast.stmt]:
        if name == "*":
            return list(dict.fromkeys(n for nodes in self.definitions.values() for n in nodes))
        if name not in self.definitions:
            raise LookupError(f"module helpers.{self.name} defines no {name!r}")
        return self.definitions[name]

    def without_refusals(self, name: str) -> list[ast.stmt]:
        if name not in self.bare:
            nodes = copy.deepcopy(self.nodes(name))
            self.bare[name] = [_WithoutRefusals().visit(node) for node in nodes]
        return self.bare[name]


def _modules(package: Path) -> dict[str, _Module]:
    stamp = tuple((path, path.stat().st_mtime_ns) for path in sorted(package.glob("*.py")))
    return _parsed(stamp)


@functools.lru_cache(maxsize=4)
def _parsed(stamp: tuple[tuple[Path, int], ...]) -> dict[str, _Module]:
    return {path.stem: _Module(path) for path, _ in stamp}


def _names_defined(node: ast.stmt) -> list[str]:
    """The names that a top-level statement defines.

    Raises:
        ValueError: a statement whose effect the digests could not follow.
    """
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return [node.name]
    targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
    names = [target.id for target in targets if isinstance(target, ast.Name)]
    if isinstance(node, ast.Assign | ast.AnnAssign) and len(names) == len(targets):
        return names
    harmless = (
        isinstance(node, ast.Import | ast.ImportFrom)
        or (isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant))
        or (
            isinstance(node, ast.If)
            and ast.unparse(node.test) in ("TYPE_CHECKING", "__name__ == '__main__'")
        )
    )
    if not harmless:
        raise ValueError(
            "the top level of a helper has imports, definitions and assignments to names only; "
            f"found `{ast.unparse(node).splitlines()[0]}`"
        )
    return []


def _imports(trees: Iterable[ast.AST]) -> dict[str, Name]:
    """Map each local name to the definition of this package that it was imported as."""
    found: dict[str, Name] = {}
    for node in (n for tree in trees for n in ast.walk(tree)):
        if isinstance(node, ast.Import) and any(
            alias.name.split(".")[0] == "helpers" for alias in node.names
        ):
            raise ValueError(f"write `from helpers import ...`, not `{ast.unparse(node)}`")
        if not isinstance(node, ast.ImportFrom):
            continue
        if node.level or not node.module:
            raise ValueError(f"write `from helpers import ...`, not `{ast.unparse(node)}`")
        parts = node.module.split(".")
        if parts[0] != "helpers":
            continue
        for alias in node.names:
            local = alias.asname or alias.name
            found[local] = (parts[1], alias.name) if len(parts) > 1 else (alias.name, "*")
    return found


def _names_used(
    trees: Iterable[ast.AST],
    imports: dict[str, Name],
    home: _Module | None,
    modules: dict[str, _Module],
) -> set[Name]:
    """Definitions of this package that the code refers to."""
    used: set[Name] = set()
    attributes_of: set[int] = set()
    nodes = [node for tree in trees for node in ast.walk(tree)]
    for node in nodes:
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            module, name = imports.get(node.value.id, ("", ""))
            if name == "*" and module in modules and node.attr in modules[module].definitions:
                used.add((module, node.attr))
                attributes_of.add(id(node.value))
    for node in nodes:
        if not isinstance(node, ast.Name) or id(node) in attributes_of:
            continue
        if node.id in imports:
            module, name = imports[node.id]
            if module in modules and (name == "*" or name in modules[module].definitions):
                used.add((module, name))
        elif home is not None and node.id in home.definitions:
            used.add((home.name, node.id))
    return used


def _closure(names: Iterable[Name], modules: dict[str, _Module]) -> set[Name]:
    reached: set[Name] = set()
    waiting = list(names)
    while waiting:
        module, name = waiting.pop()
        if (module, name) in reached:
            continue
        if module not in modules:
            raise LookupError(f"the package has no module {module!r}")
        home = modules[module]
        if name in home.stops:
            continue
        reached.add((module, name))
        waiting.extend(_names_used(home.without_refusals(name), home.imports, home, modules))
    return reached


class _WithoutRefusals(ast.NodeTransformer):
    """Leave out the statements that do nothing but refuse bad input.

    They are: an `if` that only raises ValueError or TypeError, a call whose result is not used of
    a function whose name begins with `check`, a loop in which nothing else is left, the
    decorator `checked`, also of a class, and annotations, which it reads.
    """

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.FunctionDef:
        self.generic_visit(node)
        names = {ast.unparse(decorator): decorator for decorator in node.decorator_list}
        node.decorator_list = [names[name] for name in names if name != "checked"]
        node.returns = None
        for argument in ast.walk(node.args):
            if isinstance(argument, ast.arg):
                argument.annotation = None
        return node

    def visit_ClassDef(self, node: ast.ClassDef) -> ast.ClassDef:
        self.generic_visit(node)
        node.decorator_list = [d for d in node.decorator_list if ast.unparse(d) != "checked"]
        return node

    def visit_If(self, node: ast.If) -> ast.If | None:
        self.generic_visit(node)
        return None if not node.orelse and all(map(_refuses, node.body)) else node

    def visit_Expr(self, node: ast.Expr) -> ast.Expr | None:
        call = node.value
        name = ast.unparse(call.func).rpartition(".")[2] if isinstance(call, ast.Call) else ""
        return None if name.lstrip("_").startswith("check") else node

    def visit_For(self, node: ast.For) -> ast.For | None:
        self.generic_visit(node)
        return node if node.body else None


def _refuses(node: ast.stmt) -> bool:
    return (
        isinstance(node, ast.Raise)
        and isinstance(node.exc, ast.Call)
        and ast.unparse(node.exc.func) in ("ValueError", "TypeError")
    )


_DOCUMENTED = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Module)
_NO_MATTER = {"ctx", "kind", "type_comment", "type_params"}


def _normalised(node: ast.AST) -> str:
    """The code as a text without comments, docstrings and texts of errors.

    It is the same for every version of Python, which neither `ast.dump` nor `ast.unparse` is.
    """
    fields = dict(ast.iter_fields(node))
    if isinstance(node, _DOCUMENTED) and ast.get_docstring(node, clean=False) is not None:
        fields["body"] = node.body[1:]
    if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call):
        fields["exc"] = node.exc.func
    if isinstance(node, ast.JoinedStr):  # Python 3.12 adds empty pieces to some
        fields["values"] = [v for v in node.values if getattr(v, "value", None) != ""]
    written = (
        f"{name}={_normalised_field(value)}"
        for name, value in fields.items()
        if name not in _NO_MATTER and value is not None and value != []
    )
    return f"{type(node).__name__}({','.join(written)})"


def _normalised_field(value: Any) -> str:
    if isinstance(value, list):
        return f"[{','.join(map(_normalised_field, value))}]"
    return _normalised(value) if isinstance(value, ast.AST) else repr(value)


def _without_docstrings(text: str) -> str:
    """Remove docstrings from source text and keep everything else, comments included."""
    lines = text.splitlines()
    for node in ast.walk(ast.parse(text)):
        if not isinstance(node, _DOCUMENTED):
            continue
        if ast.get_docstring(node) is not None and len(node.body) > 1:
            docstring = node.body[0]
            for number in range(docstring.lineno - 1, docstring.end_lineno or 0):
                lines[number] = "\0"
    return "\n".join(line for line in lines if line != "\0").strip("\n")
