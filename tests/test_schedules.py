"""helpers.schedules: the formulas, at every step, compiled and with NumPy, saved and resumed."""

import inspect
import math
from fractions import Fraction

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers import schedules
from helpers.schedules import (
    CosineRestarts,
    InverseSquareRoot,
    Join,
    OneCycle,
    Schedule,
    Triangular,
    WarmUp,
    WarmupStableDecay,
    values,
)
from helpers.tracking import step_log

K = keras.optimizers.schedules
PI = math.pi

OURS = {
    "cosine restarts, growing and shrinking": lambda: CosineRestarts(
        0.1, 12, floor=1e-3, growth=1.25, decay=0.8
    ),
    "cosine restarts from the peak": lambda: CosineRestarts(0.1, 12, start_at_floor=False),
    "cosine restarts, no warm-up": lambda: CosineRestarts(0.1, 7.5, warmup_fraction=0.0, growth=2),
    "one cycle": lambda: OneCycle(0.1, 50),
    "one cycle, linear": lambda: OneCycle(0.1, 50, shape="linear", warmup_fraction=0.45),
    "triangular": lambda: Triangular(0.01, 0.1, half_cycle=6, decay=0.5),
    "stable, linear decay": lambda: WarmupStableDecay(0.1, 50, floor=1e-3),
    "stable, decay as a root": lambda: WarmupStableDecay(
        0.1, 50, warmup_fraction=0.0, shape="1-sqrt", decay_fraction=0.4
    ),
    "stable, cosine decay": lambda: WarmupStableDecay(0.1, 50, shape="cosine", decay_fraction=0.5),
    "inverse square root": lambda: InverseSquareRoot(0.1, warmup_steps=8),
    "warm-up of one cycle": lambda: WarmUp(OneCycle(0.1, 40), steps=5, start=0.001),
    "warm-up of a number": lambda: WarmUp(0.05, steps=5),
    "three joined": lambda: Join([WarmUp(0.1, steps=3), 0.05, CosineRestarts(0.1, 6)], [8, 20]),
    "two of Keras's joined": lambda: Join(
        [K.ExponentialDecay(0.1, 5, 0.5), K.PolynomialDecay(0.1, 10, cycle=True)], [9]
    ),
}
KERAS = {
    "Keras's exponential decay": lambda: K.ExponentialDecay(0.1, 10, 0.5),
    "Keras's staircase": lambda: K.ExponentialDecay(0.1, 10, 0.5, staircase=True),
    "Keras's piecewise constant": lambda: K.PiecewiseConstantDecay([5, 20], [0.1, 0.05, 0.01]),
    "Keras's polynomial": lambda: K.PolynomialDecay(0.1, 20, 0.01, power=2.0),
    "Keras's polynomial, cycling": lambda: K.PolynomialDecay(0.1, 20, 0.01, power=0.5, cycle=True),
    "Keras's cosine": lambda: K.CosineDecay(0.01, 30, alpha=0.1, warmup_target=0.1, warmup_steps=8),
    "Keras's cosine restarts": lambda: K.CosineDecayRestarts(
        0.1, 8, t_mul=1.5, m_mul=0.7, alpha=0.01
    ),
    "Keras's inverse time": lambda: K.InverseTimeDecay(0.1, 5, 0.5),
}
ALL = OURS | KERAS


def compiled(schedule, steps):
    """The rates from one compiled function of a whole-number step."""
    rate = tf.function(schedule, jit_compile=True)
    return np.array([rate(tf.constant(int(step), tf.int64)).numpy() for step in steps])


# Formulas, pinned at the boundaries


