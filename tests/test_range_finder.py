"""helpers.range_finder: the same steps as Keras's own training, and nothing left behind."""

import itertools
import math
import os
import signal
import threading
import time
from collections import Counter

import keras
import matplotlib.pyplot as plt
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st

from helpers import range_finder
from helpers.models import mlp
from helpers.range_finder import (
    RECOMMENDED,
    RULES,
    RangeTest,
    RangeTestError,
    range_test,
    restored,
    smooth,
    steps_until_divergence,
)

LAYERS = keras.layers


def toy_data(n=256, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, 8)).astype(np.float32)
    return x, (x[:, :3].argmax(axis=1)).astype(np.int32)


def toy_model(optimizer=None, *extra, compiled=True, **compiling):
    keras.utils.set_random_seed(1)
    model = keras.Sequential(
        [keras.Input((8,)), LAYERS.Dense(16, activation="relu"), *extra, LAYERS.Dense(3)]
    )
    if compiled:
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        model.compile(optimizer or keras.optimizers.SGD(0.1), loss=loss, **compiling)
    return model


def everything_of(model):
    variables = [*model.variables, *model.metrics_variables, *model.optimizer.variables]
    return [np.array(variable) for variable in variables]


def assert_same(before, after):
    assert len(before) == len(after)
    for a, b in zip(before, after, strict=True):
        assert a.dtype == b.dtype
        np.testing.assert_array_equal(a, b)


