"""The stored experiments on batch norm: with and without it, rate by rate, shallow and deep."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from helpers.batch_norm import gather_averages
from helpers.checks import checked
from helpers.data import FashionMNIST, load_fashion_mnist
from helpers.experiments import Experiment, one_two_five, unless_diverged
from helpers.models import normalised_mlp
from helpers.practice import fit_shuffled

__all__ = ["FACTORIAL", "GROUPS", "HIDDEN", "train_in_groups", "train_normalised"]

HIDDEN = {"two layers": (300, 100), "ten layers": (100,) * 10}
"""The networks of the factorial, by their hidden layers."""


@checked
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
        test_accuracy after it, with the averages of batch norm gathered anew from 5,000 training
        images, so that none lags behind; None if the loss became NaN.

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
    history = fit_shuffled(model, data, seed=seed, epochs=3, batch_size=128).history
    if batch_norm:
        gather_averages(model, data.x_train[:5000])
    valid = model.evaluate(data.x_valid, data.y_valid, batch_size=500, verbose=0)
    test = model.evaluate(data.x_test, data.y_test, batch_size=500, verbose=0)
    return unless_diverged(
        {
            "loss": history["loss"][-1],
            "valid_loss": valid[0],
            "valid_accuracy": valid[1],
            "test_accuracy": test[1],
        }
    )


@checked
def train_in_groups(
    data: FashionMNIST, seed: int, *, group: int, learning_rate: float
) -> dict[str, Any]:
    """Train the MLP with batch norm on 5,120 images for 40 epochs, normalised in small groups.

    Each step of SGD follows the mean gradient over 512 images, whatever the group: the gradients
    of 512 / group batches are added up before the step. So images, order and number of steps stay
    the same, and only the groups whose means and deviations are used differ. ("Ghost batches":
    Hoffer and others, 2017, https://arxiv.org/abs/1705.08741.)

    Args:
        data: Fashion-MNIST; the first 5,120 training images are used.
        seed: seed of the initial weights and of the orders of the examples.
        group: how many images are normalised together; 512 is a multiple of it.
        learning_rate: the rate, greater than 0.

    Returns:
        train_loss on the 5,120 images, valid_loss and valid_accuracy, each a list of ten, after
        every fourth epoch: at inference, with averages gathered from all those images.

    Raises:
        ValueError: 512 is not a multiple of group.

    Example:
        >>> from helpers.data import few
        >>> found = train_in_groups(few(load_fashion_mnist(), 64), 0, group=512, learning_rate=0.1)
        >>> {name: len(values) for name, values in found.items()}
        {'train_loss': 10, 'valid_loss': 10, 'valid_accuracy': 10}
    """
    import keras

    if group < 1 or 512 % group:
        raise ValueError(f"group must divide 512, found {group!r}")
    keras.utils.set_random_seed(seed)
    part = replace(data, x_train=data.x_train[:5120], y_train=data.y_train[:5120])
    model = normalised_mlp()
    batches = 512 // group
    model.compile(
        optimizer=keras.optimizers.SGD(
            learning_rate, gradient_accumulation_steps=batches if batches > 1 else None
        ),
        loss="sparse_categorical_crossentropy",
        metrics=["accuracy"],
        steps_per_execution=10 * batches,
    )
    found: dict[str, Any] = {"train_loss": [], "valid_loss": [], "valid_accuracy": []}
    for round_of_four in range(10):
        orders = 10 * seed + round_of_four
        fit_shuffled(model, part, seed=orders, epochs=4, batch_size=group)
        gather_averages(model, part.x_train)
        seen, _ = model.evaluate(part.x_train, part.y_train, batch_size=512, verbose=0)
        new, accuracy = model.evaluate(data.x_valid, data.y_valid, batch_size=512, verbose=0)
        for name, value in zip(found, (seen, new, accuracy), strict=True):
            found[name].append(value)
    return found


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

GROUPS = Experiment(
    name="batch-norm-groups",
    question="What does the noise of small batches do, where images and steps stay the same?",
    train=train_in_groups,
    grid={"group": [8, 32, 128, 512], "learning_rate": [0.05, 0.1, 0.2]},
    seeds=range(5),
    tolerance={"train_loss": 0.3, "valid_loss": 0.3, "valid_accuracy": 0.05},
    load=load_fashion_mnist,
    diverged_beyond=5.0,
)
