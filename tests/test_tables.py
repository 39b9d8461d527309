"""Every run of the tests trains a few rows of each stored table again: other rows each day."""

import datetime as dt

import pytest

from helpers import optimizer_sweeps, reproducible, sweeps

pytestmark = pytest.mark.slow

ROWS = {"practice": 1, "hundred-epochs": 1}  # of the others two: these take minutes a row,
ROWS |= dict.fromkeys((e.name for e in optimizer_sweeps.SENSITIVITY.values()), 1)  # eight tables


@pytest.mark.parametrize("name", list(sweeps.SWEEPS))
def test_some_rows_give_the_same_again(name):
    reproducible.begin()
    experiment = sweeps.SWEEPS[name]
    today = dt.date.today().toordinal()
    rows = experiment.sample(ROWS.get(name, 2), turn=today)
    print([(row["configuration"], row["seed"]) for row in rows])
    experiment.verify(rows)
