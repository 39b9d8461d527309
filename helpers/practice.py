"""Training in practice: fresh batches, when to stop, what to keep, how to go on after a kill."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from helpers.data import FashionMNIST
from helpers.models import mlp
from helpers.reproducible import verbose
from helpers.tracking import step_log

if TYPE_CHECKING:
    import keras
    import tensorflow as tf

__all__ = ["best_in_log", "compiled_mlp", "shuffled_batches", "stopping", "train"]


def shuffled_batches(
    x: np.ndarray, y: np.ndarray, *, batch_size: int = 32, seed: int
) -> tf.data.Dataset:
    """Return a dataset of batches that has the examples in another order in each epoch.

    Given arrays, and after `keras.utils.set_random_seed`, Keras's `fit` uses one and the same
    order in every epoch. This dataset has a seed, too, but goes on drawing from it.

    Args:
        x: (n, ...) inputs.
        y: (n, ...) labels.
        batch_size: examples a step, at least 1; the last batch of an epoch may be smaller.
        seed: gives the orders.

    Raises:
        ValueError: the arrays are empty or not as many, or batch_size is less than 1.

    Example:
        >>> numbers = np.arange(5)
        >>> epochs = shuffled_batches(numbers, numbers, batch_size=5, seed=0)
        >>> first, second = (next(iter(epochs))[0].numpy().tolist() for _ in range(2))
        >>> first == second, sorted(first) == sorted(second)
        (False, True)
    """
    import tensorflow as tf

    if len(x) != len(y) or len(x) == 0:
        raise ValueError(f"expected as many labels as inputs, found {len(x)} and {len(y)}")
    if batch_size < 1:
        raise ValueError(f"batch_size must be at least 1, found {batch_size!r}")
    examples = tf.data.Dataset.from_tensor_slices((x, y))
    return examples.shuffle(len(x), seed=seed).batch(batch_size).prefetch(64)


def compiled_mlp(learning_rate: float, *, clip: float | None = None) -> keras.Sequential:
    """Return a new 784-300-100-10 MLP, compiled with SGD.

    Args:
        learning_rate: the rate, greater than 0.
        clip: largest norm that the whole gradient may have; None for no limit.

    Raises:
        ValueError: learning_rate or clip is not greater than 0.

    Example:
        >>> compiled_mlp(0.1, clip=1.0).optimizer.global_clipnorm
        1.0
    """
    import keras

    for name, value in (("learning_rate", learning_rate), ("clip", clip)):
        if value is not None and not value > 0:
            raise ValueError(f"{name} must be greater than 0, found {value!r}")
    model = mlp()
    model.compile(
        optimizer=keras.optimizers.SGD(learning_rate, global_clipnorm=clip),
        loss="sparse_categorical_crossentropy",
        metrics=["accuracy"],
        jit_compile=True,
        steps_per_execution=64,
    )
    return model


def stopping(
    monitor: str, *, patience: int = 20, lower_after: int | None = None
) -> list[keras.callbacks.Callback]:
    """Return callbacks that lower the rate, and end the training, when nothing gets better.

    Args:
        monitor: what must get better for the training to go on: "val_loss" or "val_accuracy".
        patience: epochs without a new best after which the training ends; the weights of the
            best epoch are put back.
        lower_after: epochs without a new best validation loss after which the rate is divided
            by ten; None to leave it as it is.

    Raises:
        ValueError: monitor is another name, or a number of epochs is less than 1.

    Example:
        >>> [type(callback).__name__ for callback in stopping("val_loss", lower_after=3)]
        ['TerminateOnNaN', 'ReduceLROnPlateau', 'EarlyStopping']
    """
    import keras

    if monitor not in {"val_loss", "val_accuracy"}:
        raise ValueError(f"monitor is 'val_loss' or 'val_accuracy', found {monitor!r}")
    if patience < 1 or (lower_after is not None and lower_after < 1):
        raise ValueError(
            f"expected at least 1 epoch of patience, found {patience!r}, {lower_after!r}"
        )
    callbacks: list[keras.callbacks.Callback] = [keras.callbacks.TerminateOnNaN()]
    if lower_after is not None:
        callbacks.append(
            keras.callbacks.ReduceLROnPlateau(monitor="val_loss", factor=0.1, patience=lower_after)
        )
    callbacks.append(
        keras.callbacks.EarlyStopping(monitor=monitor, patience=patience, restore_best_weights=True)
    )
    return callbacks


def train(
    folder: str | Path, data: FashionMNIST, *, seed: int, learning_rate: float, epochs: int = 100
) -> keras.callbacks.History:
    """Train the MLP with all that a long run needs. After a kill, call it again: it goes on.

    The folder then holds `best.keras`, the network with the best validation accuracy;
    `log.csv`, a row an epoch; `run/`, TensorBoard's event files; and, for as long as the training
    is not finished, `backup/`, from which it goes on.

    Args:
        folder: where to keep all this; it is made if it is missing.
        data: Fashion-MNIST; only its training and validation parts are used.
        seed: seed of the initial weights and of the orders of the examples.
        learning_rate: the rate to begin with.
        epochs: the most epochs to train.

    Returns:
        Keras's history of the epochs that this call trained.

    Example:
        >>> import tempfile
        >>> from helpers.data import few, load_fashion_mnist
        >>> data = few(load_fashion_mnist(), 64)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     history = train(folder, data, seed=0, learning_rate=0.1, epochs=2)
        ...     sorted(path.name for path in Path(folder).iterdir())
        ['best.keras', 'log.csv', 'run']
    """
    import keras

    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    keras.utils.set_random_seed(seed)
    model = compiled_mlp(learning_rate)
    log = folder / "log.csv"
    return model.fit(
        shuffled_batches(data.x_train, data.y_train, seed=seed),
        validation_data=(data.x_valid, data.y_valid),
        epochs=epochs,
        callbacks=[
            *stopping("val_accuracy", lower_after=3),
            keras.callbacks.ModelCheckpoint(
                folder / "best.keras",
                monitor="val_accuracy",
                save_best_only=True,
                initial_value_threshold=best_in_log(log, "val_accuracy"),
            ),
            keras.callbacks.TensorBoard(folder / "run", write_graph=False),
            step_log(folder / "run" / "steps"),
            keras.callbacks.BackupAndRestore(folder / "backup", double_checkpoint=True),
            keras.callbacks.CSVLogger(log, append=True),
        ],
        shuffle=False,  # the dataset shuffles
        verbose=verbose(),
    )


def best_in_log(log: str | Path, name: str) -> float | None:
    r"""Return the largest value of a column in the file of a `CSVLogger`.

    Args:
        log: the file.
        name: the column, such as "val_accuracy".

    Returns:
        The largest value, or None if the file is missing or has no row yet.

    Raises:
        ValueError: there are rows, but no such column.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     log = Path(folder, "log.csv")
        ...     _ = log.write_text("epoch,val_accuracy\n0,0.85\n1,0.87\n2,0.86\n")
        ...     best_in_log(log, "val_accuracy")
        0.87
    """
    if not Path(log).is_file():
        return None
    with Path(log).open(newline="", encoding="utf-8") as file:
        rows: list[dict[str, Any]] = list(csv.DictReader(file))
    if not rows:
        return None
    if name not in rows[0]:
        raise ValueError(f"no column {name!r} in {log}; it has {sorted(rows[0])}")
    return max(float(row[name]) for row in rows)
