"""The learning-rate range test: one short training whose rate grows from step to step.

The loss of each batch is recorded, not a running mean; the test ends where the loss runs away;
and afterwards the model is as it was, bit for bit.
"""

from __future__ import annotations

import contextlib
import functools
import inspect
import math
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from helpers.checks import MayBeInfinite, checked
from helpers.plots import DASHES, INK
from helpers.reproducible import verbose

if TYPE_CHECKING:
    import keras
    import tensorflow as tf
    from matplotlib.axes import Axes

__all__ = ["RULES", "RangeTest", "RangeTestError", "range_test", "restored", "smooth"]

CHUNK = 128
"""Most steps between two looks at the losses."""

CHUNK_SECONDS = 0.5
"""How long those steps may take, about: so soon does Ctrl-C work."""

CHUNK_BYTES = 2**26
"""How much memory their examples may take, about."""


class RangeTestError(RuntimeError):
    """A curve from which no learning rate can be read."""


@checked
def smooth(losses: MayBeInfinite, smoothing: float) -> np.ndarray:
    """Return the exponential moving average of losses, corrected for its start at zero.

    m_t = smoothing m_(t-1) + (1 - smoothing) loss_t,  m_(-1) = 0
    smoothed_t = m_t / (1 - smoothing^(t+1))

    It averages over about 1 / (1 - smoothing) losses, and lags behind a steady trend by
    smoothing / (1 - smoothing) of them.

    Args:
        losses: (n,) numbers; from one that is not finite on, the average is not either.
        smoothing: weight of the past, from 0 (no smoothing) to below 1.

    Returns:
        (n,) averages; the first is the first loss.

    Raises:
        ValueError: smoothing is outside [0, 1), or losses is not one-dimensional.

    Example:
        >>> smooth([4.0, 4.0, 1.0], 0.5).round(3).tolist()
        [4.0, 4.0, 2.286]
    """
    values = np.asarray(losses, dtype=float)
    if values.ndim != 1:
        raise ValueError(f"expected losses in one dimension, found shape {values.shape}")
    if not 0 <= smoothing < 1:
        raise ValueError(f"smoothing must lie in [0, 1), found {smoothing!r}")
    smoothed, average = np.empty_like(values), 0.0
    for t, value in enumerate(values):
        average = smoothing * average + (1 - smoothing) * value
        smoothed[t] = average / (1 - smoothing ** (t + 1))
    return smoothed


def _window(smoothing: float) -> int:
    """Over how many losses the smoothed one averages."""
    return math.ceil(1 / (1 - smoothing))


def steps_until_divergence(
    losses: npt.ArrayLike, smoothing: float, stop_factor: float
) -> int | None:
    """Return the first step at which a range test has diverged, or None.

    loss_t is not finite; or loss_t and the two before it exceed
    best_t + max((stop_factor - 1) |best_t|, 5 noise)
    best_t = the smallest smoothed loss from the first full window on to step t

    For losses well above 0 and their noise, the limit is stop_factor times the best smoothed
    loss. It takes three in a row, so that one hard batch does not end a test (as many as the
    window has, if that is fewer). The noise is the standard deviation of a loss in the first
    window, from the differences of neighbours.

    Args:
        losses: (n,) losses, one a step.
        smoothing: see `smooth`.
        stop_factor: greater than 1.

    Raises:
        ValueError: stop_factor is not greater than 1, or as for `smooth`.

    Example:
        >>> steps_until_divergence([2.0, 1.0, 1.5, 9.0, 1.0], smoothing=0.0, stop_factor=4.0)
        3
    """
    if not stop_factor > 1:
        raise ValueError(f"stop_factor must be greater than 1, found {stop_factor!r}")
    values = np.asarray(losses, dtype=float)
    smoothed, window = smooth(values, smoothing), _window(smoothing)
    diverged = ~np.isfinite(values)
    if len(values) >= window and np.isfinite(values[:window]).all():
        best = np.fmin.accumulate(smoothed[window - 1 :])
        limit = best + np.maximum((stop_factor - 1) * np.abs(best), 5 * _noise(values[:window]))
        above = np.concatenate([np.zeros(window - 1, bool), values[window - 1 :] > limit])
        in_a_row = min(3, window)
        diverged |= np.convolve(above, np.ones(in_a_row))[: len(above)] == in_a_row
    return int(np.argmax(diverged)) if diverged.any() else None


