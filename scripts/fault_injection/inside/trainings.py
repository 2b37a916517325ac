"""Trainings to repeat and to go on with, and what one has to have in common with another, to the bit."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
import yaml
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from lightlab.checkpoints import read_checkpoint
from lightlab.cli import main

#: What is measured of a machine, and differs from run to run.
MEASURED = {"seconds", "epoch_seconds", "samples_per_second", "memory_mib"}
#: What a checkpoint has beside what was learned: versions, paths, times; and the counts of a validation.
ASIDE = {"callbacks", "pytorch-lightning_version", "max_epochs", "hyper_parameters"}
#: What of callbacks decides how a training goes on.
DECISIVE = {"wait_count", "stopped_epoch", "best_score", "best_model_score", "latest_update_step", "skipped"}

LAYERS = [{"dense": {"units": 8, "activation": "relu", "l2": 0.001}}, "batch_norm", {"dropout": 0.3}]
#: Saves all there is after each so many steps, and after each validation.
SAVES = [
    {"class_path": "ModelCheckpoint", "init_args": {"every_n_train_steps": 1, "save_top_k": -1, "filename": "s{step}"}},
    {
        "class_path": "ModelCheckpoint",
        "init_args": {
            "monitor": "val/accuracy",
            "mode": "max",
            "save_top_k": -1,
            "filename": "v{step}",
            "save_on_train_epoch_end": False,
        },
    },
    {
        "class_path": "ModelCheckpoint",
        "init_args": {
            "monitor": "train/accuracy",
            "mode": "max",
            "save_top_k": -1,
            "filename": "e{step}",
            "save_on_train_epoch_end": True,
        },
    },
]


def make_config(changes: Mapping[str, Any], every: int) -> dict[str, Any]:
    """Return the config of a small training that saves all along.

    Args:
        changes: by key, with dots; ``callbacks`` come beside those that save.
        every: so many steps are between two checkpoints.
    """
    saves = [{**each, "init_args": {**each["init_args"], "auto_insert_metric_name": False}} for each in SAVES]
    saves[0]["init_args"]["every_n_train_steps"] = every
    config: dict[str, Any] = {
        "seed_everything": 1,
        "data": {"class_path": "BundledData", "init_args": {"name": "wine", "batch_size": 16}},
        "model": {"problem": "multiclass", "layers": LAYERS},
        "compile": False,
        "trainer": {"max_epochs": 3, "accelerator": "cpu", "callbacks": saves, "log_every_n_steps": 1},
    }
    for key, value in changes.items():
        if key == "callbacks":
            saves += value
            continue
        *sections, name = key.split(".")
        place = config
        for section in sections:
            place = place.setdefault(section, {})
        place[name] = value
    return config


def write_config(path: Path, changes: Mapping[str, Any], every: int = 1) -> None:
    """Write such a config."""
    path.write_text(yaml.safe_dump(make_config(changes, every), sort_keys=False), encoding="utf-8")


def make_images(folder: Path) -> None:
    """Write 40 small images of noise, of two classes, of which one is brighter."""
    generator = np.random.default_rng(0)
    for number in range(40):
        place = folder / ("dark", "light")[number % 2]
        place.mkdir(parents=True, exist_ok=True)
        pixels = generator.integers(0, 120, (10, 10, 3)) + 60 * (number % 2)
        Image.fromarray(pixels.astype(np.uint8)).save(place / f"{number}.png")


def make_table(file: Path) -> None:
    """Write 100 rows of a table, in row groups of 30."""
    generator = np.random.default_rng(0)
    table = pd.DataFrame(generator.normal(size=(100, 3)), columns=list("abc"))
    table["kind"] = np.where(table.a + table.b > 0, "up", "down")
    table.to_parquet(file, row_group_size=30)


def call(*arguments: str) -> str:
    """Carry out a call of lightlab's; return what was said.

    Raises:
        RuntimeError: it failed.
    """
    said = io.StringIO()
    with redirect_stdout(said), redirect_stderr(said):
        code = main(list(arguments))
    if code:
        raise RuntimeError(said.getvalue()[-500:])
    return said.getvalue()


def read_run(folder: Path) -> dict[str, Any]:
    """Return what a run came to, without what differs from run to run."""
    found: dict[str, Any] = {name: _read_weights(folder / "checkpoints" / f"{name}.ckpt") for name in ("last", "best")}
    history = pd.read_csv(folder / "history.csv")
    found["history"] = history.drop(columns=MEASURED & set(history)).astype(str).to_dict("list")
    outcome = yaml.safe_load((folder / "metrics.json").read_text(encoding="utf-8"))
    found["metrics"] = {name: outcome[name] for name in ("validation", "test", "best_epoch", "best_step", "epochs")}
    return found


def _read_weights(file: Path) -> dict[str, Any]:
    checkpoint = read_checkpoint(file)
    states = checkpoint["callbacks"]
    found = {name: value for name, value in checkpoint.items() if name not in ASIDE}
    loops = found["loops"]["fit_loop"]
    found["loops"] = {name: value for name, value in loops.items() if "val_loop" not in name}
    kept = {key: {name: state[name] for name in DECISIVE & set(state)} for key, state in states.items()}
    return found | {"decisive": {key: state for key, state in kept.items() if state}}


def read_scalars(folder: Path) -> dict[tuple[str, str, int], float]:
    """Return the figures in TensorBoard's files, by folder, tag and step, without what differs from run to run."""
    found = {}
    for place in sorted({file.parent for file in folder.rglob("events.out.tfevents.*")}):
        events = EventAccumulator(str(place), size_guidance={"scalars": 0}).Reload()
        for tag in events.Tags()["scalars"]:
            if tag.split("/")[-1] not in MEASURED:
                name = str(place.relative_to(folder))
                found |= {(name, tag, each.step): each.value for each in events.Scalars(tag)}
    return found


def differing(one: Any, other: Any, key: str = "") -> Iterator[str]:
    """Give the keys of what is not the same to the bit."""
    if isinstance(one, torch.Tensor) and isinstance(other, torch.Tensor):
        if one.dtype != other.dtype or not torch.equal(_bits(one), _bits(other)):
            yield key
    elif isinstance(one, dict) and isinstance(other, dict):
        for name in sorted(one.keys() | other.keys(), key=str):
            yield from differing(one.get(name), other.get(name), f"{key}.{name}")
    elif isinstance(one, list | tuple) and isinstance(other, list | tuple) and len(one) == len(other):
        for place, pair in enumerate(zip(one, other, strict=True)):
            yield from differing(*pair, f"{key}[{place}]")
    elif one != other and (one == one or other == other):
        yield key


def _bits(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.flatten().contiguous().view(torch.uint8)
