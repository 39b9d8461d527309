"""Bring uv into `.tools/bin` with nothing but Python's standard library.

First the ordinary way, a venv with pip. Debian's bare `python3` has neither, so there the
wheel is fetched from PyPI, verified by its digest, and its one program unpacked.
"""

from __future__ import annotations

import hashlib
import io
import platform
import re
import subprocess
import sys
import urllib.parse
import urllib.request
import zipfile
from pathlib import Path

VERSION = "0.13.8"
FOLDER = Path(__file__).parent.parent / ".tools"
INDEX = "https://pypi.org/simple/uv/"


def with_pip() -> bool:
    """Make a venv and install uv there; tell whether that worked."""
    for command in (
        [sys.executable, "-m", "venv", str(FOLDER)],
        [str(FOLDER / "bin" / "pip"), "install", "--quiet", f"uv=={VERSION}"],
    ):
        try:
            if subprocess.run(command, capture_output=True, check=False).returncode:
                return False
        except OSError:
            return False
    return True


def with_standard_library() -> None:
    """Download uv's wheel for this machine, verify it, unpack the program."""
    machine = platform.machine().lower()
    machine = {"amd64": "x86_64", "arm64": "aarch64"}.get(machine, machine)
    system = {"Linux": "manylinux", "Darwin": "macosx"}[platform.system()]
    if system == "macosx" and machine == "aarch64":
        machine = "arm64"
    with urllib.request.urlopen(INDEX) as answer:
        links = re.findall(r'href="([^"#]+/)?([^"/#]+)#sha256=(\w+)"', answer.read().decode())
    folder, name, expected = next(
        link
        for link in links
        if link[1].startswith(f"uv-{VERSION}-")
        and system in link[1]
        and link[1].endswith(f"{machine}.whl")
    )
    with urllib.request.urlopen(urllib.parse.urljoin(INDEX, folder + name)) as answer:
        content = answer.read()
    found = hashlib.sha256(content).hexdigest()
    if found != expected:
        sys.exit(f"{name}: expected the digest {expected}, found {found}")
    target = FOLDER / "bin" / "uv"
    target.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        program = next(n for n in archive.namelist() if n.endswith(".data/scripts/uv"))
        target.write_bytes(archive.read(program))
    target.chmod(0o755)


if __name__ == "__main__":
    if not with_pip():
        with_standard_library()
