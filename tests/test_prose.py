"""Measured numbers in the text of a chapter are quoted from its claims."""

import nbformat
import pytest

from tools import notebooks
from tools.prose import unguarded

CHAPTERS = notebooks.chapters()

SIZES = {
    *("70,000", "55,000", "20,000", "10,000"),  # images
    *("784", "128", "266,610", "267,810", "421,642", "242,602"),  # networks and their batches
}
"""What is counted, and nobody has to measure."""

NOT_MEASURED = {
    # calculated in the text, or counted
    "backpropagation": {"2.8"},
    "batch-norm": {"999", "260"},
    "decay-schedules": {"16.8", "0.9999999", "624", "25,000"},
    "first-network": {"65,025"},
    "hyperparameter-search": {"468", "0.101", "16,384", "1,024", "256"},
    "momentum-adaptive-optimizers": {"96.4", "23,000", "2,150", "1,580", "520", "0.72", "0.012"},
    "range-finding": {"480", "1.072"},
    "recipe": {"480", "25,785", "12,000"},
    "softmax-cross-entropy": {"312", "0.16", "0.84", "65,025"},
    "taylor-gradient-descent": {"0.08", "0.15"},
    "training-in-practice": {"105"},
    "warm-restarts": {
        "25,785",
        "4.3",
        "2,580",
        "1,664",
        "51,264",
        "196",
        "1.9999999999999998",
        "0.001",
    },
}
TOLD = {
    # a source's figure, its section, a version, a time to read, or a question's example
    "backpropagation": {"0.00001"},
    "decay-schedules": {"12.1"},
    "first-network": {"0.09"},
    "hyperparameter-search": {"15.2", "15.4", "14.9"},
    "momentum-adaptive-optimizers": {"2.15"},
    "recipe": {"91.56"},
    "softmax-cross-entropy": {"3.13", "6.2"},
    "training-in-practice": {"3.15", "90.4"},
    "warm-restarts": {"86.3"},
}


@pytest.mark.parametrize("path", CHAPTERS, ids=lambda path: path.stem)
def test_a_chapter_quotes_only_what_its_claims_guard(path):
    excused = SIZES | NOT_MEASURED.get(path.stem, set()) | TOLD.get(path.stem, set())
    found = list(unguarded(nbformat.read(path, 4)))
    assert [(number, words) for number, words in found if number not in excused] == []
    assert {number for number, _ in found} >= excused - SIZES  # no excuse is left over


CLAIM = "✓ test error: 0.1234 (at most 0.15)\n"


def chapter(text, code="x = 0.7", printed=CLAIM):
    output = nbformat.v4.new_output("stream", text=printed)
    cells = [nbformat.v4.new_markdown_cell(text), nbformat.v4.new_code_cell(code, outputs=[output])]
    return nbformat.v4.new_notebook(cells=cells)


@pytest.mark.parametrize(
    "text",
    [
        "The error is 12.3 %, so 87.7 % are right.",
        "The error is 0.123, at most 15 %.",
        "The rate is 0.7, as in the code.",
        "In 2017, five of 12 networks had $12.9$ in `12.9` and [it](https://a.b/12.9).",
    ],
)
def test_what_a_claim_or_the_code_holds_may_be_quoted(text):
    assert list(unguarded(chapter(text))) == []


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("The error is 12.4 %.", "12.4"),
        ("The error is 0.13.", "0.13"),
        ("It takes 1,300 steps.", "1,300"),
        ("It is 13 times as fast.", "13"),
    ],
)
def test_what_nothing_holds_is_found(text, number):
    assert [found for found, _ in unguarded(chapter(text))] == [number]
