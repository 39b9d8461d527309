"""helpers.reproducible: seeds that move, and a quiet start."""

import random
import subprocess
import sys

import numpy as np
import pytest

from helpers import reproducible


def test_seed_moves_by_a_stride(monkeypatch):
    assert reproducible.seed_of_run(42) == 42
    monkeypatch.setenv("BOOK_SEED", "3")
    assert reproducible.seed_of_run(42) == 3042


@pytest.mark.parametrize("seed", [-1, 1.5, "42", True, 2**31])
def test_a_bad_seed_is_refused(seed):
    with pytest.raises(ValueError, match="seed must be an integer"):
        reproducible.seed_of_run(seed)


@pytest.mark.parametrize("name", ["BOOK_SEED", "BOOK_THREADS"])
def test_a_bad_variable_is_refused(monkeypatch, name):
    monkeypatch.setenv(name, "many")
    with pytest.raises(ValueError, match=name):
        reproducible.begin(keras=False)


def test_progress_is_shown_to_people_only(monkeypatch):
    monkeypatch.delenv("BOOK_CHAPTER", raising=False)
    assert reproducible.verbose() == 1
    monkeypatch.setenv("BOOK_CHAPTER", "first-network")
    assert reproducible.verbose() == 0


def test_begin_seeds_python_and_numpy():
    reproducible.begin(7, keras=False)
    first = np.random.random(), random.random()  # noqa: NPY002
    reproducible.begin(7, keras=False)
    assert (np.random.random(), random.random()) == first  # noqa: NPY002


def test_without_keras_tensorflow_is_not_loaded():
    code = (
        "import sys; from helpers import *; from helpers import claims, data, experiments, models, "
    )
    code += "plots, reproducible, source, sweeps; reproducible.begin(keras=False); "
    code += "assert not {'tensorflow', 'keras', 'matplotlib', 'IPython'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_begin_starts_tensorflow_quietly_and_seeds_keras():
    code = """
import os, sys
from helpers import reproducible
reproducible.begin(1)
import keras
a = float(keras.random.normal(()))
reproducible.begin(1)
assert float(keras.random.normal(())) == a
model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
model.compile("sgd", "mse", jit_compile=True)
import numpy as np
model.fit(np.ones((4, 1)), np.ones(4), verbose=0)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr == ""
    assert done.stdout == ""


def test_real_warnings_still_reach_the_reader():
    code = """
import os
from helpers.reproducible import quiet_startup
with quiet_startup():
    os.write(2, b"I0000 port.cc] oneDNN custom operations are on.\\nE0000 disk full\\n")
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr == "E0000 disk full\n"


def test_threads_can_be_set():
    code = """
from helpers import reproducible
reproducible.begin(1)
import tensorflow as tf
assert tf.config.threading.get_intra_op_parallelism_threads() == 1
"""
    import os

    environment = {**os.environ, "BOOK_THREADS": "1"}
    subprocess.run([sys.executable, "-c", code], check=True, env=environment, capture_output=True)


def test_importing_helpers_is_quick():
    code = "import time; t = time.perf_counter(); import helpers; print(time.perf_counter() - t)"
    runs = [
        float(subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout)
        for _ in range(3)
    ]
    assert min(runs) < 0.2
