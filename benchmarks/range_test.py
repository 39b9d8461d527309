"""How fast is `helpers.range_finder.range_test`, beside what others use?

python -m benchmarks.range_test     measure, print, store in benchmarks/results/range-test.json

All take the same 1,719 steps of plain SGD (an epoch of Fashion-MNIST in batches of 32, rates
from 0.001 to 0.1, so that nothing diverges) on the 784-300-100-10 MLP:

callback        the source material's: reads and sets the rate after each batch of `fit`
keras_lr_finder its algorithm, ported to Keras 3: the same, with weights saved and put back
torch-lr-finder the package from PyPI, in an environment of its own
by hand         SGD and the loss written out in one XLA-compiled loop: what can be had without
                generality
range_test      ours

"whole" is the time of a call on a new model, compiling included (range_test and the loop by hand
compile anew in every call; before it there is one of few steps); "steps" is without compiling:
for the Keras callbacks the time of a second `fit`, for the loops the difference to the call of
few steps. All Keras models are compiled with the metric accuracy, as in the source material; a
range test does not compute it. Contenders take turns, but for torch-lr-finder, which follows in
its own process and whose first round is left out. The median over the rounds counts, the spread
is printed. Then the callback and range_test on other networks: whole calls.
"""

from __future__ import annotations

import itertools
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.measured import RESULTS, command, provenance, seconds

STORED = RESULTS / "range-test.json"
STEPS, FEW, BATCH = 1719, 8, 32
LOWEST, HIGHEST = 1e-3, 0.1
FACTOR = (HIGHEST / LOWEST) ** (1 / (STEPS - 1))


def compiled(build: Callable[[], Any], optimizer: Callable[[float], Any]) -> Any:
    """A new model, compiled as the source material compiles it."""
    model = build()
    model.compile(optimizer(LOWEST), loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def callback() -> Any:
    """The source material's callback, in Keras 3."""
    import keras

    class ExponentialRate(keras.callbacks.Callback):
        def __init__(self) -> None:
            super().__init__()
            self.rates: list[float] = []
            self.losses: list[float] = []

        def on_train_batch_end(self, _: int, logs: Any = None) -> None:
            rate = float(self.model.optimizer.learning_rate)
            self.rates.append(rate)
            self.losses.append(logs["loss"])
            self.model.optimizer.learning_rate = rate * FACTOR

    return ExponentialRate()


def fit(model: Any, x: Any, y: Any, callbacks: list[Any]) -> None:
    """One epoch."""
    model.fit(x, y, epochs=1, batch_size=BATCH, verbose=0, callbacks=callbacks)


def keras_lr_finder(model: Any, x: Any, y: Any) -> None:
    """The algorithm of the package keras_lr_finder, whose code no longer runs, on Keras 3."""
    import keras

    rates: list[float] = []
    losses: list[float] = []
    best = 1e9

    def on_batch_end(batch: int, logs: Any) -> None:
        nonlocal best
        rate = float(model.optimizer.learning_rate)
        loss = logs["loss"]
        rates.append(rate)
        losses.append(loss)
        if batch > 5 and (np.isnan(loss) or loss > best * 4):
            model.stop_training = True
            return
        best = min(best, loss)
        model.optimizer.learning_rate = rate * FACTOR

    with tempfile.TemporaryDirectory() as folder:
        saved = Path(folder) / "tmp.weights.h5"
        model.save_weights(saved)
        original = float(model.optimizer.learning_rate)
        fit(model, x, y, [keras.callbacks.LambdaCallback(on_train_batch_end=on_batch_end)])
        model.load_weights(saved)
        model.optimizer.learning_rate = original


def by_hand(x: Any, y: Any, steps: int) -> None:
    """Plain SGD on the MLP, everything written out, in one loop compiled with XLA."""
    import tensorflow as tf

    rng = np.random.default_rng(0)
    sizes = (784, 300, 100, 10)
    weights = []
    for inputs, outputs in itertools.pairwise(sizes):
        scale = np.sqrt(2 / (inputs + outputs))
        weights.append(tf.Variable((scale * rng.normal(size=(inputs, outputs))).astype("float32")))
        weights.append(tf.Variable(np.zeros(outputs, "float32")))

    def loss_of(images: Any, labels: Any) -> Any:
        h = tf.reshape(images, (-1, 784))
        for layer in range(3):
            h = h @ weights[2 * layer] + weights[2 * layer + 1]
            h = tf.nn.relu(h) if layer < 2 else h
        return tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(labels, h))

    @tf.function(jit_compile=True, autograph=False)
    def run(images: Any, labels: Any, rates: Any, count: Any) -> Any:
        def body(i: Any, losses: Any) -> Any:
            with tf.GradientTape() as tape:
                loss = loss_of(images[i], labels[i])
            for weight, gradient in zip(weights, tape.gradient(loss, weights), strict=True):
                weight.assign_sub(rates[i] * gradient)
            return i + 1, losses.write(i, loss)

        losses = tf.TensorArray(tf.float32, 128)
        return tf.while_loop(lambda i, _: i < count, body, (0, losses))[1].stack()

    rates = np.geomspace(LOWEST, HIGHEST, STEPS).astype("float32")
    order = np.resize(rng.permutation(len(x)), (STEPS, BATCH))
    for start in range(0, steps, 128):
        chunk = np.arange(start, start + 128) % STEPS
        count = min(128, steps - start)
        run(x[order[chunk]], y[order[chunk]], rates[chunk], tf.constant(count)).numpy()


