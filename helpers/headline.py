"""The headline: what the sources' networks reach with their own recipes, and with the book's."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from helpers.checks import checked
from helpers.data import FashionMNIST, load_fashion_mnist
from helpers.experiments import Experiment
from helpers.models import (
    cnn,
    mlp,
    normalised_mlp,
    regularised_cnn,
    regularised_mlp,
    with_flips,
)
from helpers.optimizer_sweeps import COMPARED
from helpers.practice import shuffled_batches

if TYPE_CHECKING:
    import keras

__all__ = [
    "HEADLINE",
    "NETWORKS",
    "SCHEDULES",
    "flipped_cnn",
    "flipped_mlp",
    "growing_cycles",
    "one_cycle",
    "train_by_recipe",
]


def flipped_mlp() -> keras.Model:
    """Return the sources' MLP with batch norm, dropout and flips.

    Example:
        >>> flipped_mlp().count_params()
        267810
    """
    return with_flips(regularised_mlp(dropout=0.2))


def flipped_cnn() -> keras.Model:
    """Return a CNN with fewer parameters than the source's, with batch norm, dropout and flips.

    Example:
        >>> flipped_cnn().count_params()
        242602
    """
    return with_flips(regularised_cnn(dropout=0.3))


NETWORKS: dict[str, Callable[[], keras.Model]] = {
    "mlp": mlp,
    "with batch norm": normalised_mlp,
    "and dropout": regularised_mlp,
    "and flips": flipped_mlp,
    "cnn": cnn,
    "small cnn": flipped_cnn,
}
"""The sources' MLP, plain and with more and more; their CNN; and one with fewer parameters."""


@checked
def one_cycle(peak: float, *, epochs: int, steps: int) -> Any:
    """Return one cycle over all epochs.

    Args:
        peak: the largest rate.
        epochs: passes over the data.
        steps: of each epoch.

    Example:
        >>> one_cycle(0.1, epochs=4, steps=10).total_steps
        40
    """
    from helpers.schedules import OneCycle

    return OneCycle(peak, epochs * steps)


@checked
def growing_cycles(peak: float, *, epochs: int, steps: int) -> Any:  # noqa: ARG001
    """Return the source's cycles: the first has 3 epochs, each further one a quarter more.

    Args:
        peak: the largest rate.
        epochs: passes over the data; the cycles do not depend on it.
        steps: of each epoch.

    Example:
        >>> growing_cycles(0.1, epochs=15, steps=10).first_cycle
        30
    """
    from helpers.schedules import CosineRestarts

    return CosineRestarts(peak, 3 * steps, floor=1e-7, growth=1.25)


SCHEDULES = {"one cycle": one_cycle, "growing cycles": growing_cycles}


@checked
def train_by_recipe(
    data: FashionMNIST,
    seed: int,
    *,
    network: str,
    optimizer: str,
    schedule: str,
    peak: float,
    epochs: int,
    batch_size: int,
    images: int | None = None,
) -> dict[str, Any]:
    """Train a network by a recipe, and test it.

    Args:
        data: Fashion-MNIST; the test set is opened.
        seed: seed of the initial weights, the orders of the examples, dropout and flips.
        network: one of `NETWORKS`.
        optimizer: one of `helpers.optimizer_sweeps.COMPARED`.
        schedule: one of `SCHEDULES`.
        peak: the largest rate.
        epochs: the budget.
        batch_size: examples a step.
        images: how many, the first ones, are trained on; by default all 55,000.

    Returns:
        loss, accuracy (means over each epoch), valid_loss, valid_accuracy (at its end), one entry
        an epoch; test_accuracy at the end.

    Raises:
        ValueError: network, optimizer or schedule is not one of those.

    Example:
        >>> recipe = HEADLINE["cnn"].configurations()[0]
        >>> found = train_by_recipe(load_fashion_mnist(), 0, **recipe, images=64)
        >>> len(found["valid_accuracy"])
        4
    """
    import keras

    for name, known in ((network, NETWORKS), (optimizer, COMPARED), (schedule, SCHEDULES)):
        if name not in known:
            raise ValueError(f"expected one of {', '.join(known)}, found {name!r}")
    keras.utils.set_random_seed(seed)
    x, y = data.x_train[:images], data.y_train[:images]
    batches = shuffled_batches(x, y, batch_size=batch_size, seed=seed)
    rates = SCHEDULES[schedule](peak, epochs=epochs, steps=len(batches))
    model, (kind, settings) = NETWORKS[network](), COMPARED[optimizer]
    model.compile(
        getattr(keras.optimizers, kind)(rates, **settings),
        "sparse_categorical_crossentropy",
        metrics=["accuracy"],
        jit_compile=False,  # XLA slows convolutions and dropout down on a CPU
    )
    history = model.fit(
        batches,
        epochs=epochs,
        validation_data=(data.x_valid, data.y_valid),
        validation_batch_size=500,
        shuffle=False,
        verbose=0,
    ).history
    test = model.evaluate(data.x_test, data.y_test, batch_size=500, verbose=0)
    return {
        "loss": history["loss"],
        "accuracy": history["accuracy"],
        "valid_loss": history["val_loss"],
        "valid_accuracy": history["val_accuracy"],
        "test_accuracy": test[1],
    }