def by_hand(model, x, y, result, *, batch_size=32, seed=0):
    """The same test as an eager loop of `train_on_batch`: one batch, so the mean is the loss."""
    rng = np.random.default_rng(seed)
    passes = [rng.permutation(len(x)) for _ in range(-(-len(result.losses) * batch_size // len(x)))]
    order = np.concatenate(passes)
    losses = []
    for i, rate in enumerate(result.learning_rates):
        batch = order[i * batch_size : (i + 1) * batch_size]
        model.optimizer.learning_rate = rate
        losses.append(float(model.train_on_batch(x[batch], y[batch])))
        model.reset_metrics()
    return np.array(losses)


OPTIMIZERS = {
    "SGD": lambda: keras.optimizers.SGD(0.1),
    "Nesterov": lambda: keras.optimizers.SGD(0.1, momentum=0.9, nesterov=True),
    "Adam": lambda: keras.optimizers.Adam(1e-3),
    "AdamW": lambda: keras.optimizers.AdamW(1e-3, weight_decay=0.1),
    "RMSprop": lambda: keras.optimizers.RMSprop(1e-3),
    "Adagrad": lambda: keras.optimizers.Adagrad(1e-3),
    "Lion": lambda: keras.optimizers.Lion(1e-3),
    "clipped": lambda: keras.optimizers.SGD(0.1, global_clipnorm=0.1),
    "averaged": lambda: keras.optimizers.SGD(0.1, use_ema=True, ema_momentum=0.9),
    "accumulated": lambda: keras.optimizers.SGD(0.1, gradient_accumulation_steps=2),
    "scaled": lambda: keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD(0.1)),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", OPTIMIZERS)
@pytest.mark.parametrize("trained", [False, True])
def test_it_takes_the_steps_that_keras_takes_and_leaves_no_trace(name, trained):
    x, y = toy_data()
    model = toy_model(OPTIMIZERS[name]())
    if trained:
        model.fit(x, y, epochs=1, verbose=0)
    before = everything_of(model)
    sweep = {"min_lr": 1e-4, "max_lr": 0.1, "steps": 40, "stop_factor": 1e3}
    result = range_test(model, x, y, **sweep, batch_size=30, seed=5)
    assert_same(before, everything_of(model))
    assert result.losses.shape == (40,)
    np.testing.assert_allclose(
        result.losses, by_hand(model, x, y, result, batch_size=30, seed=5), rtol=2e-4, atol=1e-5
    )


@pytest.mark.slow
def test_what_training_does_after_the_test_is_what_it_would_have_done_without():
    x, y = toy_data()
    outcomes = []
    for tested in (False, True):
        model = toy_model(
            keras.optimizers.Adam(1e-2), LAYERS.BatchNormalization(), LAYERS.Dropout(0.5, seed=3)
        )
        model.fit(x, y, epochs=1, verbose=0, shuffle=False)
        if tested:
            range_test(model, x, y, steps=200)
        model.fit(x, y, epochs=2, verbose=0, shuffle=False)
        outcomes.append(everything_of(model))
    assert_same(*outcomes)


@pytest.mark.slow
@pytest.mark.parametrize(
    "rate",
    [
        keras.optimizers.schedules.ExponentialDecay(0.1, 10, 0.5),
        lambda: 0.05,
    ],
    ids=["schedule", "callable"],
)
def test_a_schedule_is_swept_like_a_rate_and_kept(rate):
    x, y = toy_data()
    model = toy_model(keras.optimizers.SGD(rate, momentum=0.9))
    model.fit(x, y, epochs=1, verbose=0)
    before = everything_of(model)
    kept = model.optimizer._learning_rate
    result = range_test(model, x, y, min_lr=1e-4, max_lr=0.1, steps=30)
    assert model.optimizer._learning_rate is kept
    assert_same(before, everything_of(model))

    again = toy_model(keras.optimizers.SGD(0.1, momentum=0.9))
    again.set_weights(model.get_weights())
    again.optimizer.build(again.trainable_variables)
    for new, old in zip(
        range_finder._state(again.optimizer), range_finder._state(model.optimizer), strict=True
    ):
        new.assign(old)
    np.testing.assert_allclose(result.losses, by_hand(again, x, y, result), rtol=1e-4)


@pytest.mark.slow
def test_batch_norm_dropout_and_noise_train_as_in_training_mode():
    x, y = toy_data()
    extra = LAYERS.BatchNormalization(), LAYERS.Dropout(0.5, seed=3), LAYERS.GaussianNoise(0.3)
    model = toy_model(None, *extra)
    before = everything_of(model)
    result = range_test(model, x, y, min_lr=1e-3, max_lr=0.1, steps=60)
    assert_same(before, everything_of(model))
    again = range_test(model, x, y, min_lr=1e-3, max_lr=0.1, steps=60)
    np.testing.assert_array_equal(result.losses, again.losses)
    np.testing.assert_allclose(result.losses, by_hand(model, x, y, result), rtol=1e-3)


@pytest.mark.slow
def test_it_is_restored_after_an_error_in_the_middle():
    class Brittle(keras.losses.Loss):
        def call(self, y_true, y_pred):
            loss = keras.losses.mean_squared_error(y_true, y_pred)
            with tf.control_dependencies([tf.debugging.assert_less(loss, 1e6)]):
                return tf.identity(loss)

    x, y = toy_data()
    model = toy_model(compiled=False)
    model.compile(keras.optimizers.SGD(0.1, momentum=0.9), loss=Brittle())
    targets = np.eye(3, dtype=np.float32)[y]
    model.fit(x, targets, epochs=1, verbose=0)
    before = everything_of(model)
    with pytest.raises(tf.errors.InvalidArgumentError):
        range_test(model, x, targets, min_lr=0.1, max_lr=100.0, steps=300, stop_factor=1e30)
    assert_same(before, everything_of(model))


@pytest.mark.slow
def test_it_is_restored_after_ctrl_c():
    x, y = toy_data()
    model = toy_model(keras.optimizers.Adam(1e-3))
    model.fit(x, y, epochs=1, verbose=0)
    before = everything_of(model)
    stop = threading.Timer(1.5, lambda: os.kill(os.getpid(), signal.SIGINT))
    stop.start()
    began = time.monotonic()
    try:
        with pytest.raises(KeyboardInterrupt):
            range_test(model, x, y, min_lr=1e-9, max_lr=1e-5, steps=3_000_000, batch_size=2)
    finally:
        stop.cancel()
    assert time.monotonic() - began < 20
    assert_same(before, everything_of(model))


@pytest.mark.slow
def test_a_block_that_restores_puts_back_slots_count_and_rate():
    x, y = toy_data()
    model = toy_model(keras.optimizers.Adam(1e-3), metrics=["accuracy"])
    model.fit(x, y, epochs=1, verbose=0)
    before = everything_of(model)

    def spoil():
        with restored(model):
            model.optimizer.learning_rate = 3.0
            model.fit(x, y, epochs=1, verbose=0)
            assert any((a != b).any() for a, b in zip(before, everything_of(model), strict=True))
            raise RuntimeError("stop")

    with pytest.raises(RuntimeError, match="stop"):
        spoil()
    assert_same(before, everything_of(model))


@pytest.mark.slow
def test_datasets_give_the_same_as_arrays_and_are_repeated():
    x, y = toy_data(100)
    model = toy_model()
    dataset = tf.data.Dataset.from_tensor_slices((x, y)).batch(32)
    result = range_test(model, dataset, steps=20)
    weighted = tf.data.Dataset.from_tensor_slices((x, y, np.full(100, 2.0, "float32"))).batch(32)
    assert range_test(model, weighted, steps=20).losses[0] == pytest.approx(2 * result.losses[0])
    losses = []
    for i, rate in enumerate(result.learning_rates):
        batch = slice(32 * (i % 4), min(32 * (i % 4 + 1), 100))
        model.optimizer.learning_rate = rate
        losses.append(float(model.train_on_batch(x[batch], y[batch])))
        model.reset_metrics()
    np.testing.assert_allclose(result.losses, losses, rtol=1e-4)


@pytest.mark.slow
def test_several_inputs_and_an_eager_model():
    x, y = toy_data()
    a, b = keras.Input((8,), name="a"), keras.Input((8,), name="b")
    outputs = LAYERS.Dense(3, activation="softmax")(LAYERS.Concatenate()([a, b]))
    found = []
    for eagerly in (False, True):
        keras.utils.set_random_seed(0)
        model = keras.Model({"a": a, "b": b}, outputs)
        model.compile("sgd", "sparse_categorical_crossentropy", run_eagerly=eagerly)
        found.append(range_test(model, {"a": x, "b": x**2}, y, steps=12, batch_size=50).losses)
    np.testing.assert_allclose(*found, rtol=1e-5)


@pytest.mark.slow
def test_a_model_without_training_argument_and_a_penalty_counts():
    class Plain(keras.Model):
        def __init__(self):
            super().__init__()
            self.dense = LAYERS.Dense(3, kernel_regularizer=keras.regularizers.L2(10.0))

        def call(self, inputs):
            return self.dense(inputs)

    x, y = toy_data()
    model = Plain()
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile("sgd", loss)
    result = range_test(model, x, y, steps=10)
    assert model.built
    penalty = 10 * float((model.dense.kernel.numpy() ** 2).sum())
    assert result.losses[0] > penalty > 1


@pytest.mark.slow
def test_rates_grow_by_a_factor_and_small_data_fill_smaller_batches():
    x, y = toy_data(5)
    result = range_test(toy_model(), x, y, min_lr=1e-4, max_lr=1e-2, steps=11, batch_size=32)
    np.testing.assert_allclose(result.learning_rates, np.geomspace(1e-4, 1e-2, 11), rtol=1e-6)
    assert result.smoothing == 0
    assert range_test(toy_model(), x, y, max_lr=1e-4, steps=100).smoothing == pytest.approx(0.8)
    order = range_finder._batches(70, 32, 5, np.random.default_rng(0))
    assert order.shape == (5, 32)
    assert sorted(order.ravel()[:70]) == sorted(order.ravel()[70:140]) == list(range(70))


@pytest.mark.slow
def test_memory_and_time_limit_the_chunks_and_change_nothing(monkeypatch):
    x, y = toy_data()
    results = [range_test(toy_model(), x, y, steps=50)]
    monkeypatch.setattr(range_finder, "CHUNK_BYTES", 1)
    results.append(range_test(toy_model(), x, y, steps=50))
    monkeypatch.setattr(range_finder, "CHUNK_SECONDS", 0.0)
    results.append(range_test(toy_model(), x, y, steps=50))
    for other in results[1:]:
        np.testing.assert_array_equal(results[0].losses, other.losses)


@pytest.mark.slow
def test_it_stops_where_the_loss_runs_away_and_says_where():
    x, y = toy_data(2000)
    result = range_test(toy_model(), x, y, max_lr=1e4, steps=400)
    assert result.diverged_at == result.learning_rates[-1] < 1e4
    assert steps_until_divergence(result.losses, 0.95, 4.0) == len(result.losses) - 1
    assert steps_until_divergence(result.losses[:-1], 0.95, 4.0) is None
    assert result.problem is None
    assert 1e-3 < result.suggestion < result.diverged_at


@pytest.mark.slow
def test_nan_stops_it_at_once():
    x, y = toy_data()
    model = toy_model()  # NaN in the inputs would not do: relu may turn it into 0
    model.layers[-1].bias.assign([np.nan, 0.0, 0.0])
    result = range_test(model, x, y)
    assert len(result.losses) == 1
    assert "not finite from the start" in result.problem
    with pytest.raises(RangeTestError, match="NaN in the data"):
        _ = result.suggestion


@pytest.mark.slow
def test_variables_left_out_of_weight_decay_stay_out():
    x, y = toy_data()

    def decayed():
        model = toy_model(keras.optimizers.AdamW(1e-3, weight_decay=5.0))
        model.optimizer.exclude_from_weight_decay(var_names=["bias"])
        return model

    model = decayed()
    for layer in model.layers:
        layer.bias.assign(layer.bias + 1)
    result = range_test(model, x, y, min_lr=1e-3, max_lr=0.1, steps=30, stop_factor=1e3)
    np.testing.assert_allclose(result.losses, by_hand(model, x, y, result), rtol=1e-3)


@pytest.mark.slow
def test_layers_frozen_after_training_stay_and_the_others_keep_their_own_slots():
    x, y = toy_data()
    model = toy_model(keras.optimizers.Adam(1e-2), LAYERS.Dense(16), LAYERS.Dense(16))
    model.fit(x, y, epochs=1, verbose=0)
    model.layers[1].trainable = False
    before = everything_of(model)
    result = range_test(model, x, y, min_lr=1e-3, max_lr=0.1, steps=30)
    assert_same(before, everything_of(model))
    np.testing.assert_allclose(result.losses, by_hand(model, x, y, result), rtol=1e-3)

    model = toy_model(compiled=False)
    model.layers[0].trainable = False
    model.compile("adam", "mse")
    model.fit(x, np.eye(3)[y], epochs=1, verbose=0)
    model.layers[0].trainable = True
    with pytest.raises(ValueError, match="compile the model again"):
        range_test(model, x, np.eye(3)[y])


@pytest.mark.slow
def test_several_outputs_and_their_metrics():
    x, y = toy_data()
    inputs = keras.Input((8,))
    outputs = {"a": LAYERS.Dense(3)(inputs), "b": LAYERS.Dense(1)(inputs)}
    model = keras.Model(inputs, outputs)
    loss = {"a": keras.losses.SparseCategoricalCrossentropy(from_logits=True), "b": "mse"}
    model.compile("adam", loss, loss_weights={"a": 1.0, "b": 0.5}, metrics={"a": ["accuracy"]})
    targets = {"a": y, "b": x[:, :1]}
    result = range_test(model, x, targets, steps=20)
    assert np.isfinite(result.losses).all()
    assert all((np.array(v) == 0).all() for v in model.metrics_variables)
    model.fit(x, targets, epochs=1, verbose=0)
    before = everything_of(model)
    range_test(model, x, targets, steps=20)
    assert_same(before, everything_of(model))


@pytest.mark.slow
def test_sixteen_bits_with_a_scaled_loss():
    x, y = toy_data()
    keras.config.set_dtype_policy("mixed_float16")
    try:
        model = toy_model(keras.optimizers.SGD(0.1))
        assert hasattr(model.optimizer, "inner_optimizer")
        before = everything_of(model)
        result = range_test(model, x, y, min_lr=1e-3, max_lr=0.1, steps=20)
    finally:
        keras.config.set_dtype_policy("float32")
    assert_same(before, everything_of(model))
    assert result.losses[-1] < result.losses[0]


@pytest.mark.slow
def test_models_with_a_loss_or_a_call_of_their_own():
    class Own(keras.Model):
        def __init__(self):
            super().__init__()
            self.dense = LAYERS.Dense(3)

        def call(self, inputs, training):
            return self.dense(inputs) + (1.0 if training else 0.0)

        def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None):
            return keras.ops.mean((y_pred - y) ** 2)

    x, y = toy_data()
    model = Own()
    model.compile("sgd")
    result = range_test(model, x, np.eye(3, dtype="float32")[y], steps=10, batch_size=256)
    targets = np.eye(3)[y]
    expected = ((model(x, training=True).numpy() - targets) ** 2).mean()
    assert result.losses[0] == pytest.approx(expected, rel=1e-4)


@pytest.mark.slow
def test_a_class_that_the_loss_ignores_is_no_mistake():
    x, y = toy_data()
    y[:10] = -1
    model = toy_model(compiled=False)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True, ignore_class=-1)
    model.compile("sgd", loss)
    assert len(range_test(model, x, y, steps=10).losses) == 10
    with pytest.raises(ValueError, match="labels from 0 to 2"):
        range_test(model, x, np.where(y < 0, y, y + 1), steps=10)


@pytest.mark.slow
def test_an_optimizer_that_cannot_be_made_anew_is_named():
    class Own(keras.optimizers.SGD):
        def __init__(self, needed):
            super().__init__(needed)

    x, y = toy_data()
    with pytest.raises(ValueError, match="Own cannot be made anew"):
        range_test(toy_model(Own(0.1)), x, y)


@pytest.mark.slow
def test_chunks_are_at_most_128_steps_and_fit_their_memory(monkeypatch):
    x, y = toy_data()
    lengths = []
    original = range_finder._sweep

    def watched(*arguments):
        sweep = original(*arguments)

        def counted(batches, rates):
            lengths.append(len(rates))
            return sweep(batches, rates)

        return counted

    monkeypatch.setattr(range_finder, "_sweep", watched)
    monkeypatch.setattr(range_finder, "CHUNK_SECONDS", 100.0)
    range_test(toy_model(), x, y, max_lr=1e-3, steps=300)
    assert sum(lengths) == 300
    assert max(lengths) == 128
    lengths.clear()
    bytes_of_a_step = 32 * (8 * 4 + 4)
    monkeypatch.setattr(range_finder, "CHUNK_BYTES", 5 * bytes_of_a_step)
    range_test(toy_model(), x, y, max_lr=1e-3, steps=50)
    assert max(lengths) == 5


@pytest.mark.slow
def test_a_trained_network_does_not_end_the_test_by_one_hard_batch():
    x, y = toy_data(2000)
    model = toy_model(keras.optimizers.Adam(1e-2))
    model.fit(x, y, epochs=30, verbose=0)
    assert model.evaluate(x, y, verbose=0) < 0.2
    for seed in range(4):
        result = range_test(model, x, y, min_lr=1e-8, max_lr=1e-7, steps=200, seed=seed)
        assert len(result.losses) == 200


@pytest.mark.slow
def test_a_second_ctrl_c_waits_until_all_is_restored():
    model = toy_model()
    before = everything_of(model)

    class Impatient:
        """A variable whose first assignment is interrupted."""

        def __init__(self, variable):
            self.variable, self.calls = variable, 0

        def numpy(self):
            return self.variable.numpy()

        def assign(self, value):
            self.calls += 1
            if self.calls == 1:
                raise KeyboardInterrupt
            self.variable.assign(value)

    class Model:
        """Its name lets it pass for a keras.Model."""

        compiled, optimizer, metrics_variables = False, None, ()
        variables = tuple(Impatient(v) if i == 1 else v for i, v in enumerate(model.variables))

    def change():
        with restored(Model()):
            for variable in model.variables:
                variable.assign(variable + 1)

    with pytest.raises(KeyboardInterrupt):
        change()
    assert_same(before, everything_of(model))


# --- the curve


def test_smoothing_by_hand_and_its_lag():
    np.testing.assert_allclose(smooth([1.0, 3.0], 0.9), [1.0, (0.09 + 0.3) / 0.19])
    np.testing.assert_array_equal(smooth([3.0, 1.0, 2.0], 0.0), [3.0, 1.0, 2.0])
    np.testing.assert_array_equal(smooth([4, 4, 1], 0.5), smooth([4.0, 4.0, 1.0], 0.5))
    ramp = smooth(np.arange(500.0), 0.9)
    assert 499 - ramp[-1] == pytest.approx(0.9 / 0.1)


@given(st.lists(st.floats(-1e3, 1e3), min_size=1, max_size=30), st.floats(0, 0.99))
def test_a_smoothed_loss_lies_within_the_losses(losses, smoothing):
    smoothed = smooth(losses, smoothing)
    assert smoothed[0] == pytest.approx(losses[0], abs=1e-9)
    assert (smoothed >= min(losses) - 1e-9).all()
    assert (smoothed <= max(losses) + 1e-9).all()


def test_divergence_by_hand():
    assert steps_until_divergence([1.0, 4.0, 4.1], 0.0, 4.0) == 2
    assert steps_until_divergence([1.0, 0.5, 2.0, 2.1], 0.0, 4.0) == 3
    assert steps_until_divergence([1.0, np.inf], 0.0, 4.0) == 1
    assert steps_until_divergence([np.nan, 1.0], 0.0, 4.0) == 0
    assert steps_until_divergence([-1.0, -2.0, 3.9], 0.0, 4.0) is None
    assert steps_until_divergence([-1.0, -2.0, 4.1], 0.0, 4.0) == 2
    assert steps_until_divergence([], 0.0, 4.0) is None


@pytest.mark.parametrize("seed", range(20))
def test_noise_alone_never_ends_a_test(seed):
    rng = np.random.default_rng(seed)
    for losses in (
        rng.chisquare(1, 1000),
        rng.lognormal(sigma=1, size=1000),
        rng.normal(size=1000),
    ):
        assert steps_until_divergence(losses, 0.98, 4.0) is None


def test_before_the_first_full_window_only_what_is_not_finite_ends_it():
    losses = np.full(100, 1.0)
    losses[20] = 90.0
    assert steps_until_divergence(losses, 0.98, 4.0) is None
    losses[20] = np.inf
    assert steps_until_divergence(losses, 0.98, 4.0) == 20
    rising = np.append(np.full(60, 1.0), np.full(100, 10.0))
    assert steps_until_divergence(rising, 0.98, 4.0) == 62  # the third in a row
    rising[61] = 1.0
    assert steps_until_divergence(rising, 0.98, 4.0) == 64
    assert steps_until_divergence([1.0, 1.0, 9.0, 9.0], 0.5, 4.0) == 3  # a window of two
    for never in (np.inf, np.nan):
        assert steps_until_divergence([1.0, 1.0, 1.0, never, 1.0, 1.0], 0.5, 4.0) == 3


def test_a_loss_near_zero_is_measured_by_its_noise():
    rng = np.random.default_rng(0)
    losses = 1e-6 + 0.1 * rng.normal(size=500)
    assert steps_until_divergence(losses, 0.98, 4.0) is None
    assert steps_until_divergence(np.append(losses, np.full(99, 5.0)), 0.98, 4.0) == 502


# The same again as their docstrings say it, by loops over the steps.


def smoothed_by_hand(losses, smoothing):
    weights = [[smoothing ** (t - i) for i in range(t + 1)] for t in range(len(losses))]
    return [np.dot(w, losses[: len(w)]) / sum(w) for w in weights]


def noise_by_hand(losses):
    differences = [b - a for a, b in itertools.pairwise(losses)]
    return float(np.sqrt(np.var(differences) / 2)) if differences else 0.0


def diverged_by_hand(losses, smoothing, stop_factor):
    smoothed, window = smoothed_by_hand(losses, smoothing), math.ceil(1 / (1 - smoothing))
    in_a_row = 0
    for t in range(window - 1, len(losses)):
        best = min(smoothed[window - 1 : t + 1])
        limit = best + max((stop_factor - 1) * abs(best), 5 * noise_by_hand(losses[:window]))
        in_a_row = in_a_row + 1 if losses[t] > limit else 0
        if in_a_row == min(3, window):
            return t
    return None


@pytest.mark.parametrize("smoothing", [0.0, 0.5, 0.75, 0.9])
@pytest.mark.parametrize("level", [0.0, 1.0, -3.0])
def test_divergence_is_what_its_formula_says(smoothing, level):
    rng, ends = np.random.default_rng(0), set()
    for _ in range(60):
        growth = rng.uniform(0, 0.3) * np.arange(40) * (np.arange(40) > 20)
        losses = level + growth + rng.uniform(0.01, 1) * rng.normal(size=40)
        found = steps_until_divergence(losses, smoothing, 2.0)
        assert found == diverged_by_hand(losses, smoothing, 2.0)
        ends.add(found)
    assert len(ends) > 5
    np.testing.assert_allclose(smooth(losses, smoothing), smoothed_by_hand(losses, smoothing))


def curve(rates, shape, noise=0.02, seed=0, **more):
    rng = np.random.default_rng(seed)
    return RangeTest(rates, shape + noise * rng.normal(size=len(rates)), 0.9, **more)


RATES = np.geomspace(1e-4, 10, 1000)
FALL = 2 / (1 + (RATES / 0.01) ** 1.5) + 0.3
RISE = (RATES / 1.0) ** 3


def test_the_rules_on_a_curve_that_is_known():
    result = curve(RATES, FALL + RISE, noise=1e-3)
    lowest = RATES[np.argmin(FALL + RISE)]
    lag = (RATES[1] / RATES[0]) ** 9
    assert list(result.candidates) == list(RULES)
    assert result.candidates["half of the turning point"] * 2 == pytest.approx(lowest, rel=0.2)
    apparent = result.candidates["a tenth of the minimum"] * 10
    assert result.candidates["middle of the floor"] == pytest.approx(lowest, rel=0.2)
    assert apparent / lag == pytest.approx(2 * result.candidates["half of the turning point"])
    assert result.candidates["steepest descent"] == pytest.approx(0.01 * lag, rel=0.3)
    assert result.candidates["half of the last stable rate"] == RATES[-1] / 2
    assert result.suggestion == result.candidates[RECOMMENDED]
    ended = curve(RATES[:900], (FALL + RISE)[:900], noise=1e-3, diverged_at=RATES[899])
    assert ended.candidates["half of the last stable rate"] == RATES[898] / 2


def test_the_middle_of_the_floor_is_that_of_all_its_steps():
    losses = np.full(1000, 3.0)
    losses[400:700] = 1.08  # within a twentieth of the fall of 2
    losses[680] = 1.0  # the very lowest lies at one end
    losses[700:] = 1.2  # not on the floor, nor a climb for long
    losses[990:] = 9.0
    result = RangeTest(RATES, losses, 0.0)
    assert result.problem is None
    assert result.candidates["middle of the floor"] == RATES[round(np.mean(range(400, 700)))]
    assert result.candidates["half of the turning point"] == RATES[680] / 2
    losses[400:680] = losses[681:700] = 1.11  # beyond a twentieth
    assert RangeTest(RATES, losses, 0.0).candidates["middle of the floor"] == RATES[680]


def test_the_steepest_descent_does_not_count_the_first_two_windows():
    losses = np.append(np.linspace(9, 3, 15), np.linspace(3, 1, 600))
    losses = np.append(losses, np.linspace(1, 5, 385))
    assert RangeTest(RATES, losses, 0.9).candidates["steepest descent"] >= RATES[20]


def read_by_hand(result):
    """What each rule reads, and why nothing can be read."""
    steps = [t for t in range(len(result.losses)) if result.learning_rates[t] != result.diverged_at]
    losses, smoothing = result.losses[: len(steps)], result.smoothing
    smoothed = smoothed_by_hand(result.losses, smoothing)
    window, lag = math.ceil(1 / (1 - smoothing)), round(smoothing / (1 - smoothing))
    full = [t for t in steps if t >= window - 1] or steps[-1:]
    lowest = min(full, key=lambda t: smoothed[t])
    start = np.mean(losses[:window])
    logs = np.log(result.learning_rates)
    slopes = np.gradient(smoothed[: lowest + 2], logs[: lowest + 2])
    falling = range(min(2 * window, lowest), lowest + 1)
    floor = [
        t
        for t in steps
        if t >= min(window - 1, lowest)
        and smoothed[t] <= smoothed[lowest] + 0.05 * (start - smoothed[lowest])
    ]
    rates = {
        "steepest descent": result.learning_rates[min(falling, key=lambda t: slopes[t])],
        "a tenth of the minimum": result.learning_rates[lowest] / 10,
        "half of the last stable rate": result.learning_rates[steps[-1]] / 2,
        "half of the turning point": result.learning_rates[max(0, lowest - lag)] / 2,
    }
    if floor:
        middle = max(0, round(np.mean(floor)) - lag)
        rates["middle of the floor"] = result.learning_rates[middle]
    noise = noise_by_hand(losses[: max(lowest, 2 * window)]) / math.sqrt(window)
    clear = max(5 * noise, 0.001 * abs(start))
    fell, rose = start - smoothed[lowest] > clear, smoothed[steps[-1]] - smoothed[lowest] > clear
    if result.diverged_at and len(losses) < 2 * window:
        return rates, "ran away"
    if not fell and (result.diverged_at or smoothed[steps[-1]] - start > clear):
        return rates, "never fell"
    if not fell:
        return rates, "flat"
    return rates, None if result.diverged_at or rose else "never rises"


@pytest.mark.parametrize("smoothing", [0.0, 0.5, 0.8])
def test_the_rules_read_what_their_formulas_say(smoothing):
    rng, problems = np.random.default_rng(0), Counter()
    for _ in range(300):
        count = int(rng.integers(3, 40))
        rates = np.cumsum(10 ** rng.uniform(-4, 0, size=count))
        turns, ends = rng.uniform(0, 1.2, size=2) * count
        losses = 3 - 0.1 * np.minimum(np.arange(count), turns) * rng.integers(0, 2)
        losses += 0.2 * np.maximum(np.arange(count) - ends, 0)
        losses += rng.choice([1e-4, 0.01, 0.1]) * rng.normal(size=count)
        result = RangeTest(rates, losses, smoothing, rng.choice([None, rates[-1]]))
        expected, problem = read_by_hand(result)
        for name, rate in expected.items():
            assert RULES[name](result) == pytest.approx(rate), name
        assert len(expected) == len(RULES) or problem in ("flat", "never fell", "ran away")
        assert (problem or "none") in (result.problem or "none")
        problems[problem] += 1
    assert min(problems.values()) >= 5
    assert len(problems) >= 4


FLAT = "the curve is flat: raise max_lr, or look whether the model can learn at all"
NEVER_RISES = "the loss never rises: raise max_lr until it does"
NEVER_FELL = (
    "the loss never fell before it rose: lower min_lr, or look for labels that do not belong to "
    "their inputs"
)
NOT_FINITE = (
    "the loss is not finite from the start: look for NaN in the data and the weights, or lower "
    "min_lr"
)
RAN_AWAY = "the loss ran away in the first {} steps: lower min_lr, or let the test take more steps"


@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize(
    ("result", "words"),
    [
        (lambda s: curve(RATES, np.full(1000, 2.3), 0.1, s), FLAT),
        (lambda s: curve(RATES, np.full(1000, 2.3), 0.0, s), FLAT),
        (lambda s: curve(RATES, FALL, 0.05, s), NEVER_RISES),
        (lambda s: curve(RATES, 2.3 + RISE, 0.05, s), NEVER_FELL),
        (
            lambda s: curve(RATES[:500], np.full(500, 2.3), 0.05, s, diverged_at=RATES[499]),
            NEVER_FELL,
        ),
        (lambda s: RangeTest(RATES, np.full(1000, np.nan), 0.9), NOT_FINITE),
        (lambda s: RangeTest(RATES[:1], [np.nan], 0.9, RATES[0]), NOT_FINITE),
        (lambda s: RangeTest(RATES[:3], [2.0, np.nan, 1.0], 0.9), NOT_FINITE),
        (
            lambda s: RangeTest(RATES[:16], [*np.linspace(3, 1, 15), 99.0], 0.9, RATES[15]),
            RAN_AWAY.format(15),
        ),
        (
            lambda s: RangeTest(RATES[:5], [2.0, 1.5, 1.0, 3.0, 99.0], 0.9, RATES[4]),
            RAN_AWAY.format(4),
        ),
    ],
)
def test_a_curve_from_which_nothing_can_be_read_says_so(result, words, seed):
    found = result(seed)
    assert found.problem == words
    assert found.candidates == {}
    with pytest.raises(RangeTestError, match=words.split(":")[0]):
        _ = found.suggestion
    ax = found.plot()
    assert "nothing to read" in ax.get_title(loc="left") + ax.get_title()
    plt.close(ax.figure)


@pytest.mark.parametrize("rule", RULES.values())
def test_no_rule_reads_a_rate_from_what_is_no_curve(rule):
    for result, words in (
        (RangeTest([0.1, 0.2], [np.nan, 1.0], 0.0), "not finite from the start"),
        (RangeTest([0.1], [1.0], 0.0), "flat"),
        (RangeTest([0.1, 0.2], [1.0, 9.0], 0.0, 0.2), "ran away"),
        (RangeTest([0.1], [np.inf], 0.0, 0.1), "not finite"),
    ):
        with pytest.raises(RangeTestError, match=words):
            rule(result)


def test_a_curve_is_kept_as_real_numbers():
    result = RangeTest([1, 2], [3, 4], 0.0)
    for kept, meant in (result.learning_rates, [1, 2]), (result.losses, [3, 4]):
        assert kept.dtype == float
        assert kept.tolist() == meant


def test_what_is_as_much_as_the_noise_is_not_clear():
    assert RangeTest([0.1, 0.2, 0.3], [0.0, 0.0, 0.0], 0.0).problem == FLAT
    assert RangeTest([0.1, 0.2, 0.3], [1.0, 0.0, 0.001], 0.0).problem == NEVER_RISES
    assert RangeTest([0.1, 0.2, 0.3], [1.0, 0.0, 0.0011], 0.0).problem is None


def test_a_loss_that_only_rises_has_no_floor():
    result = RangeTest([0.1, 0.2, 0.3, 0.4], [1.0, 2.0, 3.0, 4.0], 0.5)
    with pytest.raises(RangeTestError, match="never fell"):
        RULES["middle of the floor"](result)


def test_the_plot_marks_every_candidate_and_keeps_the_end_from_squeezing_the_rest():
    result = curve(RATES, FALL + RISE)
    _, ax = plt.subplots()
    assert result.plot(ax) is ax
    labels = " ".join(text.get_text() for text in ax.get_legend().get_texts())
    assert all(name in labels for name in RULES)
    assert "recommended" in labels
    marks = {line.get_xdata()[0] for line in ax.lines[2:]}
    assert marks == set(result.candidates.values())
    ended = RangeTest(RATES[:901], np.append(FALL[:900], 1e12), 0.9, RATES[900])
    assert ended.plot().get_ylim()[1] < 3
    plt.close("all")


# --- what is refused, and that nothing has been touched


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"min_lr": 0.0}, "min_lr < max_lr"),
        ({"min_lr": 1.0, "max_lr": 1.0}, "min_lr < max_lr"),
        ({"max_lr": np.inf}, "max_lr must be finite"),
        ({"min_lr": np.nan}, "min_lr must be finite"),
        ({"max_lr": 1e39}, "min_lr < max_lr"),
        ({"min_lr": "1e-3"}, "must be a number"),
        ({"min_lr": 0.1, "max_lr": 0.100001, "steps": 1000}, "told apart"),
        ({"min_lr": 1e-46}, "told apart"),
        ({"steps": 9}, "steps"),
        ({"steps": 20.5}, "steps"),
        ({"batch_size": 0}, "batch_size"),
        ({"seed": -1}, "seed"),
        ({"smoothing": 1.0}, "smoothing"),
        ({"stop_factor": 1.0}, "stop_factor"),
    ],
)
def test_bad_settings_are_refused(settings, words):
    with pytest.raises((TypeError, ValueError), match=words):
        range_test(toy_model(), *toy_data(), **settings)


