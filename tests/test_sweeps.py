"""helpers.sweeps: the book's trainings do what their descriptions say."""

import numpy as np
import pytest

from helpers import data, sweeps

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("keras_begun")]


def test_the_rate_drops_with_the_first_step_of_epoch_nine():
    whole = data.load_fashion_mnist()
    schedule = sweeps.two_rates(whole, 0.01)
    steps = 1719
    rates = [float(schedule(step)) for step in (0, 8 * steps - 1, 8 * steps, 10 * steps - 1)]
    np.testing.assert_allclose(rates, [0.1, 0.1, 0.01, 0.01])


def test_raw_pixels_go_up_to_255_for_training_and_validation():
    raw, scaled = sweeps.load_raw_pixels(), data.load_fashion_mnist()
    for part in ("x_train", "x_valid"):
        np.testing.assert_allclose(getattr(raw, part)[:9], 255 * getattr(scaled, part)[:9])
    assert raw.y_train is not None


def test_a_training_is_repeated_to_the_bit_and_differs_between_seeds(few):
    one, again, other = (
        sweeps.train_at_constant_rate(few, seed, learning_rate=0.1, epochs=2) for seed in (1, 1, 2)
    )
    assert set(one) == {"loss", "valid_loss", "valid_accuracy"}
    assert all(len(curve) == 2 for curve in one.values())
    assert one == again
    assert one != other


def test_the_step_is_plain_gradient_descent_at_the_rate(few):
    import keras

    model = sweeps.fit_mlp(few, 1, 0.05, epochs=1).model
    assert isinstance(model.optimizer, keras.optimizers.SGD)
    assert float(model.optimizer.learning_rate) == pytest.approx(0.05)
    assert int(model.optimizer.iterations) == 2  # 64 images in batches of 32
    assert model.optimizer.momentum == 0


def test_a_loss_that_is_nan_ends_the_training_and_leaves_nothing_to_report(few):
    results = sweeps.train_at_constant_rate(few, 1, learning_rate=1e30, epochs=4)
    assert results == {name: [None] * 4 for name in ("loss", "valid_loss", "valid_accuracy")}


@pytest.mark.parametrize(
    "arguments",
    [{"learning_rate": 0.0}, {"learning_rate": -1}, {"learning_rate": 0.1, "epochs": 0}],
)
def test_bad_numbers_are_refused_before_anything_starts(few, arguments):
    with pytest.raises(ValueError, match="found"):
        sweeps.fit_mlp(few, 0, **arguments)


def test_inputs_are_shifted_and_scaled_as_their_names_say():
    whole = data.load_fashion_mnist()
    one = sweeps.scaled_inputs(whole, "-1 to 1")
    np.testing.assert_allclose(one.x_valid, 2 * whole.x_valid - 1, atol=1e-6)
    two = sweeps.scaled_inputs(whole, "mean image subtracted")
    np.testing.assert_allclose(two.x_train.mean(axis=0, dtype=float), 0, atol=1e-6)
    np.testing.assert_allclose(
        two.x_test, whole.x_test - whole.x_train.mean(axis=0, dtype=float), atol=1e-6
    )
    three = sweeps.scaled_inputs(whole, "standardised")
    assert abs(three.x_train.mean(dtype=float)) < 1e-4
    assert three.x_train.std(dtype=float) == pytest.approx(1, abs=1e-4)
    assert sweeps.scaled_inputs(whole, "0 to 1").x_train[5].tolist() == whole.x_train[5].tolist()
    with pytest.raises(ValueError, match="four scales"):
        sweeps.scaled_inputs(whole, "bytes")


def test_a_network_that_is_passed_in_is_trained_with_plain_descent(few):
    from helpers.models import mlp

    model = mlp((5,))
    history = sweeps.fit_network(model, few, 0.25, epochs=3, batch_size=16)
    assert history.model is model
    assert len(history.history["val_loss"]) == 3
    assert int(model.optimizer.iterations) == 3 * 4
    assert float(model.optimizer.learning_rate) == pytest.approx(0.25)
    assert model.optimizer.momentum == 0
    for rate in (0.0, np.nan):
        with pytest.raises(ValueError, match="learning_rate"):
            sweeps.fit_network(model, few, rate)


def test_logits_times_one_are_the_plain_network(few):
    plain = sweeps.train_at_constant_rate(few, 3, learning_rate=0.1, epochs=1)
    scaled = sweeps.train_with_logit_scale(few, 3, scale=1.0, learning_rate=0.1)
    assert scaled["valid_loss"] == pytest.approx(plain["valid_loss"][0], rel=1e-4)


def test_a_network_that_dies_has_nothing_to_report(few):
    for results in (
        sweeps.train_from_gain(few, 0, gain=100.0, learning_rate=10.0),
        sweeps.train_with_logit_scale(few, 0, scale=1e6, learning_rate=1e6),
    ):
        assert results == {"valid_loss": None, "valid_accuracy": None}


def test_updates_are_measured_at_four_moments_and_grow_with_the_rate(few):
    slow, fast = (
        np.array(sweeps.measure_updates(few, 1, learning_rate=rate)["log_ratios"])
        for rate in (1e-3, 1e-2)
    )
    assert slow.shape == (len(sweeps.UPDATE_MOMENTS), len(sweeps.DEEP_UNITS) + 1)
    np.testing.assert_allclose(fast[0] - slow[0], 1, atol=1e-5)  # ten times the rate


def test_the_deep_network_is_the_one_described(few):
    curves = sweeps.train_deep_mlp(few, 0)
    assert {len(curves[name]) for name in curves if name != "test_accuracy"} == {20}
    assert 0 <= curves["test_accuracy"] <= 1
    assert sweeps.DEEP_UNITS == (256, 128, 64, 20)


def test_the_edge_lies_near_two_over_the_curvature(few, monkeypatch):
    monkeypatch.setattr(sweeps, "MOMENTS", (20,))
    found = sweeps.measure_stability(few, 0)
    assert set(found) == {"loss", "curvature", "edge"}
    (loss,), (curvature,), (edge,) = found.values()
    assert 0 < loss < np.log(10) < curvature
    assert 1 <= edge <= 2
