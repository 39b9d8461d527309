"""Experiments too long for a page: define once, compute row by row, keep as a table, verify.

An experiment trains one network for every configuration and seed. Its table is a file of
JSON lines in `helpers/tables/`, a row a training, with the versions it ran on and a digest
of the code that made it. `helpers.sweeps` defines the book's experiments.
"""

from __future__ import annotations

import itertools
import json
import math
import numbers
import os
import platform
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from helpers.checks import checked
from helpers.source import PACKAGE, digest

__all__ = ["Experiment", "Table", "TableError", "one_two_five", "unless_diverged"]

TABLES = PACKAGE / "tables"

Row = dict[str, Any]
Key = tuple[tuple[tuple[str, Any], ...], int]


class TableError(RuntimeError):
    """A stored table is missing, incomplete, out of date, or not what a training gives."""


@dataclass(frozen=True)
class Table:
    """The rows of an experiment: one training each.

    Attributes:
        rows: dictionaries with configuration, seed, results, versions and digest.

    Example:
        >>> row = {"configuration": {"rate": 0.1}, "seed": 7, "results": {"loss": 2.0}}
        >>> Table((row,)).axis("seed")
        array([7])
    """

    rows: tuple[Row, ...]

    def array(self, result: str, *axes: str, **where: Any) -> np.ndarray:
        """Return one result of many trainings as an array.

        Args:
            result: name of a result, such as "valid_accuracy".
            axes: names of configuration entries, or "seed": the first axes of the array,
                their values in the order of the table.
            where: configuration entries (or seed=) that the rows used must have.

        Returns:
            A float array; its last axes are the result's own, such as epochs. Where a
            training had nothing to report (it had diverged) the entry is NaN.

        Raises:
            TableError: the table has no such result or entry, or the axes do not single
                out one training for each place.

        Example:
            >>> row = {"configuration": {"rate": 0.1}, "seed": 0, "results": {"loss": [2.0, None]}}
            >>> Table((row,)).array("loss", "rate", "seed")
            array([[[ 2., nan]]])
        """
        rows = [row for row in map(_flat, self.rows) if _matches(row, where)]
        if not rows:
            raise TableError(f"no row has {where}")
        for name in (result, *axes):
            if name not in rows[0]:
                raise TableError(f"no {name!r} in the table; it has {sorted(rows[0])}")
        values = [list(dict.fromkeys(row[axis] for row in rows)) for axis in axes]
        places = {tuple(row[axis] for axis in axes): row[result] for row in rows}
        if len(places) != len(rows) or len(rows) != math.prod(map(len, values)):
            raise TableError(f"the axes {axes} do not single out one training for each place")
        stacked = [places[place] for place in itertools.product(*values)]
        array = np.array(stacked, dtype=float)
        return array.reshape(*map(len, values), *array.shape[1:])

    def axis(self, name: str) -> np.ndarray:
        """Return the values of a configuration entry, or of "seed", in the table's order."""
        try:
            return np.array(list(dict.fromkeys(_flat(row)[name] for row in self.rows)))
        except KeyError:
            raise TableError(f"no {name!r} in the table") from None


