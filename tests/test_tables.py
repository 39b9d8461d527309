"""Every run of the tests trains a row of each stored table again: another row each day.

Of the tables whose rows take minutes, one has its turn each day.
"""

import datetime as dt

import pytest

from helpers import reproducible, sweeps

pytestmark = pytest.mark.slow

TODAY = dt.date.today().toordinal()
TAKE_MINUTES = [
    "hundred-epochs",
    "practice",
    "stability-edge",
    "source-run",
    "restarts",
]
"""Tables with rows of several minutes: one of them each day."""
RESTING = [name for day, name in enumerate(TAKE_MINUTES) if day != TODAY % len(TAKE_MINUTES)]


@pytest.mark.parametrize("name", [name for name in sweeps.SWEEPS if name not in RESTING])
def test_a_row_gives_the_same_again(name):
    reproducible.begin()
    experiment = sweeps.SWEEPS[name]
    turn = TODAY // len(TAKE_MINUTES) if name in TAKE_MINUTES else TODAY
    rows = experiment.sample(1, turn=turn)
    print([(row["configuration"], row["seed"]) for row in rows])
    experiment.verify(rows)
