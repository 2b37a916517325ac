"""What the tests of compiled steps share: machine code takes a while to make."""

import os
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest
import torch

from lightlab import Batch, BundledData, Model
from lightlab.compiled.in_process import compile_here
from lightlab.compiled.program import Program, load
from lightlab.compiled.request import PACKAGE, Request, batch_tensors, describe

LAYERS = [{"dense": {"units": 6, "activation": "relu", "l2": 1e-3}}, "batch_norm", {"dropout": 0.3}]


class Compiled(NamedTuple):
    """What was asked for, batches of that shape, and what takes the steps."""

    request: Request
    batches: list[Batch]
    program: Program


class Work(NamedTuple):
    """Where the worker has put a package, and what it has printed."""

    folder: Path
    said: str


def work(folder, **environment):
    """Let the worker do what a folder's request asks for, and return its exit code and what it printed."""
    call = [sys.executable, "-m", "lightlab.compiled.worker", str(folder), str(os.getpid())]
    environment = {**os.environ, **environment}
    done = subprocess.run(call, env=environment, capture_output=True, text=True, check=False, timeout=300)
    return done.returncode, done.stdout + done.stderr


@pytest.fixture(scope="session")
def asked():
    """A request for two steps of a small model, and batches for them."""
    data = BundledData("wine", batch_size=16)
    model = Model(LAYERS, "multiclass", optimizer={"class_path": "AdamW", "init_args": {"betas": [0.9, 0.99]}})
    model.build(data.connect("multiclass"))
    inputs, targets = (
        each[torch.randperm(len(each), generator=torch.Generator().manual_seed(0))] for each in data._encoded["train"]
    )
    batches = [Batch(inputs[start : start + 16], targets[start : start + 16]) for start in range(0, 96, 16)]
    known = dict(model.hparams), model.data_spec.to_dict(), describe(batch_tensors(batches[0]))
    request = Request(*known, steps=2, frozen=["head.linear.bias"], precision=None, clip=(1.0, "norm"), mode="default",
                      plugins=[], device="cpu")  # fmt: skip
    return request, batches


@pytest.fixture(scope="session")
def worked(asked, tmp_path_factory):
    """The package that the worker makes of it."""
    folder = tmp_path_factory.mktemp("compiled")
    asked[0].write(folder)
    code, said = work(folder)
    assert code == 0, list(folder.iterdir())
    return Work(folder, said)


@pytest.fixture(scope="session")
def compiled(asked, worked):
    """Steps that the worker has compiled."""
    return Compiled(*asked, load(worked.folder / PACKAGE))


@pytest.fixture(scope="session")
def compiled_here(asked):
    """Steps that are compiled in this process, as they are for a GPU, but on the CPU."""
    return Compiled(*asked, compile_here(asked[0]))
