"""Every public function says what it takes, gives and refuses, with an example that runs."""

import ast

import pytest

from tools import ROOT

MODULES = sorted(path for path in (ROOT / "helpers").glob("*.py") if path.stem != "__init__")


def public(path):
    """The public functions and classes of a module, with the public methods of the classes."""
    tree = ast.parse(path.read_text())
    exported = next(
        n.value for n in tree.body if isinstance(n, ast.Assign) and n.targets[0].id == "__all__"
    )
    for node in tree.body:
        if getattr(node, "name", None) in ast.literal_eval(exported):
            yield node.name, node
            if isinstance(node, ast.ClassDef):
                for method in node.body:
                    if isinstance(method, ast.FunctionDef) and not method.name.startswith("_"):
                        yield f"{node.name}.{method.name}", method


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.stem)
def test_docstrings_are_complete(path):
    lacking = []
    for name, node in public(path):
        text = ast.get_docstring(node) or ""
        wanted = {"a docstring": bool(text)}
        if isinstance(node, ast.FunctionDef) and "." not in name:
            arguments = [a.arg for a in (*node.args.args, *node.args.kwonlyargs)]
            raises = [n for n in ast.walk(node) if isinstance(n, ast.Raise) and n.exc is not None]
            wanted["an example"] = ">>> " in text
            wanted["Raises:"] = "Raises:" in text or not raises
            wanted |= {f"argument {a}": f"\n    {a}: " in f"\n{text}" for a in arguments}
        if isinstance(node, ast.ClassDef) and not name.endswith("Error"):
            wanted["an example"] = ">>> " in text
        lacking += [f"{name} lacks {what}" for what, there in wanted.items() if not there]
    assert lacking == []
