"""Training in practice: fresh batches, when to stop, what to keep, how to go on after a kill."""

from __future__ import annotations

import shutil
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from helpers.checks import checked
from helpers.data import FashionMNIST
from helpers.experiments import unless_diverged
from helpers.models import mlp
from helpers.reproducible import verbose
from helpers.tracking import step_log

if TYPE_CHECKING:
    import keras
    import tensorflow as tf

__all__ = [
    "best_network",
    "compiled_mlp",
    "fit_shuffled",
    "generalisation",
    "results",
    "shuffled_batches",
    "stopping",
    "train",
]


@checked
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

    if np.ndim(x) == 0 or np.ndim(y) == 0 or len(x) != len(y) or len(x) == 0:
        raise ValueError(f"expected as many labels as inputs, found {np.shape(x)}, {np.shape(y)}")
    if batch_size < 1:
        raise ValueError(f"batch_size must be at least 1, found {batch_size!r}")
    examples = tf.data.Dataset.from_tensor_slices((x, y))
    return examples.shuffle(len(x), seed=seed).batch(batch_size).prefetch(64)


@checked
def fit_shuffled(
    model: keras.Model, data: FashionMNIST, *, seed: int, epochs: int, batch_size: int = 32
) -> keras.callbacks.History:
    """Train a compiled model, on a new order of the examples in each epoch.

    Args:
        model: a compiled model.
        data: Fashion-MNIST; only its training and validation parts are used.
        seed: gives the orders.
        epochs: passes over the training data. A loss that is NaN ends the training.
        batch_size: examples a step.

    Raises:
        ValueError: epochs or batch_size is less than 1.

    Example:
        >>> from helpers.data import few, load_fashion_mnist
        >>> model, data = compiled_mlp(0.1), few(load_fashion_mnist(), 64)
        >>> len(fit_shuffled(model, data, seed=0, epochs=2).history["val_loss"])
        2
    """
    import keras

    if epochs < 1:
        raise ValueError(f"epochs must be at least 1, found {epochs!r}")
    return model.fit(
        shuffled_batches(data.x_train, data.y_train, batch_size=batch_size, seed=seed),
        epochs=epochs,
        validation_data=(data.x_valid, data.y_valid),
        validation_batch_size=500,
        callbacks=[keras.callbacks.TerminateOnNaN()],
        shuffle=False,  # the dataset shuffles
        verbose=0,
    )


@checked
def results(model: keras.Model, data: FashionMNIST) -> dict[str, float | None]:
    """Return what a training came to: the ends of its curves, and the test accuracy.

    Args:
        model: a model after `fit_shuffled`, with "accuracy" as its metric.
        data: Fashion-MNIST; the test set is opened.

    Returns:
        loss (the mean over the batches of the last epoch), valid_loss, valid_accuracy and
        test_accuracy after it; None for each if a loss is not finite.

    Example:
        >>> from helpers.data import few, load_fashion_mnist
        >>> model, data = compiled_mlp(0.1), few(load_fashion_mnist(), 64)
        >>> _ = fit_shuffled(model, data, seed=0, epochs=1)
        >>> list(results(model, data))
        ['loss', 'valid_loss', 'valid_accuracy', 'test_accuracy']
    """
    curves = model.history.history
    test = model.evaluate(data.x_test, data.y_test, batch_size=500, verbose=0)
    return unless_diverged(
        {
            "loss": curves["loss"][-1],
            "valid_loss": curves["val_loss"][-1],
            "valid_accuracy": curves["val_accuracy"][-1],
            "test_accuracy": test[1],
        }
    )


@checked
def generalisation(
    model: keras.Model, data: FashionMNIST, *, trained_on: int
) -> dict[str, float | None]:
    """Return a trained network's losses at inference, on images it has seen and on new ones.

    Args:
        model: a trained model; it is compiled anew.
        data: Fashion-MNIST; only its training and validation parts are used.
        trained_on: how many images, the first ones, it was trained on.

    Returns:
        train_loss on those images, valid_loss and valid_accuracy; None for each if a loss is
        not finite.

    Raises:
        ValueError: trained_on is less than 1.

    Example:
        >>> from helpers.data import few, load_fashion_mnist
        >>> list(generalisation(mlp(), few(load_fashion_mnist(), 64), trained_on=32))
        ['train_loss', 'valid_loss', 'valid_accuracy']
    """
    if trained_on < 1:
        raise ValueError(f"trained_on must be at least 1, found {trained_on!r}")
    model.compile(loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    seen = data.x_train[:trained_on], data.y_train[:trained_on]
    train_loss, _ = model.evaluate(*seen, batch_size=500, verbose=0)
    valid_loss, accuracy = model.evaluate(data.x_valid, data.y_valid, batch_size=500, verbose=0)
    return unless_diverged(
        {"train_loss": train_loss, "valid_loss": valid_loss, "valid_accuracy": accuracy}
    )


@checked
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


@checked
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
            keras.callbacks.ReduceLROnPlateau(
                monitor="val_loss",
                factor=0.1,
                patience=lower_after,
            )
        )
    callbacks.append(
        keras.callbacks.EarlyStopping(
            monitor=monitor,
            patience=patience,
            restore_best_weights=True,
        )
    )
    return callbacks


