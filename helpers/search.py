"""Hyperparameter search on the right scale: samples, designs, zooms, and studies of many workers.

A study's trials are a queue in a database that any number of workers share, on any number of
machines; Optuna (Akiba and others, 2019, https://arxiv.org/abs/1907.10902) keeps it.

    python -m helpers.search create --storage sqlite:///search.db --study mlp --trials 60
    python -m helpers.search worker --storage sqlite:///search.db --study mlp
    python -m helpers.search status --storage sqlite:///search.db --study mlp
"""

from __future__ import annotations

import argparse
import importlib
import itertools
import math
import numbers
import signal
import sys
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from helpers.checks import MayBeInfinite, checked

if TYPE_CHECKING:
    import optuna

__all__ = [
    "Range",
    "Round",
    "Search",
    "SearchError",
    "at_random",
    "coarse_to_fine",
    "create_study",
    "grid",
    "integer_log_uniform",
    "integer_uniform",
    "log_uniform",
    "main",
    "one_minus_log_uniform",
    "open_study",
    "quasi_random",
    "status",
    "uniform",
    "work",
    "zoom",
]

Configuration = dict[str, Any]
Space = Mapping[str, "Range"]

SCALES: dict[str, tuple[Callable, Callable]] = {
    "linear": (lambda x: x, lambda t: t),
    "log": (np.log, np.exp),
    "one minus log": (lambda x: -np.log1p(-x), lambda t: -np.expm1(-t)),
}
"""The scales: an increasing function of the value, uniform where samples are, and its inverse."""


class SearchError(ValueError):
    """A search that cannot be made, or cannot go on; the message says why and what to do."""


@dataclass(frozen=True)
class Range:
    """The values that a hyperparameter may take, and the scale on which to look among them.

    A position u from 0 to 1 along the range stands for the value f^-1(f(low) + u (f(high) -
    f(low))), with f(x) = x on the linear scale, log x on the log scale, and -log(1 - x) on the
    scale "one minus log". Integers are the nearest to a real number between low - 1/2 and
    high + 1/2, so that both ends get their full share.

    Args:
        low: the smallest value; greater than 0 on the log scale.
        high: the largest value, greater than low; less than 1 on the scale "one minus log".
        scale: "linear", "log", or "one minus log" for averages with weights such as 0.9 and
            0.999, whose length is 1 / (1 - value).
        integer: whether only whole numbers count; low may equal high then.

    Raises:
        SearchError: the ends do not suit the scale, or are not finite.

    Example:
        >>> Range(1e-4, 1.0, "log").at([0.0, 0.5, 1.0]).round(6).tolist()
        [0.0001, 0.01, 1.0]
        >>> Range(0.9, 0.999, "one minus log").at([0.0, 0.5, 1.0]).round(3).tolist()
        [0.9, 0.99, 0.999]
    """

    low: float
    high: float
    scale: str = "linear"
    integer: bool = False

    def __post_init__(self) -> None:
        _check_kinds(self)
        ends = f"found {self.low!r} and {self.high!r}"
        if self.scale not in SCALES:
            raise SearchError(f"scale is one of {list(SCALES)}, found {self.scale!r}")
        if not (math.isfinite(self.low) and math.isfinite(self.high)):
            raise SearchError(f"low and high must be finite, {ends}")
        if not (self.low < self.high or (self.integer and self.low == self.high)):
            raise SearchError(f"low must be less than high, {ends}")
        if self.scale == "log" and not self.low > 0:
            raise SearchError(f"a log scale needs low > 0, {ends}")
        if self.scale == "one minus log" and (self.integer or not self.high < 1):
            raise SearchError(f"the scale 'one minus log' is for real numbers below 1, {ends}")
        if self.integer and (self.low % 1 or self.high % 1):
            raise SearchError(f"a range of integers needs whole ends, {ends}")

    def at(self, position: Any) -> np.ndarray:
        """Return the values at positions from 0 (low) to 1 (high).

        Args:
            position: a number, or an array of any shape.

        Raises:
            SearchError: a position is not in [0, 1].
        """
        position = np.asarray(position, dtype=float)
        if not ((position >= 0) & (position <= 1)).all():
            raise SearchError("positions must be numbers from 0 to 1")
        start, end = self._ends()
        values = SCALES[self.scale][1](start + position * (end - start))
        values = np.select([position == 0, position == 1], [self.low, self.high], values)
        if self.integer:
            values = np.rint(values).astype(np.int64)
        return np.clip(values, self.low, self.high)

    def position(self, value: Any) -> np.ndarray:
        """Return the positions of values, from 0 (low) to 1 (high): the inverse of `at`.

        Args:
            value: a number, or an array of any shape.

        Raises:
            SearchError: a value is not in the range.
        """
        value = np.asarray(value, dtype=float)
        if not ((value >= self.low) & (value <= self.high)).all():
            raise SearchError(f"values must lie from {self.low} to {self.high}, found {value}")
        start, end = self._ends()
        return np.clip((SCALES[self.scale][0](value) - start) / (end - start), 0, 1)

    def _ends(self) -> tuple[float, float]:
        margin = 0.5 if self.integer else 0.0
        scale = SCALES[self.scale][0]
        return float(scale(self.low - margin)), float(scale(self.high + margin))


