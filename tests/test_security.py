"""What the book loads, asks and opens: nothing that runs foreign code, nothing beyond this machine."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import tomllib
from pathlib import Path

import nbformat
import pytest
import yaml

from tools import ROOT, notebooks

WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
MORE = {  # beyond reading the repository, and why
    ("book.yml", "deploy"): {"pages": "write", "id-token": "write"},  # puts the site on its host
    ("book.yml", "release"): {"contents": "write"},  # makes the tag of a version
    ("evidence.yml", "evidence"): {"contents": "read", "issues": "write"},  # says what fell
}


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_workflows_are_pinned_and_have_least_permission(path):
    text = path.read_text()
    workflow = yaml.safe_load(text)
    assert workflow["permissions"] == {"contents": "read"}
    for name, job in workflow["jobs"].items():
        assert job.get("permissions") == MORE.get((path.name, name)), name
        for step in job["steps"]:
            if step.get("uses", "").startswith("actions/checkout@"):
                keeps = step.get("with", {}).get("persist-credentials", True)
                assert not keeps or (path.name, name) == ("book.yml", "release"), name
            # what others can write, such as a branch's name, is not put into a command
            assert "${{" not in step.get("run", ""), name
    assert "pull_request_target" not in text
    for action in re.findall(r"uses: (\S+)", text):
        assert re.fullmatch(r"[\w./-]+@[0-9a-f]{40}", action), action


def test_every_dependency_is_locked_with_its_digest():
    locked = tomllib.loads((ROOT / "uv.lock").read_text())["package"]
    assert len(locked) > 100
    for package in locked:
        if package["source"] == {"editable": "."}:
            continue
        files = [*package.get("wheels", []), *([package["sdist"]] if "sdist" in package else [])]
        assert files, package["name"]
        for file in files:
            assert re.fullmatch(r"sha256:[0-9a-f]{64}", file["hash"]), package["name"]
            assert file["url"].startswith("https://files.pythonhosted.org/"), package["name"]


def test_what_comes_from_npm_is_locked_with_its_digest():
    lock = json.loads((ROOT / "tools" / "browser" / "package-lock.json").read_text())
    packages = {name: entry for name, entry in lock["packages"].items() if name}
    assert len(packages) > 50
    for name, entry in packages.items():
        assert "resolved" not in entry, name  # whatever mirror has it: the digest counts
        assert entry["integrity"].startswith("sha512-"), name


def test_dependencies_are_audited():
    steps = yaml.safe_load((ROOT / ".github" / "workflows" / "book.yml").read_text())["jobs"]
    assert {"run": "make audit"} in steps["audit"]["steps"]
    makefile = (ROOT / "Makefile").read_text()
    assert "$(UV) audit --frozen\n" in makefile
    assert "npm audit --prefix tools/browser" in makefile


# What reads a file may run it: pickle, and what is built upon it. (Ruff refuses its calls, too.)
RUNS_WHAT_IT_READS = re.compile(
    r"\b(c?[pP]ickle|dill|joblib|shelve|marshal)\b|allow_pickle\s*=\s*True|safe_mode\s*=\s*False"
    r"|enable_unsafe_deserialization|torch\.load|read_pickle|yaml\.(unsafe_|full_)?load\("
    r"|trust_remote_code"
)


def code():
    """All code of the book, by name."""
    for folder in ("helpers", "tools", "benchmarks", "tests"):
        for path in sorted((ROOT / folder).glob("*.py")):
            if path != Path(__file__):
                yield str(path.relative_to(ROOT)), path.read_text(encoding="utf-8")
    for path in notebooks.chapters():
        cells = [c.source for c in nbformat.read(path, 4).cells if c.cell_type == "code"]
        yield path.stem, "\n".join(cells)


def test_no_pickle_is_loaded():
    found = [(name, RUNS_WHAT_IT_READS.search(text)) for name, text in code()]
    assert len(found) > 100
    assert [(name, hit.group()) for name, hit in found if hit] == []
    for bad in ("import pickle", "np.load(f, allow_pickle=True)", "load_model(p, safe_mode=False)"):
        assert RUNS_WHAT_IT_READS.search(bad)


def test_a_network_that_brings_code_is_refused(tmp_path, keras_begun):
    """Keras's files may hold Python in a Lambda layer: `best_network` does not run it."""
    import keras

    from helpers.practice import best_network

    model = keras.Sequential([keras.Input((2,)), keras.layers.Lambda(lambda x: x + 1)])
    model.save(tmp_path / "best-001.keras")
    with pytest.raises(ValueError, match=r"[Ll]ambda"):
        best_network(tmp_path)


# ---------------------------------------------------------------------------- loopback


def recipe(target):
    """The command of a target of the Makefile, without uv."""
    found = re.search(rf"(?m)^{target}:.*\n\t\$\(RUN\) (.*)$", (ROOT / "Makefile").read_text())
    return found.group(1).split()


def family(pid):
    """A process and all that descend from it."""
    parents = {}
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            _, _, rest = status.read_text().rpartition(")")
        except OSError:  # it has just ended
            continue
        parents.setdefault(int(rest.split()[1]), []).append(int(status.parent.name))
    members, waiting = [], [pid]
    while waiting:
        members.append(waiting.pop())
        waiting += parents.get(members[-1], [])
    return members


def listening(pid):
    """The addresses at which a process and its descendants take connections."""
    sockets = set()
    for member in family(pid):
        for descriptor in Path(f"/proc/{member}/fd").glob("*"):
            try:
                sockets.add(os.readlink(descriptor))
            except OSError:
                continue
    addresses = set()
    for kind, version in (("tcp", socket.AF_INET), ("tcp6", socket.AF_INET6)):
        for line in Path(f"/proc/net/{kind}").read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == "0A" and f"socket:[{fields[9]}]" in sockets:
                words = bytes.fromhex(fields[1].split(":")[0])
                packed = b"".join(words[i : i + 4][::-1] for i in range(0, len(words), 4))
                addresses.add(socket.inet_ntop(version, packed))
    return addresses


SHOW = (
    "import sys, time; from helpers import tracking; from tensorboard import notebook; "
    "tracking.show_tensorboard(sys.argv[1]); time.sleep(60)"
)


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/net/tcp").exists(), reason="looks into /proc")
@pytest.mark.parametrize("what", ["serve", "lab", "TensorBoard"])
def test_servers_listen_on_this_machine_alone(what, tmp_path):
    if what == "TensorBoard":
        command = [sys.executable, "-c", SHOW, str(tmp_path)]
    else:
        words = ["0" if word == "8000" else word for word in recipe(what)]
        words = words[1:] if words[0] == "python" else ["-m", *words]
        words = [str(tmp_path) if word == "_build/html" else word for word in words]
        extra = ["--no-browser", "--port=0", "--allow-root"] if what == "lab" else []
        command = [sys.executable, *words, *extra]
    process = subprocess.Popen(
        command,
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        end = time.monotonic() + 60
        while not (found := listening(process.pid)):
            assert process.poll() is None, "it ended"
            assert time.monotonic() < end, "it does not listen"
            time.sleep(0.2)
        assert found <= {"127.0.0.1", "::1"}
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
