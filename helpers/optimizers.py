"""Momentum and adaptive optimizers in NumPy: small, immutable, and equal to Keras's.

    state = optimizer.init(params)
    updates, state = optimizer.update(grads, state, params)
    params = apply_updates(params, updates)  # params + updates

An optimizer holds its settings and nothing else; what it remembers is its state. Parameters are
an array, or a list, tuple or dictionary of arrays.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, fields, replace
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import numpy.typing as npt

from helpers.checks import checked

if TYPE_CHECKING:
    import keras

    from helpers.surfaces import Surface

__all__ = [
    "SGD",
    "Adadelta",
    "Adagrad",
    "Adam",
    "AdamW",
    "Momentum",
    "Nesterov",
    "Optimizer",
    "RMSProp",
    "apply_updates",
    "as_keras",
    "convert_momentum",
    "descend",
    "tuned_momentum",
]

Array = np.ndarray
Arrays = tuple[np.ndarray, ...]

Params = Any
"""An array, or a list, tuple or dictionary of them."""

State = dict[str, Any]
"""The step (an int) and, for each of the optimizer's slots, arrays in the shape of params."""

CONVENTIONS = ("gradients", "steps", "average")


@dataclass(frozen=True)
class Optimizer:
    """What all optimizers share: an update is computed array by array.

    Attributes:
        learning_rate: the rate, greater than 0.

    Raises:
        ValueError: a setting is out of its range.

    Example:
        >>> optimizer, params = SGD(learning_rate=0.5), {"w": np.array([1.0, 2.0])}
        >>> grads, state = {"w": np.array([1.0, 1.0])}, optimizer.init(params)
        >>> updates, state = optimizer.update(grads, state, params)
        >>> apply_updates(params, updates), state
        ({'w': array([0.5, 1.5])}, {'step': 1})
    """

    learning_rate: float = 0.01
    slots: ClassVar[tuple[str, ...]] = ()

    def __post_init__(self) -> None:
        for field in fields(self):
            value = _checked(field.name, getattr(self, field.name))
            object.__setattr__(self, field.name, value)  # numbers of NumPy become plain ones

    def init(self, params: Params) -> State:
        """Return the state before the first step.

        Args:
            params: the parameters, of any floating type; the state has the same.

        Raises:
            ValueError: there is no array in params, or one is not of real numbers.
        """
        start = [self._start(w) for w in _leaves(params)]
        if not start:
            raise ValueError(f"expected at least one array, found {params!r}")
        return {"step": 0} | {
            name: _like(params, (slots[i] for slots in start)) for i, name in enumerate(self.slots)
        }

    def update(self, grads: Params, state: State, params: Params) -> tuple[Params, State]:
        """Return what one step adds to the parameters, and the state after it.

        Args:
            grads: the gradient, arranged like params.
            state: what `init` or the step before returned; it is not changed.
            params: the parameters at which the gradient was taken.

        Raises:
            ValueError: grads or the state is not arranged like params.
        """
        missing = {"step", *self.slots} - set(state)
        if missing:
            raise ValueError(f"the state lacks {sorted(missing)}: begin with init(params)")
        step = state["step"] + 1
        trees = [params, grads, *(state[name] for name in self.slots)]
        rows = [self._rule(*arrays, w=w, t=step) for w, *arrays in _together(*trees)]
        updates, *slots = (_like(params, column) for column in zip(*rows, strict=True))
        return updates, {"step": step} | dict(zip(self.slots, slots, strict=True))

    def _start(self, w: Array) -> Arrays:
        """What the slots of one array of parameters hold before the first step."""
        return tuple(np.zeros_like(w) for _ in self.slots)

    def _rule(self, *args: Any, **kwargs: Any) -> Arrays:
        """The update of one array w with gradient g, and its slots after step number t.

        It is called with g and the slots, and with w and t by name.
        """
        raise NotImplementedError


@dataclass(frozen=True)
class SGD(Optimizer):
    """Gradient descent: w <- w - a g.

    Attributes:
        learning_rate: a, greater than 0.

    Example:
        >>> SGD(0.1).update(np.array([2.0]), {"step": 0}, np.array([1.0]))[0]
        array([-0.2])

    Source: Robbins and Monro, "A stochastic approximation method", 1951.
    """

    def _rule(self, g: Array, **_: Any) -> Arrays:
        return (-self.learning_rate * g,)


