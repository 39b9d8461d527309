"""helpers.optimizers: each equal to its Keras counterpart, step by step; bad settings refused."""

import dataclasses
import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from helpers import optimizers, surfaces
from helpers.optimizers import (
    SGD,
    Adadelta,
    Adagrad,
    Adam,
    AdamW,
    Momentum,
    Nesterov,
    RMSProp,
    apply_updates,
    as_keras,
    convert_momentum,
    descend,
    tuned_momentum,
)

RATE = 2.0**-6
BETAS = {"beta_1": 1 - 2.0**-3, "beta_2": 1 - 2.0**-10}
ALL = (  # settings exact in float32: Keras rounds them to it, also for variables of float64
    SGD(RATE),
    Momentum(RATE, momentum=0.875),
    Momentum(RATE, momentum=0.5, convention="steps"),
    Momentum(RATE / 2, momentum=0.5, convention="average"),
    Nesterov(RATE, momentum=0.875),
    Nesterov(RATE, momentum=0.25),
    Adagrad(RATE),
    Adagrad(RATE, initial_accumulator_value=0.25, epsilon=1e-3),
    RMSProp(RATE),
    RMSProp(RATE, rho=0.5, epsilon=1e-2),
    Adadelta(),
    Adadelta(0.5, rho=0.7, epsilon=1e-4),
    Adam(RATE, **BETAS),
    Adam(RATE, beta_1=0.5, beta_2=0.875, epsilon=1e-2),
    AdamW(RATE, **BETAS, weight_decay=2.0**-8),
    AdamW(RATE, beta_1=0.0, beta_2=0.875, weight_decay=0.5),
)
CLASSES = (SGD, Momentum, Nesterov, Adagrad, RMSProp, Adadelta, Adam, AdamW)


def problem(rng, dtype):
    """Parameters, and a gradient that depends on them, on chance, and on very different scales."""
    params = {
        "kernel": rng.normal(size=(3, 4)).astype(dtype),
        "bias": rng.normal(size=5).astype(dtype),
    }
    scales = {name: np.logspace(-4, 2, w.size).reshape(w.shape) for name, w in params.items()}

    def gradient(params):
        grads = {}
        for name, w in params.items():
            noise = rng.normal(size=w.shape) * (rng.random(w.shape) < 0.8)
            grads[name] = (scales[name] * (np.tanh(w) + noise)).astype(dtype)
        return grads

    return params, gradient


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("optimizer", ALL, ids=repr)
def test_two_hundred_steps_are_kerass(optimizer, dtype):
    compare_with_keras(optimizer, dtype, 1e-10 if dtype == "float64" else 1e-5)


@pytest.mark.parametrize("cls", CLASSES)
def test_two_hundred_steps_with_default_settings_are_kerass(cls):
    compare_with_keras(cls(), "float64", 1e-5)


def compare_with_keras(optimizer, dtype, tolerance):
    import keras

    params, gradient = problem(np.random.default_rng(0), dtype)
    variables = {name: keras.Variable(w, dtype=dtype) for name, w in params.items()}
    theirs, state = as_keras(optimizer), optimizer.init(params)
    for step in range(200):
        grads = gradient(params)
        theirs.apply(
            [keras.ops.convert_to_tensor(g, dtype=dtype) for g in grads.values()],
            list(variables.values()),
        )
        updates, state = optimizer.update(grads, state, params)
        params = apply_updates(params, updates)
        assert state["step"] == step + 1
        for name, w in params.items():
            assert w.dtype == dtype
            np.testing.assert_allclose(
                w,
                variables[name].numpy(),
                rtol=tolerance,
                atol=1e-14 if tolerance < 1e-9 else 1e-5,
                err_msg=f"{name}, step {step + 1}",
            )


@pytest.mark.parametrize("cls", CLASSES)
def test_settings_and_their_defaults_are_kerass(cls):
    theirs = as_keras(cls()).get_config()
    ours = dataclasses.asdict(cls())
    exceptions = {"Adadelta": {"learning_rate"}, "Adagrad": {"initial_accumulator_value"}}
    plain = type(as_keras(cls()))().get_config()
    for name in set(ours) - {"convention", "bias_correction"}:
        assert theirs[name] == pytest.approx(ours[name], rel=1e-7), name
        if name not in exceptions.get(cls.__name__, set()) | {"momentum"}:
            assert plain[name] == pytest.approx(ours[name], rel=1e-7), name


