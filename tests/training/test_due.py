"""Which batches Lightning takes by itself, because something is due; and when it takes all of them."""

import pytest
import torch
from lightning.pytorch.callbacks import (
    Callback,
    DeviceStatsMonitor,
    EMAWeightAveraging,
    LambdaCallback,
    LearningRateMonitor,
    ModelCheckpoint,
    TQDMProgressBar,
)
from lightning.pytorch.profilers import SimpleProfiler

from lightlab import IterableData
from lightlab.errors import ConfigError
from lightlab.training.due import BATCH_HOOKS, KNOWN, why_single

BATCHES, EPOCHS = 16, 3
EVERY = list(range(1, EPOCHS * BATCHES + 1))


class Told(Callback):
    """Keeps which batches it is told of."""

    def __init__(self):
        self.batches = []

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        """Keep which one it is."""
        self.batches.append(trainer.fit_loop.epoch_loop.batch_progress.total.ready)


class EverySeventh(Told):
    """Has to see every seventh batch of the training."""

    def batches_until_due(self, trainer):
        """Return which of the batches to come that is."""
        return 7 - trainer.fit_loop.epoch_loop.batch_progress.total.ready % 7

    def see_batches(self, trainer, batches):
        """Look at none of the others."""


class KeenCheckpoint(ModelCheckpoint):
    """Looks at each batch, other than the class that it is made from."""

    def on_train_batch_end(self, *arguments):
        """Look."""


def test_callback_that_sees_every_batch(train):
    """One with a hook for batches is told of each of them, by Lightning, if the number of steps is left open."""
    told = Told()
    trained = train("auto", make_callbacks=lambda: [told])
    assert told.batches == trained.own == EVERY
    assert trained.differs(train(None)) == []


@pytest.mark.parametrize("steps", [2, 4, 100])
def test_callback_that_sees_every_batch_and_steps_in_one_go(train, steps):
    """Several steps in one go are refused then: the message has the callback, its hook and the way out."""
    with pytest.raises(ConfigError) as caught:
        train(steps, make_callbacks=lambda: [Told()])
    (fault,) = caught.value.faults
    assert fault.key == ("steps_per_execution",)
    assert "Told.on_train_batch_end is told of each batch" in str(fault)
    assert f"Received: {steps}. Set it to auto or 1." in str(fault)


def test_callback_that_sees_some_batches(train):
    """One that says which batches it has to see is told of those, and of others that Lightning takes anyway."""
    told = EverySeventh()
    train("auto", make_callbacks=lambda: [told])
    assert told.batches == sorted({*range(7, 49, 7), 16, 32, 48})


@pytest.mark.parametrize(
    "hook", [name for name in vars(Callback) if "train_batch" in name or name.startswith(("on_before", "on_after"))]
)
def test_every_hook_for_batches_counts(train, hook):
    """Whatever is called for each batch is called for each batch, set in a class or on an object."""
    called = []
    callback = LambdaCallback(**{hook: lambda *arguments, **options: called.append(1)})
    assert len(train("auto", make_callbacks=lambda: [callback], max_epochs=1).own) == BATCHES
    assert len(called) == BATCHES


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"profiler": SimpleProfiler()}, "a profiler measures each batch"),
        ({"optimizer": {"class_path": "LBFGS", "init_args": {"lr": 0.1}}}, "evaluates a batch more than once"),
        ({"make_callbacks": lambda: [EMAWeightAveraging(decay=0.9)]}, "EMAWeightAveraging.on_train_batch_end"),
        ({"make_callbacks": lambda: [KeenCheckpoint("kept", save_top_k=0)]}, "KeenCheckpoint.on_train_batch_end"),
    ],
)
def test_why_each_batch_is_left_to_lightning(train, capsys, options, reason):
    """What has to see each step has it; the line at the start says so, and several steps are refused."""
    trained = train("auto", max_epochs=1, **options)
    assert (len(trained.own), trained.passed) == (BATCHES, 0)
    assert reason in why_single(trained.trainer)
    assert f", one step at a time ({why_single(trained.trainer)})" in capsys.readouterr().out
    with pytest.raises(ConfigError, match="Set it to auto or 1"):
        train(2, max_epochs=1, **options)


