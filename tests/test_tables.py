"""Every run of the tests trains rows of stored tables again.

A third of the tables has its turn each day, a row each, and another row each time; of those whose
rows take minutes, one. BOOK_TABLES=all takes all of them, as CI does each week.
"""

import datetime as dt
import os

import pytest

from helpers import reproducible, sweeps

pytestmark = pytest.mark.slow

TODAY = dt.date.today().toordinal()
TAKE_MINUTES = ["hundred-epochs", "practice", "stability-edge", "source-run"]
QUICK = [name for name in sweeps.SWEEPS if name not in TAKE_MINUTES]


def due(day, everything):
    """The tables that have their turn on a day, and the number of the turn."""
    return {
        name: day // of
        for names, of in ((QUICK, 3), (TAKE_MINUTES, len(TAKE_MINUTES)))
        for place, name in enumerate(names)
        if everything or place % of == day % of
    }


DUE = due(TODAY, os.environ.get("BOOK_TABLES") == "all")


@pytest.mark.parametrize("name", DUE)
def test_a_row_gives_the_same_again(name):
    reproducible.begin()
    experiment = sweeps.SWEEPS[name]
    rows = experiment.sample(1, turn=DUE[name])
    print([(row["configuration"], row["seed"]) for row in rows])
    experiment.verify(rows)


def test_every_row_has_its_turn():
    turns = [due(day, everything=False) for day in range(12)]
    for name in sweeps.SWEEPS:
        found = [turn[name] for turn in turns if name in turn]
        assert found == list(range(12 // (4 if name in TAKE_MINUTES else 3)))
    assert due(7, everything=True).keys() == sweeps.SWEEPS.keys()
