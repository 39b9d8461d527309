"""helpers.search_laboratory: real trainings, and replays that do what their descriptions say."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from helpers import search_laboratory
from helpers.search import at_random, coarse_to_fine
from helpers.search_laboratory import (
    EPOCHS,
    LEVELS,
    SPACE,
    Laboratory,
    Trainer,
    best_so_far,
    laboratory,
    replay,
    replay_halving,
    replay_one_by_one,
)


def rng(seed=0):
    return np.random.default_rng(seed)


@pytest.fixture(scope="module")
def lab():
    return laboratory()


def steady(lab):
    """The laboratory as if no seed made a difference: every training finds the worth."""
    worth = lab.fresh.mean(axis=1)[:, None, None]
    errors = np.broadcast_to(worth, lab.errors.shape)
    return Laboratory(lab.configurations, errors, np.broadcast_to(worth, lab.fresh_parts.shape))


def judged(lab, place, error):
    """What the place is worth by the seeds other than the one that had this error at the end."""
    seed = int(np.flatnonzero(lab.errors[place, :, -1] == error)[0])
    return np.delete(lab.fresh[place], seed).mean()


# ---------------------------------------------------------------------------- trainings


@pytest.mark.slow
def test_a_trainer_takes_the_steps_of_keras_and_starts_again(keras_begun, few):
    import keras

    trainer = Trainer(few, 3, width=20, batch_size=16, momentum=0.8, images=64)
    reported = []
    errors = trainer.train(0.05, lambda *seen: reported.append(seen), epochs=2)
    trained = [variable.numpy() for variable in trainer.variables]
    assert reported == list(zip((1, 2), errors, strict=True))
    assert trainer.train(0.5, epochs=2) != errors
    assert trainer.train(0.05, epochs=2) == errors
    assert len(trainer.train(0.05)) == EPOCHS

    keras.utils.set_random_seed(3)
    model = search_laboratory.mlp((20,))
    model.compile(
        optimizer=keras.optimizers.SGD(0.05, momentum=0.8),
        loss="sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )
    orders = rng(3)
    for _ in range(2):
        order = orders.permutation(64)
        x, y = few.x_train[order], few.y_train[order]
        model.fit(x, y, batch_size=16, shuffle=False, verbose=0)
    for mine, keras_own in zip(trained, model.weights, strict=False):
        np.testing.assert_allclose(mine, keras_own, atol=1e-5)
    _, accuracy = model.evaluate(few.x_valid, few.y_valid, verbose=0)
    assert 1 - accuracy == pytest.approx(errors[-1], abs=1e-6)
    wrong = model.predict(few.x_test, verbose=0).argmax(axis=1) != few.y_test
    trainer.train(0.05, epochs=2)
    np.testing.assert_array_equal(trainer.wrong(few.x_test, few.y_test), wrong)


@pytest.mark.slow
def test_a_trainer_leaves_out_a_rest_and_refuses_less_than_a_batch(keras_begun, few):
    seen = []
    trainer = Trainer(few, 0, width=20, batch_size=48, momentum=0.0, images=64)
    trainer.train_epoch = seen.append
    trainer.train(0.1, epochs=2)
    assert [batches.shape for batches in seen] == [(1, 48), (1, 48)]
    assert set(seen[0].ravel()) != set(seen[1].ravel())
    with pytest.raises(ValueError, match="images must be at least 65"):
        Trainer(few, 0, width=20, batch_size=65, momentum=0.0, images=64)


@pytest.mark.slow
def test_a_training_that_diverges_is_as_good_as_chance(keras_begun, few):
    trainer = Trainer(few, 0, width=20, batch_size=16, momentum=0.99, images=64)
    errors = trainer.train(1e30, epochs=3)
    assert all(0.7 < error <= 1 for error in errors)


@pytest.mark.slow
def test_the_books_search_trains_and_reports(keras_begun):
    reported = []
    configuration = {"learning_rate": 0.1, "momentum": 0.8, "batch_size": 512, "width": 20}
    error = search_laboratory.evaluate_mlp(configuration, lambda *seen: reported.append(seen))
    assert [epoch for epoch, _ in reported] == list(range(1, 10))
    assert reported[-1][1] == error < 0.25


def test_no_image_is_trained_on_and_called_fresh():
    assert search_laboratory.FRESH.start >= search_laboratory.TRAINED_ON
    assert search_laboratory.FRESH.stop - search_laboratory.FRESH.start == 20_000


# ---------------------------------------------------------------------------- the laboratory


def test_the_laboratory_knows_its_own_places(lab):
    assert len(lab.configurations) == math.prod(map(len, LEVELS.values()))
    np.testing.assert_array_equal(lab.nearest(lab.configurations), np.arange(468))
    assert lab.errors.shape == (468, 5, 9)
    assert ((lab.errors >= 0) & (lab.errors <= 1)).all()
    assert ((lab.fresh > 0.1) & (lab.fresh < 0.95)).all()


def test_the_table_is_in_the_order_of_the_places(lab):
    rows = search_laboratory.LABORATORY.table().rows
    row = rows[77]
    for rate in (3, 11):
        configuration = {**row["configuration"], "learning_rate": LEVELS["learning_rate"][rate]}
        place = lab.nearest([configuration])[0]
        assert lab.configurations[place] == configuration
        stored = row["results"]["valid_error"][rate]
        np.testing.assert_array_equal(lab.errors[place, row["seed"]], stored)
        wrong = row["results"]["fresh_wrong"][rate]
        np.testing.assert_allclose(lab.fresh_parts[place, row["seed"]], np.array(wrong) / 1000)


def test_the_nearest_place_is_nearest_on_each_scale(lab):
    for configuration, place in zip(
        points := at_random(SPACE, 50, rng()), lab.nearest(points), strict=True
    ):
        for name, value in lab.configurations[place].items():
            distances = abs(
                SPACE[name].position(LEVELS[name]) - SPACE[name].position(configuration[name])
            )
            assert LEVELS[name][distances.argmin()] == value


def test_a_training_is_drawn_with_any_of_the_seeds(lab):
    places = np.zeros((200, 2), dtype=int)
    seen, worth = lab.observe(places, rng())
    assert seen.shape == (200, 2, 9)
    assert worth.shape == (200, 2)
    assert {tuple(errors) for errors in seen.reshape(-1, 9)} == {tuple(e) for e in lab.errors[0]}
    for errors, value in zip(seen.reshape(-1, 9), worth.ravel(), strict=True):
        assert value == pytest.approx(judged(lab, 0, errors[-1]))


# ---------------------------------------------------------------------------- replays


@given(arrays.arrays(float, (3, 7), elements=st.floats(0, 1)))
def test_best_so_far_is_the_truth_of_the_least_observed(observed):
    truth = rng().random((3, 7))
    found = best_so_far(observed, truth)
    for row, values in enumerate(observed):
        for n in range(7):
            assert found[row, n] == truth[row, values[: n + 1].argmin()]


def test_without_noise_a_longer_search_is_never_worse(lab):
    found = replay(steady(lab), lambda r: at_random(SPACE, 30, r), 20, rng())
    assert found.shape == (20, 30)
    assert (np.diff(found, axis=1) <= 0).all()
    noisy = replay(lab, lambda r: at_random(SPACE, 30, r), 200, rng())
    assert (np.diff(noisy, axis=1) > 0).any()
    assert noisy[:, -1].mean() > lab.fresh.mean(axis=1).min()


def test_a_search_that_looks_sees_what_it_is_told_and_is_judged_by_the_worth(lab):
    asked = []

    def search(evaluate, r):
        for configuration in at_random(SPACE, 12, r):
            asked.append((configuration, evaluate(configuration)))

    found = replay_one_by_one(lab, search, 2, rng())
    assert found.shape == (2, 12)
    for row in range(2):
        part = asked[12 * row : 12 * row + 12]
        for configuration, error in part:
            assert error in lab.errors[lab.nearest([configuration])[0], :, -1]
        best, error = min(part, key=lambda pair: pair[1])
        assert found[row, -1] == pytest.approx(judged(lab, lab.nearest([best])[0], error))


def test_coarse_to_fine_is_replayed_round_by_round(lab):
    def zooming(evaluate, r):
        return coarse_to_fine(evaluate, SPACE, rounds=3, size=6, rng=r)

    assert replay_one_by_one(lab, zooming, 4, rng()).shape == (4, 18)


def test_halving_keeps_the_best_of_each_rung(lab):
    cost, found = replay_halving(lab, 27, 50, rng(4))
    assert cost == (27 * 1 + 9 * 2 + 3 * 6) / 9 == 7.0
    r = rng(4)
    places = lab.nearest(at_random(SPACE, 50 * 27, r)).reshape(50, 27)
    observed, worth = lab.observe(places, r)
    for row in range(50):
        alive = sorted(range(27), key=lambda i: observed[row, i, 0])[:9]
        alive = sorted(alive, key=lambda i: observed[row, i, 2])[:3]
        winner = min(alive, key=lambda i: observed[row, i, 8])
        assert found[row] == pytest.approx(worth[row, winner])
    for size in (0, 10, -9):
        with pytest.raises(ValueError, match="multiple of 9"):
            replay_halving(lab, size, 1, rng())


def test_the_tables_have_five_seeds():
    for experiment in (
        search_laboratory.LABORATORY, search_laboratory.BY_BATCH, search_laboratory.BY_DATA,
    ):  # fmt: skip
        assert list(experiment.seeds) == [0, 1, 2, 3, 4]