@checked
def uniform(low: float, high: float, size: int, rng: np.random.Generator) -> np.ndarray:
    """Draw numbers uniformly from [low, high].

    Args:
        low: the smallest value.
        high: the largest value, greater than low.
        size: how many to draw.
        rng: the source of randomness.

    Returns:
        A float array (size,).

    Raises:
        SearchError: low is not less than high, or size is negative.
        TypeError: rng is not a numpy.random.Generator.

    Example:
        >>> uniform(0.0, 0.5, 3, np.random.default_rng(0)).round(2).tolist()
        [0.32, 0.13, 0.02]
    """
    return _draw(Range(low, high), size, rng)


@checked
def log_uniform(low: float, high: float, size: int, rng: np.random.Generator) -> np.ndarray:
    """Draw numbers whose logarithm is uniform: as many in each decade.

    log x is uniform on [log low, log high]; the density of x is 1 / (x log(high / low)). For
    learning rates, decays, widths: whatever is tried in multiples.

    Args:
        low: the smallest value, greater than 0.
        high: the largest value, greater than low.
        size: how many to draw.
        rng: the source of randomness.

    Returns:
        A float array (size,).

    Raises:
        SearchError: not 0 < low < high, or size is negative.
        TypeError: rng is not a numpy.random.Generator.

    Example:
        >>> rates = log_uniform(1e-4, 1.0, 1000, np.random.default_rng(0))
        >>> [int((rates < bound).sum()) for bound in (1e-3, 1e-2, 1e-1, 1.0)]
        [231, 473, 733, 1000]
    """
    return _draw(Range(low, high, "log"), size, rng)


@checked
def one_minus_log_uniform(
    low: float, high: float, size: int, rng: np.random.Generator
) -> np.ndarray:
    """Draw numbers whose distance from 1 is log-uniform: for momentum, beta_1 and beta_2.

    log(1 - x) is uniform on [log(1 - high), log(1 - low)], so that the length 1 / (1 - x) of a
    moving average is log-uniform.

    Args:
        low: the smallest value.
        high: the largest value, greater than low and less than 1.
        size: how many to draw.
        rng: the source of randomness.

    Returns:
        A float array (size,).

    Raises:
        SearchError: not low < high < 1, or size is negative.
        TypeError: rng is not a numpy.random.Generator.

    Example:
        >>> betas = one_minus_log_uniform(0.9, 0.999, 1000, np.random.default_rng(0))
        >>> int((betas < 0.99).sum())
        473
    """
    return _draw(Range(low, high, "one minus log"), size, rng)


@checked
def integer_uniform(low: int, high: int, size: int, rng: np.random.Generator) -> np.ndarray:
    """Draw whole numbers from low to high, both included, each as likely.

    Args:
        low: the smallest value.
        high: the largest value.
        size: how many to draw.
        rng: the source of randomness.

    Returns:
        An int64 array (size,).

    Raises:
        SearchError: low or high is not a whole number, low is above high, or size is negative.
        TypeError: rng is not a numpy.random.Generator.

    Example:
        >>> integer_uniform(1, 6, 5, np.random.default_rng(0)).tolist()
        [4, 2, 1, 1, 5]
    """
    return _draw(Range(low, high, integer=True), size, rng)


@checked
def integer_log_uniform(low: int, high: int, size: int, rng: np.random.Generator) -> np.ndarray:
    """Draw whole numbers from low to high, about as many in each doubling.

    The number k comes with probability log((k + 1/2) / (k - 1/2)) / log((high + 1/2) / (low -
    1/2)): a log-uniform real number, rounded.

    Args:
        low: the smallest value, at least 1.
        high: the largest value.
        size: how many to draw.
        rng: the source of randomness.

    Returns:
        An int64 array (size,).

    Raises:
        SearchError: low or high is not a whole number, not 0 < low <= high, or size is negative.
        TypeError: rng is not a numpy.random.Generator.

    Example:
        >>> integer_log_uniform(16, 512, 5, np.random.default_rng(0)).tolist()
        [144, 40, 18, 16, 267]
    """
    return _draw(Range(low, high, "log", integer=True), size, rng)


def _draw(values: Range, size: int, rng: np.random.Generator) -> np.ndarray:
    return values.at(_generator(rng).random(_count("size", size, at_least=0)))


