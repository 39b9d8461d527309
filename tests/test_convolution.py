"""helpers.convolution: equal to Keras's layers; bad shapes are refused."""

import numpy as np
import pytest

from helpers.convolution import convolve, max_pool


@pytest.mark.parametrize("k", [1, 3, 5])
@pytest.mark.parametrize("size", [(6, 6), (5, 8)])
def test_convolution_is_kerass(keras_begun, k, size):
    import keras

    rng = np.random.default_rng(k)
    images = rng.normal(size=(2, *size, 3))
    kernels, biases = rng.normal(size=(k, k, 3, 4)), rng.normal(size=4)
    layer = keras.layers.Conv2D(4, k, padding="same", dtype="float64")
    layer.build(images.shape)
    layer.set_weights([kernels, biases])
    np.testing.assert_allclose(convolve(images, kernels, biases), layer(images).numpy(), atol=1e-12)


@pytest.mark.parametrize("size", [1, 2, 3])
def test_pooling_is_kerass(keras_begun, size):
    import keras

    images = np.random.default_rng(size).normal(size=(2, 7, 8, 3))
    layer = keras.layers.MaxPooling2D(size, dtype="float64")
    np.testing.assert_array_equal(max_pool(images, size), layer(images).numpy())


@pytest.mark.parametrize(
    ("images", "kernels", "biases"),
    [
        ((2, 5, 5), (3, 3, 1, 1), (1,)),
        ((2, 5, 5, 1), (3, 3, 2, 1), (1,)),
        ((2, 5, 5, 1), (2, 2, 1, 1), (1,)),
        ((2, 5, 5, 1), (3, 1, 1, 1), (1,)),
        ((2, 5, 5, 1), (3, 3, 1, 2), (1,)),
    ],
)
def test_shapes_that_do_not_fit_are_refused(images, kernels, biases):
    with pytest.raises(ValueError, match="expected"):
        convolve(np.zeros(images), np.zeros(kernels), np.zeros(biases))


def test_pooling_refuses_other_shapes_and_sizes():
    with pytest.raises(ValueError, match="at least 1, found"):
        max_pool(np.zeros((2, 4, 4)))
    with pytest.raises(ValueError, match="and 0"):
        max_pool(np.zeros((1, 4, 4, 1)), 0)
