"""What a convolutional network computes, in NumPy: convolution and pooling."""

from __future__ import annotations

import numpy as np

from helpers.checks import checked

__all__ = ["convolve", "max_pool"]


@checked
def convolve(images: np.ndarray, kernels: np.ndarray, biases: np.ndarray) -> np.ndarray:
    """Slide small kernels over images, with zeros beyond the edges.

    out[n, i, j, o] = biases[o] + sum over a, b, c of
                      images[n, i + a - k // 2, j + b - k // 2, c] kernels[a, b, c, o]

    (In mathematics this is called a cross-correlation: the kernel is not turned round.)

    Args:
        images: (n, height, width, channels).
        kernels: (k, k, channels, filters), k odd.
        biases: (filters,).

    Returns:
        (n, height, width, filters), as `Conv2D(filters, k, padding="same")`.

    Raises:
        ValueError: the shapes do not fit, or k is even.

    Example:
        >>> edge = np.array([[0, 0, 0], [-1, 0, 1], [0, 0, 0]]).reshape(3, 3, 1, 1)
        >>> row = np.array([0, 0, 1, 1, 1]).reshape(1, 1, 5, 1)
        >>> convolve(row, edge, np.zeros(1)).ravel()
        array([ 0.,  1.,  1.,  0., -1.])
    """
    if not all(isinstance(array, np.ndarray) for array in (images, kernels, biases)):
        raise TypeError("expected images, kernels and biases to be arrays of NumPy")
    if kernels.ndim == 0:
        raise ValueError(f"expected kernels (k, k, channels, filters), found {kernels!r}")
    k = len(kernels)
    fits = kernels.ndim == 4 and kernels.shape[1] == k and k % 2 == 1
    if images.ndim != 4 or not fits or kernels.shape[2] != images.shape[3]:
        raise ValueError(
            "expected images (n, height, width, channels) and kernels "
            f"(k, k, channels, filters) with k odd, found {images.shape} and {kernels.shape}"
        )
    if biases.shape != kernels.shape[3:]:
        raise ValueError(f"expected {kernels.shape[3]} biases, found shape {biases.shape}")
    edge = k // 2
    padded = np.pad(images, ((0, 0), (edge, edge), (edge, edge), (0, 0)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (k, k), axis=(1, 2))
    return np.einsum("nijcab,abco->nijo", windows, kernels) + biases


@checked
def max_pool(images: np.ndarray, size: int = 2) -> np.ndarray:
    """Keep the largest value of each square; rows and columns left over are dropped.

    out[n, i, j, c] = max over a, b < size of images[n, size i + a, size j + b, c]

    Args:
        images: (n, height, width, channels).
        size: sides of the squares, at least 1.

    Returns:
        (n, height // size, width // size, channels), as `MaxPooling2D(size)`.

    Raises:
        ValueError: images has another shape, or size is less than 1.

    Example:
        >>> max_pool(np.arange(16).reshape(1, 4, 4, 1)).ravel().tolist()
        [5, 7, 13, 15]
    """
    if not isinstance(images, np.ndarray) or images.ndim != 4 or size < 1:
        raise ValueError(
            "expected images (n, height, width, channels) and a size of at least 1, "
            f"found {np.shape(images)} and {size!r}"
        )
    n, height, width, channels = images.shape
    rows, columns = height // size, width // size
    whole = images[:, : rows * size, : columns * size]
    return whole.reshape(n, rows, size, columns, size, channels).max(axis=(2, 4))
