"""Fashion-MNIST: find it, verify it, split it.

The validation set is cut from the training file; the test file is for the last cell of a
chapter. `python -m helpers.data` (or `make data`) fills the book's cache.
"""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from helpers.checks import checked
from helpers.reproducible import quiet_startup

__all__ = [
    "DataError",
    "FashionMNIST",
    "cache_folder",
    "few",
    "fill_cache",
    "load_digits",
    "load_fashion_mnist",
]

CLASS_NAMES = (
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
)

# Name of each file, the SHA-256 digest of its *decompressed* content (the compressed files
# of Debian and of the original authors differ in a header), and the shape of its array.
FILES: dict[str, tuple[str, tuple[int, ...]]] = {
    "train-images-idx3-ubyte.gz": (
        "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
        (60000, 28, 28),
    ),
    "train-labels-idx1-ubyte.gz": (
        "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
        (60000,),
    ),
    "t10k-images-idx3-ubyte.gz": (
        "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
        (10000, 28, 28),
    ),
    "t10k-labels-idx1-ubyte.gz": (
        "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
        (10000,),
    ),
}

VALIDATION_SIZE = 5000
LEFT_BEHIND = 24 * 3600  # seconds after which nobody fills the cache any more
DEBIAN_FOLDER = Path("/usr/share/datasets/fashion-mnist")
DEBIAN_PACKAGE = "dataset-fashion-mnist"

DIGEST_STOPS_AT = ("_find_or_download",)
"""Where the files come from cannot change a result: their content is verified."""
ORIGIN = "https://storage.googleapis.com/tensorflow/tf-keras-datasets/"


class DataError(RuntimeError):
    """The data are missing, incomplete or not what they should be."""


@dataclass(frozen=True)
class FashionMNIST:
    """Fashion-MNIST, split into training, validation and test data.

    Attributes:
        x_train: (55000, 28, 28) float32, pixels in [0, 1].
        y_train: (55000,) int64, classes 0 to 9.
        x_valid: (5000, 28, 28), the first 5,000 images of the training file.
        y_valid: (5000,).
        x_test: (10000, 28, 28), the test file.
        y_test: (10000,).
        class_names: the ten names, in the order of the classes.

    The arrays are read-only: copy one to change it.

    Example:
        >>> fashion = load_fashion_mnist()
        >>> fashion.class_names[fashion.y_valid[0]]
        'Ankle boot'
    """

    x_train: np.ndarray
    y_train: np.ndarray
    x_valid: np.ndarray
    y_valid: np.ndarray
    x_test: np.ndarray
    y_test: np.ndarray
    class_names: tuple[str, ...] = CLASS_NAMES


def load_fashion_mnist() -> FashionMNIST:
    """Load Fashion-MNIST, verified and split; download it where it is not at hand.

    Looks in this order: the folder named by the environment variable FASHION_MNIST_DIR; the
    book's cache (`cache_folder()`); Debian's package in /usr/share; then downloads it
    through Keras into the cache.

    Returns:
        A `FashionMNIST` with 55,000 training, 5,000 validation and 10,000 test images.

    Raises:
        DataError: a file is truncated, corrupt or of the wrong content (the message names
            file, expected and found), or the data are nowhere and cannot be downloaded.

    Example:
        >>> data = load_fashion_mnist()
        >>> data.x_train.shape, data.class_names[0]
        ((55000, 28, 28), 'T-shirt/top')

    Source: Xiao, Rasul and Vollgraf, "Fashion-MNIST", 2017, arXiv:1708.07747.
    """
    x, y, x_test, y_test = _read_folder(_find_or_download())
    split = {
        "x_train": _pixels(x[VALIDATION_SIZE:]),
        "y_train": _labels(y[VALIDATION_SIZE:]),
        "x_valid": _pixels(x[:VALIDATION_SIZE]),
        "y_valid": _labels(y[:VALIDATION_SIZE]),
        "x_test": _pixels(x_test),
        "y_test": _labels(y_test),
    }
    return FashionMNIST(**split)  # type: ignore[arg-type]