@checked
def grid(space: Space, levels: int | Mapping[str, int]) -> list[Configuration]:
    """Return every combination of evenly spaced values: evenly on each one's scale.

    Args:
        space: the ranges by name.
        levels: how many values of each, or of each by name. Both ends are among them; a single
            one is the middle. A range with fewer whole numbers gives those.

    Raises:
        SearchError: the space is empty, or levels is not at least 1 for each of its names.

    Example:
        >>> points = grid({"learning_rate": Range(0.01, 1.0, "log")}, 3)
        >>> [round(point["learning_rate"], 6) for point in points]
        [0.01, 0.1, 1.0]
    """
    _check_space(space)
    counts = dict.fromkeys(space, levels) if isinstance(levels, int) else dict(levels)
    if set(counts) != set(space):
        raise SearchError(f"levels has {sorted(counts)}, the space has {sorted(space)}")
    values = []
    for name, choices in space.items():
        count = _count(f"levels of {name}", counts[name], at_least=1)
        positions = np.linspace(0, 1, count) if count > 1 else np.array([0.5])
        values.append(list(dict.fromkeys(choices.at(positions).tolist())))
    return [dict(zip(space, point, strict=True)) for point in itertools.product(*values)]


@checked
def at_random(space: Space, size: int, rng: np.random.Generator) -> list[Configuration]:
    """Return configurations drawn at random, each value on its own scale.

    With n points every hyperparameter is tried at n values, while a grid of n points in d
    dimensions tries n^(1/d) of each (Bergstra and Bengio, 2012,
    https://jmlr.org/papers/v13/bergstra12a.html).

    Args:
        space: the ranges by name.
        size: how many to draw.
        rng: the source of randomness.

    Raises:
        SearchError: the space is empty, or size is negative.
        TypeError: rng is not a numpy.random.Generator.

    Example:
        >>> space = {"learning_rate": Range(1e-4, 1.0, "log"), "width": Range(8, 64, integer=True)}
        >>> [point["width"] for point in at_random(space, 3, np.random.default_rng(0))]
        [23, 8, 60]
    """
    _check_space(space)
    size = _count("size", size, at_least=0)
    return _configurations(space, _generator(rng).random((size, len(space))))


@checked
def quasi_random(space: Space, size: int, rng: np.random.Generator) -> list[Configuration]:
    """Return configurations that fill the space more evenly than chance: a Halton sequence.

    The digits of the sequence are permuted at random (Owen, 2017,
    https://arxiv.org/abs/1706.02808), so that each draw is another, and each point by itself is
    as random as one of `at_random`.

    Args:
        space: the ranges by name.
        size: how many to draw.
        rng: the source of randomness.

    Raises:
        SearchError: the space is empty, or size is negative.
        TypeError: rng is not a numpy.random.Generator.

    Example:
        >>> points = quasi_random({"rate": Range(0.0, 1.0)}, 4, np.random.default_rng(0))
        >>> sorted(int(4 * point["rate"]) for point in points)
        [0, 1, 2, 3]
    """
    from scipy.stats import qmc

    _check_space(space)
    size = _count("size", size, at_least=0)
    sequence = qmc.Halton(len(space), scramble=True, rng=_generator(rng))
    return _configurations(space, sequence.random(size) if size else np.empty((0, len(space))))


@checked
def zoom(
    space: Space,
    configurations: Sequence[Configuration],
    losses: MayBeInfinite,
    keep: int = 3,
) -> dict[str, Range]:
    """Return the smaller space about the best configurations.

    On each scale it reaches from the least to the largest of the `keep` best, and beyond them, on
    both sides, by half of their mean gap (largest - least) / (keep - 1), or by half of the mean gap
    of all configurations if that is more; never out of the space.

    Args:
        space: the ranges by name.
        configurations: what was tried.
        losses: what came of it, lower is better; NaN is worst.
        keep: how many of the best count, at least 2.

    Raises:
        SearchError: there are not as many losses as configurations, or fewer than `keep`.

    Example:
        >>> space = {"rate": Range(0.0, 1.0)}
        >>> tried = [{"rate": rate} for rate in (0.1, 0.3, 0.5, 0.7)]
        >>> smaller = zoom(space, tried, [0.9, 0.2, 0.1, 0.4], keep=2)["rate"]
        >>> round(smaller.low, 6), round(smaller.high, 6)
        (0.175, 0.625)
    """
    _check_space(space)
    keep = _count("keep", keep, at_least=2)
    measured = _worst_for_nan(losses)
    if measured.shape != (len(configurations),) or measured.size < keep:
        raise SearchError(
            f"expected as many losses as configurations, {keep} or more, "
            f"found {measured.size} and {len(configurations)}"
        )
    best = np.argsort(measured, kind="stable")[:keep]
    smaller = {}
    for name, values in space.items():
        positions = values.position([configurations[i][name] for i in best])
        least, most = positions.min(), positions.max()
        gap = max((most - least) / (keep - 1), 1 / len(configurations))
        low, high = values.at(np.clip([least - gap / 2, most + gap / 2], 0, 1)).tolist()
        smaller[name] = Range(low, high, values.scale, values.integer)
    return smaller


