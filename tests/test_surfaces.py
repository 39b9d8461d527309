"""helpers.surfaces: gradients and Hessians are those of the values."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers import surfaces

ALL = {  # made within each test
    "bowl": lambda: surfaces.bowl(3.0),
    "ravine": lambda: surfaces.ravine(50.0),
    "saddle": surfaces.saddle,
    "Rosenbrock's banana": surfaces.rosenbrock,
    "a flatter banana": lambda: surfaces.rosenbrock(2.0),
    "many minima": surfaces.many_minima,
    "quadratic": lambda: surfaces.quadratic([[2.0, -1.0], [-1.0, 3.0]]),
}
coordinate = st.floats(-2, 2)
UNIT = np.eye(2)


@pytest.mark.parametrize("name", ALL)
@settings(max_examples=30)
@given(x=coordinate, y=coordinate)
def test_derivatives_agree_with_central_differences(name, x, y):
    surface = ALL[name]()
    w, h = np.array([x, y]), 1e-5
    slopes = [(surface.value(w + h * e) - surface.value(w - h * e)) / (2 * h) for e in UNIT]
    np.testing.assert_allclose(surface.gradient(w), slopes, rtol=1e-5, atol=1e-4)
    rows = [(surface.gradient(w + h * e) - surface.gradient(w - h * e)) / (2 * h) for e in UNIT]
    np.testing.assert_allclose(surface.hessian(w), rows, rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize("name", ALL)
def test_the_minimum_is_one(name):
    surface = ALL[name]()
    if name == "saddle":
        assert surface.minimum is None
        return
    np.testing.assert_allclose(surface.gradient(surface.minimum), 0, atol=1e-12)
    assert (np.linalg.eigvalsh(surface.hessian(surface.minimum)) > 0).all()
    grid = np.stack(np.meshgrid(*[np.linspace(-3, 3, 61)] * 2), axis=-1)
    assert (surface.value(grid) >= surface.value(surface.minimum) - 1e-12).all()


def test_names_and_minima():
    names = {name: make().name for name, make in ALL.items()}
    assert names == {name: name for name in ALL} | {"a flatter banana": "Rosenbrock's banana"}
    assert surfaces.quadratic(np.eye(2), name="mine").name == "mine"
    for make in (surfaces.bowl, surfaces.many_minima, surfaces.ravine):
        assert make().minimum == (0.0, 0.0)
    assert surfaces.rosenbrock().minimum == (1.0, 1.0)
    assert (
        surfaces.quadratic(np.diag([0.0, 1.0])).minimum is None
    )  # a valley without a lowest point
    assert surfaces.quadratic(np.diag([0.5, 0.1])).minimum == (0.0, 0.0)


def test_what_is_left_out_is_as_documented():
    assert surfaces.bowl().value([1, 0]) == 0.5
    assert surfaces.ravine().value([0, 1]) == 5
    assert surfaces.rosenbrock().value([0, 1]) == 101
    assert surfaces.many_minima().value([0.25, 0]) == pytest.approx(10.0625)
    assert surfaces.bowl(0.5).value([2, 0]) == surfaces.ravine(1.0).value([1, 1]) == 1


@pytest.mark.parametrize(
    ("make", "what"),
    [
        (surfaces.bowl, "curvature"),
        (surfaces.rosenbrock, "steepness"),
        (surfaces.many_minima, "ripple"),
    ],
)
def test_what_must_be_positive_is_named(make, what):
    with pytest.raises(ValueError, match=rf"^{what} must be greater than 0"):
        make(0)


def test_whole_numbers_become_real_ones():
    far = 4_000_000_000  # whose square is no 64-bit integer
    assert surfaces.many_minima().value([far, 0]) == pytest.approx(1.6e19)
    assert surfaces.quadratic([[2, 0], [0, 2]]).hessian([0, 0]).dtype == float
    assert surfaces.bowl(2).gradient([1, 1]).dtype == float


def test_closed_forms():
    assert surfaces.bowl(2.0).value([3, 4]) == 25
    assert surfaces.ravine(10).value([1, 2]) == pytest.approx(20.5)
    assert surfaces.saddle().value([3, 1]) == 4
    assert surfaces.rosenbrock().value([-1, 1]) == 4
    assert surfaces.many_minima().value([0.5, 0]) == pytest.approx(20.25)
    assert np.linalg.cond(surfaces.ravine(50).hessian([1, 1])) == pytest.approx(50)


@pytest.mark.parametrize("name", ALL)
def test_a_grid_is_one_call(name):
    surface = ALL[name]()
    grid = np.random.default_rng(0).normal(size=(3, 4, 2))
    values = surface.value(grid)
    assert values.shape == (3, 4)
    assert values[1, 2] == pytest.approx(float(surface.value(grid[1, 2])))


def test_a_surface_cannot_be_changed_from_outside():
    matrix = np.eye(2)
    surface = surfaces.quadratic(matrix)
    matrix[0, 0] = 5
    surface.hessian([0, 0])[1, 1] = 7
    np.testing.assert_array_equal(surface.hessian([0, 0]), np.eye(2))


@pytest.mark.parametrize(
    "call",
    [
        lambda: surfaces.bowl(0),
        lambda: surfaces.bowl(np.inf),
        lambda: surfaces.ravine(0.5),
        lambda: surfaces.ravine(np.nan),
        lambda: surfaces.rosenbrock(-1),
        lambda: surfaces.many_minima(np.nan),
        lambda: surfaces.quadratic([[1, 2], [3, 4]]),
        lambda: surfaces.quadratic(np.eye(3)),
        lambda: surfaces.bowl().value(1.0),
        lambda: surfaces.bowl().value([1, 2, 3]),
        lambda: surfaces.bowl().value([np.nan, 0]),
        lambda: surfaces.bowl().gradient([[1, 2]]),
    ],
)
def test_bad_input_is_refused(call):
    with pytest.raises(ValueError, match="found"):
        call()
