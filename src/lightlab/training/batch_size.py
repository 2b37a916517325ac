"""``data.batch_size: auto``: as many rows of a step as suit the data, or as many of them as memory has room for."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any, cast

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.strategies import DDPStrategy, SingleDeviceStrategy
from lightning.pytorch.utilities import rank_zero_only
from torch import Tensor

from lightlab.batch import Batch
from lightlab.errors import ConfigError, RunError
from lightlab.random_state import random_state_kept
from lightlab.terminal import say
from lightlab.training.memory import collect_garbage, free_host_memory, is_out_of_memory, keep_memory, limited_to

KEY = ("data", "batch_size")
#: Of the memory that is left, trials take this share at the most: the rest is for what comes and goes in a training.
SHARE = 0.8
#: An optimizer has its state from the first step on, and the second shows what both take together.
STEPS = 2


class FindBatchSize(Callback):
    """Finds ``data.batch_size`` where it is ``auto``, before anything is made that depends on it.

    Args:
        found: is called when it is found.
    """

    def __init__(self, found: Callable[[], None]) -> None:
        self.found = found

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Find it.

        Raises:
            ConfigError: models in several pieces can't be tried out.
            RunError: not even a row for each process fits.
        """
        if stage == "fit":
            keep_memory()  # as while training, which then takes memory in the same way
            settle_batch_size(trainer)
            self.found()


def settle_batch_size(trainer: Trainer) -> None:
    """Find the rows of a training step where ``data.batch_size`` is ``auto``; all processes agree on them.

    It is what suits the rows, and half of it as long as a step has no room in memory. It is tried on a copy of the
    model, so that weights, random numbers and loaders are as if the number had stood in the config.

    Args:
        trainer: whose data is connected to its model, which is built.

    Raises:
        ConfigError: models in several pieces can't be tried out.
        RunError: not even a row for each process fits.
    """
    data = cast("Any", trainer).datamodule
    if not getattr(data, "finds_batch_size", False):
        return
    wanted = data.batch_size
    found = find_largest(trainer, wanted)
    if found is None:
        raise RunError(
            "A step of the training takes no more memory than there is. Not even one row for each process does: try a "
            "smaller network, or smaller inputs."
        )
    data.batch_size = found
    why = f", since {wanted} rows take more memory than there is" if found < wanted else ""
    rank_zero_only(say)(f"batch_size: {found}{why}")


def find_largest(trainer: Trainer, rows: int) -> int | None:
    """Return the rows of a step for which memory has room: so many, or half of them, and so on; ``None`` for none.

    Args:
        trainer: of all processes, each of which takes its share of the rows.
        rows: to begin with.

    Raises:
        ConfigError: the model is in several pieces, which can't be tried out.
    """
    strategy = trainer.strategy
    if type(strategy) is not DDPStrategy and not isinstance(strategy, SingleDeviceStrategy):
        raise ConfigError.at(
            KEY, f"auto tries steps out on one device. Received: strategy {type(strategy).__name__}. Give a number."
        )
    sample = cast("Any", trainer).datamodule.sample()
    while rows >= trainer.world_size:
        # The last batch of an epoch takes in up to half as many rows again.
        own = -(-(rows + rows // 2) // trainer.world_size)
        if strategy.reduce_boolean_decision(fits(trainer, sample, own), all=True):
            return rows
        rows //= 2
    return None


def fits(trainer: Trainer, sample: Batch, rows: int) -> bool:
    """Return whether this process can train on so many rows at once; nothing but a copy of the model learns from them.

    Args:
        trainer: says where and in which precision.
        sample: rows of the train split, which are repeated.
        rows: how many.
    """
    limit = None
    if trainer.strategy.root_device.type == "cpu":
        free, processes = free_host_memory(), max(1, trainer.world_size // trainer.num_nodes)
        limit = None if free is None else int(free * SHARE / processes)
    try:
        with random_state_kept(trainer.strategy.root_device):
            _train_copy(trainer, sample, 2)  # what is made once, such as threads, is not to be counted
            with limited_to(limit):
                _train_copy(trainer, sample, rows)
    except Exception as error:
        if not is_out_of_memory(error):
            raise
        return False
    finally:
        collect_garbage()
    return True


def _train_copy(trainer: Trainer, sample: Batch, rows: int) -> None:
    """Train a copy of the model for some steps."""
    device, precision = trainer.strategy.root_device, trainer.precision_plugin
    shared = {id(each): each for each in (trainer, *cast("Any", trainer).callbacks)}  # of which a model may know
    model: Any = precision.convert_module(copy.deepcopy(trainer.lightning_module, shared)).to(device).train()
    optimizer = model.optimizer_spec.build(model.parameters())
    places = torch.arange(rows) % len(sample.inputs)
    inputs, targets = (part[places.to(part.device)].to(device) for part in sample[:2] if part is not None)
    batch = precision.convert_input(Batch(inputs, targets))
    batch = Batch(*cast("Any", trainer).datamodule.on_after_batch_transfer(batch, 0))

    def evaluate() -> Tensor:
        optimizer.zero_grad()
        with precision.train_step_context():
            _, losses, extra = model.evaluate(batch)
            loss = losses.mean() if extra is None else losses.mean() + extra
        loss.backward()
        return cast("Tensor", loss)

    for _ in range(STEPS):
        optimizer.step(evaluate)
