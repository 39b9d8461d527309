"""helpers.tracking: every step recorded as it was; TensorBoard's files written, read, served."""

import json
import re
import subprocess
import sys
import threading
import time
import urllib.parse
import urllib.request

import numpy as np
import pytest

from helpers import reproducible
from helpers.models import mlp
from helpers.tracking import read_scalars, run_directory, step_log, write_scalars

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module", autouse=True)
def keras():
    reproducible.begin(0)
    import keras

    return keras


X = np.random.default_rng(0).normal(size=(50, 4)).astype(np.float32)
Y = (X[:, 0] > 0).astype(int)


def small(keras, optimizer, **compiled):
    keras.utils.set_random_seed(0)
    model = mlp((8,), input_shape=(4,), classes=2)
    model.compile(optimizer, "sparse_categorical_crossentropy", **compiled)
    return model


def fit(model, *callbacks, epochs=2, **more):
    settings = {"batch_size": 10, "shuffle": False, "verbose": 0, **more}
    return model.fit(X, Y, epochs=epochs, callbacks=list(callbacks), **settings)


def norms_by_hand(model, steps):
    """Norms of the gradients of plain descent over X in order, batches of 10."""
    import tensorflow as tf

    norms, rate = [], float(model.optimizer.learning_rate)
    for step in range(steps):
        batch = slice(10 * step % 50, 10 * step % 50 + 10)
        with tf.GradientTape() as tape:
            loss = model.compute_loss(x=X[batch], y=Y[batch], y_pred=model(X[batch]))
        values = [variable.value for variable in model.trainable_variables]
        gradients = tape.gradient(loss, values)
        norms.append(np.sqrt(sum(np.sum(g.numpy() ** 2) for g in gradients)))
        for value, gradient in zip(values, gradients, strict=True):
            value.assign_sub(rate * gradient)
    return np.array(norms)


@pytest.mark.parametrize("jit_compile", [False, True])
@pytest.mark.parametrize("steps_per_execution", [1, 4])
def test_the_norms_are_those_of_the_gradients(keras, jit_compile, steps_per_execution):
    compiled = {"jit_compile": jit_compile, "steps_per_execution": steps_per_execution}
    log = step_log()
    fit(small(keras, keras.optimizers.SGD(0.5), **compiled), log)
    expected = norms_by_hand(small(keras, keras.optimizers.SGD(0.5)), 10)
    np.testing.assert_allclose(log.gradient_norms, expected, rtol=1e-4)
    np.testing.assert_array_equal(log.steps, np.arange(10))


@pytest.mark.parametrize("jit_compile", [False, True])
@pytest.mark.parametrize("steps_per_execution", [1, 4])
def test_the_rates_are_those_of_the_schedule(keras, jit_compile, steps_per_execution):
    schedule = keras.optimizers.schedules.ExponentialDecay(1.0, 3, 0.7)
    compiled = {"jit_compile": jit_compile, "steps_per_execution": steps_per_execution}
    log = step_log()
    fit(small(keras, keras.optimizers.Adam(schedule), **compiled), log)
    np.testing.assert_allclose(log.learning_rates, 0.7 ** (np.arange(10) / 3), rtol=1e-6)


def test_a_rate_that_a_callback_changes_is_seen(keras):
    model = small(keras, keras.optimizers.SGD(0.5))
    halve = keras.callbacks.LearningRateScheduler(lambda epoch: 0.5 / 2**epoch)
    log = step_log()
    fit(model, halve, log)
    assert log.learning_rates.tolist() == [0.5] * 5 + [0.25] * 5


@pytest.mark.parametrize("name", ["SGD", "Adam"])
def test_the_training_is_the_same_to_the_bit(keras, name):
    pair = []
    for callbacks in ([], [step_log()]):
        model = small(keras, getattr(keras.optimizers, name)(0.05), jit_compile=True)
        losses = fit(model, *callbacks).history["loss"]
        pair.append([*losses, *(v.numpy() for v in (*model.variables, *model.optimizer.variables))])
    for plain, logged in zip(*pair, strict=True):
        np.testing.assert_array_equal(plain, logged)


def test_the_norm_is_taken_before_clipping(keras):
    log, clipped = step_log(), step_log()
    fit(small(keras, keras.optimizers.SGD(0.5)), log)
    fit(small(keras, keras.optimizers.SGD(0.5, global_clipnorm=1e-3)), clipped)
    assert clipped.gradient_norms[0] == pytest.approx(log.gradient_norms[0], rel=1e-6)
    assert clipped.gradient_norms.min() > 0.01


def test_afterwards_nothing_is_recorded_any_more_and_the_optimizer_is_as_before(keras):
    model, log = small(keras, keras.optimizers.SGD(0.5)), step_log()
    fit(model, log)
    assert "apply" not in vars(model.optimizer)
    fit(model)
    assert len(log.steps) == 10


