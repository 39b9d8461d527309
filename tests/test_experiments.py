"""helpers.experiments: tables that survive a kill and cannot be older than their code."""

import json
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

from helpers import experiments, sweeps
from helpers.experiments import Experiment, Table, TableError


def train(data, seed, *, rate, size=1):
    if rate > 1:
        return {"loss": [2.0, float("nan")], "final": None}
    return {"loss": [data - rate * seed, data / 3], "final": size}


@pytest.fixture
def experiment(tmp_path, monkeypatch):
    monkeypatch.setattr(experiments, "digest", lambda names: "now")
    return Experiment(
        name="toy",
        question="?",
        train=train,
        grid={"rate": [0.1, 1.0, 2.0], "size": [1, 2]},
        seeds=(0, 1),
        tolerance={"loss": 0.01, "final": 0.0},
        load=lambda: 3.0,
        folder=tmp_path,
    )


def test_compute_then_read(experiment):
    table = experiment.compute()
    assert table == experiment.table()
    loss = table.array("loss", "rate", "size", "seed")
    assert loss.shape == (3, 2, 2, 2)
    assert loss[0, 0, 1].tolist() == [2.9, 1]
    assert np.isnan(loss[2, :, :, 1]).all()
    assert table.axis("rate").tolist() == [0.1, 1, 2]
    assert table.axis("seed").tolist() == [0, 1]
    assert table.array("final", "seed", rate=1.0, size=2).tolist() == [2, 2]
    row = json.loads(experiment.path.read_text().splitlines()[0])
    assert set(row) == {"configuration", "seed", "results", "versions", "digest"}
    assert set(row["versions"]) == {"python", "keras", "numpy", "tensorflow", "machine"}


def test_results_keep_six_digits(experiment):
    precise = replace(experiment, load=lambda: 0.123456789)
    assert precise.compute().array("loss", "seed", rate=0.1, size=1)[0, 0] == 0.123457


def test_whole_numbers_are_stored_without_a_point(experiment):
    counts = replace(
        experiment,
        train=lambda data, seed: {"wrong": [7, 8.0, 0.5]},
        grid={},
        tolerance={"wrong": 0},
    )
    counts.compute()
    assert json.loads(counts.path.read_text().splitlines()[0])["results"] == {"wrong": [7, 8, 0.5]}
    assert "8.0" not in counts.path.read_text().split("versions")[0]


def test_an_interrupted_run_goes_on(experiment):
    trained = []

    def stopping(rows):
        for i, row in enumerate(rows):
            if i == 5:
                raise KeyboardInterrupt
            yield row

    with pytest.raises(KeyboardInterrupt):
        experiment.compute(progress=stopping)
    assert len(experiment.path.read_text().splitlines()) == 5
    with pytest.raises(TableError, match=r"lacks .*make experiment NAME=toy"):
        experiment.table()
    experiment.compute(progress=lambda rows: trained.extend(rows) or rows)
    assert len(trained) == 12 - 5
    assert not list(experiment.folder.glob("*.new"))


def test_only_rows_of_older_code_are_trained_again(experiment, monkeypatch):
    experiment.compute()
    lines = experiment.path.read_text().splitlines()
    lines[3] = lines[3].replace('"now"', '"before"')
    experiment.path.write_text("\n".join(lines) + "\n")
    with pytest.raises(TableError, match="digest before, which is now now"):
        experiment.table()
    again = []
    experiment.compute(progress=lambda rows: again.extend(rows) or rows)
    assert len(again) == 1
    experiment.table()


def test_code_that_changes_while_it_runs_is_noticed(experiment, monkeypatch):
    digests = iter(["now"] * 3 + ["later"] * 99)
    monkeypatch.setattr(experiments, "digest", lambda names: next(digests))
    with pytest.raises(TableError, match="changed while it ran"):
        experiment.compute()


def test_a_larger_grid_keeps_what_is_there(experiment):
    experiment.compute()
    larger = replace(experiment, seeds=(0, 1, 2))
    again = []
    larger.compute(progress=lambda rows: again.extend(rows) or rows)
    assert len(again) == 6
    with pytest.raises(TableError, match="not in the grid"):
        experiment.table()
    experiment.compute()
    experiment.table()


def test_a_damaged_file_is_named(experiment):
    experiment.compute()
    with experiment.path.open("a") as file:
        file.write('{"seed": 1\n')
    with pytest.raises(TableError, match=r"toy.jsonl, line 13: not a row"):
        experiment.table()