def load_digits() -> FashionMNIST:
    """Load the handwritten digits of MNIST, split as Fashion-MNIST is; Keras downloads them.

    They have the same shape, so any chapter runs on them; its claims are about clothes.

    Returns:
        A `FashionMNIST` whose class names are the digits.

    Raises:
        DataError: the digits are not in Keras's cache and cannot be downloaded.

    Example:
        >>> digits = load_digits  # call it: digits().x_train.shape is (55000, 28, 28)
    """
    with quiet_startup():
        from keras.datasets import mnist

    try:
        (x, y), (x_test, y_test) = mnist.load_data()
    except Exception as error:
        raise DataError(
            f"MNIST's digits are not at hand, and the download failed ({_first_line(error)}); "
            "connect to the internet and run again"
        ) from error
    return FashionMNIST(
        x_train=_pixels(x[VALIDATION_SIZE:]),
        y_train=_labels(y[VALIDATION_SIZE:]),
        x_valid=_pixels(x[:VALIDATION_SIZE]),
        y_valid=_labels(y[:VALIDATION_SIZE]),
        x_test=_pixels(x_test),
        y_test=_labels(y_test),
        class_names=tuple("0123456789"),
    )


def cache_folder() -> Path:
    """Return the folder of the book's cache: below XDG_CACHE_HOME, or ~/.cache.

    Example:
        >>> cache_folder().name
        'fashion-mnist'
    """
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(home) / "learning-rates-in-practice" / "fashion-mnist"


@checked
def few(data: FashionMNIST, size: int) -> FashionMNIST:
    """Return the first images of each part, for examples and quick trials.

    Args:
        data: Fashion-MNIST.
        size: images to keep of each part, at least 1.

    Raises:
        ValueError: size is less than 1.

    Example:
        >>> few(load_fashion_mnist(), 64).x_test.shape
        (64, 28, 28)
    """
    if size < 1:
        raise ValueError(f"size must be at least 1, found {size!r}")
    arrays = [f"{kind}_{part}" for part in ("train", "valid", "test") for kind in "xy"]
    return replace(data, **{name: getattr(data, name)[:size] for name in arrays})


@checked
def fill_cache(report: Callable[[str], object] = print) -> Path:
    """Make sure that the data are on this machine, and return the folder they are in.

    Where no folder has them, they come from Keras's mirror; where its host cannot be
    reached on a Debian-like system, from the package dataset-fashion-mnist, unpacked
    without root.

    Args:
        report: takes one line of text at a time, to tell what happens.

    Raises:
        DataError: a file found is damaged, or no way leads to the data.

    Example:
        >>> folder = fill_cache(report=str)
        >>> sorted(path.name for path in folder.glob("t10k*"))
        ['t10k-images-idx3-ubyte.gz', 't10k-labels-idx1-ubyte.gz']
    """
    folder = _find_or_download(report)
    _read_folder(folder)
    report(f"Fashion-MNIST is in {folder}, verified.")
    return folder


def _find_or_download(report: Callable[[str], object] = str) -> Path:
    tried: list[str] = []
    for folder in _candidates():
        if all((folder / name).is_file() for name in FILES):
            return folder
        tried.append(f"{folder}: {_missing(folder)}")
    for source in (_download_with_keras, _unpack_debian_package):
        report(f"Looking for Fashion-MNIST: {source.__doc__}")
        try:
            with _filling_cache() as folder:
                source(folder)
            return cache_folder()
        except Exception as error:  # whatever stops one source, the next one may work
            tried.append(f"{source.__doc__} {type(error).__name__}: {_first_line(error)}")
            report(tried[-1])
    raise DataError(
        "Fashion-MNIST was not found. Tried, in this order:\n  "
        + "\n  ".join(tried)
        + "\nThree ways out: connect to the internet and run again; on Debian or Ubuntu, "
        f"`apt-get install {DEBIAN_PACKAGE}`; or put the four original files "
        f"({', '.join(FILES)}) into a folder and set FASHION_MNIST_DIR to it."
    )


