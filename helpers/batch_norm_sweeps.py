"""The stored experiments on batch norm: with and without it, rate by rate, shallow and deep."""

from __future__ import annotations

from typing import Any

from helpers.data import FashionMNIST, load_fashion_mnist
from helpers.experiments import Experiment, one_two_five
from helpers.models import normalised_mlp
from helpers.practice import fit_shuffled, results

__all__ = ["FACTORIAL", "HIDDEN", "train_normalised"]

HIDDEN = {"two layers": (300, 100), "ten layers": (100,) * 10}
"""The networks of the factorial, by their hidden layers."""


def train_normalised(
    data: FashionMNIST, seed: int, *, hidden: str, batch_norm: bool, learning_rate: float
) -> dict[str, Any]:
    """Train an MLP with or without batch norm for three epochs of SGD, in batches of 128.

    Args:
        data: Fashion-MNIST.
        seed: seed of the initial weights and of the orders of the examples.
        hidden: one of `HIDDEN`.
        batch_norm: whether batch norm stands before each relu.
        learning_rate: the rate, greater than 0.

    Returns:
        loss (the mean over the batches of the last epoch), valid_loss, valid_accuracy and
        test_accuracy after it; None if the loss became NaN.

    Raises:
        ValueError: another name for hidden.

    Example:
        >>> from helpers.data import few
        >>> settings = {"hidden": "two layers", "batch_norm": True, "learning_rate": 0.1}
        >>> list(train_normalised(few(load_fashion_mnist(), 64), 0, **settings))
        ['loss', 'valid_loss', 'valid_accuracy', 'test_accuracy']
    """
    import keras

    if hidden not in HIDDEN:
        raise ValueError(f"hidden is one of {list(HIDDEN)}, found {hidden!r}")
    keras.utils.set_random_seed(seed)
    model = normalised_mlp(HIDDEN[hidden], batch_norm=batch_norm)
    model.compile(
        optimizer=keras.optimizers.SGD(learning_rate),
        loss="sparse_categorical_crossentropy",
        metrics=["accuracy"],
        jit_compile=False,  # with batch norm XLA on a CPU is slower, and both arms are alike
        steps_per_execution=64,
    )
    fit_shuffled(model, data, seed=seed, epochs=3, batch_size=128)
    return results(model, data)


FACTORIAL = Experiment(
    name="batch-norm",
    question="How much wider and higher is the good region with batch norm?",
    train=train_normalised,
    grid={
        "hidden": list(HIDDEN),
        "batch_norm": [False, True],
        "learning_rate": one_two_five(-3, 1),
    },
    seeds=range(5),
    tolerance={"loss": 0.3, "valid_loss": 0.3, "valid_accuracy": 0.1, "test_accuracy": 0.1},
    load=load_fashion_mnist,
    diverged_beyond=5.0,
)
