"""helpers.schedule_sweeps: the tournament's trainer does what Keras's `fit` does with a schedule."""

import numpy as np
import pytest

from helpers import data, schedule_sweeps
from helpers.schedule_sweeps import (
    AVERAGED,
    BATCH_SIZE,
    NAMES,
    TOURNAMENT,
    ScheduledTrainer,
    arms,
)

EPOCHS, STEPS = 10, 20
IMAGES = 2 * BATCH_SIZE


@pytest.fixture(scope="module")
def images():
    return data.few(data.load_fashion_mnist(), IMAGES)


@pytest.fixture
def rates(keras_begun):
    from helpers.schedules import values

    return {name: values(arms(0.1, STEPS)[name], np.arange(STEPS)) for name in NAMES}


def test_the_arms_are_known_by_name_and_none_is_above_its_peak(rates):
    assert list(arms(0.1, 60)) == NAMES
    for name, of_steps in rates.items():
        assert of_steps.min() >= 0, name
        assert of_steps.max() <= 0.1 * (1 + 1e-6), name
    for experiment in TOURNAMENT.values():
        assert experiment.grid["arm"] == NAMES


@pytest.mark.slow
@pytest.mark.parametrize("name", ["one-cycle", "piecewise", AVERAGED])
def test_a_trainer_takes_the_steps_of_keras_with_the_schedule(images, rates, name):
    import keras

    ema = 0.5 if name == AVERAGED else None
    trainer = ScheduledTrainer(images, 3, images=IMAGES, ema=ema)
    trainer.train(rates[name], epochs=EPOCHS)
    found = [variable.numpy() for variable in trainer.model.trainable_variables]
    trainer.train(rates["constant"], epochs=EPOCHS)
    trainer.train(rates[name], epochs=EPOCHS)  # anew: nothing is left of the one before
    for before, after in zip(found, trainer.model.trainable_variables, strict=True):
        np.testing.assert_array_equal(before, after.numpy())

    keras.utils.set_random_seed(3)
    model = schedule_sweeps.mlp()
    averaging = {} if ema is None else {"use_ema": True, "ema_momentum": ema}
    optimizer = keras.optimizers.SGD(arms(0.1, STEPS)[name], momentum=0.9, **averaging)
    model.compile(optimizer, "sparse_categorical_crossentropy")
    r = np.random.default_rng(3)
    order = np.concatenate([r.permutation(IMAGES) for _ in range(EPOCHS)])
    x, y = images.x_train[order], images.y_train[order]
    model.fit(x, y, batch_size=BATCH_SIZE, shuffle=False, verbose=0)  # it ends with the averages
    for ours, theirs in zip(found, model.get_weights(), strict=True):
        np.testing.assert_allclose(ours, theirs, atol=2e-5)
    loss, error = trainer.results(images.x_valid, images.y_valid)
    trainer_model = trainer.model
    trainer_model.compile(loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    kept = trainer_model.evaluate(images.x_valid, images.y_valid, verbose=0)
    assert [loss, 1 - error] == pytest.approx(kept, abs=1e-4)


def test_the_plateau_arm_lowers_its_rate_as_keras_does(images, keras_begun):
    trainer = ScheduledTrainer(images, 0, images=IMAGES)
    losses = iter([(1.0, 0.5), (2.0, 0.5), (3.0, 0.5)])
    trainer.results = lambda *_: next(losses)
    used = []
    watch = schedule_sweeps._plateau(trainer, 0.1, 3)

    def noting(epoch, of_steps):
        used.append(float(trainer.optimizer.learning_rate))
        return watch(epoch, of_steps)

    trainer.train(np.full(6, 0.1), epochs=3, watch=noting)
    assert used == pytest.approx([0.1, 0.1, 0.03])


def test_rates_that_do_not_fit_the_steps_are_refused(images, keras_begun):
    trainer = ScheduledTrainer(images, 0, images=IMAGES)
    with pytest.raises(ValueError, match="each of 4 steps in 2 epochs, found 5"):
        trainer.train(np.full(5, 0.1), epochs=2)


@pytest.fixture
def trained(monkeypatch):
    """Instead of training: the rates of each training, and its trainer."""
    calls = []

    def train(self, rates, *, epochs, watch=None):
        calls.append((self, rates))
        for epoch in range(epochs if watch else 0):
            assert watch(epoch, rates) is rates

    monkeypatch.setattr(ScheduledTrainer, "train", train)
    monkeypatch.setattr(ScheduledTrainer, "results", lambda *_: (2.0, 0.5))
    return calls


def test_a_rate_is_divided_by_ten_after_some_epochs(trained, keras_begun):
    found = schedule_sweeps.drop_rate(
        data.load_fashion_mnist(), 0, rate=0.5, dropped_after=2, epochs=3
    )
    ((_, rates),) = trained
    assert rates.tolist() == [0.5] * 2 * 156 + [0.05] * 156
    assert found == {"loss": [2.0] * 3, "fresh_error": [0.5] * 3}


@pytest.mark.parametrize("optimizer", ["momentum", "Adam"])
@pytest.mark.parametrize("warmup", [0, 20])
def test_a_warm_up_is_part_of_the_budget(trained, keras_begun, optimizer, warmup):
    import keras

    schedule_sweeps.warm_up(
        data.load_fashion_mnist(), 0, optimizer=optimizer, warmup=warmup, epochs=1
    )
    peaks = schedule_sweeps.WARM_UP_PEAKS[optimizer]
    kind = {"momentum": keras.optimizers.SGD, "Adam": keras.optimizers.Adam}[optimizer]
    assert len(trained) == len(peaks)
    for peak, (trainer, rates) in zip(peaks, trained, strict=True):
        assert isinstance(trainer.optimizer, kind)
        assert rates.argmax() == warmup
        np.testing.assert_allclose(
            rates[: warmup + 1], peak * np.arange(1, warmup + 2) / (warmup + 1)
        )
        np.testing.assert_allclose(
            rates[warmup:], np.linspace(peak, 0, 157 - warmup)[:-1], rtol=1e-5
        )
    with pytest.raises(ValueError, match="optimizer is one of"):
        schedule_sweeps.warm_up(data.load_fashion_mnist(), 0, optimizer="adam", warmup=0)


def test_only_shuffling_before_batching_changes_the_company(keras_begun):
    numbers = np.arange(4 * BATCH_SIZE)

    def companies(pipeline):
        batches = schedule_sweeps.batches_in_order(numbers, numbers, pipeline=pipeline, seed=1)
        return [[frozenset(x.numpy().tolist()) for x, _ in batches] for _ in range(2)]

    first, second = companies("batch, shuffle")
    assert set(first) == set(second)
    assert first != second
    first, second = companies("shuffle, batch")
    assert not set(first) & set(second)
    with pytest.raises(ValueError, match="found 'shuffle'"):
        companies("shuffle")
