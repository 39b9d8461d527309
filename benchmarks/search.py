"""How fast is a search, beside a plain loop over the same configurations?

python -m benchmarks.search     measure, print, store in benchmarks/results/search.json

Sixteen configurations of the book's search (an MLP on 8,000 images, 9 epochs each), each round with
another seed:

a loop with `fit`       a new network for each, with Keras's defaults: what one writes first
the book's Trainer      the same trainings, an epoch in one compiled function, in one process
a worker, two workers   the same through a study in a database, with what it takes to start them
"""

from __future__ import annotations

import statistics
from typing import Any

from benchmarks.measured import RESULTS, command, provenance, seconds

STORED = RESULTS / "search.json"
TRIALS = 16
LOOP, TRAINER, ONE, TWO = "a loop with fit", "the book's Trainer", "a worker", "two workers"


def by_fit(configuration: dict[str, Any], data: Any, images: int, epochs: int) -> None:
    """Train a network with Keras's `fit`, and look at validation after each epoch."""
    import keras

    from helpers.models import mlp

    model = mlp((configuration["width"],))
    model.compile(
        keras.optimizers.SGD(configuration["learning_rate"], momentum=configuration["momentum"]),
        "sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )
    model.fit(
        data.x_train[:images],
        data.y_train[:images],
        batch_size=configuration["batch_size"],
        epochs=epochs,
        validation_data=(data.x_valid, data.y_valid),
        verbose=0,
    )


def measure(rounds: int) -> dict[str, Any]:
    """Let the ways take turns, and return all seconds."""
    import numpy as np

    from helpers import search, search_laboratory
    from helpers.data import load_fashion_mnist

    data = load_fashion_mnist()
    found: dict[str, list[float]] = {name: [] for name in (LOOP, TRAINER, ONE, TWO)}
    for seed in range(rounds):
        rng = np.random.default_rng(seed)
        chosen = search.quasi_random(search_laboratory.SPACE, TRIALS, rng=rng)

        def loop(chosen: Any = chosen) -> None:
            for one in chosen:
                images, epochs = search_laboratory.TRAINED_ON, search_laboratory.EPOCHS
                by_fit(dict(one), data, images, epochs)

        def trained(chosen: Any = chosen) -> None:
            for one in chosen:
                search_laboratory.evaluate_mlp(one, lambda *_: None)

        found[LOOP].append(seconds(loop))
        found[TRAINER].append(seconds(trained))
        for name, workers in ((ONE, 1), (TWO, 2)):
            took = search_laboratory.time_workers(data, seed, workers=workers)
            found[name].append(took["seconds"])
    return {"seconds": found, "trials": TRIALS, **provenance()}


def report(found: dict[str, Any]) -> str:
    """The table that people read."""
    base = statistics.median(found["seconds"][LOOP])
    lines = [f"{found['trials']} trainings         seconds  (spread)"]
    for name, times in found["seconds"].items():
        middle, spread = statistics.median(times), f"({min(times):.1f}-{max(times):.1f})"
        lines.append(f"{name:20} {middle:7.1f} {spread:>14}   {base / middle:.1f} times as fast")
    return "\n".join(lines)


if __name__ == "__main__":
    command("search", measure, report, STORED, rounds=3)
