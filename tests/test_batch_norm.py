"""helpers.batch_norm: equal to Keras's layer and to finite differences; bad input refused."""

import numpy as np
import pytest

from helpers import batch_norm
from helpers.gradients import finite_difference

SHAPES = [(7, 5), (1, 5), (2, 3, 4), (4, 6, 5, 3)]


def problem(shape, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.normal(3.0, 2.0, size=shape)
    gamma, beta = rng.normal(1.0, 0.5, size=shape[-1]), rng.normal(size=shape[-1])
    return x, gamma, beta, rng.normal(size=shape)


def layer_with(gamma, beta, shape, **settings):
    import keras

    layer = keras.layers.BatchNormalization(dtype="float64", **settings)
    layer.build((None, *shape[1:]))
    layer.gamma.assign(gamma)
    layer.beta.assign(beta)
    return layer


@pytest.mark.parametrize("epsilon", [1e-3, 0.5])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_output_and_gradients_are_kerass(shape, epsilon):
    import tensorflow as tf

    x, gamma, beta, weights = problem(shape)
    layer = layer_with(gamma, beta, shape, epsilon=epsilon)
    inputs = tf.constant(x)
    with tf.GradientTape() as tape:
        tape.watch(inputs)
        outputs = layer(inputs, training=True)
        loss = tf.reduce_sum(outputs * weights)
    theirs = tape.gradient(loss, [inputs, layer.gamma.value, layer.beta.value])
    y, cache = batch_norm.forward(x, gamma, beta, epsilon=epsilon)
    np.testing.assert_allclose(y, outputs.numpy(), rtol=1e-10, atol=1e-12)
    for ours, keras_gradient in zip(batch_norm.backward(weights, cache), theirs, strict=True):
        np.testing.assert_allclose(ours, keras_gradient.numpy(), rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_gradients_are_those_of_finite_differences(shape):
    x, gamma, beta, weights = problem(shape)
    _, cache = batch_norm.forward(x, gamma, beta)
    dx, dgamma, dbeta = batch_norm.backward(weights, cache)

    def loss(x=x, gamma=gamma, beta=beta):
        return float((batch_norm.forward(x, gamma, beta)[0] * weights).sum())

    for found, function, at in (
        (dx, lambda v: loss(x=v), x),
        (dgamma, lambda v: loss(gamma=v), gamma),
        (dbeta, lambda v: loss(beta=v), beta),
    ):
        np.testing.assert_allclose(found, finite_difference(function, at), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("momentum", [0.99, 0.5, 0.0])
def test_moving_averages_after_n_steps_and_inference_are_kerass(momentum):
    rng = np.random.default_rng(1)
    _, gamma, beta, _ = problem((8, 5))
    layer = layer_with(gamma, beta, (8, 5), momentum=momentum)
    mean, variance = np.zeros(5), np.ones(5)
    for _ in range(20):
        x = rng.normal(rng.normal(size=5), 2.0, size=(8, 5))
        layer(x, training=True)
        _, cache = batch_norm.forward(x, gamma, beta)
        mean = batch_norm.moving_average(mean, cache.mean, momentum=momentum)
        variance = batch_norm.moving_average(variance, cache.variance, momentum=momentum)
    np.testing.assert_allclose(mean, layer.moving_mean.numpy(), rtol=1e-9)
    np.testing.assert_allclose(variance, layer.moving_variance.numpy(), rtol=1e-9)
    theirs = layer(x, training=False).numpy()
    ours = batch_norm.inference(x, gamma, beta, mean, variance)
    np.testing.assert_allclose(ours, theirs, rtol=1e-9, atol=1e-11)


def test_defaults_are_kerass():
    import inspect

    import keras

    theirs = keras.layers.BatchNormalization()
    for function in (batch_norm.forward, batch_norm.inference, batch_norm.fold):
        assert inspect.signature(function).parameters["epsilon"].default == theirs.epsilon
    ours = inspect.signature(batch_norm.moving_average).parameters["momentum"].default
    assert ours == theirs.momentum
    np.testing.assert_allclose(batch_norm.moving_average(0.0, 1.0), 1 - theirs.momentum)


def test_the_ends_of_what_is_allowed():
    assert batch_norm.moving_average(3.0, 5.0, momentum=1) == 3
    assert batch_norm.moving_average(3.0, 5.0, momentum=0) == 5
    constant = batch_norm.inference([[2.0]], [1.0], [0.0], mean=[1.0], variance=[0.0], epsilon=0.25)
    assert constant.tolist() == [[2.0]]  # (2 - 1) / sqrt(0 + 0.25)


def test_small_whole_numbers_do_not_run_over():
    x, mean = np.array([[0], [1]], "uint8"), np.array([5], "uint8")
    y = batch_norm.inference(x, [1.0], [0.0], mean=mean, variance=[0.0], epsilon=1.0)
    assert y.tolist() == [[-5.0], [-4.0]]


def test_the_output_has_the_mean_and_the_deviation_that_it_is_told():
    x, gamma, beta, _ = problem((1000, 4))
    y, cache = batch_norm.forward(x, gamma, beta, epsilon=1e-12)
    np.testing.assert_allclose(y.mean(axis=0), beta)
    np.testing.assert_allclose(y.std(axis=0), np.abs(gamma))
    again, _ = batch_norm.forward(5 * x - 7, gamma, beta, epsilon=1e-12)
    np.testing.assert_allclose(again, y)  # scale and shift of the input are gone
    gone, _ = batch_norm.forward(x, np.sqrt(cache.variance + 1e-3), cache.mean)
    np.testing.assert_allclose(gone, x)  # gamma and beta can undo it


def test_a_batch_of_one_has_nothing_left_but_beta():
    x, gamma, beta, weights = problem((1, 4))
    y, cache = batch_norm.forward(x, gamma, beta)
    np.testing.assert_array_equal(y[0], beta)
    assert not batch_norm.backward(weights, cache)[0].any()


def test_a_folded_layer_is_the_two_layers():
    rng = np.random.default_rng(3)
    _, gamma, beta, _ = problem((6, 5))
    kernel, bias = rng.normal(size=(3, 5)), rng.normal(size=5)
    mean, variance = rng.normal(size=5), rng.random(5)
    inputs = rng.normal(size=(6, 3))
    for epsilon in ({}, {"epsilon": 0.5}):
        two = batch_norm.inference(inputs @ kernel + bias, gamma, beta, mean, variance, **epsilon)
        one, shift = batch_norm.fold(
            kernel, bias, gamma, beta, mean=mean, variance=variance, **epsilon
        )
        np.testing.assert_allclose(inputs @ one + shift, two)


def test_single_precision_stays_single():
    x, gamma, beta, weights = (a.astype("float32") for a in problem((7, 5)))
    y, cache = batch_norm.forward(x, gamma, beta)
    assert y.dtype == "float32"
    assert all(g.dtype == "float32" for g in batch_norm.backward(weights, cache))


def test_bad_input_is_refused():
    x, gamma, beta, weights = problem((7, 5))
    _, cache = batch_norm.forward(x, gamma, beta)
    one, zero = np.ones(5), np.zeros(5)
    for call, what in (
        (lambda: batch_norm.forward(x, gamma[:4], beta), r"expected gamma \(5,\), found \(4,\)"),
        (lambda: batch_norm.forward(x, gamma, 0.0), "expected beta"),
        (lambda: batch_norm.forward(x[0], gamma, beta), "found one example"),
        (lambda: batch_norm.forward(np.ones((0, 5)), gamma, beta), "not empty"),
        (lambda: batch_norm.forward(x, gamma, beta, epsilon=0), "epsilon must be greater than 0"),
        (lambda: batch_norm.backward(weights[:3], cache), r"shape of y, \(7, 5\), found \(3, 5\)"),
        (lambda: batch_norm.moving_average(zero, one[:2]), "one shape"),
        (lambda: batch_norm.moving_average(zero, one, momentum=1.5), "at most 1"),
        (lambda: batch_norm.inference(x, gamma, beta, zero, -one), "a variance is not negative"),
        (lambda: batch_norm.inference(x, gamma, beta, zero, one, epsilon=-1), "epsilon"),
        (lambda: batch_norm.inference(x, gamma, beta, zero[:1], one), "expected mean"),
    ):
        with pytest.raises(ValueError, match=what):
            call()


def test_gathered_averages_are_the_moments_of_each_layers_inputs_and_nothing_else_changes():
    import keras

    rng = np.random.default_rng(0)
    inner = keras.Sequential([keras.Input((3,)), keras.layers.BatchNormalization(momentum=0.7)])
    model = keras.Sequential(
        [keras.Input((4,)), keras.layers.BatchNormalization(), keras.layers.Dense(3), inner]
    )
    x = rng.normal(5, 2, size=(100, 4)).astype("float32")
    weights = [w.numpy() for w in model.trainable_variables]
    in_training = model(x, training=True).numpy()
    batch_norm.gather_averages(model, x)
    np.testing.assert_allclose(model.layers[0].moving_mean, x.mean(axis=0), rtol=1e-5)
    np.testing.assert_allclose(model.layers[0].moving_variance, x.var(axis=0), rtol=1e-4)
    np.testing.assert_allclose(model(x), in_training, atol=1e-5)  # the inner model's, too
    for before, after in zip(weights, model.trainable_variables, strict=True):
        np.testing.assert_array_equal(before, after)
    assert (model.layers[0].momentum, inner.layers[0].momentum) == (0.99, 0.7)


def test_averages_cannot_be_gathered_without_batch_norm_or_from_one_input():
    import keras

    plain = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)])
    with pytest.raises(ValueError, match="no layer of batch norm"):
        batch_norm.gather_averages(plain, np.ones((5, 4)))
    model = keras.Sequential([keras.Input((4,)), keras.layers.BatchNormalization()])
    for too_few in (0, 1):
        with pytest.raises(ValueError, match="at least two inputs"):
            batch_norm.gather_averages(model, np.ones((too_few, 4)))
    with pytest.raises(ValueError, match="expected inputs"):
        batch_norm.gather_averages(model, np.ones((5, 3)))
    assert model.layers[0].momentum == 0.99  # put back
