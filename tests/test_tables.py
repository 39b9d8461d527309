"""Every run of the tests trains rows of stored tables again.

A twelfth of the tables has its turn each day, a row each, and another row each time.
BOOK_TABLES=all takes a row of every table, also of those whose rows take minutes, as CI does each
week.
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
    "headline-small-cnn",
    "headline-source",
]
"""A row takes from one minute to ten, on all cores."""
QUICK = [name for name in sweeps.SWEEPS if name not in TAKE_MINUTES]
SHARES = 12


def due(day, everything):
    """The tables that have their turn on a day, and the number of the turn."""
    todays = {n: day // SHARES for i, n in enumerate(QUICK) if i % SHARES == day % SHARES}
    return dict.fromkeys([*QUICK, *TAKE_MINUTES], day // 7) if everything else todays


DUE = due(TODAY, os.environ.get("BOOK_TABLES") == "all")


@pytest.mark.parametrize("name", DUE)
def test_a_row_gives_the_same_again(name):
    reproducible.begin()
    experiment = sweeps.SWEEPS[name]
    rows = experiment.sample(1, turn=DUE[name])
    print([(row["configuration"], row["seed"]) for row in rows])
    experiment.verify(rows)


def test_every_row_has_its_turn():
    turns = [due(day, everything=False) for day in range(2 * SHARES)]
    for name in QUICK:
        assert [turn[name] for turn in turns if name in turn] == [0, 1]
    for week, day in enumerate((0, 7, 14)):
        assert due(day, everything=True) == dict.fromkeys(sweeps.SWEEPS, week)
