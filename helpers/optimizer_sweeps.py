"""The stored experiments that compare optimizers: what its rate does to each."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from helpers.data import FashionMNIST, load_fashion_mnist
from helpers.experiments import Experiment, one_two_five
from helpers.models import mlp
from helpers.practice import fit_shuffled, results

if TYPE_CHECKING:
    import keras

__all__ = [
    "COMPARED",
    "SENSITIVITY",
    "keras_optimizer",
    "train_with_each",
]

COMPARED: dict[str, tuple[str, dict[str, Any]]] = {
    "SGD": ("SGD", {}),
    "momentum": ("SGD", {"momentum": 0.9}),
    "Nesterov": ("SGD", {"momentum": 0.9, "nesterov": True}),
    "Adagrad": ("Adagrad", {}),
    "RMSProp": ("RMSprop", {}),
    "Adadelta": ("Adadelta", {}),
    "Adam": ("Adam", {}),
    "AdamW": ("AdamW", {}),
}
"""The optimizers that are compared: the class in Keras, and what differs from its defaults."""


def keras_optimizer(name: str, learning_rate: float) -> keras.optimizers.Optimizer:
    """Return an optimizer by the name it has in the comparison.

    Args:
        name: one of `COMPARED`.
        learning_rate: the rate, greater than 0.

    Raises:
        ValueError: another name, or a learning rate that is not greater than 0.

    Example:
        >>> keras_optimizer("Nesterov", 0.01).nesterov
        True
    """
    import keras

    if name not in COMPARED:
        raise ValueError(f"name is one of {list(COMPARED)}, found {name!r}")
    if not learning_rate > 0:
        raise ValueError(f"learning_rate must be greater than 0, found {learning_rate!r}")
    kind, settings = COMPARED[name]
    return getattr(keras.optimizers, kind)(learning_rate, **settings)


def train_with_each(
    data: FashionMNIST, seed: int, *, optimizer: str, learning_rate: float
) -> dict[str, Any]:
    """Train the 784-300-100-10 MLP for five epochs, in batches of 128, at a constant rate.

    Args:
        data: Fashion-MNIST.
        seed: seed of the initial weights and of the orders of the examples.
        optimizer: one of `COMPARED`, with Keras's defaults but for the rate.
        learning_rate: the rate, greater than 0.

    Returns:
        loss (the mean over the batches of the last epoch), valid_loss, valid_accuracy and
        test_accuracy after it; None if the loss became NaN.

    Example:
        >>> from helpers.data import few
        >>> data = few(load_fashion_mnist(), 64)
        >>> list(train_with_each(data, 0, optimizer="Adam", learning_rate=0.001))
        ['loss', 'valid_loss', 'valid_accuracy', 'test_accuracy']
    """
    import keras

    keras.utils.set_random_seed(seed)
    model = mlp()
    model.compile(
        optimizer=keras_optimizer(optimizer, learning_rate),
        loss="sparse_categorical_crossentropy",
        metrics=["accuracy"],
        jit_compile=True,
        steps_per_execution=64,
    )
    fit_shuffled(model, data, seed=seed, epochs=5, batch_size=128)
    return results(model, data)


def _sensitivity(optimizer: str, low: int) -> Experiment:
    """Thirteen rates over four powers of ten, from 10^low, for one optimizer."""
    return Experiment(
        name=f"sensitivity-{optimizer.lower()}",
        question=f"What does the rate do to {optimizer} in five epochs?",
        train=train_with_each,
        grid={"optimizer": [optimizer], "learning_rate": one_two_five(low, low + 4)},
        seeds=range(5),
        tolerance={
            "loss": 0.3,
            "valid_loss": 0.3,
            "valid_accuracy": 0.1,
            "test_accuracy": 0.1,
        },
        load=load_fashion_mnist,
        diverged_beyond=5.0,
    )


SENSITIVITY = {
    name: _sensitivity(name, low)
    for name, low in {
        "SGD": -3,
        "momentum": -4,
        "Nesterov": -4,
        "Adagrad": -4,
        "RMSProp": -5,
        "Adadelta": -2,
        "Adam": -5,
        "AdamW": -5,
    }.items()
}
"""For each of `COMPARED`, what its rate does."""