def _candidates() -> list[Path]:
    named = os.environ.get("FASHION_MNIST_DIR")
    if named and not all((Path(named) / name).is_file() for name in FILES):
        raise DataError(
            f"FASHION_MNIST_DIR is {named}, but {_missing(Path(named))}; put the four "
            "original files there or unset the variable"
        )
    return [*([Path(named)] if named else []), cache_folder(), DEBIAN_FOLDER]


def _missing(folder: Path) -> str:
    if not folder.is_dir():
        return "there is no such folder"
    return "missing " + ", ".join(name for name in FILES if not (folder / name).is_file())


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or ["(no message)"])[0]


@contextlib.contextmanager
def _filling_cache() -> Iterator[Path]:
    """Give a new folder; verify what was put there; move the files in, each at once."""
    target = cache_folder()
    target.mkdir(parents=True, exist_ok=True)
    for left in target.parent.glob("incoming-*"):  # by a run that was killed
        if time.time() - left.stat().st_mtime > LEFT_BEHIND:
            shutil.rmtree(left, ignore_errors=True)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix="incoming-") as name:
        incoming = Path(name)
        yield incoming
        _read_folder(incoming)
        for file in FILES:
            os.replace(incoming / file, target / file)


def _download_with_keras(folder: Path) -> None:
    """Download through Keras."""
    with quiet_startup():
        from keras.utils import get_file

    for name in FILES:
        fetched = get_file(name, origin=ORIGIN + name, cache_dir=folder, cache_subdir="download")
        shutil.move(fetched, folder / name)


def _unpack_debian_package(folder: Path) -> None:
    """Unpack Debian's package, without root."""
    if not (shutil.which("apt-get") and shutil.which("dpkg-deb")):
        raise DataError("this system has no apt-get")
    work = folder / "apt"
    for part in ("lists/partial", "archives/partial"):
        (work / part).mkdir(parents=True)
    download = ["apt-get", "download", "--quiet", DEBIAN_PACKAGE]
    if _run(download, work).returncode != 0:  # no package lists here: use lists of our own
        own = [f"-oDir::State::Lists={work}/lists", f"-oDir::Cache={work}"]
        _run(["apt-get", *own, "--quiet", "update"], work)
        fetched = _run([*download, *own], work)
        if fetched.returncode != 0:
            raise DataError(f"apt-get download failed: {fetched.stderr.strip()}")
    (package,) = work.glob(f"{DEBIAN_PACKAGE}*.deb")
    _run(["dpkg-deb", "-x", str(package), str(work / "unpacked")], work).check_returncode()
    for name in FILES:
        shutil.move(work / "unpacked" / DEBIAN_FOLDER.relative_to("/") / name, folder / name)


def _run(command: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command, cwd=folder, capture_output=True, text=True, timeout=600, check=False
    )


def _read_folder(folder: Path) -> list[np.ndarray]:
    return [_read(folder / name, *expected) for name, expected in FILES.items()]


def _read(path: Path, expected: str, shape: tuple[int, ...]) -> np.ndarray:
    """Read one file in IDX format, and verify its content."""
    try:
        content = gzip.decompress(path.read_bytes())
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(
            f"{path}: expected a complete gzip file, found a damaged one ({error}); "
            "delete it and run again"
        ) from error
    found = hashlib.sha256(content).hexdigest()
    if found != expected:
        raise DataError(
            f"{path}: expected content with the SHA-256 digest {expected}, found {found} "
            f"({len(content)} bytes); delete it and run again"
        )
    header = 4 + 4 * len(shape)
    return np.frombuffer(content, np.uint8, offset=header).reshape(shape)


def _pixels(images: np.ndarray) -> np.ndarray:
    return _read_only(images.astype(np.float32) / np.float32(255))


def _labels(labels: np.ndarray) -> np.ndarray:
    return _read_only(labels.astype(np.int64))


def _read_only(array: np.ndarray) -> np.ndarray:
    array.flags.writeable = False
    return array


if __name__ == "__main__":
    try:
        fill_cache()
    except DataError as error:
        sys.exit(str(error))
