"""Learning-rate schedules: functions of the step, for Keras's optimizers and for NumPy's arrays.

    schedule = CosineRestarts(1e-3, first_cycle=5625, growth=1.25)
    optimizer = keras.optimizers.Adam(schedule)  # compiled, saved and loaded with the model
    rates = schedule(np.arange(10_000))  # the same rates, to plot

A schedule holds its settings and nothing else: no counter that could be used up or lost. What
Keras has (ExponentialDecay, PiecewiseConstantDecay, PolynomialDecay, CosineDecay) is not here.
"""

from __future__ import annotations

import dataclasses
import math
import numbers
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import keras
import numpy as np
import numpy.typing as npt

from helpers.checks import checked

__all__ = [
    "CosineRestarts",
    "InverseSquareRoot",
    "Join",
    "OneCycle",
    "Schedule",
    "Triangular",
    "WarmUp",
    "WarmupStableDecay",
    "values",
]

registered = keras.saving.register_keras_serializable(package="learning_rates")


class Schedule(keras.optimizers.schedules.LearningRateSchedule):
    """What all schedules of this room share: they are called with a step, or with many.

    A tensor is answered by a float32 tensor; a number or an array of NumPy by float64. Both are
    computed in float64, so that they are equal at every boundary. Before step 0 the rate is that
    of step 0.

    Example:
        >>> schedule = InverseSquareRoot(0.1, warmup_steps=4)
        >>> schedule(np.array([1, 3, 15])).tolist()
        [0.05, 0.1, 0.05]
        >>> round(float(schedule(keras.ops.array(15))), 7)
        0.05
        >>> schedule == InverseSquareRoot.from_config(schedule.get_config())
        True
    """

    def __call__(self, step: Any) -> Any:
        """Return the rate at a step: a tensor for a tensor, else a number or an array."""
        if keras.ops.is_tensor(step) or isinstance(step, keras.Variable):
            step = keras.ops.maximum(keras.ops.cast(step, "float64"), 0.0)
            return keras.ops.cast(self.rate(step, keras.ops), "float32")
        return self.rate(np.maximum(np.asarray(step, dtype=np.float64), 0.0), np)

    def rate(self, step: Any, xp: Any) -> Any:
        """Return the rate at a step, an array or tensor of float64, with the functions of xp."""
        raise NotImplementedError

    def get_config(self) -> dict[str, Any]:
        """Return the settings, for Keras to save."""
        return dataclasses.asdict(self)

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        """Return the schedule with the settings of a saved one."""
        return cls(**config)


