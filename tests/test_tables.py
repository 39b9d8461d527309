"""Every run of the tests trains rows of stored tables again.

A third of the tables has its turn each day, a row each, and another row each time; of those whose
rows take minutes, one. BOOK_TABLES=all takes a row of every table, also of those with the longest
rows, as CI does each week.
"""

import datetime as dt
import os

import pytest

from helpers import reproducible, sweeps

pytestmark = pytest.mark.slow

TODAY = dt.date.today().toordinal()
TAKE_MINUTES = [
    "hundred-epochs",
    "practice",
    "stability-edge",
    "restarts",
    "headline-cnn",
    "headline-mlp",
    "headline-parts",
    "headline-plain-mlp",
]
TAKE_LONGER = ["headline-source", "headline-small-cnn"]
"""A row takes five minutes and more, on all cores."""
QUICK = [name for name in sweeps.SWEEPS if name not in TAKE_MINUTES + TAKE_LONGER]


def due(day, everything):
    """The tables that have their turn on a day, and the number of the turn."""
    turns = {
        name: day // of
        for names, of in ((QUICK, 3), (TAKE_MINUTES, len(TAKE_MINUTES)))
        for place, name in enumerate(names)
        if everything or place % of == day % of
    }
    return turns | dict.fromkeys(TAKE_LONGER if everything else (), day // 7)


DUE = due(TODAY, os.environ.get("BOOK_TABLES") == "all")


@pytest.mark.parametrize("name", DUE)
def test_a_row_gives_the_same_again(name):
    reproducible.begin()
    experiment = sweeps.SWEEPS[name]
    rows = experiment.sample(1, turn=DUE[name])
    print([(row["configuration"], row["seed"]) for row in rows])
    experiment.verify(rows)


def test_every_row_has_its_turn():
    turns = [due(day, everything=False) for day in range(24)]
    for name in QUICK + TAKE_MINUTES:
        found = [turn[name] for turn in turns if name in turn]
        assert found == list(range(24 // (8 if name in TAKE_MINUTES else 3)))
    weeks = [due(day, everything=True) for day in (0, 7, 14)]
    for week, turn in enumerate(weeks):
        assert turn.keys() == sweeps.SWEEPS.keys()
        assert {turn[name] for name in TAKE_LONGER} == {week}
