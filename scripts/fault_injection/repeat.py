"""R17: the same training twice, with the same seed, in different processes."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from fault_injection.base import LONGEST, Finding, Laboratory, fault
from fault_injection.resume import AUGMENT, STORED, TWO

#: Trains and predicts, as ``fit:CONFIG predict:CONFIG …`` says; in one process, since starting takes longest.
PROGRAM = """
import os, sys, torch
torch.set_num_interop_threads(int(os.environ.get("LIGHTLAB_INTEROP", 1)))
from lightlab.cli import main
for call in sys.argv[1:]:
    verb, name = call.split(":")
    output = ["--output", f"{name}.csv"] if verb == "predict" else []
    if code := main([verb, "--config", f"{name}.yaml", *output]):
        sys.exit(code)
"""
IMAGES = {**STORED, "data.init_args.num_workers": 2, "data.init_args.augment": AUGMENT}
CASES: dict[str, dict[str, Any]] = {
    "dropout, augmentation, 2 workers": IMAGES,
    "deterministic: true, on a GPU where there is one": {
        **IMAGES,
        "data.init_args.num_workers": 0,
        "trainer.deterministic": True,
        "trainer.accelerator": "auto",
    },
    "compiled": {"compile": True, "data.init_args.batch_size": 4},
    "2 ranks, 2 workers": {**IMAGES, **TWO},
}
#: Where a few repetitions do, so many of them are trained, in the same processes.
QUICK_CASES = 2


@fault(
    "R17",
    "the same seed twice, in processes with other hashes of texts and other numbers of threads that run side by side",
    "bitwise equal weights, figures, history and predictions; so with `deterministic: true`",
)
def train_twice(lab: Laboratory) -> Finding:
    """Train each kind twice at the same time, and compare."""
    from fault_injection.inside.trainings import make_images, write_config

    program, names = lab.folder / "twice.py", list(CASES)
    program.write_text(PROGRAM)  # a file, by whose name Lightning starts the second rank
    groups = [names[:QUICK_CASES]] if lab.quick else [[name] for name in names]
    faults = []
    for number, group in enumerate(groups):
        folders = [lab.folder / f"{number}{which}" for which in "ab"]
        for folder in folders:
            folder.mkdir()
            make_images(folder / "images")
            for name in group:
                write_config(folder / f"{names.index(name)}.yaml", CASES[name], every=1000)
        calls = [f"{verb}:{names.index(name)}" for name in group for verb in ("fit", "predict")]
        # A second rank begins with a program's first call: each call is a program of its own.
        sessions = [[call] for call in calls] if CASES[group[0]].get("trainer.devices") else [calls]
        failed = next(filter(None, (_run_both(lab, folders, str(program), *each) for each in sessions)), "")
        found = [failed or _compare(folders, str(names.index(name))) for name in group]
        faults += [f"{name}: {differ}" for name, differ in zip(group, found, strict=True) if differ]
    total = sum(map(len, groups))
    figure = f"{total - len(faults)} of {total} kinds of training bitwise, one of them with deterministic: true"
    return Finding(not faults, "; ".join([figure, *faults]))


def _run_both(lab: Laboratory, folders: list[Path], *command: str) -> str:
    """Run a program at the same time in both folders; return what was said where it failed."""
    settings = {"PYTHONHASHSEED": "1"}, {"PYTHONHASHSEED": "2", "LIGHTLAB_INTEROP": "3"}
    processes = [
        lab.start(sys.executable, *command, folder=folder, **setting)
        for folder, setting in zip(folders, settings, strict=True)
    ]
    said = [process.communicate(timeout=LONGEST)[0] for process in processes]
    return next((text[-300:] for text, process in zip(said, processes, strict=True) if process.returncode), "")


def _compare(folders: list[Path], config: str) -> str:
    """Return what differs between the trainings by a config, and their predictions."""
    from fault_injection.inside.trainings import differing, read_run

    one, other = (read_run(folder / "runs" / config / "version_0") for folder in folders)
    predictions = [(folder / f"{config}.csv").read_bytes() for folder in folders]
    differ = list(differing(one, other)) + (["predictions"] if predictions[0] != predictions[1] else [])
    return f"{differ[0]} and {len(differ) - 1} others differ" if differ else ""