@dataclass(frozen=True)
class Round:
    """One round of `coarse_to_fine`: where it looked, what it tried, and what came of it.

    Example:
        >>> round_of_one = Round({"x": Range(0.0, 1.0)}, ({"x": 0.3},), (0.1,))
        >>> round_of_one.losses
        (0.1,)
    """

    space: Mapping[str, Range]
    configurations: tuple[Configuration, ...]
    losses: tuple[float, ...]


@checked
def coarse_to_fine(
    evaluate: Callable[[Configuration], float],
    space: Space,
    *,
    rounds: int = 3,
    size: int = 9,
    keep: int = 3,
    rng: np.random.Generator,
) -> tuple[Round, ...]:
    """Sample at random, zoom into the best region, and sample again, each on its own scale.

    Args:
        evaluate: gives the loss of a configuration, lower is better; NaN is worst.
        space: the ranges of the first round, by name.
        rounds: how many rounds, at least 1.
        size: configurations in each.
        keep: how many of the best, of all rounds so far, the next space surrounds (see `zoom`).
        rng: the source of randomness.

    Raises:
        SearchError: the space is empty, rounds is less than 1, keep less than 2, or size less
            than keep.
        TypeError: rng is not a numpy.random.Generator.

    Example:
        >>> found = coarse_to_fine(lambda c: (c["x"] - 0.3) ** 2, {"x": Range(0.0, 1.0)},
        ...                        rng=np.random.default_rng(0))
        >>> [round(r.space["x"].high - r.space["x"].low, 2) for r in found]
        [1.0, 0.67, 0.37]
    """
    _count("rounds", rounds, at_least=1)
    _count("size", size, at_least=_count("keep", keep, at_least=2))
    done: list[Round] = []
    for _ in range(rounds):
        if done:
            within = [
                (c, loss)
                for r in done
                for c, loss in zip(r.configurations, r.losses, strict=True)
                if _contains(space, c)
            ]
            space = zoom(space, [c for c, _ in within], [loss for _, loss in within], keep)
        configurations = at_random(space, size, rng)
        losses = tuple(float(evaluate(c)) for c in configurations)
        done.append(Round(dict(space), tuple(configurations), losses))
    return tuple(done)


Report = Callable[[int, float], None]


@checked
@dataclass(frozen=True)
class Search:
    """What a study searches: a space, and what a configuration's loss is.

    Args:
        space: the ranges by name.
        evaluate: called as evaluate(configuration, report); returns the loss, lower is better.
            It may call report(step, loss) as it goes on, steps counting from 1; a trial that is
            stopped early ends there, with an exception that must not be caught.

    Example:
        >>> def evaluate(configuration, report):
        ...     return (configuration["x"] - 0.3) ** 2
        >>> Search({"x": Range(0.0, 1.0)}, evaluate).space["x"].high
        1.0
    """

    space: Mapping[str, Range]
    evaluate: Callable[[Configuration, Report], float]


METHODS = ("tpe", "random", "quasi-random")
"""How a study may choose its configurations."""

BOOK_SEARCH = "helpers.search_laboratory:FASHION_MLP"
"""What `create` searches unless told otherwise: the MLP of the book."""

RETRIES = 3
"""How often a trial is taken up again whose worker has died: it may be what kills them."""