@registered
@dataclass(frozen=True)
class CosineRestarts(Schedule):
    """Cosine cycles with warm restarts, each with a linear warm-up of its own.

    Cycle n = 0, 1, ... is length_n = first_cycle growth^n steps long and begins at step
    start_n = first_cycle (growth^n - 1) / (growth - 1); a step is in cycle
    n = floor(log(1 + step (growth - 1) / first_cycle) / log(growth)), or floor(step / first_cycle)
    with growth 1. With k = step - start_n, the warm-up w = warmup_fraction length_n, and the peak
    p = floor + (peak - floor) decay^n,

        rate = floor + (p - floor) k / w                                              for k < w
        rate = floor + (p - floor) (1 + cos(pi (k - w) / (length_n - w))) / 2         else

    A cycle's length need not be a whole number of steps: nothing is rounded, so the cycles stay
    in proportion.

    Args:
        peak: the rate at the end of the first warm-up, greater than floor.
        first_cycle: the length of the first cycle in steps, its warm-up included.
        floor: the rate at the end of every cycle, at least 0.
        warmup_fraction: the share of each cycle that is warm-up, from 0 to less than 1.
        growth: each cycle is so many times as long as the one before, at least 1.
        decay: each peak is so many times as far above the floor as the one before, greater
            than 0, at most 1.
        start_at_floor: whether the first step of a warm-up has the rate `floor`. Without, the
            warm-up has (k + 1) / (w + 1) instead of k / w, and no step is wasted on rate zero.

    Raises:
        ValueError: a setting is out of its range.

    Example:
        >>> schedule = CosineRestarts(1.0, first_cycle=8, growth=2, decay=0.5)
        >>> schedule([0, 1, 2, 5, 8, 10, 12]).tolist()  # the second cycle: from 8, peak at 12
        [0.0, 0.5, 1.0, 0.5, 0.0, 0.25, 0.5]

    Source:
        Loshchilov and Hutter, 2017, "SGDR", https://arxiv.org/abs/1608.03983; without the warm-up.
    """

    peak: float
    first_cycle: float
    _: dataclasses.KW_ONLY
    floor: float = 0.0
    warmup_fraction: float = 0.25
    growth: float = 1.0
    decay: float = 1.0
    start_at_floor: bool = True

    def __post_init__(self) -> None:
        _check("floor", self.floor, at_least=0)
        _check("peak", self.peak, above=self.floor)
        _check("first_cycle", self.first_cycle, above=0)
        _check("warmup_fraction", self.warmup_fraction, at_least=0, below=1)
        _check("growth", self.growth, at_least=1)
        _check("decay", self.decay, above=0, at_most=1)
        _check_truth("start_at_floor", self.start_at_floor)

    def cycle(self, step: Any, xp: Any = np) -> tuple[Any, Any, Any]:
        """Return the number of the cycle that a step is in, its first step and its length.

        Example:
            >>> [float(x) for x in CosineRestarts(1.0, first_cycle=8, growth=2).cycle(9.0)]
            [1.0, 8.0, 16.0]
        """
        tiny = 1e-9  # of a cycle: what rounding may put a whole step before its boundary
        if self.growth == 1:
            number = xp.floor(step / self.first_cycle + tiny)
            return number, number * self.first_cycle, self.first_cycle
        log_growth = math.log(self.growth)
        more = (self.growth - 1) / self.first_cycle
        number = xp.floor(xp.log1p(step * more) / log_growth + tiny)
        return number, xp.expm1(number * log_growth) / more, self.first_cycle * self.growth**number

    def rate(self, step: Any, xp: Any) -> Any:
        """Return the rate at a step, an array or tensor of float64, with the functions of xp."""
        number, start, length = self.cycle(step, xp)
        k = xp.maximum(step - start, 0.0)
        warmup = self.warmup_fraction * length
        height = (self.peak - self.floor) * self.decay**number
        fall = xp.minimum((k - warmup) / (length - warmup), 1.0)
        down = (1 + xp.cos(math.pi * fall)) / 2
        if self.warmup_fraction == 0:
            return self.floor + height * down
        late = 0.0 if self.start_at_floor else 1.0
        return self.floor + height * xp.where(k < warmup, (k + late) / (warmup + late), down)


@registered
@dataclass(frozen=True)
class OneCycle(Schedule):
    """Up once and down once: the one-cycle policy.

    With up = warmup_fraction total_steps, the rate goes from peak / start_divisor at step 0 to
    peak at step `up`, and from there to peak / end_divisor at step total_steps, one after the
    last, where it stays. From a to b it goes, with a share s of the way,

        a + (b - a) (1 - cos(pi s)) / 2      shape "cosine"
        a + (b - a) s                        shape "linear"

    Args:
        peak: the largest rate, greater than 0.
        total_steps: the steps of the whole training, greater than 0.
        warmup_fraction: the share of the steps on the way up, between 0 and 1.
        start_divisor: the first rate is the peak over this, at least 1.
        end_divisor: the last rate is the peak over this, at least 1.
        shape: "cosine" or "linear".

    Raises:
        ValueError: a setting is out of its range.

    Example:
        >>> OneCycle(1.0, 10, warmup_fraction=0.5, shape="linear")([0, 5, 10]).tolist()
        [0.04, 1.0, 0.0001]

    Source:
        Smith and Topin, 2018, https://arxiv.org/abs/1708.07120.
    """

    peak: float
    total_steps: float
    _: dataclasses.KW_ONLY
    warmup_fraction: float = 0.3
    start_divisor: float = 25.0
    end_divisor: float = 1e4
    shape: str = "cosine"

    def __post_init__(self) -> None:
        _check("peak", self.peak, above=0)
        _check("total_steps", self.total_steps, above=0)
        _check("warmup_fraction", self.warmup_fraction, above=0, below=1)
        _check("start_divisor", self.start_divisor, at_least=1)
        _check("end_divisor", self.end_divisor, at_least=1)
        _check_shape(self.shape, ("cosine", "linear"))

    def rate(self, step: Any, xp: Any) -> Any:
        """Return the rate at a step, an array or tensor of float64, with the functions of xp."""
        up = self.warmup_fraction * self.total_steps
        rise = xp.minimum(step / up, 1.0)
        fall = xp.clip((step - up) / (self.total_steps - up), 0.0, 1.0)
        if self.shape == "cosine":
            rise, fall = ((1 - xp.cos(math.pi * s)) / 2 for s in (rise, fall))
        start, end = self.peak / self.start_divisor, self.peak / self.end_divisor
        return xp.where(
            step < up,
            start + (self.peak - start) * rise,
            end + (self.peak - end) * (1 - fall),
        )


