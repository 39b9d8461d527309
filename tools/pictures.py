"""Compare two figures as the eye does from afar: does one show what the other shows?"""

from __future__ import annotations

import base64
import io
from typing import Any

import numpy as np
from PIL import Image

__all__ = ["BLOCK", "SAME", "difference", "pictures_of"]

BLOCK = 16
"""Pixels of a stored figure (at double density) that are seen as one."""
WHITE = 255
SAME = 64
"""The largest difference between two drawings of one figure."""


def pictures_of(outputs: list[Any]) -> list[str]:
    """Return the figures among a cell's outputs, each as PNG in base64."""
    data = [output.get("data", {}) for output in outputs]
    return [entry["image/png"] for entry in data if "image/png" in entry]


def difference(one: str, other: str) -> float:
    """Return how far the two figures are apart where they are furthest apart.

    max over blocks |mean brightness of one - mean brightness of the other|, 0 to 255

    Colours count: each of the three channels is compared. Figures of different size, and one that
    is missing, are 255 apart.

    Args:
        one: a figure, as PNG in base64; empty for none.
        other: another.
    """
    if not (one and other):
        return float(WHITE)
    blocks = _blocks(one), _blocks(other)
    if blocks[0].shape != blocks[1].shape:
        return float(WHITE)
    return float(np.abs(blocks[0] - blocks[1]).max())


def _blocks(picture: str) -> np.ndarray:
    """The mean of each block of pixels, (height, width, 3)."""
    image = Image.open(io.BytesIO(base64.b64decode(picture))).convert("RGB")
    return np.asarray(image.reduce(BLOCK), dtype=float)
