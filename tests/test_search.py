"""helpers.search: samples and designs on their scales, and studies that survive their workers."""

import math
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections import Counter
from contextlib import closing
from pathlib import Path

import numpy as np
import optuna
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from helpers import search
from helpers.search import (
    Range,
    Search,
    SearchError,
    at_random,
    coarse_to_fine,
    create_study,
    grid,
    open_study,
    quasi_random,
    status,
    work,
    zoom,
)

SPACE = {
    "learning_rate": Range(1e-4, 1.0, "log"),
    "momentum": Range(0.0, 0.99, "one minus log"),
    "batch_size": Range(16, 512, "log", integer=True),
    "dropout": Range(0.0, 0.5),
}


def rng(seed=0):
    return np.random.default_rng(seed)


# ---------------------------------------------------------------------------- ranges and samples


@pytest.mark.parametrize(
    ("values", "middle"),
    [
        (Range(2.0, 4.0), 3.0),
        (Range(1e-4, 1.0, "log"), 1e-2),
        (Range(0.9, 0.999, "one minus log"), 0.99),
        (Range(0.0, 0.99, "one minus log"), 0.9),
        (Range(1, 9, integer=True), 5),
        (Range(3, 3, integer=True), 3),
        (Range(16, 1024, "log", integer=True), 126),  # the root of 15.5 * 1024.5
    ],
)
def test_a_range_begins_at_low_ends_at_high_and_has_its_scales_mean_in_the_middle(values, middle):
    assert values.at(0).item() == values.low
    assert values.at(1).item() == values.high
    assert values.at(0.5).item() == pytest.approx(middle, rel=1e-12)


@given(
    low=st.floats(-1e6, 1e6), width=st.floats(1e-3, 1e6), scale=st.sampled_from(list(search.SCALES)),
    u=st.floats(0, 1),
)  # fmt: skip
def test_positions_and_values_are_inverse(low, width, scale, u):
    if scale == "log":
        low = abs(low) + 1e-6
    if scale == "one minus log":
        low, width = -abs(low), min(width, 0.999)
    values = Range(low, low + width, scale)
    assert values.low <= values.at(u) <= values.high
    assert values.position(values.at(u)) == pytest.approx(u, abs=1e-5)


def test_rounding_carries_no_value_out_of_its_range():
    values = Range(0.0001, 0.27, "log")  # exp(log(0.27)) is less
    assert values.at(1) == 0.27
    values = Range(0.0388, 0.05, "log")  # and that of the number before log(0.05) more
    assert values.at(np.nextafter(1, 0)) <= 0.05
    values = Range(0.0012, 0.04, "log")  # exp(log(0.0012)) is less
    assert values.at(1e-17) >= 0.0012


def test_ranges_compute_in_double_precision_whatever_they_are_given():
    values = Range(1e-4, 1.0, "log")
    single = np.array([0.1, 0.3, 0.7], dtype=np.float32)
    for found in (values.at, values.position, search._worst_for_nan):
        assert found(single).dtype == np.float64
        assert np.array_equal(found(single), found(single.astype(float)))


def test_integers_share_the_range_as_their_formulas_say():
    n = 200_000
    drawn = search.integer_uniform(1, 6, n, rng())
    assert drawn.dtype == np.int64
    np.testing.assert_allclose(np.bincount(drawn)[1:] / n, 1 / 6, atol=0.004)
    drawn = search.integer_log_uniform(1, 5, n, rng())
    k = np.arange(1, 6)
    expected = np.log((k + 0.5) / (k - 0.5)) / np.log(5.5 / 0.5)
    np.testing.assert_allclose(np.bincount(drawn)[1:] / n, expected, atol=0.004)


def test_samples_are_uniform_on_their_scale():
    n = 100_000
    quarters = [0.25, 0.5, 0.75]
    for drawn, expected in [
        (search.uniform(-1.0, 3.0, n, rng()), [0.0, 1.0, 2.0]),
        (search.log_uniform(1e-4, 1.0, n, rng()), [1e-3, 1e-2, 1e-1]),
        (search.one_minus_log_uniform(0.0, 0.9999, n, rng()), [0.9, 0.99, 0.999]),
    ]:
        assert drawn.shape == (n,)
        for quantile, value in zip(quarters, expected, strict=True):
            assert (drawn < value).mean() == pytest.approx(quantile, abs=0.006)