@pytest.mark.parametrize(
    ("make", "pinned"),
    [
        (  # cycles from 0 and 16, peaks at 4 and 16 + 8; the second half as high
            lambda: CosineRestarts(1.0, 16, growth=2, decay=0.5),
            {0: 0, 2: 0.5, 4: 1, 10: 0.5, 15: (1 + math.cos(PI * 11 / 12)) / 2, 16: 0, 24: 0.5},
        ),
        (
            lambda: CosineRestarts(1.0, 16, growth=2, decay=0.5, floor=0.5),
            {0: 0.5, 4: 1, 10: 0.75, 16: 0.5, 24: 0.75, 48: 0.5},
        ),
        (lambda: CosineRestarts(1.0, 4, warmup_fraction=0), {0: 1, 2: 0.5, 4: 1, 6: 0.5, 8: 1}),
        (
            lambda: CosineRestarts(1.0, 16, start_at_floor=False),
            {0: 1 / 5, 3: 4 / 5, 4: 1, 16: 1 / 5},
        ),
        (
            lambda: OneCycle(1.0, 20, warmup_fraction=0.5, start_divisor=10, end_divisor=100),
            {
                0: 0.1,
                5: 0.55,
                6: 0.1 + 0.9 * (1 - math.cos(PI * 0.6)) / 2,
                10: 1,
                15: 0.505,
                20: 0.01,
            },
        ),
        (
            lambda: OneCycle(1.0, 20, warmup_fraction=0.2, start_divisor=10, shape="linear"),
            {0: 0.1, 1: 0.325, 2: 0.55, 4: 1, 8: (3 + 1e-4) / 4, 20: 1e-4, 99: 1e-4},
        ),
        (
            lambda: Triangular(1.0, 3.0, half_cycle=4, decay=0.5),
            {0: 1, 2: 2, 4: 3, 6: 2, 8: 1, 12: 2},
        ),
        (
            lambda: WarmupStableDecay(1.0, 20, warmup_fraction=0.2, decay_fraction=0.5, floor=0.1),
            {0: 0.2, 3: 0.8, 4: 1, 10: 1, 12: 0.82, 15: 0.55, 20: 0.1, 99: 0.1},
        ),
        (
            lambda: WarmupStableDecay(
                1.0, 20, decay_fraction=0.8, warmup_fraction=0, shape="1-sqrt"
            ),
            {0: 1, 4: 1, 8: 0.5, 20: 0},
        ),
        (
            lambda: WarmupStableDecay(
                1.0, 20, decay_fraction=0.5, warmup_fraction=0, shape="cosine"
            ),
            {10: 1, 12: (1 + math.cos(PI / 5)) / 2, 15: 0.5, 20: 0},
        ),
        (lambda: InverseSquareRoot(1.0, 4), {0: 0.25, 3: 1, 15: 0.5, 63: 0.25}),
        (lambda: WarmUp(Triangular(1.0, 2.0, 2), steps=4), {0: 0.2, 3: 0.8, 4: 1, 6: 2, 8: 1}),
        (lambda: WarmUp(1.0, steps=4, start=0.5), {0: 0.6, 3: 0.9, 4: 1}),
        (
            lambda: Join([1.0, 0.5, Triangular(0.0, 1.0, 2)], [3, 5]),
            {0: 1, 2: 1, 3: 0.5, 4: 0.5, 5: 0, 7: 1},
        ),
    ],
    ids=lambda value: value.__code__.co_names[0] if callable(value) else "",
)
def test_boundary_values(make, pinned):
    schedule = make()
    np.testing.assert_allclose(schedule(list(pinned)), list(pinned.values()), atol=1e-12)