@checked
def create_study(
    search: Search | str,
    trials: int,
    *,
    storage: str | None = None,
    name: str = "search",
    method: str = "tpe",
    seed: int = 0,
    halving: int | None = None,
    heartbeat: int = 20,
) -> optuna.Study:
    """Make a study: a queue of trials, which workers take one by one.

    Called again for a study that exists, it changes nothing but this: trials that were lost (their
    code raised an error, or their workers died too often) are put back into the queue.

    Args:
        search: what to search; with a storage that others share, the "module:NAME" where each
            worker finds it.
        trials: how many configurations to try.
        storage: None for memory, or a database: "sqlite:///file.db" for workers on one machine,
            "postgresql://user@host/database" for workers anywhere.
        name: of the study, in its storage.
        method: one of `METHODS`: "tpe" (tree-structured Parzen estimators, Bergstra and others,
            2011, https://papers.nips.cc/paper/4443-algorithms-for-hyper-parameter-optimization)
            chooses when a trial begins, by what is known by then; the others at once.
        seed: of the configurations that "random" and "quasi-random" choose, and in memory of
            those that "tpe" chooses.
        halving: with h, a trial whose loss is not among the best h-th of those that came as far
            stops after 1, h, h^2, ... reported steps (asynchronous successive halving, Li and
            others, 2018, https://arxiv.org/abs/1810.05934). None: none stops early.
        heartbeat: seconds between signs of life of a worker; one that gives none for three times
            as long has died, and its trial goes back into the queue.

    Raises:
        SearchError: an argument is out of its range, the storage cannot be opened, or a study of
            this name exists with other settings.

    Example:
        >>> search = Search({"x": Range(0.0, 1.0)}, lambda point, report: point["x"] ** 2)
        >>> study = create_study(search, 5, method="random")
        >>> status(study)["waiting"]
        5
    """
    with _without_bars():
        import optuna

    if method not in METHODS:
        raise SearchError(f"method is one of {list(METHODS)}, found {method!r}")
    if halving is not None:
        _count("halving", halving, at_least=2)
    settings = {
        "search": search if isinstance(search, str) else None,
        "trials": _count("trials", trials, at_least=1),
        "method": method,
        "seed": _count("seed", seed, at_least=0),
        "halving": halving,
        "heartbeat": _count("heartbeat", heartbeat, at_least=1),
    }
    if storage and not isinstance(search, str):
        raise SearchError('a study in a database needs search="module:NAME", for others to find')
    space = find_search(search).space if isinstance(search, str) else search.space
    queue = _queue(space, method, trials, np.random.default_rng(seed))
    with _errors_of(storage):
        kept = _storage(storage)
        study = optuna.create_study(storage=kept, study_name=name, load_if_exists=True)
        found = study.user_attrs
        differing = {
            key: found[key] for key in settings if found.get(key, settings[key]) != settings[key]
        }
        if differing:
            raise SearchError(f"the study {name!r} exists, with {differing}; take another name")
        for key, value in settings.items():
            study.set_user_attr(key, value)
        alive = _alive(study)
        for index, fixed in enumerate(queue):
            if index not in alive:
                study.enqueue_trial(fixed, user_attrs={"index": index})
        return _ready(study, kept)


@checked
def open_study(storage: str, name: str) -> optuna.Study:
    """Open a study that exists.

    Args:
        storage: its database, as for `create_study`.
        name: its name there.

    Raises:
        SearchError: the storage cannot be opened, or has no such study.

    Example:
        >>> import tempfile, pathlib
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     try:
        ...         open_study(f"sqlite:///{pathlib.Path(folder, 'none.db').as_posix()}", "mlp")
        ...     except SearchError as error:
        ...         print(str(error)[:17])
        no study 'mlp' in
    """
    with _without_bars():
        import optuna

    with _errors_of(storage):
        kept = _storage(storage)
        names = optuna.get_all_study_names(kept)
        if name not in names:
            raise SearchError(
                f"no study {name!r} in {_public(storage)}, which has {names}; "
                f"make it with: python -m helpers.search create --storage ... --study {name}"
            )
        return _ready(optuna.load_study(study_name=name, storage=kept), kept)


def find_search(path: str) -> Search:
    """Import a search by its address.

    Args:
        path: "module:NAME", the module as in an import statement.

    Raises:
        SearchError: there is no such module, or no `Search` of this name in it.

    Example:
        >>> sorted(find_search(BOOK_SEARCH).space)
        ['batch_size', 'learning_rate', 'momentum', 'width']
    """
    module, _, name = path.partition(":")
    try:
        found = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise SearchError(f'no search at {path!r} ("module:NAME"): {error}') from error
    if not isinstance(found, Search):
        raise SearchError(f"{path} is a {type(found).__name__}, expected a helpers.search.Search")
    return found


