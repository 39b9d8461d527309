"""helpers.gradients: differences against exact derivatives, sizes against arithmetic by hand."""

import numpy as np
import pytest

from helpers import gradients, models
from helpers.gradients import finite_difference


def test_central_differences_are_exact_for_parabolas_and_forward_ones_off_by_h():
    parabola = lambda x: (3 * x**2 + x).sum()  # noqa: E731
    point = np.array([[0.5, -2.0], [0.0, 1.0]])
    exact = 6 * point + 1
    np.testing.assert_allclose(finite_difference(parabola, point, 0.1), exact)
    np.testing.assert_allclose(finite_difference(parabola, point, 0.1, central=False), exact + 0.3)


@pytest.mark.parametrize(("central", "order"), [(True, 2), (False, 1)])
def test_the_error_has_its_order(central, order):
    errors = [abs(finite_difference(np.exp, 0.0, h, central=central) - 1) for h in (0.02, 0.01)]
    assert np.log2(errors[0] / errors[1]) == pytest.approx(order, abs=0.02)


def test_the_point_is_not_changed_and_keeps_its_shape():
    point = np.arange(6.0).reshape(2, 3)
    kept = point.copy()
    assert finite_difference(np.sum, point).shape == (2, 3)
    np.testing.assert_array_equal(point, kept)


def test_the_default_step_is_near_the_best():
    default = abs(finite_difference(np.exp, 0.7) - np.exp(0.7))
    assert default < 1e-9
    assert abs(finite_difference(np.exp, 0.7, 1e-4) - np.exp(0.7)) > 10 * default


def test_large_entries_divide_by_the_step_that_was_taken():
    assert finite_difference(np.sum, [1e9], 6e-6) == pytest.approx(1, rel=1e-12)
    with pytest.raises(ValueError, match="too small"):
        finite_difference(np.sum, [1e15], 6e-6)


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: finite_difference(np.sum, [1.0], 0.0),
        lambda: finite_difference(np.sum, [1.0], -1e-3),
        lambda: finite_difference(np.sum, [1.0], np.nan),
        lambda: finite_difference(np.sum, [1.0], np.inf),
        lambda: finite_difference(np.sum, [np.inf]),
        lambda: finite_difference(np.exp, [1.0, 2.0]),
    ],
)
def test_bad_input_is_refused_with_a_reason(wrong):
    with pytest.raises(ValueError, match=r"expected|must"):
        wrong()


@pytest.fixture(scope="module")
def compiled():
    model = models.mlp((4,), input_shape=(3,), classes=2)
    model.compile(loss="sparse_categorical_crossentropy")
    models.initialise(model, 1.0, np.random.default_rng(0))
    return model


@pytest.fixture
def batch():
    rng = np.random.default_rng(1)
    return rng.normal(size=(6, 3)).astype("float32"), rng.integers(0, 2, size=6)


def test_gradient_norms_are_those_of_one_step(compiled, batch):
    norms = gradients.gradient_norms(compiled, *batch)
    before = [kernel.numpy() for kernel in gradients.kernels(compiled)]
    model = models.mlp((4,), input_shape=(3,), classes=2)
    model.set_weights(compiled.get_weights())
    model.compile(optimizer="sgd", loss="sparse_categorical_crossentropy")
    model.optimizer.learning_rate = 0.5
    model.train_on_batch(*batch)
    moved = [
        np.linalg.norm(kernel.numpy() - old)
        for kernel, old in zip(gradients.kernels(model), before, strict=True)
    ]
    np.testing.assert_allclose(0.5 * norms, moved, rtol=1e-5)
    ratios = gradients.update_ratios(compiled, *batch, 0.5)
    np.testing.assert_allclose(
        ratios, [m / np.linalg.norm(b) for m, b in zip(moved, before, strict=True)], rtol=1e-5
    )


def test_a_model_without_a_loss_and_bad_batches_are_refused(compiled, batch):
    x, y = batch
    with pytest.raises(ValueError, match="compile"):
        gradients.gradient_norms(models.mlp((4,), input_shape=(3,), classes=2), x, y)
    for inputs, labels in ((x[:4], y[:3]), (x[:0], y[:0])):
        with pytest.raises(ValueError, match="expected"):
            gradients.gradient_norms(compiled, inputs, labels)
    for rate in (0.0, np.nan, np.inf):
        with pytest.raises(ValueError, match="learning_rate"):
            gradients.update_ratios(compiled, x, y, rate)


def test_sizes_are_measured_as_at_inference(batch):
    import keras

    model = keras.Sequential(
        [keras.Input((3,)), keras.layers.Dropout(0.9), keras.layers.Dense(2, activation="softmax")]
    )
    model.compile(loss="sparse_categorical_crossentropy")
    one, again = (gradients.gradient_norms(model, *batch) for _ in range(2))
    assert one.tolist() == again.tolist()


def test_a_weight_matrix_of_zeros_has_no_ratio(batch):
    model = models.mlp((), input_shape=(3,), classes=2)
    model.layers[-1].kernel.assign(np.zeros((3, 2)))
    model.compile(loss="sparse_categorical_crossentropy")
    with pytest.raises(ValueError, match="not zero"):
        gradients.update_ratios(model, *batch, 0.1)
