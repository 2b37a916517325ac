"""R17: the same training twice, with the same seed, in different processes."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from fault_injection.base import Finding, Laboratory, fault
from fault_injection.resume import AUGMENT, STORED, TWO

#: Trains and predicts; in one process, since starting takes longest.
PROGRAM = """
import sys
from lightlab.cli import main
code = main(["fit", "--config", "c.yaml"])
sys.exit(code or main(["predict", "--config", "c.yaml", "--output", "predictions.csv"]))
"""
IMAGES = {**STORED, "data.init_args.num_workers": 2, "data.init_args.augment": AUGMENT}
CASES: dict[str, dict[str, Any]] = {
    "dropout, augmentation, 2 workers": IMAGES,
    "compiled": {"compile": True, "data.init_args.batch_size": 4},
    "2 ranks, 2 workers": {**IMAGES, **TWO},
}


@fault(
    "R17",
    "the same seed twice, in processes with other hashes of texts and other numbers of threads that run side by side",
    "bitwise equal weights, figures, history and predictions",
)
def train_twice(lab: Laboratory) -> Finding:
    """Train each kind twice at the same time, and compare."""
    from fault_injection.inside.trainings import make_images, write_config

    same, faults = 0, []
    cases = dict(list(CASES.items())[:1]) if lab.quick else CASES
    for number, (name, changes) in enumerate(cases.items()):
        folders = [lab.folder / f"{number}{which}" for which in "ab"]
        for folder in folders:
            folder.mkdir()
            make_images(folder / "images")
            write_config(folder / "c.yaml", changes, every=1000)
        found = _run_both(lab, folders)
        same += not found
        faults += [f"{name}: {found}"] if found else []
    return Finding(not faults, "; ".join([f"{same} of {len(cases)} kinds of training bitwise", *faults]))


def _run_both(lab: Laboratory, folders: list[Path]) -> str:
    """Train in both folders; return what differs."""
    from fault_injection.inside.trainings import differing, read_run

    settings = {"PYTHONHASHSEED": "1"}, {"PYTHONHASHSEED": "2", "LIGHTLAB_INTEROP": "3"}
    program = "import os, torch; torch.set_num_interop_threads(int(os.environ.get('LIGHTLAB_INTEROP', 1)))\n" + PROGRAM
    processes = [
        lab.start(sys.executable, "-c", program, folder=folder, **setting)
        for folder, setting in zip(folders, settings, strict=True)
    ]
    said = [process.communicate(timeout=300)[0] for process in processes]
    if failed := [text for text, process in zip(said, processes, strict=True) if process.returncode]:
        return failed[0][-300:]
    one, other = (read_run(folder / "runs" / "c" / "version_0") for folder in folders)
    predictions = [(folder / "predictions.csv").read_bytes() for folder in folders]
    differ = list(differing(one, other)) + (["predictions"] if predictions[0] != predictions[1] else [])
    return f"{differ[0]} and {len(differ) - 1} others differ" if differ else ""
