"""Lightning as its first pages show it: DataLoader, self.log, torchmetrics, progress bar, TensorBoard, checkpoints."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

import lightning as L
import torch
from lightning.pytorch.callbacks import EarlyStopping
from lightning.pytorch.loggers import TensorBoardLogger
from torch import Tensor
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset
from torchmetrics.classification import MulticlassAccuracy

from benchmarks.contestants.torch_parts import RATE, device_mib, network, tensors
from benchmarks.jobs import Job, Outcome, Task, take_part


class Classifier(L.LightningModule):
    """As a tutorial has it."""

    def __init__(self, task: Task) -> None:
        super().__init__()
        self.task = task
        self.network = network(task)
        self.train_accuracy = MulticlassAccuracy(task.classes, average="micro")
        self.val_accuracy = MulticlassAccuracy(task.classes, average="micro")

    def training_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> Tensor:
        inputs, targets = batch
        logits = self.network(inputs)
        loss = F.cross_entropy(logits, targets)
        self.train_accuracy(logits, targets)
        self.log("train_loss", loss, prog_bar=True, on_step=False, on_epoch=True)
        self.log("train_accuracy", self.train_accuracy, prog_bar=True, on_step=False, on_epoch=True)
        return loss

    def validation_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> None:
        inputs, targets = batch
        logits = self.network(inputs)
        self.val_accuracy(logits, targets)
        self.log("val_loss", F.cross_entropy(logits, targets), prog_bar=True)
        self.log("val_accuracy", self.val_accuracy, prog_bar=True)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return getattr(torch.optim, self.task.optimizer)(self.parameters(), lr=RATE)


class EpochTimes(L.Callback):
    """Takes the time from the start of an epoch to the start of the next, validation aside."""

    def __init__(self) -> None:
        self.seconds: list[float] = []
        self._began = self._validating = self._validation_began = 0.0

    def _close(self) -> None:
        now = time.perf_counter()
        if self._began:
            self.seconds.append(now - self._began - self._validating)
        self._began, self._validating = now, 0.0

    def on_train_epoch_start(self, *_: Any) -> None:
        self._close()

    def on_train_end(self, *_: Any) -> None:
        self._close()

    def on_validation_start(self, *_: Any) -> None:
        self._validation_began = time.perf_counter()

    def on_validation_end(self, *_: Any) -> None:
        self._validating += time.perf_counter() - self._validation_began


def fit(job: Job) -> Outcome:
    L.seed_everything(job.seed)
    on_cpu = replace(job, device="cpu")
    train = DataLoader(TensorDataset(*tensors(on_cpu, "train")), job.task.batch_size, shuffle=True)
    val = DataLoader(TensorDataset(*tensors(on_cpu, "val")), job.task.batch_size) if job.validate else None
    times = EpochTimes()
    callbacks: list[L.Callback] = [times]
    if job.patience is not None:
        callbacks.append(EarlyStopping("val_loss", patience=job.patience))
    trainer = L.Trainer(
        max_epochs=job.epochs,
        accelerator="gpu" if job.device == "cuda" else "cpu",
        precision=job.options.get("precision", "32-true"),
        logger=TensorBoardLogger(job.folder),
        callbacks=callbacks,
    )
    trainer.fit(Classifier(job.task), train, val)
    accuracy = trainer.callback_metrics["val_accuracy" if job.validate else "train_accuracy"]
    return Outcome(times.seconds, float(accuracy), device_mib(job))


if __name__ == "__main__":
    take_part(fit)
