"""Softmax and cross-entropy, stable, and the classifier they make without a hidden layer.

All functions take *logits*, any real numbers, in their last axis one for each class.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from helpers.checks import checked

__all__ = [
    "LinearClassifier",
    "binary_cross_entropy",
    "cross_entropy",
    "cross_entropy_gradient",
    "fit_softmax_regression",
    "log_sum_exp",
    "softmax",
]


@checked
def log_sum_exp(logits: npt.ArrayLike) -> np.ndarray:
    """Return the logarithm of the sum of exponentials, without overflow.

    ln(sum_j e^z_j) = m + ln(sum_j e^(z_j - m)), with m the largest z_j

    Args:
        logits: z, (..., classes), finite.

    Returns:
        (...,), one number for each row.

    Raises:
        ValueError: a logit is not finite, or there is none.

    Example:
        >>> log_sum_exp([1000.0, 1000.0]).round(4).item()
        1000.6931
    """
    z = _finite(logits)
    largest = z.max(axis=-1, keepdims=True)
    return largest[..., 0] + np.log(np.exp(z - largest).sum(axis=-1))


@checked
def softmax(logits: npt.ArrayLike) -> np.ndarray:
    """Return the shares of the exponentials: positive numbers that add up to 1.

    p_i = e^(z_i - m) / sum_j e^(z_j - m), with m the largest z_j

    Args:
        logits: z, (..., classes), finite.

    Returns:
        p, in the shape of the logits.

    Raises:
        ValueError: a logit is not finite, or there is none.

    Example:
        >>> softmax([5.0, 2.0, -1.0, 3.0]).round(3)
        array([0.842, 0.042, 0.002, 0.114])
    """
    z = _finite(logits)
    shares = np.exp(z - z.max(axis=-1, keepdims=True))
    return shares / shares.sum(axis=-1, keepdims=True)


@checked
def cross_entropy(logits: npt.ArrayLike, targets: npt.ArrayLike) -> np.ndarray:
    """Return the cross-entropy between targets and softmax(logits), for each example.

    loss = -sum_j q_j ln p_j = log_sum_exp(z) - sum_j q_j z_j

    Args:
        logits: z, (n, classes), finite.
        targets: n labels from 0 to classes - 1, or q, (n, classes), whose rows add up to 1.

    Returns:
        (n,) losses, in nats. They are not averaged.

    Raises:
        ValueError: the shapes do not fit, a label is out of range, a row is no distribution.

    Example:
        >>> cross_entropy([[0.0, 0.0]], [1]).round(4)
        array([0.6931])
    """
    z = _finite(logits)
    q = _distributions(targets, z)
    z = z - z.max(axis=-1, keepdims=True)
    return log_sum_exp(z) - (q * z).sum(axis=-1)


@checked
def cross_entropy_gradient(logits: npt.ArrayLike, targets: npt.ArrayLike) -> np.ndarray:
    """Return the derivative of each example's cross-entropy with respect to its logits.

    d loss / d z_i = p_i - q_i, with p = softmax(z)

    Args:
        logits: z, (n, classes), finite.
        targets: n labels from 0 to classes - 1, or q, (n, classes), whose rows add up to 1.

    Returns:
        (n, classes). For the mean loss divide by n.

    Raises:
        ValueError: the shapes do not fit, a label is out of range, a row is no distribution.

    Example:
        >>> cross_entropy_gradient([[0.0, 0.0]], [1])
        array([[ 0.5, -0.5]])
    """
    z = _finite(logits)
    return softmax(z) - _distributions(targets, z)


@checked
def binary_cross_entropy(
    probabilities: npt.ArrayLike, labels: npt.ArrayLike, clamp: float = 1e-12
) -> np.ndarray:
    """Return the loss of probabilities of class 1, for each example.

    loss = -(y ln p + (1 - y) ln(1 - p)), with p first clamped to [clamp, 1 - clamp]

    Args:
        probabilities: p, in [0, 1].
        labels: y, 0 or 1, in the same shape.
        clamp: keeps the logarithm finite, in (0, 0.5).

    Returns:
        The losses, in the same shape, in nats.

    Raises:
        ValueError: a number is out of range, or the shapes differ.

    Example:
        >>> binary_cross_entropy([0.5, 0.9], [0, 1]).round(4)
        array([0.6931, 0.1054])
    """
    p, y = np.asarray(probabilities, dtype=float), np.asarray(labels)
    if p.shape != y.shape:
        raise ValueError(f"expected a label for each probability, found {p.shape} and {y.shape}")
    if not ((p >= 0) & (p <= 1)).all() or not np.isin(y, (0, 1)).all():
        raise ValueError("expected probabilities in [0, 1], and labels 0 or 1")
    if not 0 < clamp < 0.5:
        raise ValueError(f"clamp must lie in (0, 0.5), found {clamp!r}")
    p = p.clip(clamp, 1 - clamp)
    return -(y * np.log(p) + (1 - y) * np.log(1 - p))


@dataclass(frozen=True)
class LinearClassifier:
    """Softmax regression: logits = scale (x W + b).

    Attributes:
        weights: W, (inputs, classes).
        bias: b, (classes,).
        losses: mean loss of each batch before its step, as training went.
        scale: what the logits are multiplied by.

    Example:
        >>> model = LinearClassifier(np.eye(2), np.zeros(2), np.array([]))
        >>> model.logits([[3.0, 1.0]]).argmax(axis=1)
        array([0])
    """

    weights: np.ndarray
    bias: np.ndarray
    losses: np.ndarray
    scale: float = 1.0

    def logits(self, x: npt.ArrayLike) -> np.ndarray:
        """Return the logits of inputs (n, inputs)."""
        return self.scale * (np.asarray(x) @ self.weights + self.bias)


@checked
def fit_softmax_regression(
    x: npt.ArrayLike,
    y: npt.ArrayLike,
    *,
    classes: int,
    learning_rate: float,
    rng: np.random.Generator,
    epochs: int = 1,
    batch_size: int = 32,
    scale: float = 1.0,
    reduction: Literal["mean", "sum"] = "mean",
) -> LinearClassifier:
    """Fit a linear classifier with stochastic gradient descent on the cross-entropy, from zero.

    W <- W - learning_rate scale x' (p - q) / n, and likewise for b; n is 1 if losses are summed.

    Args:
        x: inputs, (examples, inputs), finite.
        y: labels from 0 to classes - 1.
        classes: how many, at least 2.
        learning_rate: greater than 0.
        rng: shuffles the examples, anew for each epoch.
        epochs: passes over the data.
        batch_size: examples a step; the last step of an epoch may have fewer.
        scale: factor on the logits.
        reduction: whether a batch's loss is the mean or the sum of its examples' losses.

    Returns:
        The classifier, with the loss of each batch.

    Raises:
        ValueError: a number is out of range, or the shapes do not fit.

    Example:
        >>> x, y = np.array([[-1.0], [1.0]]), np.array([0, 1])
        >>> model = fit_softmax_regression(
        ...     x, y, classes=2, learning_rate=1.0, rng=np.random.default_rng(0), epochs=10)
        >>> model.logits(x).argmax(axis=1)
        array([0, 1])
    """
    x, y = np.asarray(x), np.asarray(y)
    x = x if x.dtype.kind == "f" else x.astype(float)
    if x.ndim != 2 or y.ndim != 1 or len(x) != len(y) or len(x) == 0:
        raise ValueError(f"expected inputs (n, inputs), n labels, found {x.shape} and {y.shape}")
    if classes < 2 or epochs < 1 or batch_size < 1:
        raise ValueError(
            "classes must be at least 2, epochs and batch_size at least 1, found "
            f"{classes}, {epochs}, {batch_size}"
        )
    if not learning_rate > 0 or not scale > 0 or reduction not in ("mean", "sum"):
        raise ValueError(
            "learning_rate and scale must be greater than 0 and reduction 'mean' or 'sum', found "
            f"{learning_rate!r}, {scale!r}, {reduction!r}"
        )
    weights, bias = np.zeros((x.shape[1], classes), x.dtype), np.zeros(classes, x.dtype)
    losses = []
    for _ in range(epochs):
        order = rng.permutation(len(x))
        for start in range(0, len(x), batch_size):
            batch = order[start : start + batch_size]
            logits = scale * (x[batch] @ weights + bias)
            losses.append(cross_entropy(logits, y[batch]).mean())
            divisor = len(batch) if reduction == "mean" else 1
            slope = scale * cross_entropy_gradient(logits, y[batch]) / divisor
            step = (learning_rate * slope).astype(x.dtype)
            weights = weights - x[batch].T @ step
            bias = bias - step.sum(axis=0)
    return LinearClassifier(weights, bias, np.array(losses), scale)


def _finite(logits: npt.ArrayLike) -> np.ndarray:
    z = np.asarray(logits, dtype=float)
    if z.ndim == 0 or z.shape[-1] == 0 or not np.isfinite(z).all():
        raise ValueError(f"expected finite logits (..., classes), found shape {z.shape}: {z!r}")
    return z


def _distributions(targets: npt.ArrayLike, logits: np.ndarray) -> np.ndarray:
    """The targets as rows that add up to 1."""
    q, classes = np.asarray(targets), logits.shape[-1]
    if logits.ndim != 2:
        raise ValueError(f"expected logits (n, classes), found shape {logits.shape}")
    if q.shape == logits.shape:
        if (q < 0).any() or not np.allclose(q.sum(axis=-1), 1):
            raise ValueError("expected each row of targets to be a distribution")
        return q
    if q.shape != logits.shape[:1]:
        raise ValueError(f"expected {len(logits)} targets, found shape {q.shape}")
    if q.dtype.kind not in "iu" or (q < 0).any() or (q >= classes).any():
        raise ValueError(f"expected integer labels from 0 to {classes - 1}, found {q!r}")
    return np.eye(classes)[q]