def test_book_formulas_of_keras_schedules():
    step = np.arange(60)
    formulas = {
        K.ExponentialDecay(0.1, 10, 0.5): 0.1 * 0.5 ** (step / 10),
        K.ExponentialDecay(0.1, 10, 0.5, staircase=True): 0.1 * 0.5 ** (step // 10),
        K.PiecewiseConstantDecay([5, 20], [0.1, 0.05, 0.01]): np.select(
            [step <= 5, step <= 20], [0.1, 0.05], 0.01
        ),
        K.PolynomialDecay(0.1, 20, 0.01, power=2.0): (
            0.09 * (1 - np.minimum(step, 20) / 20) ** 2 + 0.01
        ),
        K.PolynomialDecay(0.1, 20, 0.01, power=2.0, cycle=True): (
            0.09 * (1 - step / (20 * np.maximum(np.ceil(step / 20), 1))) ** 2 + 0.01
        ),
        K.CosineDecay(0.01, 30, alpha=0.1, warmup_target=0.1, warmup_steps=8): np.where(
            step < 8,
            0.01 + 0.09 * step / 8,
            0.01 + 0.09 * (1 + np.cos(PI * np.clip((step - 8) / 30, 0, 1))) / 2,
        ),
    }
    for schedule, expected in formulas.items():
        np.testing.assert_allclose(values(schedule, step), expected, rtol=2e-6, atol=1e-8)


# Equal to others


@pytest.mark.parametrize("growth", [1.0, 1.3, 2.0])
@pytest.mark.parametrize("decay", [1.0, 0.8])
def test_cosine_restarts_without_warmup_is_kerass(growth, decay):
    ours = CosineRestarts(0.1, 50, floor=0.001, warmup_fraction=0.0, growth=growth, decay=decay)
    kerass = K.CosineDecayRestarts(0.1, 50, t_mul=growth, m_mul=decay, alpha=0.01)
    steps = np.arange(2000)
    start, length = ours.cycle(steps.astype(float))[1:]
    inside = (steps - start > 1e-3) & (start + length - steps > 1e-3) | (growth == 2)
    assert inside.mean() > 0.97  # at a boundary Keras's float32 may be a cycle early or late
    np.testing.assert_allclose(
        ours(steps[inside]), values(kerass, steps[inside]), rtol=1e-3, atol=1e-6
    )


def test_one_cosine_with_warmup_is_kerass_cosine_decay():
    ours = CosineRestarts(0.1, 40, floor=0.001, warmup_fraction=0.25)
    kerass = K.CosineDecay(0.001, 30, alpha=0.01, warmup_target=0.1, warmup_steps=10)
    np.testing.assert_allclose(ours(np.arange(40)), values(kerass, np.arange(40)), atol=1e-7)


def s2_recurrence(steps, *, peak, floor, first_cycle, warmup_fraction, more):
    """The source's schedule, as it computes it: a counter, and lengths rounded up each time."""
    length, warmup = first_cycle, math.ceil(warmup_fraction * first_cycle)
    counter, rates, cycles = 0, [], [0]
    for step in range(steps):
        if counter == length:
            counter, length, warmup = 0, math.ceil(length * more), math.ceil(warmup * more)
            cycles.append(step)
        if counter < warmup:
            rates.append(floor + (peak - floor) * counter / warmup)
        else:
            share = (counter - warmup) / (length - warmup)
            rates.append(floor + 0.5 * (peak - floor) * (1 + math.cos(PI * share)))
        counter += 1
    return np.array(rates), cycles


def test_the_sources_run_is_reproduced_at_every_step_but_for_its_rounding():
    steps = 15 * 1875
    rates, cycles = s2_recurrence(
        steps, peak=1e-3, floor=1e-7, first_cycle=3 * 1875, warmup_fraction=0.25, more=1.25
    )
    ours = CosineRestarts(1e-3, 3 * 1875, floor=1e-7, warmup_fraction=0.25, growth=1.25)
    starts = [float(ours.cycle(float(step))[1]) for step in cycles]
    assert len(cycles) == 4
    late = np.array(cycles) - starts
    assert late[0] == 0
    assert late.max() < 2  # each rounding adds less than a step to a cycle
    first, second = cycles[1], cycles[2]
    slope = (1e-3 - 1e-7) / (0.25 * 3 * 1875)  # the steepest: a warm-up's
    far = np.abs(ours(np.arange(steps)) - rates)
    assert far[: first + 1].max() < slope  # its warm-up ends on a whole step
    assert far[:second].max() < 2 * slope
    assert far.max() < 4 * slope


# Compiled, and with NumPy


@pytest.mark.parametrize("made", OURS)
def test_compiled_equals_numpy_at_every_step(made):
    schedule = ALL[made]()
    steps = np.arange(60)
    found, expected = compiled(schedule, steps), schedule(steps).astype(np.float32)
    np.testing.assert_allclose(found, expected, rtol=2e-7)  # XLA's cosine has a bit of its own
    if not isinstance(schedule, Join):  # there may be one of Keras's in it, in float32
        assert np.mean(found == expected) > 0.95


@settings(max_examples=40)  # each is compiled, and asked at some sixty steps
@given(
    first=st.one_of(st.integers(1, 10_000), st.floats(1.0, 10_000.0)),
    growth=st.one_of(st.just(1.0), st.sampled_from([1.1, 1.25, 1.5, 2.0]), st.floats(1.0, 3.0)),
    warmup=st.sampled_from([0.0, 0.25, 0.5]),
)
def test_compiled_equals_numpy_at_every_boundary(first, growth, warmup):
    schedule = CosineRestarts(0.1, first, growth=growth, warmup_fraction=warmup)
    near = set()
    for number in range(13):
        exact = sum(first * growth**n for n in range(number))
        near |= {max(0, round(exact) + d) for d in (-1, 0, 1)}
        near |= {round(exact + warmup * first * growth**number) + d for d in (0, 1)}
    rate = tf.function(schedule, jit_compile=True)
    for step in sorted(n for n in near if n < 2**31):
        found = float(rate(tf.constant(step, tf.int64)))
        np.testing.assert_allclose(found, schedule(step), rtol=1e-6, atol=1e-9)


def test_a_boundary_on_a_whole_step_begins_the_cycle():
    """Where the closed form's logarithm is rounded down, the cycle would come a step late."""
    for growth, first in (("1.1", 1000), ("1.2", 625), ("1.25", 5625), ("1.5", 4096), ("3", 7)):
        schedule = CosineRestarts(1.0, first, growth=float(growth), warmup_fraction=0.0)
        start = Fraction(0)
        for number in range(8):
            step = math.ceil(start)  # the first whole step of the cycle
            assert schedule.cycle(float(step))[0] == number
            if step > 0:
                assert schedule.cycle(step - 1.0)[0] == number - 1
            if step == start:
                assert schedule(step) == pytest.approx(1.0)
            start += first * Fraction(growth) ** number


@given(st.sampled_from(list(OURS)), st.integers(0, 2**40))
def test_rates_stay_within_bounds(made, step):
    schedule = OURS[made]()
    rate = schedule(step)
    assert np.isfinite(rate)
    assert 0 <= rate <= 0.1 * (1 + 1e-7)


@pytest.mark.parametrize("made", OURS)
def test_a_schedule_keeps_nothing(made):
    schedule = ALL[made]()
    steps = np.array([[5, 3], [40, 0]])
    first = schedule(steps)
    assert first.shape == (2, 2)
    assert np.array_equal(schedule(steps[::-1])[::-1], first)
    assert np.array_equal(values(schedule, steps), first)
    assert schedule(-3) == schedule(0)
    assert float(schedule(tf.constant(-3))) == pytest.approx(float(schedule(0)), rel=1e-6)


@pytest.mark.parametrize("made", KERAS)
def test_values_of_kerass_schedules(made):
    schedule = ALL[made]()
    steps = np.arange(30).reshape(5, 6)
    expected = [[float(schedule(step)) for step in row] for row in steps]
    np.testing.assert_allclose(values(schedule, steps), expected, rtol=1e-6)


def test_values_of_a_number():
    assert values(0.5, [0, 1]).tolist() == [0.5, 0.5]


# Saved, loaded, resumed, and recorded in training


@pytest.mark.parametrize("made", OURS)
def test_saved_and_loaded(made):
    schedule = ALL[made]()
    saved = K.serialize(schedule)
    loaded = K.deserialize(saved)
    assert type(loaded) is type(schedule)
    assert np.array_equal(loaded(np.arange(60)), schedule(np.arange(60)))
    assert K.serialize(loaded) == saved


def trained(schedule, epochs, *, path=None, initial_epoch=0, **settings):
    """The recorded rates of a training of 20 steps an epoch; resumed from path if it exists."""
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(80, 3)).astype("float32"), rng.integers(2, size=80)
    if path is not None and path.exists():
        model = keras.models.load_model(path)
    else:
        keras.utils.set_random_seed(0)
        model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2, activation="softmax")])
        model.compile(
            keras.optimizers.Adam(schedule), "sparse_categorical_crossentropy", **settings
        )
    log = step_log()
    model.fit(
        x, y, batch_size=4, epochs=epochs, initial_epoch=initial_epoch, verbose=0, callbacks=[log]
    )
    if path is not None:
        model.save(path)
    return np.asarray(log.learning_rates), np.asarray(log.steps)


