"""Runs under other conditions: what is kept of them, when they are run again, and what the page says."""

import base64
import io
import json
import subprocess
import sys

import nbformat
import pytest
from docutils import nodes
from PIL import Image

from tools import ROOT, evidence, evidence_page, notebooks, run_claims
from tools.evidence import Condition, conditions, current, drawn_apart, lacking, record
from tools.evidence_page import Evidence, room, spread
from tools.loose import excused, loose, relative_room, unexcused
from tools.pictures import SAME, difference
from tools.stored_claims import Claim, fallen, limits, stored_claims

CHAPTERS = notebooks.chapters()


def picture(brightness, size=(100, 50)):
    """A figure of one grey, as a notebook stores it."""
    file = io.BytesIO()
    Image.new("L", size, brightness).save(file, "PNG")
    return base64.b64encode(file.getvalue()).decode()


def test_two_figures_are_compared_from_afar():
    assert difference(picture(200), picture(200)) == 0
    assert difference(picture(200), picture(150)) == 0
    assert difference(picture(200), picture(50)) == 100
    half = Image.new("L", (96, 48), 200)
    half.paste(0, (0, 0, 48, 48))
    file = io.BytesIO()
    half.save(file, "PNG")
    assert difference(picture(200, (96, 48)), base64.b64encode(file.getvalue()).decode()) == 50
    assert difference(picture(200), picture(200, (100, 90))) == 100
    assert difference(picture(200), "") == 100


def chapter_of(*outputs):
    """A notebook whose code cells printed these texts."""
    printed = [[nbformat.v4.new_output("stream", text=text)] for text in outputs]
    cells = [nbformat.v4.new_code_cell("", outputs=each) for each in printed]
    return nbformat.v4.new_notebook(cells=[nbformat.v4.new_markdown_cell("# A title"), *cells])


SINGLE = "✓ accuracy: with Adam: 0.893 (at least 0.88)\n"
TABLE = (
    "error | epoch 1                      | epoch 2\n"
    "train | ✓       0.81 (at most 0.9)   | ✓   -1.5e-05 (between -1 and 1)\n"
    "test  | ✓       0.79 (close to 0.8, within 0.1) | ✓          2 (at least 1)\n"
)


def test_claims_are_read_from_what_is_printed():
    found = stored_claims(chapter_of("words\n", SINGLE + "a | b\n" + TABLE + SINGLE))
    assert found == [
        Claim(2, "accuracy: with Adam", 0.893, "at least 0.88"),
        Claim(2, "error: train, epoch 1", 0.81, "at most 0.9"),
        Claim(2, "error: train, epoch 2", -1.5e-05, "between -1 and 1"),
        Claim(2, "error: test, epoch 1", 0.79, "close to 0.8, within 0.1"),
        Claim(2, "error: test, epoch 2", 2.0, "at least 1"),
        Claim(2, "accuracy: with Adam", 0.893, "at least 0.88"),
    ]


@pytest.mark.parametrize("path", CHAPTERS, ids=lambda path: path.stem)
def test_no_tick_in_a_chapter_is_missed(path):
    notebook = nbformat.read(path, 4)
    texts = [o.get("text", "") for c in notebook.cells for o in c.get("outputs", [])]
    found = stored_claims(notebook)
    assert len(found) == sum(text.count("✓") for text in texts) > 0
    for claim in found:
        low, high = limits(claim.bound)
        assert low <= claim.value * (1 + 1e-3) or low <= claim.value
        assert claim.value * (1 - 1e-3) <= high or claim.value <= high


@pytest.mark.parametrize(
    ("bound", "expected"),
    [
        ("at least 0.5", (0.5, float("inf"))),
        ("at most -1e-05", (float("-inf"), -1e-05)),
        ("between -1 and 2.5", (-1.0, 2.5)),
        ("close to 0.5, within 0.25", (0.25, 0.75)),
    ],
)
def test_limits_of_a_bound(bound, expected):
    assert limits(bound) == expected


def test_other_words_are_no_bound():
    with pytest.raises(ValueError, match="expected a bound"):
        limits("more or less 3")


def answer_of(*cells):
    """What a run answers: for each cell its claims (text, value, bound, holds), text and error."""
    names = ("text", "value", "bound", "holds")
    return {
        "versions": {"python": "3.11"},
        "cells": [
            {
                "claims": [dict(zip(names, c, strict=True)) for c in claims],
                "text": text,
                "error": error,
                "pictures": pictures,
            }
            for claims, text, error, *pictures in cells
        ],
    }


