"""Several steps in one go give what Lightning gives one at a time: weights, counters, figures, files; to the bit."""

import inspect
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pandas as pd
import pytest
from lightning.pytorch.callbacks import (
    Callback,
    EarlyStopping,
    GradientAccumulationScheduler,
    ModelCheckpoint,
    StochasticWeightAveraging,
)
from lightning.pytorch.loops.fetchers import _DataFetcher, _PrefetchDataFetcher
from lightning.pytorch.loops.progress import _BatchProgress, _OptimizationProgress
from lightning.pytorch.loops.training_epoch_loop import _TrainingEpochLoop
from lightning.pytorch.utilities.combined_loader import CombinedLoader
from lightning.pytorch.utilities.exceptions import SIGTERMException

from lightlab import IterableData
from lightlab.checkpoints import read_checkpoint
from lightlab.cli import main
from lightlab.training.fused_loop import FusedEpochLoop

BATCHES = 16
STEPS = [1, 4, "auto"]


def schedule(name, **options):
    """Return what has a training follow a schedule."""
    beside = {key: options.pop(key) for key in ("interval", "warmup") if key in options}
    return {"lr_scheduler": {"class_path": name, "init_args": options, **beside}}


def stopping(**options):
    """Return what stops at the second validation."""
    return {"make_callbacks": lambda: [EarlyStopping("val/loss", patience=0, min_delta=0.9)], "max_epochs": 9} | options


#: What a training may be told, and on which batches it has to be Lightning's own with `auto`.
LAST = [BATCHES, 2 * BATCHES, 3 * BATCHES]
CASES = {
    "plain": ({}, LAST),
    "penalty": ({"layers": [{"dense": {"units": 8, "l2": 0.01}}]}, LAST),
    "clipped by norm": ({"gradient_clip_val": 0.1}, LAST),
    "clipped by value": ({"gradient_clip_val": 0.01, "gradient_clip_algorithm": "value"}, LAST),
    "accumulated": ({"accumulate_grad_batches": 4}, LAST),
    "accumulated, epoch no multiple": ({"accumulate_grad_batches": 3}, LAST),
    "accumulated from the second epoch on": (
        {"make_callbacks": lambda: [GradientAccumulationScheduler({0: 1, 1: 3})]},
        LAST,
    ),
    "accumulated, with a schedule": ({"accumulate_grad_batches": 3, **schedule("OneCycleLR", max_lr=0.1)}, LAST),
    "one cycle": (schedule("OneCycleLR", max_lr=0.1), LAST),
    "warm-up": ({"lr_scheduler": {"warmup": 20, "interval": "step"}}, LAST),
    "cosine after each step": (schedule("CosineAnnealingLR", interval="step"), LAST),
    "schedule after each epoch": (schedule("StepLR", step_size=1, gamma=0.5), LAST),
    "plateau": (schedule("ReduceLROnPlateau", patience=0, warmup=6, interval="step", threshold=0.9), LAST),
    "validation after so many batches": ({"val_check_interval": 5}, [5, 10, 15, 16, 21, 26, 31, 32, 37, 42, 47, 48]),
    "validation after part of an epoch": ({"val_check_interval": 0.5}, [8, 16, 24, 32, 40, 48]),
    "validation across epochs": (
        {"val_check_interval": 21, "check_val_every_n_epoch": None},
        [16, 21, 32, 42, 48],
    ),
    "validation of some epochs": ({"check_val_every_n_epoch": 2, "val_check_interval": 9}, [16, 25, 32, 48]),
    "no validation": ({"limit_val_batches": 0}, LAST),
    "last step in an epoch": ({"max_steps": 21}, [16, 21]),
    "last accumulated step in an epoch": ({"max_steps": 8, "accumulate_grad_batches": 3}, [16, 22]),
    "steps alone": ({"max_steps": 37, "max_epochs": -1}, [16, 32, 37]),
    "part of the batches": ({"limit_train_batches": 7}, [7, 14, 21]),
    "half of the batches": ({"limit_train_batches": 0.5}, [8, 16, 24]),
    "one batch": ({"limit_train_batches": 1}, [1, 2, 3]),
    "the same few batches": ({"overfit_batches": 3}, [3, 6, 9]),
    "loaders anew": ({"reload_dataloaders_every_n_epochs": 1}, LAST),
    "stopped early": (stopping(), [16, 32]),
    "stopped in an epoch": (stopping(val_check_interval=5), [5, 10]),
    "stopped after the fewest steps": (stopping(min_steps=41), [16, 32, 41]),
    "stopped after the fewest epochs": (stopping(min_epochs=4), [16, 32, 48, 64]),
    "dropout": ({"layers": [{"dense": 8}, "batch_norm", {"dropout": 0.3}]}, LAST),
}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.filterwarnings("ignore:.*epoch parameter in `scheduler.step")  # SequentialLR's own
@pytest.mark.filterwarnings("ignore:.*You requested to overfit")
@pytest.mark.filterwarnings("ignore:.*Detected call of `lr_scheduler.step")
def test_same_as_one_at_a_time(train, case):
    """Weights, optimizer, schedules, counters of all loops and logged figures are Lightning's own."""
    options, own = CASES[case]
    alone = train(None, **options)
    assert alone.passed == 0
    for steps in STEPS:
        together = train(steps, **options)
        assert together.differs(alone) == [], steps
        assert together.passed + len(together.own) == len(alone.own)
        if steps == 1:
            assert together.passed == 0
        elif steps == "auto":
            assert together.own == own
        else:
            assert set(own) <= set(together.own)
            assert max(after - before for before, after in zip([0, *together.own], together.own, strict=False)) <= steps