@dataclass(frozen=True)
class Momentum(Optimizer):
    """Momentum: v <- gamma v + g, w <- w - a v.

    Attributes:
        learning_rate: a, greater than 0.
        momentum: gamma, in [0, 1); 0 is plain gradient descent.
        convention: what v adds up: "gradients" (as above, PyTorch's); "steps", with the rate
            inside: v <- gamma v + a g, w <- w - v (Keras's, but for the sign of v); or their
            "average": v <- gamma v + (1 - gamma) g, w <- w - a v. See `convert_momentum`.

    Example:
        >>> optimizer, w = Momentum(learning_rate=1.0, momentum=0.5), np.array([0.0])
        >>> state = optimizer.init(w)
        >>> for _ in range(3):
        ...     update, state = optimizer.update(np.array([1.0]), state, w)
        >>> update  # on its way to 1 / (1 - 0.5) times the plain step
        array([-1.75])

    Source: Polyak, "Some methods of speeding up the convergence of iteration methods", 1964.
    """

    momentum: float = 0.9
    convention: str = "gradients"
    slots: ClassVar[tuple[str, ...]] = ("v",)

    def _rule(self, g: Array, v: Array, **_: Any) -> Arrays:
        if self.convention == "steps":
            v = self.momentum * v + self.learning_rate * g
            return -v, v
        if self.convention == "average":
            g = (1 - self.momentum) * g
        v = self.momentum * v + g
        return -self.learning_rate * v, v


@dataclass(frozen=True)
class Nesterov(Optimizer):
    """Nesterov's momentum: v <- gamma v + g, w <- w - a (g + gamma v).

    Attributes:
        learning_rate: a, greater than 0.
        momentum: gamma, in [0, 1).

    Example:
        >>> optimizer, w = Nesterov(learning_rate=1.0, momentum=0.5), np.array([0.0])
        >>> optimizer.update(np.array([1.0]), optimizer.init(w), w)[0]
        array([-1.5])

    The gradient is taken where momentum would carry the weights; w is that place.

    Source: Nesterov, "A method of solving a convex programming problem with convergence rate
    O(1/k^2)", 1983; in this form, Bengio, Boulanger-Lewandowski and Pascanu, "Advances in
    optimizing recurrent networks", 2013.
    """

    momentum: float = 0.9
    slots: ClassVar[tuple[str, ...]] = ("v",)

    def _rule(self, g: Array, v: Array, **_: Any) -> Arrays:
        v = self.momentum * v + g
        return -self.learning_rate * (g + self.momentum * v), v


@dataclass(frozen=True)
class Adagrad(Optimizer):
    """Adagrad: s <- s + g^2, w <- w - a g / sqrt(s + epsilon).

    Attributes:
        learning_rate: a, greater than 0.
        initial_accumulator_value: s before the first step, 0 or more (Keras's default is 0.1).
        epsilon: greater than 0.

    Example:
        >>> optimizer, w = Adagrad(learning_rate=1.0), np.array([0.0, 0.0])
        >>> optimizer.update(np.array([3.0, -0.01]), optimizer.init(w), w)[0].round(2)
        array([-1.,  1.])

    Source: Duchi, Hazan and Singer, "Adaptive subgradient methods for online learning and
    stochastic optimization", 2011.
    """

    learning_rate: float = 0.001
    initial_accumulator_value: float = 0.0
    epsilon: float = 1e-7
    slots: ClassVar[tuple[str, ...]] = ("s",)

    def _start(self, w: Array) -> Arrays:
        return (np.full_like(w, self.initial_accumulator_value),)

    def _rule(self, g: Array, s: Array, **_: Any) -> Arrays:
        s = s + g**2
        return -self.learning_rate * g / np.sqrt(s + self.epsilon), s


@dataclass(frozen=True)
class RMSProp(Optimizer):
    """RMSProp: s <- rho s + (1 - rho) g^2, w <- w - a g / sqrt(s + epsilon).

    Attributes:
        learning_rate: a, greater than 0.
        rho: how much of s is kept, in [0, 1).
        epsilon: greater than 0.

    Example:
        >>> optimizer, w = RMSProp(learning_rate=0.1, rho=0.75), np.array([0.0])
        >>> optimizer.update(np.array([3.0]), optimizer.init(w), w)[0].round(3)
        array([-0.2])

    Source: Tieleman and Hinton, "Neural networks for machine learning", lecture 6e, 2012.
    """

    learning_rate: float = 0.001
    rho: float = 0.9
    epsilon: float = 1e-7
    slots: ClassVar[tuple[str, ...]] = ("s",)

    def _rule(self, g: Array, s: Array, **_: Any) -> Arrays:
        s = self.rho * s + (1 - self.rho) * g**2
        return -self.learning_rate * g / np.sqrt(s + self.epsilon), s