@registered
@dataclass(frozen=True)
class Triangular(Schedule):
    """Cyclical rates: up and down in straight lines, again and again.

    With n = floor(step / (2 half_cycle)) and the distance to the middle of the cycle
    d = |step / half_cycle - 2 n - 1|,

        rate = low + (high - low) (1 - d) decay^n

    Args:
        low: the rate at both ends of a cycle, at least 0.
        high: the rate in its middle, greater than low.
        half_cycle: steps from low to high, greater than 0.
        decay: each triangle is so many times as high as the one before, greater than 0, at most 1;
            0.5 is known as "triangular2".

    Raises:
        ValueError: a setting is out of its range.

    Example:
        >>> Triangular(0.0, 1.0, half_cycle=2, decay=0.5)(np.arange(7)).tolist()
        [0.0, 0.5, 1.0, 0.5, 0.0, 0.25, 0.5]

    Source:
        Smith, 2017, https://arxiv.org/abs/1506.01186.
    """

    low: float
    high: float
    half_cycle: float
    _: dataclasses.KW_ONLY
    decay: float = 1.0

    def __post_init__(self) -> None:
        _check("low", self.low, at_least=0)
        _check("high", self.high, above=self.low)
        _check("half_cycle", self.half_cycle, above=0)
        _check("decay", self.decay, above=0, at_most=1)

    def rate(self, step: Any, xp: Any) -> Any:
        """Return the rate at a step, an array or tensor of float64, with the functions of xp."""
        number = xp.floor(step / (2 * self.half_cycle))
        distance = xp.abs(step / self.half_cycle - 2 * number - 1)
        return self.low + (self.high - self.low) * (1 - distance) * self.decay**number


@registered
@dataclass(frozen=True)
class WarmupStableDecay(Schedule):
    """Up, straight on, down: the trapezium.

    With up = warmup_fraction total_steps and down = decay_fraction total_steps,

        rate = peak (step + 1) / (up + 1)                          for step < up
        rate = peak                                                in between
        rate = floor + (peak - floor) shape(s)                     in the last `down` steps

    where s goes from 0 to 1 at step total_steps, one after the last, where the rate stays at
    floor; shape(s) is 1 - s, or 1 - sqrt(s), or (1 + cos(pi s)) / 2. Until the last part begins
    nobody has to know when the training will end.

    Args:
        peak: the rate of the middle part, greater than floor.
        total_steps: the steps of the whole training, greater than 0.
        warmup_fraction: the share of the first part, from 0 to less than 1.
        decay_fraction: the share of the last part, greater than 0; at most 1 with the first.
        floor: the rate at the end, at least 0.
        shape: "linear", "1-sqrt" or "cosine".

    Raises:
        ValueError: a setting is out of its range.

    Example:
        >>> schedule = WarmupStableDecay(1.0, 10, warmup_fraction=0.1, decay_fraction=0.2)
        >>> schedule(np.arange(11)).tolist()
        [0.5, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 0.5, 0.0]

    Source:
        Hu and others, 2024, "MiniCPM", https://arxiv.org/abs/2404.06395; 1 - sqrt: Hägele and
        others, 2024, https://arxiv.org/abs/2405.18392.
    """

    peak: float
    total_steps: float
    _: dataclasses.KW_ONLY
    warmup_fraction: float = 0.05
    decay_fraction: float = 0.2
    floor: float = 0.0
    shape: str = "linear"

    def __post_init__(self) -> None:
        _check("floor", self.floor, at_least=0)
        _check("peak", self.peak, above=self.floor)
        _check("total_steps", self.total_steps, above=0)
        _check("warmup_fraction", self.warmup_fraction, at_least=0, below=1)
        _check("decay_fraction", self.decay_fraction, above=0, at_most=1 - self.warmup_fraction)
        _check_shape(self.shape, ("linear", "1-sqrt", "cosine"))

    def rate(self, step: Any, xp: Any) -> Any:
        """Return the rate at a step, an array or tensor of float64, with the functions of xp."""
        up, down = (
            share * self.total_steps for share in (self.warmup_fraction, self.decay_fraction)
        )
        s = xp.clip((step - self.total_steps) / down + 1, 0.0, 1.0)
        if self.shape == "linear":
            left = 1 - s
        elif self.shape == "1-sqrt":
            left = 1 - xp.sqrt(s)
        else:
            left = (1 + xp.cos(math.pi * s)) / 2
        late = self.floor + (self.peak - self.floor) * left
        return xp.where(step < up, self.peak * (step + 1) / (up + 1), late)


