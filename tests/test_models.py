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
    with pytest.raises((TypeError, ValueError), match=r"positive integers|at least 2|whole"):
        models.mlp(**arguments)


def test_initial_weights_have_the_size_and_nothing_else():
    model = models.mlp((400, 200), input_shape=(300,))
    model.layers[1].bias.assign(np.ones(400))
    models.initialise(model, 0.5, np.random.default_rng(3))
    for kernel, bias in zip(model.get_weights()[::2], model.get_weights()[1::2], strict=True):
        expected = 0.5 * np.sqrt(2 / len(kernel))
        assert kernel.std() == pytest.approx(expected, rel=0.05)
        assert abs(kernel.mean()) < 0.05 * expected
        assert not bias.any()


def test_a_gain_of_one_keeps_the_mean_square_from_layer_to_layer():
    model = models.mlp((1000, 1000, 1000), input_shape=(1000,))
    models.initialise(model, 1.0, np.random.default_rng(4))
    signal = np.random.default_rng(5).normal(size=(20, 1000))
    for layer in model.layers[1:4]:
        signal = layer(signal)
    # half of the mean square of a pre-activation survives its relu: 1 stays 1 all the way
    assert float(np.mean(np.asarray(signal) ** 2)) == pytest.approx(1, rel=0.15)


def test_logits_are_the_logarithms_of_the_probabilities_times_the_scale():
    model = models.mlp((5,), input_shape=(4,), classes=3)
    x = np.random.default_rng(6).normal(size=(7, 4))
    p = np.asarray(model(x))
    logits = np.asarray(models.with_logits(model, 2.5)(x))
    e = np.exp(logits / 2.5)
    np.testing.assert_allclose(e / e.sum(axis=1, keepdims=True), p, rtol=1e-4)


@pytest.mark.parametrize("number", [0.0, -1.0, np.nan, np.inf])
def test_bad_gains_and_scales_are_refused(number):
    with pytest.raises(ValueError, match=r"greater than 0|finite"):
        models.initialise(models.mlp((), input_shape=(2,)), number, np.random.default_rng(0))
    with pytest.raises(ValueError, match=r"greater than 0|finite"):
        models.with_logits(models.mlp((), input_shape=(2,)), number)


def test_logits_come_before_compiling():
    model = models.mlp((), input_shape=(2,))
    model.compile(loss="sparse_categorical_crossentropy")
    with pytest.raises(ValueError, match="not compiled"):
        models.with_logits(model)


def test_a_normalised_mlp_has_batch_norm_before_each_relu_and_no_bias_before_it():
    model = models.normalised_mlp((6, 5), input_shape=(4,), classes=3)
    kinds = [type(layer).__name__ for layer in model.layers]
    assert kinds == ["Flatten", *["Dense", "BatchNormalization", "ReLU"] * 2, "Dense"]
    assert [layer.use_bias for layer in model.layers if hasattr(layer, "use_bias")] == [
        False,
        False,
        True,
    ]
    control = models.normalised_mlp((6, 5), batch_norm=False, input_shape=(4,), classes=3)
    assert [type(layer).__name__ for layer in control.layers] == [
        *["Flatten", "Dense", "ReLU", "Dense", "ReLU", "Dense"]
    ]
    # a bias for each neuron in the control; gamma, beta and two averages with batch norm
    assert model.count_params() - control.count_params() == 3 * 11


def test_a_normalised_mlp_and_its_control_start_from_the_same_kernels():
    import keras

    kernels = []
    for batch_norm in (True, False):
        keras.utils.set_random_seed(7)
        model = models.normalised_mlp((40, 30), batch_norm=batch_norm)
        kernels.append([w for w in model.get_weights() if w.ndim == 2])
    for one, other in zip(*kernels, strict=True):
        np.testing.assert_array_equal(one, other)
    assert kernels[0][0].std() == pytest.approx(np.sqrt(2 / 784), rel=0.05)


def names_of(model):
    return [type(layer).__name__ for layer in model.layers]


def test_a_regularised_mlp_drops_out_after_each_relu():
    model = models.regularised_mlp((6, 5), dropout=0.25)
    assert names_of(model) == [
        "Flatten",
        *["Dense", "BatchNormalization", "ReLU", "Dropout"] * 2,
        "Dense",
    ]
    assert [layer.rate for layer in model.layers if hasattr(layer, "rate")] == [0.25, 0.25]
    assert [layer.units for layer in model.layers if hasattr(layer, "units")] == [6, 5, 10]


def test_a_regularised_cnn_normalises_before_each_relu_and_halves_the_sides():
    model = models.regularised_cnn((2, 3), 4, dropout=0.25)
    assert names_of(model) == [
        "Reshape",
        *["Conv2D", "BatchNormalization", "ReLU", "MaxPooling2D"] * 2,
        *["Flatten", "Dropout", "Dense", "BatchNormalization", "ReLU", "Dropout", "Dense"],
    ]
    assert model.layers[-7].output.shape == (None, 7 * 7 * 3)
    assert not any(layer.use_bias for layer in model.layers[:-1] if hasattr(layer, "use_bias"))
    assert models.regularised_cnn().count_params() < models.cnn().count_params()


def test_flips_mirror_half_of_the_images_in_training_and_none_at_inference():
    import keras

    mirror = keras.Sequential([keras.Input((28, 28)), keras.layers.Identity()])
    model = models.with_flips(mirror)
    images = np.random.default_rng(0).normal(size=(400, 28, 28)).astype("float32")
    np.testing.assert_array_equal(model.predict(images, verbose=0), images)
    seen = np.asarray(model(images, training=True))
    flipped = (seen == images[:, :, ::-1]).all(axis=(1, 2))
    kept = (seen == images).all(axis=(1, 2))
    assert np.all(flipped | kept)
    assert 150 < flipped.sum() < 250
