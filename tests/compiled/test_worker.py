"""The worker leaves a package in its folder, or the reason why there is none, and nothing else anywhere."""

import logging
import signal
import subprocess
import sys
from dataclasses import replace

import pytest

from lightlab.compiled.request import FAILURE, LAYOUTS, PACKAGE, REQUEST
from lightlab.compiled.worker import main

from .conftest import work

pytestmark = pytest.mark.xdist_group("compiled")  # one process makes the package


def test_leaves_a_package(worked):
    """The folder has the package and what it relies on, all of it whole; nothing is printed."""
    assert {path.name for path in worked.folder.iterdir()} == {REQUEST, PACKAGE, LAYOUTS}
    assert worked.said == ""


def check_failure(folder, reason):
    """Hold what a worker has left against the reason why it failed, in one line."""
    text = (folder / FAILURE).read_text(encoding="utf-8")
    assert reason in text
    assert len(text.splitlines()) == 1
    assert not (folder / PACKAGE).exists()


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"mode": "fastest"}, "Unrecognized mode=fastest"),
        ({"plugins": ["absent_plugin"], "model": {"layers": ["absent_layer"]}}, "No layer is called 'absent_layer'"),
    ],
)
def test_says_why_not(asked, tmp_path, monkeypatch, changes, reason):
    """What stands in the way is said in one line: an unknown mode, or a layer that a missing plugin would have."""
    monkeypatch.setattr(logging.root.manager, "disable", 0)  # the worker silences its process
    monkeypatch.setitem(sys.modules, "triton", sys.modules.get("triton"))  # and does without triton
    request, _ = asked
    replace(request, steps=1, **changes).write(tmp_path)
    assert main(tmp_path) == 1
    check_failure(tmp_path, reason)


@pytest.mark.parametrize(("plugins", "imported"), [([], False), (["kernels"], True)])
def test_does_without_triton(asked, tmp_path, plugins, imported):
    """It is for GPUs, and takes memory; a plugin that imports it gets it, and its layer is traced."""
    pytest.importorskip("triton", reason="triton comes with torch on Linux only")
    (tmp_path / "kernels.py").write_text(KERNELS)
    request, _ = asked
    layers = [{"with_kernels": {}}] if plugins else request.model["layers"]
    changes = {"plugins": plugins, "model": {**request.model, "layers": layers}, "mode": "fastest"}
    replace(request, steps=1, **changes).write(tmp_path)
    code = """
import sys
from pathlib import Path
from lightlab.compiled.worker import main
print(main(Path()), "triton._C.libtriton" in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout == f"1 {imported}\n"
    check_failure(tmp_path, "Unrecognized mode=fastest")  # which is looked at after tracing


def test_no_compiler(asked, tmp_path):
    """Without a C++ compiler there is no machine code; nothing is printed of it."""
    request, _ = asked
    replace(request, steps=1).write(tmp_path)
    # Without a cache of its own, torch would remember a compiler that is gone.
    cache = str(tmp_path / "cache")
    assert work(tmp_path, TORCHINDUCTOR_CACHE_DIR=cache, PATH="", CXX="no-such-compiler") == (1, "")
    check_failure(tmp_path, "InvalidCxxCompiler: No working C++ compiler found")


def test_ends_at_once():
    """Nobody has something to do at its end before it begins, so that it is not taken apart in Python's way."""
    code = "import atexit, lightlab.compiled.worker; print(atexit._ncallbacks())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "0\n"


#: A plugin as those are that come with kernels for GPUs.
KERNELS = """
import triton
from torch import nn
from lightlab import LAYERS

@triton.jit
def kernel(x):
    pass

@LAYERS.register("with_kernels")
def with_kernels() -> nn.Module:
    return nn.Hardtanh()
"""

CHILD = """
import sys
from pathlib import Path
from lightlab.compiled.worker import end_with
print("ready", flush=True)
end_with(int(sys.argv[2]), Path(sys.argv[1]))
"""
PARENT = "import os, subprocess, sys; subprocess.run([sys.executable, '-c', *sys.argv[1:], str(os.getpid())])"


def test_ends_with_a_training_that_was_killed(tmp_path):
    """A training that is killed can't end its worker: the worker ends by itself, and takes its folder along."""
    folder = tmp_path / "folder"
    folder.mkdir()
    call = [sys.executable, "-c", PARENT, CHILD, str(folder)]
    with subprocess.Popen(call, stdout=subprocess.PIPE, text=True) as training:
        assert training.stdout.readline() == "ready\n"
        training.send_signal(signal.SIGKILL)
        assert training.stdout.read() == ""  # which ends when nobody is left to write
    assert not folder.exists()
