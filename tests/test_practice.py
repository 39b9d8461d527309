"""helpers.practice: new orders, stopping, and a training that survives being killed."""

import csv
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from helpers import data, practice, reproducible
from helpers.tracking import read_scalars

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module", autouse=True)
def keras():
    reproducible.begin(0)
    import keras

    return keras


@pytest.fixture(scope="module")
def few():
    """640 images of each part."""
    return data.few(data.load_fashion_mnist(), 640)


def orders(dataset, epochs=3):
    return [np.concatenate([x.numpy() for x, _ in dataset]).tolist() for _ in range(epochs)]


def test_every_epoch_has_all_examples_in_another_order():
    numbers = np.arange(100)
    first, second, third = orders(practice.shuffled_batches(numbers, numbers, seed=1))
    assert sorted(first) == sorted(second) == sorted(third) == numbers.tolist()
    assert first != second != third != first


def test_an_example_may_come_to_any_place():
    numbers = np.arange(1000)
    order = np.array(orders(practice.shuffled_batches(numbers, numbers, seed=1), epochs=1)[0])
    assert abs(np.corrcoef(order, numbers)[0, 1]) < 0.15


def test_labels_stay_with_their_inputs_and_the_seed_decides_on_the_orders():
    numbers = np.arange(100)
    batches = practice.shuffled_batches(numbers, 2 * numbers, batch_size=30, seed=1)
    sizes = [len(x) for x, y in batches if (y.numpy() == 2 * x.numpy()).all()]
    assert sizes == [30, 30, 30, 10]
    again, other = (practice.shuffled_batches(numbers, numbers, seed=s) for s in (1, 2))
    assert orders(again) == orders(practice.shuffled_batches(numbers, numbers, seed=1))
    assert orders(again) != orders(other)


def test_given_arrays_and_a_seed_keras_repeats_one_order(keras):
    """What `shuffled_batches` is for. Should this fail, Keras has changed: the text must, too."""
    seen = []

    class Remember(keras.layers.Layer):
        def call(self, x):
            import tensorflow as tf

            tf.py_function(lambda v: seen.append(v.numpy().ravel().tolist()), [x], [])
            return x

    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input((1,)), Remember(), keras.layers.Dense(1)])
    model.compile("sgd", "mse", jit_compile=False)
    x = np.arange(20.0).reshape(-1, 1)
    model.fit(x, x, batch_size=20, epochs=3, verbose=0)
    epochs = [values for values in seen if len(values) == 20][-3:]
    assert sorted(epochs[0]) == x.ravel().tolist() != epochs[0]
    assert epochs[0] == epochs[1] == epochs[2]


@pytest.mark.parametrize("size", [0, 3])
def test_labels_that_are_not_as_many_are_refused(size):
    with pytest.raises(ValueError, match="as many labels as inputs"):
        practice.shuffled_batches(np.zeros(size), np.zeros(0), seed=0)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: practice.shuffled_batches(np.zeros(2), np.zeros(2), batch_size=0, seed=0), "size"),
        (lambda: practice.compiled_mlp(0.0), "learning_rate must be greater than 0"),
        (lambda: practice.compiled_mlp(0.1, clip=-1.0), "clip must be greater than 0"),
        (lambda: practice.stopping("loss"), "monitor is 'val_loss' or 'val_accuracy'"),
        (lambda: practice.stopping("val_loss", patience=0), "at least 1 epoch"),
        (lambda: practice.stopping("val_loss", lower_after=0), "at least 1 epoch"),
    ],
)
def test_bad_settings_are_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def fed(keras, callbacks, values, monitor):
    """Feed callbacks with the values of a quantity, and return the epochs and rates they let be."""
    model = practice.compiled_mlp(0.1)
    model.evaluate(np.zeros((1, 28, 28)), np.zeros(1), verbose=0)  # now it knows its metrics
    run = keras.callbacks.CallbackList(callbacks, model=model)
    run.on_train_begin()
    rates = []
    for epoch, value in enumerate(values):
        model.layers[-1].bias.assign(np.full(10, float(epoch)))
        logs = {"val_loss": 1.0, "val_accuracy": 0.5, monitor: value}
        run.on_epoch_end(epoch, logs)
        rates.append(float(model.optimizer.learning_rate))
        if model.stop_training:
            break
    run.on_train_end()
    return rates, model.layers[-1].bias.numpy()[0]


@pytest.mark.parametrize(("monitor", "sign"), [("val_loss", 1), ("val_accuracy", -1)])
def test_it_stops_after_its_patience_and_puts_the_best_weights_back(keras, monitor, sign):
    values = [sign * value for value in (3.0, 2.0, 1.0, 1.5, 1.1, 1.2, 0.5)]
    callbacks = practice.stopping(monitor, patience=3)
    rates, kept = fed(keras, callbacks, values, monitor)
    assert len(rates) == 6
    assert kept == 2


