"""R4: trainings that are gone on with from each of their checkpoints, beside one that never stopped."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fault_injection.base import Finding, Finished, Laboratory, fault

CLASSES = {"class_path": "ImageFolderData", "init_args": {"path": "images", "batch_size": 8, "size": 10}}
PARQUET = {"class_path": "ParquetStream", "init_args": {"path": "t.parquet", "target": "kind", "batch_size": 10}}
CONVOLUTIONS = [{"conv2d": {"filters": 4, "kernel_size": 3}}, "batch_norm", "flatten", {"dropout": 0.3}]
AUGMENT = ["random_flip", {"padded_crop": 2}, {"mixup": 0.4}]
STORED = {"data": CLASSES, "model.layers": CONVOLUTIONS, "model.problem": "binary", "data.init_args.memory_limit": 0}
STREAM = {"data": PARQUET, "model.problem": "binary", "data.init_args.shuffle_buffer": 40}
TWO = {"trainer.devices": 2, "trainer.strategy": "ddp"}


def schedule(name: str, **options: Any) -> dict[str, Any]:
    """Return what has a training follow a schedule."""
    beside = {key: options.pop(key) for key in ("interval", "warmup") if key in options}
    return {"model.lr_scheduler": {"class_path": name, "init_args": options, **beside}}


#: What trainings have: the changes to a config.
CASES: dict[str, dict[str, Any]] = {
    "dropout": {},
    "class-balanced": {"data.init_args.balanced": True, "data.init_args.augment": [{"gaussian_noise": 0.1}]},
    "OneCycleLR": schedule("OneCycleLR", max_lr=0.1),
    "warm-up and cosine": schedule("CosineAnnealingLR", interval="step", warmup=5),
    "StepLR, clipping": {**schedule("StepLR", step_size=1, gamma=0.5), "trainer.gradient_clip_val": 0.1},
    "ReduceLROnPlateau, early stopping": {
        **schedule("ReduceLROnPlateau", patience=0, threshold=0.5),
        "early_stopping": {"patience": 2, "min_delta": 0.1},
        "trainer.max_epochs": 6,
    },
    "ReduceLROnPlateau after steps": schedule("ReduceLROnPlateau", patience=0, threshold=0.5, interval="step"),
    "accumulation": {"trainer.accumulate_grad_batches": 3, **schedule("OneCycleLR", max_lr=0.1)},
    "validation in epochs": {"trainer.val_check_interval": 3},
    "validation within accumulation": {"trainer.val_check_interval": 2, "trainer.accumulate_grad_batches": 3},
    "max_steps": {"trainer.max_steps": 21, **schedule("OneCycleLR", max_lr=0.1)},
    "EMA": {"callbacks": [{"class_path": "EMAWeightAveraging", "init_args": {"decay": 0.9}}]},
    "bf16-mixed": {"trainer.precision": "bf16-mixed"},
    "64-true": {"trainer.precision": "64-true"},
    "one step an execution": {"steps_per_execution": 1},
    "four steps an execution": {"steps_per_execution": 4},
    "images, crops, flips, mixup": {
        **STORED,
        "data.init_args.memory_limit": 1,
        "data.init_args.augment": AUGMENT,
        **schedule("CosineAnnealingLR", interval="step"),
    },
    "stored images, 0 workers": {**STORED, "data.init_args.num_workers": 0, "data.init_args.augment": AUGMENT},
    "stored images, 2 workers, cutmix": {
        **STORED,
        "data.init_args.num_workers": 2,
        "data.init_args.augment": ["random_flip", {"cutmix": 1.0}],
        **schedule("OneCycleLR", max_lr=0.1),
    },
    "stream, 0 workers": {**STREAM, "data.init_args.num_workers": 0},
    "stream, 2 workers": {**STREAM, "data.init_args.num_workers": 2, **schedule("OneCycleLR", max_lr=0.1)},
    "compiled steps": {"compile": True, "data.init_args.batch_size": 4},
    "compiled layers": {"compile": True, "trainer.accumulate_grad_batches": 2},
    "2 ranks": TWO,
    "2 ranks, 2 workers": {**TWO, **STREAM, "data.init_args.num_workers": 2, "trainer.accumulate_grad_batches": 2},
}
#: Cases whose trainings take a process each, and how many are gone on with.
PROCESSES = {name for name in CASES if "2 ranks" in name}
#: Of each case, so many of its checkpoints are gone on with: those of the first batches, and some of all kinds.
QUICK_CASES = {"images, crops, flips, mixup": 4, "ReduceLROnPlateau, early stopping": 4}
#: A shuffled training with dropout, gone on with from checkpoints within epochs; prints how many end with its weights.
STOCK = """
import logging, sys, warnings
warnings.simplefilter("ignore")
logging.disable(logging.ERROR)
import torch
from lightning.pytorch import LightningModule, Trainer, seed_everything
from lightning.pytorch.callbacks import ModelCheckpoint
from torch import nn
class Network(LightningModule):
    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Dropout(0.3), nn.Linear(8, 1))
    def training_step(self, batch, index):
        return self.layers(batch[0]).square().mean()
    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters())
