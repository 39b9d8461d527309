"""Find numbers in a chapter's text for which neither a claim nor its code and outputs vouch."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from tools.stored_claims import limits, stored_claims

__all__ = ["unguarded"]

NOT_PROSE = re.compile(
    r"```.*?```|\$\$.*?\$\$|\$[^$]*\$|`[^`]*`|(?<=\])\([^)]*\)|<[^>]*>", re.DOTALL
)
NUMBER = re.compile(r"(?<![\w.,/^-])(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?(?![\w/]|\.\d)")
SMALL = 12  # whole numbers up to here count things on the page
YEARS = range(1900, 2031)


def unguarded(notebook: Any) -> Iterator[tuple[str, str]]:
    """Yield the numbers in a chapter's text that nothing in the chapter vouches for.

    A number is vouched for by a claim whose value or bound it is when rounded as it is written,
    also as a percentage, a share of the rest, an inverse or in thousandths; and by code or an
    output in which it stands: both are compared whenever the tests run. Formulas, code, links,
    years and small whole numbers are not looked at.

    Args:
        notebook: the chapter with its stored outputs.

    Yields:
        The number as it is written, and the words around it.
    """
    measured = [value for claim in stored_claims(notebook) for value in _values(claim)]
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    printed = " ".join(
        [cell.source for cell in cells]
        + [
            str(o.get("text", "")) + str(o.get("data", {}).get("text/plain", ""))
            for cell in cells
            for o in cell.outputs
        ]
    )
    known = {float(number) for number in re.findall(r"\d+(?:\.\d+)?", printed)}
    for cell in notebook.cells:
        if cell.cell_type != "markdown":
            continue
        text = NOT_PROSE.sub("", cell.source)
        for match in NUMBER.finditer(text):
            digits = match[0].replace(",", "")
            number, decimals = float(digits), len(digits.partition(".")[2])
            if not decimals and (number <= SMALL or number in YEARS):
                continue
            half = 0.51 * 10.0**-decimals
            if number not in known and not any(abs(m - number) <= half for m in measured):
                around = text[max(0, match.start() - 60) : match.end() + 40]
                yield match[0], " ".join(around.split())


def _values(claim: Any) -> Iterator[float]:
    """What a text may quote of a claim."""
    for x in (claim.value, *limits(claim.bound)):
        if abs(x) < float("inf"):
            yield from map(abs, (x, 100 * x, 1 - x, 100 * (1 - x), 1000 * x, 1 / x if x else 0.0))
