"""helpers.models: the book's networks."""

import numpy as np
import pytest

from helpers import models, reproducible


@pytest.fixture(scope="module", autouse=True)
def keras():
    reproducible.begin(0)


@pytest.mark.parametrize(
    ("arguments", "parameters"),
    [
        ({}, 784 * 300 + 300 + 300 * 100 + 100 + 100 * 10 + 10),
        ({"units": ()}, 784 * 10 + 10),
        ({"units": [5], "input_shape": (3,), "classes": 2}, 3 * 5 + 5 + 5 * 2 + 2),
    ],
)
def test_parameters(arguments, parameters):
    assert models.mlp(**arguments).count_params() == parameters


def test_outputs_are_probabilities():
    p = np.asarray(models.mlp()(np.random.default_rng(0).random((7, 28, 28))))
    assert p.shape == (7, 10)
    assert (p >= 0).all()
    np.testing.assert_allclose(p.sum(axis=1), 1, rtol=1e-5)


def test_the_forward_pass_by_hand():
    model = models.mlp((6, 4), input_shape=(2, 3), classes=3, activation="relu")
    x = np.random.default_rng(1).normal(size=(5, 2, 3)).astype("float32")
    w1, b1, w2, b2, w3, b3 = model.get_weights()
    h = np.maximum(0, np.maximum(0, x.reshape(5, 6) @ w1 + b1) @ w2 + b2)
    e = np.exp(h @ w3 + b3)
    np.testing.assert_allclose(model(x), e / e.sum(axis=1, keepdims=True), rtol=1e-5)


@pytest.mark.parametrize(
    "arguments",
    [{"units": (0,)}, {"units": (1.5,)}, {"input_shape": (-1,)}, {"classes": True}, {"classes": 1}],
)
def test_bad_sizes_are_refused(arguments):
    with pytest.raises(ValueError, match=r"positive integers|at least 2"):
        models.mlp(**arguments)