def test_the_rate_is_divided_by_ten_on_a_plateau_of_the_validation_loss(keras):
    values = [1.0, 0.9, 0.95, 0.95, 0.8, 0.85, 0.85, 0.85]
    callbacks = practice.stopping("val_accuracy", lower_after=2)
    rates, _ = fed(keras, callbacks, values, "val_loss")
    np.testing.assert_allclose(rates, [0.1, 0.1, 0.1, 0.01, 0.01, 0.01, 0.001, 0.001], rtol=1e-5)


def test_clipping_limits_the_norm_of_the_whole_gradient(keras):
    import tensorflow as tf

    model = practice.compiled_mlp(1.0, clip=0.5)
    before = [v.numpy() for v in model.trainable_variables]
    variables = model.trainable_variables
    model.optimizer.apply([tf.ones_like(v.value) for v in variables], variables)
    moved = [b - v.numpy() for b, v in zip(before, model.trainable_variables, strict=True)]
    assert np.sqrt(sum((m**2).sum() for m in moved)) == pytest.approx(0.5, rel=1e-3)


TRAIN = """
import sys
from helpers import data, practice, reproducible
reproducible.begin(0)
few = data.few(data.load_fashion_mnist(), 640)
practice.train(sys.argv[1], few, seed=3, learning_rate=0.1, epochs=6)
"""


def rows_of(folder):
    log = folder / "log.csv"
    if not log.exists():
        return []
    with log.open(newline="") as file:
        return list(csv.DictReader(file))


def test_a_killed_process_is_resumed_and_nothing_is_lost(keras, few, tmp_path):
    command = [sys.executable, "-c", TRAIN, str(tmp_path)]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as process:
        deadline = time.monotonic() + 120
        while len(rows_of(tmp_path)) < 2 and process.poll() is None:
            assert time.monotonic() < deadline
            time.sleep(0.005)
        time.sleep(0.05)
        process.kill()
    assert process.returncode == -9, "the training had ended before it could be killed"
    before = rows_of(tmp_path)
    assert 2 <= len(before) < 6
    assert (tmp_path / "backup").is_dir()

    history = practice.train(tmp_path, few, seed=3, learning_rate=0.1, epochs=6)

    assert history.epoch[0] in {len(before), len(before) - 1}  # was the backup complete?
    rows = rows_of(tmp_path)
    assert rows[: len(before)] == before
    assert [int(row["epoch"]) for row in rows[len(before) :]] == list(range(history.epoch[0], 6))
    assert float(rows[-1]["loss"]) < float(before[-1]["loss"])
    assert not (tmp_path / "backup").exists()
    best = practice.best_network(tmp_path)
    _, accuracy = best.evaluate(few.x_valid, few.y_valid, verbose=0)
    assert accuracy == pytest.approx(max(float(row["val_accuracy"]) for row in rows), abs=1e-6)

    curves = read_scalars(tmp_path / "run")
    assert set(curves["train"]["epoch_loss"][0]) == set(range(6))
    assert set(curves["steps"]["step_gradient_norm"][0]) == set(range(6 * 20))
    with pytest.raises(FileExistsError, match="is finished: choose another folder"):
        practice.train(tmp_path, few, seed=3, learning_rate=0.1, epochs=6)
    assert rows_of(tmp_path) == rows


def test_a_resumed_training_does_not_repeat_its_orders(keras, few, tmp_path, monkeypatch):
    seeds, original = [], practice.shuffled_batches
    monkeypatch.setattr(
        practice,
        "shuffled_batches",
        lambda x, y, *, seed: (seeds.append(seed), original(x, y, seed=seed))[1],
    )
    for epochs in (2, 3):
        practice.train(tmp_path, few, seed=7, learning_rate=0.1, epochs=epochs)
        (tmp_path / "finished").unlink()
    assert seeds[0] != seeds[1]


