"""The claims that a chapter's stored outputs state: their words, values and bounds."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

__all__ = ["Claim", "fallen", "holds", "limits", "stored_claims"]

SINGLE = re.compile(r"✓ (.*): (\S+) \(([^()]*)\)$")
CELL = re.compile(r"✓ +(\S+) \(([^()]*)\)$")
NUMBER = r"([-+.\w]+)"
FORMS = (
    (rf"at least {NUMBER}", lambda low: (low, math.inf)),
    (rf"at most {NUMBER}", lambda high: (-math.inf, high)),
    (rf"between {NUMBER} and {NUMBER}", lambda low, high: (low, high)),
    (rf"close to {NUMBER}, within {NUMBER}", lambda at, margin: (at - margin, at + margin)),
)


@dataclass(frozen=True)
class Claim:
    """A number that a chapter measured, and its bound.

    Attributes:
        cell: the number of the code cell, from 1.
        text: what was measured; of a table, its heading, row and column.
        value: what the stored output says.
        bound: in words, as `helpers.claims.Bound` writes it.
    """

    cell: int
    text: str
    value: float
    bound: str


def stored_claims(notebook: Any) -> list[Claim]:
    """Return the claims in a notebook's stored outputs, in their order."""
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    return [
        Claim(number, text, float(value), bound)
        for number, cell in enumerate(cells, 1)
        for output in cell.outputs
        for text, value, bound in _claims(output.get("text", "").splitlines())
    ]


def fallen(claims: Sequence[Claim], values: Sequence[float | None]) -> list[int]:
    """Return which claims do not hold, by number, if this is what was measured.

    Args:
        claims: their bounds count, to the six digits with which they are printed.
        values: for each claim, its number, or None if the run did not come so far.
    """
    return [i for i, pair in enumerate(zip(claims, values, strict=True)) if not holds(*pair)]


def holds(claim: Claim, value: float | None) -> bool:
    """Return whether a claim holds of a number, to the six digits with which bounds are printed."""
    if value is None:
        return False
    low, high = limits(claim.bound)
    slack = 1e-6 * max(abs(bound) for bound in (low, high) if math.isfinite(bound))
    return low - slack <= value <= high + slack


def _claims(lines: list[str]) -> Iterator[tuple[str, str, str]]:
    heading: list[str] = []
    for line in lines:
        if found := SINGLE.match(line):
            yield found.group(1), found.group(2), found.group(3)
            continue
        first, *others = (entry.strip() for entry in line.split(" | "))
        if not others or not all(map(CELL.match, others)):
            heading = [first, *others]
            continue
        for column, entry in zip(heading[1:], others, strict=True):
            value, bound = CELL.match(entry).groups()  # type: ignore[union-attr]
            yield f"{heading[0]}: {first}, {column}", value, bound


def limits(bound: str) -> tuple[float, float]:
    """Return the smallest and the largest value that a bound in words allows.

    Raises:
        ValueError: the words are not a bound's.
    """
    for form, both in FORMS:
        if found := re.fullmatch(form, bound):
            return both(*map(float, found.groups()))
    raise ValueError(f"expected a bound such as 'at least 0.5', found {bound!r}")
