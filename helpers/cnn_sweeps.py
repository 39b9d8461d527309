"""The trainings of the CNN in cycles, with snapshots, ensembles, and lines between them."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from helpers.checks import check_batch, checked
from helpers.data import FashionMNIST, load_fashion_mnist
from helpers.experiments import Experiment
from helpers.models import cnn
from helpers.practice import shuffled_batches

if TYPE_CHECKING:
    import keras

__all__ = [
    "CYCLES",
    "RESTARTS",
    "compile_for",
    "ensemble_errors",
    "loss_between",
    "snapshots_at",
    "train_in_cycles",
]

TRAINED_ON = 20_000
"""Images that `train_in_cycles` trains on, the first ones."""

FRESH = slice(30_000, 50_000)
"""Training images that no run of `train_in_cycles` trains on: they judge."""

EPOCHS = 15
"""The budget of `train_in_cycles`, which is the source's."""

CYCLES: dict[str, tuple[float, ...]] = {
    "one": (15,),
    "equal": (5, 5, 5),
    "growing": (15 / 7, 30 / 7, 60 / 7),
    "unfinished": (3, 3.75, 4.6875, 5.859375),
}
"""Lengths of the cycles in epochs; the last is the source's, whose run ends within a cycle."""


@checked
def compile_for(model: keras.Model, schedule: Any) -> keras.Model:
    """Return a model, compiled with Adam and a schedule, as the source's CNN is.

    Args:
        model: a classifier with probabilities as its outputs.
        schedule: a rate or a schedule.

    Example:
        >>> float(compile_for(cnn(), 0.5).optimizer.learning_rate)
        0.5
    """
    import keras

    _check_rates(schedule)
    model.compile(
        keras.optimizers.Adam(schedule),
        "sparse_categorical_crossentropy",
        metrics=["accuracy"],
        jit_compile=False,  # XLA slows convolutions down on a CPU
    )
    return model


def _check_rates(schedule: Any) -> None:
    import keras

    if isinstance(schedule, keras.optimizers.schedules.LearningRateSchedule):
        return
    if not isinstance(schedule, int | float) or schedule <= 0:
        raise ValueError(f"expected a rate greater than 0 or a schedule, found {schedule!r}")


@checked
def snapshots_at(steps: Sequence[float]) -> keras.callbacks.Callback:
    """Return a Keras callback that keeps the weights after some steps.

    Args:
        steps: how many steps have been taken when the weights are kept, counted by the optimizer.

    Returns:
        A callback for `fit`, with the list `weights`: what `get_weights` gave, in the order of
        the steps.

    Example:
        >>> model, snapshots = compile_for(cnn(), 1e-3), snapshots_at([1])
        >>> x, y = np.zeros((2, 28, 28)), np.zeros(2)
        >>> _ = model.fit(x, y, batch_size=1, verbose=0, callbacks=[snapshots])
        >>> len(snapshots.weights), len(snapshots.weights[0])
        (1, 8)
    """
    import keras

    class Snapshots(keras.callbacks.Callback):
        def __init__(self) -> None:
            super().__init__()
            self.weights: list[list[np.ndarray]] = []

        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:  # noqa: ARG002
            if int(self.model.optimizer.iterations) in steps:
                self.weights.append(self.model.get_weights())

    return Snapshots()


@checked
def ensemble_errors(
    model: keras.Model, snapshots: list[list[np.ndarray]], x: np.ndarray, y: np.ndarray
) -> tuple[list[float], list[float]]:
    """Return the errors of snapshots, and of ensembles of them that average probabilities.

    Args:
        model: a classifier; it has the last snapshot's weights afterwards.
        snapshots: weights, one set for each member.
        x: (n, 28, 28) images.
        y: (n,) labels.

    Returns:
        The error of each snapshot, and of the ensembles of the last one, the last two, ... all.

    Raises:
        ValueError: images, labels or snapshots do not fit the model.

    Example:
        >>> model = cnn()
        >>> alone, together = ensemble_errors(
        ...     model, [model.get_weights()] * 2, np.zeros((2, 28, 28)), np.zeros(2))
        >>> alone == together
        True
    """
    check_batch(model, x, y)
    if any(len(weights) != len(model.get_weights()) for weights in snapshots):
        raise ValueError(f"expected {len(model.get_weights())} arrays of weights in each snapshot")
    guesses = []
    for weights in snapshots:
        model.set_weights(weights)
        guesses.append(model.predict(x, batch_size=500, verbose=0))
    sums = np.cumsum(guesses[::-1], axis=0)
    return (
        [float((guess.argmax(axis=1) != y).mean()) for guess in guesses],
        [float((guess.argmax(axis=1) != y).mean()) for guess in sums],
    )


