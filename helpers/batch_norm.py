"""Batch normalisation in NumPy: forward, backward, moving averages, inference; equal to Keras's.

Features are the last axis; the mean and the variance of each are taken over all other axes.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from helpers.checks import check_batch, checked

if TYPE_CHECKING:
    import keras

__all__ = [
    "Cache",
    "backward",
    "fold",
    "forward",
    "gather_averages",
    "inference",
    "moving_average",
]


class Cache(NamedTuple):
    """What the backward pass, and the moving averages, need of the forward pass.

    Attributes:
        normalised: (..., features), x less the mean, over the deviation.
        deviation: (features,), the square root of the variance plus epsilon.
        gamma: (features,), the scale.
        mean: (features,), over the batch.
        variance: (features,), over the batch: divided by n, not by n - 1.

    Example:
        >>> forward([[1.0], [3.0]], [1.0], [0.0])[1].mean
        array([2.])
    """

    normalised: np.ndarray
    deviation: np.ndarray
    gamma: np.ndarray
    mean: np.ndarray
    variance: np.ndarray


@checked
def forward(
    x: npt.ArrayLike, gamma: npt.ArrayLike, beta: npt.ArrayLike, *, epsilon: float = 1e-3
) -> tuple[np.ndarray, Cache]:
    """Normalise a batch, feature by feature, then scale and shift it.

    y = gamma (x - mean) / sqrt(variance + epsilon) + beta

    Args:
        x: (..., features), at least one example.
        gamma: (features,), the scale.
        beta: (features,), the shift.
        epsilon: added to the variance, greater than 0; Keras's default.

    Returns:
        y, in the shape of x, and what `backward` needs.

    Raises:
        ValueError: a shape does not fit, the batch is empty, or epsilon is not greater than 0.

    Example:
        >>> y, cache = forward([[1.0], [3.0]], gamma=[2.0], beta=[5.0], epsilon=1e-9)
        >>> y.round(3).tolist()
        [[3.0], [7.0]]

    Source: Ioffe and Szegedy, "Batch normalization: accelerating deep network training by
    reducing internal covariate shift", 2015.
    """
    x, gamma, beta = _fitting(x, gamma=gamma, beta=beta)
    if x.ndim == 1:
        raise ValueError(f"expected a batch (..., features), found one example, {x.shape}")
    _check_epsilon(epsilon)
    others = tuple(range(x.ndim - 1))
    mean, variance = x.mean(axis=others), x.var(axis=others)
    deviation = np.sqrt(variance + epsilon)
    normalised = (x - mean) / deviation
    return gamma * normalised + beta, Cache(normalised, deviation, gamma, mean, variance)


@checked
def backward(dy: npt.ArrayLike, cache: Cache) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the gradients of a loss that depends on y of `forward`.

    With n the normalised x, and means over the batch:
    dx = gamma / deviation (dy - mean(dy) - n mean(n dy)), dgamma = sum n dy, dbeta = sum dy

    Args:
        dy: the gradient at y, in its shape.
        cache: what `forward` returned.

    Returns:
        dx in the shape of x, dgamma and dbeta (features,).

    Raises:
        ValueError: dy has another shape than y.

    Example:
        >>> _, cache = forward([[1.0], [3.0]], [1.0], [0.0])
        >>> dx, dgamma, dbeta = backward([[1.0], [1.0]], cache)  # a shift of the batch...
        >>> dx.tolist(), dbeta.tolist()  # ...is taken out again
        ([[0.0], [0.0]], [2.0])
    """
    dy, n = np.asarray(dy), cache.normalised
    if dy.shape != n.shape:
        raise ValueError(f"expected dy in the shape of y, {n.shape}, found {dy.shape}")
    others = tuple(range(n.ndim - 1))
    centred = dy - dy.mean(axis=others) - n * (n * dy).mean(axis=others)
    dx = cache.gamma / cache.deviation * centred
    return dx, (n * dy).sum(axis=others), dy.sum(axis=others)


@checked
def moving_average(
    moving: npt.ArrayLike, batch: npt.ArrayLike, *, momentum: float = 0.99
) -> np.ndarray:
    """Return the moving average after one more batch: momentum m + (1 - momentum) b.

    It begins at 0 for means and at 1 for variances, without a correction for the beginning.

    Args:
        moving: m, the average before, (features,).
        batch: b, the batch's mean or variance, (features,).
        momentum: how much of the average is kept, from 0 to 1; Keras's default.

    Raises:
        ValueError: the shapes differ, or momentum is out of its range.

    Example:
        >>> moving_average([0.0], [5.0], momentum=0.9).round(3)
        array([0.5])
    """
    moving, batch = np.asarray(moving), np.asarray(batch)
    if moving.shape != batch.shape:
        raise ValueError(f"expected one shape, found {moving.shape} and {batch.shape}")
    return momentum * moving + (1 - momentum) * batch


