"""What tests of the training loop share: a training by Lightning alone or with steps in one go, and what came of it."""

import logging
from dataclasses import dataclass

import pytest
import torch
from lightning import Callback, Trainer, seed_everything
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.loggers.logger import Logger

from lightlab import BundledData, Model
from lightlab.checkpoints import read_checkpoint
from lightlab.training.execution import Execution


class KeptLogger(Logger):
    """Keeps what is logged, with its step."""

    name, version = "kept", 0

    def __init__(self):
        self.rows = []

    def log_metrics(self, metrics, step=None):
        """Keep figures."""
        self.rows.append((step, dict(metrics)))

    def log_hyperparams(self, *arguments, **options):
        """Keep none of these."""


class Counter(Callback):
    """Counts the batches that Lightning has left to itself, and those that were trained on in one go."""

    def __init__(self):
        self.own, self.passed = [], 0

    def batches_until_due(self, trainer):
        """Return that no batch in particular has to be seen."""

    def see_batches(self, trainer, batches):
        """Count them."""
        self.passed += len(batches)

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        """Keep which one it is, over all epochs, from 1."""
        self.own.append(trainer.fit_loop.epoch_loop.batch_progress.total.ready)


@dataclass
class Training:
    """A training that is over.

    Attributes:
        trainer: which trained.
        checkpoint: of the end: weights, optimizer, schedules, and all counters of the loops.
        logged: the figures with their steps.
        own: the batches that Lightning took by itself.
        passed: how many batches it did not see.
    """

    trainer: Trainer
    checkpoint: dict
    logged: list
    own: list
    passed: int

    def differs(self, other):
        """Return the keys of what is not the same to the bit, or not at the same step."""
        return [*differing(self.checkpoint, other.checkpoint), *differing(self.logged, other.logged, "logged")]


def differing(one, other, key=""):
    """Return the keys of nested values that are not the same to the bit; where files are kept doesn't count."""
    if isinstance(one, torch.Tensor) and isinstance(other, torch.Tensor):
        return [] if one.dtype == other.dtype and torch.equal(one, other) else [key]
    if isinstance(one, dict) and isinstance(other, dict):
        names = (one.keys() | other.keys()) - {"resume"}  # which Lightning's own loop doesn't keep
        return [
            found for name in names for found in differing(one.get(name), other.get(name), f"{key}.{name}")
        ]  # fmt: skip
    if isinstance(one, list | tuple) and isinstance(other, list | tuple) and len(one) == len(other):
        pairs = enumerate(zip(one, other, strict=True))
        return [found for place, pair in pairs for found in differing(*pair, f"{key}[{place}]")]
    return [] if one == other or (one != one and other != other) else [key]


@pytest.fixture(name="differing")
def fixture_differing():
    """Return the function that compares to the bit."""
    return differing


@pytest.fixture
def train(monkeypatch):
    """Return a function that trains a small network on wine: 16 batches an epoch, 3 epochs.

    Its first argument is what the config has for steps_per_execution; ``None`` for Lightning with nothing of ours in
    its loop. Callbacks are made anew by the function that is given for them.
    """
    for name in ("lightning.pytorch.utilities.rank_zero", "lightning.pytorch.callbacks"):
        monkeypatch.setattr(logging.getLogger(name), "disabled", True)

    def train(
        steps,
        layers=({"dense": {"units": 8, "activation": "relu"}},),
        make_data=lambda: BundledData("wine", batch_size=8),
        make_callbacks=list,
        problem="multiclass",
        optimizer="AdamW",
        lr_scheduler=None,
        ckpt_path=None,
        seed=1,
        **options,
    ):
        seed_everything(seed, verbose=False)
        model = Model(list(layers), problem=problem, optimizer=optimizer, lr_scheduler=lr_scheduler)
        logger, counter, callbacks = KeptLogger(), Counter(), make_callbacks()
        executions = [] if steps is None else [Execution(steps, compile=False)]
        trainer = Trainer(
            **{"max_epochs": 3, "accelerator": "cpu", "log_every_n_steps": 1, "enable_progress_bar": False, **options},
            logger=logger,
            callbacks=[*callbacks, counter, *executions],
            enable_checkpointing=any(isinstance(each, ModelCheckpoint) for each in callbacks),
            enable_model_summary=False,
        )
        trainer.fit(model, make_data(), ckpt_path=ckpt_path)
        trainer.save_checkpoint("end.ckpt")
        return Training(trainer, read_checkpoint("end.ckpt"), logger.rows, counter.own, counter.passed)

    return train