def test_what_is_kept_of_a_run():
    stored = chapter_of(SINGLE, "✓ loss: 2 (at most 3)\n✓ steps: 4 (at most 9)\n", "words\n")
    kept = record(
        answer_of(
            ([("accuracy: with Adam", 0.7, "at least 0.88", False)], "", "ClaimError: ✗"),
            ([("loss at 0.1", 1.23456789, "at most 3", True)], "", "NameError: x"),
            ([], "other words\n", ""),
        ),
        stored,
    )
    assert kept["values"] == [0.7, 1.23456789, None]
    assert fallen(stored_claims(stored), kept["values"]) == [0, 2]
    assert kept["worded otherwise"] == [1]
    assert kept["errors"] == {"1": "ClaimError: ✗", "2": "NameError: x"}
    assert 3 in kept["printed otherwise"]


def test_a_run_that_states_more_claims_than_are_stored_is_an_error():
    claims = [("accuracy", 0.9, "at least 0.88", True), ("loss", 0.1, "at most 1", True)]
    assert "more claims" in record(answer_of((claims, "", "")), chapter_of(SINGLE))["errors"]["1"]


def test_a_chapter_whose_outputs_are_older_than_its_code_is_refused(monkeypatch):
    monkeypatch.setattr(evidence, "_stamped", lambda notebook: "older")
    with pytest.raises(SystemExit, match="run make execute first: first-network"):
        evidence.main(["--only", "seed 1", "--chapters", "first-network", "--list"])


def test_only_the_number_of_a_claim_may_be_printed_otherwise():
    claims = [("accuracy: with Adam", 0.9, "at least 0.88", True)]
    text = SINGLE.replace("0.893", "0.9")
    kept = record(answer_of((claims, text, "")), chapter_of(SINGLE))
    assert kept["printed otherwise"] == []
    kept = record(answer_of((claims, text + "more\n", "")), chapter_of(SINGLE))
    assert kept["printed otherwise"] == [1]


def test_how_far_a_figure_is_from_the_stored_one_is_kept():
    grey, black = picture(200), picture(0)
    stored = chapter_of("", "", "", "")
    for cell, drawn in zip(stored.cells[1:], (grey, grey, grey, None), strict=True):
        data = {"image/png": drawn} if drawn else {}
        cell.outputs = [nbformat.v4.new_output("display_data", data=data)]
    kept = record(
        answer_of(([], "", "", grey), ([], "", "", black), ([], "", ""), ([], "", "", grey)), stored
    )
    assert kept["drawn otherwise"] == {"2": 100, "3": 100, "4": 100}


def test_a_figure_may_move_half_as_far_again_as_in_any_run(tmp_path):
    notebook = chapter_of("")
    notebook.metadata["learning_rates"] = {"results": "now"}
    path = tmp_path / "small.ipynb"
    nbformat.write(notebook, path)
    assert drawn_apart(path, 3, tmp_path) == SAME
    evidence.store("small", "seed 1", {"results": "old", "drawn otherwise": {"4": 8.0}}, tmp_path)
    assert drawn_apart(path, 3, tmp_path) == SAME + 12
    for seed, apart in ((2, {"3": 2.0}), (3, {"3": 4.0, "4": 9.0})):
        run = {"results": "now", "drawn otherwise": apart}
        evidence.store("small", f"seed {seed}", run, tmp_path)
    evidence.store("small", "seed 4", {"results": "now"}, tmp_path)
    evidence.store("small", "untrained", {"results": "now", "drawn otherwise": {"3": 90}}, tmp_path)
    assert drawn_apart(path, 3, tmp_path) == SAME + 6
    assert drawn_apart(path, 5, tmp_path) == SAME


def test_conditions():
    names = [c.name for c in conditions(range(1, 4))]
    assert names[:3] == ["seed 1", "seed 2", "seed 3"]
    assert len(set(names)) == len(names)
    assert {"AVX2 only", "oneDNN off", "one thread", "oldest versions", "untrained"} <= set(names)
    known = conditions(range(1, 13))
    assert [c.name for c in evidence.named(known, ["seed 1"])] == ["seed 1"]
    assert [c.name for c in evidence.named(known, ["Python", "AVX2"])] == [
        "AVX2 only",
        "Python 3.11",
        "Python 3.12",
        "Python 3.13",
    ]
    assert evidence.named(known, []) == known


def test_a_run_is_repeated_when_code_or_versions_changed(tmp_path, monkeypatch):
    monkeypatch.setattr(evidence, "FOLDER", tmp_path)
    monkeypatch.setattr(evidence.read, "__defaults__", (tmp_path,))
    wanted = [Condition("seed 1"), Condition("new", {}, "newest versions")]
    here, newest = {"numpy": "2.4"}, {"numpy": "2.5"}
    versions = {"": here, "newest versions": newest}
    assert len(lacking(wanted, {"a": "1", "b": "2"}, versions)) == 4
    evidence.store("a", "seed 1", {"results": "1", "versions": here}, tmp_path)
    evidence.store("a", "new", {"results": "1", "versions": newest}, tmp_path)
    assert lacking(wanted, {"a": "1"}, versions) == []
    assert lacking(wanted, {"a": "other"}, versions) == [("a", c) for c in wanted]
    raised = {**versions, "": {"numpy": "2.6"}}
    assert lacking(wanted, {"a": "1"}, raised) == [("a", wanted[0])]
    assert not current(None, "1", here)
    assert current({"results": "1", "versions": here}, "1", None)


