"""R12 and R13: evaluation on two processes, and what all do where one of them dies or stalls."""

from __future__ import annotations

import json
import math
import os
import re
import signal
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path

import pandas as pd

from fault_injection.base import LIGHTLAB, LONGEST, Finding, Laboratory, fault

TWO = ("--trainer.devices", "2", "--trainer.strategy", "ddp")
#: How a process is lost, and by when all others have ended, in seconds.
LOSSES = {"killed": (signal.SIGKILL, 15.0), "stalled": (signal.SIGSTOP, 60.0)}
#: The timeout that is set where there is no time for the default.
QUICK_TIMEOUT = ("--rank_timeout", "4")
#: Stock Lightning is watched for so long, in seconds.
WATCHED, WATCHED_QUICKLY = 90.0, 8.0
#: An evaluation has so many rows at most, and figures are off by no more than that.
MOST_ROWS, MOST_OFF = 9, 1e-6

PROBLEMS = {"binary": "label", "multiclass": "kind", "regression": "size"}
CONFIG = """\
seed_everything: 1
data: {{class_path: TableData, init_args: {{train_path: {problem}.csv, val_path: "{problem}-{rows}.csv",
  test_path: "{problem}-{rows}.csv", target: {target}, batch_size: 8}}}}
model: {{problem: {problem}, layers: [{{dense: {{units: 8, activation: relu}}}}]}}
tensorboard: null
trainer: {{max_epochs: 1, accelerator: cpu, callbacks: [{{class_path: keep.Keep}}]}}
"""

#: A plugin: keeps the figures of evaluations as they are, and not as they are printed.
KEEP = """\
from lightning.pytorch import Callback

FIGURES = {}

class Keep(Callback):
    def on_validation_end(self, trainer, *given):
        FIGURES.update({name: float(value) for name, value in trainer.callback_metrics.items()})

    on_test_end = on_validation_end
"""

#: Evaluates in a process, and another time as one of two; all that comes out goes into a file.
EVALUATE = """
import json, os, sys
import keep
from lightlab.cli import main

places = json.loads(sys.argv[1])
found = {}
for problem, rows in places:
    call = ["--config", f"{problem}-{rows}.yaml", "--plugin", "keep", "--ckpt_path", f"{problem}.ckpt", *sys.argv[3:]]
    for verb in ("validate", "test"):
        keep.FIGURES.clear()
        code = main([verb, *call])
        found[f"{problem} {rows} {verb}"] = dict(keep.FIGURES) if code == 0 else {}
    paths = {"--data.predict_path": f"{problem}-{rows}.csv", "--output": f"{sys.argv[2]}-{problem}-{rows}.csv"}
    main(["predict", *call, *(word for pair in paths.items() for word in pair)])
if os.environ.get("RANK", "0") == "0":
    open(f"{sys.argv[2]}.json", "w").write(json.dumps(found))
"""

#: Lightning alone: the mean of five rows, on two processes.
STOCK_EVALUATION = """
import torch
from lightning.pytorch import LightningModule, Trainer

class Mean(LightningModule):
    def test_step(self, batch, index):
        self.log("mean", batch.mean(), sync_dist=True, batch_size=len(batch), on_epoch=True)

loader = torch.utils.data.DataLoader(torch.tensor([10.0, 0.0, 0.0, 0.0, 0.0]), batch_size=1)
trainer = Trainer(accelerator="cpu", devices=2, strategy="ddp", logger=False, enable_progress_bar=False)
found = trainer.test(Mean(), loader, verbose=False)
if trainer.is_global_zero:
    print("MEAN", round(found[0]["mean"], 2))
"""

#: Lightning alone: a training that never ends, on two processes.
STOCK_TRAINING = """
import torch
from lightning.pytorch import LightningModule, Trainer

class Network(LightningModule):
    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(4, 1)
    def training_step(self, batch, index):
        if index == 5:
            print("epoch 2/", flush=True)
        return self.layer(batch).square().mean()
    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), 0.01)

options = {"logger": False, "enable_progress_bar": False, "enable_checkpointing": False}
trainer = Trainer(max_epochs=10**6, accelerator="cpu", devices=2, strategy="ddp", **options)
trainer.fit(Network(), torch.utils.data.DataLoader(torch.ones(64, 4), 2))
"""