def test_the_same_rng_draws_the_same():
    for draw in (at_random, quasi_random):
        assert draw(SPACE, 5, rng(1)) == draw(SPACE, 5, rng(1)) != draw(SPACE, 5, rng(2))
        assert draw(SPACE, 0, rng()) == []


@pytest.mark.parametrize(
    "arguments",
    [
        (1.0, 1.0),
        (2.0, 1.0),
        (math.nan, 1.0),
        (0.0, math.inf),
        (0.0, 1.0, "log"),
        (-1.0, 1.0, "log"),
        (0.9, 1.0, "one minus log"),
        (0, 1, "one minus log", True),
        (0.5, 2, "linear", True),
        (1.0, 2.0, "logarithmic"),
    ],
)
def test_a_range_that_cannot_be_is_refused(arguments):
    with pytest.raises(SearchError):
        Range(*arguments)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((True, 2.0), "low must be a number, found True"),
        ((0.1, "1"), "high must be a number, found '1'"),
        ((0.1, 1.0, None), "scale is one of"),
        ((0, 3, "linear", 1), "integer must be True or False, found 1"),
    ],
)
def test_what_is_no_number_makes_no_range(arguments, said):
    with pytest.raises(TypeError, match=said):
        Range(*arguments)


def test_bad_input_is_refused_by_name():
    with pytest.raises(TypeError, match=r"numpy\.random\.Generator, found 0"):
        search.uniform(0, 1, 3, 0)
    with pytest.raises(SearchError, match="size must be a whole number, at least 0, found -1"):
        search.log_uniform(0.1, 1, -1, rng())
    for design in (lambda s: grid(s, 2), lambda s: at_random(s, 2, rng())):
        with pytest.raises(SearchError, match="a Range for each name"):
            design({})
        with pytest.raises(SearchError, match="a Range for each name"):
            design({"learning_rate": (0.1, 1.0)})
    with pytest.raises(SearchError, match="levels has"):
        grid(SPACE, {"learning_rate": 3})
    for levels in (0, 2.5, True):
        with pytest.raises(SearchError, match="levels of learning_rate"):
            grid(SPACE, {**dict.fromkeys(SPACE, 2), "learning_rate": levels})
    for draw in (at_random, quasi_random):
        with pytest.raises(SearchError, match="size must be a whole number, at least 0, found -1"):
            draw(SPACE, -1, rng())
    with pytest.raises(SearchError, match="from 0 to 1"):
        Range(0, 1).at(1.5)
    with pytest.raises(SearchError, match="values must lie from 0 to 1"):
        Range(0, 1).position(2.0)
    with pytest.raises(SearchError, match="low must be less than high, found 2 and 1"):
        Range(2, 1)
    for name in ("rounds", "keep"):
        with pytest.raises(SearchError, match=f"{name} must be a whole number, at least"):
            coarse_to_fine(lambda c: 0.0, SPACE, rng=rng(), **{name: 0})
    tried = at_random(SPACE, 4, rng())
    with pytest.raises(SearchError, match="keep must be a whole number, at least 2, found 1"):
        zoom(SPACE, tried, [1.0] * 4, 1)
    for losses, configurations in ([1.0] * 5, tried), ([1.0] * 2, tried[:2]):
        with pytest.raises(SearchError, match="as many losses as configurations, 3 or more"):
            zoom(SPACE, configurations, losses)


# ---------------------------------------------------------------------------- designs


def test_a_grid_has_every_combination_once_and_both_ends():
    points = grid(SPACE, {"learning_rate": 5, "momentum": 3, "batch_size": 2, "dropout": 1})
    assert len(points) == len({tuple(p.values()) for p in points}) == 30
    rates = sorted({p["learning_rate"] for p in points})
    assert rates == pytest.approx([1e-4, 1e-3, 1e-2, 1e-1, 1.0])
    assert sorted({p["momentum"] for p in points}) == pytest.approx([0.0, 0.9, 0.99])
    assert {p["batch_size"] for p in points} == {16, 512}
    assert {p["dropout"] for p in points} == {0.25}
    assert len(grid({"n": Range(1, 3, integer=True)}, 10)) == 3
    assert all(type(p["batch_size"]) is int for p in points)


