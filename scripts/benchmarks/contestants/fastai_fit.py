"""fastai's Learner with its default callbacks."""

from __future__ import annotations

import time

from fastai.callback.core import Callback
from fastai.callback.progress import ProgressCallback  # noqa: F401  # which puts itself among the defaults
from fastai.callback.tracker import EarlyStoppingCallback
from fastai.data.core import DataLoaders
from fastai.data.load import DataLoader
from fastai.learner import Learner
from fastai.losses import CrossEntropyLossFlat
from fastai.metrics import accuracy
from fastai.torch_core import set_seed
from torch.utils.data import TensorDataset

from benchmarks.contestants.torch_parts import RATE, device_mib, network, tensors
from benchmarks.jobs import Job, Outcome, take_part


class EpochTimes(Callback):
    """Takes the time of the training part of each epoch."""

    def __init__(self) -> None:
        self.seconds: list[float] = []

    def before_train(self) -> None:
        self.began = time.perf_counter()

    def after_train(self) -> None:
        self.seconds.append(time.perf_counter() - self.began)


def fit(job: Job) -> Outcome:
    set_seed(job.seed)
    loaders = [
        DataLoader(TensorDataset(*tensors(job, split)), bs=job.task.batch_size, shuffle=split == "train", num_workers=0)
        for split in ("train", "val")
    ]
    learner = Learner(
        DataLoaders(*loaders, device=job.device), network(job.task), CrossEntropyLossFlat(), metrics=accuracy
    )
    times = EpochTimes()
    callbacks: list[Callback] = [times]
    if job.patience is not None:
        callbacks.append(EarlyStoppingCallback("valid_loss", patience=job.patience))
    learner.fit(job.epochs, RATE, cbs=callbacks)
    return Outcome(times.seconds, float(learner.recorder.values[-1][-1]), device_mib(job))


if __name__ == "__main__":
    take_part(fit)
