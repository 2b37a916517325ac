"""R5: trainings that are told to end, by SIGTERM and SIGINT, wherever they are; and gone on with."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from itertools import product
from pathlib import Path

from fault_injection.base import Finding, Laboratory, fault

#: So long after the signal, in seconds, there is a checkpoint.
LONGEST_WAIT = 5.0
SIGNALS = ("SIGTERM", "SIGINT")
PLACES = ("training", "validation", "saving")
#: In a batch that takes a second, as all of that training do.
LONG = "a long batch"
#: What is told to end: this process, which has launched all others; or all processes, as a terminal does.
LAUNCHER, GROUP = "launcher", "group"
TWO = ("--trainer.devices", "2", "--trainer.strategy", "ddp")

CONFIG = """\
seed_everything: 1
data: {class_path: BundledData, init_args: {name: wine, batch_size: 8, eval_batch_size: 8}}
model: {problem: multiclass, layers: [{dense: {units: 8, activation: relu}}, batch_norm, {dropout: 0.3}, striking]}
compile: false
trainer: {max_epochs: 3, accelerator: cpu, callbacks: [{class_path: strike.Strike}]}
"""

#: A plugin: sends the signal that the environment names, from where it says, and notes the time.
STRIKE = '''\
import json, os, signal, time
from pathlib import Path
from lightning.pytorch import Callback
from torch import nn
from lightlab import LAYERS

class Strike(Callback):
    """Strikes in the first process, once."""

    def __init__(self) -> None:
        self.plan = json.loads(os.environ.get("STRIKE", "{}"))
        self.left = {"training": 10, "validation": 2, "saving": 1, "start": 1, "a long batch": 3}
        if os.environ.get("LOCAL_RANK", "0") != "0":
            self.plan = {}

    def reach(self, place, times=1):
        if self.plan.get("place") == place and self.left[place] > 0:
            self.left[place] -= times
            if self.left[place] <= 0:
                number = getattr(signal, self.plan["signal"])
                Path("struck").write_text(str(time.time()))
                os.killpg(0, number) if self.plan["whom"] == "group" else os.kill(os.getpid(), number)

    def batches_until_due(self, trainer):
        """Any batch will do."""

    def see_batches(self, trainer, batches):
        self.reach("training", len(batches))

    def on_train_batch_end(self, *given):
        self.reach("training")

    def on_validation_batch_end(self, trainer, *given):
        trainer.sanity_checking or self.reach("validation")

    def on_save_checkpoint(self, *given):
        self.reach("saving")

    def on_fit_start(self, *given):
        self.reach("start")

class Striking(nn.Module):
    """Passes on what arrives; where it is to strike, in a batch that takes a second."""

    def __init__(self):
        super().__init__()
        self.strike = Strike()

    def forward(self, features):
        if self.training and not features.is_meta and self.strike.plan.get("place") == "a long batch":
            self.strike.reach("a long batch")
            time.sleep(1.0)
        return features

@LAYERS.register("striking")
def striking() -> nn.Module:
    return Striking()
'''

#: Carries out strikes one after the other in one process, and says what each came to.
DRIVER = """\
import io, json, os, re, shlex, sys, time
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from fault_injection.inside.trainings import differing, read_run
from lightlab.cli import main

def call(*arguments):
    said = io.StringIO()
    with redirect_stdout(said), redirect_stderr(said):
        code = main([*arguments])
    return code, said.getvalue()

def latest():
    return max(Path("runs/wine").iterdir(), key=lambda run: int(run.name.removeprefix("version_")))

_, said = call("fit", "--config", "wine.yaml", "--plugin", "strike")
whole = read_run(latest())
for strike in json.loads(sys.argv[1]):
    before = set(Path("runs/wine").iterdir())
    os.environ["STRIKE"] = json.dumps(strike)
    code, said = call("fit", "--config", "wine.yaml", "--plugin", "strike", *strike["options"])
    del os.environ["STRIKE"]
    found = re.search("Go on with: lightlab (.*)", said)
    outcome = {"code": code, "said": said, "seconds": None, "is_exact": False, "left": []}
    if found:
        kept = latest() / "checkpoints" / "last.ckpt"
        outcome["seconds"] = kept.stat().st_mtime - float(Path("struck").read_text())
        outcome["code_on"], outcome["said_on"] = call(*shlex.split(found[1]))
        outcome["is_exact"] = outcome["code_on"] == 0 and not list(differing(read_run(latest()), whole))
    else:
        outcome["left"] = [run.name for run in set(Path("runs/wine").iterdir()) - before]
    print("OUTCOME", json.dumps(outcome))
"""

#: Lightning alone: a training that is told to end in its first epoch.
STOCK = """
import os, signal, sys, torch
from lightning.pytorch import Callback, LightningModule, Trainer

class Network(LightningModule):
    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(4, 1)
    def training_step(self, batch, index):
        return self.layer(batch).square().mean()
    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), 0.1)

class Strike(Callback):
    def on_train_batch_end(self, trainer, module, outputs, batch, index):
        if index == 10:
            os.kill(os.getpid(), getattr(signal, sys.argv[1]))

