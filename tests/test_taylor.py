"""helpers.taylor: polynomials against closed forms, remainders within their bounds."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from helpers.taylor import lagrange_bound, order_of_error, taylor_polynomial

small = st.floats(-2, 2)


@given(x=small, a=small, coefficients=st.lists(st.floats(-5, 5), min_size=1, max_size=6))
def test_a_polynomial_is_its_own_taylor_polynomial(x, a, coefficients):
    p = np.polynomial.Polynomial(coefficients)
    derivatives = [p.deriv(k)(a) if k else p(a) for k in range(len(coefficients))]
    assert taylor_polynomial(derivatives, x, around=a) == pytest.approx(p(x), abs=1e-9)


@pytest.mark.parametrize("order", range(6))
def test_e_to_the_x(order):
    x = np.linspace(-1, 1, 7)
    expected = sum(x**k / math.factorial(k) for k in range(order + 1))
    np.testing.assert_allclose(taylor_polynomial([1] * (order + 1), x), expected, rtol=1e-13)


@given(x=small, a=small, order=st.integers(0, 6))
def test_the_remainder_of_the_sine_is_within_its_bound(x, a, order):
    derivatives = [math.sin(a + k * math.pi / 2) for k in range(order + 1)]
    remainder = abs(math.sin(x) - float(taylor_polynomial(derivatives, x, around=a)))
    assert remainder <= float(lagrange_bound(1, x - a, order)) + 1e-13


def test_a_bound_of_nothing_is_nothing_and_halves_with_m():
    assert float(lagrange_bound(0, 2.0, 2)) == 0
    assert float(lagrange_bound(0.5, 2.0, 0)) == 1


def test_the_bound_is_sharp_for_a_monomial():
    assert float(lagrange_bound(6, 2.0, 2)) == pytest.approx(8)  # x^3 around 0, at 2


@pytest.mark.parametrize("order", [1, 2, 3, 5])
def test_the_error_has_order_n_plus_one(order):
    def error(h):
        return np.exp(h) - taylor_polynomial([1] * (order + 1), h)

    assert order_of_error(error, np.geomspace(0.05, 0.2, 5)) == pytest.approx(order + 1, abs=0.1)


def test_two_distances_are_enough_and_whole_numbers_become_real_ones():
    assert order_of_error(lambda h: h**-1, [1, 2]) == pytest.approx(-1)
    assert taylor_polynomial([1, 1], 3, around=1).dtype == float
    assert float(lagrange_bound(1, 10, 20)) == pytest.approx(1e21 / math.factorial(21))


@pytest.mark.parametrize("error", [lambda h: 1.0, lambda h: 0 * h, lambda h: h / [1, 0.0]])
def test_errors_of_which_no_order_can_be_told(error):
    with (
        np.errstate(divide="ignore"),
        pytest.raises(ValueError, match="expected one finite error for each distance"),
    ):
        order_of_error(error, [1, 2])
    with pytest.raises(ValueError, match="expected two or more different distances > 0"):
        order_of_error(lambda h: h + 1, [1, 0])


@pytest.mark.parametrize(
    "call",
    [
        lambda: taylor_polynomial([], 1),
        lambda: taylor_polynomial([[1]], 1),
        lambda: taylor_polynomial([math.nan], 1),
        lambda: taylor_polynomial([1], math.inf),
        lambda: lagrange_bound(-1, 1, 1),
        lambda: lagrange_bound(1, 1, -1),
        lambda: order_of_error(lambda h: h, [1]),
        lambda: order_of_error(lambda h: h, [1, 1]),
        lambda: order_of_error(lambda h: h, [1, 0]),
        lambda: order_of_error(lambda h: 0 * h, [1, 2]),
        lambda: order_of_error(lambda h: 1.0, [1, 2]),
    ],
)
def test_bad_input_is_refused(call):
    with pytest.raises((TypeError, ValueError), match=r"expected|finite|a list"):
        call()
