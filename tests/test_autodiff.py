"""helpers.autodiff: gradients equal to finite differences and to TensorFlow's tape."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers import reproducible
from helpers.autodiff import Value, backward, cross_entropy

number = st.floats(-3, 3).filter(lambda x: abs(x) > 0.1)


def slopes(function, array, h=1e-6):
    """Central differences of a function of one array."""
    out = np.zeros_like(array)
    for index in np.ndindex(*array.shape):
        up, down = array.copy(), array.copy()
        up[index] += h
        down[index] -= h
        out[index] = (function(Value(up)).data - function(Value(down)).data) / (2 * h)
    return out


def test_the_sources_examples():
    x, y, z = Value(-2.0), Value(5.0), Value(-4.0)
    gradients = backward((x + y) * z)
    assert [gradients[v].item() for v in (x, y, z)] == [-4, -4, 3]
    w0, x0, w1, x1, w2 = (Value(v) for v in (2.0, -1.0, -3.0, -2.0, -3.0))
    shifted = (-(w0 * x0 + w1 * x1 + w2)).exp() + 1.0
    neuron = shifted.reciprocal()
    gradients = backward(neuron)
    assert neuron.data == pytest.approx(0.7310586)
    assert gradients[shifted] == pytest.approx(-0.53, abs=0.005)  # S3's node
    expected = {w0: -0.1966, x0: 0.3932, w1: -0.3932, x1: -0.5898, w2: 0.1966}
    for leaf, slope in expected.items():
        assert gradients[leaf] == pytest.approx(slope, abs=1e-4)


@settings(max_examples=40)
@given(a=number, b=number)
def test_scalar_arithmetic(a, b):
    x, y = Value(a), Value(b)
    g = backward(x * y + x / y - y + x**3)
    assert g[x] == pytest.approx(b + 1 / b + 3 * a**2)
    assert g[y] == pytest.approx(a - a / b**2 - 1)


@pytest.mark.parametrize(
    "function",
    [
        lambda v: v.exp().sum(),
        lambda v: (v * v + 1.0).log().sum(),
        lambda v: v.relu().sum(),
        lambda v: v.tanh().mean(),
        lambda v: (v**2).mean(),
        lambda v: (2.0 - v).sum() + (1.0 / (v * v + 1.0)).sum(),
        lambda v: (v @ np.ones((3, 2))).tanh().sum(),
        lambda v: (np.ones((2, 4)) @ v).exp().sum(),
        lambda v: (v + Value(np.ones((5, 1, 3)))).tanh().sum(),
        lambda v: cross_entropy(v, [0, 2, 1, 1]),
        lambda v: (v.log_sum_exp() * v.select([0, 1, 2, 0])).sum(),
    ],
)
def test_arrays_against_finite_differences(function):
    array = np.random.default_rng(3).normal(size=(4, 3))
    value = Value(array)
    np.testing.assert_allclose(
        backward(function(value))[value], slopes(function, array), rtol=1e-5, atol=1e-8
    )


ARRAY = np.random.default_rng(4).uniform(0.5, 2, size=(4, 3)) * [[1, -1, 1]]


@pytest.mark.parametrize(
    ("ours", "numpys"),
    [
        (lambda v: 2.0 - v, 2 - ARRAY),
        (lambda v: v - 2.0, ARRAY - 2),
        (lambda v: 2.0 + v, 2 + ARRAY),
        (lambda v: 3.0 / v, 3 / ARRAY),
        (lambda v: v / 4.0, ARRAY / 4),
        (lambda v: -v, -ARRAY),
        (lambda v: 3.0 * v, 3 * ARRAY),
        (lambda v: v**3, ARRAY**3),
        (lambda v: v**0, np.ones((4, 3))),
        (lambda v: v.reciprocal(), 1 / ARRAY),
        (lambda v: v.exp(), np.exp(ARRAY)),
        (lambda v: (v * v).log(), np.log(ARRAY**2)),
        (lambda v: v.tanh(), np.tanh(ARRAY)),
        (lambda v: v.relu(), np.maximum(ARRAY, 0)),
        (lambda v: v.sum(), ARRAY.sum()),
        (lambda v: v.mean(), ARRAY.mean()),
        (lambda v: v @ np.ones((3, 2)), ARRAY @ np.ones((3, 2))),
        (lambda v: np.ones((2, 4)) @ v, np.ones((2, 4)) @ ARRAY),
        (lambda v: v.log_sum_exp(), np.log(np.exp(ARRAY).sum(axis=1))),
        (lambda v: v.select([2, 0, 1, 1]), ARRAY[range(4), [2, 0, 1, 1]]),
    ],
)
def test_values_are_numpys(ours, numpys):
    np.testing.assert_allclose(ours(Value(ARRAY)).data, numpys)


def test_corners():
    edge = Value([0.0, -np.inf])
    relu = edge.relu()
    assert relu.data.tolist() == [0, 0]
    assert backward(relu.sum())[edge].tolist() == [0, 0]  # nothing comes back at 0
    zero = Value(0.0)
    assert backward(zero**0)[zero] == 0
    one = Value([[2.0]])
    assert backward(one)[one].tolist() == [[1.0]]


def test_a_value_keeps_its_own_copy():
    array = np.ones(3)
    value = Value(array)
    array[:] = 7
    assert value.data.tolist() == [1, 1, 1]


@pytest.mark.parametrize("shape", [(), (1,), (3,), (1, 3), (4, 1), (4, 3), (1, 1)])
@pytest.mark.parametrize(
    "operation", [lambda a, b: a + b, lambda a, b: a * b, lambda a, b: a - b, lambda a, b: a / b]
)
def test_broadcasting_sums_the_shares(shape, operation):
    rng = np.random.default_rng(5)
    full = Value(rng.uniform(1, 2, size=(4, 3)))
    array = rng.uniform(1, 2, size=shape)
    small = Value(array)
    gradient = backward(operation(full, small).tanh().sum())[small]
    assert gradient.shape == shape
    expected = slopes(lambda v: operation(full, v).tanh().sum(), array)
    np.testing.assert_allclose(gradient, expected, rtol=1e-5, atol=1e-8)


def test_a_value_used_twice_gets_both_shares_and_a_graph_can_be_used_again():
    x = Value(3.0)
    y = x * x
    z = y + y * x
    assert backward(z)[x] == pytest.approx(6 + 27)
    assert backward(z)[x] == pytest.approx(6 + 27)
    assert backward(y)[x] == pytest.approx(6)


def test_a_deep_graph_needs_no_recursion():
    x = Value(1.0)
    y = x
    for _ in range(5000):
        y = y + 0.0
    assert backward(y)[x] == 1


def test_cross_entropy_survives_large_logits():
    logits = Value([[1000.0, 0.0], [-1000.0, 0.0]])
    loss = cross_entropy(logits, [0, 0])
    assert loss.data == pytest.approx(500)
    np.testing.assert_allclose(backward(loss)[logits], [[0, 0], [-0.5, 0.5]], atol=1e-12)


def test_an_mlp_equals_the_gradient_tape():
    reproducible.begin(0)
    import tensorflow as tf

    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(8, 5)), rng.integers(0, 3, 8)
    arrays = [rng.normal(size=shape) for shape in ((5, 6), (6,), (6, 3), (3,))]
    w1, b1, w2, b2 = ours = [Value(a) for a in arrays]
    gradients = backward(cross_entropy((Value(x) @ w1 + b1).relu() @ w2 + b2, y))
    v1, c1, v2, c2 = theirs = [tf.Variable(a) for a in arrays]
    with tf.GradientTape() as tape:
        logits = tf.nn.relu(x @ v1 + c1) @ v2 + c2
        loss = tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(y, logits))
    for value, expected in zip(ours, tape.gradient(loss, theirs), strict=True):
        np.testing.assert_allclose(gradients[value], expected, rtol=1e-10, atol=1e-12)


def test_it_trains_a_network():
    rng = np.random.default_rng(1)
    x = rng.uniform(-1, 1, size=(200, 2))
    y = (x[:, 0] * x[:, 1] > 0).astype(int)  # no straight line separates these
    parameters = [
        rng.normal(size=(2, 16)),
        np.zeros(16),
        rng.normal(size=(16, 2)) * 0.1,
        np.zeros(2),
    ]
    for _ in range(400):
        w1, b1, w2, b2 = values = [Value(p) for p in parameters]
        logits = (Value(x) @ w1 + b1).tanh() @ w2 + b2
        gradients = backward(cross_entropy(logits, y))
        parameters = [p - 1.0 * gradients[v] for p, v in zip(parameters, values, strict=True)]
    assert (logits.data.argmax(axis=1) == y).mean() > 0.95


@pytest.mark.parametrize(
    "call",
    [
        lambda: Value("one"),
        lambda: Value("1.5"),
        lambda: Value(None),
        lambda: Value(1j),
        lambda: Value([[1.0]]) @ Value([1.0]),
        lambda: Value([1.0]) @ Value([[1.0]]),
        lambda: Value(2.0) ** np.array([1.0, 2.0]),
        lambda: Value([[1.0]]).select([-1]),
        lambda: Value([[1], [2, 3]]),
        lambda: Value([1.0]) @ Value([1.0]),
        lambda: Value(2.0) ** Value(2.0),
        lambda: Value([[1.0]]).select([0, 0]),
        lambda: Value([[1.0]]).select([1]),
        lambda: Value([[1.0]]).select([0.0]),
        lambda: backward(Value([1.0, 2.0])),
    ],
)
def test_bad_input_is_refused(call):
    with pytest.raises(ValueError, match=r"found|expected"):
        call()