@checked
def train(
    folder: str | Path,
    data: FashionMNIST,
    *,
    seed: int,
    learning_rate: float,
    epochs: int = 100,
    patience: int = 20,
) -> keras.callbacks.History:
    """Train the MLP with all that a long run needs. After a kill, call it again: it goes on.

    The folder then holds `best-*.keras`, each a network that was the best so far (see
    `best_network`); `log.csv`, a row an epoch (an epoch may have two, if it was killed at its
    end); `run/`, TensorBoard's event files; and, for as long as the training is not finished,
    `backup/`, from which it goes on.

    Args:
        folder: where to keep all this; it is made if it is missing.
        data: Fashion-MNIST; only its training and validation parts are used.
        seed: seed of the initial weights and of the orders of the examples.
        learning_rate: the rate to begin with.
        epochs: the most epochs to train.
        patience: epochs without a new best validation accuracy after which it ends.

    Returns:
        Keras's history of the epochs that this call trained.

    Raises:
        FileExistsError: the training in this folder is finished.

    Example:
        >>> import tempfile
        >>> from helpers.data import few, load_fashion_mnist
        >>> data = few(load_fashion_mnist(), 64)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     history = train(folder, data, seed=0, learning_rate=0.1, epochs=1)
        ...     sorted(path.name for path in Path(folder).iterdir())
        ['best-001.keras', 'finished', 'log.csv', 'run']
    """
    import keras

    folder = Path(folder)
    log, finished, backup = folder / "log.csv", folder / "finished", folder / "backup"
    if finished.exists():
        raise FileExistsError(f"the training in {folder} is finished: choose another folder")
    folder.mkdir(parents=True, exist_ok=True)
    best, best_accuracy = best_network(folder), None
    if best is not None:
        best_accuracy = best.evaluate(data.x_valid, data.y_valid, verbose=0)[1]
    done = len(log.read_text().splitlines()) if log.exists() else 0

    keras.utils.set_random_seed(seed)
    model = compiled_mlp(learning_rate)
    history = model.fit(
        # another seed after a kill, or the first orders would come again
        shuffled_batches(data.x_train, data.y_train, seed=seed + done),
        validation_data=(data.x_valid, data.y_valid),
        validation_batch_size=500,
        epochs=epochs,
        callbacks=[
            *stopping("val_accuracy", patience=patience, lower_after=3),
            keras.callbacks.ModelCheckpoint(
                folder / "best-{epoch:03d}.keras",
                monitor="val_accuracy",
                save_best_only=True,
                initial_value_threshold=best_accuracy,
            ),
            keras.callbacks.TensorBoard(folder / "run", write_graph=False),
            step_log(folder / "run" / "steps"),
            keras.callbacks.CSVLogger(log, append=True),
            keras.callbacks.BackupAndRestore(
                backup, double_checkpoint=True, delete_checkpoint=False
            ),
        ],
        shuffle=False,  # the dataset shuffles
        verbose=verbose(),
    )
    finished.touch()
    shutil.rmtree(backup)
    return history


@checked
def best_network(folder: str | Path) -> keras.Model | None:
    """Load the last complete network of a folder with files `best-*.keras`.

    A process that is killed while it saves leaves half a file. Each network has a file of its
    own, so the one before is still there.

    Args:
        folder: where `train` keeps its files.

    Returns:
        The network, or None if there is no complete file.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     compiled_mlp(0.1).save(Path(folder, "best-001.keras"))
        ...     _ = Path(folder, "best-002.keras").write_bytes(b"half a file")
        ...     best_network(folder).count_params()
        266610
    """
    import keras

    files = sorted(Path(folder).glob("best-*.keras"))
    complete = [file for file in files if zipfile.is_zipfile(file)]
    return keras.models.load_model(complete[-1]) if complete else None
