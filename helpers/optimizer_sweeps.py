"""The stored experiments that compare optimizers: rates for each, and two kinds of weight decay."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from helpers.checks import checked
from helpers.data import FashionMNIST, load_fashion_mnist
from helpers.experiments import Experiment, one_two_five
from helpers.models import mlp
from helpers.practice import fit_shuffled, generalisation, results

if TYPE_CHECKING:
    import keras

__all__ = [
    "COMPARED",
    "DECAY",
    "SENSITIVITY",
    "keras_optimizer",
    "mlp_with_decay",
    "train_with_decay",
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


@checked
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


@checked
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


@checked
def mlp_with_decay(kind: str, learning_rate: float, strength: float) -> keras.Sequential:
    """Return a new MLP, compiled with Adam and one of two weight decays, for kernels alone.

    Args:
        kind: "AdamW", where each step takes learning_rate * strength * w off a weight w; or "L2",
            where the loss has the penalty strength / 2 * w^2, and so the gradient strength * w.
        learning_rate: the rate, greater than 0.
        strength: lambda, greater than 0.

    Raises:
        ValueError: another kind, or a number that is not greater than 0.

    Example:
        >>> type(mlp_with_decay("AdamW", 0.001, 0.1).optimizer).__name__
        'AdamW'
    """
    import keras

    if kind not in {"AdamW", "L2"}:
        raise ValueError(f"kind is 'AdamW' or 'L2', found {kind!r}")
    if not (learning_rate > 0 and strength > 0):
        raise ValueError(f"expected numbers greater than 0, found {learning_rate!r}, {strength!r}")
    model = mlp()
    if kind == "AdamW":
        optimizer = keras.optimizers.AdamW(learning_rate, weight_decay=strength)
        optimizer.exclude_from_weight_decay(var_names=["bias"])
    else:
        optimizer = keras.optimizers.Adam(learning_rate)
        for layer in model.layers[1:]:  # L2(c) adds c w^2
            layer.kernel.regularizer = keras.regularizers.L2(strength / 2)
    model.compile(
        optimizer=optimizer,
        loss="sparse_categorical_crossentropy",
        metrics=["accuracy"],
        jit_compile=True,
        steps_per_execution=79,
    )
    return model


@checked
def train_with_decay(
    data: FashionMNIST, seed: int, *, kind: str, learning_rate: float, strength: float
) -> dict[str, Any]:
    """Train the MLP on 5,000 images for 20 epochs, in batches of 64, with one of two decays.

    On so few images it overfits, so a decay has something to do.

    Args:
        data: Fashion-MNIST; the first 5,000 training images are used.
        seed: seed of the initial weights and of the orders of the examples.
        kind: "AdamW" or "L2", see `mlp_with_decay`.
        learning_rate: the rate, greater than 0.
        strength: lambda, greater than 0.

    Returns:
        train_loss on the 5,000 images and valid_loss, both without the penalty, and
        valid_accuracy, after the last epoch; None if a loss became NaN.

    Example:
        >>> from helpers.data import few
        >>> data = few(load_fashion_mnist(), 64)
        >>> list(train_with_decay(data, 0, kind="L2", learning_rate=0.001, strength=0.1))
        ['train_loss', 'valid_loss', 'valid_accuracy']
    """
    import keras

    keras.utils.set_random_seed(seed)
    part = replace(data, x_train=data.x_train[:5000], y_train=data.y_train[:5000])
    model = mlp_with_decay(kind, learning_rate, strength)
    fit_shuffled(model, part, seed=seed, epochs=20, batch_size=64)
    for layer in model.layers[1:]:
        layer.kernel.regularizer = None
    return generalisation(model, data, trained_on=5000)


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

DECAY = {
    kind: Experiment(
        name=f"decay-{kind.lower()}",
        question=f"Which rates and strengths of weight decay suit each other, with {what}?",
        train=train_with_decay,
        grid={
            "kind": [kind],
            "learning_rate": [1e-4, 3e-4, 1e-3, 3e-3, 1e-2],
            "strength": strengths,
        },
        seeds=range(5),
        tolerance={"train_loss": 0.3, "valid_loss": 0.5, "valid_accuracy": 0.05},
        load=load_fashion_mnist,
        diverged_beyond=5.0,
    )
    for kind, what, strengths in (
        ("AdamW", "AdamW", [0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0]),
        ("L2", "Adam and an L2 penalty", [1e-5, 3e-5, 1e-4, 3e-4, 1e-3, 3e-3, 1e-2]),
    )
}
"""For "AdamW" and "L2", rate times strength."""
