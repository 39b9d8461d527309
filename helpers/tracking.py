"""Tracking a training: what each of its steps did, in TensorBoard's files, and back from them."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from helpers.checks import checked

if TYPE_CHECKING:
    import keras

__all__ = ["read_scalars", "run_directory", "show_tensorboard", "step_log", "write_scalars"]


@checked
def run_directory(root: str | Path) -> Path:
    """Make a new directory below `root`, named by the time of day, and return its path.

    TensorBoard takes each directory for a run of its own. Two runs in one directory become one
    zigzag curve, so no run ever gets a directory that exists.

    Args:
        root: where the runs are kept; it is made if it is missing.

    Raises:
        NotADirectoryError: root is a file.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as root:
        ...     first, second = run_directory(root), run_directory(root)
        >>> first == second
        False
    """
    root = Path(root)
    if root.exists() and not root.is_dir():
        raise NotADirectoryError(f"{root} is a file: expected a directory for runs")
    name = time.strftime("%Y-%m-%d_%H-%M-%S")
    number = 1
    while True:
        run = root / (name if number == 1 else f"{name}_{number}")
        try:
            run.mkdir(parents=True)
        except FileExistsError:
            number += 1
        else:
            return run


@checked
def step_log(log_dir: str | Path | None = None) -> keras.callbacks.Callback:
    """Return a Keras callback that records the rate and the gradient's norm of every step.

    norm = sqrt(sum of all squared entries of all gradients), before any clipping

    Both are recorded inside the compiled step, as the optimizer uses them, so they are right
    with `jit_compile`, with any `steps_per_execution` and with any schedule. (A callback for
    batches is called once for each execution, and sees the rate of the step to come.) For as
    long as the training runs, the optimizer's `apply` is wrapped.

    Args:
        log_dir: a directory for TensorBoard's event files, written at the end of each epoch; by
            default nothing is written.

    Returns:
        A callback for `fit`, with the arrays `steps` (counted as the optimizer counts, from 0),
        `learning_rates` and `gradient_norms`: one entry for each step of the epochs that ended.

    Raises:
        ValueError: in `fit`, if the number of steps in an epoch is not known.

    Example:
        >>> import keras
        >>> from helpers.models import mlp
        >>> model = mlp((8,), input_shape=(2,), classes=2)
        >>> schedule = keras.optimizers.schedules.ExponentialDecay(1.0, 1, 0.5)
        >>> model.compile(keras.optimizers.SGD(schedule), "sparse_categorical_crossentropy")
        >>> log, x = step_log(), np.eye(2)
        >>> _ = model.fit(x, np.arange(2), batch_size=1, epochs=2, callbacks=[log], verbose=0)
        >>> log.learning_rates.tolist()
        [1.0, 0.5, 0.25, 0.125]
    """
    import keras
    import tensorflow as tf
    from tensorboard.summary.writer.event_file_writer import EventFileWriter

    class StepLog(keras.callbacks.Callback):
        def __init__(self) -> None:
            super().__init__()
            self.steps = np.empty(0, int)
            self.learning_rates = np.empty(0)
            self.gradient_norms = np.empty(0)

        def on_train_begin(self, logs: Any = None) -> None:  # noqa: ARG002
            count = self.params["steps"]
            if count is None:
                raise ValueError(
                    "the number of steps in an epoch is not known: give fit steps_per_epoch"
                )
            self.writer = None if log_dir is None else EventFileWriter(str(log_dir))
            optimizer = self.model.optimizer
            apply = type(optimizer).apply.__get__(optimizer)
            self.rows = rows = tf.Variable(tf.zeros((count, 2)), trainable=False)
            self.first = int(optimizer.iterations)

            def apply_and_record(gradients: Any, variables: Any = None) -> None:
                dense = [tf.convert_to_tensor(g) for g in gradients if g is not None]
                rate = tf.cast(optimizer.learning_rate, tf.float32)
                row = tf.stack([rate, tf.cast(tf.linalg.global_norm(dense), tf.float32)])
                place = tf.cast(optimizer.iterations.value, tf.int64) % count
                rows.scatter_nd_update([[place]], [row])
                apply(gradients, variables)

            optimizer.apply = apply_and_record
            self.model.make_train_function(force=True)

        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:  # noqa: ARG002
            end = int(self.model.optimizer.iterations)
            rows = self.rows.numpy()
            steps = np.arange(max(self.first, end - len(rows)), end)
            rates, norms = rows[steps % len(rows)].T
            self.first = end
            self.steps = np.append(self.steps, steps)
            self.learning_rates = np.append(self.learning_rates, rates)
            self.gradient_norms = np.append(self.gradient_norms, norms)
            if self.writer is not None:
                curves = {"step_learning_rate": rates, "step_gradient_norm": norms}
                add_scalars(self.writer, steps, curves)

        def on_train_end(self, logs: Any = None) -> None:  # noqa: ARG002
            if self.writer is not None:
                self.writer.close()
            self.model.optimizer.__dict__.pop("apply", None)
            self.model.make_train_function(force=True)

    return StepLog()


@checked
def write_scalars(log_dir: str | Path, steps: np.ndarray, curves: Mapping[str, np.ndarray]) -> None:
    """Write curves as an event file of TensorBoard.

    It does what `tf.summary.scalar` does for a single number, many times faster.

    Args:
        log_dir: the run's directory; it is made if it is missing.
        steps: (n,) integers.
        curves: for each name, (n,) values.

    Raises:
        ValueError: a curve has not as many values as there are steps.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     write_scalars(folder, np.arange(3), {"loss": np.array([2.0, 1.0, 0.5])})
        ...     read_scalars(folder)["."]["loss"]
        (array([0, 1, 2]), array([2. , 1. , 0.5]))
    """
    from tensorboard.summary.writer.event_file_writer import EventFileWriter

    for name, values in curves.items():
        if np.shape(values) != np.shape(steps):
            raise ValueError(
                f"{name}: expected a value for each step, found shapes {np.shape(values)} "
                f"and {np.shape(steps)}"
            )
    writer = EventFileWriter(str(log_dir))
    add_scalars(writer, steps, curves)
    writer.close()


def add_scalars(writer: Any, steps: np.ndarray, curves: Mapping[str, np.ndarray]) -> None:
    """Add curves to an open event file of TensorBoard (see `write_scalars`), and flush it.

    One file for a whole training: TensorBoard reads the files of a directory in the order of
    their names, and two that are opened in the same second may be in the wrong one.

    Args:
        writer: TensorBoard's `EventFileWriter`.
        steps: (n,) integers.
        curves: for each name, (n,) values.

    Example:
        >>> import tempfile
        >>> from tensorboard.summary.writer.event_file_writer import EventFileWriter
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     writer = EventFileWriter(folder)
        ...     add_scalars(writer, np.arange(2), {"loss": np.array([2.0, 1.0])})
        ...     writer.close()
        ...     read_scalars(folder)["."]["loss"][1].tolist()
        [2.0, 1.0]
    """
    from tensorboard.compat.proto.event_pb2 import Event
    from tensorboard.plugins.scalar.summary_v2 import scalar_pb

    for name, values in curves.items():
        for step, value in zip(steps, values, strict=True):
            summary = scalar_pb(name, value)
            writer.add_event(Event(wall_time=time.time(), step=int(step), summary=summary))
    writer.flush()


@checked
def read_scalars(folder: str | Path) -> dict[str, dict[str, tuple[np.ndarray, np.ndarray]]]:
    """Read the curves in TensorBoard's event files.

    Args:
        folder: a directory; each directory in it that holds event files is a run.

    Returns:
        For each run (its path below the folder, "." for the folder itself), for each of its
        scalars by name: (steps, values), both (n,), in the order of the steps.

    Raises:
        FileNotFoundError: there are no event files.

    Example:
        >>> import tempfile
        >>> import tensorflow as tf
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     with tf.summary.create_file_writer(folder).as_default():
        ...         _ = tf.summary.scalar("loss", 2.0, step=7)
        ...     read_scalars(folder)["."]["loss"]
        (array([7]), array([2.]))
    """
    from tensorboard.backend.event_processing.event_multiplexer import EventMultiplexer
    from tensorboard.plugins.scalar.metadata import PLUGIN_NAME
    from tensorboard.util.tensor_util import make_ndarray

    runs = EventMultiplexer(size_guidance={"tensors": 0}).AddRunsFromDirectory(str(folder))
    runs.Reload()
    curves: dict[str, dict[str, tuple[np.ndarray, np.ndarray]]] = {}
    for run in sorted(runs.Runs()):
        for tag in runs.PluginRunToTagToContent(PLUGIN_NAME).get(run, {}):
            events = sorted(runs.Tensors(run, tag), key=lambda event: event.step)
            steps = np.array([event.step for event in events])
            values = np.array([float(make_ndarray(event.tensor_proto)) for event in events])
            curves.setdefault(run, {})[tag] = steps, values
    if not curves:
        raise FileNotFoundError(f"no scalars in event files below {folder}")
    return curves


@checked
def show_tensorboard(folder: str | Path) -> None:
    """Start TensorBoard for a directory of runs, and show it in the notebook.

    It is the server that `%tensorboard` starts, and ends with the notebook's kernel. The program is
    looked for beside Python first: a kernel's PATH often lacks the environment it runs in.

    Args:
        folder: the directory.

    Raises:
        FileNotFoundError: there is no such directory.

    Example:
        >>> show_tensorboard("no/such/directory")
        Traceback (most recent call last):
        FileNotFoundError: no directory no/such/directory
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise FileNotFoundError(f"no directory {folder}")
    from tensorboard import notebook

    program = Path(sys.executable).with_name("tensorboard")
    if program.exists():
        os.environ.setdefault("TENSORBOARD_BINARY", str(program))
    notebook.start(f'--logdir "{folder.as_posix()}"')
