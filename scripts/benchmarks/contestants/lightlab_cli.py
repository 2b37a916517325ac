"""lightlab by its CLI's own path, with everything on: no code of ours runs in its process."""

from __future__ import annotations

import csv
import sys
from pathlib import Path
from typing import Any

from benchmarks.jobs import Job, Outcome, Task

CONFIGS = Path(__file__).resolve().parents[3] / "configs"
#: What lightlab is run with beside a task's config.
VARIANTS = {
    "lightlab": ("lightlab", []),
    "lightlab-eager": ("lightlab, compile: false", ["--compile=false"]),
    "lightlab-compiled": ("lightlab, compile: true", ["--compile=true"]),
    "lightlab-bf16": ("lightlab, bf16", ["--trainer.precision=bf16-mixed"]),
}


def config(job: Job) -> dict[str, Any]:
    """Return the config of a job."""
    task, data = job.task, Path(job.data)
    files = {
        f"{split}_{option}": str(data / f"{split}_{what}.npy")
        for split in ("train", "val")
        for option, what in (("path", "inputs"), ("target_path", "targets"))
    }
    options: dict[str, Any] = {**files, "batch_size": task.batch_size, "seed": job.seed}
    if task.network == "resnet18":
        options["image"] = True
    if task.augment:
        options["augment"] = ["random_flip", {"padded_crop": 4}]
    trainer = {"max_epochs": job.epochs, "accelerator": "gpu" if job.device == "cuda" else "cpu"}
    if job.processes > 1:
        trainer |= {"devices": job.processes, "strategy": "ddp"}
    return {
        "seed_everything": job.seed,
        "data": {"class_path": "ArrayData", "init_args": options},
        "model": model(task),
        "early_stopping": {"monitor": "val/loss", "patience": job.epochs if job.patience is None else job.patience},
        "trainer": trainer,
    }


def model(task: Task) -> dict[str, Any]:
    """Return the section on the model; that of the digits is the shipped config's."""
    import yaml

    if task.network == "digits":
        return yaml.safe_load((CONFIGS / "digits_cnn.yaml").read_text(encoding="utf-8"))["model"]
    optimizer = {"class_path": task.optimizer, "init_args": {"lr": 1e-3}}
    return {"problem": "multiclass", "layers": layers(task), "optimizer": optimizer}


def layers(task: Task) -> list[Any]:
    if task.network == "mlp":
        return [{"mlp": {"units": list(task.units)}}]
    if task.network == "cnn":
        convs = [{"conv2d": {"filters": filters, "kernel_size": 3, "activation": "relu"}} for filters in (32, 64)]
        pool = {"max_pool2d": 2}
        return [convs[0], pool, convs[1], pool, "flatten", {"dense": {"units": 128, "activation": "relu"}}]
    blocks = [
        block(filters, step) for filters, stride in ((64, 1), (128, 2), (256, 2), (512, 2)) for step in (stride, 1)
    ]
    return [{"conv_block": 64}, *blocks, "global_avg_pool"]


def block(filters: int, stride: int) -> dict[str, Any]:
    inner = [
        {"conv_block": {"filters": filters, "stride": stride}},
        {"conv_block": {"filters": filters, "activation": "linear"}},
    ]
    return {"residual": {"layers": inner, "activation": "relu"}}


def command(job: Job) -> list[str]:
    """Write the config, and return the command that trains by it."""
    import yaml

    path = Path(job.folder) / "bench.yaml"
    path.write_text(yaml.safe_dump(config(job), sort_keys=False), encoding="utf-8")
    return [program(), "fit", "--config", str(path), *job.options["arguments"]]


def program() -> str:
    """Return the installed command of this Python.

    Raises:
        SystemExit: there is none.
    """
    path = Path(sys.executable).with_name("lightlab")
    if not path.exists():
        raise SystemExit(f"lightlab is installed beside the Python that runs this. There is no {path}.")
    return str(path)


def outcome(job: Job) -> Outcome:
    """Read the history of the run: what an epoch took, from its start to the start of the next, validation aside."""
    run = Path(job.folder) / "runs" / "bench" / "version_0"
    rows = list(csv.DictReader((run / "history.csv").read_text(encoding="utf-8").splitlines()))
    seconds = [job.task.rows / float(row["samples_per_second"]) for row in rows]
    on_device = float(rows[-1]["memory_mib"]) if job.device == "cuda" else None
    return Outcome(seconds, float(rows[-1]["val/accuracy"]), on_device)