@pytest.mark.parametrize("draw", [at_random, quasi_random])
def test_n_points_try_n_values_of_each(draw):
    points = draw(SPACE, 64, rng())
    for name, values in SPACE.items():
        tried = [p[name] for p in points]
        assert values.low <= min(tried) <= max(tried) <= values.high
        if not values.integer:
            assert len(set(tried)) == 64


def test_a_quasi_random_design_is_more_even_than_chance():
    from scipy.stats import qmc

    def unevenness(draw, seed):
        points = draw(SPACE, 32, rng(seed))
        columns = [values.position([p[name] for p in points]) for name, values in SPACE.items()]
        return qmc.discrepancy(np.transpose(columns))

    chance, quasi = ([unevenness(d, seed) for seed in range(20)] for d in (at_random, quasi_random))
    assert np.mean(quasi) < 0.6 * np.mean(chance)


def test_a_zoom_surrounds_the_best_on_their_scale():
    space = {"rate": Range(1e-4, 1.0, "log")}
    tried = [{"rate": rate} for rate in (1e-4, 1e-3, 1e-2, 1e-1, 1.0)]
    smaller = zoom(space, tried, [5.0, 3.0, 1.0, 2.0, math.nan], keep=2)["rate"]
    assert smaller.scale == "log"
    assert (smaller.low, smaller.high) == pytest.approx((10**-2.5, 10**-0.5))  # a gap is a decade
    one = zoom(space, tried, [5.0, 1.0, 4.0, 1.0, math.nan], keep=2)["rate"]
    assert (one.low, one.high) == pytest.approx((1e-4, 1.0))  # never out of the space


def test_of_equal_losses_a_zoom_keeps_the_first_three():
    space = {"n": Range(1, 100, integer=True)}
    tried = [{"n": n} for n in range(1, 51)]
    smaller = zoom(space, tried, [1.0] * 50)["n"]
    assert smaller == zoom(space, tried, [0.0] * 3 + [1.0] * 47, keep=3)["n"]
    assert smaller != zoom(space, tried, [0.0] * 3 + [1.0] * 47, keep=4)["n"]
    assert smaller.integer
    assert (smaller.low, smaller.high) == (1, 4)
    firsts = [float(n % 2 or n > 6) for n in range(1, 51)]  # 2, 4 and 6
    assert zoom(space, tried, [1.0, 0.0] * 25) == zoom(space, tried, firsts)
    assert search._worst_for_nan([math.nan, 2]).tolist() == [math.inf, 2.0]


@given(st.data())
def test_a_zoom_holds_the_points_it_keeps_and_lies_within(data):
    size, keep = data.draw(st.integers(4, 20)), data.draw(st.integers(2, 4))
    draw = data.draw(st.sampled_from([at_random, lambda s, n, r: (grid(s, 2) * 3)[:n]]))
    tried = draw(SPACE, size, rng(data.draw(st.integers(0, 99))))
    assume(len(tried) >= keep)
    losses = data.draw(st.lists(st.floats(), min_size=len(tried), max_size=len(tried), unique=True))
    smaller = zoom(SPACE, tried, losses, keep)
    best = sorted(range(len(tried)), key=lambda i: (math.isnan(losses[i]), losses[i]))[:keep]
    for name, values in smaller.items():
        assert SPACE[name].low <= values.low <= values.high <= SPACE[name].high
        assert all(values.low <= tried[i][name] <= values.high for i in best)


def test_coarse_to_fine_comes_closer_than_as_many_points_at_random():
    space = {"x": Range(1e-4, 1.0, "log"), "y": Range(0.0, 1.0)}

    def loss(c):
        return math.log10(c["x"] / 0.02) ** 2 + (c["y"] - 0.7) ** 2

    def best(found):
        return min(loss for r in found for loss in r.losses)

    zoomed = [best(coarse_to_fine(loss, space, rng=rng(seed))) for seed in range(50)]
    once = [best(coarse_to_fine(loss, space, rounds=1, size=27, rng=rng(s))) for s in range(50)]
    assert np.median(zoomed) < np.median(once) / 2
    rounds = coarse_to_fine(loss, space, rounds=2, size=5, keep=2, rng=rng())
    assert rounds[0].space == space
    assert rounds[1].space == zoom(space, rounds[0].configurations, rounds[0].losses, keep=2)
    assert len(coarse_to_fine(loss, space, rng=rng())) == 3
    assert {len(r.configurations) for r in coarse_to_fine(loss, space, rng=rng())} == {9}
    assert search._contains({"n": Range(1, 3, integer=True)}, {"n": 1})
    assert search._contains({"n": Range(1, 3, integer=True)}, {"n": 3})
    assert not search._contains({"n": Range(1, 3, integer=True)}, {"n": 4})
    assert all(search._contains(rounds[1].space, c) for c in rounds[1].configurations)
    with pytest.raises(SearchError, match="size must be a whole number, at least 3"):
        coarse_to_fine(loss, space, size=2, rng=rng())


