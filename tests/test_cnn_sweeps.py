"""helpers.cnn_sweeps: snapshots, ensembles and lines are what they say; cycles fill the budget."""

from dataclasses import replace

import numpy as np
import pytest

from helpers import cnn_sweeps, data
from helpers.cnn_sweeps import CYCLES, compile_for, ensemble_errors, loss_between, snapshots_at


@pytest.fixture
def network(keras_begun):
    import keras

    model = keras.Sequential([keras.Input((28, 28)), keras.layers.Flatten()])
    model.add(keras.layers.Dense(10, activation="softmax"))
    return compile_for(model, 0.01)


@pytest.fixture
def images():
    few = data.few(data.load_fashion_mnist(), 64)
    return few.x_train, few.y_train


def test_cycles_fill_fifteen_epochs_but_the_source_s_do_not():
    for name, lengths in CYCLES.items():
        if name == "unfinished":
            assert sum(lengths[:-1]) < 15 < sum(lengths)
            np.testing.assert_allclose(np.divide(lengths[1:], lengths[:-1]), 1.25)
        else:
            assert sum(lengths) == pytest.approx(15)


def test_snapshots_are_the_weights_after_these_steps(network, images):
    snapshots = snapshots_at([2, 4])
    network.fit(*images, batch_size=16, shuffle=False, verbose=0, callbacks=[snapshots])
    assert len(snapshots.weights) == 2
    for kept, now in zip(snapshots.weights[1], network.get_weights(), strict=True):
        np.testing.assert_array_equal(kept, now)
    assert not np.array_equal(snapshots.weights[0][0], snapshots.weights[1][0])


def test_an_ensemble_averages_probabilities(network, images):
    x, y = images
    first = network.get_weights()
    network.fit(x, y, verbose=0)
    second = network.get_weights()
    guesses = []
    for weights in (first, second):
        network.set_weights(weights)
        guesses.append(network.predict(x, verbose=0))
    alone, together = ensemble_errors(network, [first, second], x, y)
    assert alone == [(guess.argmax(axis=1) != y).mean() for guess in guesses]
    mean = (guesses[0] + guesses[1]) / 2
    assert together == [alone[1], (mean.argmax(axis=1) != y).mean()]


def test_a_line_begins_and_ends_at_its_ends(network, images):
    first = network.get_weights()
    before = network.evaluate(*images, verbose=0)[0]
    network.fit(*images, verbose=0)
    second = network.get_weights()
    after = network.evaluate(*images, verbose=0)[0]
    found = loss_between(network, (first, second), *images, np.array([0, 0.5, 1]))
    assert [found[0], found[2]] == pytest.approx([before, after])
    half = [(a + b) / 2 for a, b in zip(first, second, strict=True)]
    network.set_weights(half)
    assert found[1] == pytest.approx(network.evaluate(*images, verbose=0)[0])


@pytest.mark.slow
def test_unfinished_cycles_are_cosine_restarts_with_a_last_snapshot_at_the_end(
    keras_begun, monkeypatch
):
    from helpers.schedules import CosineRestarts, values

    used = []

    def noting(model, schedule):
        used.append(schedule)
        return compile_for(model, schedule)

    monkeypatch.setattr(cnn_sweeps, "compile_for", noting)
    few = data.few(data.load_fashion_mnist(), 30_100)
    few = replace(few, x_valid=few.x_valid[:64], y_valid=few.y_valid[:64])
    found = cnn_sweeps.train_in_cycles(few, 0, cycles="unfinished", peak=0.01, images=256)
    steps = np.arange(15 * 2)
    whole = CosineRestarts(0.01, 3 * 2, growth=1.25)
    np.testing.assert_allclose(values(used[0], steps), values(whole, steps), atol=1e-12)
    assert len(found["snapshot_errors"]) == len(found["ensemble_errors"]) == 4
    assert np.shape(found["line_losses"]) == (3, 11)
    assert found["ensemble_errors"][0] == found["snapshot_errors"][-1]
