"""The largest curvature of a loss: the top eigenvalue of its Hessian.

The Hessian of a network has as many rows as the network has parameters; it is never written
down. What is needed is its product with a vector, which costs about two gradients.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from helpers.checks import check_batch, checked

if TYPE_CHECKING:
    import keras

__all__ = ["CurvatureError", "Eigenpair", "hessian_product", "largest_curvature", "top_eigenpair"]

Product = Callable[[np.ndarray], np.ndarray]
STEADY = 5
"""Iterations in a row in which the eigenvalue may no longer change."""


class CurvatureError(RuntimeError):
    """The power iteration did not settle."""


@dataclass(frozen=True)
class Eigenpair:
    """An eigenvalue with its eigenvector, as far as an iteration has found them.

    Attributes:
        value: the eigenvalue.
        vector: the eigenvector, of length 1.
        residual: the length of A v - value v.
        iterations: products with A that were computed.

    Example:
        >>> pair = top_eigenpair(lambda v: 2 * v, 3, rng=np.random.default_rng(0))
        >>> round(pair.value, 6), pair.vector.shape
        (2.0, (3,))
    """

    value: float
    vector: np.ndarray
    residual: float
    iterations: int


@checked
def top_eigenpair(
    product: Product,
    size: int,
    *,
    rng: np.random.Generator,
    iterations: int = 1000,
    tolerance: float = 1e-4,
) -> Eigenpair:
    """Find the largest (not the largest absolute) eigenvalue of a symmetric matrix.

    Power iteration: v <- A v / |A v|, with the Rayleigh quotient v' A v as the eigenvalue. Where
    that leads to a negative eigenvalue, A - (that eigenvalue) I has no negative ones, and is
    iterated instead.

    Args:
        product: v to A v, for vectors of shape (size,).
        size: rows of A.
        rng: gives the first vector.
        iterations: most products with A, in all.
        tolerance: largest relative change of the eigenvalue in five iterations running.

    Returns:
        The eigenvalue with its eigenvector.

    Raises:
        CurvatureError: no settling within the iterations, or a product is not finite.
        ValueError: size, iterations or tolerance is not greater than 0.

    Example:
        >>> matrix = np.diag([3.0, -5.0, 1.0])
        >>> pair = top_eigenpair(lambda v: matrix @ v, 3, rng=np.random.default_rng(0))
        >>> round(pair.value, 2)
        3.0
    """
    if size < 1 or iterations < 1 or not tolerance > 0:
        raise ValueError(
            "size, iterations and tolerance must be greater than 0, found "
            f"{size!r}, {iterations!r}, {tolerance!r}"
        )
    start = rng.normal(size=size)
    pair = _power_iteration(product, start, 0.0, iterations, tolerance)
    if pair.value >= 0:
        return pair
    shift, left = pair.value, iterations - pair.iterations
    second = _power_iteration(product, rng.normal(size=size), shift, left, tolerance)
    return Eigenpair(
        second.value, second.vector, second.residual, pair.iterations + second.iterations
    )


def _power_iteration(
    product: Product, start: np.ndarray, shift: float, iterations: int, tolerance: float
) -> Eigenpair:
    """Iterate A - shift I; the eigenvalue returned is that of A."""
    vector = start / np.linalg.norm(start)
    steady, before = 0, np.inf
    for iteration in range(1, iterations + 1):
        image = np.asarray(product(vector), dtype=float)
        if not np.isfinite(image).all():
            raise CurvatureError("a product with the Hessian is not finite: is the loss finite?")
        value = float(vector @ image)
        residual = float(np.linalg.norm(image - value * vector))
        steady = steady + 1 if abs(value - before) <= tolerance * abs(value) else 0
        if steady == STEADY or residual == 0:
            return Eigenpair(value, vector, residual, iteration)
        before, step = value, image - shift * vector
        if not step.any():
            return Eigenpair(value, vector, residual, iteration)
        vector = step / np.linalg.norm(step)
    raise CurvatureError(
        f"the eigenvalue has not settled after {iterations} iterations; allow more of them, or a "
        "larger tolerance"
    )


@checked
def hessian_product(
    model: keras.Model, x: npt.ArrayLike, y: npt.ArrayLike, *, training: bool = False
) -> Product:
    """Return the function v to H v, for the Hessian H of a compiled model's loss on given data.

    H v is the gradient of (gradient of the loss) . v, so it takes two passes back.

    Args:
        model: a compiled Keras model; nothing in it changes.
        x: inputs.
        y: labels.
        training: whether batch norm takes the mean and variance of these data, as in training.
            The product is then that of a copy of the model, with the weights of now. (The copy's
            batch norms are `synchronized`. That changes no value here, but TensorFlow's second
            derivative of the other way to the variance, `tf.nn.moments`, is wrong.)

    Returns:
        A function of vectors with one entry for each trainable parameter, in the order of
        `model.trainable_variables`. The weights it uses are those at the time of the call.

    Raises:
        ValueError: the model is not compiled, or x and y have not the same length.

    Example:
        >>> from helpers.models import mlp
        >>> model = mlp((), input_shape=(2,), classes=2)
        >>> model.compile(loss="sparse_categorical_crossentropy")
        >>> hessian_product(model, np.eye(2), np.array([0, 1]))(np.zeros(6))
        array([0., 0., 0., 0., 0., 0.])
    """
    import tensorflow as tf

    if not getattr(model, "compiled", False):
        raise ValueError("the model has no loss: compile it first")
    check_batch(model, x, y)
    inputs, labels = tf.convert_to_tensor(x), tf.convert_to_tensor(y)
    if training:
        model = _synchronized(model)
    variables = [variable.value for variable in model.trainable_variables]
    shapes = [tuple(variable.shape) for variable in variables]
    ends = np.cumsum([int(np.prod(shape)) for shape in shapes])

    @tf.function  # type: ignore[untyped-decorator]
    def pieces(direction: list[tf.Tensor]) -> list[tf.Tensor]:
        with tf.GradientTape() as outer:
            with tf.GradientTape() as inner:
                outputs = model(inputs, training=training)
                loss = model.compute_loss(x=inputs, y=labels, y_pred=outputs)
            gradients = inner.gradient(loss, variables)
            slope = tf.add_n(
                [tf.reduce_sum(g * d) for g, d in zip(gradients, direction, strict=True)]
            )
        return outer.gradient(slope, variables, unconnected_gradients="zero")

    def product(vector: np.ndarray) -> np.ndarray:
        parts = np.split(np.asarray(vector), ends[:-1])
        direction = [
            tf.constant(part.reshape(shape), variable.dtype)
            for part, shape, variable in zip(parts, shapes, variables, strict=True)
        ]
        return np.concatenate([piece.numpy().ravel() for piece in pieces(direction)]).astype(float)

    return product


def _synchronized(model: keras.Model) -> keras.Model:
    """A copy of a model, with batch norms that have the right second derivatives."""
    import keras

    def copy(layer: keras.Layer) -> keras.Layer:
        config = layer.get_config()
        if isinstance(layer, keras.layers.BatchNormalization):
            config["synchronized"] = True
        return type(layer).from_config(config)

    twin = keras.models.clone_model(model, clone_function=copy)
    twin.set_weights(model.get_weights())
    twin.compile(loss=model.loss)
    return twin


@checked
def largest_curvature(
    model: keras.Model,
    x: npt.ArrayLike,
    y: npt.ArrayLike,
    *,
    rng: np.random.Generator,
    iterations: int = 1000,
    tolerance: float = 1e-3,
    training: bool = False,
) -> Eigenpair:
    """Measure the largest eigenvalue of the Hessian of a model's loss on given data.

    Args:
        model: a compiled Keras model.
        x: inputs.
        y: labels.
        rng: gives the first vector.
        iterations: most products with the Hessian.
        tolerance: largest relative change of the eigenvalue in five iterations running.
        training: whether the loss is that of training, see `hessian_product`.

    Returns:
        The eigenvalue, in units of loss per squared weight, with its eigenvector.

    Raises:
        CurvatureError: the iteration did not settle, or the loss is not finite.
        ValueError: the model is not compiled, or x and y have not the same length.

    Example:
        >>> import keras
        >>> model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1, use_bias=False)])
        >>> model.compile(loss="mse")  # loss (w x - y)^2, so the curvature is 2 x^2
        >>> x, y = np.full((4, 1), 3.0), np.zeros((4, 1))
        >>> round(largest_curvature(model, x, y, rng=np.random.default_rng(0)).value, 3)
        18.0
    """
    product = hessian_product(model, x, y, training=training)
    size = int(sum(np.prod(variable.shape) for variable in model.trainable_variables))
    return top_eigenpair(product, size, rng=rng, iterations=iterations, tolerance=tolerance)