def test_the_defaults_that_are_not_kerass():
    assert Adadelta().learning_rate == 1.0  # as published
    assert Adagrad().initial_accumulator_value == 0.0
    assert Momentum().momentum == Nesterov().momentum == 0.9
    assert Momentum().convention == "gradients"
    assert Adam().bias_correction


def test_without_bias_correction_there_is_no_counterpart():
    with pytest.raises(ValueError, match="bias_correction"):
        as_keras(Adam(bias_correction=False))
    with pytest.raises(TypeError, match="found 3"):
        as_keras(3)


@pytest.mark.parametrize("optimizer", ALL, ids=repr)
def test_arrays_lists_and_dictionaries_take_the_same_steps(optimizer):
    rng = np.random.default_rng(1)
    a, b = rng.normal(size=3), rng.normal(size=(2, 2))
    joined = np.concatenate([a, b.ravel()])
    trees = {
        "list": [a, b],
        "tuple": (a, b),
        "dict": {"a": a, "b": b},
        "nested": {"x": [a], "y": {"z": (b,)}},
        "lists of trees": [{"x": a}, (b,)],
    }
    states = {name: optimizer.init(tree) for name, tree in trees.items()}
    state = optimizer.init(joined)
    for _ in range(5):
        g = rng.normal(size=7)
        ga, gb = g[:3], g[3:].reshape(2, 2)
        grads = {
            "list": [ga, gb],
            "tuple": (ga, gb),
            "dict": {"b": gb, "a": ga},  # in another order
            "nested": {"y": {"z": (gb,)}, "x": [ga]},
            "lists of trees": [{"x": ga}, (gb,)],
        }
        updates, state = optimizer.update(g, state, joined)
        joined = joined + updates
        for name, tree in trees.items():
            updates, states[name] = optimizer.update(grads[name], states[name], tree)
            assert type(updates) is type(tree)
            trees[name] = apply_updates(tree, updates)
            flat = np.concatenate([w.ravel() for w in optimizers._leaves(trees[name])])
            np.testing.assert_array_equal(flat, joined)
            for slot in optimizer.slots:
                assert type(states[name][slot]) is type(tree)


@pytest.mark.parametrize("optimizer", ALL, ids=repr)
def test_nothing_is_changed_in_place(optimizer):
    w, g = np.array([1.0, 2.0]), np.array([0.3, -0.2])
    state = optimizer.init(w)
    first, after = optimizer.update(g, state, w)
    again, _ = optimizer.update(g, state, w)
    np.testing.assert_array_equal(first, again)
    assert state["step"] == 0
    assert after["step"] == 1
    assert w.tolist() == [1.0, 2.0]
    assert g.tolist() == [0.3, -0.2]
    with pytest.raises(dataclasses.FrozenInstanceError):
        optimizer.learning_rate = 1.0


def test_whole_numbers_and_numpys_numbers_are_taken():
    updates, _ = SGD(np.float64(0.5)).update([1, 2], {"step": 0}, [0, 0])
    assert updates == [-0.5, -1.0]
    assert type(SGD(np.float64(0.5)).learning_rate) is float
    optimizer = Adagrad(1.0, initial_accumulator_value=0.5)
    assert optimizer.init(np.array([1, 2]))["s"].tolist() == [0.5, 0.5]
    assert Adagrad(1.0, initial_accumulator_value=2).init(np.array([1.0]))["s"].tolist() == [2.0]
    w = np.zeros(2, "float32")
    assert Adam(np.float64(0.1)).update(w, Adam().init(w), w)[0].dtype == "float32"


@pytest.mark.parametrize(
    ("settings", "what"),
    [
        ({"learning_rate": 0}, "learning_rate must be greater than 0"),
        ({"learning_rate": np.nan}, "learning_rate must be greater than 0"),
        ({"learning_rate": np.inf}, "and finite"),
        ({"learning_rate": "fast"}, "learning_rate must be a number, found 'fast'"),
        ({"learning_rate": True}, "learning_rate must be a number"),
        ({"beta_1": 1.0}, "beta_1 must be at least 0 and less than 1, found 1.0"),
        ({"beta_2": -0.1}, "beta_2 must be at least 0"),
        ({"epsilon": 0.0}, "epsilon must be greater than 0"),
        ({"weight_decay": -1.0}, "weight_decay must be 0 or more"),
        ({"bias_correction": "yes"}, "bias_correction is True or False"),
    ],
)
def test_bad_settings_of_adamw_are_refused(settings, what):
    with pytest.raises(ValueError, match=what):
        AdamW(**settings)


