"""helpers.curvature: against exact eigenvalues, of matrices and of a small network."""

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from helpers import models, reproducible
from helpers.curvature import CurvatureError, hessian_product, largest_curvature, top_eigenpair


def rng():
    return np.random.default_rng(0)


@settings(max_examples=40)
@given(seed=st.integers(0, 10_000), size=st.integers(1, 8))
def test_top_eigenvalue_of_a_matrix(seed, size):
    random = np.random.default_rng(seed)
    a = random.normal(size=(size, size))
    a = a + a.T
    sizes = np.sort(np.abs(np.linalg.eigvalsh(a)))
    assume(size == 1 or sizes[-1] > 1.001 * sizes[-2])  # between x and -x it cannot decide
    pair = top_eigenpair(lambda v: a @ v, size, rng=random, iterations=100_000, tolerance=1e-9)
    largest = np.linalg.eigvalsh(a)[-1]
    assert pair.value == pytest.approx(largest, rel=1e-3, abs=1e-4)
    assert np.linalg.norm(pair.vector) == pytest.approx(1)


@pytest.mark.parametrize(
    ("diagonal", "largest"),
    [([3, -5, 1], 3), ([-1, -4], -1), ([2, 2, 2], 2), ([0, 0], 0), ([-3, -3], -3)],
)
def test_the_largest_is_not_the_largest_absolute(diagonal, largest):
    matrix = np.diag(np.array(diagonal, float))
    pair = top_eigenpair(lambda v: matrix @ v, len(diagonal), rng=rng(), tolerance=1e-8)
    assert pair.value == pytest.approx(largest, abs=1e-5)


def test_no_settling_is_an_error_and_so_is_nan():
    matrix = np.diag([1.0, 0.999999])
    with pytest.raises(CurvatureError, match="not settled after 3"):
        top_eigenpair(lambda v: matrix @ v, 2, rng=rng(), iterations=3)
    with pytest.raises(CurvatureError, match="not finite"):
        top_eigenpair(lambda v: v * np.nan, 2, rng=rng())


@pytest.mark.parametrize(
    "options", [{"size": 0}, {"iterations": 0}, {"tolerance": 0}, {"tolerance": np.nan}]
)
def test_bad_numbers_are_refused(options):
    with pytest.raises(ValueError, match=r"greater than 0|must be finite"):
        top_eigenpair(**{"product": lambda v: v, "size": 2, "rng": rng(), **options})


@pytest.fixture(scope="module")
def network():
    """A small network, its data, and its exact Hessian."""
    reproducible.begin(0)
    import tensorflow as tf

    model = models.mlp((4,), input_shape=(3,), classes=3, activation="tanh")
    model.compile(loss="sparse_categorical_crossentropy")
    x, y = rng().normal(size=(12, 3)).astype("float32"), rng().integers(0, 3, 12)
    variables = [v.value for v in model.trainable_variables]
    with tf.GradientTape(persistent=True) as outer:
        with tf.GradientTape() as inner:
            loss = model.compute_loss(x=x, y=y, y_pred=model(x))
        flat = tf.concat([tf.reshape(g, [-1]) for g in inner.gradient(loss, variables)], 0)
    rows = outer.jacobian(flat, variables)
    return model, x, y, np.concatenate([r.numpy().reshape(len(flat), -1) for r in rows], axis=1)


def test_products_with_the_hessian_are_exact(network):
    model, x, y, exact = network
    product = hessian_product(model, x, y)
    vector = rng().normal(size=len(exact))
    np.testing.assert_allclose(product(vector), exact @ vector, rtol=1e-4, atol=1e-6)
    model.set_weights([2 * w for w in model.get_weights()])
    assert not np.allclose(product(vector), exact @ vector, rtol=1e-2)
    model.set_weights([w / 2 for w in model.get_weights()])


def test_the_largest_curvature_of_a_network_is_exact(network):
    model, x, y, exact = network
    pair = largest_curvature(model, x, y, rng=rng(), tolerance=1e-6)
    assert pair.value == pytest.approx(np.linalg.eigvalsh(exact)[-1], rel=1e-3)


def test_a_model_without_a_loss_and_unequal_data_are_refused(network):
    model, x, y, _ = network
    with pytest.raises(ValueError, match="compile it"):
        hessian_product(models.mlp((), input_shape=(3,), classes=3), x, y)
    with pytest.raises(ValueError, match="as many labels"):
        hessian_product(model, x, y[:-1])


def test_in_training_batch_norm_uses_the_batch_and_keeps_its_averages(network):
    import keras
    import tensorflow as tf

    _, x, y, _ = network
    keras.utils.set_random_seed(3)
    model = keras.Sequential(
        [
            keras.Input((3,)),
            keras.layers.Dense(4, use_bias=False),
            keras.layers.BatchNormalization(),
            keras.layers.Dense(3, activation="softmax"),
        ]
    )
    model.compile(loss="sparse_categorical_crossentropy")
    kept = [w.copy() for w in model.get_weights()]
    trainable = [v.value for v in model.trainable_variables]
    vector = rng().normal(size=sum(int(tf.size(v)) for v in trainable))

    def gradient(distance):
        parts = np.split(distance * vector, np.cumsum([int(tf.size(v)) for v in trainable])[:-1])
        for variable, part in zip(trainable, parts, strict=True):
            variable.assign_add(tf.constant(part.reshape(variable.shape), variable.dtype))
        with tf.GradientTape() as tape:
            loss = model.compute_loss(x=x, y=y, y_pred=model(x, training=True))
        gradients = tape.gradient(loss, trainable)
        model.set_weights(kept)
        return np.concatenate([g.numpy().ravel() for g in gradients]).astype(float)

    expected = (gradient(0.002) - gradient(-0.002)) / 0.004
    found = hessian_product(model, x, y, training=True)(vector)
    np.testing.assert_allclose(found, expected, rtol=0.01, atol=2e-3)
    assert not np.allclose(hessian_product(model, x, y)(vector), expected, rtol=0.1, atol=0.01)
    pair = largest_curvature(model, x, y, rng=rng(), training=True)
    product = hessian_product(model, x, y, training=True)
    np.testing.assert_allclose(product(pair.vector), pair.value * pair.vector, atol=0.05)
    for now, before in zip(model.get_weights(), kept, strict=True):
        np.testing.assert_array_equal(now, before)


def test_without_batch_norm_training_changes_nothing(network):
    model, x, y, exact = network
    vector = rng().normal(size=len(exact))
    found = hessian_product(model, x, y, training=True)(vector)
    np.testing.assert_allclose(found, exact @ vector, rtol=1e-4, atol=1e-6)
