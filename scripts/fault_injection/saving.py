"""Programs that save checkpoints, by lightlab's means or by Lightning's own, while something is done to them."""

from __future__ import annotations

import hashlib
import io
import json
import os
import random
import shutil
import signal
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

import torch
from lightning import LightningModule, Trainer

from lightlab import DataSpec, Model
from lightlab.checkpoints import read_checkpoint
from lightlab.cli import main
from lightlab.data_spec import InputSpec, TargetSpec

LIGHTLAB, STOCK = "lightlab", "stock"
QUIET = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False, "enable_checkpointing": False}
FEATURES = 64


class Plain(LightningModule):
    """As many weights as lightlab's model, and nothing around them."""

    def __init__(self, units: int) -> None:
        super().__init__()
        self.save_hyperparameters()
        self.layers = torch.nn.Sequential(torch.nn.Linear(FEATURES, units), torch.nn.Linear(units, 1))


def make(which: str, megabytes: float) -> Trainer:
    """Return a Trainer that is about to save a model of some size."""
    warnings.simplefilter("ignore")
    units = int(megabytes * 1e6 / 4 / FEATURES)
    trainer = Trainer(accelerator="cpu", **QUIET)
    model: LightningModule = Plain(units)
    if which == LIGHTLAB:
        model = Model([{"dense": units}], "regression")
        statistics = (0.0,) * FEATURES, (1.0,) * FEATURES
        target = TargetSpec(("y",), mean=(0.0,), std=(1.0,), rows=9)
        model.build(DataSpec("regression", InputSpec((FEATURES,), *statistics, kind="array"), target))
    trainer.strategy.connect(model)
    if which == LIGHTLAB:
        model.trainer = trainer
        model.setup("fit")
    return trainer


def read(which: str, path: Path) -> Mapping[str, Any]:
    """Read a checkpoint."""
    if which == LIGHTLAB:
        return read_checkpoint(path)
    checkpoint: Mapping[str, Any] = torch.load(path, weights_only=True)
    return checkpoint


def loads(which: str, path: Path) -> bool:
    """Return whether a checkpoint can be read."""
    try:
        read(which, path)
    except Exception:
        return False
    return True


def kill(which: str, folder: Path, times: int) -> dict[str, Any]:
    """Kill a process that does nothing but overwrite a file, at random moments; then save once more.

    Returns:
        how many times the file could be read afterwards, how many kills struck in the midst of saving, and how many
        bytes were left beside it in the end.
    """
    numbers = random.Random(0)  # noqa: S311 - no secrets: the same moments each time
    path, trainer = folder / "last.ckpt", make(which, 24)
    places = [folder, Path(tempfile.gettempdir())]
    begin = time.monotonic()
    trainer.save_checkpoint(path)
    seconds = time.monotonic() - begin
    whole, left, found = path.read_bytes(), set(), {"loads": 0, "struck": 0}
    for _ in range(times):
        path.write_bytes(whole)
        with _child(lambda: _save_for_ever(trainer, path)) as child:
            time.sleep(numbers.uniform(0, 3 * seconds))
            os.kill(child, signal.SIGKILL)
        found["loads"] += loads(which, path)
        before, left = left, {each for place in places for each in place.iterdir() if each != path}
        found["struck"] += bool(left - before)
    with _child(lambda: trainer.save_checkpoint(path)):  # the next start
        pass
    left = {each for place in places for each in place.iterdir() if each != path}
    return {**found, "left": len(left), "bytes": sum(each.stat().st_size for each in left)}


def _save_for_ever(trainer: Trainer, path: Path) -> None:
    while True:
        trainer.save_checkpoint(path)


@contextmanager
def _child(work: Callable[[], None]) -> Iterator[int]:
    """Have a process of its own do something, and wait for its end."""
    child = os.fork()
    if not child:
        try:
            work()
        finally:
            os._exit(0)
    try:
        yield child
    finally:
        os.waitpid(child, 0)