@pytest.mark.filterwarnings("ignore:.*The `swa_utils`|.*SWA")
def test_averaged_weights(train):
    """Averaging weights ends with a pass for batch norm's statistics alone: Lightning takes each of its batches."""
    options = {
        "layers": [{"dense": 8}, "batch_norm"],
        "make_callbacks": lambda: [StochasticWeightAveraging(0.01, swa_epoch_start=1, annealing_epochs=1)],
    }
    alone = train(None, **options)
    for steps in STEPS:
        together = train(steps, **options)
        assert together.differs(alone) == []
        assert (together.passed > 0) == (steps != 1)
        assert len(together.own) >= BATCHES


def saving(folder, **options):
    """Return what saves all weights in a folder, under their step."""
    keep = {"dirpath": folder, "filename": "{step}", "auto_insert_metric_name": False, "save_top_k": -1, **options}
    return lambda: [ModelCheckpoint(**keep)]


def saved(folder):
    """Return the checkpoints of a folder by step, without the names of files in them."""
    checkpoints = {int(file.stem): read_checkpoint(file) for file in Path(folder).iterdir()}
    for checkpoint in checkpoints.values():
        del checkpoint["callbacks"]
    return checkpoints


@pytest.mark.parametrize("options", [{}, {"accumulate_grad_batches": 3}, {"val_check_interval": 4}])
def test_checkpoints_every_so_many_steps(train, options, differing):
    """They are written at exactly these steps, and hold what they would."""
    train(None, make_callbacks=saving("alone", every_n_train_steps=5), **options)
    alone = saved("alone")
    assert sorted(alone) == list(range(5, 18 if "accumulate_grad_batches" in options else 48, 5))
    for steps in STEPS:
        train(steps, make_callbacks=saving(f"by {steps}", every_n_train_steps=5), **options)
        assert differing(saved(f"by {steps}"), alone) == []


@pytest.mark.parametrize(
    "options", [{}, {"accumulate_grad_batches": 3}, {"val_check_interval": 4}, schedule("StepLR", step_size=1)]
)
@pytest.mark.parametrize(("before", "after"), [(None, "auto"), ("auto", 3), (4, None), (3, 1)])
@pytest.mark.filterwarnings("ignore:The dirpath has changed")  # so that what was saved before is kept
def test_going_on_in_an_epoch(train, differing, options, before, after):
    """From a checkpoint within an epoch training goes on to the same end, however many steps were and are in one go."""
    step = 10 if "accumulate_grad_batches" in options else 21
    whole = train(None, **options)
    train(before, make_callbacks=saving("kept", every_n_train_steps=step), **options)
    taken = read_checkpoint(f"kept/{step}.ckpt")["loops"]["fit_loop"]["epoch_loop.batch_progress"]["total"]["ready"]
    assert taken % BATCHES > 0
    # Other numbers are drawn, which nothing may depend on here.
    again = saving("again", every_n_train_steps=step)
    resumed = train(after, make_callbacks=again, ckpt_path=f"kept/{step}.ckpt", seed=2, **options)
    del whole.checkpoint["callbacks"], resumed.checkpoint["callbacks"]
    assert differing(resumed.checkpoint, whole.checkpoint) == []
    assert taken + len(resumed.own) + resumed.passed == len(whole.own)


