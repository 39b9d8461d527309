"""The book's stored experiments, by name, and the command that computes their tables.

python -m helpers.sweeps                       list them
python -m helpers.sweeps learning-rate-valley  compute what its table lacks
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from helpers.batch_norm_sweeps import FACTORIAL, GROUPS
from helpers.checks import checked
from helpers.cnn_sweeps import RESTARTS
from helpers.curvature import largest_curvature
from helpers.data import FashionMNIST, load_fashion_mnist
from helpers.experiments import Experiment, one_two_five
from helpers.gradients import update_ratios
from helpers.headline import HEADLINE
from helpers.models import initialise, mlp, with_logits
from helpers.optimizer_sweeps import DECAY, SENSITIVITY
from helpers.practice import compiled_mlp, shuffled_batches, stopping
from helpers.range_finder import RULES, range_test
from helpers.schedule_sweeps import COMPANY, NOISE_FLOOR, TOURNAMENT, WARM_UP
from helpers.search_laboratory import BY_BATCH, BY_DATA, LABORATORY, PANDA, SPEED, TPE

if TYPE_CHECKING:
    import keras

__all__ = [
    "FIRST_NETWORK",
    "LAST_RATE",
    "RAW_PIXELS",
    "STABILITY",
    "SWEEPS",
    "VALLEY",
    "fit_mlp",
    "load_raw_pixels",
    "measure_stability",
    "train_and_test",
    "train_at_constant_rate",
    "train_with_last_rate",
    "two_rates",
]


@checked
def fit_mlp(
    data: FashionMNIST,
    seed: int,
    learning_rate: float | keras.optimizers.schedules.LearningRateSchedule,
    epochs: int = 10,
) -> keras.callbacks.History:
    """Train a new 784-300-100-10 MLP with SGD in batches of 32, and return Keras's history.

    Args:
        data: Fashion-MNIST; only its training and validation parts are used.
        seed: seed of the initial weights and of the order of the examples.
        learning_rate: the rate, greater than 0, or a schedule.
        epochs: passes over the training data. A loss that is NaN ends the training.

    Raises:
        ValueError: learning_rate or epochs is not greater than 0.

    Example:
        >>> from helpers.data import few
        >>> data = few(load_fashion_mnist(), 64)
        >>> fit_mlp(data, seed=0, learning_rate=0.1, epochs=1).model.count_params()
        266610
    """
    import keras

    if isinstance(learning_rate, float | int) and not learning_rate > 0:
        raise ValueError(f"learning_rate must be greater than 0, found {learning_rate!r}")
    if epochs < 1:
        raise ValueError(f"epochs must be at least 1, found {epochs!r}")
    keras.utils.set_random_seed(seed)
    model = mlp()
    model.compile(
        optimizer=keras.optimizers.SGD(learning_rate),
        loss="sparse_categorical_crossentropy",
        metrics=["accuracy"],
        jit_compile=True,
        steps_per_execution=64,
    )
    return model.fit(
        data.x_train,
        data.y_train,
        batch_size=32,
        epochs=epochs,
        validation_data=(data.x_valid, data.y_valid),
        callbacks=[keras.callbacks.TerminateOnNaN()],
        verbose=0,
    )


@checked
def train_at_constant_rate(
    data: FashionMNIST, seed: int, *, learning_rate: float, epochs: int = 10
) -> dict[str, Any]:
    """Train the MLP at one learning rate (see `fit_mlp`).

    Args:
        data: Fashion-MNIST.
        seed: seed of the initial weights and of the order of the examples.
        learning_rate: the rate, greater than 0.
        epochs: passes over the training data.

    Returns:
        Lists with one entry an epoch: loss (the mean over the batches of the epoch, as the
        network learned), valid_loss and valid_accuracy (at its end). After the loss has
        become NaN the training stops and the entries are None.

    Example:
        >>> from helpers.data import few
        >>> data = few(load_fashion_mnist(), 64)
        >>> sorted(train_at_constant_rate(data, 0, learning_rate=0.1, epochs=1))
        ['loss', 'valid_accuracy', 'valid_loss']
    """
    history = fit_mlp(data, seed, learning_rate, epochs).history
    names = {"loss": "loss", "valid_loss": "val_loss", "valid_accuracy": "val_accuracy"}
    survived = [loss == loss for loss in history["loss"]]  # noqa: PLR0124 - false for NaN
    curves = {}
    for name, key in names.items():
        curve = [v if ok else None for v, ok in zip(history[key], survived, strict=True)]
        curves[name] = curve + [None] * (epochs - len(curve))
    return curves


@checked
def two_rates(
    data: FashionMNIST, last_rate: float
) -> keras.optimizers.schedules.PiecewiseConstantDecay:
    """Return a schedule for ten epochs in batches of 32: eight at rate 0.1, two at another.

    Args:
        data: Fashion-MNIST; the number of its training images counts.
        last_rate: the rate of epochs nine and ten.

    Example:
        >>> schedule = two_rates(load_fashion_mnist(), 0.01)
        >>> [round(float(schedule(8 * 1719 + i)), 3) for i in (-1, 0)]
        [0.1, 0.01]
    """
    import keras

    first_steps = 8 * -(-len(data.x_train) // 32)
    last_of_them = first_steps - 1  # steps count from 0, and a boundary keeps the old rate
    return keras.optimizers.schedules.PiecewiseConstantDecay([last_of_them], [0.1, last_rate])


@checked
def train_with_last_rate(data: FashionMNIST, seed: int, *, last_rate: float) -> dict[str, Any]:
    """Train the MLP for eight epochs at rate 0.1, then for two at another rate.

    Args:
        data: Fashion-MNIST.
        seed: seed of the initial weights and of the order of the examples.
        last_rate: the rate of epochs nine and ten.

    Returns:
        valid_accuracy, one entry an epoch.

    Raises:
        ValueError: last_rate is not greater than 0.

    Example:
        >>> from helpers.data import few
        >>> data = few(load_fashion_mnist(), 64)
        >>> len(train_with_last_rate(data, 0, last_rate=0.01)["valid_accuracy"])
        10
    """
    if last_rate <= 0:
        raise ValueError(f"last_rate must be greater than 0, found {last_rate!r}")
    history = fit_mlp(data, seed, two_rates(data, last_rate)).history
    return {"valid_accuracy": history["val_accuracy"]}


@checked
def train_and_test(data: FashionMNIST, seed: int) -> dict[str, Any]:
    """Train the MLP as the first chapter decides to, and open the test set.

    Args:
        data: Fashion-MNIST.
        seed: seed of the initial weights and of the order of the examples.

    Returns:
        test_accuracy, after ten epochs.

    Example:
        >>> from helpers.data import few
        >>> list(train_and_test(few(load_fashion_mnist(), 64), 0))
        ['test_accuracy']
    """
    model = fit_mlp(data, seed, two_rates(data, 0.01)).model
    test = model.evaluate(data.x_test, data.y_test, batch_size=500, verbose=0)
    return {"test_accuracy": test[1]}


def load_raw_pixels() -> FashionMNIST:
    """Load Fashion-MNIST with pixels from 0 to 255: the division forgotten, on purpose.

    Example:
        >>> float(load_raw_pixels().x_train.max())
        255.0
    """
    data = load_fashion_mnist()
    return replace(data, x_train=255 * data.x_train, x_valid=255 * data.x_valid)


MOMENTS = (0, 20, 100, 300)
"""Steps of full-batch descent after which `measure_stability` measures."""


@checked
def measure_stability(data: FashionMNIST, seed: int) -> dict[str, Any]:
    """Compare 2 / (largest curvature) with the rate at which full-batch descent goes wrong.

    The MLP is trained on 5,000 images at once, at rate 0.05. At each of `MOMENTS` its largest
    Hessian eigenvalue is measured; then, from the weights of that moment, it takes 20 steps at
    each of several multiples of 2 / eigenvalue. A rate has gone wrong if the loss ever rises
    above its start.

    Args:
        data: Fashion-MNIST; the first 5,000 training images are used.
        seed: seed of the initial weights.

    Returns:
        One entry for each moment: loss, curvature (the eigenvalue), and edge, the smallest of the
        multiples that went wrong (None if none did).

    Example:
        >>> table = STABILITY.table()  # a training takes a minute, even with few images
        >>> table.array("edge", "seed").shape == (5, len(MOMENTS))
        True
    """
    import keras
    import numpy as np

    x, y = data.x_train[:5000], data.y_train[:5000]
    keras.utils.set_random_seed(seed)
    model = mlp()
    model.compile(
        optimizer=keras.optimizers.SGD(0.05),
        loss="sparse_categorical_crossentropy",
        jit_compile=True,
    )

    def descend(steps: int, rate: float) -> list[float]:
        """Losses before each of the steps."""
        model.optimizer.learning_rate = rate
        fitted = model.fit(x, y, batch_size=len(x), epochs=steps, shuffle=False, verbose=0)
        return fitted.history["loss"]

    results: dict[str, Any] = {"loss": [], "curvature": [], "edge": []}
    done = 0
    for moment in MOMENTS:
        if moment > done:
            descend(moment - done, 0.05)
        done = moment
        weights = model.get_weights()
        curvature = largest_curvature(model, x, y, rng=np.random.default_rng(seed)).value
        edge = None
        for multiple in (0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 1.1, 1.2, 1.4, 1.6, 2.0, 2.5, 3.0, 4.0):
            losses = descend(21, multiple * 2 / curvature)
            model.set_weights(weights)
            if not max(losses) <= losses[0]:
                edge = multiple
                break
        results["loss"].append(losses[0])
        results["curvature"].append(curvature)
        results["edge"].append(edge)
    return results


def fit_network(
    model: keras.Model,
    data: FashionMNIST,
    learning_rate: float,
    *,
    epochs: int = 1,
    batch_size: int = 64,
    loss: str | keras.losses.Loss = "sparse_categorical_crossentropy",
) -> keras.callbacks.History:
    """Train a given network with plain SGD, and return Keras's history.

    Args:
        model: the network; it is compiled here.
        data: Fashion-MNIST; only its training and validation parts are used.
        learning_rate: the rate, greater than 0.
        epochs: passes over the training data. A loss that is NaN ends the training.
        batch_size: examples a step.
        loss: a loss for labels from 0 to 9.

    Raises:
        ValueError: learning_rate is not greater than 0.

    Example:
        >>> from helpers.data import few
        >>> history = fit_network(mlp((20,)), few(load_fashion_mnist(), 64), 0.1)
        >>> sorted(history.history)
        ['accuracy', 'loss', 'val_accuracy', 'val_loss']
    """
    import keras

    if not learning_rate > 0:
        raise ValueError(f"learning_rate must be greater than 0, found {learning_rate!r}")
    model.compile(
        optimizer=keras.optimizers.SGD(learning_rate),
        loss=loss,
        metrics=["accuracy"],
        jit_compile=True,
        steps_per_execution=64,
    )
    return model.fit(
        data.x_train,
        data.y_train,
        batch_size=batch_size,
        epochs=epochs,
        validation_data=(data.x_valid, data.y_valid),
        callbacks=[keras.callbacks.TerminateOnNaN()],
        verbose=0,
    )


def scaled_inputs(data: FashionMNIST, inputs: str) -> FashionMNIST:
    """Return the data with their pixels in another scale.

    Args:
        data: Fashion-MNIST, pixels in [0, 1].
        inputs: "0 to 1"; "-1 to 1"; "mean image subtracted"; or "standardised": minus the mean
            of all pixels, over their standard deviation. Both come from the training images.

    Raises:
        ValueError: another name.

    Example:
        >>> float(scaled_inputs(load_fashion_mnist(), "-1 to 1").x_train.min())
        -1.0
    """
    import numpy as np

    train = data.x_train
    if inputs == "0 to 1":
        shift, scale = np.float32(0), np.float32(1)
    elif inputs == "-1 to 1":
        shift, scale = np.float32(0.5), np.float32(0.5)
    elif inputs == "mean image subtracted":
        shift, scale = train.mean(axis=0, dtype=np.float64).astype(np.float32), np.float32(1)
    elif inputs == "standardised":
        shift, scale = np.float32(train.mean(dtype=float)), np.float32(train.std(dtype=float))
    else:
        raise ValueError(f"inputs is one of the four scales of INPUT_SCALES, found {inputs!r}")
    return replace(
        data,
        x_train=(train - shift) / scale,
        x_valid=(data.x_valid - shift) / scale,
        x_test=(data.x_test - shift) / scale,
    )


INPUT_SCALES = ("0 to 1", "-1 to 1", "mean image subtracted", "standardised")
"""The names that `scaled_inputs` knows."""


def train_on_scaled_inputs(
    data: FashionMNIST, seed: int, *, inputs: str, learning_rate: float
) -> dict[str, Any]:
    """Train the MLP for one epoch on pixels in another scale (see `scaled_inputs`).

    Args:
        data: Fashion-MNIST, pixels in [0, 1].
        seed: seed of the initial weights and of the order of the examples.
        inputs: one of `INPUT_SCALES`.
        learning_rate: the rate, greater than 0.

    Returns:
        valid_loss and valid_accuracy after the epoch, None if the loss became NaN.

    Example:
        >>> from helpers.data import few
        >>> data = few(load_fashion_mnist(), 64)
        >>> results = train_on_scaled_inputs(data, 0, inputs="-1 to 1", learning_rate=0.1)
        >>> list(results)
        ['valid_loss', 'valid_accuracy']
    """
    return _after_last_epoch(fit_mlp(scaled_inputs(data, inputs), seed, learning_rate, epochs=1))


def train_with_logit_scale(
    data: FashionMNIST, seed: int, *, scale: float, learning_rate: float
) -> dict[str, Any]:
    """Train the MLP for one epoch, in batches of 32, with its logits times a factor.

    Args:
        data: Fashion-MNIST.
        seed: seed of the initial weights and of the order of the examples.
        scale: the factor, greater than 0.
        learning_rate: the rate, greater than 0.

    Returns:
        valid_loss and valid_accuracy after the epoch, None if the loss became NaN.

    Example:
        >>> from helpers.data import few
        >>> data = few(load_fashion_mnist(), 64)
        >>> list(train_with_logit_scale(data, 0, scale=10.0, learning_rate=0.01))
        ['valid_loss', 'valid_accuracy']
    """
    import keras

    keras.utils.set_random_seed(seed)
    model = with_logits(mlp(), scale)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    return _after_last_epoch(fit_network(model, data, learning_rate, batch_size=32, loss=loss))


def _after_last_epoch(history: keras.callbacks.History) -> dict[str, Any]:
    """valid_loss and valid_accuracy at the end of a training; None after NaN."""
    curves = history.history
    alive = math.isfinite(curves["loss"][-1]) and math.isfinite(curves["val_loss"][-1])
    ends = {"valid_loss": curves["val_loss"][-1], "valid_accuracy": curves["val_accuracy"][-1]}
    return {name: value if alive else None for name, value in ends.items()}


DEEP_UNITS = (256, 128, 64, 20)
"""Hidden layers of the deep MLP of the chapter on backpropagation."""


def train_deep_mlp(data: FashionMNIST, seed: int) -> dict[str, Any]:
    """Train the 784-256-128-64-20-10 MLP: pixels from -1 to 1, batches of 64, rate 0.1, 20 epochs.

    Args:
        data: Fashion-MNIST, pixels in [0, 1].
        seed: seed of the initial weights and of the order of the examples.

    Returns:
        loss, accuracy (means over the batches of each epoch), valid_loss, valid_accuracy (at its
        end), one entry an epoch; and test_accuracy, once, after the last.

    Example:
        >>> from helpers.data import few
        >>> len(train_deep_mlp(few(load_fashion_mnist(), 64), 0)["valid_loss"])
        20
    """
    import keras

    keras.utils.set_random_seed(seed)
    model, scaled = mlp(DEEP_UNITS), scaled_inputs(data, "-1 to 1")
    curves = fit_network(model, scaled, 0.1, epochs=20).history
    test = model.evaluate(scaled.x_test, scaled.y_test, batch_size=500, verbose=0)
    return {
        "loss": curves["loss"],
        "accuracy": curves["accuracy"],
        "valid_loss": curves["val_loss"],
        "valid_accuracy": curves["val_accuracy"],
        "test_accuracy": test[1],
    }


UPDATE_MOMENTS = ("start", "100 steps", "1 epoch", "3 epochs")
"""When `measure_updates` measures."""


def measure_updates(data: FashionMNIST, seed: int, *, learning_rate: float) -> dict[str, Any]:
    """Measure the ratio of update to weights in each layer of the deep MLP, as it trains.

    Args:
        data: Fashion-MNIST, pixels in [0, 1].
        seed: seed of the initial weights and of the order of the examples.
        learning_rate: the rate, greater than 0.

    Returns:
        log_ratios: for each of `UPDATE_MOMENTS`, for each of the five weight matrices, the
        decimal logarithm of the mean of `update_ratios` over the first 20 batches of 64 training
        images; valid_loss and valid_accuracy after three epochs. None where the loss has become
        NaN, or where no gradient is left.

    Example:
        >>> from helpers.data import few
        >>> results = measure_updates(few(load_fashion_mnist(), 64), 0, learning_rate=0.1)
        >>> len(results["log_ratios"]), len(results["log_ratios"][0])
        (4, 5)
    """
    import keras
    import numpy as np

    keras.utils.set_random_seed(seed)
    model, scaled = mlp(DEEP_UNITS), scaled_inputs(data, "-1 to 1")
    model.compile(loss="sparse_categorical_crossentropy")
    first = 100 * 64
    start = replace(scaled, x_train=scaled.x_train[:first], y_train=scaled.y_train[:first])
    rest = replace(scaled, x_train=scaled.x_train[first:], y_train=scaled.y_train[first:])
    ratios, alive, history = [], True, None
    for part, epochs in ((None, 0), (start, 1), (rest, 1), (scaled, 2)):
        if part is not None and alive and len(part.x_train):
            history = fit_network(model, part, learning_rate, epochs=epochs)
            alive = bool(np.isfinite(history.history["loss"]).all())
        batches = [slice(64 * i, 64 * (i + 1)) for i in range(20)]
        measured = [
            update_ratios(model, scaled.x_train[b], scaled.y_train[b], learning_rate)
            for b in batches
            if len(scaled.x_train[b])
        ]
        means = np.mean(measured, axis=0)
        ratios.append([math.log10(r) if alive and r > 0 else None for r in means])
    if not alive or history is None:
        return {"log_ratios": ratios, "valid_loss": None, "valid_accuracy": None}
    return {"log_ratios": ratios, **_after_last_epoch(history)}


def train_from_gain(
    data: FashionMNIST, seed: int, *, gain: float, learning_rate: float
) -> dict[str, Any]:
    """Train ten hidden layers of 100 relus for two epochs, from weights of a given size.

    Args:
        data: Fashion-MNIST, pixels in [0, 1].
        seed: seed of the initial weights and of the order of the examples.
        gain: standard deviation of the initial weights, in units of He's.
        learning_rate: the rate, greater than 0.

    Returns:
        valid_loss and valid_accuracy after two epochs, None if the loss became NaN.

    Example:
        >>> from helpers.data import few
        >>> data = few(load_fashion_mnist(), 64)
        >>> list(train_from_gain(data, 0, gain=1.0, learning_rate=0.01))
        ['valid_loss', 'valid_accuracy']
    """
    import keras
    import numpy as np

    keras.utils.set_random_seed(seed)
    model = with_logits(mlp((100,) * 10))
    initialise(model, gain, np.random.default_rng(seed))
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    scaled = scaled_inputs(data, "standardised")
    return _after_last_epoch(fit_network(model, scaled, learning_rate, epochs=2, loss=loss))


OPTIMIZERS = ("SGD", "momentum", "Adam")
"""The names that `optimizer_named` knows."""


def optimizer_named(name: str, learning_rate: float) -> keras.optimizers.Optimizer:
    """Return one of the three optimizers that the range test is tried with.

    Args:
        name: "SGD", "momentum" (SGD with momentum 0.9) or "Adam" (Keras's defaults).
        learning_rate: the rate, greater than 0.

    Raises:
        ValueError: another name, or a learning rate that is not greater than 0.

    Example:
        >>> optimizer_named("momentum", 0.01).momentum
        0.9
    """
    import keras

    if name not in OPTIMIZERS:
        raise ValueError(f"name is one of {OPTIMIZERS}, found {name!r}")
    if not learning_rate > 0:
        raise ValueError(f"learning_rate must be greater than 0, found {learning_rate!r}")
    if name == "Adam":
        return keras.optimizers.Adam(learning_rate)
    return keras.optimizers.SGD(learning_rate, momentum=0.9 if name == "momentum" else 0.0)


def train_with_optimizer(
    data: FashionMNIST, seed: int, *, optimizer: str, batch_size: int, learning_rate: float
) -> dict[str, Any]:
    """Train the 784-300-100-10 MLP for five epochs with a named optimizer at a constant rate.

    Args:
        data: Fashion-MNIST.
        seed: seed of the initial weights and of the order of the examples.
        optimizer: one of `OPTIMIZERS`.
        batch_size: examples a step.
        learning_rate: the rate, greater than 0.

    Returns:
        valid_loss and valid_accuracy after five epochs, None if the loss became NaN.

    Example:
        >>> from helpers.data import few
        >>> data = few(load_fashion_mnist(), 64)
        >>> list(train_with_optimizer(data, 0, optimizer="SGD", batch_size=32, learning_rate=0.1))
        ['valid_loss', 'valid_accuracy']
    """
    import keras

    keras.utils.set_random_seed(seed)
    model = mlp()
    model.compile(
        optimizer=optimizer_named(optimizer, learning_rate),
        loss="sparse_categorical_crossentropy",
        metrics=["accuracy"],
        jit_compile=True,
        steps_per_execution=64,
    )
    history = model.fit(
        data.x_train,
        data.y_train,
        batch_size=batch_size,
        epochs=5,
        validation_data=(data.x_valid, data.y_valid),
        callbacks=[keras.callbacks.TerminateOnNaN()],
        verbose=0,
    )
    return _after_last_epoch(history)


RANGE_SETTINGS = (
    "SGD 32",
    "SGD 128",
    "SGD 512",
    "momentum 32",
    "momentum 128",
    "Adam 32",
    "Adam 128",
    "-1 to 1",
    "standardised",
    "logits x 0.1",
    "logits x 10",
    "ten layers",
    "batch norm",
)
"""The names that `set_up_range_test` knows."""


def set_up_range_test(
    data: FashionMNIST, seed: int, setting: str
) -> tuple[keras.Model, FashionMNIST, int]:
    """Return a new, compiled network, its data and its batch size, by the setting's name.

    Args:
        data: Fashion-MNIST, pixels in [0, 1].
        seed: seed of the initial weights.
        setting: one of `RANGE_SETTINGS`: the MLP with an optimizer and a batch size; the MLP with
            SGD, batches of 32, and inputs as in `scaled_inputs` or logits times a factor or batch
            norm before each relu; or the ten hidden layers of `train_from_gain`, at gain 1.

    Raises:
        ValueError: another name.

    Example:
        >>> model, _, batch_size = set_up_range_test(load_fashion_mnist(), 0, "Adam 128")
        >>> type(model.optimizer).__name__, batch_size
        ('Adam', 128)
    """
    import keras
    import numpy as np

    if setting not in RANGE_SETTINGS:
        raise ValueError(f"setting is one of {RANGE_SETTINGS}, found {setting!r}")
    keras.utils.set_random_seed(seed)
    optimizer, batch_size, model = "SGD", 32, mlp()
    first, _, last = setting.partition(" ")
    if first in OPTIMIZERS:
        optimizer, batch_size = first, int(last)
    elif setting in INPUT_SCALES:
        data = scaled_inputs(data, setting)
    elif first == "logits":
        model = with_logits(model, float(last.removeprefix("x ")))
    elif setting == "ten layers":
        data, batch_size = scaled_inputs(data, "standardised"), 64
        model = with_logits(mlp((100,) * 10))
        initialise(model, 1.0, np.random.default_rng(seed))
    else:
        hidden = [
            layer
            for units in (300, 100)
            for layer in (
                keras.layers.Dense(units, use_bias=False),
                keras.layers.BatchNormalization(),
                keras.layers.ReLU(),
            )
        ]
        ends = keras.Input((28, 28)), keras.layers.Flatten()
        model = keras.Sequential([*ends, *hidden, keras.layers.Dense(10, activation="softmax")])
    logits = first in {"logits", "ten"}
    model.compile(
        optimizer_named(optimizer, 0.01),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=logits),
    )
    return model, data, batch_size


def read_range_test(data: FashionMNIST, seed: int, *, setting: str) -> dict[str, Any]:
    """Run a range test with its default settings, and read it by every rule.

    Args:
        data: Fashion-MNIST, pixels in [0, 1].
        seed: seed of the initial weights and of the order of the examples.
        setting: one of `RANGE_SETTINGS`.

    Returns:
        For each of `range_finder.RULES`, the decimal logarithm of the rate it gives, None if
        nothing can be read; log_diverged_at, None if it did not diverge.

    Example:
        >>> from helpers.data import few
        >>> results = read_range_test(few(load_fashion_mnist(), 64), 0, setting="SGD 32")
        >>> "middle of the floor" in results
        True
    """
    model, data, batch_size = set_up_range_test(data, seed, setting)
    result = range_test(model, data.x_train, data.y_train, batch_size=batch_size, seed=seed)
    end = result.diverged_at
    return {
        **dict.fromkeys(RULES),
        **{name: math.log10(rate) for name, rate in result.candidates.items()},
        "log_diverged_at": end and math.log10(end),
    }


RECIPES: dict[str, dict[str, Any]] = {
    "rate 0.2, one order": {"rate": 0.2, "order": "the same"},
    "rate 0.2": {"rate": 0.2},
    "rate 0.08": {},
    "accuracy watched": {"monitor": "val_accuracy"},
    "rate lowered": {"monitor": "val_accuracy", "lower_after": 3},
    "clipped as well": {"monitor": "val_accuracy", "lower_after": 3, "clip": 1.0},
}
"""What `train_by_recipe` changes, practice by practice, beginning with a well-known tutorial's."""


def train_by_recipe(data: FashionMNIST, seed: int, *, recipe: str) -> dict[str, Any]:
    """Train the MLP by a named recipe for up to a hundred epochs, and open the test set.

    Args:
        data: Fashion-MNIST.
        seed: seed of the initial weights and of the orders of the examples.
        recipe: one of `RECIPES`. Unless it says otherwise: rate 0.08, another order in each
            epoch, the validation loss watched, no rate lowered, no gradient clipped.

    Returns:
        epochs, how many were trained; kept_epoch, the best of them, counted from 1, whose weights
        are kept; their valid_loss, valid_accuracy and test_accuracy.

    Raises:
        ValueError: another name.

    Example:
        >>> from helpers.data import few
        >>> data = few(load_fashion_mnist(), 64)
        >>> results = train_by_recipe(data, 0, recipe="rate lowered")
        >>> results["kept_epoch"] <= results["epochs"]
        True
    """
    if recipe not in RECIPES:
        raise ValueError(f"recipe is one of {list(RECIPES)}, found {recipe!r}")
    settings = {"rate": 0.08, "order": "new", "monitor": "val_loss", **RECIPES[recipe]}
    callbacks = stopping(settings["monitor"], lower_after=settings.get("lower_after"))
    model, history = _fit_in_order(
        data,
        seed,
        order=settings["order"],
        learning_rate=settings["rate"],
        clip=settings.get("clip"),
        callbacks=callbacks,
    )
    watched = history[settings["monitor"]]
    best = min(watched) if settings["monitor"] == "val_loss" else max(watched)
    kept = watched.index(best)
    test = model.evaluate(data.x_test, data.y_test, batch_size=500, verbose=0)
    return {
        "epochs": len(watched),
        "kept_epoch": kept + 1,
        "valid_loss": history["val_loss"][kept],
        "valid_accuracy": history["val_accuracy"][kept],
        "test_accuracy": test[1],
    }


def _fit_in_order(
    data: FashionMNIST,
    seed: int,
    *,
    order: str,
    learning_rate: float,
    epochs: int = 100,
    clip: float | None = None,
    callbacks: Sequence[keras.callbacks.Callback] = (),
) -> tuple[keras.Model, dict[str, list[float]]]:
    """Train the MLP with "the same" or a "new" order of the examples in each epoch."""
    import keras

    if order not in {"the same", "new"}:
        raise ValueError(f"order is 'the same' or 'new', found {order!r}")
    keras.utils.set_random_seed(seed)
    model = compiled_mlp(learning_rate, clip=clip)
    x, y = data.x_train, data.y_train
    examples = {"x": x, "y": y, "batch_size": 32}
    if order == "new":
        examples = {"x": shuffled_batches(x, y, seed=seed)}
    history = model.fit(
        **examples,
        epochs=epochs,
        validation_data=(data.x_valid, data.y_valid),
        callbacks=callbacks or [keras.callbacks.TerminateOnNaN()],
        shuffle=order == "the same",
        verbose=0,
    )
    return model, history.history


def train_in_order(data: FashionMNIST, seed: int, *, order: str, epochs: int) -> dict[str, Any]:
    """Train the MLP at rate 0.08, in batches of 32, with or without a new order in each epoch.

    Args:
        data: Fashion-MNIST.
        seed: seed of the initial weights and of the orders of the examples.
        order: "the same" in each epoch, as Keras's `fit` has it when a seed is set, or "new".
        epochs: passes over the training data.

    Returns:
        loss, accuracy (means over the batches of each epoch), valid_loss, valid_accuracy (at its
        end), one entry an epoch.

    Raises:
        ValueError: another order.

    Example:
        >>> from helpers.data import few
        >>> data = few(load_fashion_mnist(), 64)
        >>> len(train_in_order(data, 0, order="new", epochs=2)["valid_loss"])
        2
    """
    _, curves = _fit_in_order(data, seed, order=order, learning_rate=0.08, epochs=epochs)
    return {
        "loss": curves["loss"],
        "accuracy": curves["accuracy"],
        "valid_loss": curves["val_loss"],
        "valid_accuracy": curves["val_accuracy"],
    }


def train_clipped(
    data: FashionMNIST, seed: int, *, clip: float | None, learning_rate: float
) -> dict[str, Any]:
    """Train the MLP for three epochs with the gradient's norm limited.

    Args:
        data: Fashion-MNIST.
        seed: seed of the initial weights and of the orders of the examples.
        clip: the largest norm; None for no limit.
        learning_rate: the rate, greater than 0.

    Returns:
        valid_loss and valid_accuracy after three epochs, None if the loss became NaN.

    Example:
        >>> from helpers.data import few
        >>> data = few(load_fashion_mnist(), 64)
        >>> list(train_clipped(data, 0, clip=1.0, learning_rate=0.1))
        ['valid_loss', 'valid_accuracy']
    """
    model, _ = _fit_in_order(
        data, seed, order="new", learning_rate=learning_rate, epochs=3, clip=clip
    )
    return _after_last_epoch(model.history)


VALLEY = Experiment(
    name="learning-rate-valley",
    question="What does the learning rate alone do to the accuracy of the MLP?",
    train=train_at_constant_rate,
    grid={"learning_rate": one_two_five(-4, 1)},
    seeds=range(5),
    tolerance={"loss": 0.05, "valid_loss": 0.05, "valid_accuracy": 0.02},
    load=load_fashion_mnist,
    diverged_beyond=5.0,
)

RAW_PIXELS = Experiment(
    name="raw-pixels",
    question="What does the valley look like after an epoch with pixels from 0 to 255?",
    train=train_at_constant_rate,
    grid={"learning_rate": one_two_five(-6, 0), "epochs": [1]},
    seeds=range(5),
    tolerance={"loss": 0.3, "valid_loss": 0.3, "valid_accuracy": 0.03},
    load=load_raw_pixels,
    diverged_beyond=100.0,
)

LAST_RATE = Experiment(
    name="last-rate",
    question="What does a lower rate in the last two of ten epochs change?",
    train=train_with_last_rate,
    grid={"last_rate": [0.1, 0.01]},
    seeds=range(10),
    tolerance={"valid_accuracy": 0.02},
    load=load_fashion_mnist,
)

FIRST_NETWORK = Experiment(
    name="first-network",
    question="What does the first chapter's training reach on test data?",
    train=train_and_test,
    grid={},
    seeds=range(10),
    tolerance={"test_accuracy": 0.005},
    load=load_fashion_mnist,
)

STABILITY = Experiment(
    name="stability-edge",
    question="How well does 2 over the largest curvature predict where descent goes wrong?",
    train=measure_stability,
    grid={},
    seeds=range(5),
    tolerance={"loss": 0.05, "curvature": 8.0, "edge": 0.4},
    load=load_fashion_mnist,
)

INPUTS = Experiment(
    name="input-scale",
    question="Which rates does the MLP bear when its pixels are shifted and scaled?",
    train=train_on_scaled_inputs,
    grid={"inputs": INPUT_SCALES, "learning_rate": one_two_five(-3, 0)},
    seeds=range(5),
    tolerance={"valid_loss": 0.3, "valid_accuracy": 0.1},
    load=load_fashion_mnist,
    diverged_beyond=5.0,
)

LOGITS = Experiment(
    name="logit-scale",
    question="Which rates does the MLP bear when its logits are multiplied by a factor?",
    train=train_with_logit_scale,
    grid={
        "scale": [0.1, 1.0, 10.0],
        "learning_rate": [1e-4, 3e-4, 1e-3, 3e-3, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0],
    },
    seeds=range(5),
    tolerance={"valid_loss": 0.3, "valid_accuracy": 0.1},
    load=load_fashion_mnist,
    diverged_beyond=5.0,
)

DEEP = Experiment(
    name="deep-mlp",
    question="How do the four curves of a deep MLP look over 20 epochs?",
    train=train_deep_mlp,
    grid={},
    seeds=range(5),
    tolerance={
        "loss": 0.05,
        "accuracy": 0.03,
        "valid_loss": 0.2,
        "valid_accuracy": 0.05,
        "test_accuracy": 0.03,
    },
    load=load_fashion_mnist,
)

UPDATES = Experiment(
    name="update-ratio",
    question="How large are the updates beside the weights, in each layer and at each rate?",
    train=measure_updates,
    grid={"learning_rate": [0.001, 0.003, 0.01, 0.03, 0.1, 0.2, 0.3, 0.5]},
    seeds=range(5),
    tolerance={"log_ratios": 1.0, "valid_loss": 0.3, "valid_accuracy": 0.1},
    load=load_fashion_mnist,
    diverged_beyond=5.0,
)

GAINS = Experiment(
    name="initial-gain",
    question="Which rates does a deep network bear, from weights of which size?",
    train=train_from_gain,
    grid={
        "gain": [0.5, 0.71, 1.0, 1.41, 2.0],
        "learning_rate": [1e-5, 3e-5, 1e-4, 3e-4, 1e-3, 3e-3, 0.01, 0.03, 0.1, 0.3],
    },
    seeds=range(5),
    tolerance={"valid_loss": 0.3, "valid_accuracy": 0.1},
    load=load_fashion_mnist,
    diverged_beyond=5.0,
)


def _range_truth(optimizer: str, batch_size: int, low: int) -> Experiment:
    """Sixteen rates over five powers of ten, from 10^low, for one optimizer and batch size."""
    return Experiment(
        name=f"rates-{optimizer.lower()}-{batch_size}",
        question=f"What does the rate do to {optimizer}, batch {batch_size}, in five epochs?",
        train=train_with_optimizer,
        grid={
            "optimizer": [optimizer],
            "batch_size": [batch_size],
            "learning_rate": one_two_five(low, low + 5),
        },
        seeds=range(5),
        tolerance={"valid_loss": 0.3, "valid_accuracy": 0.1},
        load=load_fashion_mnist,
        diverged_beyond=5.0,
    )


RANGE_TRUTH = tuple(
    _range_truth(optimizer, batch_size, low)
    for optimizer, batch_size, low in (
        ("SGD", 128, -4),
        ("momentum", 32, -5),
        ("momentum", 128, -5),
        ("Adam", 32, -6),
        ("Adam", 128, -6),
    )
)
"""What the rates really do; for SGD in batches of 32, see the fifth epoch of `VALLEY`."""

RANGE_TESTS = Experiment(
    name="range-tests",
    question="Which rates do range tests suggest, by which rule, in which setting?",
    train=read_range_test,
    grid={"setting": RANGE_SETTINGS},
    seeds=range(10),
    tolerance={
        "steepest descent": 0.5,
        "a tenth of the minimum": 0.3,
        "half of the last stable rate": 0.7,
        "half of the turning point": 0.3,
        "middle of the floor": 0.3,
        "log_diverged_at": 0.7,
    },
    load=load_fashion_mnist,
)

PRACTICE = Experiment(
    name="practice",
    question="What does each practice contribute to the MLP's accuracy?",
    train=train_by_recipe,
    grid={"recipe": list(RECIPES)},
    seeds=range(5),
    tolerance={
        "epochs": 40,
        "kept_epoch": 40,
        "valid_loss": 0.05,
        "valid_accuracy": 0.01,
        "test_accuracy": 0.01,
    },
    load=load_fashion_mnist,
)

ORDERS = Experiment(
    name="orders",
    question="What does a new order of the examples in each epoch change?",
    train=train_in_order,
    grid={"order": ["the same", "new"], "epochs": [10]},
    seeds=range(5),
    tolerance={"loss": 0.05, "accuracy": 0.02, "valid_loss": 0.1, "valid_accuracy": 0.04},
    load=load_fashion_mnist,
)

HUNDRED_EPOCHS = Experiment(
    name="hundred-epochs",
    question="What happens to the MLP if nothing stops it for a hundred epochs?",
    train=train_in_order,
    grid={"order": ["new"], "epochs": [100]},
    seeds=range(5),
    tolerance={"loss": 0.05, "accuracy": 0.03, "valid_loss": 0.3, "valid_accuracy": 0.04},
    load=load_fashion_mnist,
)

CLIPPING = Experiment(
    name="clipping",
    question="Which rates does the MLP bear when the gradient's norm is limited?",
    train=train_clipped,
    grid={"clip": [None, 1.0, 0.1], "learning_rate": [0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0]},
    seeds=range(5),
    tolerance={"valid_loss": 0.5, "valid_accuracy": 0.2},
    load=load_fashion_mnist,
    diverged_beyond=5.0,
)

SWEEPS = {
    experiment.name: experiment
    for experiment in (
        VALLEY,
        RAW_PIXELS,
        LAST_RATE,
        FIRST_NETWORK,
        STABILITY,
        INPUTS,
        LOGITS,
        DEEP,
        UPDATES,
        GAINS,
        *RANGE_TRUTH,
        RANGE_TESTS,
        PRACTICE,
        ORDERS,
        HUNDRED_EPOCHS,
        CLIPPING,
        *SENSITIVITY.values(),
        *DECAY.values(),
        FACTORIAL,
        GROUPS,
        LABORATORY,
        BY_BATCH,
        BY_DATA,
        PANDA,
        SPEED,
        TPE,
        *TOURNAMENT.values(),
        NOISE_FLOOR,
        WARM_UP,
        COMPANY,
        RESTARTS,
        *HEADLINE.values(),
    )
}


def main(arguments: list[str] | None = None) -> None:
    """Compute the table of an experiment, or list the experiments."""
    from tqdm import tqdm

    from helpers.reproducible import begin

    parser = argparse.ArgumentParser(prog="python -m helpers.sweeps", description=__doc__)
    parser.add_argument("name", nargs="?", choices=list(SWEEPS), help="the experiment")
    name = parser.parse_args(arguments).name
    if name is None:
        for experiment in SWEEPS.values():
            print(f"{experiment.name}: {experiment.question}")
        return
    begin()
    SWEEPS[name].compute(progress=tqdm)
    print(f"{SWEEPS[name].path} is complete and up to date")


if __name__ == "__main__":
    from helpers.sweeps import main as main_of_module  # not __main__: digests need the name

    main_of_module()
