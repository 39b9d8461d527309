"""Compare two figures as the eye does from afar: does one show what the other shows?"""

from __future__ import annotations

import base64
import io
from typing import Any

import numpy as np
from PIL import Image

__all__ = ["SAME", "difference", "pictures_of"]

BLOCK = 16
"""Pixels of a stored figure (at double density) that are seen as one."""
SEEN = 64
"""The difference of brightness, 0 to 255, from which on a block is not the same."""
SAME = 0.1
"""The largest difference, in %, between two drawings of what does not change."""


def pictures_of(outputs: list[Any]) -> list[str]:
    """Return the figures among a cell's outputs, each as PNG in base64."""
    data = [output.get("data", {}) for output in outputs]
    return [entry["image/png"] for entry in data if "image/png" in entry]


def difference(one: str, other: str) -> float:
    """Return in how many of a hundred blocks two figures are not the same.

    A block is the same if its mean brightness, in each of the three channels, is about the same.
    Figures of different size, and one that is missing, differ in all blocks.

    Args:
        one: a figure, as PNG in base64; empty for none.
        other: another.
    """
    if not (one and other):
        return 100.0
    blocks = _blocks(one), _blocks(other)
    if blocks[0].shape != blocks[1].shape:
        return 100.0
    return float(100 * (np.abs(blocks[0] - blocks[1]).max(axis=-1) > SEEN).mean())


def _blocks(picture: str) -> np.ndarray:
    """The mean of each block of pixels, (height, width, 3)."""
    image = Image.open(io.BytesIO(base64.b64decode(picture))).convert("RGB")
    return np.asarray(image.reduce(BLOCK), dtype=float)
