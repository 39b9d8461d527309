"""What does a schedule cost in training, and how fast is the source material's network without it?

python -m benchmarks.schedules     measure, print, store in benchmarks/results/schedules.json

First, the 784-300-100-10 MLP at batches of 32, with Keras's `fit`, compiled with XLA, 64 steps an
execution: 256 steps with a constant rate, and with each schedule, in turns, many times. On a
machine with other tenants a time is what the work takes and whatever disturbed it; the fastest
tenth was disturbed least, so its median counts. The constant rate competes twice: what lies
between its two times is noise. A sharper measure is each schedule alone, 20,000 steps in one loop,
compiled with XLA (as the MLP is) and as a graph (as the CNN is).

Then the source material's CNN, Adam, batches of 32: 150 steps as the source runs them (eager
everything, a schedule with a counter of its own that calls `.numpy()`), beside the same network
compiled, with `CosineRestarts`.
"""

from __future__ import annotations

import math
import statistics
from typing import Any

import numpy as np

from benchmarks.measured import RESULTS, command, provenance, seconds

STORED = RESULTS / "schedules.json"
BATCH, STEPS, CNN_STEPS = 32, 256, 150


def contenders(steps: int) -> dict[str, Any]:
    """A constant rate, and schedules over so many steps; the rates are small, nothing diverges."""
    import keras

    from helpers import schedules

    kerass = keras.optimizers.schedules
    peak = 0.05
    return {
        "constant": peak,
        "constant, once more": peak,
        "CosineRestarts": schedules.CosineRestarts(peak, steps / 7, growth=2),
        "OneCycle": schedules.OneCycle(peak, steps),
        "Triangular": schedules.Triangular(peak / 10, peak, half_cycle=steps / 6),
        "WarmupStableDecay": schedules.WarmupStableDecay(peak, steps),
        "InverseSquareRoot": schedules.InverseSquareRoot(peak, steps / 10),
        "WarmUp(CosineDecay)": schedules.WarmUp(kerass.CosineDecay(peak, steps), steps / 10),
        "Keras's CosineDecayRestarts": kerass.CosineDecayRestarts(peak, steps // 7),
        "Keras's ExponentialDecay": kerass.ExponentialDecay(peak, steps, 0.1),
    }


def eager_schedule(peak: float, first_cycle: int, growth: float) -> Any:
    """The source's schedule: it counts its own calls, and asks the step for its number."""
    import keras

    class Eager(keras.optimizers.schedules.LearningRateSchedule):
        def __init__(self) -> None:
            self.start, self.length = 0, first_cycle

        def __call__(self, step: Any) -> float:
            now = int(step.numpy()) - self.start
            if now >= self.length:
                self.start, self.length = self.start + self.length, math.ceil(self.length * growth)
                now = 0
            warmup = self.length // 4
            if now < warmup:
                return peak * now / warmup
            share = (now - warmup) / (self.length - warmup)
            return 0.5 * peak * (1 + math.cos(math.pi * share))

    return Eager()


def alone(schedule: Any, *, jit_compile: bool) -> float:
    """The seconds that one call of a schedule takes, in a compiled loop of many."""
    import tensorflow as tf

    @tf.function(jit_compile=jit_compile)  # type: ignore[untyped-decorator]
    def run(steps: Any) -> Any:
        total = 0.0
        for step in tf.range(steps):
            total += tf.cast(schedule(step), tf.float32)
        return total

    run(tf.constant(10))
    calls = 20_000
    return min(seconds(lambda: run(tf.constant(calls)).numpy()) for _ in range(3)) / calls


def measure(rounds: int) -> dict[str, Any]:
    """Let the contenders take turns, and return all seconds."""
    import keras

    from helpers.data import load_fashion_mnist
    from helpers.models import cnn, mlp
    from helpers.schedules import CosineRestarts

    data = load_fashion_mnist()

    def trainer(model: Any, rate: Any, steps: int, **settings: Any) -> Any:
        optimizer = settings.pop("optimizer", keras.optimizers.SGD)
        model.compile(optimizer(rate), "sparse_categorical_crossentropy", **settings)
        part = slice(steps * BATCH)
        x, y = data.x_train[part], data.y_train[part]
        return lambda: model.fit(x, y, batch_size=BATCH, verbose=0, shuffle=False)

    settings = {"jit_compile": True, "steps_per_execution": 64}
    epochs = {
        name: trainer(mlp(), rate, STEPS, **settings)
        for name, rate in contenders(STEPS * (rounds + 1)).items()
    }
    for epoch in epochs.values():
        epoch()  # compiles
    mlp_seconds: dict[str, list[float]] = {name: [] for name in epochs}
    rng = np.random.default_rng(0)
    for _ in range(rounds):
        for name in rng.permutation(list(epochs)):
            mlp_seconds[name].append(seconds(epochs[name]))

    adam = {"optimizer": keras.optimizers.Adam}
    ways = {
        "eager, as the source": trainer(
            cnn(), eager_schedule(1e-3, 5625, 1.25), CNN_STEPS, run_eagerly=True, **adam
        ),
        "compiled, CosineRestarts": trainer(
            cnn(), CosineRestarts(1e-3, 5625, growth=1.25), CNN_STEPS, jit_compile=False, **adam
        ),
    }
    for way in ways.values():
        way()
    cnn_seconds: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(max(rounds // 20, 3)):
        for name, way in ways.items():
            cnn_seconds[name].append(seconds(way))
    single = {
        name: {way: alone(rate, jit_compile=way == "XLA") for way in ("XLA", "graph")}
        for name, rate in contenders(STEPS * (rounds + 1)).items()
        if not name.startswith("constant")
    }
    return {"mlp": mlp_seconds, "cnn": cnn_seconds, "alone": single, **provenance()}


def undisturbed(times: list[float]) -> float:
    """The median of the fastest tenth."""
    return statistics.median(sorted(times)[: max(len(times) // 10, 1)])


def ratios(found: dict[str, Any]) -> dict[str, float]:
    """The time with each schedule over that with a constant rate."""
    constant = undisturbed(found["mlp"]["constant"])
    return {
        name: undisturbed(times) / constant
        for name, times in found["mlp"].items()
        if name != "constant"
    }


def shares_of_a_step(found: dict[str, Any]) -> dict[str, dict[str, float]]:
    """What each schedule takes alone, as a share of a step of the network compiled that way."""
    steps = {
        "XLA": undisturbed(found["mlp"]["constant"]) / STEPS,
        "graph": min(found["cnn"]["compiled, CosineRestarts"]) / CNN_STEPS,
    }
    return {
        name: {way: taken / steps[way] for way, taken in ways.items()}
        for name, ways in found["alone"].items()
    }


def speedup(found: dict[str, Any]) -> float:
    """How many times faster the CNN's step is, compiled."""
    eager, compiled = (statistics.median(times) for times in found["cnn"].values())
    return eager / compiled


def report(found: dict[str, Any]) -> str:
    """The tables that people read."""
    constant = undisturbed(found["mlp"]["constant"])
    lines = [f"MLP, constant rate: {constant / STEPS * 1e3:.3f} ms a step"]
    lines += [f"{name:30} {ratio:.3f} times that" for name, ratio in ratios(found).items()]
    for name, shares in shares_of_a_step(found).items():
        share = f"{shares['XLA']:.2%} of the MLP's step, {shares['graph']:.2%} of the CNN's"
        lines.append(f"{name:30} alone: {share}")
    for name, times in found["cnn"].items():
        lines.append(f"CNN, {name:25} {statistics.median(times) / CNN_STEPS * 1e3:6.1f} ms a step")
    lines.append(f"ratio {speedup(found):.1f}")
    return "\n".join(lines)


if __name__ == "__main__":
    command("schedules", measure, report, STORED, rounds=100)
