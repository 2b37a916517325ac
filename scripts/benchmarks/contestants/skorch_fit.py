"""skorch's classifier by default; it keeps the training loss, and accuracy of a validation only."""

from __future__ import annotations

import torch
from skorch import NeuralNetClassifier
from skorch.callbacks import EarlyStopping
from skorch.dataset import Dataset
from skorch.helper import predefined_split

from benchmarks.contestants.torch_parts import RATE, device_mib, network, tensors
from benchmarks.jobs import Job, Outcome, take_part


def fit(job: Job) -> Outcome:
    torch.manual_seed(job.seed)
    train = tensors(job, "train")
    net = NeuralNetClassifier(
        network(job.task),
        criterion=torch.nn.CrossEntropyLoss,
        optimizer=getattr(torch.optim, job.task.optimizer),
        lr=RATE,
        batch_size=job.task.batch_size,
        max_epochs=job.epochs,
        iterator_train__shuffle=True,
        train_split=predefined_split(Dataset(*tensors(job, "val"))) if job.validate else None,
        callbacks=[] if job.patience is None else [EarlyStopping(patience=job.patience, load_best=True)],
        classes=list(range(job.task.classes)),
        device=job.device,
    )
    net.fit(*train)
    accuracy = net.history[-1, "valid_acc"] if job.validate else None
    return Outcome(list(net.history[:, "dur"]), accuracy, device_mib(job))


if __name__ == "__main__":
    take_part(fit)