@pytest.mark.parametrize("steps", STEPS)
def test_time_is_up(train, steps):
    """A training without end stops when its time is up, and all counters agree on where."""
    ended = train(steps, max_time=timedelta(seconds=0.3), max_epochs=-1)
    loop = ended.trainer.fit_loop.epoch_loop
    assert ended.trainer.global_step == loop._batches_that_stepped == loop.batch_progress.total.completed
    assert loop.batch_progress.total.completed == len(ended.own) + ended.passed > 0
    (loader,) = ended.checkpoint["loops"]["fit_loop"]["state_dict"]["combined_loader"]
    assert loader["batches"] == loop.batch_progress.current.ready
    assert (ended.passed > 0) == (steps != 1)


def endless():
    """Give samples for ever."""
    while True:
        yield [0.0, 1.0], "up"
        yield [1.0, 0.0], "down"


def test_time_is_up_in_an_epoch(train):
    """An epoch that would take much longer is broken off, where as many steps are taken in one go as there are."""
    ended = train(
        "auto",
        make_data=lambda: IterableData(
            endless, endless, batch_size=2, endless=True, statistics_rows=10, shuffle_buffer=1
        ),
        problem="binary",
        limit_train_batches=50_000,
        limit_val_batches=1,
        max_time=timedelta(seconds=0.3),
        max_epochs=1,
    )
    assert 1 < len(ended.own) + ended.passed == ended.trainer.global_step < 50_000


def test_terminated(train):
    """Who is told to terminate stops within an epoch, after a batch of Lightning's own."""

    class Terminated(Callback):
        """Is told of the signal once a batch of the second execution is trained on."""

        def batches_until_due(self, trainer):
            return None

        def see_batches(self, trainer, batches):
            if trainer.global_step == 20:
                trainer._signal_connector.received_sigterm = True

        def on_exception(self, trainer, pl_module, exception):
            stopped.append((type(exception), trainer.global_step))

    stopped = []
    with pytest.raises(SIGTERMException):
        train("auto", make_callbacks=lambda: [Terminated()])
    assert stopped == [(SIGTERMException, 22)]


CONFIG = """\
seed_everything: 1
data: {class_path: BundledData, init_args: {name: wine, batch_size: 8}}
model: {problem: multiclass, layers: [{dense: {units: 8, activation: relu}}]}
compile: false
tensorboard: null
trainer: {max_epochs: 2, accelerator: cpu}
"""


def last_of(version):
    """Return a run's last checkpoint."""
    return read_checkpoint(f"runs/wine/version_{version}/checkpoints/last.ckpt")


def test_same_history(differing):
    """The run's history and weights are the same, but for times and memory."""
    Path("wine.yaml").write_text(CONFIG)
    runs = ["1", "5", "auto"]
    for steps in runs:
        assert main(["fit", "--config", "wine.yaml", "--steps_per_execution", steps]) == 0
    histories = [pd.read_csv(f"runs/wine/version_{version}/history.csv") for version in range(3)]
    measured = [
        name
        for name in histories[0]
        if name not in ("seconds", "epoch_seconds", "samples_per_second", "memory_mib")
    ]  # fmt: skip
    assert {"learning_rate", "gradient_norm", "train/loss", "val/loss"} <= set(measured)
    for version in (1, 2):
        pd.testing.assert_frame_equal(histories[version][measured], histories[0][measured], check_exact=True)
        assert differing(last_of(version)["state_dict"], last_of(0)["state_dict"]) == []


