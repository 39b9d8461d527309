"""Python environments with other versions than the lock's, in .tools/environments/."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from tools import ROOT

__all__ = ["COLAB", "NEWEST", "VERSIONS", "VersionsError", "python_of", "uv"]

COLAB = (
    # of https://github.com/googlecolab/backend-info, those that the book uses
    "tensorflow==2.19.0 keras==3.10.0 numpy==2.0.2 matplotlib==3.10.0 scipy==1.16.3 "
    "tensorboard==2.19.0 ipython==7.34.0 ipykernel==6.17.1 jupyter-client==7.4.9 "
    "tornado==6.5.1 traitlets==5.7.1 tqdm==4.67.1 pillow==11.3.0 protobuf==5.29.5 "
    "sqlalchemy==2.0.44 pyyaml==6.0.3 pip==24.1.2 setuptools==75.2.0"
)
NEWEST = "tensorflow keras numpy matplotlib scipy tensorboard ipython ipykernel tqdm optuna pip"

VERSIONS: Mapping[str, tuple[str, str]] = {
    # the Python, and what is installed: the lock's, the oldest that pyproject.toml admits, or these
    "Python 3.11": ("3.11", "lock"),
    "Python 3.12": ("3.12", "lock"),
    "Python 3.13": ("3.13", "lock"),
    "oldest versions": ("3.11", "oldest"),
    "Colab's versions": ("3.12", f"{COLAB} optuna"),
    "newest versions": ("3.13", NEWEST),
}


class VersionsError(RuntimeError):
    """An environment could not be made here."""


def uv() -> str:
    """Return the path of uv.

    Raises:
        VersionsError: it is not there.
    """
    found = shutil.which("uv", path=f"{os.environ['PATH']}:{ROOT / '.tools' / 'bin'}")
    if found is None:
        raise VersionsError("needs uv: python tools/get_uv.py")
    return found


def python_of(name: str) -> str:
    """Return the path of an environment's Python; make the environment, or bring it up to date.

    Args:
        name: of `VERSIONS`.

    Raises:
        VersionsError: uv, this Python or a package cannot be had.
    """
    version, packages = VERSIONS[name]
    folder = ROOT / ".tools" / "environments" / name.lower().replace(" ", "-").replace("'", "")
    python = str(folder / "bin" / "python")
    variables = {
        **os.environ,
        "PYENV_VERSION": version,  # where pyenv has it, its shims show it
        "UV_PROJECT_ENVIRONMENT": str(folder),
        "UV_COMPILE_BYTECODE": "1",
    }
    variables.pop("VIRTUAL_ENV", None)

    def call(*arguments: str) -> None:
        command = [uv(), *arguments]
        done = subprocess.run(
            command, cwd=ROOT, env=variables, capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise VersionsError(f"{name}: {' '.join(command)}: {done.stderr.strip()}")

    if packages == "lock":
        groups = ["--no-default-groups", "--group", "test", "--no-install-project"]
        call("sync", "--quiet", "--frozen", "--python", version, *groups)
        return python
    if not Path(python).exists():
        call("venv", "--quiet", "--python", version, str(folder))
    install = ["pip", "install", "--quiet", "--python", python]
    if packages == "oldest":
        call(*install, "--resolution", "lowest-direct", "-r", "pyproject.toml")
        call(*install, "nbclient", "ipykernel")
    else:
        newer = ["--upgrade"] if packages == NEWEST else []
        call(*install, *newer, "nbclient", *packages.split())
    return python


if __name__ == "__main__":
    print(python_of(sys.argv[1]))