def _noise(losses: np.ndarray) -> float:
    """The standard deviation of a loss about its trend, from the differences of neighbours."""
    return float(np.diff(losses).std() / math.sqrt(2)) if len(losses) > 1 else 0.0


@dataclass(frozen=True, eq=False)
class RangeTest:
    """The curve of a range test, and what can be read from it.

    Attributes:
        learning_rates: (n,) rates, one a step, growing.
        losses: (n,) the loss of each step's batch, before the step was taken.
        smoothing: weight of the past in `smoothed`.
        diverged_at: the rate at which the test ended because its loss had run away, or None.

    Raises:
        ValueError: rates and losses are not as many, or the rates do not grow from above 0.

    Example:
        >>> rates = np.geomspace(1e-4, 1, 400)
        >>> losses = 2 - np.minimum(rates, 0.1) / 0.1 + np.maximum(rates - 0.1, 0) * 4
        >>> result = RangeTest(rates, losses, smoothing=0.9)
        >>> sorted(result.candidates)
        ['a tenth of the minimum', 'half of the last stable rate', 'half of the turning point',
         'middle of the floor', 'steepest descent']
        >>> round(result.suggestion, 2)
        0.1
    """

    learning_rates: np.ndarray
    losses: np.ndarray
    smoothing: float
    diverged_at: float | None = None

    def __post_init__(self) -> None:
        rates = np.asarray(self.learning_rates, dtype=float)
        losses = np.asarray(self.losses, dtype=float)
        if rates.ndim != 1 or rates.shape != losses.shape or len(rates) == 0:
            raise ValueError(
                f"expected as many rates as losses, found shapes {rates.shape}, {losses.shape}"
            )
        if not (rates[0] > 0 and (np.diff(rates) > 0).all()):
            raise ValueError("expected rates that grow from above 0")
        object.__setattr__(self, "learning_rates", rates)
        object.__setattr__(self, "losses", losses)

    @functools.cached_property
    def smoothed(self) -> np.ndarray:
        """(n,) the losses, smoothed (see `smooth`)."""
        return smooth(self.losses, self.smoothing)

    @property
    def stable(self) -> slice:
        """The steps before the loss ran away: all of them if it never did."""
        return slice(None if self.diverged_at is None else len(self.losses) - 1)

    @functools.cached_property
    def problem(self) -> str | None:
        """Why no rate can be read from this curve; None if one can."""
        return _problem(self)

    @property
    def candidates(self) -> dict[str, float]:
        """The rate that each of `RULES` reads from the curve; empty if none can be read."""
        return {} if self.problem else {name: rule(self) for name, rule in RULES.items()}

    @property
    def suggestion(self) -> float:
        """The rate that the recommended rule, `RECOMMENDED`, reads from the curve.

        Raises:
            RangeTestError: nothing can be read; the message says why, and what to do.
        """
        if self.problem:
            raise RangeTestError(self.problem)
        return self.candidates[RECOMMENDED]

    def plot(self, ax: Axes | None = None) -> Axes:
        """Draw the losses and their average over the rate, and mark the candidates.

        Args:
            ax: where to draw; a new figure by default.

        Returns:
            The axes drawn on.

        Example:
            >>> RangeTest([0.1, 0.2], [1.0, 1.0], 0.0).plot().get_xscale()
            'log'
        """
        import matplotlib.pyplot as plt

        if ax is None:
            _, ax = plt.subplots()
        shown = self.smoothed[self.stable]
        shown = shown[np.isfinite(shown)]
        ax.plot(self.learning_rates, self.losses, lw=0.6, alpha=0.4, ls="-", label="each batch")
        late = min(_lag(self.smoothing), len(self.smoothed) - 1)
        rates = self.learning_rates[: len(self.smoothed) - late]
        ax.plot(rates, self.smoothed[late:], ls="-", label="smoothed, its lag taken off")
        for (name, rate), dash in zip(self.candidates.items(), DASHES[1:], strict=False):
            bold = name == RECOMMENDED
            line = {"lw": 2, "ls": "-"} if bold else {"lw": 1.2, "ls": dash}
            label = f"{name}: {rate:.2g}" + (" (recommended)" if bold else "")
            ax.axvline(rate, color=INK, label=label, **line)
        if len(shown):
            low, high = shown.min(), max(shown[0], shown.max())
            margin = 0.1 * (high - low) or 0.1 * abs(high) or 1.0
            ax.set_ylim(low - margin, high + margin)
        if self.problem:
            ax.set_title("nothing to read: " + self.problem.split(":")[0])
        ax.set_xscale("log")
        ax.set_xlabel("learning rate")
        ax.set_ylabel("loss of a batch")
        ax.legend()
        return ax


