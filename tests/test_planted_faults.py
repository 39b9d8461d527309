"""The checks of the chapters' outputs, tested from outside: in each chapter, what is broken is caught.

`check` looks at a chapter's file and runs nothing; nbval runs it and compares what is printed.
"""

import configparser
import copy
import functools
import re
from types import SimpleNamespace

import nbformat
import pytest
from nbval.plugin import IPyNbCell, nocolors

from helpers.source import definitions_used
from tools import ROOT, notebooks, stored_claims

CHAPTERS = notebooks.chapters()
each_chapter = pytest.mark.parametrize("path", CHAPTERS, ids=lambda path: path.stem)


def code_cells(notebook):
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def shows_figure(cell):
    return any("image/png" in o.get("data", {}) for o in cell.outputs)


# ---------------------------------------------------------------------------- nbval's comparison


def patterns():
    """What nbval masks."""
    read = configparser.RawConfigParser()
    read.read(ROOT / "nbval.cfg")
    return {read[name]["regex"]: read[name]["replace"] for name in read.sections()}


PARENT = SimpleNamespace(
    sanitize_patterns=patterns(),
    skip_compare=("metadata", "output_type", "name", "execution_count", "image/png"),
)


class Cell(SimpleNamespace):
    """As much of nbval's test of a cell as its comparison needs."""

    parent, colors = PARENT, nocolors
    sanitize, compare_outputs = IPyNbCell.sanitize, IPyNbCell.compare_outputs

    def format_output_compare(self, *_):
        pass


def caught(printed, stored):
    """Whether nbval finds that a cell printed something else than is stored."""
    return not Cell().compare_outputs(printed, stored)


def texts_of(output):
    """The texts of an output: how to get there, and each text."""
    if "text" in output:
        yield ("text",), output["text"]
    for kind, text in output.get("data", {}).items():
        if kind.startswith("text/"):
            yield ("data", kind), text


def with_text(output, where, text):
    """A copy of an output with another text."""
    changed = copy.deepcopy(output)
    place = changed
    for key in where[:-1]:
        place = place[key]
    place[where[-1]] = text
    return changed


def values_of_claims(text):
    """Where in a text the measured numbers of claims are, which may move."""
    spans, at = set(), 0
    for line in text.splitlines(keepends=True):
        bare = line.rstrip("\n")
        if found := stored_claims.SINGLE.match(bare):
            spans.add((at + found.start(2), at + found.end(2)))
        else:
            start = 0
            for entry in bare.split(" | "):
                if found := stored_claims.CELL.match(entry.strip()):
                    offset = at + start + entry.index(entry.strip())
                    spans.add((offset + found.start(1), offset + found.end(1)))
                start += len(entry) + 3
        at += len(line)
    return spans


@each_chapter
@pytest.mark.parametrize("planted", ["another digit", "NaN"])
def test_every_printed_number_is_compared_but_those_of_claims(path, planted):
    numbers = missed = 0
    for cell in code_cells(nbformat.read(path, 4)):
        for output in cell.outputs:
            for where, text in texts_of(output):
                free = values_of_claims(text)
                for number in re.finditer(r"(?<![\w.])-?\d+(?:\.\d+)?(?:e[-+]?\d+)?", text):
                    start, end = number.span()
                    digit = str((int(text[end - 1]) + 1) % 10)
                    value = "nan" if planted == "NaN" else number.group()[:-1] + digit
                    other = with_text(output, where, text[:start] + value + text[end:])
                    numbers += 1
                    if any(low <= start and end <= high for low, high in free):
                        missed += not caught([other], [output])
                    else:
                        assert caught([other], [output]), (text[:start][-60:], number.group())
    assert numbers > 50
    claims = stored_claims.stored_claims(nbformat.read(path, 4))
    assert missed <= len(claims)  # what they hide, and nothing else, the claims themselves compare


@each_chapter
def test_a_claim_that_is_worded_or_bounded_otherwise_is_caught(path):
    for cell in code_cells(nbformat.read(path, 4)):
        for output in cell.outputs:
            if "✓" in output.get("text", ""):
                text = output["text"]
                for other in (
                    text.replace("✓", "✗", 1),
                    re.sub(r"✓ ", "✓ not ", text, count=1),
                    re.sub(r"\((at least|at most|between|close to) ", r"(\1 1", text, count=1),
                    text + "\n",
                ):
                    assert caught([with_text(output, ("text",), other)], [output])


@each_chapter
def test_outputs_that_are_missing_or_swapped_are_caught(path):
    cells = [c for c in code_cells(nbformat.read(path, 4)) if c.outputs]
    for cell, following in zip(cells, [*cells[1:], cells[0]], strict=True):
        assert caught([], cell.outputs)
        assert caught(cell.outputs[:-1], cell.outputs)
        assert caught([*cell.outputs, cell.outputs[0]], cell.outputs)
        assert caught(following.outputs, cell.outputs)
        assert not caught(cell.outputs, cell.outputs)


# ---------------------------------------------------------------------------- check


