"""helpers.softmax: the formulas, against the library, closed forms and their own laws."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from helpers import softmax as sm
from helpers.gradients import finite_difference

LOGITS = arrays(
    float, st.tuples(st.integers(1, 5), st.integers(1, 7)), elements=st.floats(-300, 300)
)


@given(LOGITS)
def test_shares_are_positive_and_add_up_to_one(z):
    p = sm.softmax(z)
    assert (p >= 0).all()
    np.testing.assert_allclose(p.sum(axis=1), 1)


@given(LOGITS, st.floats(-1e4, 1e4))
def test_only_differences_count(z, shift):
    np.testing.assert_allclose(sm.softmax(z + shift), sm.softmax(z), atol=1e-10)
    np.testing.assert_allclose(sm.log_sum_exp(z + shift), sm.log_sum_exp(z) + shift, atol=1e-8)


@given(LOGITS)
def test_log_sum_exp_lies_above_the_largest_by_at_most_ln_k(z):
    excess = sm.log_sum_exp(z) - z.max(axis=1)
    assert (excess >= 0).all()
    assert (excess <= np.log(z.shape[1]) + 1e-12).all()


def test_the_worked_example():
    np.testing.assert_allclose(sm.softmax([5, 2, -1, 3]), [0.842, 0.042, 0.002, 0.114], atol=5e-4)


@pytest.mark.parametrize("size", [1e3, 1e6, 1e300])
def test_nothing_overflows(size):
    z = size * np.array([[1.0, -1.0, 0.5]])
    np.testing.assert_allclose(sm.softmax(z), [[1, 0, 0]], atol=1e-12)
    np.testing.assert_allclose(sm.cross_entropy(z, [1]), 2 * size)


def test_large_equal_logits_keep_their_digits():
    np.testing.assert_array_equal(sm.softmax([1e16, 1e16]), [0.5, 0.5])
    np.testing.assert_allclose(sm.cross_entropy([[1e16, 1e16]], [1]), np.log(2))
    np.testing.assert_array_equal(sm.cross_entropy_gradient([[1e16, 1e16]], [1]), [[0.5, -0.5]])
    far = sm.softmax(np.array([0.0, 1.0, 2.0]) + 1e12)
    assert far.sum() == pytest.approx(1, abs=1e-15)


def test_half_precision_logits_are_computed_in_double():
    z = np.array([[11.0, -11.0, 3.0]], dtype=np.float16)
    np.testing.assert_array_equal(sm.softmax(z), sm.softmax(z.astype(float)))
    assert sm.log_sum_exp(10 * z.astype(float)) == pytest.approx(110)


def test_the_gradient_is_what_differences_say_for_labels_and_distributions():
    rng = np.random.default_rng(0)
    z, labels = rng.normal(scale=3, size=(6, 4)), rng.integers(0, 4, size=6)
    for targets in (labels, sm.softmax(rng.normal(size=(6, 4)))):
        by_differences = finite_difference(lambda v, t=targets: sm.cross_entropy(v, t).sum(), z)
        np.testing.assert_allclose(sm.cross_entropy_gradient(z, targets), by_differences, atol=1e-7)


def test_labels_are_one_hot_distributions():
    z = np.random.default_rng(1).normal(size=(5, 3))
    labels = np.array([0, 2, 1, 1, 0])
    np.testing.assert_array_equal(
        sm.cross_entropy(z, labels), sm.cross_entropy(z, np.eye(3)[labels])
    )


def test_cross_entropy_is_least_at_the_target_itself():
    rng = np.random.default_rng(2)
    q = sm.softmax(rng.normal(size=(50, 4)))
    entropy = -(q * np.log(q)).sum(axis=1)
    np.testing.assert_allclose(sm.cross_entropy(np.log(q), q), entropy)
    assert (sm.cross_entropy(rng.normal(size=(50, 4)), q) > entropy).all()


def test_two_classes_are_the_binary_loss():
    margin = np.linspace(-20, 20, 41)
    z = np.stack([0 * margin, margin], axis=1)
    p = 1 / (1 + np.exp(-margin))
    for label in (0, 1):
        labels = np.full(41, label)
        np.testing.assert_allclose(
            sm.cross_entropy(z, labels), sm.binary_cross_entropy(p, labels), atol=1e-7
        )


def test_the_clamp_bounds_the_binary_loss():
    assert sm.binary_cross_entropy([0.0], [1]).item() == pytest.approx(-np.log(1e-12))
    assert sm.binary_cross_entropy([1.0], [0], clamp=1e-3).item() == pytest.approx(-np.log(1e-3))


def small_problem(seed=0, n=40):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n, 3)), rng.integers(0, 4, size=n)


def fit(x, y, rate=0.3, **options):
    options = {"batch_size": 8, "epochs": 3, **options}
    return sm.fit_softmax_regression(
        x, y, classes=4, learning_rate=rate, rng=np.random.default_rng(5), **options
    )


def test_the_fit_is_what_keras_does_with_the_same_batches():
    import keras

    from helpers.models import mlp

    x, y = small_problem()
    ours = fit(x, y)
    model = mlp((), input_shape=(3,), classes=4)
    for variable in model.trainable_variables:
        variable.assign(np.zeros(variable.shape))
    model.compile(optimizer=keras.optimizers.SGD(0.3), loss="sparse_categorical_crossentropy")
    rng = np.random.default_rng(5)
    losses = []
    for _ in range(3):
        order = rng.permutation(40)
        for start in range(0, 40, 8):
            batch = order[start : start + 8]
            losses.append(model.train_on_batch(x[batch], y[batch]))
            model.reset_metrics()
    np.testing.assert_allclose(ours.losses, losses, rtol=1e-5)
    np.testing.assert_allclose(ours.weights, model.layers[-1].kernel.numpy(), atol=1e-5)
    np.testing.assert_allclose(ours.bias, model.layers[-1].bias.numpy(), atol=1e-5)


def test_a_scale_and_a_sum_are_other_rates():
    x, y = small_problem()
    plain = fit(x, y)
    np.testing.assert_allclose(fit(x, y, 0.3 / 9, scale=3.0).losses, plain.losses)
    np.testing.assert_allclose(fit(x, y, 0.3 / 8, reduction="sum").losses, plain.losses)
    scaled = fit(x, y, 0.3 / 9, scale=3.0)
    np.testing.assert_allclose(scaled.logits(x), plain.logits(x))


def test_the_last_batch_of_an_epoch_counts_its_own_examples():
    x, y = small_problem(n=5)
    one_pass = fit(x, y, batch_size=4, epochs=1)
    assert len(one_pass.losses) == 2
    doubled = fit(np.repeat(x[:1], 5, axis=0), np.repeat(y[:1], 5), batch_size=4, epochs=1)
    alone = fit(x[:1], y[:1], batch_size=1, epochs=2)
    np.testing.assert_allclose(doubled.weights, alone.weights)


def test_summed_losses_are_not_divided_whatever_the_size_of_the_batch():
    x, y = small_problem(n=5)
    twice = np.concatenate([x, x[:1]]), np.concatenate([y, y[:1]])
    ours = fit(*twice, 0.1, reduction="sum", batch_size=4, epochs=1)
    rng, w, b = np.random.default_rng(5), np.zeros((3, 4)), np.zeros(4)
    order = rng.permutation(6)
    for batch in (order[:4], order[4:]):
        slope = sm.cross_entropy_gradient(twice[0][batch] @ w + b, twice[1][batch])
        w, b = w - 0.1 * twice[0][batch].T @ slope, b - 0.1 * slope.sum(axis=0)
    np.testing.assert_allclose(ours.weights, w)
    np.testing.assert_allclose(ours.bias, b)


def test_the_result_has_the_precision_of_the_inputs_and_integers_count_as_numbers():
    x, y = small_problem()
    assert fit(x.astype(np.float32), y).weights.dtype == np.float32
    whole = np.round(10 * x).astype(int)
    np.testing.assert_array_equal(
        fit(whole, y, 0.01).weights, fit(whole.astype(float), y, 0.01).weights
    )


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: sm.softmax([np.nan, 1.0]),
        lambda: sm.softmax([np.inf, 1.0]),
        lambda: sm.log_sum_exp(3.0),
        lambda: sm.log_sum_exp(np.zeros((2, 0))),
        lambda: sm.cross_entropy([1.0, 2.0], [0]),
        lambda: sm.cross_entropy([[1.0, 2.0]], [2]),
        lambda: sm.cross_entropy([[1.0, 2.0]], [-1]),
        lambda: sm.cross_entropy([[1.0, 2.0]], [0.0]),
        lambda: sm.cross_entropy([[1.0, 2.0]], [0, 1]),
        lambda: sm.cross_entropy([[1.0, 2.0]], [[0.7, 0.7]]),
        lambda: sm.cross_entropy_gradient([[1.0, 2.0]], [[1.5, -0.5]]),
        lambda: sm.cross_entropy([[1.0, 2.0]], [[0.5, 0.4]]),
        lambda: sm.cross_entropy([[1.0, 2.0]], [True]),
        lambda: sm.binary_cross_entropy([1.1], [1]),
        lambda: sm.binary_cross_entropy([-0.1], [1]),
        lambda: sm.binary_cross_entropy([0.5], [1], clamp=0.5),
        lambda: sm.binary_cross_entropy([0.5], [2]),
        lambda: sm.binary_cross_entropy([0.5, 0.5], [1]),
        lambda: sm.binary_cross_entropy([0.5], [1], clamp=0.0),
        lambda: fit(*small_problem(), rate=0.0),
        lambda: fit(*small_problem(), rate=np.nan),
        lambda: fit(*small_problem(), scale=-1.0),
        lambda: fit(*small_problem(), reduction="none"),
        lambda: fit(*small_problem(), epochs=0),
        lambda: fit(*small_problem(), batch_size=0),
        lambda: fit(np.zeros(3), np.zeros(3, int)),
        lambda: fit(np.zeros((0, 3)), np.zeros(0, int)),
        lambda: sm.fit_softmax_regression(
            *small_problem(), classes=1, learning_rate=0.1, rng=np.random.default_rng(0)
        ),
        lambda: fit(np.zeros((3, 2)), np.zeros(2, int)),
        lambda: fit(np.full((3, 2), np.nan), np.zeros(3, int)),
    ],
)
def test_bad_input_is_refused_with_a_reason(wrong):
    with pytest.raises(ValueError, match=r"expected|must"):
        wrong()
