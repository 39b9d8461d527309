"""The experiments about schedules: a tournament of schedules, and the source's long run."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from helpers.checks import checked
from helpers.data import FashionMNIST, load_fashion_mnist
from helpers.experiments import Experiment
from helpers.models import mlp

if TYPE_CHECKING:
    import tensorflow as tf

__all__ = [
    "AVERAGED",
    "COMPANY",
    "FRESH",
    "NAMES",
    "NOISE_FLOOR",
    "PEAKS",
    "PLATEAU",
    "TOURNAMENT",
    "WARM_UP",
    "WARM_UP_PEAKS",
    "ScheduledTrainer",
    "arms",
    "batches_in_order",
    "compete",
    "drop_rate",
    "train_in_company",
    "warm_up",
]

TRAINED_ON = 20_000
"""Images to train on, the first ones."""

FRESH = slice(30_000, 50_000)
"""Training images that no run of the tournament trains on: they judge what was chosen."""

BATCH_SIZE = 128

PEAKS = [2.0**k for k in range(-9, -1)]
"""The largest rates that are tried: 1/512 to 1/4, each twice the one before."""

NAMES = [
    "constant",
    "exponential",
    "piecewise",
    "linear",
    "cosine",
    "warm-up, cosine",
    "inverse root",
    "one-cycle",
    "warm-up, stable, decay",
    "restarts",
    "triangular",
    "constant, averaged",
    "plateau",
]
"""The arms of the tournament, in the order of `arms`."""

PLATEAU = "plateau"
"""The arm that lowers its rate when the validation loss has not improved."""

AVERAGED = "constant, averaged"
"""The arm with a constant rate whose weights are averaged along the way."""


@checked
def arms(peak: float, steps: int) -> dict[str, Any]:
    """Return the arms of the tournament: a schedule for each, or a number.

    Args:
        peak: the largest rate.
        steps: of the whole training.

    Raises:
        ValueError: steps is less than 10.

    Example:
        >>> from helpers.schedules import values
        >>> values(arms(0.5, 20)["linear"], [0, 5, 10, 15]).tolist()
        [0.5, 0.375, 0.25, 0.125]
    """
    import keras

    from helpers.schedules import (
        CosineRestarts,
        InverseSquareRoot,
        OneCycle,
        Triangular,
        WarmupStableDecay,
    )

    if steps < 10:
        raise ValueError(f"steps must be at least 10, found {steps!r}")
    kerass = keras.optimizers.schedules
    half, rest = steps // 2, 3 * steps // 4
    warm: dict[str, Any] = {"warmup_fraction": 0.1, "start_at_floor": False}
    return {
        "constant": peak,
        "exponential": kerass.ExponentialDecay(peak, steps, 0.01),
        "piecewise": kerass.PiecewiseConstantDecay([half, rest], [peak, peak / 10, peak / 100]),
        "linear": kerass.PolynomialDecay(peak, steps, 0.0),
        "cosine": kerass.CosineDecay(peak, steps),
        "warm-up, cosine": CosineRestarts(peak, steps, **warm),
        "inverse root": InverseSquareRoot(peak, steps / 10),
        "one-cycle": OneCycle(peak, steps),
        "warm-up, stable, decay": WarmupStableDecay(peak, steps),
        "restarts": CosineRestarts(peak, steps / 7, growth=2, **warm),  # 1 + 2 + 4 sevenths
        "triangular": Triangular(peak / 10, peak, half_cycle=steps / 6),  # three of them
        AVERAGED: peak,
        PLATEAU: peak,
    }


class ScheduledTrainer:
    """The 784-300-100-10 MLP and any rate at each step; each training is new.

    The rates of an epoch are an argument of one compiled function, so that no schedule has to be
    compiled: with Keras's `fit`, compiling would take longer than training.

    Args:
        data: Fashion-MNIST; its first training images are trained on, in whole batches.
        seed: seed of the initial weights and of the orders of the examples.
        images: how many images are trained on.
        ema: momentum of an average of the weights along the way, which are its weights at the end;
            by default there is none.
        optimizer: a class of Keras; by default SGD with momentum 0.9.

    Raises:
        TypeError: data is no Fashion-MNIST, or seed or images no whole number.
        ValueError: images is less than a batch or more than there are, or ema not from 0 to 1.

    Example:
        >>> trainer = ScheduledTrainer(load_fashion_mnist(), 0, images=256)
        >>> trainer.train(np.full(2, 0.1), epochs=1)
        >>> trainer.train(np.full(3, 0.1), epochs=1)
        Traceback (most recent call last):
            ...
        ValueError: expected a rate for each of 2 steps in 1 epochs, found 3
    """

    @checked
    def __init__(
        self,
        data: FashionMNIST,
        seed: int,
        *,
        images: int = TRAINED_ON,
        ema: float | None = None,
        optimizer: Callable[..., Any] | None = None,
    ) -> None:
        import keras
        import tensorflow as tf

        if not BATCH_SIZE <= images <= len(data.x_train):
            raise ValueError(
                f"images must be from {BATCH_SIZE}, a batch, to {len(data.x_train)}, found {images}"
            )
        if ema is not None and not 0 <= ema <= 1:
            raise ValueError(f"ema must be at least 0, at most 1, found {ema!r}")
        keras.utils.set_random_seed(seed)
        model = mlp()
        averaging = {} if ema is None else {"use_ema": True, "ema_momentum": ema}
        make = optimizer or partial(keras.optimizers.SGD, momentum=0.9)
        made: Any = make(**averaging)
        made.build(model.trainable_variables)
        loss_of = keras.losses.SparseCategoricalCrossentropy()
        x, y = tf.constant(data.x_train[:images]), tf.constant(data.y_train[:images])

        @tf.function(jit_compile=True)  # type: ignore[untyped-decorator]
        def train_epoch(batches: tf.Tensor, rates: tf.Tensor) -> None:
            for i in tf.range(tf.shape(batches)[0]):
                made.learning_rate.assign(rates[i])
                with tf.GradientTape() as tape:
                    guesses = model(tf.gather(x, batches[i]), training=True)
                    loss = loss_of(tf.gather(y, batches[i]), guesses)
                made.apply(tape.gradient(loss, model.trainable_variables))

        @tf.function(jit_compile=True)  # type: ignore[untyped-decorator]
        def guess(images: tf.Tensor) -> tf.Tensor:
            return model(images)

        self.data, self.seed, self.images, self.ema = data, seed, images, ema
        self.steps_per_epoch = images // BATCH_SIZE
        self.model, self.optimizer = model, made
        self.variables = [*model.variables, *made.variables]
        self.start = [variable.numpy() for variable in self.variables]
        self.train_epoch, self.guess = train_epoch, guess

    def train(
        self,
        rates: np.ndarray,
        *,
        epochs: int,
        watch: Callable[[int, np.ndarray], np.ndarray] | None = None,
    ) -> None:
        """Train anew, from the start.

        Args:
            rates: (epochs x steps an epoch,) the rate of each step.
            epochs: passes over the images.
            watch: called after each epoch with its number, from 0, and the rates; it returns the
                rates to go on with.

        Raises:
            ValueError: there is not one rate for each step.
        """
        steps = epochs * self.steps_per_epoch
        if len(rates) != steps:
            raise ValueError(
                f"expected a rate for each of {steps} steps in {epochs} epochs, found {len(rates)}"
            )
        for variable, value in zip(self.variables, self.start, strict=True):
            variable.assign(value)
        rng = np.random.default_rng(self.seed)
        shape = self.steps_per_epoch, BATCH_SIZE
        for epoch in range(epochs):
            order = rng.permutation(self.images)[: shape[0] * shape[1]].reshape(shape)
            now = slice(epoch * shape[0], (epoch + 1) * shape[0])
            self.train_epoch(order, rates[now].astype(np.float32))
            if watch is not None:
                rates = watch(epoch, rates)
        if self.ema is not None:
            self.optimizer.finalize_variable_values(self.model.trainable_variables)

    def results(self, x: np.ndarray, y: np.ndarray) -> tuple[float, float]:
        """Return the mean loss and the error, from 0 to 1, on some images."""
        guesses = self.guess(x).numpy()
        likelihoods = np.maximum(guesses[np.arange(len(y)), y], 1e-7)
        return float(-np.log(likelihoods).mean()), float((guesses.argmax(axis=1) != y).mean())


@checked
def compete(data: FashionMNIST, seed: int, *, arm: str, epochs: int) -> dict[str, Any]:
    """Train the MLP with one arm of the tournament, once with each of `PEAKS`.

    The arm "plateau" is Keras's `ReduceLROnPlateau` on the validation loss, with factor 0.3 and a
    patience of a tenth of the epochs, at least 1. The averaged arm looks back over a twentieth of
    the steps.

    Args:
        data: Fashion-MNIST; the test set stays closed.
        seed: seed of the initial weights and of the orders of the examples.
        arm: one of `arms`.
        epochs: the budget.

    Returns:
        valid_loss, valid_error and fresh_error, one for each peak, at the end of the training.

    Raises:
        ValueError: arm is not one of `arms`.

    Example:
        >>> found = compete(load_fashion_mnist(), 0, arm="cosine", epochs=1)
        >>> [len(found[name]) for name in ("valid_loss", "valid_error", "fresh_error")]
        [8, 8, 8]
    """
    from helpers.schedules import values

    steps = epochs * (TRAINED_ON // BATCH_SIZE)
    if arm not in arms(1.0, steps):
        raise ValueError(f"arm is one of {', '.join(arms(1.0, steps))}, found {arm!r}")
    ema = 1 - 20 / steps if arm == AVERAGED else None
    trainer = ScheduledTrainer(data, seed, ema=ema)
    found: dict[str, Any] = {"valid_loss": [], "valid_error": [], "fresh_error": []}
    for peak in PEAKS:
        watch = _plateau(trainer, peak, epochs) if arm == PLATEAU else None
        rates = values(arms(peak, steps)[arm], np.arange(steps))
        trainer.train(rates, epochs=epochs, watch=watch)
        loss, error = trainer.results(data.x_valid, data.y_valid)
        found["valid_loss"].append(loss)
        found["valid_error"].append(error)
        found["fresh_error"].append(trainer.results(data.x_train[FRESH], data.y_train[FRESH])[1])
    return found


def _plateau(
    trainer: ScheduledTrainer, peak: float, epochs: int
) -> Callable[[int, np.ndarray], np.ndarray]:
    """Keras's `ReduceLROnPlateau`, as something that watches a `ScheduledTrainer`."""
    import keras

    callback = keras.callbacks.ReduceLROnPlateau(factor=0.3, patience=max(1, epochs // 10))
    callback.set_model(trainer)
    callback.on_train_begin()
    trainer.optimizer.learning_rate = peak

    def watch(epoch: int, rates: np.ndarray) -> np.ndarray:
        before = float(trainer.optimizer.learning_rate)
        loss, _ = trainer.results(trainer.data.x_valid, trainer.data.y_valid)
        callback.on_epoch_end(epoch, {"val_loss": loss})
        return rates * (float(trainer.optimizer.learning_rate) / before)

    return watch


@checked
def drop_rate(
    data: FashionMNIST, seed: int, *, rate: float, dropped_after: int, epochs: int = 16
) -> dict[str, Any]:
    """Train the MLP at one rate, and from some epoch on at a tenth of it.

    Args:
        data: Fashion-MNIST; the test set stays closed.
        seed: seed of the initial weights and of the orders of the examples.
        rate: the first rate, greater than 0.
        dropped_after: how many epochs have the first rate.
        epochs: passes over the images, the first 20,000.

    Returns:
        loss (on all images trained on) and fresh_error, at the end of each epoch.

    Raises:
        TypeError: rate is not a float.

    Example:
        >>> found = drop_rate(load_fashion_mnist(), 0, rate=0.1, dropped_after=1, epochs=2)
        >>> len(found["loss"]), len(found["fresh_error"])
        (2, 2)
    """
    if not isinstance(rate, float):
        raise TypeError(f"rate must be a float: a tenth of it is one, found {rate!r}")
    trainer = ScheduledTrainer(data, seed)
    rates = np.full(epochs * trainer.steps_per_epoch, rate)
    rates[dropped_after * trainer.steps_per_epoch :] /= 10
    found: dict[str, Any] = {"loss": [], "fresh_error": []}
    trained_on = data.x_train[:TRAINED_ON], data.y_train[:TRAINED_ON]
    fresh = data.x_train[FRESH], data.y_train[FRESH]

    def watch(_: int, rates: np.ndarray) -> np.ndarray:
        found["loss"].append(trainer.results(*trained_on)[0])
        found["fresh_error"].append(trainer.results(*fresh)[1])
        return rates

    trainer.train(rates, epochs=epochs, watch=watch)
    return found


WARM_UP_PEAKS = {
    "momentum": [2.0**k for k in range(-6, 1)],
    "Adam": [2.0**k for k in range(-11, -2)],
}
"""The peaks that `warm_up` tries with each optimizer."""


@checked
def warm_up(
    data: FashionMNIST, seed: int, *, optimizer: str, warmup: int, epochs: int = 4
) -> dict[str, Any]:
    """Train the MLP with a warm-up and a straight decay to zero, once with each peak.

    Args:
        data: Fashion-MNIST; the test set stays closed.
        seed: seed of the initial weights and of the orders of the examples.
        optimizer: "momentum" or "Adam".
        warmup: the steps of the warm-up, 0 for none.
        epochs: the whole budget, warm-up and decay, of passes over the first 20,000 images.

    Returns:
        valid_error and fresh_error at the end, one for each of `WARM_UP_PEAKS`.

    Raises:
        ValueError: another optimizer.

    Example:
        >>> found = warm_up(load_fashion_mnist(), 0, optimizer="Adam", warmup=20, epochs=1)
        >>> len(found["valid_error"]), len(found["fresh_error"])
        (9, 9)
    """
    import keras

    from helpers.schedules import WarmUp, values

    if optimizer not in WARM_UP_PEAKS:
        raise ValueError(f"optimizer is one of {list(WARM_UP_PEAKS)}, found {optimizer!r}")
    trainer = ScheduledTrainer(
        data, seed, optimizer=keras.optimizers.Adam if optimizer == "Adam" else None
    )
    steps = epochs * trainer.steps_per_epoch
    found: dict[str, Any] = {"valid_error": [], "fresh_error": []}
    for peak in WARM_UP_PEAKS[optimizer]:
        decay = keras.optimizers.schedules.PolynomialDecay(peak, steps - warmup, 0.0)
        schedule = WarmUp(decay, warmup) if warmup else decay
        trainer.train(values(schedule, np.arange(steps)), epochs=epochs)
        found["valid_error"].append(trainer.results(data.x_valid, data.y_valid)[1])
        found["fresh_error"].append(trainer.results(data.x_train[FRESH], data.y_train[FRESH])[1])
    return found


@checked
def batches_in_order(x: np.ndarray, y: np.ndarray, *, pipeline: str, seed: int) -> tf.data.Dataset:
    """Return whole batches of 128 in another order in each epoch.

    Args:
        x: (n, ...) inputs.
        y: (n,) labels.
        pipeline: "shuffle, batch", or "batch, shuffle": then a batch has the same examples in
            each epoch.
        seed: gives the orders.

    Raises:
        ValueError: another pipeline.

    Example:
        >>> numbers = np.arange(512)
        >>> batches = batches_in_order(numbers, numbers, pipeline="batch, shuffle", seed=0)
        >>> sorted(int(x[0]) for x, _ in batches)
        [0, 128, 256, 384]
    """
    import tensorflow as tf

    if np.ndim(x) == 0 or np.shape(x)[:1] != np.shape(y)[:1] or len(x) < BATCH_SIZE:
        raise ValueError(
            f"expected {BATCH_SIZE} examples or more, found {np.shape(x)} with {np.shape(y)}"
        )
    examples = tf.data.Dataset.from_tensor_slices((x, y))
    if pipeline == "shuffle, batch":
        return examples.shuffle(len(x), seed=seed).batch(BATCH_SIZE, drop_remainder=True)
    if pipeline == "batch, shuffle":
        return examples.batch(BATCH_SIZE, drop_remainder=True).shuffle(len(x), seed=seed)
    raise ValueError(f"pipeline is 'shuffle, batch' or 'batch, shuffle', found {pipeline!r}")


@checked
def train_in_company(
    data: FashionMNIST, seed: int, *, pipeline: str, sort: bool, rate: float, epochs: int = 8
) -> dict[str, Any]:
    """Train the MLP on batches whose examples change company in each epoch, or never do.

    Args:
        data: Fashion-MNIST; the test set stays closed.
        seed: seed of the initial weights and of the orders.
        pipeline: one of `batches_in_order`.
        sort: whether the images come sorted by class.
        rate: the first rate; it falls in a straight line to zero.
        epochs: passes over the first 19,968 images, 156 batches.

    Returns:
        valid_error and fresh_error at the end.

    Raises:
        ValueError: another pipeline.

    Example:
        >>> settings = {"pipeline": "batch, shuffle", "sort": False, "rate": 0.1, "epochs": 1}
        >>> sorted(train_in_company(load_fashion_mnist(), 0, **settings))
        ['fresh_error', 'valid_error']
    """
    import keras

    whole = TRAINED_ON // BATCH_SIZE * BATCH_SIZE
    x, y = data.x_train[:whole], data.y_train[:whole]
    order = np.argsort(y, kind="stable") if sort else np.arange(whole)
    batches = batches_in_order(x[order], y[order], pipeline=pipeline, seed=seed)
    keras.utils.set_random_seed(seed)
    model = mlp()
    decay = keras.optimizers.schedules.PolynomialDecay(rate, epochs * len(batches), 0.0)
    model.compile(
        keras.optimizers.SGD(decay, momentum=0.9),
        "sparse_categorical_crossentropy",
        metrics=["accuracy"],
        jit_compile=True,
        steps_per_execution=len(batches),
    )
    model.fit(batches, epochs=epochs, shuffle=False, verbose=0)
    judges = {
        "valid_error": (data.x_valid, data.y_valid),
        "fresh_error": (data.x_train[FRESH], data.y_train[FRESH]),
    }
    return {
        name: 1 - model.evaluate(*judge, batch_size=500, verbose=0)[1]
        for name, judge in judges.items()
    }


TOURNAMENT = {
    epochs: Experiment(
        name=f"tournament-{epochs}",
        question=f"Which schedule is best when there are {epochs} epochs?",
        train=compete,
        grid={"arm": NAMES, "epochs": [epochs]},
        seeds=range(5),
        tolerance={"valid_loss": 1.0, "valid_error": 0.05, "fresh_error": 0.05},
        load=load_fashion_mnist,
    )
    for epochs in (2, 8, 32)
}

NOISE_FLOOR = Experiment(
    name="noise-floor",
    question="What does a rate divided by ten do to the MLP, early or late?",
    train=drop_rate,
    grid={"rate": [2.0**-6, 2.0**-4, 2.0**-3], "dropped_after": [4, 12, 16]},
    seeds=range(5),
    tolerance={"loss": 0.3, "fresh_error": 0.03},
    load=load_fashion_mnist,
)

WARM_UP = Experiment(
    name="warm-up",
    question="Which peaks do momentum and Adam bear, after a warm-up of which length?",
    train=warm_up,
    grid={"optimizer": list(WARM_UP_PEAKS), "warmup": [0, 20, 60, 300]},
    seeds=range(5),
    tolerance={"valid_error": 0.8, "fresh_error": 0.8},
    load=load_fashion_mnist,
)

COMPANY = Experiment(
    name="company",
    question="What does it cost to shuffle after batching?",
    train=train_in_company,
    grid={
        "pipeline": ["shuffle, batch", "batch, shuffle"],
        "sort": [False, True],
        "rate": [2.0**k for k in (-9, -7, -5, -3)],
    },
    seeds=range(5),
    tolerance={"valid_error": 0.1, "fresh_error": 0.1},
    load=load_fashion_mnist,
)