@checked
@dataclass(frozen=True)
class Experiment:
    """A grid of trainings over several seeds, and the table of its results.

    Args:
        name: name of the table's file, and for `make experiment`.
        question: what the experiment answers, in one sentence.
        train: called as train(data, seed, **configuration); returns results by name:
            numbers or lists of numbers, None where there is nothing to report.
        grid: for each configuration entry, the values it takes.
        seeds: the seeds each configuration is trained with.
        tolerance: for each result, how far a training may lie outside the range of the
            stored seeds of its configuration. On one machine a training is repeated to the
            bit; other arithmetic (another processor or version) acts like another seed.
        load: gives the data, once for all rows.
        diverged_beyond: a result larger than this has diverged, like NaN: how large it is
            depends on chance alone, so it is not compared.
        folder: where the table's file is kept.

    Raises:
        ValueError: the name is not lower-case words joined by hyphens, an axis has no values
            or some twice, or the tolerance is empty or negative.
        TypeError: an argument is of the wrong kind.

    Example:
        >>> from helpers.models import mlp
        >>> Experiment(name="toy", question="How does the loss fall?", train=mlp,
        ...            grid={"rate": [0.1, 0.2]}, seeds=range(3), tolerance={"loss": 0.1},
        ...            load=dict).configurations()
        [{'rate': 0.1}, {'rate': 0.2}]
    """

    name: str
    question: str
    train: Callable[..., dict[str, Any]]
    grid: Mapping[str, Sequence[Any]]
    seeds: Sequence[int]
    tolerance: Mapping[str, float]
    load: Callable[[], Any]
    diverged_beyond: float = math.inf
    folder: Path = field(default=TABLES)

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", self.name):
            raise ValueError(f"name is lower-case words joined by hyphens, found {self.name!r}")
        for what, values in {**self.grid, "seeds": self.seeds}.items():
            if not isinstance(values, Sequence) or isinstance(values, str):
                raise TypeError(f"{what} needs a list of values, found {values!r}")
            if len(values) == 0 or len(set(values)) != len(values):
                raise ValueError(f"{what} needs values that differ, found {list(values)}")
        if not all(isinstance(margin, numbers.Real) for margin in self.tolerance.values()):
            raise TypeError(f"tolerance needs numbers, found {dict(self.tolerance)}")
        if not self.tolerance or any(not margin >= 0 for margin in self.tolerance.values()):
            raise ValueError(f"tolerance needs margins >= 0, found {dict(self.tolerance)}")

    @property
    def path(self) -> Path:
        """The table's file."""
        return self.folder / f"{self.name}.jsonl"

    @property
    def digest(self) -> str:
        """The digest of the code that `train` and `load` depend upon."""
        functions = (self.train, self.load)
        return digest((f.__module__.rpartition(".")[2], f.__name__) for f in functions)

    def configurations(self) -> list[dict[str, Any]]:
        """Return all combinations of the grid, the last entry varying fastest."""
        return [
            dict(zip(self.grid, values, strict=True))
            for values in itertools.product(*self.grid.values())
        ]

    def run(self, data: Any, seed: int, **configuration: Any) -> Row:
        """Train once, and return the row."""
        results = self.train(data, seed, **configuration)
        return {
            "configuration": configuration,
            "seed": seed,
            "results": {name: _rounded(value) for name, value in results.items()},
            "versions": _versions(),
            "digest": self.digest,
        }

    def compute(self, progress: Callable[[Iterable[Any]], Iterable[Any]] = lambda x: x) -> Table:
        """Train every row that the table lacks or that older code made.

        The table is complete on disk after every row: an interrupted run goes on where it
        stopped.

        Args:
            progress: wraps the list of rows to train, such as `tqdm.tqdm`.
        """
        wanted = [_key(c, seed) for c in self.configurations() for seed in self.seeds]
        current = {key: row for key, row in self._stored().items() if self._is_current(row)}
        missing = [key for key in wanted if key not in current]
        data = self.load() if missing else None
        digest_at_start = self.digest
        for configuration, seed in progress(missing):
            row = self.run(data, seed, **dict(configuration))
            if row["digest"] != digest_at_start:
                raise TableError("the code changed while it ran; run the experiment again")
            current[configuration, seed] = row
            self._write([current[key] for key in wanted if key in current])
        if not missing:
            self._write([current[key] for key in wanted])
        return self.table()

    def table(self) -> Table:
        """Read the stored table.

        Raises:
            TableError: the table is missing, incomplete, damaged or older than its code.
        """
        stored = self._stored()
        cure = f"; run `make experiment NAME={self.name}`"
        rows = []
        for configuration in self.configurations():
            for seed in self.seeds:
                row = stored.get(_key(configuration, seed))
                if row is None:
                    raise TableError(f"{self.path.name} lacks {configuration}, seed {seed}{cure}")
                if not self._is_current(row):
                    raise TableError(
                        f"{self.path.name}: the row {configuration}, seed {seed} was made by "
                        f"code with the digest {row['digest']}, which is now {self.digest}{cure}"
                    )
                rows.append(row)
        if len(stored) != len(rows):
            raise TableError(f"{self.path.name} has rows that are not in the grid{cure}")
        return Table(tuple(rows))

    def verify(self, rows: Iterable[Row]) -> None:
        """Train rows of the table again and compare.

        Raises:
            TableError: a result lies further from the stored seeds of its configuration
                than the tolerance allows.
        """
        table, data = self.table(), self.load()
        for row in rows:
            again = self.run(data, row["seed"], **row["configuration"])
            for name, margin in self.tolerance.items():
                stored = table.array(name, "seed", **row["configuration"])
                found = np.array(again["results"][name], dtype=float)
                if not _within(self._comparable(found), self._comparable(stored), margin):
                    raise TableError(
                        f"{self.path.name}: {row['configuration']}, seed {row['seed']}: {name} "
                        f"is {found}, stored is {row['results'][name]}, and the margin about "
                        f"the stored seeds is {margin}"
                    )

    def sample(self, size: int, turn: int) -> list[Row]:
        """Return some rows, others for each turn, all of them once in a full round.

        Raises:
            ValueError: size is not positive.
        """
        if size < 1:
            raise ValueError(f"size must be at least 1, found {size}")
        rows = self.table().rows
        stride = next(s for s in range(len(rows) // 2 + 1, 2 * len(rows)) if _coprime(s, len(rows)))
        return [rows[(turn * size + i) * stride % len(rows)] for i in range(size)]

    def _comparable(self, results: np.ndarray) -> np.ndarray:
        return np.where(np.abs(results) > self.diverged_beyond, np.nan, results)

    def _is_current(self, row: Row) -> bool:
        return bool(row.get("digest") == self.digest)

    def _stored(self) -> dict[Key, Row]:
        if not self.path.is_file():
            return {}
        rows = {}
        lines = self.path.read_text(encoding="utf-8").splitlines()
        for number, line in enumerate(lines, 1):
            try:
                row = json.loads(line)
                rows[_key(row["configuration"], row["seed"])] = row
            except (ValueError, KeyError, TypeError) as error:
                raise TableError(f"{self.path}, line {number}: not a row ({error})") from error
        return rows

    def _write(self, rows: Iterable[Row]) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        text = "".join(json.dumps(row, allow_nan=False) + "\n" for row in rows)
        new = self.path.with_suffix(".new")
        new.write_text(text, encoding="utf-8")
        os.replace(new, self.path)


@checked
def one_two_five(low: int, high: int) -> list[float]:
    """Return 1, 2 and 5 times each power of ten from 10^low on, up to 10^high.

    Args:
        low: the first power.
        high: the last power.

    Raises:
        ValueError: high is less than low.

    Example:
        >>> one_two_five(-1, 1)
        [0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0]
    """
    if high < low:
        raise ValueError(f"expected low <= high, found {low!r} and {high!r}")
    steps = [float(f"{digit}e{power}") for power in range(low, high) for digit in (1, 2, 5)]
    return [*steps, float(f"1e{high}")]


@checked
def unless_diverged(results: Mapping[str, float]) -> dict[str, float | None]:
    """Return the results of a training, or None for each if one is not a finite number.

    Args:
        results: numbers by name.

    Example:
        >>> unless_diverged({"loss": math.nan, "accuracy": 0.1})
        {'loss': None, 'accuracy': None}
    """
    alive = all(math.isfinite(value) for value in results.values())
    return {name: value if alive else None for name, value in results.items()}


def _key(configuration: Mapping[str, Any], seed: int) -> Key:
    return tuple(sorted(configuration.items())), seed


def _flat(row: Row) -> dict[str, Any]:
    return {**row["configuration"], "seed": row["seed"], **row["results"]}


def _matches(row: Mapping[str, Any], where: Mapping[str, Any]) -> bool:
    missing = object()
    return all(row.get(name, missing) == value for name, value in where.items())


def _coprime(a: int, b: int) -> bool:
    return math.gcd(a, b) == 1


def _rounded(value: Any) -> Any:
    """Six significant digits, whole numbers without a point; None for what is not finite."""
    if isinstance(value, Sequence | np.ndarray):
        return [_rounded(entry) for entry in value]
    if value is None or not math.isfinite(value):
        return None
    rounded = float(f"{value:.6g}")
    return int(rounded) if rounded.is_integer() else rounded


def _within(found: np.ndarray, stored: np.ndarray, margin: float) -> bool:
    """Whether each entry lies between the stored seeds' extremes, or `margin` outside.

    An entry may be NaN only where a stored one is, and a number only where one is stored.
    """
    if found.shape != stored.shape[1:]:
        return False
    absent = np.isnan(stored)
    low = np.where(absent, np.inf, stored).min(axis=0) - margin
    high = np.where(absent, -np.inf, stored).max(axis=0) + margin
    inside = (found >= low) & (found <= high)
    return bool(np.all(np.where(np.isnan(found), absent.any(axis=0), inside)))


def _versions() -> dict[str, str]:
    packages = {name: version(name) for name in ("keras", "numpy", "tensorflow")}
    return {"python": platform.python_version(), **packages, "machine": platform.machine()}
