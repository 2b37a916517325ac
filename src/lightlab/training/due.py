"""How many batches may be trained on before something of Lightning's is due."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol, runtime_checkable

from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import DeviceStatsMonitor, LearningRateMonitor, ModelCheckpoint, ProgressBar, Timer
from lightning.pytorch.plugins.precision import DoublePrecision, MixedPrecision, Precision
from lightning.pytorch.profilers import PassThroughProfiler
from lightning.pytorch.strategies import DDPStrategy, SingleDeviceStrategy
from torch.optim import LBFGS

from lightlab.training.half_precision import HalfPrecisionNetwork

# Lightning sets much of its Trainer untyped: hence the Any for it.

#: The hooks that Lightning calls for every batch.
BATCH_HOOKS = (
    "on_train_batch_start",
    "on_before_zero_grad",
    "on_before_backward",
    "on_after_backward",
    "on_before_optimizer_step",
    "on_train_batch_end",
)
#: What a model may do in its own way in a step.
STEP_METHODS = ("optimizer_step", "optimizer_zero_grad", "lr_scheduler_step", "manual_backward")


@runtime_checkable
class Sampler(Protocol):
    """A callback whose hooks look at some batches only, and that says at which."""

    def batches_until_due(self, trainer: Trainer) -> int | None:
        """Return which of the batches to come it has to see, 1 for the next; ``None`` for any."""

    def see_batches(self, trainer: Trainer, batches: Sequence[Any]) -> None:
        """Batches were trained on that the hooks are not told of."""


def _checkpoint(callback: Any, trainer: Trainer) -> int | None:
    every = callback._every_n_train_steps
    return None if every < 1 else _batches(trainer, every - trainer.global_step % every)


def _monitor(callback: Any, trainer: Trainer) -> int | None:
    every: int = trainer.log_every_n_steps  # type: ignore[attr-defined]  # Lightning sets it untyped
    return None if every < 1 else _batches(trainer, every - trainer.fit_loop.epoch_loop._batches_that_stepped % every)


#: Lightning's callbacks that look at some batches only: which of those to come they have to see.
KNOWN: dict[type[Callback], Callable[[Any, Trainer], int | None]] = {
    ModelCheckpoint: _checkpoint,
    LearningRateMonitor: _monitor,
    DeviceStatsMonitor: _monitor,
    ProgressBar: lambda callback, trainer: None,  # shows where training is by now
    Timer: lambda callback, trainer: None,  # looks at the clock
}


def _batches(trainer: Trainer, steps: int) -> int:
    """Return which of the batches to come makes so many optimizer steps full."""
    each = trainer.accumulate_grad_batches
    return steps * each - trainer.fit_loop.epoch_loop.batch_progress.current.ready % each


def why_single(trainer: Any) -> str | None:
    """Return why each batch has to be left to Lightning; ``None`` where several may be taken in one go."""
    model = trainer.lightning_module
    strategy, precision = trainer.strategy, trainer.precision_plugin
    if type(strategy) is not DDPStrategy and not isinstance(strategy, SingleDeviceStrategy):
        return f"strategy {type(strategy).__name__} steps in a way of its own"
    if type(precision) not in (Precision, MixedPrecision, HalfPrecisionNetwork, DoublePrecision):
        return f"precision {type(precision).__name__} steps in a way of its own"
    if type(trainer.profiler) is not PassThroughProfiler:
        return "a profiler measures each batch"
    if not model.automatic_optimization or len(trainer.optimizers) != 1 or isinstance(trainer.optimizers[0], LBFGS):
        return "the optimizer evaluates a batch more than once, or is one of several"
    if trainer.num_training_batches == float("inf"):
        return "the data doesn't say how many batches it has"
    if len(trainer.fit_loop._combined_loader.flattened) != 1:
        return "batches come from several loaders"
    if not getattr(type(model).training_step, "is_bare", False):
        return f"{type(model).__name__}.training_step may log, or leave out a batch"
    if own := [name for name in STEP_METHODS if getattr(type(model), name) is not getattr(LightningModule, name)]:
        return f"{type(model).__name__} has its own {own[0]}"
    if getattr(getattr(model, "finite_numbers", None), "skips", False):
        return "non_finite: skip looks at each"
    for each in [*trainer.callbacks, model]:
        known = isinstance(each, Sampler) or any(isinstance(each, kind) and _knows(each, kind) for kind in KNOWN)
        if not known and (hooks := _batch_hooks(each, Callback if isinstance(each, Callback) else LightningModule)):
            return f"{type(each).__name__}.{hooks[0]} is told of each batch"
    return None


def _batch_hooks(each: Callback | LightningModule, base: type) -> list[str]:
    """Return the hooks for batches that a callback or model has of its own, beside those of a class."""
    return [hook for hook in BATCH_HOOKS if getattr(getattr(each, hook), "__func__", None) is not getattr(base, hook)]


def _knows(callback: Callback, kind: type[Callback]) -> bool:
    """Return whether a callback's hooks for batches are those of a class that is known, and of its relatives'."""
    return kind is ProgressBar or not _batch_hooks(callback, kind)


def looks_at_clock(trainer: Any) -> bool:
    """Return whether something is due by time, and not by the number of batches."""
    timed = any(isinstance(each, ModelCheckpoint) and each._train_time_interval for each in trainer.callbacks)
    watched = any(isinstance(each, Timer) for each in trainer.callbacks)
    drawn = any(isinstance(each, ProgressBar) and not isinstance(each, Sampler) for each in trainer.callbacks)
    return timed or watched or drawn or trainer._val_check_time_interval is not None


def batches_until_due(trainer: Any) -> int:
    """Return which of the batches to come has to be left to Lightning, 1 for the next.

    It is the last one before an epoch or the training ends or may end, weights are validated, or a callback has to see
    it.
    """
    loop = trainer.fit_loop.epoch_loop
    if loop.automatic_optimization._skip_backward:  # a pass for the statistics of averaged weights
        return 1
    in_epoch, in_all = loop.batch_progress.current.ready, loop.batch_progress.total.ready
    due: list[int] = [int(trainer.num_training_batches) - in_epoch]
    # What has asked to stop is heard as soon as there are min_steps.
    bounds = (steps - trainer.global_step for steps in (loop.min_steps, loop.max_steps) if steps not in (None, -1))
    due += [_batches(trainer, left) for left in bounds if left > 0]
    if loop._should_check_val_epoch() and trainer.val_check_batch not in (None, float("inf")):
        every = int(trainer.val_check_batch)
        due.append(every - (in_all if trainer.check_val_every_n_epoch is None else in_epoch) % every)
    for each in trainer.callbacks:
        own = each.batches_until_due(trainer) if isinstance(each, Sampler) else None
        known = next((look(each, trainer) for kind, look in KNOWN.items() if isinstance(each, kind)), None)
        due += [number for number in (own, known) if number is not None]
    return max(1, min(due))