def change_a_value(notebook):
    for cell in code_cells(notebook):
        for output in cell.outputs:
            if found := re.search(r"\d", output.get("text", "")):
                digit = str((int(found.group()) + 1) % 10)
                output["text"] = output["text"].replace(found.group(), digit, 1)
                return


def swap_two_cells(notebook):
    places = [i for i, cell in enumerate(notebook.cells) if cell.cell_type == "code"][1:]
    one, two = places[len(places) // 2 :][:2]
    notebook.cells[one], notebook.cells[two] = notebook.cells[two], notebook.cells[one]


def swap_two_cells_and_count_again(notebook):
    swap_two_cells(notebook)
    notebooks.normalise(notebook)


def delete_an_output(notebook):
    next(cell for cell in reversed(code_cells(notebook)) if cell.outputs).outputs = []


def take_alt_text(notebook):
    cell = next(cell for cell in code_cells(notebook) if shows_figure(cell))
    for output in cell.outputs:
        output.get("metadata", {}).get("image/png", {}).pop("alt", None)


def show_another_figure(notebook):
    one, two = [cell for cell in code_cells(notebook) if shows_figure(cell)][:2]
    pictures = [
        next(o for o in cell.outputs if "image/png" in o.get("data", {})) for cell in (one, two)
    ]
    pictures[0].data["image/png"] = pictures[1].data["image/png"]


def draw_otherwise(notebook):
    cell = next(cell for cell in code_cells(notebook) if shows_figure(cell))
    cell.source = re.sub(r"\d", lambda m: str((int(m.group()) + 1) % 10), cell.source, count=1)


def loosen_a_claim(notebook):
    for cell in code_cells(notebook):
        if found := re.search(r"(at_least|at_most)=(-?[\d.]+)", cell.source):
            sign = -1 if found.group(1) == "at_least" else 1
            bound = float(found.group(2)) + sign
            cell.source = cell.source.replace(found.group(), f"{found.group(1)}={bound}", 1)
            return


def drop_a_claim(notebook):
    for cell in code_cells(notebook):
        for output in cell.outputs:
            if "✓" in output.get("text", ""):
                output["text"] = re.sub(r"✓.*\n?", "", output["text"], count=1)
                return


def forget_a_count(notebook):
    code_cells(notebook)[-1].execution_count = None


def warn(notebook):
    cell = code_cells(notebook)[1]
    cell.outputs.append(nbformat.v4.new_output("stream", name="stderr", text="a warning"))


def leave_out_of_the_comparison(notebook):
    code_cells(notebook)[2].metadata["tags"] = ["nbval-ignore-output"]


FAULTS = {
    change_a_value: "not those that its code printed",
    swap_two_cells: "execution counts",
    swap_two_cells_and_count_again: "older than its code",
    delete_an_output: "not those that its code printed",
    take_alt_text: "alt text",
    show_another_figure: "not those that its code printed",
    draw_otherwise: "older than its code",
    loosen_a_claim: "older than its code",
    drop_a_claim: "not those that its code printed",
    forget_a_count: "execution counts",
    warn: "stored stderr",
    leave_out_of_the_comparison: "excluded from comparison",
}


remembered = functools.cache(notebooks._digest_of)  # of one code, while no helper changes


@each_chapter
@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__)
def test_a_fault_in_the_file_is_caught(path, fault, tmp_path, monkeypatch):
    monkeypatch.setattr(notebooks, "_digest_of", remembered)
    notebook = nbformat.read(path, 4)
    fault(notebook)
    broken = tmp_path / path.name
    broken.write_text(nbformat.writes(notebook) + "\n", encoding="utf-8")
    assert FAULTS[fault] in "\n".join(notebooks.check(broken, ROOT))


@each_chapter
def test_a_helper_that_changed_is_caught(path, book_copy):
    """In the middle of the functions that the chapter uses, something is done otherwise."""
    cells = code_cells(nbformat.read(path, 4))[1:]
    code = "\n".join(re.sub(r"(?m)^(\s*)[%!].*$", r"\1pass", cell.source) for cell in cells)
    used = sorted(definitions_used(code, book_copy / "helpers"))
    module, name = used[len(used) // 2]
    helper = book_copy / "helpers" / f"{module}.py"
    source = helper.read_text(encoding="utf-8")
    last = re.search(rf"(?ms)^(?:def|class) {name}\b.*?(?=^\S|\Z)(?!\))", source)
    copied = book_copy / "chapters" / path.name
    assert notebooks.check(copied, book_copy) == []
    if last:
        begin = last.group().index('"""', last.group().index('"""') + 3) + 3
        broken = last.group()[:begin] + "\n    planted = 1" + last.group()[begin:]
        helper.write_text(source.replace(last.group(), broken), encoding="utf-8")
    else:  # a constant
        helper.write_text(
            re.sub(rf"(?m)^{name}\b", f"{name} = 1\n{name}", source), encoding="utf-8"
        )
    assert "older than its code" in "\n".join(notebooks.check(copied, book_copy))
