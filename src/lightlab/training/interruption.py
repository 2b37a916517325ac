"""Ending a training between two batches: what it has learned goes into ``last.ckpt``, and it can be gone on with."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any, NoReturn

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.trainer.connectors.signal_connector import _SignalConnector
from torch import distributed

from lightlab.interruption import NOTHING_KEPT, Interrupted, hold, listen_alone, request, requested
from lightlab.training.run_paths import CONFIG, LAST

#: Processes that count together ask one another about so often, in seconds, and at least after so many batches.
SECONDS, BATCHES = 1.0, 128


class SignalConnector(_SignalConnector):
    """Lightning's signals, of which SIGTERM is `lightlab.interruption`'s; preemption by SLURM stays Lightning's.

    Lightning's own handler has processes exchange tensors wherever they are, of which each may be somewhere else.
    """

    def register_signal_handlers(self) -> None:
        """Have Lightning listen, and take SIGTERM back."""
        super().register_signal_handlers()
        listen_alone()


class Interruption(Callback):
    """Ends a training between two batches, once one of its processes was told to end.

    All processes ask at the same batches. That takes an exchange between them, so that they do it about once a second.

    Args:
        last: what keeps the last weights; ``None`` where nothing does.
    """

    def __init__(self, last: ModelCheckpoint | None) -> None:
        self.last = last
        self._holds = False
        self._number = 0
        self._first_step = 0
        self._every = self._left = 1
        self._since = 0.0

    def begin(self, trainer: Trainer) -> None:
        """Have signals wait from here on: an epoch's batches are about to be trained on."""
        if not self._holds:
            self._holds, self._first_step = True, trainer.global_step
            hold()
        self._ask_next()

    def _ask_next(self) -> None:
        """Ask at the next batch, and after it: those of another kind may take another time, which is not known yet."""
        self._every, self._left = 0, 1
        self._since = time.monotonic()

    def is_due(self, trainer: Trainer) -> bool:
        """Return whether to end; it is to be asked between any two batches, by all processes at the same ones."""
        if self._number:
            return True
        if trainer.world_size == 1:
            self._number = requested()
            return self._number > 0
        self._left -= 1
        if self._left == 0:
            self._ask_others(trainer)
        return self._number > 0

    def _ask_others(self, trainer: Trainer) -> None:
        """Learn whether one of the processes was told to end, and agree when to ask again."""
        each = (time.monotonic() - self._since) / self._every if self._every else SECONDS
        answer = torch.tensor([requested(), each], dtype=torch.float32, device=trainer.strategy.root_device)
        distributed.all_reduce(answer, distributed.ReduceOp.MAX)
        number, slowest = answer.tolist()
        self._number = int(number)
        request(self._number)
        self._every = self._left = max(1, min(BATCHES, int(SECONDS / max(slowest, 1e-6))))
        self._since = time.monotonic()

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Begin to count anew."""
        self._ask_next()

    def on_validation_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Break a validation off: it begins anew where the training is gone on with.

        Raises:
            Interrupted: the process was told to end.
        """
        if self._holds and self.is_due(trainer):
            raise Interrupted(self._number)

    def end(self, trainer: Trainer) -> NoReturn:
        """Keep what was learned, and end; between two batches.

        Raises:
            Interrupted: always.
        """
        loop = trainer.fit_loop
        batches: Any = loop.epoch_loop.batch_progress
        # In StochasticWeightAveraging's last pass. What Lightning counts as a step at its end is none; and it begins
        # anew from the epoch before, since no checkpoint has what batch norms have learned by now.
        in_last_pass = loop._skip_backward
        steps = trainer.global_step - (in_last_pass and batches.is_last_batch)
        if steps == self._first_step:
            raise Interrupted(self._number, NOTHING_KEPT)
        if self.last is None or self.last.dirpath is None:
            raise Interrupted(self._number, "nothing is kept, since trainer.enable_checkpointing is false")
        path = Path(self.last.dirpath) / LAST
        if batches.current.ready and not in_last_pass:  # else the epoch before has just been kept
            trainer.save_checkpoint(path)
        command = ("fit", "--config", str(path.parent.parent / CONFIG), "--ckpt_path", "last")
        raise Interrupted(self._number, f"{path} keeps all {steps} steps", command)
