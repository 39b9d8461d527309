"""Sphinx extension: the page Benchmarks, made of the stored results of benchmarks/.

In reference/benchmarks.md the comment "<!-- benchmarks -->" becomes a section for each: what is
compared, the command, the last results, and where and with what they were measured.
"""

from __future__ import annotations

import ast
import json
from pathlib import Path
from typing import Any

from benchmarks.measured import NAMES

FOLDER = Path(__file__).parent.parent / "benchmarks"

__all__ = ["page"]

PAGE = "reference/benchmarks"
PLACE = "<!-- benchmarks -->"


def page() -> str:
    """Return the sections, in Markdown."""
    return "\n".join(_section(name, heading) for name, heading in NAMES.items())


def _section(name: str, heading: str) -> str:
    stored = FOLDER / "results" / f"{name.replace('_', '-')}.json"
    if not stored.is_file():
        return f"## {heading}\n\nNot measured yet.\n"
    found = json.loads(stored.read_text(encoding="utf-8"))
    machine = found["machine"]
    versions = ", ".join(f"{package} {number}" for package, number in found["versions"].items())
    where = f"{machine['processor']}, {machine['cores']} cores, {machine['system']}"
    source = (FOLDER / f"{name}.py").read_text(encoding="utf-8")
    question, _, text = (ast.get_docstring(ast.parse(source)) or "").partition("\n\n")
    about = text.partition("\n\n")[2].strip()  # without its command
    return f"""\
## {heading}

{question.strip()}

```text
{about}
```

```console
python -m benchmarks.{name}
```

```text
{found["report"]}
```

Measured {found["date"]} at commit {found["commit"] or "unknown"}: {where}; {versions}.
"""


def _read(_app: Any, name: str, source: list[str]) -> None:
    if name == PAGE:
        source[0] = source[0].replace(PLACE, page())


def setup(app: Any) -> dict[str, Any]:
    """Register with Sphinx."""
    app.connect("source-read", _read)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
