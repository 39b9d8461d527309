"""Reverse-mode automatic differentiation in NumPy: a small engine to read.

A `Value` remembers how it was computed: its parents, and for each of them a *pullback*, which
turns the gradient with respect to the value into its share of the gradient with respect to the
parent. `backward` walks the graph from the output to its leaves and adds the shares up. Nothing
is stored in the values, so a graph can be differentiated as often as one likes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Union

import numpy as np
import numpy.typing as npt

from helpers.checks import checked

__all__ = ["Value", "backward", "cross_entropy"]

Pullback = Callable[[np.ndarray], np.ndarray]
Operand = Union["Value", npt.ArrayLike]


@dataclass(frozen=True, eq=False)
class Value:
    """A number or an array, with the operation that made it.

    Arithmetic (+, -, *, /, ** with a number, @) and the methods below make new values; arrays of
    different shapes broadcast as in NumPy.

    Args:
        data: the number or array; it is stored as float64.
        name: what to call it in a drawing of the graph.
        operation: the operation that made it, such as "+"; empty for a leaf.
        parents: the values it was made from, each with its pullback.

    Raises:
        ValueError: data is not numeric, or shapes do not fit together.

    Example:
        >>> x, y, z = Value(-2.0), Value(5.0), Value(-4.0)
        >>> f = (x + y) * z
        >>> gradients = backward(f)
        >>> f.data.item(), [gradients[v].item() for v in (x, y, z)]
        (-12.0, [-4.0, -4.0, 3.0])
    """

    data: np.ndarray
    name: str = ""
    operation: str = ""
    parents: tuple[tuple[Value, Pullback], ...] = ()

    __array_ufunc__ = None  # so that `array * value` comes here, not to NumPy

    def __init__(
        self,
        data: npt.ArrayLike,
        name: str = "",
        operation: str = "",
        parents: tuple[tuple[Value, Pullback], ...] = (),
    ):
        try:
            array = np.array(data)
        except ValueError:  # rows of different lengths
            array = np.array(None)
        if array.dtype.kind not in "biuf":
            raise ValueError(f"expected a number or an array, found {data!r}")
        array = array.astype(np.float64)
        for field, value in zip(
            ("data", "name", "operation", "parents"), (array, name, operation, parents), strict=True
        ):
            object.__setattr__(self, field, value)

    def __add__(self, other: Operand) -> Value:
        other = _value(other)
        return Value(self.data + other.data, "", "+", ((self, lambda g: g), (other, lambda g: g)))

    def __mul__(self, other: Operand) -> Value:
        other = _value(other)
        return Value(
            self.data * other.data,
            "",
            "*",
            ((self, lambda g: g * other.data), (other, lambda g: g * self.data)),
        )

    def __matmul__(self, other: Operand) -> Value:
        other = _value(other)
        if self.data.ndim != 2 or other.data.ndim != 2:
            raise ValueError(
                f"@ takes two matrices, found shapes {self.data.shape} and {other.data.shape}"
            )
        return Value(
            self.data @ other.data,
            "",
            "@",
            ((self, lambda g: g @ other.data.T), (other, lambda g: self.data.T @ g)),
        )

    def __pow__(self, exponent: float) -> Value:
        if isinstance(exponent, Value) or np.ndim(exponent) != 0:
            raise ValueError(f"** takes a number as its exponent, found {exponent!r}")
        slope = exponent * self.data ** (exponent - 1) if exponent else np.zeros_like(self.data)
        return Value(self.data**exponent, "", f"^{exponent:g}", ((self, lambda g: g * slope),))

    def __neg__(self) -> Value:
        return self * -1.0

    def __sub__(self, other: Operand) -> Value:
        return self + -_value(other)

    def __truediv__(self, other: Operand) -> Value:
        return self * _value(other).reciprocal()

    def __radd__(self, other: npt.ArrayLike) -> Value:
        return _value(other) + self

    def __rmul__(self, other: npt.ArrayLike) -> Value:
        return _value(other) * self

    def __rsub__(self, other: npt.ArrayLike) -> Value:
        return _value(other) - self

    def __rtruediv__(self, other: npt.ArrayLike) -> Value:
        return _value(other) / self

    def __rmatmul__(self, other: npt.ArrayLike) -> Value:
        return _value(other) @ self

    def reciprocal(self) -> Value:
        """Return 1 / x; the derivative is -1 / x^2."""
        inverse = 1.0 / self.data
        return Value(inverse, "", "1/x", ((self, lambda g: -g * inverse**2),))

    def exp(self) -> Value:
        """Return e^x; the derivative is e^x."""
        result = np.exp(self.data)
        return Value(result, "", "exp", ((self, lambda g: g * result),))

    def log(self) -> Value:
        """Return ln x; the derivative is 1 / x."""
        return Value(np.log(self.data), "", "ln", ((self, lambda g: g / self.data),))

    def relu(self) -> Value:
        """Return max(0, x); the derivative is 1 where x > 0, else 0."""
        positive = self.data > 0
        return Value(np.maximum(self.data, 0.0), "", "relu", ((self, lambda g: g * positive),))

    def tanh(self) -> Value:
        """Return tanh x; the derivative is 1 - tanh^2 x."""
        result = np.tanh(self.data)
        return Value(result, "", "tanh", ((self, lambda g: g * (1 - result**2)),))

    def sum(self) -> Value:
        """Return the sum of all entries; the derivative with respect to each is 1."""
        return Value(self.data.sum(), "", "sum", ((self, lambda g: g * np.ones_like(self.data)),))

    def mean(self) -> Value:
        """Return the mean of all entries."""
        return self.sum() * (1.0 / self.data.size)

    def log_sum_exp(self) -> Value:
        """Return ln(sum of e^x) along the last axis, stably; the derivative is the softmax."""
        largest = self.data.max(axis=-1, keepdims=True)
        shares = np.exp(self.data - largest)
        total = shares.sum(axis=-1, keepdims=True)
        result = (largest + np.log(total))[..., 0]
        return Value(result, "", "log-sum-exp", ((self, lambda g: g[..., None] * shares / total),))

    def select(self, columns: npt.ArrayLike) -> Value:
        """Return one entry of each row, x[i, columns[i]]."""
        chosen = np.asarray(columns)
        if self.data.ndim != 2 or chosen.shape != self.data.shape[:1]:
            raise ValueError(
                f"expected a matrix and one column for each row, found shapes "
                f"{self.data.shape} and {chosen.shape}"
            )
        if (
            chosen.dtype.kind not in "iu"
            or not ((chosen >= 0) & (chosen < self.data.shape[1])).all()
        ):
            raise ValueError(f"expected columns from 0 to {self.data.shape[1] - 1}")
        rows = np.arange(len(chosen))

        def pull(g: np.ndarray) -> np.ndarray:
            back = np.zeros_like(self.data)
            back[rows, chosen] = g
            return back

        return Value(self.data[rows, chosen], "", "select", ((self, pull),))


@checked
def backward(output: Value) -> dict[Value, np.ndarray]:
    """Return the gradient of a number with respect to every value it was computed from.

    Args:
        output: a value with a single entry.

    Returns:
        For each value of the graph, leaves and intermediate ones, the derivative of the output
        with respect to it, in its shape.

    Raises:
        ValueError: the output has more than one entry.

    Example:
        >>> w = Value(3.0)
        >>> backward(w * w)[w].item()
        6.0
    """
    if output.data.size != 1:
        raise ValueError(f"expected a single number, found shape {output.data.shape}")
    gradients = {output: np.ones_like(output.data)}
    for value in reversed(_parents_first(output)):
        for parent, pullback in value.parents:
            share = _like(pullback(gradients[value]), parent.data.shape)
            gradients[parent] = gradients.get(parent, 0.0) + share
    return gradients


@checked
def cross_entropy(logits: Value, labels: npt.ArrayLike) -> Value:
    """Return the mean cross-entropy of softmax(logits), from the logits, stably.

    loss = mean over i of log-sum-exp(z_i) - z_i[y_i]

    Its gradient is (softmax(z) - onehot(y)) / n.

    Args:
        logits: z, (n, classes).
        labels: y, n integers from 0 to classes - 1.

    Raises:
        ValueError: the shapes do not fit or a label is out of range.

    Example:
        >>> round(cross_entropy(Value([[0.0, 0.0]]), [1]).data.item(), 4)
        0.6931
    """
    return (logits.log_sum_exp() - logits.select(labels)).mean()


def _value(operand: Operand) -> Value:
    return operand if isinstance(operand, Value) else Value(operand)


def _parents_first(output: Value) -> list[Value]:
    """The values of a graph in an order in which parents come before what is made of them."""
    order: dict[Value, None] = {}
    waiting = [(output, False)]
    while waiting:
        value, parents_done = waiting.pop()
        if value in order:
            continue
        if parents_done:
            order[value] = None
        else:
            waiting.append((value, True))
            waiting.extend((parent, False) for parent, _ in value.parents)
    return list(order)


def _like(gradient: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Sum over the axes along which a value of this shape was broadcast."""
    gradient = np.asarray(gradient)
    extra = gradient.ndim - len(shape)
    gradient = gradient.sum(axis=tuple(range(extra)))
    stretched = tuple(i for i, size in enumerate(shape) if size == 1 and gradient.shape[i] != 1)
    return gradient.sum(axis=stretched, keepdims=True)
