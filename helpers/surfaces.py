"""Toy loss surfaces with exact gradients and Hessians.

Each is a function of a point of the plane. `value` takes points of any leading shape, so a grid for
contours is one call.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from helpers.checks import checked

__all__ = ["Surface", "bowl", "many_minima", "quadratic", "ravine", "rosenbrock", "saddle"]

Function = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Surface:
    """A loss surface over the plane.

    Attributes:
        name: what to call it.
        value_at: points (..., 2) to values (...).
        gradient_at: a point (2,) to the gradient (2,).
        hessian_at: a point (2,) to the Hessian (2, 2).
        minimum: the lowest point, or None where the surface has no bottom.

    Example:
        >>> surface = ravine(condition=10)
        >>> surface.value([[0, 0], [1, 1]]), surface.gradient([1, 1])
        (array([0. , 5.5]), array([ 1., 10.]))
    """

    name: str
    value_at: Function
    gradient_at: Function
    hessian_at: Function
    minimum: tuple[float, float] | None

    def value(self, points: npt.ArrayLike) -> np.ndarray:
        """Return the values at points of shape (..., 2)."""
        return self.value_at(_points(points))

    def gradient(self, point: npt.ArrayLike) -> np.ndarray:
        """Return the gradient at a point of shape (2,)."""
        return self.gradient_at(_point(point))

    def hessian(self, point: npt.ArrayLike) -> np.ndarray:
        """Return the Hessian, (2, 2), at a point of shape (2,)."""
        return self.hessian_at(_point(point))


@checked
def quadratic(matrix: npt.ArrayLike, *, name: str = "quadratic") -> Surface:
    """Return the surface f(w) = 1/2 w' A w.

    Its gradient is A w and its Hessian A. Gradient descent with rate eta converges from every
    start exactly if A is positive definite and eta < 2 / (largest eigenvalue of A).

    Args:
        matrix: A, a symmetric (2, 2) matrix.
        name: what to call the surface.

    Raises:
        ValueError: the matrix is not (2, 2), symmetric and finite.

    Example:
        >>> float(quadratic([[2, 0], [0, 1]]).value([1, 1]))
        1.5
    """
    a = np.array(matrix, dtype=float)
    if a.shape != (2, 2) or not np.isfinite(a).all() or not np.allclose(a, a.T):
        raise ValueError(f"expected a symmetric, finite (2, 2) matrix, found {matrix!r}")
    a.flags.writeable = False
    return Surface(
        name,
        value_at=lambda w: 0.5 * np.einsum("...i,ij,...j->...", w, a, w),
        gradient_at=lambda w: a @ w,
        hessian_at=lambda _: a.copy(),
        minimum=(0.0, 0.0) if np.linalg.eigvalsh(a)[0] > 0 else None,
    )


@checked
def bowl(curvature: float = 1.0) -> Surface:
    """Return the round bowl f(w) = a/2 (w1^2 + w2^2).

    Args:
        curvature: a, greater than 0.

    Raises:
        ValueError: the curvature is not greater than 0.

    Example:
        >>> bowl(4.0).gradient([1, 0])
        array([4., 0.])
    """
    return quadratic(_positive(curvature, "curvature") * np.eye(2), name="bowl")


@checked
def ravine(condition: float = 10.0) -> Surface:
    """Return the ravine f(w) = 1/2 (w1^2 + k w2^2), k times as steep across as along.

    Args:
        condition: k, the condition number of the Hessian, at least 1.

    Raises:
        ValueError: the condition number is less than 1.

    Example:
        >>> ravine(100).hessian([0, 0]).diagonal()
        array([  1., 100.])
    """
    if not 1 <= condition < np.inf:
        raise ValueError(f"condition must be at least 1, and finite, found {condition!r}")
    return quadratic(np.diag([1.0, condition]), name="ravine")


def saddle() -> Surface:
    """Return the saddle f(w) = 1/2 (w1^2 - w2^2): a minimum one way, a maximum the other.

    Example:
        >>> saddle().gradient([0, 0])
        array([0., 0.])
    """
    return quadratic(np.diag([1.0, -1.0]), name="saddle")


@checked
def rosenbrock(steepness: float = 100.0) -> Surface:
    """Return Rosenbrock's banana f(w) = (1 - w1)^2 + b (w2 - w1^2)^2, minimum at (1, 1).

    Args:
        steepness: b, greater than 0; Rosenbrock's is 100.

    Raises:
        ValueError: the steepness is not greater than 0.

    Example:
        >>> float(rosenbrock().value([1, 1]))
        0.0

    Source: Rosenbrock, "An automatic method for finding the greatest or least value of a
    function", The Computer Journal 3 (1960), 175-184.
    """
    b = _positive(steepness, "steepness")

    def value(w: np.ndarray) -> np.ndarray:
        x, y = w[..., 0], w[..., 1]
        return (1 - x) ** 2 + b * (y - x**2) ** 2

    def gradient(w: np.ndarray) -> np.ndarray:
        x, y = w
        return np.array([-2 * (1 - x) - 4 * b * x * (y - x**2), 2 * b * (y - x**2)])

    def hessian(w: np.ndarray) -> np.ndarray:
        x, y = w
        return np.array([[2 - 4 * b * (y - 3 * x**2), -4 * b * x], [-4 * b * x, 2 * b]])

    return Surface("Rosenbrock's banana", value, gradient, hessian, minimum=(1.0, 1.0))


@checked
def many_minima(ripple: float = 10.0) -> Surface:
    """Return Rastrigin's surface, a bowl with ripples: sum of w^2 + r (1 - cos 2 pi w).

    Args:
        ripple: r, how high the ripples are, greater than 0; Rastrigin's is 10.

    Raises:
        ValueError: the ripple is not greater than 0.

    Example:
        >>> float(many_minima().value([0, 0]))
        0.0

    Source: Rastrigin, Systems of Extremal Control (in Russian), Nauka, 1974.
    """
    r, k = _positive(ripple, "ripple"), 2 * np.pi
    return Surface(
        "many minima",
        value_at=lambda w: (w**2 + r * (1 - np.cos(k * w))).sum(axis=-1),
        gradient_at=lambda w: 2 * w + r * k * np.sin(k * w),
        hessian_at=lambda w: np.diag(2 + r * k**2 * np.cos(k * w)),
        minimum=(0.0, 0.0),
    )


def _points(points: npt.ArrayLike) -> np.ndarray:
    array = np.asarray(points, dtype=float)
    if array.ndim == 0 or array.shape[-1] != 2:
        raise ValueError(f"expected points of shape (..., 2), found shape {array.shape}")
    if not np.isfinite(array).all():
        raise ValueError(f"expected finite points, found {points!r}")
    return array


def _point(point: npt.ArrayLike) -> np.ndarray:
    array = _points(point)
    if array.ndim != 1:
        raise ValueError(f"expected one point of shape (2,), found shape {array.shape}")
    return array


def _positive(number: float, what: str) -> float:
    if not 0 < number < np.inf:
        raise ValueError(f"{what} must be greater than 0, and finite, found {number!r}")
    return float(number)
