"""helpers.data: found in the stated order, verified, never half-written."""

import gzip
import hashlib
import os
import re
import time

import numpy as np
import pytest

from helpers import data
from helpers.data import DataError


def idx(array):
    """The content of a file in IDX format."""
    header = bytes([0, 0, 8, array.ndim]) + b"".join(n.to_bytes(4, "big") for n in array.shape)
    return header + array.astype(np.uint8).tobytes()


@pytest.fixture
def small(tmp_path, monkeypatch):
    """A Fashion-MNIST of 6 + 2 images, nowhere on this machine but in the folder returned."""
    rng = np.random.default_rng(0)
    folder = tmp_path / "original"
    folder.mkdir()
    files = {}
    for name, (_, original) in data.FILES.items():
        shape = (6 if original[0] == 60000 else 2, *original[1:])
        content = idx(rng.integers(0, 10 if len(shape) == 1 else 256, shape))
        files[name] = (hashlib.sha256(content).hexdigest(), shape)
        (folder / name).write_bytes(gzip.compress(content))
    monkeypatch.setattr(data, "FILES", files)
    monkeypatch.setattr(data, "VALIDATION_SIZE", 2)
    monkeypatch.setattr(data, "DEBIAN_FOLDER", tmp_path / "no-debian")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("FASHION_MNIST_DIR", raising=False)
    monkeypatch.setattr(data, "_download_with_keras", unreachable)
    monkeypatch.setattr(data, "_unpack_debian_package", unreachable)
    return folder


def unreachable(folder):
    """Ask the network."""
    raise OSError("no network here")


def copy_to(source, target, names=None):
    target.mkdir(parents=True, exist_ok=True)
    for name in names or data.FILES:
        (target / name).write_bytes((source / name).read_bytes())


def test_the_real_data():
    start = time.perf_counter()
    fashion = data.load_fashion_mnist()
    assert time.perf_counter() - start < 3  # under 1 s when the machine does nothing else
    assert fashion.x_train.shape == (55000, 28, 28)
    assert fashion.x_valid.shape == (5000, 28, 28)
    assert fashion.x_test.shape == (10000, 28, 28)
    assert fashion.x_train.dtype == np.float32
    assert fashion.y_train.dtype == np.int64
    assert (fashion.x_train.min(), fashion.x_train.max()) == (0, 1)
    assert np.bincount(fashion.y_test).tolist() == [1000] * 10
    # The first image of the training file is the first validation image: an ankle boot.
    assert fashion.class_names[fashion.y_valid[0]] == "Ankle boot"
    assert fashion.class_names[fashion.y_train[0]] == "Coat"


def test_the_object_cannot_be_changed():
    fashion = data.load_fashion_mnist()
    with pytest.raises(ValueError, match="read-only"):
        fashion.x_train[0] = 0
    with pytest.raises(AttributeError):
        fashion.x_train = 0


def test_few_keeps_the_first_of_each_part():
    whole = data.load_fashion_mnist()
    few = data.few(whole, 3)
    for part in ("train", "valid", "test"):
        np.testing.assert_array_equal(getattr(few, f"x_{part}"), getattr(whole, f"x_{part}")[:3])
        np.testing.assert_array_equal(getattr(few, f"y_{part}"), getattr(whole, f"y_{part}")[:3])
    assert few.class_names == whole.class_names
    with pytest.raises(ValueError, match="at least 1"):
        data.few(whole, 0)


def test_the_split_is_cut_from_the_front(small, monkeypatch):
    monkeypatch.setenv("FASHION_MNIST_DIR", str(small))
    fashion = data.load_fashion_mnist()
    raw = np.frombuffer(
        gzip.decompress((small / "train-labels-idx1-ubyte.gz").read_bytes())[8:], np.uint8
    )
    assert fashion.y_valid.tolist() == raw[:2].tolist()
    assert fashion.y_train.tolist() == raw[2:].tolist()


def test_order_of_places(small, tmp_path, monkeypatch):
    debian, named = tmp_path / "debian", tmp_path / "named"
    monkeypatch.setattr(data, "DEBIAN_FOLDER", debian)
    copy_to(small, debian)
    assert data.fill_cache(report=str) == debian
    copy_to(small, data.cache_folder())
    assert data.fill_cache(report=str) == data.cache_folder()
    copy_to(small, named)
    monkeypatch.setenv("FASHION_MNIST_DIR", str(named))
    assert data.fill_cache(report=str) == named


def test_nothing_found_lists_every_place_and_three_ways_out(small):
    with pytest.raises(DataError) as caught:
        data.load_fashion_mnist()
    message = str(caught.value)
    for expected in (
        "cache",
        "no-debian",
        "no network here",
        "Three ways out",
        "apt-get install",
        "FASHION_MNIST_DIR",
    ):
        assert expected in message