def _lag(smoothing: float) -> int:
    """By how many steps the smoothed loss is late."""
    return round(smoothing / (1 - smoothing))


def _start(result: RangeTest) -> float:
    """The mean loss of the first full window."""
    return float(result.losses[result.stable][: _window(result.smoothing)].mean())


def _lowest(result: RangeTest) -> int:
    """The step at which the smoothed loss is smallest, once it averages over a full window."""
    smoothed = result.smoothed[result.stable]
    first = min(_window(result.smoothing), len(smoothed)) - 1
    return first + int(np.argmin(smoothed[first:]))


def _problem(result: RangeTest) -> str | None:
    losses, window = result.losses[result.stable], _window(result.smoothing)
    if len(losses) == 0 or not np.isfinite(losses).all():
        return (
            "the loss is not finite from the start: look for NaN in the data and the weights, "
            "or lower min_lr"
        )
    if result.diverged_at is not None and len(losses) < 2 * window:
        return (
            f"the loss ran away in the first {len(losses)} steps: lower min_lr, "
            "or let the test take more steps"
        )
    lowest, smoothed = _lowest(result), result.smoothed[result.stable]
    start = _start(result)
    noise = _noise(losses[: max(lowest, 2 * window)]) / math.sqrt(window)
    clear = max(5 * noise, 1e-3 * abs(start))
    if start - smoothed[lowest] <= clear:
        if result.diverged_at is not None or smoothed[-1] - start > clear:
            return (
                "the loss never fell before it rose: lower min_lr, or look for labels that "
                "do not belong to their inputs"
            )
        return "the curve is flat: raise max_lr, or look whether the model can learn at all"
    if result.diverged_at is None and smoothed[-1] - smoothed[lowest] <= clear:
        return "the loss never rises: raise max_lr until it does"
    return None


def steepest_descent(result: RangeTest) -> float:
    """Return the rate at which the smoothed loss falls fastest, per factor of the rate.

    argmin over t of d smoothed_t / d log(rate_t), up to the smallest smoothed loss

    Args:
        result: a range test.

    Raises:
        RangeTestError: the curve is not finite, or has no two steps.

    Example:
        >>> rates = np.geomspace(0.01, 1, 101)
        >>> result = RangeTest(rates, 1 / (1 + np.exp(8 * np.log(10 * rates))), smoothing=0.0)
        >>> round(steepest_descent(result), 3)
        0.1
    """
    _check_curve(result)
    lowest = _lowest(result)
    first = min(2 * _window(result.smoothing), lowest)  # before, the average is over few losses
    slopes = np.gradient(result.smoothed[: lowest + 2], np.log(result.learning_rates[: lowest + 2]))
    return float(result.learning_rates[first + int(np.argmin(slopes[first : lowest + 1]))])


def tenth_of_minimum(result: RangeTest) -> float:
    """Return a tenth of the rate at which the smoothed loss is smallest.

    Args:
        result: a range test.

    Raises:
        RangeTestError: the curve is not finite, or has no two steps.

    Example:
        >>> round(tenth_of_minimum(RangeTest([0.1, 0.2, 0.4], [2.0, 1.0, 3.0], 0.0)), 3)
        0.02
    """
    _check_curve(result)
    return float(result.learning_rates[_lowest(result)] / 10)