@registered
@dataclass(frozen=True)
class InverseSquareRoot(Schedule):
    """Up in a straight line, then down with one over the root of the step.

        rate = peak min(n / warmup_steps, sqrt(warmup_steps / n)),    n = step + 1

    Args:
        peak: the rate of step warmup_steps - 1, greater than 0.
        warmup_steps: at least 1.

    Raises:
        ValueError: a setting is out of its range.

    Example:
        >>> InverseSquareRoot(0.1, warmup_steps=4)([1, 3, 15]).tolist()
        [0.05, 0.1, 0.05]

    Source:
        Vaswani and others, 2017, section 5.3, https://arxiv.org/abs/1706.03762.
    """

    peak: float
    warmup_steps: float

    def __post_init__(self) -> None:
        _check("peak", self.peak, above=0)
        _check("warmup_steps", self.warmup_steps, at_least=1)

    def rate(self, step: Any, xp: Any) -> Any:
        """Return the rate at a step, an array or tensor of float64, with the functions of xp."""
        share = (step + 1) / self.warmup_steps
        return self.peak * xp.minimum(share, 1 / xp.sqrt(share))


@registered
@dataclass(frozen=True)
class WarmUp(Schedule):
    """A linear warm-up before any schedule.

        rate = start + (schedule(0) - start) (step + 1) / (steps + 1)     for step < steps
        rate = schedule(step - steps)                                      else

    Args:
        schedule: what follows: a schedule of this room or of Keras, or a number.
        steps: the length of the warm-up, greater than 0.
        start: where it comes from; no step has quite this rate. At least 0.

    Raises:
        ValueError: a setting is out of its range.

    Example:
        >>> WarmUp(1.0, steps=3)(np.arange(5)).tolist()
        [0.25, 0.5, 0.75, 1.0, 1.0]

    Source:
        Goyal and others, 2017, https://arxiv.org/abs/1706.02677.
    """

    schedule: Any
    steps: float
    _: dataclasses.KW_ONLY
    start: float = 0.0

    def __post_init__(self) -> None:
        _check_schedule(self.schedule)
        _check("steps", self.steps, above=0)
        _check("start", self.start, at_least=0)

    def rate(self, step: Any, xp: Any) -> Any:
        """Return the rate at a step, an array or tensor of float64, with the functions of xp."""
        after = _rate(self.schedule, xp.maximum(step - self.steps, 0.0), xp)
        rise = (step + 1) / (self.steps + 1)
        return xp.where(step < self.steps, self.start + (after - self.start) * rise, after)

    def get_config(self) -> dict[str, Any]:
        """Return the settings, for Keras to save."""
        saved = keras.saving.serialize_keras_object(self.schedule)
        return {"schedule": saved, "steps": self.steps, "start": self.start}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        """Return the schedule with the settings of a saved one."""
        loaded = keras.saving.deserialize_keras_object(config["schedule"])
        return cls(**{**config, "schedule": loaded})


@registered
@dataclass(frozen=True)
class Join(Schedule):
    """Several schedules, one after the other; each counts from its own first step.

        rate = schedules[i](step - b[i - 1])    for b[i - 1] <= step < b[i], b the boundaries

    Args:
        schedules: two or more schedules, of this room or of Keras, or numbers.
        boundaries: the steps at which the second, the third, ... begin; they increase.

    Raises:
        ValueError: the boundaries do not increase, or are not one fewer than the schedules.

    Example:
        >>> Join([0.1, Triangular(0.0, 1.0, half_cycle=2)], [2])(np.arange(5)).tolist()
        [0.1, 0.1, 0.0, 0.5, 1.0]
    """

    schedules: tuple[Any, ...]
    boundaries: tuple[float, ...]

    def __post_init__(self) -> None:
        _check_list("schedules", self.schedules)
        _check_list("boundaries", self.boundaries)
        object.__setattr__(self, "schedules", tuple(self.schedules))
        object.__setattr__(self, "boundaries", tuple(self.boundaries))
        for schedule in self.schedules:
            _check_schedule(schedule)
        if len(self.schedules) < 2 or len(self.boundaries) != len(self.schedules) - 1:
            raise ValueError(
                "expected two or more schedules and one boundary fewer, "
                f"found {len(self.schedules)} and {len(self.boundaries)}"
            )
        last = 0.0
        for boundary in self.boundaries:
            _check("each of the boundaries", boundary, above=last)
            last = boundary

    def rate(self, step: Any, xp: Any) -> Any:
        """Return the rate at a step, an array or tensor of float64, with the functions of xp."""
        found = _rate(self.schedules[0], step, xp)
        for schedule, first in zip(self.schedules[1:], self.boundaries, strict=True):
            then = _rate(schedule, xp.maximum(step - first, 0.0), xp)
            found = xp.where(step < first, found, then)
        return found

    def get_config(self) -> dict[str, Any]:
        """Return the settings, for Keras to save."""
        saved = [keras.saving.serialize_keras_object(schedule) for schedule in self.schedules]
        return {"schedules": saved, "boundaries": list(self.boundaries)}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        """Return the schedule with the settings of a saved one."""
        loaded = [keras.saving.deserialize_keras_object(saved) for saved in config["schedules"]]
        return cls(loaded, config["boundaries"])