def train(folder, checkpoint=None):
    seed_everything(1, verbose=False)
    rows = torch.utils.data.TensorDataset(torch.randn(48, 4))
    keep = ModelCheckpoint(folder, "{step}", every_n_train_steps=4, save_top_k=-1)
    quiet = dict(logger=False, enable_progress_bar=False, enable_model_summary=False, accelerator="cpu")
    model = Network()
    Trainer(max_epochs=3, callbacks=[keep], **quiet).fit(
        model, torch.utils.data.DataLoader(rows, batch_size=8, shuffle=True), ckpt_path=checkpoint)
    return torch.cat([each.flatten() for each in model.parameters()])
whole = train("whole")
steps = [4, 8, 16][:int(sys.argv[1])]
good = sum(torch.equal(train("again", f"whole/step={step}.ckpt"), whole) for step in steps)
print("STOCK", good, len(steps))
"""


@fault(
    "R4",
    "resume from every step, with shuffle, dropout, augmentation, schedules, EMA, mixed precision, steps in one go; 0 "
    "and 2 workers; 1 and 2 ranks",
    "final weights and logged metrics bitwise those of the uninterrupted run",
)
def resume_from_every_step(lab: Laboratory) -> Finding:
    """Go on from all checkpoints of trainings of many kinds."""
    cases = QUICK_CASES if lab.quick else dict.fromkeys(CASES, 0)
    groups = [list(cases)] if lab.quick else [[name] for name in cases]

    def go_on(names: list[str]) -> Finished:
        folder = lab.folder / names[0]
        folder.mkdir()
        arguments = (f"{name}={cases[name]}" for name in names)
        return lab.run(sys.executable, "-m", "fault_injection.resume", *arguments, folder=folder)

    good, total, faults = 0, 0, []
    for names, finished in zip(groups, lab.side_by_side(go_on, groups), strict=True):
        found = [json.loads(line[6:]) for line in finished.said.splitlines() if line.startswith("FOUND ")]
        if len(found) < len(names):
            faults.append(f"{names}: {finished.said[-300:]}")
        for name, same, count, differ in found:
            good, total = good + same, total + count
            faults += [f"{name}: {differ or 'no checkpoint to go on from'}"] if differ or not count else []
    repeats = lab.times(3, 1)
    stock = lab.python(STOCK, str(repeats)).said.split()
    figure = "; ".join([f"{good} of {total} bitwise, in {len(cases)} kinds of training", *faults[:3]])
    return Finding(not faults and good == total, figure, f"{stock[-2]} of {stock[-1]} bitwise")


def go_on_from_all(name: str, most: int) -> tuple[int, int, str]:
    """Train, and go on from the checkpoints of that training; return how many ended alike, of how many; and a fault."""
    from fault_injection.inside.trainings import (
        call,
        differing,
        make_images,
        make_table,
        read_run,
        read_scalars,
        write_config,
    )

    shutil.rmtree("runs", ignore_errors=True)
    if not Path("images").exists():
        make_images(Path("images"))
        make_table(Path("t.parquet"))
    write_config(Path("c.yaml"), CASES[name], every=4 if name in PROCESSES else 1)
    fit = ("fit", "--config", "c.yaml")
    (call if name not in PROCESSES else call_apart)(*fit)
    whole, scalars = read_run(Path("runs/c/version_0")), read_scalars(Path("runs/c/version_0"))
    files = sorted(Path("runs/c/version_0/checkpoints").glob("[sve]*.ckpt"), key=lambda file: int(file.stem[1:]))
    files = [file for file in files if not _is_over(file, CASES[name])]
    if most:
        files = files[:: max(1, len(files) // most)]
    same, fault = 0, ""
    for number, file in enumerate(files, 1):
        (call if name not in PROCESSES else call_apart)(*fit, "--ckpt_path", str(file))
        run = Path(f"runs/c/version_{number}")
        again = read_scalars(run)
        step = int(file.stem[1:])
        late = [key for key in scalars if key[2] > step and "best" not in key[0]]
        rest = {key: scalars.get(key) for key in {*again, *late}}
        differ = [*differing(whole, read_run(run)), *differing(rest, again)]
        same += not differ
        fault = fault or (f"from {file.name} {differ[0]} and {len(differ) - 1} others differ" if differ else "")
    return same, len(files), fault


def _is_over(file: Path, changes: Mapping[str, Any]) -> bool:
    """Return whether nothing is left to train after a checkpoint."""
    from lightlab.checkpoints import read_checkpoint
    from lightlab.training.resume import epochs_over

    checkpoint = read_checkpoint(file)
    waits = [state["wait_count"] for key, state in checkpoint["callbacks"].items() if "EarlyStopping" in key]
    patience = changes.get("early_stopping", {}).get("patience", 1)
    over = epochs_over(checkpoint) >= changes.get("trainer.max_epochs", 3)
    return over or checkpoint["global_step"] == changes.get("trainer.max_steps") or max(waits, default=0) >= patience


def call_apart(*arguments: str) -> str:
    """Carry out a call of lightlab's in a process of its own, which starts others."""
    import subprocess

    program = Path(sys.executable).with_name("lightlab")  # which Lightning can start again
    finished = subprocess.run([program, *arguments], capture_output=True, text=True, check=False)
    if finished.returncode:
        raise RuntimeError((finished.stdout + finished.stderr)[-500:])
    return finished.stdout


if __name__ == "__main__":
    for argument in sys.argv[1:]:
        name, _, most = argument.rpartition("=")
        print("FOUND", json.dumps([name, *go_on_from_all(name, int(most))]), flush=True)
