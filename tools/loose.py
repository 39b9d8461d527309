"""Find claims that say nothing: those that could not fail, whatever goes wrong.

python -m tools.loose            all chapters
python -m tools.loose recipe     some

It judges by the runs in evidence/, once those of ten seeds are there. What is found, and may stay,
stands in tests/loose.toml with the reason.
"""

from __future__ import annotations

import math
import re
import sys
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from tools import ROOT, notebooks
from tools.evidence_page import NOT_COUNTED, Evidence, evidence_of, room, spread
from tools.stored_claims import Claim, holds, limits

__all__ = ["FARTHEST", "excused", "loose", "relative_room", "unexcused"]

REASONS = ROOT / "tests" / "loose.toml"
FARTHEST = 3.0
"""How many times the runs' spread a bound may be away from the worst run."""
ENOUGH = 10
"""With fewer seeds the runs do not yet say how far apart they are."""
STILL = 1e-3
"""A number whose runs differ by a smaller share of it does not move with the seed."""


def relative_room(bound: str, values: Sequence[float]) -> float:
    """Return how far inside its bound the worst run lies, in units of how far the runs differ.

    Positive numbers are also measured on a logarithmic scale, and the lesser counts. A number that
    does not move with the seed has a third of its own size for a unit; if its bounds surround 0,
    they are a margin within which two things count as equal, and the unit is the margin.

    Args:
        bound: in words.
        values: of all runs.
    """
    low, high = limits(bound)
    size, apart = max(map(abs, values)), spread(values)
    if apart <= STILL * size:
        margin = high - low if low < 0 < high else math.inf
        unit = margin if margin < math.inf else size / FARTHEST
        return room(bound, values) / unit if unit else 0.0
    found = room(bound, values) / apart
    if min(values) > 0:
        below = math.log(min(values) / low) if low > 0 else math.inf
        above = math.log(high / max(values)) if high < math.inf else math.inf
        found = min(found, min(below, above) / math.log(max(values) / min(values)))
    return found


def loose(evidence: Evidence) -> Iterator[tuple[Claim, str]]:
    """Yield the claims of a chapter that could not fail, and why.

    Claims of one table with one bound count as one: the bound is about all of them, so that the
    nearest counts.
    """
    together: dict[tuple[int, str, str], list[int]] = {}
    for index, claim in enumerate(evidence.claims):
        heading = claim.text.partition(":")[0] if "," in claim.text else claim.text
        together.setdefault((claim.cell, heading, claim.bound), []).append(index)
    untrained = evidence.runs.get(NOT_COUNTED, {}).get("values")
    for indices in together.values():
        rooms = {i: relative_room(evidence.claims[i].bound, evidence.values(i)) for i in indices}
        nearest = min(rooms, key=rooms.__getitem__)
        if rooms[nearest] > FARTHEST and len(evidence.group(seeds=True)) >= ENOUGH:
            yield evidence.claims[nearest], f"{rooms[nearest]:.2g} spreads away from all runs"
        if untrained and all(_needs_no_training(evidence, i, untrained[i]) for i in indices):
            told = ", ".join(f"{untrained[i]:.3g}" for i in indices)
            yield evidence.claims[indices[0]], f"holds of an untrained network, too: {told}"


def _needs_no_training(evidence: Evidence, index: int, untrained: float | None) -> bool:
    """Whether a claim about training holds without it."""
    if untrained is None or not holds(evidence.claims[index], untrained):
        return False
    values = evidence.values(index)
    apart = max(spread(values), STILL * max(map(abs, values)))
    return not min(values) - apart <= untrained <= max(values) + apart


def excused(chapter: str, claim: Claim, reasons: Sequence[Mapping[str, str]]) -> str:
    """Return why a claim may stay; empty if no reason is known.

    Args:
        chapter: its name.
        claim: one that could not fail.
        reasons: each with a chapter, a pattern for the claim's words, and the reason.
    """
    for entry in reasons:
        if entry["chapter"] == chapter and re.fullmatch(entry["claim"], claim.text):
            return entry["reason"]
    return ""


def unexcused(path: Path) -> list[str]:
    """Return a chapter's claims that say nothing, without those that may stay."""
    reasons = tomllib.loads(REASONS.read_text(encoding="utf-8")).get("loose", [])
    evidence = evidence_of(path, ROOT / "evidence")
    return [
        f"cell {claim.cell}, {claim.text}: {claim.value:.4g} ({claim.bound}), {why}"
        for claim, why in loose(evidence)
        if not excused(evidence.chapter, claim, reasons)
    ]


def main(names: list[str]) -> None:
    """Print what is found."""
    for path in notebooks.named(names):
        print(path.stem, *unexcused(path), sep="\n    ")


if __name__ == "__main__":
    main(sys.argv[1:])
