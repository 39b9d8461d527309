"""Refuse arguments of the wrong kind, in one voice, before anything is computed."""

from __future__ import annotations

import builtins
import functools
import inspect
import numbers
import types
from collections.abc import Callable, Sequence
from typing import Annotated, Any, Literal, ParamSpec, TypeVar, Union, get_args, get_origin

import numpy as np
import numpy.typing as npt

__all__ = ["MayBeInfinite", "check_batch", "checked"]

MayBeInfinite = Annotated[npt.ArrayLike, "NaN and infinity are among what is expected"]
"""Numbers, or an array of them, of which some need not be finite."""

P = ParamSpec("P")
R = TypeVar("R")

_POSITIVE = "greater than 0", lambda x: x > 0
_COUNT = "at least 1", lambda x: x >= 1
_LIMITS: dict[str, tuple[str, Callable[[Any], bool]]] = {
    "seed": ("from 0 to 2^32 - 1", lambda x: 0 <= x < 2**32),
    "momentum": ("at least 0, at most 1", lambda x: 0 <= x <= 1),
    **dict.fromkeys(("learning_rate", "rate", "peak"), _POSITIVE),
    **dict.fromkeys(("epochs", "batch_size", "images", "searches", "width"), _COUNT),
}
_WORDS = {
    bool: "True or False",
    str: "a text",
    type(None): "None",
    np.random.Generator: "a numpy.random.Generator",
    Callable: "a function",
}