def make(split):
    """Give 40 samples."""
    generator = torch.Generator().manual_seed(["train", "val"].index(split))
    for _ in range(40):
        values = torch.randn(3, generator=generator)
        yield values, "up" if values.sum() > 0 else "down"


def test_stream_without_a_length(train, capsys):
    """Where nobody knows which batch is the last, Lightning takes each; several steps are refused."""
    options = {"make_data": lambda: IterableData(make, make, batch_size=8), "problem": "binary", "max_epochs": 2}
    trained = train("auto", **options)
    assert trained.own == list(range(1, 11))
    assert "one step at a time (the data doesn't say how many batches it has)" in capsys.readouterr().out
    assert trained.differs(train(None, **options)) == []
    with pytest.raises(ConfigError, match="the data doesn't say how many batches it has"):
        train(4, **options)


def test_stream_in_epochs_of_a_length(train):
    """With as many batches as the Trainer says, an epoch is known to end; the next goes on where this one stopped."""
    options = {"make_data": lambda: IterableData(make, make, batch_size=8), "problem": "binary"}
    trained = train("auto", limit_train_batches=3, **options)
    assert trained.own == [3, 6, 9]
    assert trained.differs(train(None, limit_train_batches=3, **options)) == []


@pytest.mark.parametrize("monitor", [lambda: LearningRateMonitor("step"), DeviceStatsMonitor])
@pytest.mark.parametrize("accumulate", [1, 3])
def test_monitors_log_at_the_same_steps(train, monitor, accumulate):
    """Lightning's monitors log the steps that they would, and the rates that there are at these."""
    options = {
        "make_callbacks": lambda: [monitor()],
        "lr_scheduler": {"warmup": 20, "interval": "step"},
        "log_every_n_steps": 5,
        "accumulate_grad_batches": accumulate,
    }

    def logged(steps):
        rows = train(steps, **options).logged
        # Of batches that are accumulated for one step, Lightning logs each: the same again.
        return {(step, name, value if "lr" in name else None) for step, row in rows for name, value in row.items()}

    alone = logged(None)
    assert {step for step, name, _ in alone if "lr" in name or "DeviceStats" in name} == set(
        range(4, 48 // accumulate, 5)
    )
    assert logged("auto") == logged(4) == alone


def test_bar_of_lightnings(train):
    """A progress bar of Lightning's own shows where training is by now: steps are taken in one go beside it."""
    bar = {"make_callbacks": lambda: [TQDMProgressBar(refresh_rate=0)], "enable_progress_bar": True}
    trained = train("auto", **bar)
    assert trained.passed > 0
    assert trained.differs(train(None)) == []


def test_callbacks_of_lightning_that_are_known(train):
    """Of the callbacks that are known, the hooks for batches are those that were looked at when they were."""
    hooks = {
        kind.__name__: {hook for hook in BATCH_HOOKS if getattr(kind, hook) is not getattr(Callback, hook)}
        for kind in KNOWN
    }
    assert hooks == {
        "ModelCheckpoint": {"on_train_batch_end"},
        "LearningRateMonitor": {"on_train_batch_start"},
        "DeviceStatsMonitor": {"on_train_batch_start", "on_train_batch_end"},
        "ProgressBar": set(),
        "Timer": {"on_train_batch_end"},
    }
    assert hasattr(ModelCheckpoint(every_n_train_steps=3), "_every_n_train_steps")
    assert hasattr(ModelCheckpoint(), "_train_time_interval")
    trainer = train(None, max_epochs=1).trainer
    for name in ("val_check_batch", "_val_check_time_interval", "check_val_every_n_epoch", "log_every_n_steps"):
        assert hasattr(trainer, name)
    loop = trainer.fit_loop.epoch_loop
    assert loop.automatic_optimization._skip_backward is False