def _experiment(name: str, question: str, seeds: range, **grid: Any) -> Experiment:
    return Experiment(
        name=f"headline-{name}",
        question=question,
        train=train_by_recipe,
        grid={name: value if isinstance(value, list) else [value] for name, value in grid.items()},
        seeds=seeds,
        tolerance={
            "loss": 0.05,
            "accuracy": 0.02,
            "valid_loss": 0.1,
            "valid_accuracy": 0.02,
            "test_accuracy": 0.01,
        },
        load=load_fashion_mnist,
    )


HEADLINE = {
    "source": _experiment(
        "source",
        "What does the source's CNN reach in its fifteen epochs?",
        range(3),
        network="cnn",
        optimizer="Adam",
        schedule="growing cycles",
        peak=1e-3,
        epochs=15,
        batch_size=32,
    ),
    "cnn": _experiment(
        "cnn",
        "What does the source's CNN reach in four epochs with the book's recipe?",
        range(3),
        network="cnn",
        optimizer="Adam",
        schedule="one cycle",
        peak=[1e-3, 2e-3, 4e-3, 8e-3, 16e-3],
        epochs=4,
        batch_size=64,
    ),
    "search": _experiment(
        "search",
        "Which peak does a small search find for the source's CNN?",
        range(3),
        network="cnn",
        optimizer="Adam",
        schedule="one cycle",
        peak=[1e-3, 2e-3, 4e-3, 8e-3, 16e-3, 32e-3],
        epochs=2,
        batch_size=64,
        images=10_000,
    ),
    "mlp": _experiment(
        "mlp",
        "What does the source's MLP reach with batch norm and dropout, and with flips?",
        range(5),
        network=["and dropout", "and flips"],
        optimizer="Nesterov",
        schedule="one cycle",
        peak=[0.1, 0.2, 0.4],
        epochs=40,
        batch_size=128,
    ),
    "plain mlp": _experiment(
        "plain-mlp",
        "What does the source's MLP reach as it is, in as many epochs?",
        range(5),
        network="mlp",
        optimizer="Nesterov",
        schedule="one cycle",
        peak=[0.025, 0.05, 0.1],
        epochs=40,
        batch_size=128,
    ),
    "parts": _experiment(
        "parts",
        "What do batch norm, dropout and flips bring the MLP, each at its best peak?",
        range(5),
        network=["mlp", "with batch norm", "and dropout", "and flips"],
        optimizer="Nesterov",
        schedule="one cycle",
        peak=[0.025, 0.05, 0.1, 0.2, 0.4],
        epochs=20,
        batch_size=128,
    ),
    "small cnn": _experiment(
        "small-cnn",
        "What does a CNN with fewer parameters reach in fifteen epochs?",
        range(3),
        network="small cnn",
        optimizer="Adam",
        schedule="one cycle",
        peak=3e-3,
        epochs=15,
        batch_size=128,
    ),
}
"""The experiments, by name."""
