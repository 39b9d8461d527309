"""helpers.claims: what is printed, what is refused, what nbval may not see."""

import configparser
import json
import math
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from helpers.claims import MASKS, Bound, ClaimError, claim, claim_table
from tools import ROOT

finite = st.floats(-1e6, 1e6)


def masked(text):
    for pattern, replacement in MASKS:
        text = re.sub(pattern, replacement, text)
    return text


@pytest.mark.parametrize(
    ("value", "bound", "line"),
    [
        (0.893, {"at_least": 0.88}, "✓ a: 0.893 (at least 0.88)"),
        (np.float32(3), {"at_most": 3}, "✓ a: 3 (at most 3)"),
        (-1e-7, {"between": (-1, 0)}, "✓ a: -1e-07 (between -1 and 0)"),
        (0.5, {"close_to": 0.51, "tolerance": 0.02}, "✓ a: 0.5 (close to 0.51, within 0.02)"),
    ],
)
def test_claim_prints_one_line(capsys, value, bound, line):
    claim("a", value, **bound)
    assert capsys.readouterr().out == line + "\n"
    assert masked(line) == masked(line.replace(line.split()[2], "7.25", 1))
    assert masked(line) != masked(line.replace("a:", "b:"))
    assert masked(line) != masked(line[:-2] + "9)")


@pytest.mark.parametrize(
    ("value", "bound"),
    [
        (0.8, {"at_least": 0.81}),
        (0.8, {"at_most": 0.79}),
        (0.8, {"between": (0.81, 0.9)}),
        (0.8, {"between": (0.7, 0.79)}),
        (0.8, {"close_to": 0.5, "tolerance": 0.29}),
        (math.nan, {"at_least": 0}),
        (math.nan, {"between": (0, 1)}),
        (math.inf, {"at_least": 0}),
        (-math.inf, {"at_most": 0}),
    ],
)
def test_claim_fails_where_the_bound_does_not_hold(value, bound):
    with pytest.raises(ClaimError, match="✗ accuracy"):
        claim("accuracy", value, **bound)


@pytest.mark.parametrize(
    ("bound", "message"),
    [
        ({}, "exactly one bound"),
        ({"at_least": 0, "at_most": 1}, "at_least and at_most"),
        ({"close_to": 1}, "belong together"),
        ({"at_least": 0, "tolerance": 1}, "belong together"),
        ({"close_to": 1, "tolerance": 0}, "greater than 0"),
        ({"between": (1, 0)}, "smallest, largest"),
        ({"between": (1,)}, "pair"),
        ({"at_least": math.nan}, "finite"),
        ({"at_most": math.inf}, "finite"),
        ({"at_most": "high"}, "real number"),
    ],
)
def test_claim_refuses_an_unusable_bound(bound, message):
    with pytest.raises(ClaimError, match=message):
        claim("accuracy", 0.5, **bound)


@pytest.mark.parametrize(
    "value", ["0.9", True, np.True_, None, [0.9], np.array([0.9]), 1j, np.complex64(1)]
)
def test_claim_refuses_what_is_not_one_number(value):
    with pytest.raises(ClaimError, match="one real number"):
        claim("accuracy", value, at_least=0)


@pytest.mark.parametrize("text", ["", " ", "two\nlines", 3])
def test_claim_refuses_a_text_that_is_not_one_line(text):
    with pytest.raises(ClaimError, match="one line"):
        claim(text, 1, at_least=0)


def test_a_bound_holds_at_its_limits():
    assert Bound(at_least=0.5).holds(0.5)
    assert Bound(at_most=0.5).holds(0.5)
    assert Bound(between=(0.5, 0.75)).holds(0.5)
    assert Bound(between=(0.5, 0.75)).holds(0.75)
    assert Bound(close_to=0.5, tolerance=0.25).holds(0.25)
    assert Bound(close_to=0.5, tolerance=0.25).holds(0.75)


@given(value=finite, low=finite, high=finite)
def test_bounds_agree_with_plain_comparison(value, low, high):
    low, high = sorted((low, high))
    assert Bound(between=(low, high)).holds(value) == (low <= value <= high)
    assert Bound(at_least=low).holds(value) == (value >= low)
    assert Bound(at_most=high).holds(value) == (value <= high)


def test_table_masks_each_value_and_keeps_each_bound(capsys):
    def lines(train, test, bound=0.5):
        claim_table(
            "accuracy",
            {
                "train": {"first": (train, Bound(at_least=0.1)), "last": (1, Bound(at_least=0))},
                "test": {"first": (test, Bound(at_least=bound)), "last": (1, Bound(at_least=0))},
            },
        )
        return capsys.readouterr().out

    assert lines(0.5, 0.6).splitlines()[1].split() == [
        "train",
        "|",
        "✓",
        "0.5",
        "(at",
        "least",
        "0.1)",
        "|",
        "✓",
        "1",
        "(at",
        "least",
        "0)",
    ]
    assert masked(lines(0.5, 0.6)) == masked(lines(0.123456, 0.7))
    assert masked(lines(0.5, 0.6)) != masked(lines(0.5, 0.6, bound=0.4))
    assert "0.123" not in masked(lines(0.123456, 0.7))


