"""What is seen while training runs: a bar in a terminal, a line an epoch elsewhere."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import ProgressBar
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as RichProgress

from lightlab.terminal import printable, say

#: Seconds between two drawings of the bar: what is drawn is read from the device, which then has to be waited for.
REFRESH_SECONDS = 0.1


class Progress(ProgressBar):
    """Shows epoch, loss and the monitored metric.

    Args:
        monitor: the metric to show beside the loss.
    """

    def __init__(self, monitor: str) -> None:
        super().__init__()
        self.monitor = monitor
        self.console = Console()
        self._enabled = True
        self._bar: RichProgress | None = None
        self._drawn = 0.0
        self._shown = ""

    def enable(self) -> None:
        """Show progress; the Trainer asks for it in the main process."""
        self._enabled = True

    def disable(self) -> None:
        """Show nothing; the Trainer asks for it in all other processes."""
        self._enabled = False

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Show an epoch that is gone on with in its middle; Lightning does not start it again."""
        if trainer.fit_loop.restarted_mid_epoch:
            self.on_train_epoch_start(trainer, pl_module)

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start the bar; or close the epoch before, whose figures are only all there now."""
        if not self._enabled:
            return
        if not self.console.is_terminal:
            self._print_epoch(trainer)
            self._shown = self._epoch(trainer)
            return
        if self._bar is None:
            columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn()
            self._bar = RichProgress(
                *columns, TextColumn("{task.fields[values]}"), console=self.console, transient=True
            )
            self._bar.add_task("", values="")
            self._bar.start()
        loop = trainer.fit_loop
        done = loop.epoch_loop.batch_progress.current.ready if loop.restarted_mid_epoch else 0
        self._draw(trainer, done, {})

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Move the bar, a few times a second."""
        if self._bar is not None and time.monotonic() - self._drawn > REFRESH_SECONDS:
            loss = outputs["loss"] if isinstance(outputs, dict) else outputs
            self._draw(trainer, batch_idx + 1, {"loss": loss})

    def see_batches(self, trainer: Trainer, batches: Sequence[Any]) -> None:
        """Move the bar, a few times a second, where several steps are taken in one go."""
        if self._bar is not None and time.monotonic() - self._drawn > REFRESH_SECONDS:
            self._draw(trainer, trainer.fit_loop.epoch_loop.batch_progress.current.ready, {})

    def batches_until_due(self, trainer: Trainer) -> None:
        """Return that no batch in particular has to be seen."""

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Take the bar away, or close the last epoch."""
        self._print_epoch(trainer)
        self._stop()

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Take the bar away."""
        self._stop()

    def _draw(self, trainer: Trainer, batches: int, values: dict[str, Any]) -> None:
        assert self._bar is not None
        if self.monitor in trainer.callback_metrics:
            values = {**values, self.monitor: trainer.callback_metrics[self.monitor]}
        self._bar.update(
            self._bar.task_ids[0],
            description=self._epoch(trainer),
            completed=batches,
            total=trainer.num_training_batches,
            values="  ".join(_format(values)),
        )
        self._drawn = time.monotonic()

    def _print_epoch(self, trainer: Trainer) -> None:
        if self._shown:
            names = dict.fromkeys(["train/loss", "val/loss", self.monitor])
            values = {name: trainer.callback_metrics[name] for name in names if name in trainer.callback_metrics}
            say(self._shown, *_format(values), sep="  ")
            self._shown = ""

    def _epoch(self, trainer: Trainer) -> str:
        last = trainer.max_epochs
        return f"epoch {trainer.current_epoch + 1}" + (f"/{last}" if last and last > 0 else "")

    def _stop(self) -> None:
        if self._bar is not None:
            self._bar.stop()
            self._bar = None


def _format(values: dict[str, Any]) -> list[str]:
    return [printable(f"{name} {float(value):.4g}") for name, value in values.items()]