def ours(model: Any, x: Any, y: Any, steps: int = STEPS, **settings: Any) -> Any:
    """Our range test, over the same rates."""
    from helpers.range_finder import range_test

    settings = {"min_lr": LOWEST, "max_lr": HIGHEST, "stop_factor": 1e9, **settings}
    return range_test(model, x, y, steps=max(steps, 10), batch_size=BATCH, **settings)


def networks() -> dict[str, tuple[Callable[[], Any], Callable[[float], Any], int]]:
    """The book's networks, with an optimizer and a number of steps each."""
    import keras

    from helpers.models import cnn, mlp

    layers = keras.layers

    def blocks(middle: Callable[[], list[Any]], *, bias: bool = True) -> Callable[[], Any]:
        def build() -> Any:
            hidden = [
                layer
                for units in (300, 100)
                for layer in (layers.Dense(units, use_bias=bias), *middle())
            ]
            ends = [keras.Input((28, 28)), layers.Flatten()]
            return keras.Sequential([*ends, *hidden, layers.Dense(10, activation="softmax")])

        return build

    sgd = keras.optimizers.SGD
    norm = blocks(lambda: [layers.BatchNormalization(), layers.ReLU()], bias=False)
    return {
        "softmax regression": (lambda: mlp(()), sgd, STEPS),
        "784-256-128-64-20-10": (lambda: mlp((256, 128, 64, 20)), sgd, STEPS),
        "ten hidden layers of 100": (lambda: mlp((100,) * 10), sgd, STEPS),
        "MLP, momentum": (mlp, lambda rate: sgd(rate, momentum=0.9), STEPS),
        "MLP, Adam": (mlp, lambda rate: keras.optimizers.Adam(rate / 10), STEPS),
        "MLP, batch norm": (norm, sgd, STEPS),
        "MLP, dropout": (blocks(lambda: [layers.ReLU(), layers.Dropout(0.3)]), sgd, STEPS),
        "CNN of the source material": (cnn, sgd, 400),
    }


def torch_lr_finder(x: Any, y: Any, repeats: int) -> dict[str, Any]:
    """Run the peer in its own environment, which uv makes and keeps."""
    with tempfile.TemporaryDirectory() as folder:
        stored = Path(folder) / "data.npz"
        np.savez(stored, x=x, y=y)
        peer = Path(__file__).with_name("torch_peer.py")
        command = [os.environ.get("UV", "uv"), "run", "--quiet", "--isolated", "--no-project"]
        command += ["--python", sys.executable, "--with", "torch==2.15.0"]
        command += ["--with", "torch-lr-finder==0.2.2", "python"]
        arguments = [str(peer), str(stored), str(STEPS), str(repeats)]
        done = subprocess.run([*command, *arguments], check=True, capture_output=True, text=True)
        return json.loads(done.stdout)


