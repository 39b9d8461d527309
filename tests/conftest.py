"""What the tests of the website share: the site, built, and served on this machine alone."""

import functools
import gzip
import os
import subprocess
import sys
import threading
import time
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO
from pathlib import Path

import pytest

from tools import ROOT, repository

FOLDER = f"/{repository.address().rsplit('/', 1)[1]}"  # of the site on its host
NO_TENSORFLOW = "import sys; sys.modules['tensorflow'] = sys.modules['keras'] = None; "


@pytest.fixture(scope="session")
def site(tmp_path_factory):
    """The built site's folder. `make test` runs tests twice: BOOK_SITE keeps it between."""
    target = Path(os.environ.get("BOOK_SITE") or tmp_path_factory.mktemp("site"))
    built = target / "_build" / "html"
    if (target / "done").exists():
        return built
    code = NO_TENSORFLOW + "from jupyter_book.cli.main import main; main()"
    command = [
        sys.executable,
        "-c",
        code,
        "build",
        str(ROOT),
        "-nW",
        "--keep-going",
        "--path-output",
        str(target),
    ]
    nowhere = {**os.environ, "FASHION_MNIST_DIR": str(target / "nowhere")}
    start = time.perf_counter()
    done = subprocess.run(
        command, cwd=ROOT, env=nowhere, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    if "PYTEST_XDIST_WORKER" not in os.environ:  # with nothing beside it
        assert time.perf_counter() - start < 60
    (target / "done").touch()
    return built


class Server(SimpleHTTPRequestHandler):
    """Compresses text, as hosts of static sites do, and says nothing."""

    def log_message(self, *arguments):
        pass

    def send_head(self):
        self.path = self.path.removeprefix(FOLDER)
        path = Path(self.translate_path(self.path))
        if not path.is_file():
            return super().send_head()
        kind = self.guess_type(str(path))
        text = kind.startswith("text/") or "script" in kind or "xml" in kind
        content = gzip.compress(path.read_bytes()) if text else path.read_bytes()
        self.send_response(200)
        self.send_header("Content-Type", f"{kind}; charset=utf-8" if text else kind)
        if text:
            self.send_header("Content-Encoding", "gzip")
        self.send_header("Content-Length", str(len(content)))
        self.send_header("Cache-Control", "max-age=600")
        self.end_headers()
        return BytesIO(content)


@pytest.fixture(scope="session")
def address(site):
    """Where the site is served, on this machine alone."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Server, directory=str(site)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}{FOLDER}"
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="session")
def from_npm():
    """The folder of the programs from npm, or a skip that says how to get them."""
    folder = ROOT / ".tools" / "browser" / "node_modules"
    if not (folder / "axe-core").is_dir():
        pytest.skip("needs axe-core and Lighthouse: install Node.js and run `make browser`")
    return folder