def test_coarse_to_fine_survives_nan():
    found = coarse_to_fine(lambda c: math.nan, {"x": Range(0.0, 1.0)}, rng=rng())
    assert len(found) == 3


# ---------------------------------------------------------------------------- studies in memory


def bowl(configuration, report):
    loss = math.log10(configuration["x"] / 0.02) ** 2 + (configuration["momentum"] - 0.9) ** 2
    for step in range(1, 10):
        report(step, loss + 1 / step)
    return loss


BOWL = Search({"x": Range(1e-4, 1.0, "log"), "momentum": Range(0.0, 0.99, "one minus log")}, bowl)


def test_a_study_in_memory_tries_what_its_design_says():
    study = create_study(BOWL, 6, method="quasi-random", seed=3)
    lines = []
    work(study, BOWL, say=lines.append)
    design = quasi_random(BOWL.space, 6, rng(3))
    tried = [search._values(t.params) for t in study.trials]
    for planned, done in zip(design, tried, strict=True):
        assert done == pytest.approx(planned)
    counts = status(study)
    assert (counts["complete"], counts["waiting"], counts["lost"]) == (6, 0, 0)
    assert counts["best"]["loss"] == min(bowl(c, lambda *_: None) for c in tried)
    assert len(lines) == 6
    assert lines[-1].startswith("[6/6] trial 5: loss ")


def test_tpe_finds_better_than_chance_and_the_same_again():
    def best(method, seed):
        study = create_study(BOWL, 40, method=method, seed=seed)
        work(study, BOWL, say=lambda line: None)
        return status(study)["best"]["loss"]

    assert best("tpe", 1) == best("tpe", 1)
    medians = {m: np.median([best(m, seed) for seed in range(5)]) for m in ("tpe", "random")}
    assert medians["tpe"] < medians["random"]


def test_halving_stops_the_worse_and_keeps_the_best():
    for halving in (None, 3):
        study = create_study(BOWL, 27, method="random", halving=halving)
        work(study, BOWL, say=lambda line: None)
        counts, steps = status(study), [len(t.intermediate_values) for t in study.trials]
        if halving is None:
            assert (counts["complete"], counts["pruned"], set(steps)) == (27, 0, {9})
            best = counts["best"]
    assert set(steps) == {1, 3, 9}
    assert counts["pruned"] > 13
    assert counts["best"] == best


def test_a_loss_that_is_nan_is_the_worst():
    losses = iter([math.nan, 1.0, math.nan])
    found = Search(BOWL.space, lambda *_: next(losses))
    study = create_study(found, 3, method="random")
    work(study, found, say=lambda line: None)
    assert status(study)["complete"] == 3
    assert [t.value for t in study.trials] == [math.inf, 1.0, math.inf]
    assert status(study)["best"]["loss"] == 1.0


def test_a_worker_that_comes_too_late_for_the_last_trial_does_nothing(monkeypatch):
    study = create_study(BOWL, 1)
    work(study, BOWL, say=lambda line: None)
    seen = iter([{"waiting": 1, "running": 0}, {"waiting": 0, "running": 0}])
    monkeypatch.setattr(search, "status", lambda study: next(seen))
    lines = []
    work(
        study, Search(BOWL.space, lambda *_: pytest.fail("tried what nobody planned")), lines.append
    )
    monkeypatch.undo()
    assert lines == []
    assert status(study)["complete"] == 1
    assert status(study)["lost"] == 0


def test_ctrl_c_after_a_trial_is_done_does_not_make_it_again(monkeypatch):
    study = create_study(BOWL, 2, method="random")
    optimize = study.optimize

    def done_and_interrupted(*arguments, **settings):
        optimize(*arguments, **settings)
        raise KeyboardInterrupt

    monkeypatch.setattr(study, "optimize", done_and_interrupted)
    with pytest.raises(KeyboardInterrupt):
        work(study, BOWL, say=lambda line: None)
    counts = status(study)
    assert (counts["waiting"], counts["complete"], counts["lost"]) == (1, 1, 0)