@fault("R12", "evaluation on 2 ranks with 1..9 rows", "equals one process to 1e-6, predictions in order, each row once")
def evaluate(laboratory: Laboratory) -> Finding:
    """Evaluate few rows on two processes, and on one."""
    folder = laboratory.folder
    counts = range(1, MOST_ROWS + 1) if not laboratory.quick else (1, 2, 5)
    problems = list(PROBLEMS)[: laboratory.times(len(PROBLEMS), 1)]
    places = [(problem, rows) for problem in problems for rows in counts]
    _write_data(folder, places)
    for problem in problems:
        laboratory.lightlab("fit", "--config", f"{problem}-{MOST_ROWS}.yaml", "--plugin", "keep")
        (folder / f"runs/{problem}-{MOST_ROWS}/version_0/checkpoints/best.ckpt").rename(folder / f"{problem}.ckpt")
    laboratory.python(EVALUATE, json.dumps(places), "one", PYTHONPATH=str(folder))
    _carry_out_on_two(laboratory, "-c", EVALUATE, json.dumps(places), "two", *TWO)
    equal, in_order = _compare_figures(folder), _compare_predictions(folder, places)
    holds = all(equal) and all(in_order) and len(equal) == 2 * len(places)
    stock = re.search(r"MEAN (\S+)", _carry_out_on_two(laboratory, "-c", STOCK_EVALUATION))
    return Finding(
        holds,
        f"{sum(equal)} of {2 * len(places)} evaluations equal, {sum(in_order)} of {len(places)} predictions in order",
        f"{stock[1] if stock else 'no figure'} for 2.0",
    )


def _carry_out_on_two(laboratory: Laboratory, *program: str) -> str:
    """Carry out a program of Python's in two processes that are told of each other; return what the first says."""
    meeting = {
        "PYTHONPATH": str(laboratory.folder),
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(20_000 + os.getpid() % 10_000),
        "WORLD_SIZE": "2",
        "GROUP_RANK": "0",
        "LOCAL_WORLD_SIZE": "2",
        "TORCHELASTIC_RUN_ID": "r12",
    }
    pair = [laboratory.start(sys.executable, *program, RANK=rank, LOCAL_RANK=rank, **meeting) for rank in ("0", "1")]
    said, _ = (process.communicate(timeout=LONGEST)[0] for process in pair)
    return said


def _write_data(folder: Path, places: list[tuple[str, int]]) -> None:
    table = pd.DataFrame({"x": range(40), "z": [3, 1, 4, 1, 5] * 8})
    table["label"] = ["no", "yes", "yes", "no"] * 10
    table["kind"] = ["a", "b", "c", "a", "b"] * 8
    table["size"] = table.x * 0.3 + table.z
    (folder / "keep.py").write_text(KEEP)
    for problem, rows in [*places, *((problem, MOST_ROWS) for problem in PROBLEMS)]:
        own = table[["x", "z", PROBLEMS[problem]]]
        own.to_csv(folder / f"{problem}.csv", index=False)
        own[3 : 3 + rows].to_csv(folder / f"{problem}-{rows}.csv", index=False)
        text = CONFIG.format(rows=rows, target=PROBLEMS[problem], problem=problem)
        (folder / f"{problem}-{rows}.yaml").write_text(text)


def _compare_figures(folder: Path) -> list[bool]:
    one, two = (json.loads((folder / f"{name}.json").read_text()) for name in ("one", "two"))
    return [_are_close(one[key], two.get(key, {})) for key in one]


def _are_close(one: Mapping[str, float], two: Mapping[str, float]) -> bool:
    """Return whether figures are the same to 1e-6; those that there are too few rows for are NaN in both."""
    pairs = [(value, two.get(name, math.inf)) for name, value in one.items()]
    return bool(pairs) and all(abs(a - b) <= MOST_OFF or (math.isnan(a) and math.isnan(b)) for a, b in pairs)


