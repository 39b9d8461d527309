"""helpers.sweeps: the book's trainings do what their descriptions say."""

import numpy as np
import pytest

from helpers import data, reproducible, sweeps

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module", autouse=True)
def keras():
    reproducible.begin(0)


@pytest.fixture(scope="module")
def few():
    """64 images of each part."""
    return data.few(data.load_fashion_mnist(), 64)


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
def test_bad_numbers_are_refused_before_anything_starts(arguments):
    with pytest.raises(ValueError, match="found"):
        sweeps.fit_mlp(None, 0, **arguments)
