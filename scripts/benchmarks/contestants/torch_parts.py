"""What the contestants on torch share: the networks and the arrays as tensors."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from benchmarks.jobs import Job, Task

RATE = 1e-3


def tensors(job: Job, split: str) -> tuple[Tensor, Tensor]:
    """Return inputs and targets of a split, on the job's device."""
    arrays = (np.load(Path(job.data) / f"{split}_{what}.npy") for what in ("inputs", "targets"))
    inputs, targets = (torch.from_numpy(array).to(job.device) for array in arrays)
    return inputs, targets


def network(task: Task) -> nn.Module:
    """Return the network of a task, its weights as relu wants them (He et al. 2015)."""
    model = NETWORKS[task.network](task)
    linear = [module for module in model.modules() if isinstance(module, nn.Linear | nn.Conv2d)]
    for module in linear:
        nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
        if module.bias is not None:
            nn.init.zeros_(module.bias)
    nn.init.xavier_uniform_(linear[-1].weight)
    return model


def mlp(task: Task) -> nn.Module:
    sizes = [*task.shape, *task.units]
    hidden = [part for size in zip(sizes, task.units, strict=False) for part in (nn.Linear(*size), nn.ReLU())]
    return nn.Sequential(*hidden, nn.Linear(sizes[-1], task.classes))


def cnn(task: Task) -> nn.Module:
    return nn.Sequential(
        *(nn.Conv2d(1, 32, 3), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Conv2d(32, 64, 3), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Flatten(), nn.Linear(64 * 5 * 5, 128), nn.ReLU(), nn.Linear(128, task.classes)),
    )


def digits(task: Task) -> nn.Module:
    """Return the network of configs/digits_cnn.yaml, whose penalty on weights it leaves out."""
    return nn.Sequential(
        *(nn.Conv2d(1, 32, 3, padding="same"), nn.ReLU(), nn.BatchNorm2d(32)),
        *(nn.Conv2d(32, 64, 3, padding="same"), nn.ReLU(), nn.BatchNorm2d(64), nn.MaxPool2d(2)),
        *(nn.Flatten(), nn.Dropout(0.4), nn.Linear(64 * 4 * 4, 128), nn.ReLU(), nn.Dropout(0.4)),
        nn.Linear(128, task.classes),
    )


class Bytes(nn.Module):
    """Brings bytes to numbers around 0."""

    def forward(self, images: Tensor) -> Tensor:
        return (images.float() - 128) / 48


class Block(nn.Module):
    """Two convolutions and a way around them."""

    def __init__(self, channels: int, filters: int, stride: int) -> None:
        super().__init__()
        self.inner = nn.Sequential(
            *(nn.Conv2d(channels, filters, 3, stride, 1, bias=False), nn.BatchNorm2d(filters), nn.ReLU()),
            *(nn.Conv2d(filters, filters, 3, 1, 1, bias=False), nn.BatchNorm2d(filters)),
        )
        same = channels == filters and stride == 1
        self.shortcut = nn.Identity() if same else nn.Conv2d(channels, filters, 1, stride)

    def forward(self, inputs: Tensor) -> Tensor:
        return torch.relu(self.inner(inputs) + self.shortcut(inputs))


def resnet18(task: Task) -> nn.Module:
    """Return the ResNet-18 for small images: a first convolution of 3×3 with stride 1, no pool after it."""
    blocks, channels = [], 64
    for filters, stride in ((64, 1), (128, 2), (256, 2), (512, 2)):
        blocks += [Block(channels, filters, stride), Block(filters, filters, 1)]
        channels = filters
    stem = (nn.Conv2d(3, 64, 3, 1, 1, bias=False), nn.BatchNorm2d(64), nn.ReLU())
    end = (nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(512, task.classes))
    return nn.Sequential(Bytes(), *stem, *blocks, *end)


NETWORKS: dict[str, Callable[[Task], nn.Module]] = {"mlp": mlp, "cnn": cnn, "digits": digits, "resnet18": resnet18}


def device_mib(job: Job) -> float | None:
    """Return the most memory that was taken on a GPU."""
    return torch.cuda.max_memory_allocated() / 2**20 if job.device == "cuda" else None
