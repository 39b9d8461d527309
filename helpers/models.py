"""The networks of the book."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from helpers.checks import checked

if TYPE_CHECKING:
    import keras

__all__ = [
    "cnn",
    "initialise",
    "mlp",
    "normalised_mlp",
    "regularised_cnn",
    "regularised_mlp",
    "with_flips",
    "with_logits",
]


@checked
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

    _check_sizes(*units, *input_shape, classes=classes)
    if not callable(getattr(keras.activations, activation, None)):
        raise ValueError(f"activation is the name of one of Keras's, found {activation!r}")
    return keras.Sequential(
        [
            keras.Input(tuple(input_shape)),
            keras.layers.Flatten(),
            *(keras.layers.Dense(size, activation=activation) for size in units),
            keras.layers.Dense(classes, activation="softmax"),
        ]
    )


@checked
def normalised_mlp(
    units: Sequence[int] = (300, 100),
    *,
    batch_norm: bool = True,
    input_shape: Sequence[int] = (28, 28),
    classes: int = 10,
) -> keras.Sequential:
    """Build an MLP with batch norm between each hidden layer's sum and its relu.

    Each hidden layer computes h = relu(BN(W h_before)), from He's initial weights. The bias would
    be redundant: BN subtracts it again, and has a shift of its own.

    Args:
        units: neurons in each hidden layer.
        batch_norm: False for a control: h = relu(W h_before + b), from the same initial weights.
        input_shape: shape of one example; it is flattened.
        classes: number of classes.

    Returns:
        A Keras model, not yet compiled: (batch, *input_shape) -> (batch, classes).

    Raises:
        ValueError: a size is not a positive integer, or there are fewer than 2 classes.

    Example:
        >>> normalised_mlp().count_params(), normalised_mlp(batch_norm=False).count_params()
        (267810, 266610)
    """
    import keras

    _check_sizes(*units, *input_shape, classes=classes)
    layers = keras.layers
    stack = [keras.Input(tuple(input_shape)), layers.Flatten()]
    for size in units:
        stack.append(layers.Dense(size, use_bias=not batch_norm, kernel_initializer="he_normal"))
        if batch_norm:
            stack.append(layers.BatchNormalization())
        stack.append(layers.ReLU())
    return keras.Sequential([*stack, layers.Dense(classes, activation="softmax")])


@checked
def cnn(
    filters: Sequence[int] = (32, 64), units: int = 128, *, classes: int = 10
) -> keras.Sequential:
    """Build a convolutional network for 28 x 28 gray images, not yet compiled.

    For each entry of filters: as many 3 x 3 filters with relu, at every pixel, then the largest
    value of each 2 x 2 square. Then a dense layer with relu, and the softmax.

    Args:
        filters: how many in each convolution; each halves the picture's sides.
        units: neurons in the dense layer.
        classes: number of classes.

    Returns:
        A Keras model: (batch, 28, 28) -> (batch, classes), each row adding up to 1.

    Raises:
        ValueError: a size is not a positive integer, or there are fewer than 2 classes.

    Example:
        >>> cnn().count_params()
        421642
    """
    import keras

    _check_sizes(*filters, units, classes=classes)
    layers = keras.layers
    stack = [keras.Input((28, 28)), layers.Reshape((28, 28, 1))]
    for count in filters:
        stack.append(layers.Conv2D(count, 3, padding="same", activation="relu"))
        stack.append(layers.MaxPooling2D())
    stack += [layers.Flatten(), layers.Dense(units, activation="relu")]
    return keras.Sequential([*stack, layers.Dense(classes, activation="softmax")])


@checked
def regularised_mlp(units: Sequence[int] = (300, 100), *, dropout: float = 0.2) -> keras.Sequential:
    """Build an MLP with batch norm and dropout in each hidden layer, not yet compiled.

    Each hidden layer computes h = dropout(relu(BN(W h_before))): in training, each unit is set to
    zero with the probability `dropout`, and the others are divided by 1 - dropout.

    Args:
        units: neurons in each hidden layer.
        dropout: probability, from 0 to less than 1.

    Returns:
        A Keras model: (batch, 28, 28) -> (batch, 10), each row adding up to 1.

    Raises:
        ValueError: a size is not a positive integer, or dropout is out of its range.

    Example:
        >>> regularised_mlp().count_params() == normalised_mlp().count_params()
        True

    Source:
        Srivastava and others, 2014, https://jmlr.org/papers/v15/srivastava14a.html.
    """
    import keras

    _check_sizes(*units)
    if not 0 <= dropout < 1:
        raise ValueError(f"dropout must be at least 0 and less than 1, found {dropout!r}")
    stack: list[Any] = [keras.Input((28, 28))]
    for layer in normalised_mlp(units).layers:
        stack.append(layer)
        if isinstance(layer, keras.layers.ReLU):
            stack.append(keras.layers.Dropout(dropout))
    return keras.Sequential(stack)


@checked
def regularised_cnn(
    filters: Sequence[int] = (32, 64, 128), units: int = 128, *, dropout: float = 0.3
) -> keras.Sequential:
    """Build a `cnn` with batch norm, and dropout around its dense layer, not yet compiled.

    For each entry of filters: 3 x 3 filters, batch norm, relu, pooling. Then dropout, a dense
    layer with batch norm and relu, dropout, and the softmax.

    Args:
        filters: how many in each convolution; each halves the picture's sides.
        units: neurons in the dense layer.
        dropout: probability, from 0 to less than 1.

    Returns:
        A Keras model: (batch, 28, 28) -> (batch, 10), each row adding up to 1.

    Raises:
        ValueError: a size is not a positive integer, or dropout is out of its range.

    Example:
        >>> regularised_cnn().count_params()
        242602
    """
    import keras

    _check_sizes(*filters, units)
    if not 0 <= dropout < 1:
        raise ValueError(f"dropout must be at least 0 and less than 1, found {dropout!r}")
    layers = keras.layers
    stack = [keras.Input((28, 28)), layers.Reshape((28, 28, 1))]
    for count in filters:
        stack.append(layers.Conv2D(count, 3, padding="same", use_bias=False))
        stack += [layers.BatchNormalization(), layers.ReLU(), layers.MaxPooling2D()]
    stack += [layers.Flatten(), layers.Dropout(dropout), layers.Dense(units, use_bias=False)]
    stack += [layers.BatchNormalization(), layers.ReLU(), layers.Dropout(dropout)]
    return keras.Sequential([*stack, layers.Dense(10, activation="softmax")])


@checked
def with_flips(model: keras.Model) -> keras.Sequential:
    """Let a network see each image mirrored, left for right, every second time in training.

    `fit` flips, `predict` and `evaluate` do not. Calling the model flips unless told
    training=False, as with all of Keras's layers that augment.

    Args:
        model: (batch, 28, 28) -> (batch, classes).

    Returns:
        A model with the same weights, and a random flip before its first layer.

    Example:
        >>> model = with_flips(mlp())
        >>> image = np.arange(784.0).reshape(1, 28, 28)
        >>> bool(np.allclose(model(image, training=False), model.layers[-1](image)))
        True
    """
    import keras

    layers = keras.layers
    return keras.Sequential(
        [
            keras.Input((28, 28)),
            layers.Reshape((28, 28, 1)),
            layers.RandomFlip("horizontal"),
            layers.Reshape((28, 28)),
            model,
        ]
    )


@checked
def initialise(model: keras.Model, gain: float, rng: np.random.Generator) -> None:
    """Draw the weights of a model's dense layers anew, around 0; set their biases to 0.

    W ~ N(0, gain^2 2 / inputs): gain 1 is He's initialisation, which keeps the mean square of a
    relu network's signals from layer to layer.

    Args:
        model: a Keras model; it is changed in place.
        gain: the standard deviation, in units of He's, greater than 0.
        rng: gives the numbers.

    Raises:
        ValueError: gain is not a finite number greater than 0.

    Example:
        >>> model = mlp((1000,), input_shape=(50,))
        >>> initialise(model, 1.0, np.random.default_rng(0))
        >>> round(float(model.layers[1].kernel.numpy().std()), 2)
        0.2
    """
    import keras

    if not (np.isfinite(gain) and gain > 0):
        raise ValueError(f"gain must be a finite number greater than 0, found {gain!r}")
    for layer in model.layers:
        if isinstance(layer, keras.layers.Dense):
            inputs = layer.kernel.shape[0]
            layer.kernel.assign(gain * np.sqrt(2 / inputs) * rng.normal(size=layer.kernel.shape))
            layer.bias.assign(np.zeros(layer.bias.shape))


@checked
def with_logits(model: keras.Model, scale: float = 1.0) -> keras.Model:
    """Let a classifier return its logits, times a factor, instead of the probabilities.

    Args:
        model: a model of `mlp`, not yet compiled; it is changed in place.
        scale: what the logits are multiplied by; it is an inverse temperature.

    Returns:
        The same model: (batch, inputs) -> (batch, classes), any real numbers.

    Raises:
        ValueError: scale is not a finite number greater than 0, or the model is compiled.

    Example:
        >>> model = with_logits(mlp((), input_shape=(2,), classes=2), scale=3.0)
        >>> _ = model.layers[-1].kernel.assign([[1.0, 0.0], [0.0, 1.0]])
        >>> model(np.array([[5.0, -1.0]])).numpy().tolist()
        [[15.0, -3.0]]
    """
    if not (np.isfinite(scale) and scale > 0):
        raise ValueError(f"scale must be a finite number greater than 0, found {scale!r}")
    if model.compiled:
        raise ValueError("expected a model that is not compiled yet")
    model.layers[-1].activation = lambda logits: scale * logits
    return model


def _check_sizes(*sizes: int, classes: int = 2) -> None:
    """Refuse numbers of which Keras would make no layer, or no classifier."""
    for size in (*sizes, classes):
        if isinstance(size, bool) or not isinstance(size, int) or size < 1:
            raise ValueError(f"layer sizes must be positive integers, found {size!r}")
    if classes < 2:
        raise ValueError(f"classes must be at least 2, found {classes}")