def turning_point(result: RangeTest) -> float:
    """Return the rate at which the loss turned: that of its smoothed minimum, less the lag.

    rate at step t - smoothing / (1 - smoothing),  smoothed_t the smallest

    Args:
        result: a range test.

    Raises:
        RangeTestError: the curve is not finite, or has no two steps.

    Example:
        >>> losses = np.abs(np.arange(300.0) - 200) + 10
        >>> result = RangeTest(np.arange(300.0) + 1, losses, smoothing=0.9)
        >>> abs(turning_point(result) - 201) < 5
        True
    """
    _check_curve(result)
    return float(result.learning_rates[max(0, _lowest(result) - _lag(result.smoothing))])


def half_of_turning_point(result: RangeTest) -> float:
    """Return half of the rate at which the loss turned (see `turning_point`).

    Args:
        result: a range test.

    Raises:
        RangeTestError: the curve is not finite, or has no two steps.

    Example:
        >>> half_of_turning_point(RangeTest([0.1, 0.2, 0.4], [2.0, 1.0, 3.0], 0.0))
        0.1

    Source: Y. Bengio, Practical Recommendations for Gradient-Based Training of Deep
    Architectures, 2012, section 3.1.1, for the half.
    """
    return turning_point(result) / 2


FLOOR = 0.05
"""Which part of its whole fall the smoothed loss may lie above its minimum, on the floor."""


def middle_of_floor(result: RangeTest) -> float:
    """Return the middle of the rates at which the loss was lowest, on a log axis, less the lag.

    floor = {t: smoothed_t <= lowest + 0.05 (start - lowest)},  t from the first full window on
    rate at step mean(floor) - smoothing / (1 - smoothing)

    Where the smallest smoothed loss lies is a matter of noise; where its neighbourhood lies is
    much less so.

    Args:
        result: a range test.

    Raises:
        RangeTestError: the curve is not finite, has no two steps, or rises from the start.

    Example:
        >>> losses = np.abs(np.arange(300.0) - 200) + 10
        >>> result = RangeTest(np.arange(300.0) + 1, losses, smoothing=0.9)
        >>> abs(middle_of_floor(result) - 201) < 5
        True
    """
    _check_curve(result)
    smoothed, lowest = result.smoothed[result.stable], _lowest(result)
    window = _window(result.smoothing)
    limit = smoothed[lowest] + FLOOR * (_start(result) - smoothed[lowest])
    floor = [t for t in range(min(window - 1, lowest), len(smoothed)) if smoothed[t] <= limit]
    _check_floor(floor, result)
    return float(result.learning_rates[max(0, round(np.mean(floor)) - _lag(result.smoothing))])


def half_of_last_stable(result: RangeTest) -> float:
    """Return half of the last rate before the loss ran away.

    Args:
        result: a range test.

    Raises:
        RangeTestError: the curve is not finite, or has no two steps.

    Example:
        >>> rates, losses = [0.1, 0.2, 0.4], [2.0, 1.0, np.inf]
        >>> half_of_last_stable(RangeTest(rates, losses, 0.0, diverged_at=0.4))
        0.1
    """
    _check_curve(result)
    return float(result.learning_rates[result.stable][-1] / 2)


def _check_curve(result: RangeTest) -> None:
    losses = result.losses[result.stable]
    if len(losses) < 2 or not np.isfinite(losses).all():
        raise RangeTestError(result.problem)


def _check_floor(floor: Sequence[int], result: RangeTest) -> None:
    if not floor:
        raise RangeTestError(result.problem)


RULES: dict[str, Callable[[RangeTest], float]] = {
    "steepest descent": steepest_descent,
    "a tenth of the minimum": tenth_of_minimum,
    "half of the last stable rate": half_of_last_stable,
    "half of the turning point": half_of_turning_point,
    "middle of the floor": middle_of_floor,
}
"""The rules for reading a rate from the curve, by name."""

RECOMMENDED = "middle of the floor"
"""The rule that the book's experiments speak for."""