def checked(function: Callable[P, R]) -> Callable[P, R]:
    """Let a function, or a class's making, refuse arguments that are not what the annotations say.

    float           a finite number, int a whole one; True and False are neither
    npt.ArrayLike   finite numbers, or an array of them; so has np.ndarray
    a class         an object of that class

    and of these X | Y, Sequence[X] and Callable. What fits any value, as Any does, is not looked
    at. What the book calls by one name everywhere has its limits, too: a rate is greater than 0,
    a number of epochs at least 1. Other limits are the function's own business.

    Args:
        function: what to guard; all its annotated arguments are looked at, at every call. Of a
            class, those of its `__init__`.

    Raises:
        TypeError: function is none; when the function is called, an argument is of the wrong kind.
        ValueError: when the function is called, a number is not finite.

    Example:
        >>> @checked
        ... def half(x: float) -> float:
        ...     return x / 2
        >>> half(3)
        1.5
        >>> try:
        ...     half("3")
        ... except TypeError as error:
        ...     print(error)
        half: x must be a number, found '3'
    """
    if not callable(function):
        raise TypeError(f"expected a function, found {function!r}")
    if inspect.isclass(function):
        function.__init__ = checked(function.__init__)  # type: ignore[method-assign]
        return function  # type: ignore[return-value]
    who = function.__qualname__.removesuffix(".__init__").rpartition(".")[2]
    signature = inspect.signature(function)
    hints: dict[str, Any] = {}

    @functools.wraps(function)
    def guarded(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            given = signature.bind(*args, **kwargs).arguments
        except TypeError:  # too many, or too few: Python says so best
            return function(*args, **kwargs)
        for name, value in given.items():
            parameter = signature.parameters[name]
            if value is parameter.default or parameter.kind is parameter.VAR_POSITIONAL:
                continue
            if name not in hints:
                hints[name] = _hint(parameter.annotation, function)
            hint = hints[name]
            if wanted := _wanted(value, hint):
                raise TypeError(f"{who}: {name} must be {wanted}, found {value!r}")
            if _is_infinite(value, hint):
                raise ValueError(f"{who}: {name} must be finite, found {value!r}")
            if name in _LIMITS and _is_number(value, numbers.Real):
                words, holds = _LIMITS[name]
                if not holds(value):
                    raise ValueError(f"{who}: {name} must be {words}, found {value!r}")
        return function(*args, **kwargs)

    return guarded


@checked
def check_batch(model: Any, x: npt.ArrayLike, y: npt.ArrayLike | None = None) -> None:
    """Refuse inputs that a Keras model cannot take, and labels that are not as many.

    Args:
        model: a Keras model.
        x: inputs, (n, ...), n at least 1.
        y: labels, (n, ...).

    Raises:
        ValueError: they do not fit.

    Example:
        >>> from helpers.models import mlp
        >>> try:
        ...     check_batch(mlp(), np.zeros((2, 28, 27)))
        ... except ValueError as error:
        ...     print(error)
        expected inputs (None, 28, 28), found shape (2, 28, 27)
    """
    wanted, found = getattr(model, "input_shape", (None,)), tuple(np.shape(x))
    if not isinstance(wanted, tuple) or len(wanted) == 1:
        wanted = (None,) * max(1, len(found))
    fits = len(wanted) == len(found) and all(map(_fits, wanted, found))
    if not fits or 0 in found:
        raise ValueError(f"expected inputs {wanted}, found shape {found}")
    if y is not None and tuple(np.shape(y))[:1] != found[:1]:
        raise ValueError(f"expected as many labels as inputs, found {np.shape(y)} and {found}")
    loss, classes = getattr(model, "loss", None), getattr(model, "output_shape", (None,))[-1]
    name = loss if isinstance(loss, str) else type(loss).__name__
    if y is not None and classes and "sparse" in name.lower():
        labels = np.asarray(y)
        if labels.min() < 0 or labels.max() >= classes:
            found_labels = f"{labels.min()} to {labels.max()}"
            raise ValueError(f"expected labels from 0 to {classes - 1}, found {found_labels}")


def _fits(wanted: int | None, found: int) -> bool:
    return wanted is None or wanted == found


def _hint(annotation: Any, function: Callable[..., Any]) -> Any:
    """The type that an annotation names."""
    if not isinstance(annotation, str):
        return Any if annotation is inspect.Parameter.empty else annotation
    return eval(annotation, {}, _Names(inspect.unwrap(function).__globals__))


class _Names(dict[str, Any]):
    """A module's names, and those that it imports for a type checker alone."""

    def __missing__(self, name: str) -> Any:
        return getattr(builtins, name, None) or _Named(name)


class _Named:
    """A class of which only the name is known."""

    def __init__(self, name: str):
        self.name = name

    def __getattr__(self, name: str) -> _Named:
        return _Named(f"{self.name}.{name}")

    def __or__(self, other: Any) -> Any:
        return Union[self, other]  # noqa: UP007 - the operator is this one

    def __ror__(self, other: Any) -> Any:
        return Union[other, self]  # noqa: UP007


def _wanted(value: Any, hint: Any) -> str:
    """What the hint asks for, in words, if the value is not that; else nothing."""
    kind, inner = get_origin(hint) or hint, get_args(hint)
    if kind is Any or isinstance(hint, TypeVar):
        return ""
    if kind is Literal:
        kind = str
    if _is_array_like(hint):
        words = "numbers, or an array of them"
        fits = _numbers(value) is not None or (value is None and type(None) in inner)
    elif kind in (Union, types.UnionType):
        each = [_wanted(value, alternative) for alternative in inner]
        words, fits = " or ".join(each), not all(each)
    elif hint == MayBeInfinite:
        words, fits = "numbers, or an array of them", _numbers(value) is not None
    elif kind in (float, int):
        words = "a number" if kind is float else "a whole number"
        fits = _is_number(value, numbers.Real if kind is float else numbers.Integral)
    elif kind is Sequence:
        entries = value if _listed(value) else ()
        of = max((_wanted(entry, inner[0]) for entry in entries), default="")
        words, fits = f"a list, each entry {of}" if of else "a list", _listed(value) and not of
    elif isinstance(kind, _Named):
        words = f"a {kind.name}"
        fits = any(
            parent.__name__ == kind.name.rpartition(".")[2] for parent in type(value).__mro__
        )
    elif isinstance(kind, type):
        words, fits = _WORDS.get(kind, f"a {kind.__name__}"), isinstance(value, kind)
    else:
        words, fits = "None", value is None or kind is not None
    return "" if fits else words


def _numbers(value: Any) -> np.ndarray | None:
    """The value as an array of real numbers, if it is one."""
    try:
        array = np.asarray(value)
    except (ValueError, TypeError):  # rows of different lengths
        return None
    return array if array.dtype.kind in "fiub" else None


def _is_number(value: Any, kind: type) -> bool:
    if isinstance(value, np.ndarray) and value.ndim == 0 and kind is numbers.Real:
        value = value[()]
    return isinstance(value, kind) and not isinstance(value, bool)


def _listed(value: Any) -> bool:
    array = isinstance(value, np.ndarray) and value.ndim > 0 and value.dtype.kind != "c"
    return array or (isinstance(value, Sequence) and not isinstance(value, str | bytes))


def _is_array_like(hint: Any) -> bool:
    """Whether a hint is an array, or NumPy's of what becomes one, alone or beside others.

    That is a union of many types, and since NumPy 2.5 (with Python 3.12) the name of one.
    """
    united = get_origin(hint) in (Union, types.UnionType)
    beside, parts = get_args(hint) if united else (), get_args(npt.ArrayLike)
    named = npt.ArrayLike in (hint, *beside)
    return hint is np.ndarray or named or (bool(parts) and all(part in beside for part in parts))


def _is_infinite(value: Any, hint: Any) -> bool:
    """Whether what should be finite is not."""
    if hint == MayBeInfinite:
        return False
    if get_origin(hint) is Sequence:
        (inner,) = get_args(hint)
        return any(_is_infinite(entry, inner) for entry in value)
    if not _is_array_like(hint) and not _is_number(value, numbers.Real):
        return False
    array = _numbers(value)
    return array is not None and array.dtype.kind == "f" and not np.isfinite(array).all()