@pytest.mark.parametrize(
    ("cls", "settings"),
    [
        (SGD, {"learning_rate": -1}),
        (Momentum, {"momentum": 1}),
        (Momentum, {"convention": "mean"}),
        (Nesterov, {"momentum": -0.5}),
        (Adagrad, {"initial_accumulator_value": -1}),
        (Adagrad, {"initial_accumulator_value": np.inf}),
        (RMSProp, {"rho": 1.0}),
        (Adadelta, {"rho": 2.0}),
        (Adadelta, {"epsilon": 0}),
    ],
)
def test_bad_settings_are_refused(cls, settings):
    with pytest.raises(ValueError, match=next(iter(settings))):
        cls(**settings)


def test_what_does_not_fit_is_refused():
    w = np.zeros(2)
    with pytest.raises(ValueError, match="one shape in each place"):
        SGD().update(np.zeros(3), {"step": 0}, w)
    with pytest.raises(ValueError, match=r"the state lacks \['m', 'v'\]"):
        Adam().update(w, {"step": 0}, w)
    with pytest.raises(ValueError, match="the state lacks"):
        SGD().update(w, {}, w)
    with pytest.raises(ValueError, match="keys"):
        SGD().update({"b": w}, {"step": 0}, {"a": w})
    with pytest.raises(ValueError, match="lists of 1"):
        SGD().update([w, w], {"step": 0}, [w])
    with pytest.raises(ValueError, match="lists of 1"):
        SGD().update(w, {"step": 0}, [w])
    with pytest.raises(ValueError, match="at least one array"):
        Adam().init([])
    with pytest.raises(ValueError, match="real numbers"):
        Adam().init(np.array(["a"]))
    with pytest.raises(ValueError, match="real numbers"):
        SGD().update(np.array([1j]), {"step": 0}, np.array([1.0]))


@pytest.mark.parametrize("pair", itertools.product(optimizers.CONVENTIONS, repeat=2), ids=str)
def test_momentum_goes_on_the_same_in_another_convention(pair):
    first, second = pair
    rng = np.random.default_rng(2)
    optimizer = Momentum(0.3, momentum=0.8, convention=first)
    w = [np.zeros(3), np.ones((2, 2))]
    state = optimizer.init(w)
    for _ in range(4):
        _, state = optimizer.update([rng.normal(size=v.shape) for v in w], state, w)
    other, other_state = convert_momentum(optimizer, state, second)
    assert other.convention == second
    assert other.momentum == 0.8
    for _ in range(4):
        g = [rng.normal(size=v.shape) for v in w]
        updates, state = optimizer.update(g, state, w)
        others, other_state = other.update(g, other_state, w)
        for a, b in zip(updates, others, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-12)
    with pytest.raises(ValueError, match="lacks 'v'"):
        convert_momentum(optimizer, {"step": 0}, second)
    with pytest.raises(ValueError, match="convention is one of"):
        convert_momentum(optimizer, state, "mean")


def test_after_a_change_of_rate_the_conventions_differ():
    w, g = np.zeros(1), np.ones(1)
    inside, outside = Momentum(1.0, 0.5, "steps"), Momentum(1.0, 0.5, "gradients")
    steps = {}
    for name, optimizer in {"inside": inside, "outside": outside}.items():
        _, state = optimizer.update(g, optimizer.init(w), w)
        slower = dataclasses.replace(optimizer, learning_rate=0.1)
        steps[name] = slower.update(g, state, w)[0].item()
    assert steps["inside"] == pytest.approx(-(0.5 * 1 + 0.1))  # the old velocity keeps its rate
    assert steps["outside"] == pytest.approx(-0.1 * 1.5)  # the new rate acts at once


def test_momentum_0_is_plain_descent_and_constant_gradients_give_the_effective_step():
    g, w = np.array([2.0]), np.array([0.0])
    for cls in (Momentum, Nesterov):
        assert cls(0.1, momentum=0.0).update(g, cls().init(w), w)[0] == pytest.approx(-0.2)
        optimizer, update = cls(0.1, momentum=0.9), None
        state = optimizer.init(w)
        for _ in range(300):
            update, state = optimizer.update(g, state, w)
        assert update == pytest.approx(-0.1 * 2 / (1 - 0.9))


