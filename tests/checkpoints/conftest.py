"""What tests of strangers' checkpoints share."""

import subprocess
import sys

import pytest

#: Tries to open all files of this folder, and says by how many MiB the process grew at most.
OPEN_ALL = """
import sys
from pathlib import Path
from lightlab.checkpoints import read_checkpoint
from lightlab.errors import CheckpointError
from lightlab.module import Model
from lightlab.training.memory import peak_host_memory
open_one = {"file": read_checkpoint, "model": Model.load}[sys.argv[1]]
open_one("fine.ckpt")
before = peak_host_memory()
for path in sorted(Path().glob("evil*.ckpt")):
    try:
        open_one(path)
    except CheckpointError:
        continue
    sys.exit(f"{path} was opened")
print((peak_host_memory() - before) / 2**20)
"""


@pytest.fixture
def growth():
    """A function that has a process refuse each evil*.ckpt here, and returns by how many MiB it grew.

    Called with ``"file"`` it has files read; with ``"model"``, models loaded. fine.ckpt is opened first.
    """
    if sys.platform == "win32":
        pytest.skip("The system doesn't say how much a process took.")

    def measure(what):
        call = [sys.executable, "-c", OPEN_ALL, what]
        finished = subprocess.run(call, capture_output=True, text=True, check=False)
        assert finished.returncode == 0, finished.stderr
        return float(finished.stdout)

    return measure