@checked
def work(
    study: optuna.Study, search: Search | None = None, say: Callable[[str], None] = print
) -> None:
    """Take trials from a study's queue, one by one, until all are done: what a worker does.

    Any number of workers may do so at once. A worker that is killed loses its trial only: when its
    signs of life have been missed for long enough, another takes the trial up again. Ctrl-C
    puts the trial back at once.

    Args:
        study: from `create_study` or `open_study`.
        search: what to search; None to import it by the address that the study keeps.
        say: shows a line of progress.

    Raises:
        SearchError: the study has no address, or what is there is no search.
        KeyboardInterrupt: after the trial has been put back.

    Example:
        >>> search = Search({"x": Range(0.0, 1.0)}, lambda point, report: point["x"] ** 2)
        >>> study = create_study(search, 2, method="quasi-random")
        >>> work(study, search, say=lambda line: None)
        >>> status(study)["complete"]
        2
    """
    import optuna

    if search is None:
        path = study.user_attrs["search"]
        if path is None:
            raise SearchError("the study was made for memory; pass its search")
        search = find_search(path)
    space, evaluate = search.space, search.evaluate
    taken: list[optuna.trial.Trial] = []
    errors: list[Exception] = []

    def objective(trial: optuna.trial.Trial) -> float:
        if "index" not in trial.user_attrs:
            raise _NothingToDo  # another worker has taken the last one in the meantime
        taken.append(trial)

        def report(step: int, loss: float) -> None:
            trial.report(loss, step)
            if trial.should_prune():
                raise optuna.TrialPruned

        try:
            loss = float(evaluate(_suggested(trial, space), report))
        except Exception as error:
            errors.append(error)
            raise
        return math.inf if math.isnan(loss) else loss  # a training that diverged is the worst

    while (counts := status(study))["waiting"] or counts["running"]:
        if not counts["waiting"]:  # others are at work, and may yet fail
            _fail_stale_trials(study)
            time.sleep(_PATIENCE)
            continue
        taken.clear()
        try:
            study.optimize(objective, n_trials=1, catch=(_NothingToDo,))
        except KeyboardInterrupt:
            if taken and taken[0].user_attrs["index"] not in _alive(study):
                _put_back(study, taken[0].number)
                say(f"interrupted; trial {taken[0].number} is back in the queue")
            raise
        except (ValueError, optuna.exceptions.UpdateFinishedTrialError) as error:
            if error in errors or not taken:
                raise
            say(f"trial {taken[0].number}: given to another worker, for want of signs of life")
            continue
        if taken:
            say(_line(study, taken[0].number))


@checked
def status(study: optuna.Study) -> dict[str, Any]:
    """Return how far a study is, and the best that it has found.

    Args:
        study: from `create_study` or `open_study`.

    Returns:
        How many trials are waiting, running, complete, pruned (stopped early) and lost (their code
        raised an error, or their workers died too often: `create_study` puts them back); loss and
        configuration of the best complete one, None if there is none.

    Example:
        >>> search = Search({"x": Range(0.0, 1.0)}, lambda point, report: point["x"] ** 2)
        >>> study = create_study(search, 3, method="quasi-random")
        >>> status(study)
        {'waiting': 3, 'running': 0, 'complete': 0, 'pruned': 0, 'lost': 0, 'best': None}
    """
    states = ("waiting", "running", "complete", "pruned")
    trials = _planned(study)
    counts: dict[str, Any] = {
        state: sum(t.state.name == state.upper() for t in trials) for state in states
    }
    counts["lost"] = study.user_attrs["trials"] - sum(counts.values())
    complete = [t for t in trials if t.state.name == "COMPLETE"]
    counts["best"] = None
    if complete:
        best = min(complete, key=lambda trial: trial.values[0])
        counts["best"] = {"loss": best.value, "configuration": _values(best.params)}
    return counts


# ---------------------------------------------------------------------------- Optuna's side

_PATIENCE = 0.5
"""Seconds between two looks at a queue whose last trials are with others."""

_REFLECTED = "1 - "
"""What goes before the name of a hyperparameter that Optuna keeps as its distance from 1."""


class _NothingToDo(Exception):  # noqa: N818 - not an error
    """There was a trial in the queue when the worker looked, and none when it asked for it."""


def _queue(
    space: Space, method: str, trials: int, rng: np.random.Generator
) -> list[dict[str, float]]:
    """What is fixed of each trial before it begins: everything, or nothing."""
    if method == "tpe":
        return [{} for _ in range(trials)]
    design = at_random if method == "random" else quasi_random
    return [
        {
            _name(name, space[name]): 1 - value if _reflected(space[name]) else value
            for name, value in configuration.items()
        }
        for configuration in design(space, trials, rng)
    ]


def _suggested(trial: optuna.trial.Trial, space: Space) -> Configuration:
    """Ask Optuna for a value of each hyperparameter."""
    for name, values in space.items():
        log = values.scale == "log"
        if _reflected(values):
            trial.suggest_float(_name(name, values), 1 - values.high, 1 - values.low, log=True)
        elif values.integer:
            trial.suggest_int(name, int(values.low), int(values.high), log=log)
        else:
            trial.suggest_float(name, values.low, values.high, log=log)
    return _values(trial.params)


def _values(params: Mapping[str, Any]) -> Configuration:
    """Optuna's parameters as a configuration."""
    return {
        name.removeprefix(_REFLECTED): 1 - value if name.startswith(_REFLECTED) else value
        for name, value in params.items()
    }


def _reflected(values: Range) -> bool:
    return values.scale == "one minus log"


def _name(name: str, values: Range) -> str:
    return _REFLECTED + name if _reflected(values) else name


