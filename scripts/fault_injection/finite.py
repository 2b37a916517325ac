"""R6 and R10: numbers that are not finite, and metrics of which nothing can be told."""

from __future__ import annotations

import json
import sys
from typing import Any

from fault_injection.base import Finding, Laboratory, fault

PROGRAM = "fault_injection.broken_numbers"
PLUGIN = f"from {PROGRAM} import register\n\nregister()\n"
CONFIG = """\
seed_everything: 1
data: {class_path: BundledData, init_args: {name: wine, batch_size: 8}}
model: {problem: multiclass, layers: [{dense: 8}, batch_norm, {faulty: {steps: [21], kind: KIND}}, tanh]}
tensorboard: null
trainer: {max_epochs: 3, accelerator: cpu}
"""


@fault(
    "R6",
    "NaN or inf in loss or gradient at step k",
    "stops at k, or skips and counts; no non-finite weight on disk; batch and layer named; exit not 0",
)
def not_finite(lab: Laboratory) -> Finding:
    """Have layers give what is not finite, forwards and backwards, at steps of all kinds of trainings."""
    times = lab.times(100, 12)
    ours, stock = _run(lab, "train", times), _run(lab, "stock", lab.times(10, 4))
    codes = [_fit(lab, kind) for kind in ("loss", "gradient")[: lab.times(2, 1)]]
    together = [] if lab.quick else [_fit(lab, kind, "--trainer.devices", "2", "--trainer.strategy", "ddp")
                                     for kind in ("loss", "gradient")]  # fmt: skip
    compiled = {} if lab.quick else _run(lab, "compiled", 1)
    holds = (
        ours["stopped"] == times
        and ours["skipped"] == ours["skips"]
        and ours["files"] > 0 == ours["broken"]
        and set(codes + together) == {2}
        and set(compiled.values()) <= {1}
    )
    said = f"{ours['stopped']} of {times} stopped at k with batch and layer named; {ours['skipped']} of {ours['skips']}"
    said += f" went on without the step, counted; {ours['broken']} of {ours['files']} files with a non-finite weight"
    said += f"; exit {', '.join(map(str, sorted(set(codes))))}"
    if not lab.quick:
        said += f"; so on two processes (exit {', '.join(map(str, sorted(set(together))))}), and in compiled steps"
    return Finding(
        holds,
        said,
        f"{stock['finished']} of {stock['runs']} finished; NaN kept as best in {stock['best']}, "
        f"{stock['broken']} of {stock['files']} files with a non-finite weight",
    )


@fault("R10", "metrics on NaN logits, on one class", "NaN or an error, never a plausible number")
def metrics(lab: Laboratory) -> Finding:
    """Measure outputs that are not finite, and targets that say nothing; watch a metric that can't be told."""
    ours, stock = _run(lab, "metrics", 1), _run(lab, "stock_metrics", 1)
    holds = ours["strange"] == ours["figures"] and ours["untold"] == ours["cases"] and ours["watched"] == 1
    said = f"{ours['strange']} of {ours['figures']} metrics are NaN on a NaN logit; {ours['untold']} of {ours['cases']}"
    said += (
        f" where one class, a constant or one row says nothing; watched: {'an error' if ours['watched'] else 'none'}"
    )
    return Finding(
        holds,
        said,
        f"accuracy of NaN logits {stock['accuracy']:.1f}, AUROC of one class {stock['auroc']:.1f}, "
        f"R² of a constant {stock['r2']:.1f}; early stopping by it: {stock['stopping']}",
    )


def _run(lab: Laboratory, what: str, times: int) -> dict[str, Any]:
    """Have the program do something so many times, and return what it counts."""
    folder = lab.folder / what
    folder.mkdir()
    done = lab.run(sys.executable, "-m", PROGRAM, what, str(times), folder=folder)
    if done.code != 0:
        raise RuntimeError(done.said[-1000:])
    counted: dict[str, Any] = json.loads(done.said.splitlines()[-1])
    return counted


def _fit(lab: Laboratory, kind: str, *options: str) -> int:
    """Train by the command line, and return the exit code where it says what it has to, or -1."""
    folder = lab.folder / f"fit_{kind}_{len(options)}"
    folder.mkdir()
    (folder / "c.yaml").write_text(CONFIG.replace("KIND", kind), encoding="utf-8")
    (folder / "faulty_layer.py").write_text(PLUGIN, encoding="utf-8")
    done = lab.lightlab("fit", "--plugin", "faulty_layer", "--config", "c.yaml", *options, folder=folder)
    named = "In step 21 (batch 5 of epoch 2)" in done.said and "model.layers[2].faulty" in done.said
    return done.code if named else -1
