"""The networks of the book."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import keras

__all__ = ["mlp"]


def mlp(
    units: Sequence[int] = (300, 100),
    *,
    input_shape: Sequence[int] = (28, 28),
    classes: int = 10,
    activation: str = "relu",
) -> keras.Sequential:
    """Build a multilayer perceptron for classification, not yet compiled.

    Each hidden layer computes h = activation(W h_before + b); the last layer is a softmax.

    Args:
        units: neurons in each hidden layer; empty for softmax regression.
        input_shape: shape of one example; it is flattened.
        classes: number of classes, at least 2.
        activation: name of the hidden layers' activation, as Keras knows it.

    Returns:
        A Keras model: (batch, *input_shape) -> (batch, classes), each row adding up to 1.

    Raises:
        ValueError: a size is not a positive integer, or there are fewer than 2 classes.

    Example:
        >>> mlp().count_params()
        266610
    """
    import keras

    for size in (*units, *input_shape, classes):
        if isinstance(size, bool) or not isinstance(size, int) or size < 1:
            raise ValueError(f"layer sizes must be positive integers, found {size!r}")
    if classes < 2:
        raise ValueError(f"classes must be at least 2, found {classes}")
    return keras.Sequential(
        [
            keras.Input(tuple(input_shape)),
            keras.layers.Flatten(),
            *(keras.layers.Dense(size, activation=activation) for size in units),
            keras.layers.Dense(classes, activation="softmax"),
        ]
    )
