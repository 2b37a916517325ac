"""Where a step takes more memory than there is: what was trained is kept, and what would fit is found out."""

from __future__ import annotations

import re
import traceback
from pathlib import Path
from typing import Any, cast

from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import ModelCheckpoint

from lightlab.errors import LightlabError, sentences
from lightlab.training.batch_size import find_largest
from lightlab.training.memory import collect_garbage, is_out_of_memory
from lightlab.training.run_paths import LAST

#: What is kept of a training that broke off in the middle of an epoch; ``last.ckpt`` stays that of the end of one, from
#: which training can go on with other batches.
FILE = "out_of_memory.ckpt"
#: How torch for the CPU, torch for GPUs, and NumPy say how much they could not have.
ASKED = re.compile(r"tried to allocate (\d+) bytes|Tried to allocate ([\d.]+ \wiB)|Unable to allocate ([\d.]+ \wiB)")


class OutOfMemory(Callback):
    """Keeps weights and optimizer as before a step for which memory has no room, and finds out which step has some.

    What it has to say becomes a note of the error.
    """

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Keep, find out, and add it to the error as a note."""
        if not is_out_of_memory(exception) or not trainer.training:
            return
        received = _received(trainer)
        in_optimizer = _is_in_optimizer(exception)
        traceback.clear_frames(exception.__traceback__)  # which hold what the step has computed
        collect_garbage()
        kept = "" if in_optimizer else _keep(trainer)
        exception.add_note(sentences(received, _remedy(trainer), kept))


def say_out_of_memory(trainer: Trainer, error: BaseException) -> str:
    """Return what is to be said of an error that says that no memory is left, with what is noted on it."""
    rule = "Training, evaluation and prediction take no more memory than there is."
    size = getattr(cast("Any", trainer).datamodule, "eval_batch_size", None)
    hint = "" if size is None else f"Try fewer rows at once: data.eval_batch_size is {size}."
    return sentences(rule, _asked_for(error), *(getattr(error, "__notes__", None) or [hint]))


def _asked_for(error: BaseException) -> str:
    """Return how much was asked for at last, as far as the error says it."""
    text = str(error).strip() or type(error).__name__
    found = ASKED.search(text)
    if found is None:
        return f"{text.splitlines()[0].rstrip('.')}."
    size = f"{int(found[1]) / 2**20:,.0f} MiB" if found[1] else found[2] or found[3]
    return f"{size} more were asked for."


def _received(trainer: Trainer) -> str:
    size = getattr(cast("Any", trainer).datamodule, "batch_size", None)
    rows = "" if size is None else f" of {size} rows (data.batch_size)"
    return f"Received: a step{rows}, after {trainer.global_step} steps."


def _remedy(trainer: Trainer) -> str:
    """Return which size fits, and how to train with it as before."""
    data = cast("Any", trainer).datamodule
    size, several = getattr(data, "batch_size", None), trainer.world_size > 1
    if size is None or not hasattr(data, "sample"):
        return ""
    # Of several processes, who is out of memory is alone: the others don't take part in a trial.
    found = size // 2 if several else find_largest(trainer, size // 2)
    if not found:
        return "Not even one row fits: try a smaller network, or smaller inputs."
    times = trainer.accumulate_grad_batches * -(-size // found)
    fit = f"Try {found} rows" if several else f"{found} rows fit"
    return (
        f"{fit}: set data.batch_size to {found}, and trainer.accumulate_grad_batches to {times} for steps of as many "
        f"rows as before."
    )


def _keep(trainer: Trainer) -> str:
    """Write a checkpoint of weights and optimizer as before the step, and say where it is."""
    keepers = [each for each in trainer.checkpoint_callbacks if isinstance(each, ModelCheckpoint)]
    folders = [each.dirpath for each in keepers if each.dirpath]
    if trainer.global_step == 0 or not folders:
        return ""
    if trainer.world_size > 1:  # who is out of memory is alone
        return f"Go on from {LAST}, of the end of the epoch before."
    path = Path(folders[0]) / FILE
    _leave_out_batch(trainer)
    try:
        trainer.save_checkpoint(path)
    except (LightlabError, MemoryError, RuntimeError) as error:
        return f"The weights could not be kept: {error}"
    others = ""
    if (path.parent / LAST).is_file():
        others = f" With other batches training goes on from {LAST}, of the end of an epoch."
    return (
        f"Weights and optimizer as before the step are kept in {path}, running statistics and random numbers as behind "
        f"it: go on from there where there is more memory.{others}"
    )


def _leave_out_batch(trainer: Trainer) -> None:
    """Have counters and loader stand where they were before the batch that failed."""
    loop: Any = trainer.fit_loop
    progress = loop.epoch_loop.batch_progress
    for each in (progress.total, progress.current):
        each.ready = each.started = each.completed = each.processed
    progress.is_last_batch = False
    steps = loop.epoch_loop.automatic_optimization.optim_progress.optimizer.step
    for each in (steps.total, steps.current):
        each.ready = each.completed
    for loader in loop._combined_loader.flattened:
        if hasattr(loader, "recount"):
            loader.recount(progress.current.processed)


def _is_in_optimizer(error: BaseException) -> bool:
    """Return whether the optimizer was at work: it may have moved some of the weights."""
    names = (frame.f_globals.get("__name__", "") for frame, _ in traceback.walk_tb(error.__traceback__))
    known = [name for name in names if name.startswith(("lightning.", "lightlab.", "torch.optim."))]
    return bool(known) and known[-1].startswith("torch.optim.")