@dataclass(frozen=True)
class Adadelta(Optimizer):
    """Adadelta: a step is as long as the last steps were, so it needs no rate.

    s <- rho s + (1 - rho) g^2,  d = -sqrt(u + epsilon) / sqrt(s + epsilon) g,
    u <- rho u + (1 - rho) d^2,  w <- w + a d.

    Attributes:
        learning_rate: a, greater than 0; 1 is the published method (Keras's default is 0.001).
        rho: how much of the averages is kept, in [0, 1).
        epsilon: greater than 0; it sets the length of the first steps.

    Example:
        >>> optimizer, w = Adadelta(rho=0.75), np.array([0.0])
        >>> optimizer.update(np.array([3.0]), optimizer.init(w), w)[0].round(5)
        array([-0.00063])

    Source: Zeiler, "ADADELTA: an adaptive learning rate method", 2012.
    """

    learning_rate: float = 1.0
    rho: float = 0.95
    epsilon: float = 1e-7
    slots: ClassVar[tuple[str, ...]] = ("s", "u")

    def _rule(self, g: Array, s: Array, u: Array, **_: Any) -> Arrays:
        s = self.rho * s + (1 - self.rho) * g**2
        d = -np.sqrt(u + self.epsilon) / np.sqrt(s + self.epsilon) * g
        u = self.rho * u + (1 - self.rho) * d**2
        return self.learning_rate * d, s, u


@dataclass(frozen=True)
class Adam(Optimizer):
    """Adam: m <- beta_1 m + (1 - beta_1) g, v <- beta_2 v + (1 - beta_2) g^2,
    w <- w - a_t m / (sqrt(v) + epsilon), a_t = a sqrt(1 - beta_2^t) / (1 - beta_1^t).

    The factors of a_t correct the averages, which begin at 0. Epsilon stands where Keras has it,
    the paper's "epsilon hat": beside the square root of the average before its correction.

    Attributes:
        learning_rate: a, greater than 0.
        beta_1: how much of the average of gradients is kept, in [0, 1).
        beta_2: how much of the average of their squares is kept, in [0, 1).
        epsilon: greater than 0.
        bias_correction: False leaves the factors out, to see what they are good for.

    Example:
        >>> optimizer, w = Adam(learning_rate=0.1), np.array([0.0, 0.0])
        >>> optimizer.update(np.array([3.0, -0.01]), optimizer.init(w), w)[0].round(3)
        array([-0.1,  0.1])

    Source: Kingma and Ba, "Adam: a method for stochastic optimization", 2015.
    """

    learning_rate: float = 0.001
    beta_1: float = 0.9
    beta_2: float = 0.999
    epsilon: float = 1e-7
    bias_correction: bool = True
    slots: ClassVar[tuple[str, ...]] = ("m", "v")

    def _rule(self, g: Array, m: Array, v: Array, *, t: int, **_: Any) -> Arrays:
        m = self.beta_1 * m + (1 - self.beta_1) * g
        v = self.beta_2 * v + (1 - self.beta_2) * g**2
        rate = self.learning_rate
        if self.bias_correction:
            rate *= math.sqrt(1 - self.beta_2**t) / (1 - self.beta_1**t)
        return -rate * m / (np.sqrt(v) + self.epsilon), m, v


@dataclass(frozen=True)
class AdamW(Adam):
    """AdamW: Adam's step, and each weight shrinks by the factor 1 - a lambda.

    The decay does not pass through Adam's averages, as the gradient of an L2 penalty does.

    Attributes:
        learning_rate: a, greater than 0.
        beta_1: how much of the average of gradients is kept, in [0, 1).
        beta_2: how much of the average of their squares is kept, in [0, 1).
        epsilon: greater than 0.
        bias_correction: False leaves Adam's correction out.
        weight_decay: lambda, 0 or more.

    Example:
        >>> optimizer, w = AdamW(learning_rate=0.1, weight_decay=0.5), np.array([2.0])
        >>> optimizer.update(np.array([0.0]), optimizer.init(w), w)[0]
        array([-0.1])

    Source: Loshchilov and Hutter, "Decoupled weight decay regularization", 2019.
    """

    weight_decay: float = 0.004

    def _rule(self, g: Array, m: Array, v: Array, *, t: int, **more: Any) -> Arrays:
        update, m, v = super()._rule(g, m, v, t=t)
        return update - self.learning_rate * self.weight_decay * more["w"], m, v