def _planned(study: optuna.Study) -> list[optuna.trial.FrozenTrial]:
    """The trials that came from the queue, with those that took the place of lost ones."""
    return [t for t in study.get_trials(deepcopy=False) if "index" in t.user_attrs]


def _alive(study: optuna.Study) -> set[int]:
    """The places in the queue that are not lost: waiting, in work, or done."""
    return {t.user_attrs["index"] for t in _planned(study) if t.state.name != "FAIL"}


def _ready(study: optuna.Study, storage: Any) -> optuna.Study:
    """Give a study the sampler, the pruner and the heartbeat that its settings ask for."""
    import optuna

    settings = study.user_attrs
    in_memory = isinstance(storage, optuna.storages.InMemoryStorage)
    seed = settings["seed"] if in_memory else None  # workers with one seed would try the same
    study.sampler = optuna.samplers.TPESampler(seed=seed, constant_liar=True)
    study.pruner = optuna.pruners.NopPruner()
    if settings["halving"] is not None:
        study.pruner = optuna.pruners.SuccessiveHalvingPruner(
            min_resource=1, reduction_factor=settings["halving"]
        )
    if not in_memory:
        storage.heartbeat_interval = settings["heartbeat"]
        storage.grace_period = 3 * settings["heartbeat"]
    return study


def _storage(url: str | None) -> Any:
    """Open a storage in which a trial is never taken twice, nor lost without a sign of life."""
    import optuna
    import sqlalchemy

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    if url is None:
        return optuna.storages.InMemoryStorage()

    class Storage(optuna.storages.RDBStorage):
        def set_trial_state_values(self, trial_id: int, state: Any, values: Any = None) -> bool:
            if state.name == "RUNNING":  # first: a worker may be killed right after it took a trial
                self.record_heartbeat(trial_id)
            return super().set_trial_state_values(trial_id, state, values)

    address = sqlalchemy.make_url(url)
    sqlite = address.get_backend_name() == "sqlite"
    if address.drivername == "postgresql":
        address = address.set(drivername="postgresql+psycopg")
    storage = Storage(
        address.render_as_string(hide_password=False),
        engine_kwargs={
            "poolclass": sqlalchemy.pool.NullPool,  # a worker holds no connection while it trains
            "connect_args": {"timeout": 60} if sqlite else {},
        },
        heartbeat_stale_trial_callback=optuna.storages.RetryHeartbeatStaleTrialCallback(
            max_retry=RETRIES
        ),
    )
    if sqlite:  # it knows no locks of rows; without this, two may read a trial before one takes it
        sqlalchemy.event.listen(storage.engine, "connect", _leave_transactions_to_us)
        sqlalchemy.event.listen(storage.engine, "begin", _begin_immediately)
    return storage


def _leave_transactions_to_us(connection: Any, _: Any) -> None:
    connection.isolation_level = None


def _begin_immediately(connection: Any) -> None:
    connection.exec_driver_sql("BEGIN IMMEDIATE")


@contextmanager
def _errors_of(url: str | None) -> Iterator[None]:
    """Say what is wrong with a storage in its user's terms."""
    import optuna
    import sqlalchemy

    try:
        with _quiet():
            yield
    except ImportError as error:
        raise SearchError(
            f"{_public(url)} needs a driver ({error}); for PostgreSQL: "
            'pip install "psycopg[binary]"'
        ) from error
    except (sqlalchemy.exc.SQLAlchemyError, optuna.exceptions.StorageInternalError) as error:
        raise SearchError(f"cannot use the storage {_public(url)}: {error}") from error


def _public(url: str | None) -> str:
    """A storage's address without its password."""
    import sqlalchemy

    try:
        return sqlalchemy.make_url(url or "memory").render_as_string(hide_password=True)
    except sqlalchemy.exc.ArgumentError:
        return repr(url)


@contextmanager
def _quiet() -> Iterator[None]:
    """Without Optuna's warnings that heartbeat and retry are experimental; our tests try them."""
    import optuna

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        yield


@contextmanager
def _without_bars() -> Iterator[None]:
    """Without tqdm's warning, at Optuna's import, that a notebook cannot show its bars."""
    from tqdm import TqdmWarning

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", TqdmWarning)
        yield


def _fail_stale_trials(study: optuna.Study) -> None:
    import optuna

    with _quiet():
        optuna.storages.fail_stale_trials(study)


def _put_back(study: optuna.Study, number: int) -> None:
    """Put a trial that was interrupted back into the queue, as it was planned and begun."""
    trial = study.get_trials(deepcopy=False)[number]
    fixed = {**trial.system_attrs.get("fixed_params", {}), **trial.params}
    study.enqueue_trial(fixed, user_attrs=trial.user_attrs)


