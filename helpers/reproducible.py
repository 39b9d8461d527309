"""One place for a run's seed, its threads and TensorFlow's chatter.

`begin` does not switch on TensorFlow's "deterministic ops": with them Keras drops
`jit_compile` and says so only in a warning, and on one machine the runs of this book are
bit-identical without. Between machines they are not, with or without.
"""

from __future__ import annotations

import contextlib
import logging
import os
import random
import re
import sys
import tempfile
from collections.abc import Iterator

from helpers.checks import checked

__all__ = ["begin", "quiet_startup", "seed_of_run", "verbose"]

SEED_STRIDE = 1000
"""Distance between the seeds of two values of BOOK_SEED: room for a chapter's own seeds."""

_STARTUP_CHATTER = re.compile(
    r"All log messages before absl::InitializeLog|oneDNN custom operations are on"
    r"|Could not find cuda drivers|This TensorFlow binary is optimized"
    r"|To enable the following instructions|failed call to cuInit|computation_placer"
    r"|Unable to register cu\w+ factory|Attempting to register factory for plugin cu"
)


def seed_of_run(seed: int = 42) -> int:
    """Return the seed of this run: seed + 1000 BOOK_SEED.

    The environment variable BOOK_SEED (0 if it is not set) moves the seed of the whole
    book, so that its claims can be tried again on other seeds.

    Args:
        seed: the seed the stored outputs were made with, an integer from 0 to 2^31.

    Raises:
        ValueError: seed or BOOK_SEED is not a non-negative integer.

    Example:
        >>> seed_of_run(42)
        42
    """
    moved = os.environ.get("BOOK_SEED", "0")
    if not moved.isdecimal():
        raise ValueError(f"BOOK_SEED must be a non-negative integer, found {moved!r}")
    if isinstance(seed, bool) or not isinstance(seed, int) or not 0 <= seed < 2**31:
        raise ValueError(f"seed must be an integer from 0 to 2^31, found {seed!r}")
    return seed + SEED_STRIDE * int(moved)


@checked
def begin(seed: int = 42, *, keras: bool = True) -> int:
    """Seed Python, NumPy and Keras, and return the seed: a chapter's first call.

    Args:
        seed: the seed of the stored outputs; BOOK_SEED moves it (see `seed_of_run`).
        keras: also import Keras with TensorFlow, without its start-up lines, and seed it.
            A chapter that needs only NumPy passes False and starts in milliseconds.

    Returns:
        The seed of this run, for `numpy.random.default_rng` and for seeds of your own.

    Raises:
        ValueError: seed, BOOK_SEED or BOOK_THREADS is not a non-negative integer.

    Example:
        >>> begin(42, keras=False)
        42
    """
    import numpy as np

    seed = seed_of_run(seed)
    threads = os.environ.get("BOOK_THREADS", "0")
    if not threads.isdecimal():
        raise ValueError(f"BOOK_THREADS must be a non-negative integer, found {threads!r}")
    random.seed(seed)
    np.random.seed(seed % 2**32)  # noqa: NPY002 - for libraries that use the old state
    if keras:
        with quiet_startup():
            import keras as keras_library
            import tensorflow as tf

            if int(threads):
                tf.config.threading.set_intra_op_parallelism_threads(int(threads))
                tf.config.threading.set_inter_op_parallelism_threads(int(threads))
            tf.config.list_logical_devices()
        logging.getLogger("tensorflow").addFilter(_is_no_false_alarm)
        keras_library.utils.set_random_seed(seed)
    return seed


def verbose() -> int:
    """Return what a chapter passes to Keras as `verbose`: whether to show progress bars.

    Returns:
        0 where the book's tools run the chapter (they set BOOK_CHAPTER), since a bar prints
        something else each time; 1 where a person does.

    Example:
        >>> verbose() in (0, 1)
        True
    """
    return 0 if os.environ.get("BOOK_CHAPTER") else 1


def _is_no_false_alarm(record: logging.LogRecord) -> bool:
    """Drop the warning about retracing, which a page that trains six networks sets off."""
    return "triggered tf.function retracing" not in record.getMessage()


@contextlib.contextmanager
def quiet_startup() -> Iterator[None]:
    """Drop TensorFlow's known start-up lines from stderr; let every other line through.

    They come from C++, with a time stamp, before any log level is read: so the file
    descriptor itself is put aside for as long as the import takes.

    Example:
        >>> with quiet_startup():
        ...     import keras
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    with tempfile.TemporaryFile() as caught:
        sys.stderr.flush()
        kept = os.dup(2)
        try:
            os.dup2(caught.fileno(), 2)
            yield
        finally:
            os.dup2(kept, 2)
            os.close(kept)
            caught.seek(0)
            text = caught.read().decode("utf-8", errors="replace")
            for line in text.splitlines():
                if line.strip() and not _STARTUP_CHATTER.search(line):
                    print(line, file=sys.stderr)