@checked
def apply_updates(params: Params, updates: Params) -> Params:
    """Return params + updates, array by array.

    Args:
        params: an array, or a list, tuple or dictionary of arrays.
        updates: what `update` returned for them.

    Raises:
        ValueError: they are not arranged alike.

    Example:
        >>> apply_updates([np.array([1.0]), np.array([2.0])], [np.array([0.5]), np.array([0.0])])
        [array([1.5]), array([2.])]
    """
    return _like(params, [w + update for w, update in _together(params, updates)])


@checked
def as_keras(optimizer: Optimizer) -> keras.optimizers.Optimizer:
    """Return the Keras optimizer that takes the same steps.

    Args:
        optimizer: any optimizer of this module.

    Raises:
        ValueError: Keras has no such optimizer: Adam without bias correction.

    Example:
        >>> theirs = as_keras(Nesterov(0.5, momentum=0.8))
        >>> type(theirs).__name__, theirs.momentum, theirs.nesterov
        ('SGD', 0.8, True)
    """
    import keras

    if not isinstance(optimizer, Optimizer):
        raise ValueError(f"expected an optimizer of this module, found {optimizer!r}")
    settings = asdict(optimizer)
    if not settings.pop("bias_correction", True):
        raise ValueError("Keras has no Adam without bias_correction")
    if isinstance(optimizer, Momentum):
        plain, _ = convert_momentum(optimizer, {"v": []}, "steps")
        return keras.optimizers.SGD(plain.learning_rate, momentum=plain.momentum)
    if isinstance(optimizer, Nesterov):
        return keras.optimizers.SGD(**settings, nesterov=True)
    name = type(optimizer).__name__
    return getattr(keras.optimizers, "RMSprop" if name == "RMSProp" else name)(**settings)


@checked
def convert_momentum(optimizer: Momentum, state: State, convention: str) -> tuple[Momentum, State]:
    """Let a descent with momentum go on in another convention: every later step is the same.

    With S the sum of the gradients, each weighted by gamma^age, v is S ("gradients"), a S
    ("steps"), or (1 - gamma) S ("average"). An average needs a rate 1 / (1 - gamma) times as large.

    Args:
        optimizer: momentum in one convention.
        state: its state, at any step.
        convention: "gradients", "steps" or "average".

    Returns:
        The optimizer and the state in that convention.

    Raises:
        ValueError: there is no such convention, or the state is not one of momentum.

    Example:
        >>> optimizer = Momentum(learning_rate=0.1, momentum=0.5)
        >>> convert_momentum(optimizer, {"step": 9, "v": np.array([3.0])}, "average")[0]
        Momentum(learning_rate=0.2, momentum=0.5, convention='average')
    """
    if "v" not in state:
        raise ValueError("the state lacks 'v': begin with init(params)")
    kept = 1 - optimizer.momentum
    to_rate = {"gradients": 1.0, "steps": 1.0, "average": 1 / kept}
    convention = _checked("convention", convention)
    rate = optimizer.learning_rate / to_rate[optimizer.convention]  # of the sum of gradients
    unit = {"gradients": 1.0, "steps": rate, "average": kept}
    factor = unit[convention] / unit[optimizer.convention]
    v = _like(state["v"], [factor * v for v in _leaves(state["v"])])
    converted = replace(optimizer, learning_rate=rate * to_rate[convention], convention=convention)
    return converted, {**state, "v": v}


@checked
def tuned_momentum(smallest: float, largest: float) -> Momentum:
    """Return the momentum whose descent on a quadratic converges fastest in the end.

    a = 4 / (sqrt(L) + sqrt(mu))^2, gamma = ((sqrt(k) - 1) / (sqrt(k) + 1))^2, k = L / mu.

    Args:
        smallest: mu, the smallest curvature (eigenvalue of the Hessian), greater than 0.
        largest: L, the largest curvature.

    Raises:
        ValueError: not 0 < smallest <= largest.

    Example:
        >>> tuned_momentum(1.0, 9.0)
        Momentum(learning_rate=0.25, momentum=0.25, convention='gradients')

    Source: Polyak, "Some methods of speeding up the convergence of iteration methods", 1964.
    """
    if not 0 < smallest <= largest < math.inf:
        raise ValueError(f"expected 0 < smallest <= largest, found {smallest!r}, {largest!r}")
    low, high = math.sqrt(smallest), math.sqrt(largest)
    return Momentum(4 / (low + high) ** 2, momentum=((high - low) / (high + low)) ** 2)