def test_verify_accepts_the_truth_and_refuses_another_number(experiment):
    experiment.compute()
    rows = experiment.table().rows
    experiment.verify(rows)

    def drifted(data, seed, **configuration):
        results = train(data, seed, **configuration)
        return {**results, "loss": [results["loss"][0] + 0.02, results["loss"][1]]}

    changed = replace(experiment, train=drifted)
    with pytest.raises(TableError, match="loss is"):
        changed.verify([row for row in rows if row["seed"] == 0])


def test_verify_does_not_take_nan_for_a_number(experiment):
    experiment.compute()
    rows = experiment.table().rows

    def diverging(data, seed, **configuration):
        return {**train(data, seed, **configuration), "loss": [2.0, None]}

    with pytest.raises(TableError):
        replace(experiment, train=diverging).verify(rows[:1])

    def surviving(data, seed, **configuration):
        return {"loss": [2.0, 2.0], "final": 1}

    with pytest.raises(TableError):
        replace(experiment, train=surviving).verify(rows[-1:])


def test_how_far_a_run_diverged_is_not_compared(experiment):
    experiment.compute()
    rows = experiment.table().rows[:1]  # its loss is stored as 3.0 and 1.0

    def exploded(data, seed, **configuration):
        return {**train(data, seed, **configuration), "loss": [3e30, 1.0]}

    changed = replace(experiment, train=exploded)
    with pytest.raises(TableError):
        changed.verify(rows)
    with pytest.raises(TableError):
        replace(changed, diverged_beyond=5.0).verify(rows)  # a number was expected
    replace(changed, diverged_beyond=0.5).verify(rows[:0])
    replace(experiment, diverged_beyond=0.5).verify(rows)


def test_samples_take_turns_until_every_row_was_tried(experiment):
    experiment.compute()
    seen = [
        json.dumps(row, sort_keys=True) for turn in range(6) for row in experiment.sample(2, turn)
    ]
    assert len(set(seen)) == 12


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda t: t.array("accuracy", "rate"), "no 'accuracy'"),
        (lambda t: t.array("loss", "depth"), "no 'depth'"),
        (lambda t: t.array("loss", "rate"), "single out"),
        (lambda t: t.array("loss", "rate", depth=3), "no row has"),
        (lambda t: t.axis("depth"), "no 'depth'"),
    ],
)
def test_a_table_refuses_what_it_does_not_have(experiment, call, message):
    table = experiment.compute()
    with pytest.raises(TableError, match=message):
        call(table)


@pytest.mark.parametrize(
    "changed",
    [
        {"name": "Two Words"},
        {"grid": {"rate": []}},
        {"grid": {"rate": [1, 1]}},
        {"seeds": ()},
        {"tolerance": {}},
        {"tolerance": {"loss": -1}},
        {"tolerance": {"loss": float("nan")}},
    ],
)
def test_a_bad_definition_is_refused(experiment, changed):
    with pytest.raises(ValueError, match="found"):
        replace(experiment, **changed)


def test_an_empty_sample_is_refused(experiment):
    experiment.compute()
    with pytest.raises(ValueError, match="at least 1"):
        experiment.sample(0, 1)


def test_a_table_without_rows():
    with pytest.raises(TableError, match="no row"):
        Table(()).array("loss")


@pytest.mark.parametrize("name", list(sweeps.SWEEPS))
def test_stored_tables_are_complete_and_as_new_as_their_code(name):
    experiment = sweeps.SWEEPS[name]
    table = experiment.table()
    assert experiment.name == name
    assert set(experiment.tolerance) == set(table.rows[0]["results"])
    assert experiment.path.stat().st_size < 500_000
    assert len({json.dumps(row["versions"], sort_keys=True) for row in table.rows}) == 1


def test_a_table_older_than_its_code_fails(book_copy):
    path = book_copy / "helpers" / "sweeps.py"
    text = path.read_text()
    assert "batch_size=32" in text
    path.write_text(text.replace("batch_size=32", "batch_size=64"))
    code = "from helpers.sweeps import VALLEY; VALLEY.table()"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=book_copy, capture_output=True, text=True, check=False
    )
    assert done.returncode != 0
    assert "make experiment NAME=learning-rate-valley" in done.stderr


def test_the_command_lists_the_experiments(capsys):
    sweeps.main([])
    assert "learning-rate-valley: What does" in capsys.readouterr().out


def test_one_two_five_and_what_is_left_of_a_diverged_training():
    assert experiments.one_two_five(-2, 0) == [0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0]
    assert experiments.one_two_five(3, 3) == [1000.0]
    with pytest.raises(ValueError, match="low <= high"):
        experiments.one_two_five(1, 0)
    assert experiments.unless_diverged({"a": 1.0, "b": np.inf}) == {"a": None, "b": None}
    assert experiments.unless_diverged({"a": 1.0, "b": 2}) == {"a": 1.0, "b": 2}
