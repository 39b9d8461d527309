"""Taylor polynomials, their remainders, and the order of an error."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from helpers.checks import checked

__all__ = ["lagrange_bound", "order_of_error", "taylor_polynomial"]


@checked
def taylor_polynomial(
    derivatives: Sequence[float], x: npt.ArrayLike, *, around: float = 0.0
) -> np.ndarray:
    r"""Evaluate a Taylor polynomial.

    T_n(x) = sum over k = 0..n of f^(k)(a) / k! (x - a)^k

    Args:
        derivatives: f(a), f'(a), ..., f^(n)(a); the order n is their number less one.
        x: where to evaluate, any shape.
        around: the point a.

    Returns:
        T_n(x), in the shape of x.

    Raises:
        ValueError: there is no derivative, or a number is not finite.

    Example:
        >>> taylor_polynomial([1, 1, 1], [0.0, 1.0])  # e^x around 0, order 2
        array([1. , 2.5])
    """
    coefficients = np.asarray(derivatives)
    if coefficients.ndim != 1 or coefficients.size == 0:
        raise ValueError(f"expected f(a), f'(a), ..., found shape {coefficients.shape}")
    distance = np.asarray(x) - around
    total = np.zeros_like(distance)
    for k in reversed(range(len(coefficients))):  # Horner's scheme
        total = total * distance / (k + 1) + coefficients[k]
    return total


@checked
def lagrange_bound(largest: float, distance: npt.ArrayLike, order: int) -> np.ndarray:
    """Bound the remainder of a Taylor polynomial (Lagrange).

    |f(x) - T_n(x)| <= M |x - a|^(n + 1) / (n + 1)!

    Args:
        largest: M, the largest absolute value of f^(n + 1) between a and x.
        distance: x - a, any shape.
        order: n, at least 0.

    Returns:
        The bound, in the shape of distance.

    Raises:
        ValueError: largest or order is negative, or a number is not finite.

    Example:
        >>> float(lagrange_bound(1.0, 0.1, order=1))  # sin: |f''| <= 1
        0.005000000000000001
    """
    if order < 0 or largest < 0:
        raise ValueError(f"expected largest >= 0 and order >= 0, found {largest!r}, {order!r}")
    size = np.abs(np.asarray(distance, dtype=float))
    return np.asarray(largest * size ** (order + 1) / math.factorial(order + 1))


@checked
def order_of_error(error: Callable[[np.ndarray], npt.ArrayLike], distances: npt.ArrayLike) -> float:
    """Measure how fast an error vanishes: the slope of its log against the log of the distance.

    An error that behaves like C h^p has the slope p. That of a Taylor polynomial of order n has
    n + 1, where f^(n + 1)(a) is not zero and rounding does not matter yet.

    Args:
        error: gives the error for an array of distances.
        distances: at least two different numbers greater than 0.

    Returns:
        The slope of the least-squares line.

    Raises:
        ValueError: the distances are unfit, or an error is zero or not finite.

    Example:
        >>> round(order_of_error(lambda h: np.exp(h) - 1 - h, [0.1, 0.01, 0.001]), 1)
        2.0
    """
    steps = np.asarray(distances, dtype=float)
    if steps.ndim != 1 or np.unique(steps).size < 2 or (steps <= 0).any():
        raise ValueError(f"expected two or more different distances > 0, found {distances!r}")
    sizes = np.abs(np.asarray(error(steps), dtype=float))
    if sizes.shape != steps.shape or not np.isfinite(sizes).all() or (sizes == 0).any():
        raise ValueError("expected one finite error for each distance, none of them zero")
    return float(np.polyfit(np.log(steps), np.log(sizes), 1)[0])
