"""The search laboratory: thousands of real trainings, on which searches are replayed in seconds."""

from __future__ import annotations

import math
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from helpers import reproducible
from helpers.checks import checked
from helpers.data import FashionMNIST, load_fashion_mnist
from helpers.experiments import Experiment, one_two_five
from helpers.models import mlp
from helpers.range_finder import range_test
from helpers.search import (
    BOOK_SEARCH,
    Configuration,
    Range,
    Report,
    Search,
    at_random,
    create_study,
    status,
    work,
)

if TYPE_CHECKING:
    import tensorflow as tf

__all__ = [
    "BY_BATCH",
    "BY_DATA",
    "EPOCHS",
    "FASHION_MLP",
    "FINE_RATES",
    "LABORATORY",
    "LEVELS",
    "PANDA",
    "SPACE",
    "SPEED",
    "TPE",
    "Laboratory",
    "Trainer",
    "best_so_far",
    "evaluate_mlp",
    "find_best_rate",
    "laboratory",
    "nurse",
    "replay",
    "replay_halving",
    "replay_one_by_one",
    "replay_tpe",
    "time_workers",
    "train_at_each_rate",
]

EPOCHS = 9
"""Passes over the training images: 1, 3 and 9 are the rungs of successive halving."""

TRAINED_ON = 8_000
"""Images to train on, the first ones."""

FRESH = slice(10_000, 30_000)
"""Training images that the laboratory never trains on: they stand for the world outside."""

LEVELS: dict[str, list[Any]] = {
    "width": [20, 60, 180],
    "batch_size": [32, 128, 512],
    "momentum": [0.0, 0.8, 0.95, 0.99],
    "learning_rate": one_two_five(-4, 0),
}
"""The values that the laboratory has trained with, in every combination."""

SPACE = {
    "learning_rate": Range(1e-4, 1.0, "log"),
    "momentum": Range(0.0, 0.99, "one minus log"),
    "batch_size": Range(32, 512, "log", integer=True),
    "width": Range(20, 180, "log", integer=True),
}
"""Where its searches look."""