def assert_follows(rates, schedule, steps):
    expected = values(schedule, steps).astype(np.float32)
    np.testing.assert_allclose(rates, expected, rtol=2e-6, atol=1e-9)


@pytest.mark.parametrize("made", ALL)
def test_the_rate_in_training_is_the_formulas(made):
    schedule = ALL[made]()
    settings = {"jit_compile": True, "steps_per_execution": 10}
    rates, steps = trained(schedule, 3, **settings)
    assert steps.tolist() == list(range(60))
    assert_follows(rates, schedule, steps)


@pytest.mark.parametrize(
    "made",
    [
        "cosine restarts, growing and shrinking",
        "warm-up of one cycle",
        "three joined",
        "Keras's exponential decay",
    ],
)
@pytest.mark.parametrize(
    "settings", [{"jit_compile": False}, {"jit_compile": True, "steps_per_execution": 5}]
)
def test_a_resumed_training_goes_on_in_the_schedule(made, settings, tmp_path):
    schedule = ALL[made]()
    path = tmp_path / "model.keras"
    trained(schedule, 1, path=path, **settings)
    rates, steps = trained(schedule, 3, path=path, initial_epoch=1)
    assert steps.tolist() == list(range(20, 60))
    assert_follows(rates, schedule, steps)


@pytest.mark.parametrize("made", ALL)
def test_the_weights_move_by_the_recorded_rates(made):
    """With a gradient of 1, plain SGD moves the only weight by minus the rate of each step."""
    schedule = ALL[made]()

    class OnlyWeight(keras.layers.Layer):
        def build(self, _):
            self.w = self.add_weight(shape=(), initializer="zeros")

        def call(self, x):
            return x * self.w

    model = keras.Sequential([keras.Input((1,)), OnlyWeight()])
    loss = lambda _, guesses: keras.ops.mean(guesses)  # noqa: E731
    model.compile(keras.optimizers.SGD(schedule), loss, jit_compile=True)
    ones, seen = np.ones((6, 1)), [0.0]
    for _ in range(5):
        model.fit(ones, ones, batch_size=2, verbose=0)
        seen.append(float(model.layers[0].w.numpy()))
    moved = -np.diff(seen)
    expected = values(schedule, np.arange(15)).reshape(5, 3).sum(axis=1)
    np.testing.assert_allclose(moved, expected, rtol=1e-5, atol=1e-7)