def bad_data():
    x, y = toy_data()
    batches = tf.data.Dataset.from_tensor_slices((x, y)).batch(32)
    return {
        "no labels": ((x,), ValueError, "y is missing"),
        "too few labels": ((x, y[:-1]), ValueError, "as many labels as inputs"),
        "no examples": ((x[:0], y[:0]), ValueError, "at least one"),
        "labels too large": ((x, y + 1), ValueError, "labels from 0 to 2"),
        "labels negative": ((x, y - 1), ValueError, "labels from 0 to 2"),
        "inputs too wide": ((np.hstack([x, x]), y), ValueError, "first batch"),
        "labels of another shape": ((x, np.zeros((256, 7, 5))), ValueError, "first batch"),
        "not arrays": ((object(), y), TypeError, "expected arrays"),
        "a generator": (((a for a in x), y), TypeError, "expected arrays"),
        "dataset and labels": ((batches, y), ValueError, "leave y out"),
        "empty dataset": ((batches.take(0),), ValueError, "dataset is empty"),
        "dataset without labels": (
            (batches.map(lambda a, b: a),),
            ValueError,
            "expected a dataset",
        ),
        "dataset without batches": ((batches.unbatch(),), ValueError, "first batch"),
    }


@pytest.mark.slow
@pytest.mark.parametrize("name", bad_data())
def test_bad_data_are_refused_before_anything_is_touched(name):
    data, error, words = bad_data()[name]
    model = toy_model(keras.optimizers.Adam(), LAYERS.BatchNormalization())
    model.fit(*toy_data(), epochs=1, verbose=0)
    before = everything_of(model)
    with pytest.raises(error, match=words):
        range_test(model, *data)
    assert_same(before, everything_of(model))