@contextlib.contextmanager
@checked
def restored(model: keras.Model) -> Iterator[None]:
    """Give a model back its present state at the end of a `with` block, however that ends.

    Weights, batch-norm statistics, seed generators, metrics, and the optimizer's variables with
    its slots, its count of steps and its rate. What is no variable of the model is not known
    here: Keras's global seed generator, a `tf.Variable` of a layer of your own.

    Args:
        model: a built Keras model; its optimizer too, if it has trained before.

    Raises:
        KeyboardInterrupt: Ctrl-C came while the state was put back; all of it is back.

    Example:
        >>> from helpers.models import mlp
        >>> model = mlp(input_shape=(2,))
        >>> before = model.layers[-1].bias.numpy()
        >>> with restored(model):
        ...     _ = model.layers[-1].bias.assign(before + 1)
        >>> bool((model.layers[-1].bias.numpy() == before).all())
        True
    """
    variables = [*model.variables, *model.metrics_variables]
    if model.compiled and model.optimizer is not None:
        variables += model.optimizer.variables
    kept = [np.array(variable.numpy()) for variable in variables]
    known = {id(variable) for variable in variables}
    try:
        yield
    finally:
        created = [v for v in model.metrics_variables if id(v) not in known]
        values = [*kept, *(np.zeros_like(v.numpy()) for v in created)]
        interrupt = None
        for variable, value in zip([*variables, *created], values, strict=True):
            try:
                variable.assign(value)
            except KeyboardInterrupt as again:  # a second Ctrl-C waits until all is restored
                variable.assign(value)
                interrupt = again
        if interrupt is not None:
            raise interrupt


def _inner(optimizer: Any) -> Any:
    """The optimizer within one that scales the loss; any other itself."""
    return getattr(optimizer, "inner_optimizer", optimizer)


def _at_rate(optimizer: keras.optimizers.Optimizer, learning_rate: float) -> Any:
    """A copy of an optimizer, without its state, with a rate instead of its rate or schedule."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of a rate that is a lambda: it is replaced, not kept
        config = optimizer.get_config()
    if hasattr(optimizer, "inner_optimizer"):
        config["inner_optimizer"] = _at_rate(optimizer.inner_optimizer, learning_rate)
        return type(optimizer)(**config)
    try:
        copy = type(optimizer).from_config({**config, "learning_rate": learning_rate})
    except (TypeError, ValueError) as error:
        name = type(optimizer).__name__
        raise ValueError(f"{name} cannot be made anew from its get_config(): {error}") from error
    for name, value in vars(optimizer).items():  # what exclude_from_weight_decay has set
        if name.startswith("_exclude_from_weight_decay"):
            setattr(copy, name, value)
    return copy


def _state(optimizer: keras.optimizers.Optimizer) -> list[Any]:
    """The optimizer's variables but the learning rate."""
    rate = _inner(optimizer)._learning_rate
    return [variable for variable in optimizer.variables if variable is not rate]


def _copy_of_optimizer(model: keras.Model) -> Any:
    """A copy of the model's optimizer in its present state, at rate 0."""
    original = model.optimizer
    copy = _at_rate(original, 0.0)
    trainable = model.trainable_variables
    if not original.built:
        copy.build(trainable)
        return copy
    built_for = _inner(original)._trainable_variables
    if not {id(v) for v in trainable} <= {id(v) for v in built_for}:
        raise ValueError(
            "the optimizer does not know all trainable weights: compile the model again"
        )
    copy.build(built_for)
    for new, old in zip(_state(copy), _state(original), strict=True):
        new.assign(old)
    return copy


def _mode(function: Callable[..., Any], *, training: bool) -> dict[str, bool]:
    """The argument `training`, for functions that take it."""
    parameters = inspect.signature(function).parameters.values()
    takes = any(p.name == "training" or p.kind is p.VAR_KEYWORD for p in parameters)
    return {"training": training} if takes else {}


def _step_of(model: keras.Model) -> Callable[[Any, Any], Any]:
    """A step of training: (batch, rate) -> its loss, the model trained on it at that rate."""
    import keras
    import tensorflow as tf

    optimizer = _copy_of_optimizer(model)
    rate_variable = _inner(optimizer)._learning_rate
    trainable = model.trainable_variables
    values = [variable.value for variable in trainable]
    mode, loss_mode = (_mode(f, training=True) for f in (model.call, model.compute_loss))

    def step(batch: Any, rate: tf.Tensor) -> tf.Tensor:
        x, y, weights = keras.utils.unpack_x_y_sample_weight(batch)
        rate_variable.assign(rate)
        with tf.GradientTape() as tape:
            loss = model.compute_loss(
                x=x, y=y, y_pred=model(x, **mode), sample_weight=weights, **loss_mode
            )
            scaled = optimizer.scale_loss(loss)
        optimizer.apply(tape.gradient(scaled, values), trainable)
        return tf.cast(loss, tf.float32)

    return step