def test_a_second_log_goes_on_counting_where_the_first_stopped(keras):
    model, first, second = small(keras, keras.optimizers.SGD(0.5)), step_log(), step_log()
    fit(model, first)
    fit(model, second, epochs=1)
    assert second.steps.tolist() == [10, 11, 12, 13, 14]


def test_a_training_that_breaks_leaves_a_model_that_can_be_trained_and_logged(keras):
    class Break(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            if batch == 2:
                raise KeyboardInterrupt

    model, log = small(keras, keras.optimizers.SGD(0.5)), step_log()
    with pytest.raises(KeyboardInterrupt):
        fit(model, step_log(), Break())
    fit(model, log, epochs=1)
    assert log.steps.tolist() == [3, 4, 5, 6, 7]
    assert "apply" not in vars(model.optimizer)


def test_after_a_break_only_the_new_log_records(keras):
    class Break(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            raise KeyboardInterrupt

    model, old, new = small(keras, keras.optimizers.SGD(0.5)), step_log(), step_log()
    with pytest.raises(KeyboardInterrupt):
        fit(model, old, Break())
    before = old.rows.numpy()
    fit(model, new)
    np.testing.assert_array_equal(old.rows.numpy(), before)


def test_a_model_that_was_trained_without_a_log_can_be_logged(keras):
    model, log = small(keras, keras.optimizers.SGD(0.5)), step_log()
    fit(model)
    fit(model, log, epochs=1)
    assert log.steps.tolist() == [10, 11, 12, 13, 14]
    assert (log.learning_rates == 0.5).all()
    assert (log.gradient_norms > 0).all()


def test_an_epoch_that_ends_early_reports_its_own_steps_only(keras):
    class Stop(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            self.model.stop_training = self.model.optimizer.iterations.numpy() in {7, 9}

    model, first, second = small(keras, keras.optimizers.SGD(0.5)), step_log(), step_log()
    fit(model, first, Stop())
    fit(model, second, Stop())
    assert first.steps.tolist() == [0, 1, 2, 3, 4, 5, 6]
    assert second.steps.tolist() == [7, 8]


def test_an_unknown_number_of_steps_is_refused_with_the_cure(keras):
    import tensorflow as tf

    batches = tf.data.Dataset.from_tensor_slices((X, Y)).batch(10).filter(lambda x, y: True)
    model = small(keras, keras.optimizers.SGD(0.5))
    with pytest.raises(ValueError, match="steps_per_epoch"):
        model.fit(batches, shuffle=False, callbacks=[step_log()], verbose=0)
    log = step_log()
    settings = {"steps_per_epoch": 3, "epochs": 2, "shuffle": False, "verbose": 0}
    model.fit(batches.repeat(), callbacks=[log], **settings)
    assert len(log.steps) == 6


def test_what_is_logged_can_be_read_back_for_every_step(keras, tmp_path):
    log = step_log(tmp_path / "steps")
    fit(small(keras, keras.optimizers.SGD(0.5)), log)
    curves = read_scalars(tmp_path)["steps"]
    for tag, values in (
        ("step_learning_rate", log.learning_rates),
        ("step_gradient_norm", log.gradient_norms),
    ):
        steps, found = curves[tag]
        np.testing.assert_array_equal(steps, log.steps)
        np.testing.assert_allclose(found, values, rtol=1e-6)


def test_many_short_epochs_go_into_one_file_and_none_is_lost(keras, tmp_path):
    log = step_log(tmp_path)
    fit(small(keras, keras.optimizers.SGD(0.5)), log, epochs=12)
    assert len(list(tmp_path.iterdir())) == 1
    steps, _ = read_scalars(tmp_path)["."]["step_learning_rate"]
    assert steps.tolist() == list(range(60))


def test_the_curves_of_keras_own_callback_are_read(keras, tmp_path):
    board = keras.callbacks.TensorBoard(tmp_path / "run", write_graph=False)
    history = fit(small(keras, "sgd"), board, validation_data=(X, Y)).history
    runs = read_scalars(tmp_path)
    for run, name in (("run/train", "loss"), ("run/validation", "val_loss")):
        steps, values = runs[run]["epoch_loss"]
        assert steps.tolist() == [0, 1]
        np.testing.assert_allclose(values, history[name], rtol=1e-6)


def test_written_scalars_are_those_of_tensorflow(tmp_path):
    import tensorflow as tf

    values = np.array([0.5, -1.25, 3e-9, np.inf])
    write_scalars(tmp_path / "ours", np.arange(4), {"a/b": values})
    with tf.summary.create_file_writer(str(tmp_path / "theirs")).as_default():
        for step, value in enumerate(values):
            tf.summary.scalar("a/b", value, step)
    runs = read_scalars(tmp_path)
    for ours, theirs in zip(runs["ours"]["a/b"], runs["theirs"]["a/b"], strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_files_of_two_processes_become_one_curve_in_the_order_of_the_steps(tmp_path):
    write_scalars(tmp_path, np.array([2, 3]), {"loss": np.array([2.0, 3.0])})
    write_scalars(tmp_path, np.array([0, 1]), {"loss": np.array([0.0, 1.0])})
    steps, values = read_scalars(tmp_path)["."]["loss"]
    assert steps.tolist() == [0, 1, 2, 3]
    assert values.tolist() == [0.0, 1.0, 2.0, 3.0]


def test_no_step_of_a_long_curve_is_left_out(tmp_path):
    write_scalars(tmp_path, np.arange(3000), {"loss": np.arange(3000.0)})
    steps, values = read_scalars(tmp_path)["."]["loss"]
    np.testing.assert_array_equal(steps, np.arange(3000))
    np.testing.assert_array_equal(values, np.arange(3000.0))


def test_a_curve_without_a_value_for_each_step_is_refused_and_nothing_is_written(tmp_path):
    with pytest.raises(ValueError, match=r"loss: expected a value for each step"):
        write_scalars(tmp_path / "run", np.arange(3), {"loss": np.zeros(2)})
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("folder", ["missing", "empty"])
def test_a_folder_without_curves_is_an_error(tmp_path, folder):
    (tmp_path / "empty").mkdir()
    with pytest.raises(FileNotFoundError, match="no scalars"):
        read_scalars(tmp_path / folder)


def test_every_run_gets_a_directory_of_its_own_even_in_the_same_second(tmp_path):
    runs = [run_directory(tmp_path / "runs") for _ in range(3)]
    assert len(set(runs)) == 3
    assert all(
        run.is_dir() and re.match(r"\d{4}-\d\d-\d\d_\d\d-\d\d-\d\d", run.name) for run in runs
    )


def test_a_file_in_the_place_of_the_runs_is_refused(tmp_path):
    (tmp_path / "runs").write_text("")
    with pytest.raises(NotADirectoryError, match="expected a directory"):
        run_directory(tmp_path / "runs")


@pytest.fixture
def board(tmp_path, keras):
    """A real TensorBoard on loopback, and what Keras wrote for it."""
    run = keras.callbacks.TensorBoard(tmp_path / "run", write_graph=False)
    model, log = small(keras, keras.optimizers.SGD(0.5)), step_log(tmp_path / "run" / "steps")
    history = fit(model, run, log, validation_data=(X, Y), epochs=3).history
    command = [sys.executable, "-m", "tensorboard.main", "--logdir", str(tmp_path)]
    server = subprocess.Popen(
        [*command, "--host", "127.0.0.1", "--port", "0"], stderr=subprocess.PIPE, text=True
    )
    watchdog = threading.Timer(60, server.kill)
    watchdog.start()
    try:
        addresses = (re.search(r"at (http://127\.0\.0\.1:\d+/)", line) for line in server.stderr)
        found = next((address for address in addresses if address), None)
        assert found, "TensorBoard did not say where it listens"
        yield found[1], history, log
    finally:
        watchdog.cancel()
        server.kill()
        server.communicate()


def asked(address, path, **query):
    """What TensorBoard answers, once its files are loaded."""
    url = f"{address}data/plugin/scalars/{path}?{urllib.parse.urlencode(query)}"
    with urllib.request.urlopen(url, timeout=30) as answer:
        return json.load(answer)


def test_the_real_tensorboard_serves_the_curves_and_shows_them(board, chromium):
    address, history, log = board
    deadline = time.monotonic() + 60
    while len(asked(address, "tags")) < 3 and time.monotonic() < deadline:
        time.sleep(0.2)
    assert set(asked(address, "tags")) == {"run/train", "run/validation", "run/steps"}
    for run, tag, expected in (
        ("run/train", "epoch_loss", history["loss"]),
        ("run/validation", "epoch_loss", history["val_loss"]),
        ("run/steps", "step_gradient_norm", log.gradient_norms),
    ):
        rows = []
        while len(rows) < len(expected) and time.monotonic() < deadline:
            time.sleep(0.2)  # the server loads its files bit by bit
            rows = asked(address, "scalars", run=run, tag=tag)
        assert [step for _, step, _ in rows] == list(range(len(expected)))
        np.testing.assert_allclose([value for *_, value in rows], expected, rtol=1e-5)

    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page, errors = browser.new_page(viewport={"width": 1200, "height": 900}), []
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.goto(address)
        for name in ("epoch_loss", "run/validation", "step_gradient_norm"):
            page.get_by_text(name).first.wait_for(timeout=30000)
        page.locator("line-chart svg path").first.wait_for(state="attached", timeout=30000)
        assert page.locator("line-chart svg path").count() >= 2
        assert not errors
        browser.close()
