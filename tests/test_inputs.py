"""Whatever a public function is given: a sound answer, or a clear error of the book's own.

The first call that a function's example makes is caught; then one argument after the other is
replaced by what a user might hand it by mistake. A sound answer has no NaN, no infinity and no
object in its arrays. A clear error is one of a small family, and raised by a `raise` of this package,
not somewhere within NumPy, Keras or TensorFlow.
"""

import dataclasses
import doctest
import functools
import importlib
import inspect
import linecache
import math
import os
import traceback
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Union, get_args

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from typing_extensions import TypeAliasType

from helpers import checks
from helpers.source import PACKAGE

FAMILY = (ValueError, TypeError, LookupError, RuntimeError, AssertionError, OSError)
"""ClaimError is an AssertionError; CurvatureError, DataError, TableError and others RuntimeErrors."""

WICKED = {
    "None": None,
    "NaN": math.nan,
    "infinity": math.inf,
    "minus infinity": -math.inf,
    "minus one": -1,
    "zero": 0,
    "a half": 0.5,
    "a large number": 1e6,
    "a word": "text",
    "an empty list": [],
    "rows of different lengths": [[1.0, 2.0], [3.0]],
    "an array with NaN": np.array([1.0, math.nan]),
    "a matrix": np.ones((3, 4)),
    "complex numbers": np.array([1j, 2.0]),
    "a dictionary": {"a": 1},
    "an object": object(),
}
FORMULAS = (
    *("autodiff", "batch_norm", "convolution", "gradients", "optimizers", "range_finder"),
    *("schedules", "search", "softmax", "surfaces", "taylor"),
)
MODULES = sorted(path.stem for path in PACKAGE.glob("*.py") if path.stem != "__init__")


class CaughtError(Exception):
    """The call that was waited for."""


def public(module):
    """The public functions of a module, and the classes of which users make objects, by name."""
    found = importlib.import_module(f"helpers.{module}")
    return {
        name: thing
        for name, thing in ((name, getattr(found, name)) for name in found.__all__)
        if inspect.isfunction(inspect.unwrap(thing))
        or (inspect.isclass(thing) and name not in MADE and not issubclass(thing, Exception))
    }


def first_call(module, name):
    """The arguments, by name, of the first call in a function's example."""
    found = importlib.import_module(f"helpers.{module}")
    function = getattr(found, name)
    (test,) = doctest.DocTestFinder(recurse=False).find(function, name, found)
    signature = inspect.signature(function)

    def record(*args, **kwargs):
        raise CaughtError(signature.bind(*args, **kwargs))

    names = {**vars(found), name: record}
    for example in test.examples:
        try:
            exec(compile(example.source, f"<{name}>", "single"), names)
        except CaughtError as caught:
            return caught.args[0].arguments
    raise LookupError(f"the example of {name} does not call it")


def call(function, arguments):
    """Call with arguments by name."""
    bound = inspect.signature(function).bind_partial()
    bound.arguments.update(arguments)
    return function(*bound.args, **bound.kwargs)


def unsound(answer, depth=0):
    """What is wrong with an answer, or an empty text."""
    if isinstance(answer, float | np.floating):
        return "" if math.isfinite(answer) else f"the answer {answer!r}"
    if isinstance(answer, complex):
        return f"the answer {answer!r}"
    if isinstance(answer, np.ndarray):
        if answer.dtype.kind not in "fiubU":
            return f"an array of {answer.dtype}"
        whole = answer.dtype.kind != "f" or np.isfinite(answer).all()
        return "" if whole else f"an array with {answer[~np.isfinite(answer)][0]}"
    if depth > 4:
        return ""
    parts = ()
    if isinstance(answer, Mapping):
        parts = answer.values()
    elif isinstance(answer, list | tuple):
        parts = answer
    elif dataclasses.is_dataclass(answer) and not isinstance(answer, type):
        parts = (getattr(answer, field.name) for field in dataclasses.fields(answer))
    return next((found for found in (unsound(part, depth + 1) for part in parts) if found), "")


def unclear(error):
    """What is wrong with an error, or an empty text."""
    last = traceback.extract_tb(error.__traceback__)[-1]
    if last.filename.startswith("<"):  # within the example's own function
        return ""
    said = f"{type(error).__name__}: {str(error)[:150]} ({Path(last.filename).name}:{last.lineno})"
    ours = Path(last.filename).parent == PACKAGE
    raised = linecache.getline(last.filename, last.lineno).strip().startswith("raise ")
    return "" if isinstance(error, FAMILY) and ours and raised and str(error) else said


def answer_to(function, arguments, nan=False):
    """What is wrong with the answer to a call, or an empty text; with nan, NaN is not wrong."""
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)
        try:
            answer = call(function, arguments)
            if inspect.isgenerator(answer):
                answer = list(answer)
        except Exception as error:
            return unclear(error)
    return "" if nan else unsound(answer)


