"""benchmarks/: the stored results say what the book says of them, and the ports do their work."""

import importlib
import json
import re
import statistics
import sys

import nbformat
import numpy as np
import pytest

from tools import bench_page, notebooks
from tools.notebooks import ROOT

sys.path.insert(0, str(ROOT))  # benchmarks is no part of the package

from benchmarks import range_test as bench
from benchmarks import schedules as bench_schedules
from benchmarks.measured import NAMES


@pytest.fixture(scope="module")
def stored():
    return json.loads(bench.STORED.read_text(encoding="utf-8"))


def middle(times):
    return statistics.median(times)


def test_the_stored_results_are_whole(stored):
    assert set(stored["whole"]) >= {
        "callback",
        "keras_lr_finder",
        "by hand",
        "torch-lr-finder",
        "range_test",
    }
    assert all(len(times) >= 3 for times in stored["whole"].values())
    assert {"keras", "tensorflow", "torch", "torch-lr-finder", "python"} <= set(stored["versions"])
    assert stored["machine"]["cores"] >= 1
    assert stored["machine"]["processor"]


def test_the_range_test_was_faster_than_its_peers_and_never_slower_than_the_callback(stored):
    ours = middle(stored["whole"]["range_test"])
    # The callback's time has two modes (4.2 and 5.6 s): three runs gave 3.3, 3.2 and 3.0, when the
    # loop by hand, which is the most there is to gain, gave 3.1. That loop is the sharper bar.
    assert middle(stored["whole"]["by hand"]) / ours >= 0.9
    assert middle(stored["whole"]["callback"]) / ours >= 2.9
    assert middle(stored["whole"]["keras_lr_finder"]) / ours >= 2.9
    assert middle(stored["whole"]["torch-lr-finder"]) / ours >= 1
    for name, times in stored["others"].items():
        assert middle(times["callback"]) > middle(times["range_test"]), name


def test_the_report_names_every_contender_and_network(stored):
    report = bench.report(stored)
    for name in (*stored["whole"], *stored["others"]):
        assert name in report


@pytest.mark.slow
def test_the_contenders_train_and_the_ports_put_back_what_they_promise(monkeypatch):
    import keras

    from helpers.models import mlp

    monkeypatch.setattr(bench, "STEPS", 130)
    rng = np.random.default_rng(0)
    x, y = rng.random((130 * 32, 28, 28), dtype=np.float32), rng.integers(0, 10, 130 * 32)
    recorder = bench.callback()
    model = bench.compiled(mlp, keras.optimizers.SGD)
    bench.fit(model, x, y, [recorder])
    assert len(recorder.losses) == 130
    assert recorder.rates[-1] == pytest.approx(bench.LOWEST * bench.FACTOR**129, rel=1e-3)

    weights = model.get_weights()
    bench.keras_lr_finder(model, x, y)
    for before, after in zip(weights, model.get_weights(), strict=True):
        np.testing.assert_array_equal(before, after)

    bench.by_hand(x, y, 130)
    assert len(bench.ours(model, x, y, 130).losses) == 130


# ---------------------------------------------------------------------------- schedules


@pytest.fixture(scope="module")
def schedules_stored():
    return json.loads(bench_schedules.STORED.read_text(encoding="utf-8"))


def test_a_schedule_costs_nearly_nothing_and_the_cnn_needs_no_eager_mode(schedules_stored):
    found = schedules_stored
    assert set(found["mlp"]) == set(bench_schedules.contenders(1000))
    for name, shares in bench_schedules.shares_of_a_step(found).items():
        assert max(shares.values()) <= 0.02, name
    noise = abs(bench_schedules.ratios(found)["constant, once more"] - 1)
    for name, ratio in bench_schedules.ratios(found).items():
        assert ratio <= 1.02 + noise + 0.01, name
    assert bench_schedules.speedup(found) >= 5
    report = bench_schedules.report(found)
    assert all(name in report for name in (*found["mlp"], *found["cnn"]) if name != "constant")