def _sweep(model: keras.Model, batch: Any, dataset: tf.data.Dataset | None) -> Callable[..., Any]:
    """Compile many steps into one call: (batches, rates) -> the loss of each.

    The loop is not compiled with XLA: on a CPU that is slow for convolutions, dropout and batch
    norm, and for an MLP it gains what compiling costs.
    """
    import keras
    import tensorflow as tf

    step = _step_of(model)

    def sweep(batches: Any, rates: tf.Tensor) -> tf.Tensor:
        count = tf.shape(rates)[0]

        def body(i: tf.Tensor, losses: tf.TensorArray) -> tuple[tf.Tensor, tf.TensorArray]:
            if dataset is None:
                batch = keras.tree.map_structure(lambda array: array[i], batches)
            else:
                batch = next(batches)
            return i + 1, losses.write(i, step(batch, rates[i]))

        losses = tf.TensorArray(tf.float32, count)
        in_order = {"parallel_iterations": 1}
        return tf.while_loop(lambda i, _: i < count, body, (0, losses), **in_order)[1].stack()

    if model.run_eagerly:
        return sweep
    if dataset is None:
        batches = keras.tree.map_structure(
            lambda array: tf.TensorSpec((None, *array.shape), array.dtype), batch
        )
    else:
        batches = tf.data.IteratorSpec(dataset.element_spec)
    signature = [batches, tf.TensorSpec((None,), tf.float32)]
    compiled = tf.function(sweep, input_signature=signature, autograph=False)
    return compiled.get_concrete_function()