@pytest.mark.parametrize("method", ["random", "tpe"])
def test_an_interrupted_trial_is_tried_again_with_the_same_values(method):
    tried = []

    def evaluate(configuration, report):
        tried.append(configuration)
        if len(tried) == 2:
            raise KeyboardInterrupt
        return configuration["x"]

    interrupted = Search(BOWL.space, evaluate)
    study = create_study(interrupted, 2, method=method)
    with pytest.raises(KeyboardInterrupt):
        work(study, interrupted, say=lambda line: None)
    work(study, interrupted, say=lambda line: None)
    assert len(tried) == 3
    assert tried[1] == tried[2] != tried[0]
    assert (status(study)["complete"], status(study)["lost"]) == (2, 0)


def test_notes_of_others_on_a_study_do_not_matter():
    study = create_study(BOWL, 2)
    study.set_user_attr("note", "by somebody else")
    trial = study.ask()
    trial.set_user_attr("note", "by somebody else")
    study.add_trial(optuna.trial.create_trial(value=0.0, user_attrs={"note": "mine"}))
    assert status(study)["lost"] == 0
    assert search._alive(study) == {0, 1}


def test_what_a_study_cannot_be_is_said():
    for arguments, words in [
        ({"trials": 0}, "trials must be a whole number, at least 1"),
        ({"trials": 3, "method": "grid"}, "method is one of"),
        ({"trials": 3, "halving": 1}, "halving must be"),
        ({"trials": 3, "heartbeat": 0}, "heartbeat must be"),
        ({"trials": 3, "storage": "sqlite:///a.db"}, "module:NAME"),
    ]:
        with pytest.raises(SearchError, match=words):
            create_study(BOWL, **arguments)
    for path in ("nowhere:X", "math:nothing", "math", "math:pi", ""):
        with pytest.raises(SearchError):
            search.find_search(path)
    with pytest.raises(SearchError, match="pass its search"):
        work(create_study(BOWL, 1))
    for url in ("nonsense", "sqlite:////no/such/folder/a.db", "oracle://x/y"):
        with pytest.raises(SearchError, match=r"storage|driver"):
            open_study(url, "a")
    with pytest.raises(SearchError) as refusal:
        open_study("postgresql://me:secret@127.0.0.1:1/none", "a")
    assert "secret" not in str(refusal.value)


# ---------------------------------------------------------------------------- studies of many

MODULE = """
import os, time
from pathlib import Path
from helpers.search import Range, Search

def begun():
    return len({line.split()[0] for line in Path("log").read_text().splitlines()})

def evaluate(configuration, report):
    with open("log", "a") as log:
        log.write(f"{os.getpid()} {configuration['x']!r}\\n")
    end = time.monotonic() + 60
    while begun() < int(os.environ.get("WORKERS", "1")) and time.monotonic() < end:
        time.sleep(0.05)
    for step in range(1, 1 + int(os.environ.get("STEPS", "2"))):
        time.sleep(0.05)
        report(step, configuration["x"])
    if Path("broken").exists():
        raise ValueError("this code is broken")
    return configuration["x"]

SEARCH = Search({"x": Range(1e-3, 1.0, "log")}, evaluate)
"""


@pytest.fixture(scope="session")
def postgresql():
    """The address of a PostgreSQL server of our own, as an ordinary user's processes."""
    pytest.importorskip("psycopg", reason="needs the extra `cluster`")
    installed = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda p: p.parent.name)
    found = shutil.which("initdb")
    if not installed and not found:
        pytest.skip("needs a PostgreSQL server: apt-get install postgresql")
    binaries = installed[-1] if installed else Path(found).parent
    folder = Path(tempfile.mkdtemp(prefix="book-postgresql-"))
    as_user = []
    if os.geteuid() == 0:  # the server refuses root
        shutil.chown(folder, "nobody")
        as_user = ["runuser", "-u", "nobody", "--"]

    def call(program, *arguments):
        command = [*as_user, str(binaries / program), "-D", str(folder / "data"), *arguments]
        subprocess.run(command, check=True, cwd=folder, stdout=subprocess.DEVNULL)

    call("initdb", "-A", "trust", "-U", "book", "--no-sync")
    options = f"-k {folder} -c listen_addresses='' -c fsync=off"
    call("pg_ctl", "-w", "-l", str(folder / "log"), "-o", options, "start")
    yield f"postgresql://book@/postgres?host={folder}"
    call("pg_ctl", "-m", "immediate", "stop")
    shutil.rmtree(folder)