@checked
def values(schedule: Any, steps: npt.ArrayLike) -> np.ndarray:
    """Return the rates of any schedule at many steps.

    Keras's own schedules take one step at a time; this asks them for each, in one compiled loop.

    Args:
        schedule: a schedule of this room or of Keras, or a number.
        steps: of any shape.

    Returns:
        An array of float64 in the shape of steps.

    Raises:
        ValueError: schedule is none, or a step is negative.

    Example:
        >>> decay = keras.optimizers.schedules.ExponentialDecay(1.0, decay_steps=1, decay_rate=0.5)
        >>> values(decay, [0, 1, 2]).tolist()
        [1.0, 0.5, 0.25]
    """
    _check_schedule(schedule)
    if (np.asarray(steps) < 0).any():
        raise ValueError(f"steps must be at least 0, found {steps!r}")
    return np.asarray(_rate(schedule, np.asarray(steps, dtype=np.float64), np))


def _rate(schedule: Any, step: Any, xp: Any) -> Any:
    """The rate of any schedule, or a number, at float64 steps."""
    if isinstance(schedule, Schedule):
        return schedule.rate(step, xp)
    if not isinstance(schedule, keras.optimizers.schedules.LearningRateSchedule):
        return step * 0 + schedule
    if xp is not np:
        return keras.ops.cast(schedule(step), "float64")
    found = keras.ops.vectorized_map(schedule, keras.ops.array(step.ravel()))
    return keras.ops.convert_to_numpy(found).astype(np.float64).reshape(step.shape)


def _check(
    name: str,
    value: Any,
    *,
    above: float | None = None,
    at_least: float | None = None,
    below: float | None = None,
    at_most: float | None = None,
) -> None:
    """Raise ValueError where a setting is not a number within its bounds."""
    bounds = (
        ("above", above, lambda x, bound: x > bound),
        ("at least", at_least, lambda x, bound: x >= bound),
        ("below", below, lambda x, bound: x < bound),
        ("at most", at_most, lambda x, bound: x <= bound),
    )
    asked = [(word, bound, holds) for word, bound, holds in bounds if bound is not None]
    is_number = isinstance(value, numbers.Real) and not isinstance(value, bool)
    if not (
        is_number and math.isfinite(value) and all(holds(value, bound) for _, bound, holds in asked)
    ):
        wanted = " and ".join(f"{word} {bound:g}" for word, bound, _ in asked)
        raise ValueError(f"{name} must be a number {wanted}, found {value!r}")


def _check_shape(shape: Any, known: tuple[str, ...]) -> None:
    if not isinstance(shape, str) or shape not in known:
        raise ValueError(f"shape must be one of {', '.join(known)}, found {shape!r}")


def _check_truth(name: str, value: Any) -> None:
    if not isinstance(value, bool):
        raise TypeError(f"{name} must be True or False, found {value!r}")


def _check_list(name: str, value: Any) -> None:
    listed = isinstance(value, Sequence) and not isinstance(value, str)
    if not listed and not (isinstance(value, np.ndarray) and value.ndim == 1):
        raise TypeError(f"{name} must be a list, found {value!r}")


def _check_schedule(schedule: Any) -> None:
    if not isinstance(schedule, keras.optimizers.schedules.LearningRateSchedule):
        _check("a schedule that is not one of Keras's or of this room", schedule, at_least=0)
