"""How fast is a training loop, as the book sets up Keras's `fit`?

python -m benchmarks.training     measure, print, store in benchmarks/results/training.json

An epoch of Fashion-MNIST in batches of 32, plain SGD, on the 784-300-100-10 MLP, in turns:

Keras's defaults        `compile` and `fit` with nothing said
compiled with XLA       `jit_compile=True`
as the book             that, and 64 steps an execution
                        the same with `practice.shuffled_batches`, whose orders a seed decides
by hand, in NumPy       forward, backward and update written out: what no library costs

The first epoch of each, in which it compiles, is left out.
"""

from __future__ import annotations

import itertools
import statistics
from typing import Any

import numpy as np

from benchmarks.measured import RESULTS, command, provenance, seconds

STORED = RESULTS / "training.json"
BATCH, RATE = 32, 0.05
DEFAULTS, OURS, SHUFFLED = "Keras's defaults", "as the book", "as the book, shuffled_batches"


class ByHand:
    """The MLP and its descent in NumPy."""

    def __init__(self) -> None:
        rng = np.random.default_rng(0)
        sizes = (784, 300, 100, 10)
        self.weights = [
            (rng.normal(size=(i, o)) * np.sqrt(2 / i)).astype(np.float32)
            for i, o in itertools.pairwise(sizes)
        ]
        self.biases = [np.zeros(o, np.float32) for o in sizes[1:]]

    def step(self, x: np.ndarray, y: np.ndarray) -> None:
        """One step of descent on a batch."""
        layers = [x.reshape(len(x), -1)]
        for w, b in zip(self.weights, self.biases, strict=True):
            z = layers[-1] @ w + b
            layers.append(np.maximum(z, 0) if len(layers) < len(self.weights) else z)
        p = np.exp(layers[-1] - layers[-1].max(axis=1, keepdims=True))
        d = p / p.sum(axis=1, keepdims=True)
        d[np.arange(len(y)), y] -= 1
        d /= len(y)
        for k in reversed(range(len(self.weights))):
            dw, db = layers[k].T @ d, d.sum(axis=0)
            d = (d @ self.weights[k].T) * (layers[k] > 0) if k else d
            self.weights[k] -= RATE * dw
            self.biases[k] -= RATE * db

    def epoch(self, x: np.ndarray, y: np.ndarray) -> None:
        """All batches, in their order."""
        for start in range(0, len(x), BATCH):
            self.step(x[start : start + BATCH], y[start : start + BATCH])


def measure(rounds: int) -> dict[str, Any]:
    """Let the loops take turns, and return all seconds."""
    import keras

    from helpers import practice
    from helpers.data import load_fashion_mnist
    from helpers.models import mlp

    data = load_fashion_mnist()
    x, y = data.x_train, data.y_train

    def compiled(**settings: Any) -> Any:
        model = mlp()
        model.compile(
            keras.optimizers.SGD(RATE),
            "sparse_categorical_crossentropy",
            metrics=["accuracy"],
            **settings,
        )
        return model

    def fit(**settings: Any) -> Any:
        model = compiled(**settings)
        return lambda: model.fit(x, y, batch_size=BATCH, verbose=0)

    as_book = {"jit_compile": True, "steps_per_execution": 64}
    shuffled, batches = compiled(**as_book), practice.shuffled_batches(x, y, seed=0)
    by_hand = ByHand()
    loops = {
        DEFAULTS: fit(),
        "compiled with XLA": fit(jit_compile=True),
        OURS: fit(**as_book),
        SHUFFLED: lambda: shuffled.fit(batches, shuffle=False, verbose=0),
        "by hand, in NumPy": lambda: by_hand.epoch(x, y),
    }
    for loop in loops.values():
        loop()
    found: dict[str, list[float]] = {name: [] for name in loops}
    for _ in range(rounds):
        for name, loop in loops.items():
            found[name].append(seconds(loop))
    return {"seconds": found, "steps": -(-len(x) // BATCH), **provenance()}


def report(found: dict[str, Any]) -> str:
    """The table that people read."""
    base = statistics.median(found["seconds"][DEFAULTS])
    lines = [f"{'an epoch of ' + format(found['steps'], ',') + ' steps':30} seconds  (spread)"]
    for name, times in found["seconds"].items():
        middle, spread = statistics.median(times), f"({min(times):.2f}-{max(times):.2f})"
        lines.append(f"{name:30} {middle:7.2f} {spread:>14}   {base / middle:.1f} times as fast")
    return "\n".join(lines)


if __name__ == "__main__":
    command("training", measure, report, STORED, rounds=5)
