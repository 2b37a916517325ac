"""Lightning's loop over the batches of an epoch, which can end between any two of them, and be gone on with there."""

from __future__ import annotations

from typing import Any

from lightning.pytorch import Trainer
from lightning.pytorch.callbacks import WeightAveraging
from lightning.pytorch.loops.fetchers import _DataFetcher

from lightlab.interruption import Interrupted
from lightlab.training.interruption import Interruption
from lightlab.training.resumable_loop import ResumableEpochLoop


class InterruptibleEpochLoop(ResumableEpochLoop):
    """Ends where the Trainer's `Interruption` says so, with all counters as they are between two batches.

    Args:
        trainer: whose loop it replaces.
    """

    def __init__(self, trainer: Trainer) -> None:
        stock = trainer.fit_loop.epoch_loop
        super().__init__(trainer, min_steps=stock.min_steps, max_steps=stock.max_steps)
        self.val_loop = stock.val_loop  # it knows its data already
        self._interruption: Interruption | None = None

    def on_run_start(self, data_fetcher: _DataFetcher) -> None:
        """Begin an epoch, or go on with one."""
        callbacks: list[Any] = self.trainer.callbacks
        self._interruption = next((each for each in callbacks if isinstance(each, Interruption)), None)
        if self._interruption is not None:
            self._interruption.begin(self.trainer)
        super().on_run_start(data_fetcher)

    def advance(self, data_fetcher: _DataFetcher) -> None:
        """Train on a batch.

        Raises:
            Interrupted: the process was told to end.
        """
        if self._interruption is not None and self._is_told_to_end and not self._is_within_step:
            self._interruption.end(self.trainer)
        super().advance(data_fetcher)

    def on_advance_end(self, data_fetcher: _DataFetcher) -> None:
        """Validate, where that is due.

        Raises:
            Interrupted: the process was told to end.
        """
        try:
            super().on_advance_end(data_fetcher)
        except Interrupted:
            if self._interruption is None:
                raise
            self._forget_validation()
            self._interruption.end(self.trainer)

    @property
    def _is_told_to_end(self) -> bool:
        """Whether the process is told to end. Where nobody asks for all, Lightning has several end together."""
        if self._interruption is not None:
            return self._interruption.is_due(self.trainer)
        return self.trainer.world_size == 1 and bool(self.trainer.received_sigterm)

    @property
    def _is_within_step(self) -> bool:
        """Whether a step is under way that may yet be left out: of all others checkpoints keep the gradients so far."""
        model: Any = self.trainer.lightning_module
        finite_numbers = getattr(model, "finite_numbers", None)
        if finite_numbers is None or not finite_numbers.skips:
            return False
        if self.trainer.fit_loop._skip_backward:  # as in StochasticWeightAveraging's last pass, which has no steps
            return False
        return bool(self.batch_progress.current.ready % self.trainer.accumulate_grad_batches)

    def _forget_validation(self) -> None:
        """Count as if the validation that was broken off had not begun."""
        progress: Any = self.val_loop.batch_progress
        for name, count in vars(progress.current).items():
            setattr(progress.total, name, getattr(progress.total, name) - count)
        progress.reset_on_run()
        for each in self.trainer.callbacks:
            if isinstance(each, WeightAveraging):  # what is validated are the averaged weights, in the others' place
                each.on_validation_epoch_end(self.trainer, self.trainer.lightning_module)

    def _broadcast_sigterm_tensor(self) -> None:
        """Do nothing where processes have agreed by now whether they end."""
        if self._interruption is None:
            super()._broadcast_sigterm_tensor()
