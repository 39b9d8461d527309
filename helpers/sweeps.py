"""The book's stored experiments, by name, and the command that computes their tables.

python -m helpers.sweeps                       list them
python -m helpers.sweeps learning-rate-valley  compute what its table lacks
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from helpers.curvature import largest_curvature
from helpers.data import FashionMNIST, load_fashion_mnist
from helpers.experiments import Experiment
from helpers.models import mlp

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


def train_with_last_rate(data: FashionMNIST, seed: int, *, last_rate: float) -> dict[str, Any]:
    """Train the MLP for eight epochs at rate 0.1, then for two at another rate.

    Args:
        data: Fashion-MNIST.
        seed: seed of the initial weights and of the order of the examples.
        last_rate: the rate of epochs nine and ten.

    Returns:
        valid_accuracy, one entry an epoch.

    Example:
        >>> from helpers.data import few
        >>> data = few(load_fashion_mnist(), 64)
        >>> len(train_with_last_rate(data, 0, last_rate=0.01)["valid_accuracy"])
        10
    """
    history = fit_mlp(data, seed, two_rates(data, last_rate)).history
    return {"valid_accuracy": history["val_accuracy"]}


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
        >>> from helpers.data import few
        >>> sorted(measure_stability(few(load_fashion_mnist(), 32), 0))
        ['curvature', 'edge', 'loss']
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


def _one_two_five(low: int, high: int) -> list[float]:
    """1, 2 and 5 times each power of ten from 10^low, up to 10^high."""
    steps = [float(f"{digit}e{power}") for power in range(low, high) for digit in (1, 2, 5)]
    return [*steps, float(f"1e{high}")]


VALLEY = Experiment(
    name="learning-rate-valley",
    question="What does the learning rate alone do to the accuracy of the MLP?",
    train=train_at_constant_rate,
    grid={"learning_rate": _one_two_five(-4, 1)},
    seeds=range(5),
    tolerance={"loss": 0.05, "valid_loss": 0.05, "valid_accuracy": 0.02},
    load=load_fashion_mnist,
    diverged_beyond=5.0,
)

RAW_PIXELS = Experiment(
    name="raw-pixels",
    question="What does the valley look like after an epoch with pixels from 0 to 255?",
    train=train_at_constant_rate,
    grid={"learning_rate": _one_two_five(-6, 0), "epochs": [1]},
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

SWEEPS = {
    experiment.name: experiment
    for experiment in (VALLEY, RAW_PIXELS, LAST_RATE, FIRST_NETWORK, STABILITY)
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
