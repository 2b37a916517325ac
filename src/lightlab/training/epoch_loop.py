"""Lightning's loop over the batches of an epoch, which can end between any two of them, and be gone on with there."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from typing import Any

from lightning.pytorch import Trainer
from lightning.pytorch.callbacks import WeightAveraging
from lightning.pytorch.loops.fetchers import _DataFetcher, _DataLoaderIterDataFetcher
from lightning.pytorch.trainer import call

from lightlab.errors import RunError
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
            RunError: a callback or the like has raised StopIteration, which would pass for the end of the data.
        """
        if self._interruption is not None and self._is_told_to_end:
            self._interruption.end(self.trainer)
        try:
            super().advance(data_fetcher)
        except StopIteration as end:
            self._check_end(end, data_fetcher)
            raise

    def on_advance_end(self, data_fetcher: _DataFetcher) -> None:
        """Validate, where that is due.

        Raises:
            Interrupted: the process was told to end.
            RunError: a callback or the like has raised StopIteration, which would pass for the end of the data.
        """
        try:
            super().on_advance_end(data_fetcher)
        except StopIteration as end:
            self._check_end(end, data_fetcher)
            raise
        except Interrupted:
            if self._interruption is None:
                raise
            self._forget_validation()
            self._interruption.end(self.trainer)

    def _check_end(self, end: StopIteration, data_fetcher: _DataFetcher) -> None:
        """Let pass what ends the data, or asks for the end of an epoch; whatever hooks raise is none of these.

        Raises:
            RunError: it comes from a hook.
        """
        frames = list(traceback.walk_tb(end.__traceback__))
        takes_data_itself = isinstance(data_fetcher, _DataLoaderIterDataFetcher)
        if takes_data_itself or not any(frame.f_globals.get("__name__") == call.__name__ for frame, _ in frames):
            return
        raise _too_early(end, "An epoch ends with its data", self.global_step) from end

    @property
    def _is_told_to_end(self) -> bool:
        """Whether the process is told to end. Where nobody asks for all, Lightning has several end together."""
        if self._interruption is not None:
            return self._interruption.is_due(self.trainer)
        return self.trainer.world_size == 1 and bool(self.trainer.received_sigterm)

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


def guard_epochs(fit_loop: Any) -> None:
    """Have an error come of a StopIteration between two epochs, which Lightning takes for the end of the training.

    Args:
        fit_loop: the Trainer's.
    """

    def guarded(advance: Callable[[], None]) -> Callable[[], None]:
        def carry_out() -> None:
            try:
                advance()
            except StopIteration as end:
                rule = "A training ends with its epochs, or its steps"
                raise _too_early(end, rule, fit_loop.epoch_loop.global_step) from end

        return carry_out

    for name in ("on_advance_start", "on_advance_end"):
        setattr(fit_loop, name, guarded(getattr(fit_loop, name)))


def _too_early(end: StopIteration, rule: str, steps: int) -> RunError:
    """Return the error for a StopIteration that ends what goes on, with who has raised it."""
    *_, (frame, line) = traceback.walk_tb(end.__traceback__)
    code = frame.f_code
    return RunError(
        f"{rule}. {code.co_qualname} raised StopIteration, which would end it before, after {steps} steps "
        f"({code.co_filename}:{line})."
    )
