"""Taking the steps of an epoch once more, one by one, to find the first whose numbers are not finite."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any, cast

import torch
from lightning.fabric.utilities.data import _set_sampler_epoch
from lightning.pytorch import Trainer
from torch import Tensor

from lightlab.training.eager_step import EagerStep

#: A state of more bytes is not kept.
MOST_BYTES = 2**26


@dataclass
class Start:
    """The state that an epoch starts from; or what is left of one, where a training goes on in its middle.

    Attributes:
        epoch: which, from 0.
        batches: of it, taken before.
        step: optimizer steps taken before.
    """

    epoch: int
    batches: int
    step: int
    _moving: list[Tensor]
    _kept: list[Tensor]
    _gradients: list[Tensor | None]
    _groups: list[dict[str, Any]]
    _schedules: list[dict[str, Any]]
    _random: list[tuple[Callable[[Tensor], None], Tensor]]
    _is_fresh: bool

    @torch.no_grad()
    def restore(self, trainer: Trainer) -> None:
        """Give everything that steps change the state that it had."""
        (optimizer, *_) = trainer.optimizers
        if self._is_fresh:
            optimizer.state.clear()
        for moving, kept in zip(self._moving, self._kept, strict=True):
            moving.copy_(kept)
        for parameter, gradient in zip(trainer.lightning_module.parameters(), self._gradients, strict=True):
            parameter.grad = None if gradient is None else gradient.clone()
        for configured, state in zip(trainer.lr_scheduler_configs, self._schedules, strict=True):
            configured.scheduler.load_state_dict(state)
        for group, values in zip(optimizer.param_groups, self._groups, strict=True):
            group |= values
        for set_state, generator in self._random:
            set_state(generator)


@torch.no_grad()
def remember(trainer: Trainer, batches: int, before: Start | None) -> Start | None:
    """Return the state that the next step starts from; ``None`` where it is too large to be kept.

    Args:
        trainer: whose state it is.
        batches: of the epoch, taken before.
        before: what was remembered last, whose memory is used again.
    """
    model, (optimizer, *_) = trainer.lightning_module, trainer.optimizers
    states = [state for state in optimizer.state.values() if state]
    moving = [each for each in model.parameters() if each.requires_grad] + list(model.buffers())
    moving += [value for state in states for value in state.values() if isinstance(value, Tensor)]
    # Within an epoch it may be in the middle of a step of several batches.
    gradients = [each.grad if batches else None for each in model.parameters()]
    if sum(each.nbytes for each in (*moving, *gradients) if each is not None) > MOST_BYTES:
        return None
    random: list[tuple[Callable[[Tensor], None], Tensor]] = [(torch.set_rng_state, torch.get_rng_state())]
    if trainer.strategy.root_device.type == "cuda":
        random.append((torch.cuda.set_rng_state, torch.cuda.get_rng_state()))
    return Start(
        trainer.current_epoch,
        batches,
        trainer.global_step,
        moving,
        _copies(moving, before),
        [None if each is None else each.clone() for each in gradients],
        [{name: value for name, value in group.items() if name != "params"} for group in optimizer.param_groups],
        [each.scheduler.state_dict() for each in trainer.lr_scheduler_configs],
        random,
        not states,
    )


def _copies(tensors: list[Tensor], before: Start | None) -> list[Tensor]:
    """Return copies, in the memory of those before where they are of the same tensors."""
    if before is None or list(map(id, before._moving)) != list(map(id, tensors)):
        return [each.detach().clone() for each in tensors]
    torch._foreach_copy_(before._kept, tensors)
    return before._kept


def can_replay(trainer: Any) -> bool:
    """Return whether batches can be had again, in an order that their epoch says."""
    loader = trainer.train_dataloader
    return trainer.world_size == 1 and trainer.datamodule is not None and hasattr(loader, "load_state_dict")


def replay(trainer: Trainer, start: Start, stop: int, seconds: float) -> Iterator[int]:
    """Take steps again, and give each batch's number in the epoch, from 0, once its step is taken.

    Args:
        trainer: whose model, optimizer and schedules are moved.
        start: where from.
        stop: the number of the batch that is not taken any more.
        seconds: at most so long.
    """
    model = trainer.lightning_module
    start.restore(trainer)
    step, end = EagerStep(trainer), time.monotonic() + seconds
    was_training = model.training
    model.train()
    with torch.inference_mode(False), torch.enable_grad():
        for index, batch in enumerate(_batches(trainer, start, stop), start.batches):
            step(step.transfer(batch), index)
            yield index
            if step.ends_step(index):
                _move_schedules(trainer, index + 1)
            if time.monotonic() > end:
                break
    model.train(was_training)


def _batches(trainer: Any, start: Start, stop: int) -> Iterator[Any]:
    """Return the batches of an epoch, from one on."""
    loader = trainer.datamodule.train_dataloader()
    _set_sampler_epoch(loader, start.epoch)
    if start.batches:
        loader.load_state_dict({**loader.state_dict(), "batches": start.batches, "epoch": start.epoch})
    return islice(iter(loader), stop - start.batches)


def _move_schedules(trainer: Trainer, batches: int) -> None:
    """Move on the schedules that do so with each step, as Lightning does, which counts batches for their frequency."""
    for configured in trainer.lr_scheduler_configs:
        if configured.interval == "step" and batches % configured.frequency == 0 and not configured.reduce_on_plateau:
            cast("Any", configured.scheduler).step()