@pytest.mark.parametrize("condition", [1.0, 4.0, 100.0])
def test_tuned_momentum_is_the_best_there_is(condition):
    def slowest(rate, momentum):
        """Spectral radius: the factor by which the error shrinks in the end, step by step."""
        return max(
            np.abs(np.linalg.eigvals([[1 + momentum - rate * c, -momentum], [1, 0]])).max()
            for c in (1.0, condition)
        )

    best = tuned_momentum(1.0, condition)
    factor = slowest(best.learning_rate, best.momentum)
    root = np.sqrt(condition)
    assert factor == pytest.approx((root - 1) / (root + 1), abs=1e-6)
    for rate in best.learning_rate * np.linspace(0.5, 1.5, 11):
        for momentum in np.linspace(0, 0.99, 34):
            assert slowest(rate, momentum) >= factor - 1e-6
    for bad in ((0, 1), (2, 1), (1, np.inf), (-1, 1)):
        with pytest.raises(ValueError, match=r"smallest <= largest|must be finite"):
            tuned_momentum(*bad)


def test_descend_walks_the_way_of_the_updates():
    surface = surfaces.ravine(10)
    for optimizer in ALL:
        way = descend(optimizer, surface, [-1.0, 1.0], steps=20)
        assert way.shape == (21, 2)
        assert np.isfinite(way).all()
        w, state = np.array([-1.0, 1.0]), optimizer.init(np.zeros(2))
        for i in range(20):
            np.testing.assert_array_equal(way[i], w)
            updates, state = optimizer.update(surface.gradient(w), state, w)
            w = w + updates
    assert descend(SGD(0.1), surface, [1, 1], steps=0).tolist() == [[1.0, 1.0]]
    assert surface.value(descend(Momentum(0.05), surface, [-1, 1], 200)[-1]) < 1e-6


def test_infinity_over_infinity_ends_a_descent_without_a_warning():
    """The first step is about as long as its rate, and there the gradient overflows."""
    way = descend(RMSProp(1e150), surfaces.rosenbrock(10.0), [-1.0, 1.5], steps=3)
    assert np.isnan(way).any(axis=1).tolist() == [False, False, True, True]


def test_a_descent_that_overflows_ends_in_nan():
    way = descend(SGD(10.0), surfaces.bowl(100.0), [1.0, 1.0], steps=500)
    fell = np.isnan(way).any(axis=1)
    assert not fell[:50].any()
    assert fell[-1]
    assert (np.diff(fell.astype(int)) >= 0).all()
    with pytest.raises(ValueError, match="steps must be at least 0"):
        descend(SGD(0.1), surfaces.bowl(), [1, 1], steps=-1)
    with pytest.raises(ValueError, match="finite"):
        descend(SGD(0.1), surfaces.bowl(), [np.nan, 1], steps=1)
    with pytest.raises(ValueError, match="shape"):
        descend(SGD(0.1), surfaces.bowl(), [1, 1, 1], steps=1)


@given(st.floats(1e-3, 1e6), st.booleans(), st.sampled_from([Adam, AdamW]))
def test_adams_first_step_is_as_long_as_its_rate(size, negative, cls):
    g = -size if negative else size
    update, _ = cls(0.5).update(np.array([g]), cls(0.5).init(np.array([0.0])), np.array([0.0]))
    assert update[0] == pytest.approx(-np.sign(g) * 0.5, rel=5e-3)


@given(st.lists(st.floats(-1e100, 1e100), min_size=1, max_size=8))
def test_finite_gradients_give_finite_steps(gradients):
    for optimizer in ALL:
        w = np.array([1.0])
        state = optimizer.init(w)
        for g in gradients:
            update, state = optimizer.update(np.array([g]), state, w)
            assert np.isfinite(update).all()


def test_without_correction_adam_begins_too_fast():
    w, g = np.array([0.0]), np.array([1.0])
    raw = Adam(0.1, bias_correction=False)
    update, _ = raw.update(g, raw.init(w), w)
    assert update[0] == pytest.approx(-0.1 * 0.1 / np.sqrt(0.001), rel=1e-4)  # 3.2 times 0.1