class Machine:
    """A folder with a search in it, a storage, and workers."""

    def __init__(self, folder, storage):
        self.folder, self.storage, self.name = folder, storage, folder.name
        (folder / "searched.py").write_text(MODULE)
        self.started = []

    def start(self, action, *arguments, **environment):
        where = ("--storage", self.storage, "--study", self.name)
        process = subprocess.Popen(
            [sys.executable, "-m", "helpers.search", action, *where, *map(str, arguments)],
            cwd=self.folder,
            env={**os.environ, **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.started.append(process)
        return process

    def call(self, action, *arguments, code=0, **environment):
        process = self.start(action, *arguments, **environment)
        output, _ = process.communicate(timeout=60)
        assert process.returncode == code, output
        return output

    def create(self, trials, *arguments):
        return self.call(
            "create", "--search", "searched:SEARCH", "--trials", trials, "--heartbeat", 1,
            "--method", "random", *arguments,
        )  # fmt: skip

    def status(self):
        return status(open_study(self.storage, self.name))

    def log(self):
        """Which process tried which value."""
        lines = (
            (self.folder / "log").read_text().splitlines() if (self.folder / "log").exists() else []
        )
        return [(int(pid), float(x)) for pid, x in map(str.split, lines)]

    def suspend(self, process):
        """Stop a process, as a laptop that is closed, but not in a transaction: all would wait."""
        for _ in range(40):
            process.send_signal(signal.SIGSTOP)
            os.waitpid(process.pid, os.WUNTRACED)
            if self.is_free():
                return
            process.send_signal(signal.SIGCONT)
            time.sleep(0.1)
        raise AssertionError("the process is always in a transaction")

    def is_free(self):
        """Whether no other process has a transaction open."""
        if self.storage.startswith("sqlite"):
            with closing(sqlite3.connect(self.folder / "search.db", timeout=0)) as connection:
                try:
                    connection.execute("BEGIN IMMEDIATE")
                except sqlite3.OperationalError:  # locked
                    return False
            return True
        import psycopg

        others = "backend_type = 'client backend' AND pid <> pg_backend_pid()"
        with psycopg.connect(self.storage) as connection:
            busy = f"SELECT count(*) FROM pg_stat_activity WHERE state <> 'idle' AND {others}"
            return connection.execute(busy).fetchone() == (0,)

    def wait_for(self, condition, seconds=30):
        end = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < end, self.status()
            time.sleep(0.05)


@pytest.fixture(params=["sqlite", "postgresql"])
def machine(request, tmp_path):
    if request.param == "sqlite":
        storage = f"sqlite:///{tmp_path.as_posix()}/search.db"
    else:
        storage = request.getfixturevalue("postgresql")
    machine = Machine(tmp_path, storage)
    yield machine
    for process in machine.started:
        process.kill()
        process.communicate()


@pytest.mark.slow
def test_workers_share_the_queue_and_none_does_what_another_did(machine):
    machine.create(40)
    workers = [machine.start("worker", STEPS="0", WORKERS="2") for _ in range(4)]
    for worker in workers:
        output, _ = worker.communicate(timeout=120)
        assert worker.returncode == 0, output
        assert "complete  40" in output
    values = Counter(x for _, x in machine.log())
    planned = {c["x"] for c in at_random({"x": Range(1e-3, 1.0, "log")}, 40, rng(0))}
    assert set(values) == planned
    assert set(values.values()) == {1}
    assert len({pid for pid, _ in machine.log()}) > 1
    counts = machine.status()
    assert (counts["complete"], counts["running"], counts["lost"]) == (40, 0, 0)
    assert counts["best"]["loss"] == min(planned)


@pytest.mark.slow
def test_a_worker_that_is_killed_loses_its_trial_only_and_another_takes_it_up(machine):
    machine.create(4)
    victim = machine.start("worker", STEPS="600")
    machine.wait_for(lambda: len(machine.log()) == 1)
    victim.kill()
    victim.wait()
    assert machine.status()["running"] == 1
    output = machine.call("worker")
    assert "complete  4" in output
    values = Counter(x for _, x in machine.log())
    assert sorted(values.values()) == [1, 1, 1, 2]
    assert values[machine.log()[0][1]] == 2
    assert machine.status()["lost"] == 0


@pytest.mark.slow
def test_a_worker_that_is_killed_right_after_it_took_a_trial_loses_nothing(machine):
    machine.create(2)
    study = open_study(machine.storage, machine.name)
    with pytest.warns(UserWarning, match="Heartbeat"):
        study.ask()  # and no sign of life afterwards
    assert "complete  2" in machine.call("worker")


@pytest.mark.slow
def test_a_study_goes_on_after_all_workers_are_gone(machine):
    machine.create(6)
    workers = [machine.start("worker", STEPS="20") for _ in range(2)]
    machine.wait_for(lambda: machine.status()["complete"] >= 2)
    for worker in workers:
        worker.kill()
        worker.wait()
    assert machine.status()["complete"] < 6
    assert "complete  6" in machine.call("worker")
    assert machine.status()["lost"] == 0


@pytest.mark.slow
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_worker_ends_cleanly_and_puts_its_trial_back(machine, how):
    machine.create(3)
    worker = machine.start("worker", STEPS="600")
    machine.wait_for(lambda: len(machine.log()) == 1)
    worker.send_signal(how)
    output, _ = worker.communicate(timeout=20)
    assert worker.returncode == 130, output
    assert "Traceback" not in output
    assert "back in the queue" in output
    counts = machine.status()
    assert (counts["waiting"], counts["running"], counts["lost"]) == (3, 0, 0)
    assert "complete  3" in machine.call("worker")


@pytest.mark.slow
def test_a_worker_that_slept_too_long_finds_its_trial_given_away_and_goes_on(machine):
    machine.create(2)
    sleeper = machine.start("worker", STEPS="10")
    machine.wait_for(lambda: len(machine.log()) == 1)
    machine.suspend(sleeper)
    assert "complete  2" in machine.call("worker")
    sleeper.send_signal(signal.SIGCONT)
    output, _ = sleeper.communicate(timeout=30)
    assert sleeper.returncode == 0, output
    assert "given to another worker" in output
    assert machine.status()["complete"] == 2


@pytest.mark.slow
def test_a_trial_whose_code_fails_is_lost_until_the_study_is_made_again(machine):
    machine.create(3)
    (machine.folder / "broken").touch()
    assert "this code is broken" in machine.call("worker", code=1)
    assert machine.status()["lost"] == 1
    (machine.folder / "broken").unlink()
    assert "complete  2" in machine.call("worker")
    assert "waiting   1" in machine.create(3)
    assert "complete  3" in machine.call("worker")
    refused = machine.call("create", "--search", "searched:SEARCH", "--trials", 9, code=1)
    assert "exists, with" in refused


@pytest.mark.slow
def test_successive_halving_works_across_workers(machine):
    machine.create(12, "--halving", 2)
    workers = [machine.start("worker", STEPS="4") for _ in range(2)]
    assert [worker.wait(timeout=60) for worker in workers] == [0, 0]
    counts = machine.status()
    assert counts["pruned"] + counts["complete"] == 12
    assert counts["pruned"] >= 4
    planned = [c["x"] for c in at_random({"x": Range(1e-3, 1.0, "log")}, 12, rng(0))]
    assert counts["best"]["loss"] == min(planned)


@pytest.mark.slow
@pytest.mark.parametrize("machine", ["sqlite"], indirect=True)
def test_a_full_disk_ends_a_worker_with_a_message_and_the_next_goes_on(machine):
    machine.create(40)
    size = (machine.folder / "search.db").stat().st_size + 2000
    code = (
        "import resource, sys\n"
        f"resource.setrlimit(resource.RLIMIT_FSIZE, ({size}, {size}))\n"  # what a full disk does
        "from helpers.search import main\n"
        "sys.exit(main(sys.argv[1:]))"
    )
    arguments = ["worker", "--storage", machine.storage, "--study", machine.name]
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        cwd=machine.folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1, done.stdout
    assert "the storage failed" in done.stderr
    assert "Traceback" not in done.stderr
    machine.create(40)  # puts the trial back that was running
    assert "complete  40" in machine.call("worker")