@pytest.mark.xdist_group("distributed")
def test_two_processes(differing):
    """Two processes, each with a share of every batch, train the same in one go as one at a time.

    Gradients are accumulated: they are summed over the processes with the last batch alone.
    """
    Path("wine.yaml").write_text(CONFIG)
    program = Path(sys.executable).with_name("lightlab")
    overlay = Path(__file__).parents[2] / "configs" / "overlays" / "ddp.yaml"
    options = {"accelerator": "cpu", "devices": "2", "accumulate_grad_batches": "3"}
    command = [program, "fit", "--config", "wine.yaml", "--config", overlay]
    command += [part for name, value in options.items() for part in (f"--trainer.{name}", value)]
    for steps in ("1", "auto"):
        result = subprocess.run(
            [*command, "--steps_per_execution", steps], capture_output=True, text=True, check=False, timeout=300
        )
        assert (result.returncode, result.stderr) == (0, "")
        assert "one step at a time" not in result.stdout
    for part in ("state_dict", "optimizer_states", "loops", "global_step", "metrics"):
        assert differing(last_of(1)[part], last_of(0)[part]) == [], part


def parameters(function):
    return list(inspect.signature(function).parameters)


def test_parts_of_lightning_that_the_loop_rests_on():
    """What it calls, overrides and counts with is there, under these names, and takes what it is given.

    Where another release of Lightning fails here, read its training_epoch_loop.py and mend the loop before its number
    is added to `execution.KNOWN_LIGHTNING`.
    """
    stock = _TrainingEpochLoop
    assert parameters(stock.__init__) == ["self", "trainer", "min_steps", "max_steps"]
    assert parameters(stock.advance) == parameters(FusedEpochLoop.advance) == ["self", "data_fetcher"]
    assert parameters(stock._should_accumulate) == parameters(stock._should_check_val_epoch) == ["self"]
    assert parameters(stock.update_lr_schedulers) == ["self", "interval", "update_plateau_schedulers"]
    assert parameters(_BatchProgress.increment_by) == ["self", "n", "is_last_batch"]
    optimizer = _OptimizationProgress().optimizer
    assert parameters(optimizer.step.increment_by) == parameters(optimizer.zero_grad.increment_by) == ["n"]
    assert {"fetched", "combined_loader"} <= vars(_DataFetcher()).keys() | vars(_DataFetcher).keys()
    assert "self.fetched += 1" in inspect.getsource(_DataFetcher.__next__)
    assert "self.done = self.fetched >= self.length" in inspect.getsource(_DataFetcher.__next__)
    # Of what has a length, no batch is fetched ahead.
    assert "ignore pre-fetching" in inspect.getsource(_PrefetchDataFetcher.__iter__)
    loader = CombinedLoader([[1, 2]])
    assert next(iter(loader)) == ([1], 0, 0)
    assert next(loader._iterator.iterators[0]) == 2
    # These are what a batch is counted by; one more would have to be counted as well.
    counted = {
        line.strip().split(" ")[0]
        for function in (stock.advance, stock.on_advance_end)
        for line in inspect.getsource(function).splitlines()
        if "+= 1" in line or "increment" in line
    }
    assert counted == {
        "self.val_loop.increment_progress_to_evaluation_end()",
        "self.batch_progress.increment_ready()",
        "self.batch_progress.increment_by(0,",
        "self.batch_progress.increment_started()",
        "self.batch_progress.increment_processed()",
        "self.batch_progress.increment_completed()",
        "self._batches_that_stepped",
    }


def test_state_of_the_loop(train):
    """Lightning's loop has what is known of it, and the loop that takes its place has all of that, too."""
    alone, together = (vars(train(steps, max_epochs=1).trainer.fit_loop.epoch_loop) for steps in (None, "auto"))
    parts = {"trainer", "min_steps", "max_steps", "_restarting", "_loaded_from_state_dict", "_resuming_from_checkpoint"}
    counters = {"batch_progress", "scheduler_progress", "_batches_that_stepped", "_restart_stage", "_skip_next_val"}
    loops = {"automatic_optimization", "manual_optimization", "val_loop", "_results", "_warning_cache"}
    assert alone.keys() == parts | counters | loops
    assert alone.keys() <= together.keys()
