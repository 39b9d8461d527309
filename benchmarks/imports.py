"""How long does it take until a reader can use the package?

python -m benchmarks.imports     measure, print, store in benchmarks/results/imports.json

Each import is a new process, in turns; what Python itself takes to start is one of them.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
from typing import Any

from benchmarks.measured import RESULTS, command, provenance, seconds

STORED = RESULTS / "imports.json"
BASELINE = "import tensorflow"
IMPORTS = {
    "Python alone": "pass",
    "import numpy": "import numpy",
    BASELINE: "import tensorflow",
    "import keras": "import keras",
    "from helpers import range_finder": "from helpers import range_finder",
    "from helpers import schedules": "from helpers import schedules",
    "from helpers import optimizers": "from helpers import optimizers",
    "from helpers import search": "from helpers import search",
    "from helpers import plots": "from helpers import plots",
}


def measure(rounds: int) -> dict[str, Any]:
    """Let the imports take turns, and return all seconds."""
    found: dict[str, list[float]] = {name: [] for name in IMPORTS}
    for code in IMPORTS.values():  # what was not read for long is read from the disk once
        subprocess.run([sys.executable, "-c", code], check=True, stderr=subprocess.DEVNULL)
    for _ in range(rounds):
        for name, code in IMPORTS.items():
            program = [sys.executable, "-c", code]
            found[name].append(
                seconds(lambda: subprocess.run(program, check=True, stderr=subprocess.DEVNULL))  # noqa: B023
            )
    return {"seconds": found, **provenance()}


def report(found: dict[str, Any]) -> str:
    """The table that people read."""
    base = statistics.median(found["seconds"][BASELINE])
    lines = [f"{'in a new process':36} seconds   share of TensorFlow's import"]
    for name, times in found["seconds"].items():
        middle = statistics.median(times)
        lines.append(f"{name:36} {middle:7.2f}   {middle / base:.2f}")
    return "\n".join(lines)


if __name__ == "__main__":
    command("imports", measure, report, STORED, rounds=5)