def fill(which: str, folder: Path, limit: int) -> dict[str, Any]:
    """Overwrite a checkpoint by a larger one where the disk becomes full in the middle.

    Args:
        which: by whose means.
        folder: on a small disk, or anywhere if there is a limit.
        limit: the largest size of a file; 0 for none.
    """
    last, best = folder / "last.ckpt", folder / "best.ckpt"
    for path in (best, last):
        make(which, 1).save_checkpoint(path)
    before, said = _digest(last), ""
    if not limit:
        (folder / "filler").write_bytes(bytes(_free(folder) - (1 << 20)))
    with _limited(limit):
        try:
            make(which, 4).save_checkpoint(last)
        except Exception as error:
            said = str(error)
    beside = {path.name for path in folder.iterdir()} - {"last.ckpt", "best.ckpt", "filler"}
    return {
        "refused": bool(said),
        "named": str(last) in said,
        "same": last.is_file() and _digest(last) == before,
        "loads": loads(which, last),
        "best": loads(which, best),
        "left": len(beside),
        "said": said,
    }


def _free(folder: Path) -> int:
    disk = os.statvfs(folder)
    return disk.f_bavail * disk.f_frsize


@contextmanager
def _limited(size: int) -> Iterator[None]:
    """Have no file become larger than this; 0 for no limit."""
    import resource

    limits, handler = resource.getrlimit(resource.RLIMIT_FSIZE), signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size or limits[0], limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


#: Two checkpoints of this model with its optimizer's state fit on the small disk, and no third beside them.
CONFIG = """
data: {class_path: SyntheticData, init_args: {shape: [64], problem: regression, rows: 400, batch_size: 100}}
model: {problem: regression, layers: [{dense: 8000}], optimizer: {class_path: AdamW, init_args: {lr: 1.0e-4}}}
tensorboard: null
trainer: {max_epochs: 50, accelerator: cpu, enable_progress_bar: false}
compile: false
"""


def fit(folder: Path) -> dict[str, Any]:
    """Train on a small disk, by lightlab's command, until it is full."""
    (folder / "full.yaml").write_text(CONFIG, encoding="utf-8")
    before, said = Path.cwd(), io.StringIO()
    os.chdir(folder)
    with redirect_stdout(said), redirect_stderr(said):
        code = main(["fit", "--config", "full.yaml"])
    os.chdir(before)
    kept = folder / "runs/full/version_0/checkpoints"
    left = [path.name for path in kept.iterdir() if path.suffix != ".ckpt"]
    return {"code": code, "best": loads(LIGHTLAB, kept / "best.ckpt"), "left": len(left), "said": said.getvalue()}


def flip(which: str, folder: Path, flips: int, cuts: int) -> dict[str, int]:
    """Alter a checkpoint by a bit, or cut it short, time and again.

    Returns:
        how many of these files were refused; how many were read with other weights, or other plain data; and how many
        as if nothing had been.
    """
    numbers, path = random.Random(0), folder / "a.ckpt"  # noqa: S311 - no secrets: the same bits each time
    make(which, 0.02).save_checkpoint(path)
    content, whole = path.read_bytes(), read(which, path)
    found = {"refused": 0, "altered": 0, "same": 0}
    for number in range(flips + cuts):
        changed = bytearray(content[: numbers.randrange(len(content))] if number >= flips else content)
        if number < flips:
            bit = numbers.randrange(8 * len(content))
            changed[bit // 8] ^= 1 << bit % 8
        path.write_bytes(changed)
        try:
            now = read(which, path)
        except Exception:
            found["refused"] += 1
            continue
        found["same" if _equal(now, whole) else "altered"] += 1
    return found


def _equal(one: Any, other: Any) -> bool:
    """Return whether two values are the same, tensors to the bit."""
    if isinstance(one, torch.Tensor) and isinstance(other, torch.Tensor):
        alike = one.shape == other.shape and one.dtype == other.dtype
        return alike and one.contiguous().numpy().tobytes() == other.contiguous().numpy().tobytes()
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        return list(one) == list(other) and all(_equal(one[name], other[name]) for name in one)
    if isinstance(one, list | tuple) and isinstance(other, list | tuple):
        return len(one) == len(other) and all(map(_equal, one, other))
    return type(one) is type(other) and one == other


if __name__ == "__main__":
    results = []
    for number, (program, *words) in enumerate(json.loads(sys.argv[1])):
        place = Path(f"part_{number}").resolve()
        place.mkdir()
        if program == "fit":
            results.append(fit(place))
        else:
            which, *amounts = words
            results.append({"kill": kill, "fill": fill, "flip": flip}[program](which, place, *amounts))
        shutil.rmtree(place)
    print("\n" + json.dumps(results))