def test_bad_models_are_refused():
    x, y = toy_data()
    with pytest.raises(TypeError, match=r"a keras\.Model"):
        range_test("model", x, y)
    with pytest.raises(ValueError, match="not compiled"):
        range_test(toy_model(compiled=False), x, y)
    frozen = toy_model()
    frozen.trainable = False
    with pytest.raises(ValueError, match="no trainable weights"):
        range_test(frozen, x, y)

    class Own(keras.Sequential):
        def train_step(self, data):
            return {}

    own = Own([keras.Input((8,)), LAYERS.Dense(3)])
    own.compile("sgd", "mse")
    with pytest.raises(TypeError, match="train_step of its own"):
        range_test(own, x, y)


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: RangeTest([0.1], [1.0, 2.0], 0.0),
        lambda: RangeTest([], [], 0.0),
        lambda: RangeTest([0.2, 0.1], [1.0, 2.0], 0.0),
        lambda: RangeTest([0.0, 0.1], [1.0, 2.0], 0.0),
        lambda: RangeTest([0.1, 0.1], [1.0, 2.0], 0.0),
        lambda: smooth([[1.0]], 0.5),
        lambda: smooth([1.0], -0.1),
    ],
)
def test_bad_curves_are_refused(wrong):
    with pytest.raises(ValueError, match=r"expected|must"):
        wrong()


@pytest.mark.slow
def test_the_books_network_gives_a_rate_that_trains_it():
    from helpers.data import load_fashion_mnist

    data = load_fashion_mnist()
    keras.utils.set_random_seed(0)
    model = mlp()
    model.compile(keras.optimizers.SGD(0.01), loss="sparse_categorical_crossentropy")
    result = range_test(model, data.x_train, data.y_train, seed=0)
    assert 0.03 < result.suggestion < 0.3
    assert 0.2 < result.diverged_at < 2