class Shifted(Schedule):
    """Another schedule, a step late."""

    def __init__(self, schedule):
        self.schedule = schedule

    def rate(self, step, xp):
        return self.schedule.rate(xp.maximum(step - 1, 0.0), xp)


class WrongOnce(Shifted):
    """Another schedule, but for one step."""

    def rate(self, step, xp):
        return self.schedule.rate(step, xp) * (1 + 1e-3 * xp.where(step == 17, step / 17, 0 * step))


@pytest.mark.parametrize("wrong", [Shifted, WrongOnce])
@pytest.mark.parametrize(
    "made", ["cosine restarts from the peak", "one cycle", "inverse square root"]
)
def test_a_wrong_schedule_is_caught(wrong, made):
    schedule = ALL[made]()
    rates, steps = trained(wrong(schedule), 3, jit_compile=True, steps_per_execution=10)
    with pytest.raises(AssertionError):
        assert_follows(rates, schedule, steps)


def test_every_class_is_tested():
    classes = {
        found
        for _, found in inspect.getmembers(schedules, inspect.isclass)
        if issubclass(found, Schedule) and found is not Schedule
    }
    assert {type(make()) for make in OURS.values()} == classes


# Bad input


SETTINGS = {
    CosineRestarts: {"peak": 0.5, "first_cycle": 8, "floor": 0.25},
    OneCycle: {"peak": 0.5, "total_steps": 8},
    Triangular: {"low": 0.25, "high": 0.5, "half_cycle": 8},
    WarmupStableDecay: {
        "peak": 0.5,
        "total_steps": 8,
        "warmup_fraction": 0.25,
        "decay_fraction": 2**-53,  # for which there is room beside any warm-up
        "floor": 0.25,
    },
    InverseSquareRoot: {"peak": 0.5, "warmup_steps": 8},
    WarmUp: {"schedule": 0.5, "steps": 8},
}
RANGES = {
    (CosineRestarts, "peak"): {"above": 0.25},
    (CosineRestarts, "first_cycle"): {"above": 0},
    (CosineRestarts, "floor"): {"at least": 0},
    (CosineRestarts, "warmup_fraction"): {"at least": 0, "below": 1},
    (CosineRestarts, "growth"): {"at least": 1},
    (CosineRestarts, "decay"): {"above": 0, "at most": 1},
    (OneCycle, "peak"): {"above": 0},
    (OneCycle, "total_steps"): {"above": 0},
    (OneCycle, "warmup_fraction"): {"above": 0, "below": 1},
    (OneCycle, "start_divisor"): {"at least": 1},
    (OneCycle, "end_divisor"): {"at least": 1},
    (Triangular, "low"): {"at least": 0},
    (Triangular, "high"): {"above": 0.25},
    (Triangular, "half_cycle"): {"above": 0},
    (Triangular, "decay"): {"above": 0, "at most": 1},
    (WarmupStableDecay, "peak"): {"above": 0.25},
    (WarmupStableDecay, "total_steps"): {"above": 0},
    (WarmupStableDecay, "warmup_fraction"): {"at least": 0, "below": 1},
    (WarmupStableDecay, "decay_fraction"): {"above": 0, "at most": 0.75},
    (WarmupStableDecay, "floor"): {"at least": 0},
    (InverseSquareRoot, "peak"): {"above": 0},
    (InverseSquareRoot, "warmup_steps"): {"at least": 1},
    (WarmUp, "steps"): {"above": 0},
    (WarmUp, "start"): {"at least": 0},
}
LAST_AND_FIRST = {
    # the last number within a range, and the first one outside
    "above": lambda bound: (math.nextafter(bound, math.inf), bound),
    "at least": lambda bound: (bound, math.nextafter(bound, -math.inf)),
    "below": lambda bound: (math.nextafter(bound, -math.inf), bound),
    "at most": lambda bound: (bound, math.nextafter(bound, math.inf)),
}