def test_a_named_folder_without_the_files_is_an_error(small, tmp_path, monkeypatch):
    copy_to(small, data.cache_folder())
    copy_to(small, tmp_path / "half", list(data.FILES)[:3])
    monkeypatch.setenv("FASHION_MNIST_DIR", str(tmp_path / "half"))
    with pytest.raises(DataError, match="missing t10k-labels"):
        data.load_fashion_mnist()
    monkeypatch.setenv("FASHION_MNIST_DIR", str(tmp_path / "nowhere"))
    with pytest.raises(DataError, match="no such folder"):
        data.load_fashion_mnist()


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda raw: raw[:-20], "complete gzip file"),
        (lambda raw: b"not gzip", "complete gzip file"),
        (lambda raw: raw[:30] + bytes([raw[30] ^ 255]) + raw[31:], "complete gzip file|digest"),
        (
            lambda raw: gzip.compress(gzip.decompress(raw)[:-1]),
            "digest [0-9a-f]{64}, found [0-9a-f]{64}",
        ),
        (lambda raw: gzip.compress(gzip.decompress(raw) + b"\0"), "digest"),
        (lambda raw: b"", "digest|complete gzip file"),
    ],
)
def test_a_damaged_file_is_named(small, damage, message):
    folder = data.cache_folder()
    copy_to(small, folder)
    path = folder / "t10k-images-idx3-ubyte.gz"
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(DataError, match=message) as caught:
        data.load_fashion_mnist()
    assert str(path) in str(caught.value)


def test_another_compression_of_the_same_content_is_fine(small):
    folder = data.cache_folder()
    copy_to(small, folder)
    path = folder / "t10k-labels-idx1-ubyte.gz"
    path.write_bytes(gzip.compress(gzip.decompress(path.read_bytes()), 1, mtime=1))
    data.load_fashion_mnist()


def test_a_download_fills_the_cache(small, monkeypatch):
    monkeypatch.setattr(data, "_download_with_keras", lambda folder: copy_to(small, folder))
    assert data.fill_cache(report=str) == data.cache_folder()
    assert sorted(p.name for p in data.cache_folder().iterdir()) == sorted(data.FILES)
    assert [p.name for p in data.cache_folder().parent.iterdir()] == ["fashion-mnist"]


def test_a_broken_download_leaves_nothing_and_the_next_way_is_tried(small, monkeypatch):
    def broken(folder):
        """Break off."""
        copy_to(small, folder)
        path = folder / "t10k-labels-idx1-ubyte.gz"
        path.write_bytes(path.read_bytes()[:-9])

    monkeypatch.setattr(data, "_download_with_keras", broken)
    with pytest.raises(DataError, match="complete gzip file"):
        data.fill_cache(report=str)
    assert list(data.cache_folder().parent.rglob("*.gz")) == []
    monkeypatch.setattr(data, "_unpack_debian_package", lambda folder: copy_to(small, folder))
    data.fill_cache(report=str)


def test_a_cache_that_cannot_be_written_is_told(small, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    with pytest.raises(DataError, match=r"NotADirectoryError|FileExistsError"):
        data.load_fashion_mnist()


def test_a_system_without_apt_is_told(small, tmp_path, monkeypatch):
    monkeypatch.undo()
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(DataError, match="no apt-get"):
        data._unpack_debian_package(tmp_path)


def test_digests_in_the_code_are_well_formed():
    assert all(re.fullmatch("[0-9a-f]{64}", digest) for digest, _ in data.FILES.values())
    assert os.path.isabs(data.DEBIAN_FOLDER)


def test_digits_are_split_and_scaled_as_the_clothes_are(monkeypatch):
    from keras.datasets import mnist

    x = (np.arange(6000) % 256).astype(np.uint8)
    y = (np.arange(6000) % 10).astype(np.uint8)
    images = np.broadcast_to(x[:, None, None], (6000, 28, 28))
    monkeypatch.setattr(mnist, "load_data", lambda: ((images, y), (images[:7], y[:7])))
    digits = data.load_digits()
    assert [len(part) for part in (digits.x_train, digits.x_valid, digits.x_test)] == [
        1000,
        5000,
        7,
    ]
    assert [len(part) for part in (digits.y_train, digits.y_valid, digits.y_test)] == [
        1000,
        5000,
        7,
    ]
    assert digits.x_valid[255, 0, 0] == 1
    assert digits.y_train[0] == 5000 % 10
    assert digits.y_train.dtype == np.int64
    assert digits.class_names[7] == "7"


def test_digits_that_cannot_be_had_say_so(monkeypatch):
    from keras.datasets import mnist

    def refuse():
        raise OSError("no route to host")

    monkeypatch.setattr(mnist, "load_data", refuse)
    with pytest.raises(data.DataError, match="no route to host"):
        data.load_digits()
