"""Faults, for real: broken downloads, a full disk, a cache that is read-only, kill -9.

Each happens to a process of its own. After it nothing is half-written, nothing is lost, a message
says what was wrong, and the next run goes on. (Killed searches are in test_search.py, killed
trainings in test_practice.py, killed chapters in test_notebooks.py.)
"""

import gzip
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from helpers import data

pytestmark = pytest.mark.slow

FULL = """
import resource, sys
limit = int(sys.argv.pop())
resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
"""
"""Let this process write no file larger than its last argument: as a full disk, and without root."""
FILL = """
import sys
from pathlib import Path
from helpers import data
data.ORIGIN, data.DEBIAN_FOLDER = sys.argv[1], Path("/nowhere")
try:
    data.fill_cache()
except data.DataError as error:
    sys.exit(str(error))
"""


class Mirror(ThreadingHTTPServer):
    """A host of the four files, on this machine, that behaves as it is told."""

    daemon_threads = True

    def __init__(self, behaviour):
        super().__init__(("127.0.0.1", 0), Files)
        self.behaviour, self.asked = behaviour, threading.Event()
        self.folder = data.fill_cache(report=str)

    @property
    def address(self):
        return f"http://127.0.0.1:{self.server_port}/"


class Files(BaseHTTPRequestHandler):
    def log_message(self, *arguments):
        pass

    def do_GET(self):
        content = (self.server.folder / self.path[1:]).read_bytes()
        behaviour = self.server.behaviour
        if behaviour == "another file":
            content = gzip.compress(gzip.decompress(content)[:-1] + b"\0", compresslevel=1)
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        sent = content[: len(content) // 2] if behaviour in {"breaks off", "hangs"} else content
        self.wfile.write(sent)
        self.wfile.flush()
        self.server.asked.set()
        if behaviour == "hangs":
            time.sleep(60)


@pytest.fixture
def mirror():
    with Mirror("works") as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield server
        server.shutdown()


@pytest.fixture
def cache(tmp_path):
    return tmp_path / "cache"


def start(address, cache, *, largest=None):
    left_out = ("FASHION_MNIST_DIR", "PYTHONPATH")
    environment = {k: v for k, v in os.environ.items() if k not in left_out}
    code, arguments = (FULL + FILL, [address, str(largest)]) if largest else (FILL, [address])
    return subprocess.Popen(
        [sys.executable, "-c", code, *arguments],
        env={**environment, "XDG_CACHE_HOME": str(cache), "PATH": "/nowhere"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def fill(address, cache, **settings):
    """Fill the cache; return the exit code and what was said."""
    process = start(address, cache, **settings)
    said, wrong = process.communicate(timeout=120)
    return process.returncode, said + wrong


def files_in(cache):
    ours = cache / "learning-rates-in-practice"  # matplotlib has a cache there, too
    return sorted(path.name for path in ours.rglob("*") if path.is_file())


def whole(cache, mirror):
    """Whether the cache has the four files as the mirror has them, and nothing else."""
    folder = cache / "learning-rates-in-practice" / "fashion-mnist"
    same = all(
        (folder / name).read_bytes() == (mirror.folder / name).read_bytes() for name in data.FILES
    )
    return same and files_in(cache) == sorted(data.FILES)


@pytest.mark.parametrize(
    ("behaviour", "message"),
    [("breaks off", "Download through Keras"), ("another file", "SHA-256 digest")],
)
def test_a_download_that_fails_leaves_nothing(mirror, cache, behaviour, message):
    mirror.behaviour = behaviour
    code, said = fill(mirror.address, cache)
    assert code == 1
    assert message in said
    assert "Three ways out" in said
    assert "Traceback" not in said
    assert files_in(cache) == []


def test_a_full_disk_leaves_nothing_and_is_named(mirror, cache):
    code, said = fill(mirror.address, cache, largest=1_000_000)
    assert code == 1
    assert "File too large" in said
    assert "Traceback" not in said
    assert files_in(cache) == []
    assert fill(mirror.address, cache)[0] == 0
    assert whole(cache, mirror)


def test_a_read_only_cache_is_named(mirror, tmp_path):
    folder = tmp_path / "read-only"
    folder.mkdir(mode=0o500)
    if os.geteuid() == 0:  # whom no mode stops
        folder = "/sys/kernel"
    code, said = fill(mirror.address, folder)
    assert code == 1
    assert "PermissionError" in said or "OSError" in said
    assert str(folder) in said
    assert "Traceback" not in said


def test_a_download_that_is_killed_leaves_no_file_in_its_place_and_the_next_succeeds(mirror, cache):
    mirror.behaviour = "hangs"
    process = start(mirror.address, cache)
    assert mirror.asked.wait(60)
    process.kill()
    process.communicate()
    assert process.returncode == -signal.SIGKILL
    folder = cache / "learning-rates-in-practice"
    assert list(folder.glob("fashion-mnist/*")) == []
    mirror.behaviour = "works"
    for left in folder.glob("incoming-*"):
        os.utime(left, (0, 0))  # days ago
    assert fill(mirror.address, cache)[0] == 0
    assert whole(cache, mirror)


def test_two_runs_fill_the_cache_at_once(mirror, cache):
    both = [start(mirror.address, cache) for _ in range(2)]
    for process in both:
        said, wrong = process.communicate(timeout=120)
        assert process.returncode == 0, said + wrong
        assert "verified" in said
    assert whole(cache, mirror)


@pytest.mark.parametrize("fault", ["truncated", "corrupt"])
def test_a_damaged_file_of_the_cache_is_named_and_fetched_again_once_it_is_deleted(
    mirror, cache, fault
):
    folder = cache / "learning-rates-in-practice" / "fashion-mnist"
    shutil.copytree(mirror.folder, folder)
    path = folder / "t10k-labels-idx1-ubyte.gz"
    content, middle = path.read_bytes(), path.stat().st_size // 2
    flipped = content[:middle] + bytes([content[middle] ^ 255]) + content[middle + 1 :]
    path.write_bytes(content[:-9] if fault == "truncated" else flipped)
    code, said = fill(mirror.address, cache)
    assert code == 1
    assert f"{path}: expected" in said
    assert "delete it and run again" in said
    assert "Traceback" not in said
    if fault == "truncated":
        path.unlink()
        assert fill(mirror.address, cache)[0] == 0
        assert whole(cache, mirror)