def test_a_resumed_training_is_the_uninterrupted_one_if_the_order_is_given(keras, few, tmp_path):
    """To the bit: weights, momentum and count of steps are in the backup."""

    def fit(epochs, callbacks):
        keras.utils.set_random_seed(1)
        model = practice.mlp()
        optimizer = keras.optimizers.SGD(0.05, momentum=0.9)
        model.compile(optimizer, "sparse_categorical_crossentropy", jit_compile=True)
        model.fit(few.x_train, few.y_train, epochs=epochs, callbacks=callbacks, verbose=0)
        return [v.numpy() for v in (*model.variables, *model.optimizer.variables)]

    class Stop(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            if self.model.optimizer.iterations == 50:
                raise KeyboardInterrupt

    whole = fit(4, [])
    with pytest.raises(KeyboardInterrupt):
        fit(4, [keras.callbacks.BackupAndRestore(tmp_path / "b"), Stop()])
    resumed = fit(4, [keras.callbacks.BackupAndRestore(tmp_path / "b")])
    for expected, found in zip(whole, resumed, strict=True):
        np.testing.assert_array_equal(found, expected)


def test_a_resumed_training_keeps_a_network_only_if_it_beats_the_best(keras, few, tmp_path):
    fitted = practice.compiled_mlp(0.2)
    fitted.fit(few.x_valid, few.y_valid, epochs=60, verbose=0)  # cannot be beaten: it knows them
    fitted.save(tmp_path / "best-001.keras")
    practice.train(tmp_path, few, seed=0, learning_rate=0.1, epochs=2)
    assert [file.name for file in tmp_path.glob("best-*")] == ["best-001.keras"]


def test_half_a_file_does_not_hide_the_network_before(keras, tmp_path):
    assert practice.best_network(tmp_path) is None
    for number, rate in ((1, 0.1), (2, 0.2), (10, 0.3)):
        practice.compiled_mlp(rate).save(tmp_path / f"best-{number:03d}.keras")
    last = tmp_path / "best-010.keras"
    for size in (last.stat().st_size // 2, 10, 0):
        last.write_bytes(last.read_bytes()[:size])
        assert float(practice.best_network(tmp_path).optimizer.learning_rate) == pytest.approx(0.2)


def test_a_missing_folder_is_made(few, tmp_path):
    folder = Path(tmp_path, "a", "b")
    history = practice.train(folder, few, seed=0, learning_rate=0.1, epochs=1)
    assert history.epoch == [0]
    assert (folder / "best-001.keras").is_file()


def test_fit_shuffled_has_every_image_once_an_epoch_in_orders_of_its_seed(keras, few):
    import tensorflow as tf

    class Watch(keras.layers.Layer):
        def __init__(self, seen):
            super().__init__()
            self.seen = seen

        def call(self, x):
            tf.py_function(lambda batch: self.seen.append(batch.numpy()), [x], [])
            return x

    tiny = data.few(few, 96)
    names = {image.tobytes(): i for i, image in enumerate(tiny.x_train)}

    def orders_seen(seed):
        keras.utils.set_random_seed(1)
        watch = Watch([])
        model = keras.Sequential([keras.Input((28, 28)), watch, *practice.compiled_mlp(0.1).layers])
        model.compile("sgd", "sparse_categorical_crossentropy", metrics=["accuracy"])
        practice.fit_shuffled(model, tiny, seed=seed, epochs=2, batch_size=32)
        batches = [batch for batch in watch.seen if len(batch) == 32]  # not the validation
        order = [names[image.tobytes()] for batch in batches for image in batch]
        return order[:96], order[96:]

    first, second = orders_seen(5)
    assert sorted(first) == sorted(second) == list(range(96))
    assert first != second
    assert orders_seen(5) == (first, second)
    assert orders_seen(6) != (first, second)
    with pytest.raises(ValueError, match="epochs must be at least 1"):
        practice.fit_shuffled(practice.compiled_mlp(0.1), tiny, seed=5, epochs=0)


def test_results_are_the_ends_of_the_curves_and_the_test_accuracy(keras, few):
    keras.utils.set_random_seed(2)
    model = practice.compiled_mlp(0.1)
    curves = practice.fit_shuffled(model, few, seed=1, epochs=3).history
    found = practice.results(model, few)
    assert found["loss"] == curves["loss"][-1] < curves["loss"][0]
    assert found["valid_loss"] == curves["val_loss"][-1]
    assert found["valid_accuracy"] == curves["val_accuracy"][-1]
    right = model.predict(few.x_test, verbose=0).argmax(axis=1) == few.y_test
    assert found["test_accuracy"] == pytest.approx(right.mean())
    diverged = practice.compiled_mlp(1e30)
    assert len(practice.fit_shuffled(diverged, few, seed=1, epochs=3).history["loss"]) == 1
    assert set(practice.results(diverged, few).values()) == {None}


def test_generalisation_tells_seen_images_from_new_ones(keras, few):
    keras.utils.set_random_seed(2)
    model = practice.compiled_mlp(0.1)
    practice.fit_shuffled(model, data.few(few, 32), seed=1, epochs=30)
    found = practice.generalisation(model, few, trained_on=32)
    for loss, x, y in (
        (found["train_loss"], few.x_train[:32], few.y_train[:32]),
        (found["valid_loss"], few.x_valid, few.y_valid),
    ):
        probability = model.predict(x, verbose=0)[np.arange(len(y)), y]
        assert loss == pytest.approx(-np.log(probability).mean(), rel=1e-4)
    assert found["train_loss"] < 0.5 * found["valid_loss"]
    right = model.predict(few.x_valid, verbose=0).argmax(axis=1) == few.y_valid
    assert found["valid_accuracy"] == pytest.approx(right.mean())
    with pytest.raises(ValueError, match="trained_on"):
        practice.generalisation(model, few, trained_on=0)
