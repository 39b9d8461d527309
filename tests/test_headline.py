"""helpers.headline: the recipes are for the sources' networks, and within the budgets they name."""

import numpy as np
import pytest

from helpers import data, headline, models
from helpers.headline import HEADLINE, NETWORKS


@pytest.fixture(autouse=True)
def begun(keras_begun):
    pass


def test_the_networks_are_the_sources_or_smaller():
    import keras

    plain, flipped = NETWORKS["mlp"](), NETWORKS["and flips"]().layers[-1]
    for network in (plain, NETWORKS["with batch norm"](), NETWORKS["and dropout"](), flipped):
        dense = [layer for layer in network.layers if isinstance(layer, keras.layers.Dense)]
        assert [layer.units for layer in dense] == [300, 100, 10]
    assert plain.count_params() == models.mlp().count_params() == 266_610
    cnn, small = NETWORKS["cnn"](), NETWORKS["small cnn"]()
    assert cnn.count_params() == models.cnn().count_params() == 421_642
    assert small.count_params() < 421_642


def test_the_budgets():
    def epochs(name):
        return HEADLINE[name].configurations()[0]["epochs"]

    assert [epochs(name) for name in ("source", "cnn", "small cnn")] == [15, 4, 15]


def test_the_schedules():
    one = headline.one_cycle(0.1, epochs=4, steps=10)
    assert one(40) == pytest.approx(0.1 / 1e4)
    cycles = headline.growing_cycles(1e-3, epochs=15, steps=1719)
    starts = np.cumsum([0, 3, 3.75, 4.6875]) * 1719
    tops = starts + 3 * 1719 * 1.25 ** np.arange(4) / 4
    np.testing.assert_allclose(cycles(tops), 1e-3, rtol=1e-6)
    np.testing.assert_allclose(cycles(starts), 1e-7, rtol=1e-3)


def test_the_source_s_run_is_trained_at_the_source_s_rates(monkeypatch):
    (recipe,) = HEADLINE["source"].configurations()
    assert (recipe["network"], recipe["optimizer"]) == ("cnn", "Adam")
    assert (recipe["peak"], recipe["batch_size"]) == (1e-3, 32)
    used, real = [], headline.SCHEDULES[recipe["schedule"]]

    def noting(*args, **kwargs):
        used.append(real(*args, **kwargs))
        return used[0]

    monkeypatch.setitem(headline.SCHEDULES, recipe["schedule"], noting)
    few = data.few(data.load_fashion_mnist(), 64)
    found = headline.train_by_recipe(few, 0, **(recipe | {"epochs": 1}))
    assert len(found["loss"]) == 1
    (schedule,) = used
    assert (schedule.peak, schedule.first_cycle, schedule.floor) == (1e-3, 3 * 2, 1e-7)
    assert (schedule.growth, schedule.warmup_fraction) == (1.25, 0.25)


@pytest.mark.parametrize("network", NETWORKS)
def test_a_training_by_recipe(network):
    few = data.few(data.load_fashion_mnist(), 64)
    recipe = {
        "network": network,
        "optimizer": "Adam",
        "schedule": "one cycle",
        "peak": 1e-3,
        "epochs": 2,
        "batch_size": 16,
    }
    found = headline.train_by_recipe(few, 0, **recipe, images=32)
    assert [len(found[name]) for name in ("loss", "valid_loss", "valid_accuracy")] == [2, 2, 2]
    assert 0 <= found["test_accuracy"] <= 1
    assert headline.train_by_recipe(few, 0, **recipe, images=32) == found