def test_what_is_stored_is_whole_at_any_time(tmp_path):
    evidence.store("a", "seed 2", {"values": [1.0]}, tmp_path)
    evidence.store("a", "seed 1", {"values": [2.0]}, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["a.json"]
    assert evidence.read("a", tmp_path) == {
        "runs": {"seed 1": {"values": [2.0]}, "seed 2": {"values": [1.0]}}
    }
    assert len((tmp_path / "a.json").read_text().splitlines()) == 4  # a line a run
    assert evidence.read("b", tmp_path) == {"runs": {}}


CELLS = """\
from helpers import reproducible
from helpers.claims import claim
seed = reproducible.begin(keras=False)
%%
claim("seed", seed, at_most=50)
claim("after it", 1, at_least=1)
claim("no number", float("nan"), at_least=1)
claim("never reached", 1, at_least=1)
%%
claim("a later cell", 2, at_least=1)
print("done")
"""


@pytest.mark.slow
def test_a_run_goes_on_after_what_fell(tmp_path):
    cells = [nbformat.v4.new_code_cell(code.strip()) for code in CELLS.split("%%\n")]
    notebook, answer = tmp_path / "small.ipynb", tmp_path / "answer.json"
    nbformat.write(nbformat.v4.new_notebook(cells=cells), notebook)
    environment = {"PYTHONPATH": str(ROOT), "BOOK_SEED": "1", "CLAIMS_LOG": str(tmp_path / "log")}
    command = [sys.executable, str(ROOT / "tools" / "run_claims.py"), str(notebook), str(answer)]
    subprocess.run(command, env={**environment, "PATH": "", "HOME": str(tmp_path)}, check=True)
    found = json.loads(answer.read_text())
    assert found["versions"] == run_claims.versions()
    assert [[c["text"] for c in cell["claims"]] for cell in found["cells"]] == [
        [],
        ["seed", "after it", "no number"],
        ["a later cell"],
    ]
    assert "✓ seed: 1042 (at most 50)" in found["cells"][1]["text"]
    assert found["cells"][1]["error"].startswith("ClaimError: ✗ no number: nan")
    assert found["cells"][2]["text"].endswith("done\n")


# ---------------------------------------------------------------------------- the page


RUN = {
    "results": "now",
    "commit": "abc",
    "processor": "One",
    "versions": {"python": "3.11", "tensorflow": "2", "keras": "3", "numpy": "2"},
    "errors": {},
}
TWO = Evidence(
    "small",
    "A title",
    [Claim(1, "a < b", 0.9, "at least 0.88"), Claim(2, "loss", 1.0, "between 0 and 3")],
    {
        "seed 1": {**RUN, "values": [0.95, 2.0]},
        "seed 2": {**RUN, "values": [0.7, None]},
        "AVX2 only": {**RUN, "values": [0.9, 1.0]},
        "untrained": {**RUN, "values": [0.1, 9.0]},
    },
    ["Python 3.12"],
)


def test_what_is_known_of_a_claim():
    assert TWO.values(0) == [0.9, 0.95, 0.7, 0.9]
    assert TWO.values(1) == [1.0, 2.0, 1.0]
    assert (TWO.held(0, True), TWO.held(0, False)) == ((1, 2), (1, 1))
    assert room("at least 0.88", [0.9, 0.7]) == pytest.approx(-0.18)
    assert room("between 0 and 3", [1.0, 2.5]) == pytest.approx(0.5)
    assert spread([1.0, 2.5]) == 1.5


def test_the_page_says_what_fell_and_what_is_old():
    text = evidence_page.page([TWO])
    assert "A title, seed 2: a \\< b was 0.7 (at least 0.88)" in text
    assert "A title, seed 2: loss was not reached" in text
    assert "untrained" not in text
    assert "Not yet run again since its code changed: Python 3.12." in text
    assert (
        '<tr id="small-1"><th scope="row"><a href="../chapters/small.html#cell-1">a &lt; b' in text
    )
    assert "<td>1 of 2</td><td>1 of 1</td>" in text
    whole = {"seed 1": TWO.runs["seed 1"]}
    assert "No claim fell" in evidence_page.page([Evidence("s", "T", TWO.claims, whole, [])])


def test_cells_of_a_chapter_tell_how_often_their_claims_held():
    document = nodes.document(None, None)
    for _ in range(3):
        document += nodes.container(nb_element="cell_code")
    evidence_page.link_cells(document, TWO, "../reference/evidence.html")
    assert [cell["ids"] for cell in document.children] == [["cell-1"], ["cell-2"], ["cell-3"]]
    links = list(document.findall(nodes.reference))
    assert [link.astext() for link in links] == ["Held with 1 of 2 other seeds"] * 2
    assert links[0]["refuri"] == "../reference/evidence.html#small-1"


# ---------------------------------------------------------------------------- bounds that say nothing


@pytest.mark.parametrize(
    ("bound", "values", "expected"),
    [
        ("at least 0.5", [0.9, 1.0], 4),  # 0.4 away, 0.1 apart
        ("between 0.8 and 5", [0.9, 1.0], 1),  # the nearer side counts
        ("at most 0.1", [1e-4, 1e-3], 2),  # two powers of ten away, one apart
        ("at most 10", [4.0, 4.001], 4.5),  # does not move: in thirds of its size
        ("between -0.3 and 0.2", [0.1, 0.1], 0.2),  # a margin
        ("at most 1", [0.0, 0.0], 0),
        ("at least 0.95", [0.9, 1.0], -0.513),
    ],
)
def test_how_far_a_bound_is_from_the_runs(bound, values, expected):
    assert relative_room(bound, values) == pytest.approx(expected, abs=1e-2)


def evidence_with(claims, *runs, untrained=None):
    """Evidence of claims, ten seeds of which the last ones say the same."""
    seeds = [*runs, *[runs[-1]] * (10 - len(runs))]
    named = {f"seed {i}": {**RUN, "values": run} for i, run in enumerate(seeds)}
    if untrained:
        named["untrained"] = {**RUN, "values": untrained}
    return Evidence("small", "Title", claims, named, [])


def test_a_claim_that_could_not_fail_is_found():
    near, far = Claim(1, "near", 0.9, "at least 0.85"), Claim(1, "far", 0.9, "at least 0.3")
    found = list(loose(evidence_with([near, far], [0.9, 0.9], [0.93, 0.93])))
    assert [claim for claim, _ in found] == [far]
    few = Evidence("small", "Title", [near, far], {"seed 1": {**RUN, "values": [0.9, 0.9]}}, [])
    assert not list(loose(few))


def test_claims_of_a_table_with_one_bound_count_as_one():
    claims = [Claim(1, f"table: row, {i}", 0.9, "at most 1") for i in "ab"]
    assert not list(loose(evidence_with(claims, [0.1, 0.9], [0.11, 0.95])))
    apart = [Claim(i, claim.text, 0.1, claim.bound) for i, claim in enumerate(claims)]
    assert len(list(loose(evidence_with(apart, [0.1, 0.9], [0.11, 0.95])))) == 1


def test_a_claim_about_training_that_needs_none_is_found():
    claims = [
        Claim(1, "accuracy", 0.9, "at least 0.85"),
        Claim(1, "loss", 0.3, "at most 0.35"),
        Claim(2, "share of zeros", 0.5, "at most 0.51"),
    ]
    runs = [0.9, 0.3, 0.5], [0.93, 0.33, 0.51]
    found = list(loose(evidence_with(claims, *runs, untrained=[0.86, 0.1, 0.5])))
    assert [claim.text for claim, why in found if "untrained" in why] == ["accuracy", "loss"]
    assert not list(loose(evidence_with(claims, *runs, untrained=[0.1, 2.3, 0.5])))


def test_a_reason_is_for_one_chapter_and_all_of_a_claims_words():
    claim = Claim(1, "largest difference", 0.0, "at most 1")
    known = [{"chapter": "small", "claim": "largest .*", "reason": "why"}]
    assert excused("small", claim, known) == "why"
    assert not excused("other", claim, known)
    assert not excused("small", claim, [{**known[0], "claim": "largest"}])


# ---------------------------------------------------------------------------- what is stored


@pytest.mark.parametrize("path", CHAPTERS, ids=lambda path: path.stem)
def test_no_claim_fell_in_what_is_stored(path):
    found = evidence_page.evidence_of(path, ROOT / "evidence")
    fell = {
        name: (found.fallen(run), run["errors"])
        for name, run in (found.group(True) | found.group(False)).items()
        if found.fallen(run) or run["errors"]
    }
    assert fell == {}
    for run in found.runs.values():
        assert len(run["values"]) == len(found.claims)


@pytest.mark.parametrize("path", CHAPTERS, ids=lambda path: path.stem)
def test_every_claim_could_fail(path):
    assert unexcused(path) == []