@checked
def loss_between(
    model: keras.Model,
    ends: tuple[list[np.ndarray], list[np.ndarray]],
    x: np.ndarray,
    y: np.ndarray,
    shares: np.ndarray,
) -> list[float]:
    """Return the loss on the straight line between two sets of weights.

    loss((1 - s) first + s second)    for each share s

    Args:
        model: compiled, its first metric being the loss; its weights are changed.
        ends: the first and the second set of weights.
        x: (n, 28, 28) images.
        y: (n,) labels.
        shares: (k,) places on the line.

    Raises:
        ValueError: the images and labels do not fit the model, or shares is no list.

    Example:
        >>> model = compile_for(cnn(), 1e-3)
        >>> ends = model.get_weights(), model.get_weights()
        >>> first, last = loss_between(model, ends, np.ones((2, 28, 28)), np.zeros(2), [0.0, 1.0])
        >>> first == last
        True
    """
    check_batch(model, x, y)
    if np.ndim(shares) != 1:
        raise ValueError(f"expected a list of shares, found {shares!r}")
    losses = []
    for share in shares:
        model.set_weights([(1 - share) * a + share * b for a, b in zip(*ends, strict=True)])
        losses.append(model.evaluate(x, y, batch_size=500, verbose=0)[0])
    return losses


@checked
def train_in_cycles(
    data: FashionMNIST, seed: int, *, cycles: str, peak: float, images: int = TRAINED_ON
) -> dict[str, Any]:
    """Train the CNN for 15 epochs with Adam in cosine cycles, each with a quarter of warm-up.

    Args:
        data: Fashion-MNIST; the test set stays closed.
        seed: seed of the initial weights and of the orders of the examples.
        cycles: one of `CYCLES`.
        peak: the largest rate of each cycle.
        images: how many, the first ones, are trained on, in batches of 128.

    Returns:
        valid_error, at the end of each epoch; snapshot_errors, on fresh images at the end of each
        cycle (the last entry: at the end of the training); ensemble_errors, of the last snapshot,
        the last two, ...; line_losses, on the first 5,000 training images, at eleven places
        between successive snapshots.

    Raises:
        ValueError: cycles is not one of `CYCLES`.

    Example:
        >>> from dataclasses import replace
        >>> from helpers.data import few
        >>> data = few(load_fashion_mnist(), 30_100)  # so that a hundred of them are fresh
        >>> data = replace(data, x_valid=data.x_valid[:64], y_valid=data.y_valid[:64])
        >>> found = train_in_cycles(data, 0, cycles="equal", peak=1e-3, images=256)
        >>> len(found["valid_error"]), len(found["snapshot_errors"]), len(found["line_losses"])
        (15, 3, 2)
    """
    import keras

    from helpers.schedules import CosineRestarts, Join

    if cycles not in CYCLES:
        raise ValueError(f"expected one of {', '.join(CYCLES)}, found {cycles!r}")
    x, y = data.x_train[:images], data.y_train[:images]
    batches = shuffled_batches(x, y, batch_size=128, seed=seed)
    lengths = [length * len(batches) for length in CYCLES[cycles]]
    each = [CosineRestarts(peak, length) for length in lengths]
    schedule = Join(each, np.cumsum(lengths)[:-1]) if len(each) > 1 else each[0]
    whole = EPOCHS * len(batches)
    ends = [min(round(end), whole) for end in np.cumsum(lengths)]
    keras.utils.set_random_seed(seed)
    model, snapshots = compile_for(cnn(), schedule), snapshots_at(ends)
    history = model.fit(
        batches,
        epochs=EPOCHS,
        validation_data=(data.x_valid, data.y_valid),
        validation_batch_size=500,
        callbacks=[snapshots],
        shuffle=False,
        verbose=0,
    ).history
    kept = snapshots.weights
    alone, together = ensemble_errors(model, kept, data.x_train[FRESH], data.y_train[FRESH])
    shares = np.linspace(0, 1, 11)
    pairs = itertools.pairwise(kept)
    return {
        "valid_error": [1 - accuracy for accuracy in history["val_accuracy"]],
        "snapshot_errors": alone,
        "ensemble_errors": together,
        "line_losses": [loss_between(model, pair, x[:5000], y[:5000], shares) for pair in pairs],
    }


RESTARTS = Experiment(
    name="restarts",
    question="Do restarts help the CNN, alone or as an ensemble, beside one cosine?",
    train=train_in_cycles,
    grid={"cycles": list(CYCLES), "peak": [2e-3, 4e-3, 8e-3]},
    seeds=range(3),
    tolerance={
        "valid_error": 0.05,
        "snapshot_errors": 0.02,
        "ensemble_errors": 0.02,
        "line_losses": 1.0,
    },
    load=load_fashion_mnist,
)