@checked
def range_test(
    model: keras.Model,
    x: Any,
    y: Any = None,
    *,
    min_lr: float = 1e-5,
    max_lr: float = 10.0,
    steps: int = 1000,
    batch_size: int = 32,
    smoothing: float | None = None,
    stop_factor: float = 4.0,
    seed: int = 0,
) -> RangeTest:
    """Train a model for a moment at a rate that grows from step to step, and put it back.

    rate_t = min_lr (max_lr / min_lr)^(t / (steps - 1)),  t = 0, ..., steps - 1

    The model trains with its own loss and a copy of its own optimizer in its present state.
    The loss of each batch is recorded. The test ends early when a loss is not finite, or
    three in a row exceed stop_factor times the best smoothed one (`steps_until_divergence`).
    Afterwards the model is exactly as before, also after an error or Ctrl-C: weights, optimizer,
    batch-norm statistics, seed generators (see `restored`).
    (A model that was never built is built, as `fit` would.)

    Args:
        model: a compiled Keras model. One with a `train_step` of its own is refused.
        x: inputs: an array, or lists or dictionaries of arrays, or a `tf.data.Dataset` of batches
            (inputs, labels) or (inputs, labels, sample weights), which is repeated as needed.
        y: labels, as many as inputs; None with a dataset. (Sample weights need a dataset.)
        min_lr: rate of the first step, greater than 0.
        max_lr: rate of the last step, greater than min_lr.
        steps: number of steps, at least 10.
        batch_size: examples a step; a dataset brings its own. All of them, if there are fewer.
        smoothing: weight of the past in the smoothed loss, see `smooth`; by default
            1 - 20 / steps, which averages over a twentieth of the test.
        stop_factor: greater than 1.
        seed: gives the order of the examples; a dataset has its own.

    Returns:
        A `RangeTest`: the curve, the candidates, the suggestion.

    Raises:
        TypeError: x or the model is of a kind that cannot be used.
        ValueError: a setting, the data, or the model's state cannot be used; the message says
            what was expected. Nothing has been touched then.

    Example:
        >>> import keras
        >>> from helpers.models import mlp
        >>> rng = np.random.default_rng(0)
        >>> x = rng.normal(size=(256, 2)); y = (x[:, 0] > 0).astype(int)
        >>> model = mlp((8,), input_shape=(2,), classes=2)
        >>> model.compile(keras.optimizers.SGD(), loss="sparse_categorical_crossentropy")
        >>> result = range_test(model, x, y, steps=20)
        >>> len(result.losses), bool(result.learning_rates[0] == np.float32(1e-5))
        (20, True)

    Source: L. N. Smith, Cyclical Learning Rates for Training Neural Networks, 2017, section 3.3.
    """
    _check_settings(steps, batch_size, seed)
    rates = _rates(min_lr, max_lr, steps)
    smoothing = max(0.0, 1 - 20 / steps) if smoothing is None else smoothing
    steps_until_divergence([], smoothing, stop_factor)
    _check_model(model)
    import tensorflow as tf
    from tqdm import tqdm

    dataset = x if isinstance(x, tf.data.Dataset) else None
    if dataset is None:
        data = _checked_arrays(x, y)
        orders = _batches(len(_leaves(data)[0]), batch_size, steps, np.random.default_rng(seed))
        first = _take(data, orders[0])
    else:
        first = _first_batch(dataset, y)
        batches = iter(dataset.repeat())
    labels = data[1] if dataset is None else None
    if not model.built:
        _try(model, first, labels)
    if not model.trainable_variables:
        raise ValueError("the model has no trainable weights")
    losses = np.empty(0)
    with (
        restored(model),
        tqdm(total=steps, desc="range test", delay=3, leave=False, disable=not verbose()) as bar,
    ):
        _try(model, first, labels)
        sweep = _sweep(model, first, dataset)
        size, most = 8, CHUNK
        if dataset is None:
            most = min(CHUNK, max(1, CHUNK_BYTES // sum(a.nbytes for a in _leaves(first))))
        while len(losses) < steps:
            chunk = slice(len(losses), len(losses) + min(size, most))
            if dataset is None:
                batches = _take(data, orders[chunk])
            began = time.perf_counter()
            new = sweep(batches, tf.constant(rates[chunk])).numpy()
            seconds = max(time.perf_counter() - began, 1e-6) / len(new)
            size = max(1, int(CHUNK_SECONDS / seconds))
            losses = np.concatenate([losses, new])
            bar.update(len(new))
            end = steps_until_divergence(losses, smoothing, stop_factor)
            if end is not None:
                rates, losses = rates[: end + 1].astype(float), losses[: end + 1]
                return RangeTest(rates, losses, smoothing, diverged_at=float(rates[-1]))
    return RangeTest(rates.astype(float), losses, smoothing)


def _rates(min_lr: Any, max_lr: Any, steps: int) -> np.ndarray:
    """The rates of all steps, in 32 bits, as the optimizer takes them."""
    for value in (min_lr, max_lr):
        if isinstance(value, bool) or not isinstance(value, int | float | np.number):
            raise ValueError(f"min_lr and max_lr must be numbers, found {value!r}")
    if not 0 < min_lr < max_lr < float(np.finfo(np.float32).max):
        raise ValueError(f"expected 0 < min_lr < max_lr, found {min_lr!r} and {max_lr!r}")
    rates = np.geomspace(min_lr, max_lr, steps).astype(np.float32)
    if not (rates[0] > 0 and (np.diff(rates) > 0).all()):
        raise ValueError(
            f"{steps} steps from min_lr = {min_lr!r} to max_lr = {max_lr!r} cannot be told apart "
            "in 32 bits: widen the range, or take fewer steps"
        )
    return rates


def _check_settings(steps: Any, batch_size: Any, seed: Any) -> None:
    for name, value, least in (
        ("steps", steps, 10),
        ("batch_size", batch_size, 1),
        ("seed", seed, 0),
    ):
        if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < least:
            raise ValueError(f"{name} must be an integer, at least {least}, found {value!r}")


def _check_model(model: Any) -> None:
    import keras

    if keras.backend.backend() != "tensorflow":
        raise TypeError(f"needs Keras on TensorFlow, found Keras on {keras.backend.backend()}")
    if not isinstance(model, keras.Model):
        raise TypeError(f"expected a Keras model, found {type(model).__name__}")
    if not model.compiled or model.optimizer is None:
        raise ValueError("the model is not compiled: call model.compile(optimizer, loss) first")
    if type(model).train_step is not keras.Model.train_step:
        raise TypeError(
            f"{type(model).__name__} has a train_step of its own, which a range test cannot follow"
        )


def _leaves(data: Any) -> list[np.ndarray]:
    import keras

    return keras.tree.flatten(data)


def _take(data: Any, order: np.ndarray) -> Any:
    import keras

    return keras.tree.map_structure(lambda array: array[order], data)


def _batches(count: int, size: int, steps: int, rng: np.random.Generator) -> np.ndarray:
    """(steps, size) indices: pass after pass over all examples, each in a new order."""
    size = min(size, count)
    passes = -(-steps * size // count)
    order = np.concatenate([rng.permutation(count) for _ in range(passes)])
    return order[: steps * size].reshape(steps, size)


def _checked_arrays(x: Any, y: Any) -> tuple[Any, Any]:
    import keras

    if y is None:
        raise ValueError("y is missing: expected labels, or a tf.data.Dataset of (inputs, labels)")
    try:
        data = keras.tree.map_structure(np.asarray, (x, y))
    except (TypeError, ValueError) as error:
        raise TypeError(f"expected arrays or a tf.data.Dataset: {error}") from error
    leaves = _leaves(data)
    if any(leaf.ndim == 0 or leaf.dtype == object for leaf in leaves):
        raise TypeError(
            "expected arrays or a tf.data.Dataset, found "
            f"{type(x).__name__} and {type(y).__name__} of something else"
        )
    lengths = {len(leaf) for leaf in leaves}
    if lengths != {len(leaves[0])} or 0 in lengths:
        raise ValueError(
            "expected as many labels as inputs, and at least one; found lengths "
            f"{[len(leaf) for leaf in leaves]}"
        )
    return data


def _first_batch(dataset: tf.data.Dataset, y: Any) -> Any:
    if y is not None:
        raise ValueError("a tf.data.Dataset brings its labels: leave y out")
    spec = dataset.element_spec
    if not (isinstance(spec, tuple) and len(spec) in (2, 3)):
        raise ValueError(
            "expected a dataset of (inputs, labels) or (inputs, labels, sample weights), "
            f"found elements {spec}"
        )
    first = next(iter(dataset), None)
    if first is None:
        raise ValueError("the dataset is empty")
    return first


def _try(model: keras.Model, batch: Any, labels: Any) -> None:
    """Compute the loss of a batch once, so that what does not fit is found before the test."""
    import keras

    x, y, weights = keras.utils.unpack_x_y_sample_weight(batch)
    try:
        outputs = model(x, **_mode(model.call, training=False))
        _check_classes(model, outputs, y if labels is None else labels)
        mode = _mode(model.compute_loss, training=False)
        model.compute_loss(x=x, y=y, y_pred=outputs, sample_weight=weights, **mode)
    except _ClassError:
        raise
    except Exception as error:
        raise ValueError(f"the model cannot compute its loss on a first batch: {error}") from error


class _ClassError(ValueError):
    """Labels that are not numbers of the model's classes."""


def _check_classes(model: keras.Model, outputs: Any, labels: Any) -> None:
    """Refuse numbers of classes that the model does not have; compiled code may not notice."""
    import keras

    sparse = (
        isinstance(model.loss, keras.losses.SparseCategoricalCrossentropy)
        or model.loss == "sparse_categorical_crossentropy"
        or model.loss is keras.losses.sparse_categorical_crossentropy
    )
    if not (sparse and hasattr(outputs, "shape") and hasattr(labels, "shape")):
        return
    numbers = np.asarray(labels)
    numbers = numbers[numbers != getattr(model.loss, "ignore_class", None)]
    if numbers.size == 0:
        return
    classes, least, largest = outputs.shape[-1], numbers.min(), numbers.max()
    if not 0 <= least <= largest < classes:
        raise _ClassError(
            f"expected labels from 0 to {classes - 1}, one for each of the model's outputs; "
            f"found {least} to {largest}"
        )
