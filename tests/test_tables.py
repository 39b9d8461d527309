"""Every run of the tests trains a row of each stored table again: another row each day."""

import datetime as dt

import pytest

from helpers import reproducible, sweeps

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("name", list(sweeps.SWEEPS))
def test_a_row_gives_the_same_again(name):
    reproducible.begin()
    experiment = sweeps.SWEEPS[name]
    rows = experiment.sample(1, turn=dt.date.today().toordinal())
    print([(row["configuration"], row["seed"]) for row in rows])
    experiment.verify(rows)