def test_table_names_every_cell_that_fails():
    rows = {name: {"x": (0.1, Bound(at_least=0.2))} for name in ("one", "two")}
    with pytest.raises(ClaimError, match=r"(?s)one, x: 0\.1.*two, x: 0\.1"):
        claim_table("t", rows)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ({}, "at least one row"),
        ({"a": {"x": (1, Bound(at_least=0))}, "b": {"y": (1, Bound(at_least=0))}}, "columns"),
        ({"a": {"x": (1, 0.5)}}, "expected a Bound"),
    ],
)
def test_table_refuses_what_is_not_a_table(rows, message):
    with pytest.raises(ClaimError, match=message):
        claim_table("t", rows)


def test_masks_touch_nothing_else():
    for text in (
        "accuracy: 0.5 (at least 0.4)",
        "✓ done",
        "0.5 (at least 0.4)",
        "✓ a: 0.5 (about 1)",
    ):
        assert masked(text) == text


def test_nbval_uses_these_masks():
    config = configparser.RawConfigParser()
    config.read(ROOT / "nbval.cfg", encoding="utf-8")
    assert tuple((config[s]["regex"], config[s]["replace"]) for s in config.sections()) == MASKS


def test_claims_are_logged_also_where_they_fail(tmp_path, monkeypatch):
    log = tmp_path / "claims.jsonl"
    monkeypatch.setenv("CLAIMS_LOG", str(log))
    monkeypatch.setenv("BOOK_CHAPTER", "first-network")
    claim("a", 0.5, at_least=0)
    with pytest.raises(ClaimError):
        claim("b", 0.5, at_least=1)
    rows = [json.loads(line) for line in log.read_text().splitlines()]
    assert rows == [
        {
            "chapter": "first-network",
            "text": "a",
            "value": 0.5,
            "bound": "at least 0",
            "holds": True,
        },
        {
            "chapter": "first-network",
            "text": "b",
            "value": 0.5,
            "bound": "at least 1",
            "holds": False,
        },
    ]


def test_a_table_is_printed_to_the_letter(capsys):
    low, high = Bound(at_least=0.8), Bound(between=(0.75, 1))
    claim_table(
        "accuracy",
        {
            "train": {"epoch 1": (0.81, low), "2": (0.9, high)},
            "a test": {"epoch 1": (0.80001, low), "2": (0.80004, high)},
        },
    )
    assert capsys.readouterr().out == (
        "accuracy | epoch 1                     | 2\n"
        "train    | ✓       0.81 (at least 0.8) | ✓        0.9 (between 0.75 and 1)\n"
        "a test   | ✓        0.8 (at least 0.8) | ✓        0.8 (between 0.75 and 1)\n"
    )
    claim_table("  a", {"b": {"c": (1, low)}})
    assert capsys.readouterr().out.splitlines()[0] == "  a | c"


def test_what_fails_in_a_table_is_a_line_each():
    bound = Bound(at_least=1)
    with pytest.raises(ClaimError) as caught:
        claim_table("t", {"a": {"x": (0.1, bound), "y": (2, bound), "z": (0.2, bound)}})
    assert str(caught.value).splitlines() == [
        "✗ t: a, x: 0.1 (claimed: at least 1)",
        "✗ t: a, z: 0.2 (claimed: at least 1)",
    ]


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([1], "takes rows by name, found"),
        (3, "takes rows by name, found"),
        ({"a": [(1, Bound(at_least=0))]}, "row 'a': expected pairs"),
        ({"a": {"x": [1, Bound(at_least=0)]}}, "expected pairs"),
        ({"a": {"x": (1, 2, Bound(at_least=0))}}, "expected pairs"),
        ({"a": {"x": "12"}}, "expected pairs"),
        ({"a": {"x": 1}}, "expected pairs"),
    ],
)
def test_rows_that_are_none_are_refused(rows, message):
    with pytest.raises(TypeError, match=message):
        claim_table("t", rows)


def test_what_is_wrong_is_named():
    with pytest.raises(ClaimError, match=r"^the value of 'speed' must be one real number"):
        claim("speed", "fast", at_least=0)
    with pytest.raises(ClaimError, match=r"^a bound must be finite"):
        Bound(at_least=math.inf)
    with pytest.raises(ClaimError, match=r"^a bound must be one real number"):
        Bound(at_most="high")
    assert Bound(close_to=1, tolerance=0.5).holds(0.5)


def test_a_claim_outside_a_chapter_is_logged_without_one(tmp_path, monkeypatch):
    log = tmp_path / "claims.jsonl"
    monkeypatch.setenv("CLAIMS_LOG", str(log))
    monkeypatch.delenv("BOOK_CHAPTER", raising=False)
    claim("a → b", 1, at_least=0)
    assert json.loads(log.read_text(encoding="utf-8"))["chapter"] == ""
    monkeypatch.delenv("CLAIMS_LOG")
    claim("not logged", 1, at_least=0)
    assert len(log.read_text().splitlines()) == 1


@pytest.mark.parametrize("value", [np.int8(3), np.uint16(3), np.float16(3), np.array(3.0), 3])
def test_any_real_scalar_is_a_number(value, capsys):
    claim("a", value, close_to=3, tolerance=0.1)
    assert "a: 3 (" in capsys.readouterr().out