@checked
def descend(optimizer: Optimizer, surface: Surface, start: npt.ArrayLike, steps: int) -> np.ndarray:
    """Walk down a surface, step by step.

    Args:
        optimizer: any optimizer of this module.
        surface: a surface of `helpers.surfaces`.
        start: the point to begin at, (2,).
        steps: how many steps, at least 0.

    Returns:
        The way, (steps + 1, 2), the start first. From where it overflows it is NaN.

    Raises:
        ValueError: steps is negative, or start is not a finite point of the plane.

    Example:
        >>> from helpers.surfaces import bowl
        >>> descend(SGD(learning_rate=0.5), bowl(), [1, 2], steps=2)
        array([[1.  , 2.  ],
               [0.5 , 1.  ],
               [0.25, 0.5 ]])
    """
    if steps < 0:
        raise ValueError(f"steps must be at least 0, found {steps!r}")
    surface.gradient(start)  # refuses what is no point
    way = np.full((steps + 1, 2), np.nan)
    way[0] = start
    state = optimizer.init(way[0])
    with np.errstate(over="ignore", invalid="ignore"):
        for i in range(steps):
            updates, state = optimizer.update(surface.gradient(way[i]), state, way[i])
            point = way[i] + updates
            if not np.isfinite(point).all():
                break
            way[i + 1] = point
    return way


def _checked(name: str, value: Any) -> Any:
    """Return a setting, a plain number if it is one, or refuse it."""
    if name == "convention":
        if not isinstance(value, str) or value not in CONVENTIONS:
            raise ValueError(f"convention is one of {CONVENTIONS}, found {value!r}")
        return value
    if name == "bias_correction":
        if not isinstance(value, bool):
            raise ValueError(f"bias_correction is True or False, found {value!r}")
        return value
    if isinstance(value, bool) or not isinstance(value, int | float | np.number):
        raise ValueError(f"{name} must be a number, found {value!r}")
    number = float(value)
    if name in {"learning_rate", "epsilon"}:
        fits, wanted = 0 < number < math.inf, "greater than 0, and finite"
    elif name in {"weight_decay", "initial_accumulator_value"}:
        fits, wanted = 0 <= number < math.inf, "0 or more, and finite"
    else:
        fits, wanted = 0 <= number < 1, "at least 0 and less than 1"
    if not fits:
        raise ValueError(f"{name} must be {wanted}, found {value!r}")
    return number


def _array(leaf: Any) -> np.ndarray:
    array = np.asarray(leaf)
    if array.dtype.kind not in "fiu":
        raise ValueError(f"expected arrays of real numbers, found {leaf!r}")
    return array if array.dtype.kind == "f" else array.astype(float)


def _leaves(tree: Params) -> Iterator[np.ndarray]:
    """The arrays of a tree, from left to right."""
    if isinstance(tree, dict | list | tuple):
        for branch in tree.values() if isinstance(tree, dict) else tree:
            yield from _leaves(branch)
    else:
        yield _array(tree)


def _like(tree: Params, leaves: Iterable[Any]) -> Params:
    """Arrange arrays like a tree that has as many."""
    rest = iter(leaves)

    def grow(part: Params) -> Params:
        if isinstance(part, dict):
            return {key: grow(branch) for key, branch in part.items()}
        if isinstance(part, list | tuple):
            return type(part)(grow(branch) for branch in part)
        return next(rest)

    return grow(tree)


def _together(first: Params, *others: Params) -> Iterator[tuple[np.ndarray, ...]]:
    """The arrays of several trees that are arranged alike, place by place."""
    if isinstance(first, dict):
        if not all(isinstance(tree, dict) and set(tree) == set(first) for tree in others):
            raise ValueError(f"expected dictionaries with the keys {sorted(first)} everywhere")
        for key in first:
            yield from _together(first[key], *(tree[key] for tree in others))
    elif isinstance(first, list | tuple):
        if not all(isinstance(tree, list | tuple) and len(tree) == len(first) for tree in others):
            raise ValueError(f"expected lists of {len(first)} entries everywhere")
        for branches in zip(first, *others, strict=True):
            yield from _together(*branches)
    else:
        like = _array(first)
        arrays = [_array(tree).astype(like.dtype, copy=False) for tree in others]
        shapes = [array.shape for array in (like, *arrays)]
        if len(set(shapes)) > 1:
            raise ValueError(f"expected arrays of one shape in each place, found {shapes}")
        yield like, *arrays