NUMBERS = st.floats(-1e6, 1e6) | st.integers(-3, 60) | st.sampled_from([math.nan, math.inf, 1e-300])
"""Of a size that stands for something: what overflows because it is 1e200 says so by itself."""
KINDS = {
    np.float64: st.floats(-1e6, 1e6) | st.sampled_from([math.nan, math.inf, 1e-300]),
    np.float32: st.floats(-1e6, 1e6, width=32) | st.sampled_from([math.nan, math.inf]),
    np.int64: st.integers(-(10**6), 10**6),
    np.bool_: st.booleans(),
    np.complex64: st.complex_numbers(max_magnitude=10, width=64),
}
SHAPES = array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=4)
ANYTHING = (
    st.sampled_from(list(WICKED.values()))
    | NUMBERS
    | st.text(max_size=3)
    | st.sampled_from(list(KINDS)).flatmap(lambda k: arrays(k, SHAPES, elements=KINDS[k]))
    | st.lists(NUMBERS, max_size=4)
    | st.lists(st.lists(NUMBERS, max_size=2), max_size=3)
    | st.dictionaries(st.text(max_size=2), NUMBERS, max_size=2)
)
EXAMPLES = int(os.environ.get("BOOK_EXAMPLES", "100"))
TRAIN = ("headline", "practice", "search_laboratory", *(m for m in MODULES if m.endswith("sweeps")))
"""Modules whose functions train for seconds if what they are given is good enough."""
AT_ONCE = ("NaN", "minus one", "a word", "an object", "rows of different lengths")
"""What a function that trains refuses before it begins, whatever the argument."""
MADE = {
    *("Cache", "Eigenpair", "FashionMNIST", "LinearClassifier", "RangeTest", "Round", "Table"),
    *("Laboratory", "Surface", "Value"),
    *("Optimizer", "Schedule"),
}
"""Classes whose objects the book's functions make, not its users; and two that are abstract."""
NOT_CALLED = {
    ("data", "load_digits"): "downloads",
    ("search_laboratory", "evaluate_mlp"): "is called by a search, with what that has checked",
    ("search_laboratory", "time_workers"): "starts processes that train for a minute",
    ("tracking", "show_tensorboard"): "starts TensorBoard",
    ("sweeps", "measure_stability"): "trains for a minute",
    ("search", "main"): "a command; its arguments are texts",
}
MAY_ANSWER_NAN = {
    ("optimizers", "apply_updates"): "adds what it is given, that of a run that overflowed, too",
    ("range_finder", "smooth"): "from a loss that is not finite on, the average is not either",
    ("experiments", "Experiment"): "by default, nothing is too large to be compared",
    ("optimizers", "descend"): "a descent that overflows ends in NaN",
}


def functions():
    for module in MODULES:
        for name, function in public(module).items():
            if inspect.signature(function).parameters:
                yield module, name


def replaceable(function):
    """The arguments by name, without those that are passed on."""
    for name, parameter in inspect.signature(function).parameters.items():
        if parameter.kind not in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            yield name


@pytest.mark.parametrize(("module", "name"), functions())
def test_wrong_arguments_get_a_sound_answer_or_a_clear_error(module, name, monkeypatch, tmp_path):
    if (module, name) in NOT_CALLED:
        return
    monkeypatch.chdir(tmp_path)
    function = getattr(importlib.import_module(f"helpers.{module}"), name)
    arguments = first_call(module, name)
    wrong = [
        f"{argument}, {what}: {found}"
        for argument in replaceable(function)
        for what, value in WICKED.items()
        if module not in TRAIN or what in AT_ONCE
        if (found := answer_to(function, {**arguments, argument: value}, may_be_nan(module, name)))
    ]
    assert wrong == []


def may_be_nan(module, name):
    return (module, name) in MAY_ANSWER_NAN


@pytest.mark.parametrize(
    ("module", "name"), [f for f in functions() if f[0] in FORMULAS and f not in NOT_CALLED]
)
@settings(max_examples=EXAMPLES, derandomize=True, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_whatever_a_formula_is_given(module, name, data):
    function = getattr(importlib.import_module(f"helpers.{module}"), name)
    argument = data.draw(st.sampled_from(list(replaceable(function))))
    value = data.draw(ANYTHING)
    arguments = {**known_call(module, name), argument: value}
    assert not answer_to(function, arguments, may_be_nan(module, name))


@functools.cache
def known_call(module, name):
    return first_call(module, name)


def test_numpys_word_for_what_becomes_an_array_is_understood(monkeypatch):
    """It was a union, and is the name of one since NumPy 2.5."""
    parts = get_args(getattr(npt.ArrayLike, "__value__", npt.ArrayLike))
    union = Union[parts]  # noqa: UP007 - of as many as there are
    for word in (union, TypeAliasType("ArrayLike", union)):
        monkeypatch.setattr(npt, "ArrayLike", word)
        for hint in (word, word | None, np.ndarray):
            assert checks._is_array_like(hint)
        for hint in (str, float | None, Sequence[str], Callable[[np.ndarray], word]):
            assert not checks._is_array_like(hint)