Trainer(max_epochs=3, accelerator="cpu", logger=False, enable_progress_bar=False, callbacks=[Strike()]).fit(
    Network(), torch.utils.data.DataLoader(torch.ones(64, 4), 2)
)
"""


@dataclass(frozen=True)
class Strike:
    """A signal.

    Attributes:
        signal: its name.
        place: where the training is when it comes.
        whom: who is told.
        options: of the training.
    """

    signal: str
    place: str
    whom: str = LAUNCHER
    options: tuple[str, ...] = ()


@dataclass(frozen=True)
class Outcome:
    """What came of it.

    Attributes:
        is_kept: whether the exit code is the signal's, and a checkpoint is there, without a traceback.
        seconds: from the signal to the checkpoint.
        is_exact: whether the training that goes on from it comes to the same weights and figures, to the bit.
    """

    is_kept: bool
    seconds: float
    is_exact: bool


@fault(
    "R5",
    "SIGTERM and SIGINT in training, validation, saving, a batch that takes a second",
    "a checkpoint within 5 s, exit 143 / 130, resume exact by `fit --ckpt_path last`",
)
def interrupt(laboratory: Laboratory) -> Finding:
    """Tell trainings to end."""
    (laboratory.folder / "wine.yaml").write_text(CONFIG)
    (laboratory.folder / "strike.py").write_text(STRIKE)
    ways = [(), ("--steps_per_execution", "1")][: laboratory.times(2, 1)]
    strikes = [Strike(*each[:2], options=each[2]) for each in product(SIGNALS, PLACES, ways)]
    strikes += [Strike(name, LONG, options=way) for name, way in product(SIGNALS[: laboratory.times(2, 1)], ways)]
    early = [Strike(name, "start") for name in SIGNALS]
    found = list(_drive(laboratory, [*early, *strikes]))
    removed, outcomes = found[: len(early)], [_judge(*each) for each in zip(strikes, found[len(early) :], strict=True)]
    codes = [each["code"] == _code(strike) and not each["left"] for strike, each in zip(early, removed, strict=True)]
    for each in product(SIGNALS, (*PLACES, LONG), (LAUNCHER, GROUP)) if not laboratory.quick else ():
        outcomes.append(_of_two(laboratory, Strike(*each, options=TWO)))
    kept, exact = sum(each.is_kept for each in outcomes), sum(each.is_exact for each in outcomes)
    slowest = max(each.seconds for each in outcomes)
    holds = all(codes) and kept == exact == len(outcomes) and slowest < LONGEST_WAIT
    figure = f"{kept} of {len(outcomes)} left a checkpoint, the slowest after {slowest:.1f} s; {exact} resume exactly"
    figure += f"; before the first step {sum(codes)} of {len(codes)} end with the same code and no folder"
    return Finding(holds, figure, _stock(laboratory))


def _drive(laboratory: Laboratory, strikes: list[Strike]) -> Iterator[dict[str, object]]:
    """Carry out strikes in one process."""
    wanted = json.dumps([asdict(each) for each in strikes])
    finished = laboratory.python(DRIVER, wanted, PYTHONPATH=f"{laboratory.folder}:{Path(__file__).parents[1]}")
    outcomes = [json.loads(line.split(" ", 1)[1]) for line in finished.said.splitlines() if line.startswith("OUTCOME")]
    if len(outcomes) != len(strikes):
        raise RuntimeError(finished.said[-500:])
    yield from outcomes


def _code(strike: Strike) -> int:
    return 128 + signal.Signals[strike.signal].value


def _judge(strike: Strike, outcome: dict[str, object]) -> Outcome:
    is_kept = outcome["code"] == _code(strike) and outcome["seconds"] is not None
    is_kept = is_kept and "Traceback" not in str(outcome["said"])
    return Outcome(is_kept, float(str(outcome["seconds"] or 0.0)), bool(outcome["is_exact"]))


def _of_two(laboratory: Laboratory, strike: Strike) -> Outcome:
    """Tell a training on two processes to end, and go on with it; exact is what another one on two comes to."""
    from fault_injection.inside.trainings import differing, read_run

    folder = laboratory.folder / f"{strike.signal}-{strike.place}-{strike.whom}"
    folder.mkdir()
    for name in ("wine.yaml", "strike.py"):
        (folder / name).write_text((laboratory.folder / name).read_text())
    command = ("fit", "--config", "wine.yaml", "--plugin", "strike", *strike.options)
    struck = laboratory.lightlab(*command, folder=folder, STRIKE=json.dumps(asdict(strike)))
    last = folder / "runs/wine/version_0/checkpoints/last.ckpt"
    if struck.code != _code(strike) or "Traceback" in struck.said or not last.is_file():
        return Outcome(False, 0.0, False)
    seconds = last.stat().st_mtime - float((folder / "struck").read_text())
    code = laboratory.lightlab(*command, "--ckpt_path", "last", folder=folder).code
    if code:
        return Outcome(True, seconds, False)
    again, whole = read_run(folder / "runs/wine/version_1"), read_run(_whole_of_two(laboratory, command))
    return Outcome(True, seconds, not list(differing(again, whole)))


def _whole_of_two(laboratory: Laboratory, command: tuple[str, ...]) -> Path:
    """Return the run of a training on two processes that nobody tells to end."""
    folder = laboratory.folder / "two"
    if not folder.exists():
        folder.mkdir()
        for name in ("wine.yaml", "strike.py"):
            (folder / name).write_text((laboratory.folder / name).read_text())
        laboratory.lightlab(*command, folder=folder)
    return folder / "runs/wine/version_0"


def _stock(laboratory: Laboratory) -> str:
    """Return what Lightning alone does in the first epoch."""
    found = []
    for name in SIGNALS[: laboratory.times(2, 1)]:
        folder = laboratory.folder / f"stock-{name}"
        folder.mkdir()
        code = laboratory.python(STOCK, name, folder=folder).code
        kept = len(list(folder.rglob("*.ckpt")))
        found.append(f"{name}: exit {code}, {kept or 'no'} checkpoint")
    return "; ".join(found)