@checked
def inference(
    x: npt.ArrayLike,
    gamma: npt.ArrayLike,
    beta: npt.ArrayLike,
    mean: npt.ArrayLike,
    variance: npt.ArrayLike,
    *,
    epsilon: float = 1e-3,
) -> np.ndarray:
    """Normalise with moving averages: each example for itself, whatever its company.

    y = gamma (x - mean) / sqrt(variance + epsilon) + beta

    Args:
        x: (..., features).
        gamma: (features,), the scale.
        beta: (features,), the shift.
        mean: (features,), the moving average of the means.
        variance: (features,), the moving average of the variances, not negative.
        epsilon: added to the variance, greater than 0; Keras's default.

    Returns:
        y, in the shape of x.

    Raises:
        ValueError: a shape does not fit, a variance is negative, or epsilon is not greater than 0.

    Example:
        >>> inference([[4.0]], [1.0], [0.0], mean=[0.0], variance=[4.0], epsilon=1e-9).round(3)
        array([[2.]])
    """
    _check_epsilon(epsilon)
    x, gamma, beta, mean, variance = _fitting(
        x, gamma=gamma, beta=beta, mean=mean, variance=variance
    )
    if (variance < 0).any():
        raise ValueError(f"a variance is not negative, found {variance.min()!r}")
    return gamma * (x - mean) / np.sqrt(variance + epsilon) + beta


@checked
def fold(
    kernel: npt.ArrayLike,
    bias: npt.ArrayLike,
    gamma: npt.ArrayLike,
    beta: npt.ArrayLike,
    *,
    mean: npt.ArrayLike,
    variance: npt.ArrayLike,
    epsilon: float = 1e-3,
) -> tuple[np.ndarray, np.ndarray]:
    """Merge a dense layer and the batch norm after it, at inference, into one dense layer.

    kernel' = kernel gamma / deviation, bias' = (bias - mean) gamma / deviation + beta

    Args:
        kernel: (inputs, features).
        bias: (features,).
        gamma: (features,), the scale.
        beta: (features,), the shift.
        mean: (features,), the moving average of the means.
        variance: (features,), the moving average of the variances, not negative.
        epsilon: added to the variance, greater than 0; Keras's default.

    Returns:
        The kernel (inputs, features) and the bias (features,) of the one layer.

    Raises:
        ValueError: a shape does not fit, a variance is negative, or epsilon is not greater than 0.

    Example:
        >>> fold([[2.0]], [1.0], [3.0], [0.5], mean=[1.0], variance=[4.0], epsilon=1e-12)
        (array([[3.]]), array([0.5]))
    """
    shift = inference(bias, gamma, beta, mean, variance, epsilon=epsilon)
    nothing = np.zeros_like(shift)
    scaled = inference(kernel, gamma, nothing, nothing, variance, epsilon=epsilon)
    return scaled, shift


def _check_epsilon(epsilon: float) -> None:
    if epsilon <= 0:
        raise ValueError(f"epsilon must be greater than 0, found {epsilon!r}")


def _fitting(x: npt.ArrayLike, **by_feature: npt.ArrayLike) -> list[np.ndarray]:
    """The arrays, once their shapes fit: x (..., features), the others (features,)."""
    array = np.asarray(x)
    if array.dtype.kind in "iub":
        array = array.astype(float)
    if array.ndim == 0 or array.size == 0:
        raise ValueError(f"expected x (..., features), not empty, found shape {array.shape}")
    others = [np.asarray(value) for value in by_feature.values()]
    for name, other in zip(by_feature, others, strict=True):
        if other.shape != array.shape[-1:]:
            raise ValueError(f"expected {name} {array.shape[-1:]}, found {other.shape}")
    return [array, *others]


@checked
def gather_averages(model: keras.Model, x: npt.ArrayLike) -> None:
    """Set the moving averages of a Keras model to the means and variances over some inputs.

    For averages that lag behind the weights, or that a training lost. The weights stay as they
    are. It is one pass in training mode with `momentum = 0`, so all inputs go through at once, and
    dropout, if there is any, drops. Layers with `trainable = False` keep their averages.

    Args:
        model: a Keras model with batch norm.
        x: (n, ...), as many training inputs as memory holds, at least two.

    Raises:
        ValueError: the model has no batch norm, or there are fewer than two inputs.

    Example:
        >>> import keras
        >>> model = keras.Sequential([keras.Input((1,)), keras.layers.BatchNormalization()])
        >>> gather_averages(model, np.array([[1.0], [3.0]]))
        >>> [w.numpy().item() for w in model.non_trainable_variables]
        [2.0, 1.0]
    """
    x = np.asarray(x)
    layers = list(_normalisations(model))
    if not layers:
        raise ValueError(f"the model {model.name!r} has no layer of batch norm")
    if x.ndim and len(x) < 2:
        raise ValueError(f"a variance needs at least two inputs, found {len(x)}")
    check_batch(model, x)
    kept = [layer.momentum for layer in layers]
    try:
        for layer in layers:
            layer.momentum = 0.0
        model(x, training=True)
    finally:
        for layer, momentum in zip(layers, kept, strict=True):
            layer.momentum = momentum


def _normalisations(model: Any) -> Iterator[Any]:
    """All layers of batch norm, also of models within the model."""
    import keras

    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            yield layer
        elif isinstance(layer, keras.Model):
            yield from _normalisations(layer)