class Trainer:
    """A 784-width-10 MLP with SGD and momentum that starts again for each training.

    An epoch is one compiled function: with so small a network, Keras's `fit` would take three
    times as long.

    Args:
        data: Fashion-MNIST; its first training images are trained on, in whole batches.
        seed: seed of the initial weights and of the orders of the examples.
        width: units of the hidden layer.
        batch_size: examples a step.
        momentum: of SGD, from 0 to less than 1.
        images: how many images are trained on, at least batch_size.

    Raises:
        ValueError: images is less than batch_size, or more than there are.
        TypeError: an argument is of the wrong kind; momentum 0 is to be written 0.0.

    Example:
        >>> data = load_fashion_mnist()
        >>> trainer = Trainer(data, 0, width=20, batch_size=32, momentum=0.9, images=64)
        >>> trainer.train(0.1) == trainer.train(0.1)
        True
    """

    @checked
    def __init__(
        self,
        data: FashionMNIST,
        seed: int,
        *,
        width: int,
        batch_size: int,
        momentum: float,
        images: int = TRAINED_ON,
    ) -> None:
        import keras
        import tensorflow as tf

        if images < batch_size:
            raise ValueError(f"images must be at least {batch_size}, a batch, found {images}")
        if images > len(data.x_train):
            raise ValueError(f"images must be at most {len(data.x_train)}, found {images}")
        if not isinstance(momentum, float):
            raise TypeError(f"momentum must be a float, such as 0.0, found {momentum!r}")

        keras.utils.set_random_seed(seed)
        model = mlp((width,))
        optimizer = keras.optimizers.SGD(momentum=momentum)
        optimizer.build(model.trainable_variables)
        loss_of = keras.losses.SparseCategoricalCrossentropy()
        x, y = tf.constant(data.x_train[:images]), tf.constant(data.y_train[:images])

        @tf.function(jit_compile=True)  # type: ignore[untyped-decorator]
        def train_epoch(batches: tf.Tensor) -> None:
            for i in tf.range(tf.shape(batches)[0]):
                with tf.GradientTape() as tape:
                    guesses = model(tf.gather(x, batches[i]), training=True)
                    loss = loss_of(tf.gather(y, batches[i]), guesses)
                optimizer.apply(tape.gradient(loss, model.trainable_variables))

        @tf.function(jit_compile=True)  # type: ignore[untyped-decorator]
        def guess(images: tf.Tensor) -> tf.Tensor:
            return tf.argmax(model(images), axis=1)

        self.data, self.seed, self.images = data, seed, images
        self.batches = images // batch_size, batch_size
        self.variables = [*model.variables, *optimizer.variables]
        self.start = [variable.numpy() for variable in self.variables]
        self.optimizer, self.train_epoch, self.guess = optimizer, train_epoch, guess

    def train(
        self, learning_rate: float, report: Report | None = None, *, epochs: int = EPOCHS
    ) -> list[float]:
        """Train anew, from the start.

        Args:
            learning_rate: the rate, greater than 0.
            epochs: passes over the images.
            report: called with the epoch, from 1, and the validation error at its end.

        Returns:
            The validation error, from 0 to 1, after each epoch.
        """
        for variable, value in zip(self.variables, self.start, strict=True):
            variable.assign(value)
        self.optimizer.learning_rate = learning_rate
        rng = np.random.default_rng(self.seed)
        errors = []
        for epoch in range(1, epochs + 1):
            order = rng.permutation(self.images)[: math.prod(self.batches)]
            self.train_epoch(order.reshape(self.batches))
            errors.append(float(self.wrong(self.data.x_valid, self.data.y_valid).mean()))
            if report is not None:
                report(epoch, errors[-1])
        return errors

    def wrong(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """Return, for each image, whether the network gets it wrong."""
        return self.guess(x).numpy() != y


@checked
def evaluate_mlp(configuration: Configuration, report: Report) -> float:
    """Train the MLP with a configuration of `SPACE`: what the workers of the book's search do.

    Args:
        configuration: learning_rate, momentum, batch_size and width.
        report: called with each epoch and its validation error.

    Returns:
        The validation error after the last epoch, from 0 to 1.

    Example:
        >>> FASHION_MLP.evaluate is evaluate_mlp
        True
    """
    reproducible.begin(0)
    settings = dict(configuration)
    rate = settings.pop("learning_rate")
    return Trainer(load_fashion_mnist(), 0, **settings).train(rate, report)[-1]


FASHION_MLP = Search(SPACE, evaluate_mlp)
"""The book's search: an MLP on 8,000 images of Fashion-MNIST."""


@checked
def train_at_each_rate(
    data: FashionMNIST, seed: int, *, width: int, batch_size: int, momentum: float
) -> dict[str, Any]:
    """Train the 784-width-10 MLP once at each learning rate of `LEVELS`, from the same start.

    Args:
        data: Fashion-MNIST; the test set stays closed.
        seed: seed of the initial weights and of the orders of the examples.
        width: units of the hidden layer.
        batch_size: examples a step.
        momentum: of SGD.

    Returns:
        valid_error, for each rate a list with one entry an epoch; fresh_wrong, for each rate, how
        many of each thousand of 20,000 images that no training used the network gets wrong.

    Example:
        >>> settings = {"width": 20, "batch_size": 512, "momentum": 0.0}
        >>> found = train_at_each_rate(load_fashion_mnist(), 0, **settings)
        >>> {name: np.shape(values) for name, values in found.items()}
        {'valid_error': (13, 9), 'fresh_wrong': (13, 20)}
    """
    trainer = Trainer(data, seed, width=width, batch_size=batch_size, momentum=momentum)
    found: dict[str, Any] = {"valid_error": [], "fresh_wrong": []}
    for rate in LEVELS["learning_rate"]:
        found["valid_error"].append(trainer.train(rate))
        wrong = trainer.wrong(data.x_train[FRESH], data.y_train[FRESH])
        found["fresh_wrong"].append(wrong.reshape(-1, 1000).sum(axis=1).tolist())
    return found


FINE_RATES = [2.0 ** (k / 2) for k in range(-18, 5)]
"""Learning rates from 1/512 to 4, two in each doubling."""


@checked
def find_best_rate(
    data: FashionMNIST, seed: int, *, batch_size: int, images: int, epochs: int
) -> dict[str, Any]:
    """Train the 784-60-10 MLP with plain SGD once at each of `FINE_RATES`.

    Args:
        data: Fashion-MNIST; the test set stays closed.
        seed: seed of the initial weights and of the orders of the examples.
        batch_size: examples a step.
        images: how many images are trained on.
        epochs: passes over them.

    Returns:
        valid_error, one for each rate: the validation error after the last epoch.

    Example:
        >>> settings = {"batch_size": 32, "images": 64, "epochs": 1}
        >>> len(find_best_rate(load_fashion_mnist(), 0, **settings)["valid_error"])
        23
    """
    trainer = Trainer(data, seed, width=60, batch_size=batch_size, momentum=0.0, images=images)
    return {"valid_error": [trainer.train(rate, epochs=epochs)[-1] for rate in FINE_RATES]}


LABORATORY = Experiment(
    name="search-laboratory",
    question="What comes of each rate, momentum, batch size and width?",
    train=train_at_each_rate,
    grid={name: LEVELS[name] for name in ("width", "batch_size", "momentum")},
    seeds=range(5),
    tolerance={"valid_error": 0.15, "fresh_wrong": 150},
    load=load_fashion_mnist,
)

BY_BATCH = Experiment(
    name="rates-by-batch-size",
    question="How does the best rate move with the batch size, at equal passes over the data?",
    train=find_best_rate,
    grid={
        "batch_size": [8, 16, 32, 64, 128, 256, 512, 1024],
        "images": [16_384],
        "epochs": [5],
    },
    seeds=range(5),
    tolerance={"valid_error": 0.15},
    load=load_fashion_mnist,
)

BY_DATA = Experiment(
    name="rates-by-data-size",
    question="How does the best rate move with the amount of data, at equal passes?",
    train=find_best_rate,
    grid={"batch_size": [32], "images": [512, 2048, 8192, 32_768], "epochs": [5, 20]},
    seeds=range(5),
    tolerance={"valid_error": 0.15},
    load=load_fashion_mnist,
)


@checked
def time_workers(
    data: FashionMNIST,  # noqa: ARG001
    seed: int,
    *,
    workers: int,
) -> dict[str, float]:
    """Let several workers, each a process with one thread, share a study of 16 trainings.

    Args:
        data: Fashion-MNIST; loaded so that the workers find it on the disk.
        seed: of the configurations.
        workers: how many processes.

    Returns:
        seconds, from the start of the first worker to the end of the last; training_seconds, the
        same without the time until the first training begins; best, the smallest error found.

    Raises:
        RuntimeError: a worker failed.

    Example:
        >>> sorted(SPEED.tolerance)
        ['best', 'seconds', 'training_seconds']
    """
    with tempfile.TemporaryDirectory() as folder:
        storage = f"sqlite:///{Path(folder).as_posix()}/search.db"
        study = create_study(
            BOOK_SEARCH, 16, storage=storage, name="speed", method="quasi-random", seed=seed
        )
        command = [sys.executable, "-m", "helpers.search", "worker"]
        command += ["--storage", storage, "--study", "speed"]
        began = time.perf_counter()
        processes = [
            subprocess.Popen(
                command, env={**os.environ, "BOOK_THREADS": "1"}, stdout=subprocess.DEVNULL
            )
            for _ in range(workers)
        ]
        codes = [process.wait() for process in processes]
        seconds = time.perf_counter() - began
        if any(codes):
            raise RuntimeError(f"a worker failed; exit codes {codes}")
        starts = [trial.datetime_start for trial in study.trials if trial.datetime_start]
        ends = [trial.datetime_complete for trial in study.trials if trial.datetime_complete]
        return {
            "seconds": seconds,
            "training_seconds": (max(ends) - min(starts)).total_seconds(),
            "best": status(study)["best"]["loss"],
        }


SPEED = Experiment(
    name="search-workers",
    question="How much faster are several workers on one machine?",
    train=time_workers,
    grid={"workers": [1, 2, 4]},
    seeds=range(5),
    tolerance={"best": 0.02, "seconds": 600, "training_seconds": 600},  # any machine's time
    load=load_fashion_mnist,
)


@checked
def nurse(
    data: FashionMNIST, seed: int, *, width: int, batch_size: int, momentum: float
) -> dict[str, float]:
    """Train the 784-width-10 MLP once, at half of the rate that a range test of 500 steps suggests.

    Args:
        data: Fashion-MNIST; the test set stays closed.
        seed: seed of the initial weights and of the orders of the examples, of both.
        width: units of the hidden layer.
        batch_size: examples a step.
        momentum: of SGD.

    Returns:
        rate, what it was trained at; fresh_error, from 0 to 1, on 20,000 images that no training
        used.

    Example:
        >>> settings = {"width": 20, "batch_size": 512, "momentum": 0.8}
        >>> sorted(nurse(load_fashion_mnist(), 0, **settings))
        ['fresh_error', 'rate']
    """
    import keras

    keras.utils.set_random_seed(seed)
    model = mlp((width,))
    optimizer = keras.optimizers.SGD(momentum=momentum)
    model.compile(optimizer, "sparse_categorical_crossentropy")
    tested = range_test(
        model,
        data.x_train[:TRAINED_ON],
        data.y_train[:TRAINED_ON],
        steps=500,
        batch_size=batch_size,
        seed=seed,
    )
    trainer = Trainer(data, seed, width=width, batch_size=batch_size, momentum=momentum)
    trainer.train(tested.suggestion / 2)
    wrong = trainer.wrong(data.x_train[FRESH], data.y_train[FRESH])
    return {"rate": tested.suggestion / 2, "fresh_error": float(wrong.mean())}


PANDA = Experiment(
    name="panda",
    question="How good is one training at the rate that a range test suggests?",
    train=nurse,
    grid={"width": [60, 180], "batch_size": [32, 128], "momentum": [0.8, 0.95]},
    seeds=range(5),
    tolerance={"rate": 0.05, "fresh_error": 0.03},
    load=load_fashion_mnist,
)


@dataclass(frozen=True)
class Laboratory:
    """The trainings of the laboratory's table, by place: one place for each configuration.

    Args:
        configurations: what was trained at each place.
        errors: (places, seeds, epochs) validation errors, from 0 to 1.
        fresh_parts: (places, seeds, 20) errors on each thousand of 20,000 images that no training
            used.

    Example:
        >>> lab = laboratory()
        >>> len(lab.configurations), lab.fresh.shape
        (468, (468, 5))
    """

    configurations: tuple[Configuration, ...]
    errors: np.ndarray
    fresh_parts: np.ndarray

    @property
    def fresh(self) -> np.ndarray:
        """(places, seeds) errors on all the images that no training used."""
        return self.fresh_parts.mean(axis=-1)

    def nearest(self, configurations: Sequence[Configuration]) -> np.ndarray:
        """Return the places that are nearest to configurations, on the scales of `SPACE`.

        Args:
            configurations: with a value for each name of `SPACE`, within it.

        Returns:
            An int array, one place for each.

        Raises:
            SearchError: a value is outside of the space.

        Example:
            >>> lab = laboratory()
            >>> asked = {"learning_rate": 0.03, "momentum": 0.89, "batch_size": 60, "width": 100}
            >>> lab.configurations[lab.nearest([asked])[0]]
            {'width': 60, 'batch_size': 32, 'momentum': 0.8, 'learning_rate': 0.02}
        """
        places = np.zeros(len(configurations), dtype=int)
        for name, levels in LEVELS.items():
            known = SPACE[name].position(levels)
            asked = SPACE[name].position([c[name] for c in configurations])
            nearest = np.abs(asked[:, None] - known).argmin(axis=1)
            places = places * len(levels) + nearest
        return places

    def observe(
        self, places: np.ndarray, rng: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return what one training at each place shows, and what the place is worth without it.

        A search prefers trainings that were lucky. So what it chose is judged by the trainings
        with the other seeds, which it did not see.

        Args:
            places: an int array of any shape.
            rng: draws the seed of each training.

        Returns:
            The validation errors after each epoch: the shape of places, then epochs. The mean
            error, on images that no training used, of the other seeds: the shape of places.
        """
        seeds = rng.integers(self.errors.shape[1], size=np.shape(places))
        others = (self.fresh.sum(axis=1)[places] - self.fresh[places, seeds]) / (
            self.fresh.shape[1] - 1
        )
        return self.errors[places, seeds], others


def laboratory() -> Laboratory:
    """Read the laboratory's table.

    Raises:
        TableError: the table is missing, incomplete, damaged or older than its code.

    Example:
        >>> laboratory().errors.shape
        (468, 5, 9)
    """
    table = LABORATORY.table()
    axes = [*LABORATORY.grid, "seed"]
    errors, wrong = (
        np.moveaxis(table.array(name, *axes), len(axes) - 1, len(axes))
        for name in ("valid_error", "fresh_wrong")
    )
    points = [dict(zip(LEVELS, values, strict=True)) for values in product(*LEVELS.values())]
    return Laboratory(
        configurations=tuple(points),
        errors=errors.reshape(len(points), *errors.shape[-2:]),
        fresh_parts=wrong.reshape(len(points), *wrong.shape[-2:]) / 1000,
    )


@checked
def best_so_far(observed: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Return what the choice after each trial is truly worth: the best by what was observed.

    Args:
        observed: (..., n) errors that the search saw, in the order of its trials.
        truth: (..., n) what those configurations are really worth.

    Raises:
        ValueError: the two have not the same shape.

    Example:
        >>> best_so_far(np.array([3.0, 1.0, 2.0]), np.array([0.3, 0.2, 0.1])).tolist()
        [0.3, 0.2, 0.2]
    """
    if np.ndim(observed) == 0 or np.shape(observed) != np.shape(truth):
        raise ValueError(f"expected two lists alike, found {observed!r} and {truth!r}")
    best = np.minimum.accumulate(observed, axis=-1)
    is_new = np.diff(best, axis=-1, prepend=np.inf) < 0
    latest = np.maximum.accumulate(np.where(is_new, np.arange(observed.shape[-1]), 0), axis=-1)
    return np.take_along_axis(truth, latest, axis=-1)


@checked
def replay(
    lab: Laboratory,
    design: Callable[[np.random.Generator], Sequence[Configuration]],
    searches: int,
    rng: np.random.Generator,
) -> np.ndarray:
    """Replay a search many times: each trial is answered by a training of the laboratory.

    Args:
        lab: from `laboratory`.
        design: called with rng for each search; the configurations in the order they are tried.
        searches: how many searches.
        rng: for the designs, and for the seed of each training.

    Returns:
        (searches, trials): the worth (see `Laboratory.observe`) of the configuration that had the
        smallest validation error after each number of trials.

    Example:
        >>> lab, rng = laboratory(), np.random.default_rng(0)
        >>> replay(lab, lambda rng: at_random(SPACE, 20, rng), 5, rng).shape
        (5, 20)
    """
    places = np.stack([lab.nearest(design(rng)) for _ in range(searches)])
    observed, worth = lab.observe(places, rng)
    return best_so_far(observed[..., -1], worth)


@checked
def replay_one_by_one(
    lab: Laboratory,
    search: Callable[[Callable[[Configuration], float], np.random.Generator], object],
    searches: int,
    rng: np.random.Generator,
) -> np.ndarray:
    """Replay a search that decides what to try by what it has seen.

    Args:
        lab: from `laboratory`.
        search: called with evaluate, which gives a configuration's validation error, and rng.
        searches: how many searches.
        rng: for the searches, and for the seed of each training.

    Returns:
        (searches, trials), as from `replay`.

    Example:
        >>> from helpers.search import coarse_to_fine
        >>> def zooming(evaluate, rng):
        ...     return coarse_to_fine(evaluate, SPACE, rounds=2, size=5, rng=rng)
        >>> replay_one_by_one(laboratory(), zooming, 3, np.random.default_rng(0)).shape
        (3, 10)
    """

    def once() -> np.ndarray:
        observed: list[float] = []
        truth: list[float] = []

        def evaluate(configuration: Configuration) -> float:
            errors, worth = lab.observe(lab.nearest([configuration]), rng)
            observed.append(float(errors[0, -1]))
            truth.append(float(worth[0]))
            return observed[-1]

        search(evaluate, rng)
        return best_so_far(np.array(observed), np.array(truth))

    return np.stack([once() for _ in range(searches)])


@checked
def replay_tpe(lab: Laboratory, seed: int, *, searches: int, trials: int) -> dict[str, list[float]]:
    """Replay Optuna's TPE many times.

    Args:
        lab: from `laboratory`.
        seed: of the searches, and of the seeds of the trainings.
        searches: how many searches.
        trials: of each search.

    Returns:
        mean and deviation, over the searches, of the worth after each trial, as from `replay`.

    Example:
        >>> found = replay_tpe(laboratory(), 0, searches=2, trials=3)
        >>> len(found["mean"]), len(found["deviation"])
        (3, 3)
    """

    def once(evaluate: Callable[[Configuration], float], rng: np.random.Generator) -> None:
        search = Search(SPACE, lambda configuration, _: evaluate(configuration))
        study = create_study(search, trials, method="tpe", seed=int(rng.integers(2**31)))
        work(study, search, say=lambda _: None)

    found = replay_one_by_one(lab, once, searches, np.random.default_rng(seed))
    return {"mean": found.mean(axis=0).tolist(), "deviation": found.std(axis=0).tolist()}


@checked
def replay_halving(
    lab: Laboratory, size: int, searches: int, rng: np.random.Generator
) -> tuple[float, np.ndarray]:
    """Replay successive halving: all for 1 epoch, the best third for 3, the best ninth for 9.

    (Jamieson and Talwalkar, 2016, https://arxiv.org/abs/1502.07943, with thirds.)

    Args:
        lab: from `laboratory`.
        size: how many configurations begin, a multiple of 9.
        searches: how many searches.
        rng: draws the configurations and the seed of each training.

    Returns:
        The cost of a search in whole trainings, and (searches,) worths (see `Laboratory.observe`)
        of the configuration that won.

    Raises:
        ValueError: size is not a positive multiple of 9.

    Example:
        >>> cost, errors = replay_halving(laboratory(), 27, 4, np.random.default_rng(0))
        >>> cost, errors.shape
        (7.0, (4,))
    """
    if size < 9 or size % 9:
        raise ValueError(f"size must be a positive multiple of 9, found {size!r}")
    places = lab.nearest(at_random(SPACE, searches * size, rng)).reshape(searches, size)
    observed, worth = lab.observe(places, rng)
    for epochs, share in ((1, 3), (3, 9)):
        best = np.argsort(observed[..., epochs - 1], axis=1, kind="stable")[:, : size // share]
        worth = np.take_along_axis(worth, best, axis=1)
        observed = np.take_along_axis(observed, best[..., None], axis=1)
    winner = observed[..., -1].argmin(axis=1)
    cost = (size * 1 + size // 3 * (3 - 1) + size // 9 * (9 - 3)) / EPOCHS
    return cost, worth[np.arange(searches), winner]


TPE = Experiment(
    name="search-tpe",
    question="How good is TPE after each trial?",
    train=replay_tpe,
    grid={"searches": [100], "trials": [54]},
    seeds=range(6),
    tolerance={"mean": 0.05, "deviation": 0.1},
    load=laboratory,
)