def measure(rounds: int) -> dict[str, Any]:
    """Let the contenders take turns, and return all seconds."""
    import keras

    from helpers.data import load_fashion_mnist
    from helpers.models import mlp

    data = load_fashion_mnist()
    x, y = data.x_train, data.y_train
    whole: dict[str, list[float]] = {}
    steps: dict[str, list[float]] = {}

    def note(name: str, first: float, without: float) -> None:
        whole.setdefault(name, []).append(first)
        steps.setdefault(name, []).append(without)

    new = lambda: compiled(mlp, keras.optimizers.SGD)  # noqa: E731
    for _ in range(rounds):
        model = new()
        first = seconds(lambda: fit(model, x, y, [callback()]))  # noqa: B023
        note("callback", first, seconds(lambda: fit(model, x, y, [callback()])))  # noqa: B023
        model = new()
        first = seconds(lambda: keras_lr_finder(model, x, y))  # noqa: B023
        note("keras_lr_finder", first, seconds(lambda: keras_lr_finder(model, x, y)))  # noqa: B023
        few, all_of_them = (seconds(lambda n=n: by_hand(x, y, n)) for n in (FEW, STEPS))
        note("by hand", all_of_them, (all_of_them - few) * STEPS / (STEPS - FEW))
        model = new()
        few, all_of_them = (seconds(lambda n=n: ours(model, x, y, n)) for n in (10, STEPS))  # noqa: B023
        note("range_test", all_of_them, (all_of_them - few) * STEPS / (STEPS - 10))
        settings = {"max_lr": LOWEST * 1.005 ** (STEPS - 1), "stop_factor": 4.0, "smoothing": 0.98}
        stopping = seconds(lambda: ours(new(), x, y, **settings))  # noqa: B023
        whole.setdefault("range_test, S1's rates, ends where it diverges", []).append(stopping)
    peer = torch_lr_finder(x, y, rounds + 1)
    whole["torch-lr-finder"] = peer["seconds"][1:]
    others: dict[str, dict[str, list[float]]] = {}
    for name, (build, optimizer, number) in networks().items():
        times: dict[str, list[float]] = {"callback": [], "range_test": []}
        for _ in range(min(rounds, 3)):
            part = slice(number * BATCH)
            model = compiled(build, optimizer)
            times["callback"].append(seconds(lambda: fit(model, x[part], y[part], [callback()])))  # noqa: B023
            model = compiled(build, optimizer)
            times["range_test"].append(seconds(lambda: ours(model, x, y, number)))  # noqa: B023
        others[name] = times
    where = provenance()
    return {
        "whole": whole,
        "steps": steps,
        "others": others,
        **where,
        "versions": {**where["versions"], **peer["versions"]},
    }


def report(found: dict[str, Any]) -> str:
    """The tables that people read."""
    middle = statistics.median
    base, base_steps = found["whole"]["callback"], found["steps"]["callback"]
    lines = [f"{'1,719 steps on the MLP':48} whole    (spread)      steps   ratio to the callback"]
    for name, times in found["whole"].items():
        ratio = f"{middle(base) / middle(times):5.1f}"
        steps, without = "", ""
        if name in found["steps"]:
            steps = f"{middle(found['steps'][name]):6.2f}"
            without = f"{middle(base_steps) / middle(found['steps'][name]):5.1f} without compiling"
        spread = f"({min(times):.2f}-{max(times):.2f})"
        lines.append(f"{name:48} {middle(times):5.2f} {spread:>13} {steps:>9} {ratio:>7} {without}")
    lines += ["", f"{'other networks, whole calls':48} callback   range_test   ratio"]
    for name, times in found["others"].items():
        theirs, own = middle(times["callback"]), middle(times["range_test"])
        lines.append(f"{name:48} {theirs:8.2f} {own:12.2f} {theirs / own:7.1f}")
    return "\n".join(lines)


if __name__ == "__main__":
    command("range_test", measure, report, STORED, rounds=10)