def test_the_eager_schedule_is_the_sources(keras_begun):
    import tensorflow as tf

    from helpers.schedules import CosineRestarts

    eager = bench_schedules.eager_schedule(1e-3, 400, 1.25)
    rates = [eager(tf.constant(step)) for step in range(1500)]
    ours = CosineRestarts(1e-3, 400, growth=1.25)
    np.testing.assert_allclose(rates, ours(np.arange(1500)), atol=1e-3 / 100)


# ---------------------------------------------------------------------------- the others


def results_of(name):
    benchmark = importlib.import_module(f"benchmarks.{name}")
    return benchmark, json.loads(benchmark.STORED.read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", NAMES)
def test_every_benchmark_is_stored_with_its_origin_and_reported(name):
    benchmark, found = results_of(name)
    assert {"keras", "numpy", "python", "tensorflow"} <= set(found["versions"])
    assert found["machine"]["processor"]
    assert found["commit"]
    assert re.fullmatch(r"\d{4}-\d\d-\d\d", found["date"])
    report = benchmark.report(found)
    assert found["report"] == report  # what the page shows is what the code says today
    for contender in found.get("seconds", ()):
        assert contender in report
    assert max(map(len, report.splitlines())) <= 110


def medians(name):
    return {n: middle(times) for n, times in results_of(name)[1]["seconds"].items()}


def test_importing_a_helper_does_not_import_tensorflow():
    took = medians("imports")
    for name in ("range_finder", "optimizers", "search", "plots"):
        assert took[f"from helpers import {name}"] <= 0.2 * took["import tensorflow"]


def test_the_books_training_loop_is_twice_as_fast_as_keras_defaults():
    took = medians("training")
    assert took["Keras's defaults"] / took["as the book"] >= 2
    assert took["Keras's defaults"] / took["as the book, shuffled_batches"] >= 2


def test_a_search_is_twice_as_fast_as_a_loop_with_fit():
    took = medians("search")
    assert took["a loop with fit"] / took["the book's Trainer"] >= 2
    assert took["a worker"] / took["two workers"] >= 1.2


def test_the_site_builds_within_its_budget():
    took = medians("site")
    assert took["make book"] <= 60
    assert took["make book"] / took["without the extensions in tools/"] <= 2


def test_chapters_run_within_their_budgets():
    benchmark, found = results_of("execution")
    assert set(found["seconds"]) == {path.stem for path in notebooks.chapters()}
    cells = {name: benchmark.middles(runs) for name, runs in found["seconds"].items()}
    for name, times in cells.items():
        notebook = nbformat.read(ROOT / "chapters" / f"{name}.ipynb", 4)
        assert len(times) == sum(cell.cell_type == "code" for cell in notebook.cells), name
        assert sum(times) <= benchmark.BUDGETS.get(name, 120), name
    assert sum(map(sum, cells.values())) <= 900


def test_the_page_has_every_benchmark_with_its_command():
    text = bench_page.page()
    for name, heading in NAMES.items():
        assert f"## {heading}\n" in text
        assert f"python -m benchmarks.{name}\n" in text
    assert "Not measured yet" not in text


def test_a_network_by_hand_learns():
    from benchmarks.training import ByHand

    rng = np.random.default_rng(0)
    x = rng.random((64, 28, 28), dtype=np.float32)
    y = rng.integers(0, 10, 64)
    network = ByHand()
    before = [w.copy() for w in network.weights]
    for _ in range(300):
        network.epoch(x, y)
    hidden = x.reshape(64, -1)
    for w, b in zip(network.weights[:-1], network.biases[:-1], strict=True):
        hidden = np.maximum(hidden @ w + b, 0)
    guesses = (hidden @ network.weights[-1] + network.biases[-1]).argmax(axis=1)
    assert (guesses == y).mean() > 0.9
    assert all((w != old).any() for w, old in zip(network.weights, before, strict=True))