def _line(study: optuna.Study, number: int) -> str:
    """One line on a trial that is done, and on the study."""
    trial, counts = study.get_trials(deepcopy=False)[number], status(study)
    result = "stopped early" if trial.value is None else f"loss {trial.value:.4g}"
    values = ", ".join(f"{name} {value:.4g}" for name, value in _values(trial.params).items())
    best = f"; best {counts['best']['loss']:.4g}" if counts["best"] else ""
    done = counts["complete"] + counts["pruned"]
    return f"[{done}/{study.user_attrs['trials']}] trial {number}: {result} ({values}){best}"


# ---------------------------------------------------------------------------- checks


def _count(name: str, value: int, *, at_least: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < at_least:
        raise SearchError(f"{name} must be a whole number, at least {at_least}, found {value!r}")
    return int(value)


def _generator(rng: np.random.Generator) -> np.random.Generator:
    if not isinstance(rng, np.random.Generator):
        raise TypeError(f"rng must be a numpy.random.Generator, found {rng!r}")
    return rng


def _check_kinds(values: Range) -> None:
    for name in ("low", "high"):
        value = getattr(values, name)
        if not isinstance(value, numbers.Real) or isinstance(value, bool):
            raise TypeError(f"{name} must be a number, found {value!r}")
    if not isinstance(values.scale, str):
        raise TypeError(f"scale is one of {list(SCALES)}, found {values.scale!r}")
    if not isinstance(values.integer, bool):
        raise TypeError(f"integer must be True or False, found {values.integer!r}")


def _check_space(space: Space) -> None:
    if not isinstance(space, Mapping):
        raise TypeError(f"expected a mapping of names to ranges, found {space!r}")
    if not space or not all(isinstance(values, Range) for values in space.values()):
        raise SearchError(f"a space has a Range for each name, found {space!r}")


def _configurations(space: Space, positions: np.ndarray) -> list[Configuration]:
    columns = [values.at(positions[:, i]).tolist() for i, values in enumerate(space.values())]
    return [dict(zip(space, point, strict=True)) for point in zip(*columns, strict=True)]


def _contains(space: Space, configuration: Configuration) -> bool:
    return all(values.low <= configuration[name] <= values.high for name, values in space.items())


def _worst_for_nan(losses: MayBeInfinite) -> np.ndarray:
    values = np.asarray(losses, dtype=float)
    return np.where(np.isnan(values), np.inf, values)


# ---------------------------------------------------------------------------- command line


@checked
def main(arguments: Sequence[str] | None = None) -> int:
    """Make a study, work on it, or say how far it is, as asked for on the command line.

    Args:
        arguments: those of the command line, unless given.

    Returns:
        0; 1 if it could not be done; 130 after Ctrl-C.

    Example:
        >>> main(["status", "--storage", "sqlite:///:memory:", "--study", "mlp"])
        1
    """
    parser = argparse.ArgumentParser(prog="python -m helpers.search", description="A shared search")
    actions = parser.add_subparsers(dest="action", required=True)
    for action, text in (
        ("create", "make a study, or put its lost trials back into the queue"),
        ("worker", "work on a study until all its trials are done"),
        ("status", "say how far a study is"),
    ):
        command = actions.add_parser(action, help=text)
        command.add_argument("--storage", required=True, metavar="URL", help="its database")
        command.add_argument("--study", required=True, metavar="NAME")
        if action == "create":
            command.add_argument("--search", default=BOOK_SEARCH, metavar="MODULE:NAME")
            command.add_argument("--trials", type=int, default=60)
            command.add_argument("--method", choices=METHODS, default="tpe")
            command.add_argument("--seed", type=int, default=0)
            command.add_argument("--halving", type=int)
            command.add_argument("--heartbeat", type=int, default=20, metavar="SECONDS")
    chosen = vars(parser.parse_args(arguments))
    from optuna.exceptions import StorageInternalError

    action, storage, name = (chosen.pop(key) for key in ("action", "storage", "study"))
    try:
        if action == "create":
            study = create_study(**chosen, storage=storage, name=name)
        else:
            study = open_study(storage, name)
        if action == "worker":
            signal.signal(signal.SIGTERM, signal.default_int_handler)  # as a cluster asks to stop
            work(study, say=_say)
        for key, value in status(study).items():
            _say(f"{key:9} {value}")
    except SearchError as error:
        print(f"helpers.search: {error}", file=sys.stderr)
        return 1
    except StorageInternalError as error:  # such as a full disk
        first = str(error.__cause__ or error).splitlines()[0]
        way_on = "when it works, `create` puts lost trials back, and a new worker goes on"
        print(f"helpers.search: the storage failed: {first}; {way_on}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


def _say(line: str) -> None:
    print(line, flush=True)


if __name__ == "__main__":
    from helpers.search import main as main_of_module  # not __main__: its classes are others

    sys.exit(main_of_module())
