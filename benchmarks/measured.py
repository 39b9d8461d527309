"""What the benchmarks share: seconds, where they were measured, how they are stored, a command."""

from __future__ import annotations

import argparse
import datetime as dt
import json
import os
import platform
import subprocess
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

from tools import write_whole

RESULTS = Path(__file__).parent / "results"


def seconds(call: Callable[[], Any]) -> float:
    """How long a call takes."""
    began = time.perf_counter()
    call()
    return time.perf_counter() - began


def provenance() -> dict[str, Any]:
    """The versions, the machine, the date and the commit of a measurement."""
    commit = ["git", "rev-parse", "--short", "HEAD"]
    return {
        "versions": {
            **{name: version(name) for name in ("keras", "numpy", "tensorflow")},
            "python": platform.python_version(),
        },
        "machine": {
            "processor": processor(),
            "cores": os.cpu_count(),
            "system": platform.platform(),
        },
        "date": dt.date.today().isoformat(),
        "commit": subprocess.run(
            commit, check=False, capture_output=True, text=True
        ).stdout.strip(),
    }


def processor() -> str:
    """The processor's name, where the system tells it."""
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.is_file() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()


NAMES = {
    "range_test": "The range test",
    "training": "A training loop",
    "schedules": "Schedules, and the tutorial's CNN",
    "search": "A search",
    "imports": "The time until it can be used",
    "site": "The website",
    "execution": "All chapters",
}
"""The benchmarks, in the order of their page, with its headings."""


def command(
    name: str,
    measure: Callable[[int], dict[str, Any]],
    report: Callable[[dict[str, Any]], str],
    path: Path,
    rounds: int,
) -> None:
    """Measure, print and store."""
    parser = argparse.ArgumentParser(prog=f"python -m benchmarks.{name}")
    parser.add_argument("--rounds", type=int, default=rounds, help="how often each is measured")
    rounds = parser.parse_args().rounds

    from helpers import reproducible

    reproducible.begin()
    found = measure(rounds)
    store({**found, "report": report(found)}, path)
    print(report(found))


def store(found: dict[str, Any], path: Path) -> None:
    """Write a benchmark's results, whole or not at all."""
    path.parent.mkdir(exist_ok=True)
    write_whole(path, json.dumps(found, indent=1) + "\n")