def _compare_predictions(folder: Path, places: list[tuple[str, int]]) -> list[bool]:
    equal = []
    for problem, rows in places:
        one, two = (pd.read_csv(folder / f"{name}-{problem}-{rows}.csv") for name in ("one", "two"))
        try:
            pd.testing.assert_frame_equal(one, two, rtol=0, atol=MOST_OFF)
            equal.append(list(one.id) == list(range(rows)))
        except AssertionError:
            equal.append(False)
    return equal


@fault(
    "R13",
    "a rank killed; a rank stalled",
    "all exit within 15 s; within 60 s (a set timeout), with the rank named",
)
def lose_rank(laboratory: Laboratory) -> Finding:
    """Kill and stop one of two processes."""
    folder = laboratory.folder
    _write_data(folder, [("binary", MOST_ROWS)])
    config = f"binary-{MOST_ROWS}.yaml"
    endless = (*LIGHTLAB, "fit", "--config", config, "--plugin", "keep", *TWO, "--trainer.max_epochs", "1000000")
    endless += ("--early_stopping", "null")
    options = QUICK_TIMEOUT if laboratory.quick else ()
    found: dict[str, list[float | None]] = {"killed": [], "stalled": []}
    for rank in (1,) if laboratory.quick else (0, 1):
        for kind, (number, longest) in LOSSES.items():
            seconds, code, said = _strike(laboratory, (*endless, *options), rank, number, longest)
            (*_, error), is_said_once = said.split("error:"), said.count("error:") == 1
            blamed = re.search(r"rank (\d+)", error)
            is_named = blamed and int(blamed[1]) == rank and is_said_once and "Traceback" not in said
            found[kind].append(seconds if code != 0 and is_named else None)
    watched = WATCHED_QUICKLY if laboratory.quick else WATCHED
    (folder / "stock.py").write_text(STOCK_TRAINING)
    seconds, _, _ = _strike(laboratory, (sys.executable, "stock.py"), 1, signal.SIGSTOP, watched)
    stock = f"stalled: none after {watched:.0f} s" if seconds is None else f"stalled: {seconds:.0f} s"
    figures = (_say(kind, outcomes) for kind, outcomes in found.items())
    return Finding(None not in found["killed"] + found["stalled"], "; ".join(figures), stock)


def _say(kind: str, outcomes: list[float | None]) -> str:
    good = [each for each in outcomes if each is not None]
    slowest = f", the slowest after {max(good):.1f} s" if good else ""
    return f"{kind}: {len(good)} of {len(outcomes)} end and name the rank{slowest}"


def _strike(
    laboratory: Laboratory, command: tuple[str, ...], rank: int, number: int, longest: float
) -> tuple[float | None, int | None, str]:
    """Do something to one of two processes that train.

    Returns:
        after how many seconds all had ended, ``None`` where some had not; the exit code; what was said.
    """
    said = laboratory.folder / f"said-{rank}-{number}-{len(command)}"
    process = laboratory.start(*command, said=said)
    _wait(lambda: (said.exists() and "epoch 2/" in said.read_text()) or process.poll() is not None, LONGEST)
    if process.poll() is not None:
        raise RuntimeError(f"training ended by itself: {said.read_text()[-300:]}")
    ranks = dict(_ranks(process.pid))
    begun = time.monotonic()
    try:
        os.kill(ranks[rank], number)
        is_over = _wait(lambda: process.poll() is not None and not any(map(_runs, ranks.values())), longest)
        return (time.monotonic() - begun if is_over else None), process.poll(), said.read_text()
    finally:
        for each in ranks.values():
            with suppress(ProcessLookupError):
                os.kill(each, signal.SIGKILL)
        process.wait()


def _wait(is_so: Callable[[], bool], longest: float) -> bool:
    until = time.monotonic() + longest
    while not is_so() and time.monotonic() < until:
        time.sleep(0.05)
    return is_so()


def _ranks(first: int) -> Iterator[tuple[int, int]]:
    """Give the processes of a training by their rank."""
    yield 0, first
    for child in Path(f"/proc/{first}/task/{first}/children").read_text().split():
        if found := re.search(r"LOCAL_RANK=(\d+)", Path(f"/proc/{child}/environ").read_text()):
            yield int(found[1]), int(child)


def _runs(process: int) -> bool:
    with suppress(OSError):
        return Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()[0] not in "ZX"
    return False
