"""Gradients from outside: finite differences, and how large the steps of a network are."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from helpers.checks import check_batch, checked

if TYPE_CHECKING:
    import keras

__all__ = ["finite_difference", "gradient_norms", "kernels", "update_ratios"]


@checked
def finite_difference(
    function: Callable[[np.ndarray], npt.ArrayLike],
    point: npt.ArrayLike,
    step: float = 6e-6,
    *,
    central: bool = True,
) -> np.ndarray:
    """Estimate the gradient of a function of an array, one entry at a time.

    central: (f(x + h e) - f(x - h e)) / (2 h), error about h^2 f''' / 6 + eps f / h
    forward: (f(x + h e) - f(x)) / h,           error about h f'' / 2 + 2 eps f / h

    Args:
        function: takes an array of the shape of `point`, returns one number.
        point: x, where the gradient is wanted.
        step: h; its default is near the best for central differences of numbers near 1.
        central: whether to use central differences.

    Returns:
        The gradient, in the shape of `point`.

    Raises:
        ValueError: step is not a finite number greater than 0, or so small beside the point that
            nothing moves; point is not finite; or a value of the function is not one number.

    Example:
        >>> finite_difference(lambda x: (x**2).sum(), [1.0, -3.0]).round(6)
        array([ 2., -6.])
    """
    x = np.array(point, dtype=float)
    if not (np.isfinite(step) and step > 0):
        raise ValueError(f"step must be a finite number greater than 0, found {step!r}")
    if not np.isfinite(x).all():
        raise ValueError("expected a finite point")

    def at(place: tuple[int, ...], distance: float) -> float:
        moved = x.copy()
        moved[place] += distance
        value = np.asarray(function(moved), dtype=float)
        if value.size != 1:
            raise ValueError(f"expected a function with one number, found shape {value.shape}")
        return float(value.item())

    gradient = np.empty_like(x)
    for place in np.ndindex(*x.shape):
        behind = step if central else 0.0
        if x[place] + step == x[place]:
            raise ValueError(f"step {step!r} is too small beside the entry {x[place]!r}")
        taken = (x[place] + step) - (x[place] - behind)  # rounded, as the points are
        gradient[place] = (at(place, step) - at(place, -behind)) / taken
    return gradient


@checked
def kernels(model: keras.Model) -> list[keras.Variable]:
    """Return the weight matrices of a model's dense layers, first layer first.

    Args:
        model: a Keras model.

    Example:
        >>> from helpers.models import mlp
        >>> [tuple(kernel.shape) for kernel in kernels(mlp((5,), input_shape=(3,), classes=2))]
        [(3, 5), (5, 2)]
    """
    import keras

    return [layer.kernel for layer in model.layers if isinstance(layer, keras.layers.Dense)]


@checked
def gradient_norms(model: keras.Model, x: npt.ArrayLike, y: npt.ArrayLike) -> np.ndarray:
    """Return the length of the loss's gradient with respect to each weight matrix.

    Args:
        model: a compiled Keras model with dense layers.
        x: inputs of one batch.
        y: their labels.

    Returns:
        One number for each dense layer, first layer first.

    Raises:
        ValueError: the model is not compiled, or x and y have not the same length.

    Example:
        >>> from helpers.models import mlp
        >>> model = mlp((), input_shape=(2,), classes=2)
        >>> model.compile(loss="sparse_categorical_crossentropy")
        >>> gradient_norms(model, np.zeros((4, 2)), np.zeros(4)).tolist()
        [0.0]
    """
    import tensorflow as tf

    if not getattr(model, "compiled", False):
        raise ValueError("the model has no loss: compile it first")
    check_batch(model, x, y)
    inputs, labels = tf.convert_to_tensor(x), tf.convert_to_tensor(y)
    with tf.GradientTape() as tape:
        loss = model.compute_loss(x=inputs, y=labels, y_pred=model(inputs, training=False))
    gradients = tape.gradient(loss, [kernel.value for kernel in kernels(model)])
    return np.array([float(tf.norm(gradient)) for gradient in gradients])


@checked
def update_ratios(
    model: keras.Model, x: npt.ArrayLike, y: npt.ArrayLike, learning_rate: float
) -> np.ndarray:
    """Return how large the next step of plain gradient descent is beside the weights.

    ratio = learning_rate |g| / |W|, for each weight matrix W and its gradient g

    Args:
        model: a compiled Keras model with dense layers.
        x: inputs of one batch.
        y: their labels.
        learning_rate: the rate, greater than 0.

    Returns:
        One number for each dense layer, first layer first.

    Raises:
        ValueError: learning_rate is not a finite number greater than 0, a weight matrix is zero,
            or as for `gradient_norms`.

    Example:
        >>> from helpers.models import mlp
        >>> model = mlp((), input_shape=(2,), classes=2)
        >>> model.compile(loss="sparse_categorical_crossentropy")
        >>> update_ratios(model, np.zeros((4, 2)), np.zeros(4), 0.1).tolist()
        [0.0]
    """
    if not 0 < learning_rate < np.inf:
        raise ValueError(f"learning_rate must be greater than 0, found {learning_rate!r}")
    norms = gradient_norms(model, x, y)
    lengths = np.array([np.linalg.norm(kernel.numpy()) for kernel in kernels(model)])
    if not lengths.all():
        raise ValueError("expected weight matrices that are not zero")
    return learning_rate * norms / lengths
