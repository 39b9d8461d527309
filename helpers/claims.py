"""State a measured fact with its bound; print it; fail where it does not hold.

A measured number may differ a little between processors, so the book's checker masks
the number in a stored output. It masks nothing else, and only because the call itself
has already compared the number with its bound.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

__all__ = ["Bound", "ClaimError", "claim", "claim_table"]

MASKS = (
    # (pattern, replacement) for nbval's sanitiser: `nbval.cfg` is written from these two.
    (
        r"(?m)^(✓ [^\n]*: )[-+.\w]+( \((?:at least|at most|between|close to) [^()\n]*\))$",
        r"\g<1>MEASURED\g<2>",
    ),
    (
        r"✓ +[-+.\w]+( \((?:at least|at most|between|close to) [^()\n]*\))(?= *(?:\||\n|$))",
        r"✓ MEASURED\g<1>",
    ),
)


class ClaimError(AssertionError):
    """A claim does not hold, or was stated without a usable bound."""


@dataclass(frozen=True)
class Bound:
    """What a measured number must satisfy: low <= value <= high.

    Give exactly one of the forms that `claim` takes.

    Args:
        at_least: smallest value allowed.
        at_most: largest value allowed.
        between: the pair (smallest, largest) allowed.
        close_to: the value expected, to within `tolerance`.
        tolerance: largest distance from `close_to`, greater than 0.

    Raises:
        ClaimError: no form or several were given, or a limit is not a finite number.

    Example:
        >>> Bound(at_least=0.88).holds(0.893)
        True
        >>> str(Bound(close_to=0.5, tolerance=0.01))
        'close to 0.5, within 0.01'
    """

    at_least: float | None = None
    at_most: float | None = None
    between: tuple[float, float] | None = None
    close_to: float | None = None
    tolerance: float | None = None

    def __post_init__(self) -> None:
        forms = ("at_least", "at_most", "between", "close_to")
        given = [form for form in forms if getattr(self, form) is not None]
        if len(given) != 1:
            raise ClaimError(
                f"a claim needs exactly one bound out of {', '.join(forms)}; "
                f"found {' and '.join(given) or 'none'}"
            )
        if (self.close_to is None) != (self.tolerance is None):
            raise ClaimError("close_to and tolerance belong together: give both or neither")
        if self.between is not None and len(self.between) != 2:
            raise ClaimError(f"between takes a pair (smallest, largest), found {self.between!r}")
        for limit in self._numbers():
            _finite_number(limit, "a bound")
        if self.tolerance is not None and self.tolerance <= 0:
            raise ClaimError(f"tolerance must be greater than 0, found {self.tolerance!r}")
        if self.between is not None and self.between[0] > self.between[1]:
            raise ClaimError(f"between is (smallest, largest), found {self.between!r}")

    def _numbers(self) -> list[Any]:
        single = (self.at_least, self.at_most, self.close_to, self.tolerance)
        return [n for n in (*single, *(self.between or ())) if n is not None]

    @property
    def low(self) -> float:
        """Smallest value that satisfies the bound (minus infinity if there is none)."""
        if self.between is not None:
            return float(self.between[0])
        if self.close_to is not None and self.tolerance is not None:
            return float(self.close_to - self.tolerance)
        return -math.inf if self.at_least is None else float(self.at_least)

    @property
    def high(self) -> float:
        """Largest value that satisfies the bound (infinity if there is none)."""
        if self.between is not None:
            return float(self.between[1])
        if self.close_to is not None and self.tolerance is not None:
            return float(self.close_to + self.tolerance)
        return math.inf if self.at_most is None else float(self.at_most)

    def holds(self, value: float) -> bool:
        """Whether low <= value <= high; never for NaN or an infinite value."""
        return math.isfinite(value) and self.low <= value <= self.high

    def __str__(self) -> str:
        if self.between is not None:
            return f"between {self.between[0]:g} and {self.between[1]:g}"
        if self.close_to is not None:
            return f"close to {self.close_to:g}, within {self.tolerance:g}"
        if self.at_least is not None:
            return f"at least {self.at_least:g}"
        return f"at most {self.at_most:g}"


def claim(
    text: str,
    value: float,
    *,
    at_least: float | None = None,
    at_most: float | None = None,
    between: tuple[float, float] | None = None,
    close_to: float | None = None,
    tolerance: float | None = None,
) -> None:
    """Print a measured number with its bound, and fail where the bound does not hold.

    With the environment variable CLAIMS_LOG set to a path, also append the claim to that
    file as one JSON line: chapter (from BOOK_CHAPTER), text, value, bound, holds.

    Args:
        text: what was measured, in words, on one line.
        value: the number measured, a Python or NumPy scalar.
        at_least: smallest value allowed.
        at_most: largest value allowed.
        between: the pair (smallest, largest) allowed.
        close_to: the value expected, to within `tolerance`.
        tolerance: largest distance from `close_to`.

    Raises:
        ClaimError: the bound does not hold (it never does for NaN or infinity), or is
            missing, or the value is not one real number.

    Example:
        >>> claim("test accuracy after 10 epochs", 0.893, at_least=0.88)
        ✓ test accuracy after 10 epochs: 0.893 (at least 0.88)
    """
    bound = Bound(at_least, at_most, between, close_to, tolerance)
    value = _check(_one_line(text), value, bound)
    print(f"✓ {text}: {value:.4g} ({bound})")


def claim_table(text: str, rows: Mapping[str, Mapping[str, tuple[float, Bound]]]) -> None:
    """State several measured numbers with their bounds as one table.

    Args:
        text: what was measured, in words, on one line: the table's heading.
        rows: for each row's name, for each column's name, the pair (value, bound).
            All rows have the same columns in the same order.

    Raises:
        ClaimError: a bound does not hold (all that fail are named), a value is not a real
            number, or the rows' columns differ.

    Example:
        >>> claim_table("accuracy", {
        ...     "train": {"epoch 1": (0.81, Bound(at_least=0.8))},
        ...     "test": {"epoch 1": (0.79, Bound(at_least=0.78))}})
        accuracy | epoch 1
        train    | ✓       0.81 (at least 0.8)
        test     | ✓       0.79 (at least 0.78)
    """
    if not isinstance(rows, Mapping):
        raise TypeError(f"claim_table takes rows by name, found {rows!r}")
    if not rows:
        raise ClaimError("claim_table needs at least one row")
    for name, cells in rows.items():
        if not isinstance(cells, Mapping) or not all(map(_is_pair, cells.values())):
            raise TypeError(f"row {name!r}: expected pairs (value, bound), found {cells!r}")
    columns = list(next(iter(rows.values())))
    table = [[_one_line(text), *map(_one_line, columns)]]
    failures = []
    for name, cells in rows.items():
        if list(cells) != columns:
            raise ClaimError(f"row {name!r} has the columns {list(cells)}, expected {columns}")
        printed = [_one_line(name)]
        for column, (value, bound) in cells.items():
            if not isinstance(bound, Bound):
                raise ClaimError(f"{name}, {column}: expected a Bound, found {bound!r}")
            try:
                number = _check(f"{text}: {name}, {column}", value, bound)
            except ClaimError as error:
                failures.append(str(error))
            else:
                printed.append(f"✓ {number:10.4g} ({bound})")
        table.append(printed)
    if failures:
        raise ClaimError("\n".join(failures))
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    for line in table:
        cells_padded = (cell.ljust(width) for cell, width in zip(line, widths, strict=True))
        print(" | ".join(cells_padded).rstrip())


def _check(text: str, value: Any, bound: Bound) -> float:
    """Return value as a float if the bound holds; log it; raise ClaimError otherwise."""
    number = _real_number(value, f"the value of {text!r}")
    holds = bound.holds(number)
    _log({"text": text, "value": number, "bound": str(bound), "holds": holds})
    if not holds:
        raise ClaimError(f"✗ {text}: {number:.6g} (claimed: {bound})")
    return number


def _log(entry: dict[str, Any]) -> None:
    path = os.environ.get("CLAIMS_LOG")
    if path:
        line = json.dumps({"chapter": os.environ.get("BOOK_CHAPTER", ""), **entry})
        with Path(path).open("a", encoding="utf-8") as log:
            log.write(line + "\n")


def _is_pair(cell: Any) -> bool:
    return isinstance(cell, tuple) and len(cell) == 2


def _one_line(text: str) -> str:
    if not isinstance(text, str) or not text.strip() or len(text.splitlines()) != 1:
        raise ClaimError(f"a claim's text is one line of words, found {text!r}")
    return text


def _real_number(value: Any, what: str) -> float:
    if isinstance(value, list | tuple):
        raise ClaimError(f"{what} must be one real number, found {value!r}")
    scalar = np.asarray(value)
    if scalar.ndim or scalar.dtype.kind not in "iuf":
        raise ClaimError(f"{what} must be one real number, found {value!r}")
    return float(scalar)


def _finite_number(value: Any, what: str) -> float:
    number = _real_number(value, what)
    if not math.isfinite(number):
        raise ClaimError(f"{what} must be finite, found {value!r}")
    return number