def test_every_number_has_its_range():
    for kind, made in SETTINGS.items():
        found = {name for name, value in vars(kind(**made)).items() if type(value) in (int, float)}
        assert found - {"schedule"} == {name for k, name in RANGES if k is kind}


@pytest.mark.parametrize(
    ("kind", "name"), RANGES, ids=lambda value: getattr(value, "__name__", value)
)
def test_a_number_is_refused_from_the_end_of_its_range_on(kind, name):
    words = " and ".join(f"{word} {bound}" for word, bound in RANGES[kind, name].items())
    message = f"^{name} must be a number {words}, found "
    for word, bound in RANGES[kind, name].items():
        within, outside = LAST_AND_FIRST[word](bound)
        assert getattr(kind(**{**SETTINGS[kind], name: within}), name) == within
        for refused in (outside, math.nan, math.inf, "0.5", True, None):
            with pytest.raises(ValueError, match=message):
                kind(**{**SETTINGS[kind], name: refused})


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: OneCycle(0.1, 10, shape="round"), "^shape must be one of cosine, linear, found"),
        (
            lambda: WarmupStableDecay(0.1, 10, shape="round"),
            "^shape must be one of linear, 1-sqrt, cosine, found 'round'",
        ),
        (lambda: WarmUp("fast", 3), "not one of Keras's or of this room must be a number"),
        (lambda: WarmUp(-0.1, 3), "not one of Keras's or of this room must be a number at least 0"),
        (lambda: Join([0.1], []), "two or more schedules and one boundary fewer, found 1 and 0"),
        (lambda: Join([0.1, 0.2], []), "two or more schedules .* fewer, found 2 and 0"),
        (lambda: Join([0.1, "b"], [5]), "not one of Keras's or of this room must be a number"),
        (lambda: Join([0.1, 0.2], [0]), "^each of the boundaries must be a number above 0, found"),
        (lambda: Join([0.1, 0.2, 0.3], [5, 5]), "each of the boundaries must be a number above 5"),
    ],
)
def test_bad_settings_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_rates_have_double_precision_whatever_the_steps_have():
    steps = np.arange(40)
    for make in OURS.values():
        for kind in (np.float32, np.int8):
            found = values(make(), steps.astype(kind))
            assert found.dtype == np.float64
            assert np.array_equal(found, values(make(), steps.astype(float)))
            assert np.array_equal(found, make()(steps.astype(kind)))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Join(0.1, [5]), r"^schedules must be a list, found 0\.1"),
        (lambda: Join([0.1, 0.2], 5), "^boundaries must be a list, found 5"),
        (lambda: Join("ab", [5]), "^schedules must be a list, found 'ab'"),
        (lambda: Join([0.1, 0.2], np.array([[5]])), r"^boundaries must be a list, found array"),
        (lambda: Join([0.1, 0.2], np.array(5)), r"^boundaries must be a list, found array"),
        (lambda: CosineRestarts(0.1, 5, start_at_floor=1), "^start_at_floor must be True or False"),
    ],
)
def test_what_is_no_list_and_no_truth_is_refused(make, message):
    with pytest.raises(TypeError, match=message):
        make()


def test_a_list_may_be_an_array():
    assert Join(np.array([0.1, 0.2]), np.array([5])).boundaries == (5,)


def test_boundaries_may_be_as_near_as_numbers_are():
    first = math.nextafter(0.0, 1.0)
    assert Join([0.1, 0.2, 0.3], [first, 2 * first]).boundaries == (first, 2 * first)
