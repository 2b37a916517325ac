"""The loop that all are measured by: plain PyTorch, written with care, and its variants.

Batches are taken from tensors in memory by the places of a permutation, Adam is fused, loss and accuracy are summed
where they are computed and read once an epoch.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset

from benchmarks.contestants.torch_parts import RATE, device_mib, network, tensors
from benchmarks.jobs import Job, Outcome, take_part

PADDING = 4
EVALUATION_BATCH = 4096


def sliced(inputs: Tensor, targets: Tensor, batch_size: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Give the batches of an epoch, in a new order."""
    for places in torch.randperm(len(inputs), device=inputs.device).split(batch_size):
        yield inputs.index_select(0, places), targets.index_select(0, places)


def augment(images: Tensor) -> Tensor:
    """Flip half of the images, and move each by a few pixels."""
    count, height, width, device = len(images), *images.shape[2:], images.device
    padded = F.pad(images, [PADDING] * 4)
    rows, columns = (
        torch.randint(2 * PADDING + 1, (count, 1), device=device) + torch.arange(size, device=device)
        for size in (height, width)
    )
    columns = torch.where(torch.rand(count, 1, device=device) < 0.5, columns, columns.flip(1))
    places = torch.arange(count, device=device)[:, None, None]
    return padded.permute(0, 2, 3, 1)[places, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)


class Loop:
    """A training by hand."""

    def __init__(self, job: Job) -> None:
        torch.manual_seed(job.seed)
        self.job = job
        self.train = tensors(job, "train")
        layout = torch.channels_last if job.options.get("channels_last") else torch.contiguous_format
        self.model = network(job.task).to(job.device, memory_format=layout)
        if job.options.get("channels_last"):
            self.train = (self.train[0].contiguous(memory_format=layout), self.train[1])
        self.forward: nn.Module = self.model
        if job.options.get("compile"):
            mode = "reduce-overhead" if job.device == "cuda" else "default"
            self.forward = torch.compile(self.model, mode=mode, dynamic=False)
        self.optimizer = getattr(torch.optim, job.task.optimizer)(self.model.parameters(), lr=RATE, fused=True)
        self.precision = torch.autocast(job.device, torch.bfloat16, enabled=bool(job.options.get("bf16")))
        if job.device == "cuda":
            torch.set_float32_matmul_precision("high")

    def batches(self) -> Iterator[tuple[Tensor, Tensor]]:
        if not self.job.options.get("loader"):
            return sliced(*self.train, self.job.task.batch_size)
        return iter(DataLoader(TensorDataset(*self.train), self.job.task.batch_size, shuffle=True))

    def epoch(self) -> tuple[float, float]:
        """Train for an epoch, and return its loss and accuracy."""
        self.model.train()
        loss_sum, hits = torch.zeros((), device=self.job.device), torch.zeros((), device=self.job.device)
        for inputs, targets in self.batches():
            images = augment(inputs) if self.job.task.augment else inputs
            with self.precision:
                logits = self.forward(images)
                loss = F.cross_entropy(logits, targets)
            self.optimizer.zero_grad()
            loss.backward()
            self.optimizer.step()
            loss_sum += loss.detach() * len(targets)
            hits += (logits.detach().argmax(1) == targets).sum()
        rows = self.job.task.rows
        return loss_sum.item() / rows, hits.item() / rows

    @torch.inference_mode()
    def evaluate(self, inputs: Tensor, targets: Tensor) -> tuple[float, float]:
        """Return loss and accuracy."""
        self.model.eval()
        with self.precision:
            logits = torch.cat([self.model(part) for part in inputs.split(EVALUATION_BATCH)])
            return F.cross_entropy(logits, targets).item(), (logits.argmax(1) == targets).float().mean().item()


def fit(job: Job) -> Outcome:
    """Train, and stop early where patience ends; the best weights are kept."""
    loop, seconds, waited, least = Loop(job), [], 0, float("inf")
    val = tensors(job, "val") if job.validate else None
    best = {}
    for number in range(job.epochs):
        start = time.perf_counter()
        loss, accuracy = loop.epoch()
        seconds.append(time.perf_counter() - start)
        if val is not None:
            loss, accuracy = loop.evaluate(*val)
        print(f"epoch {number + 1}/{job.epochs}  loss {loss:.4f}  accuracy {accuracy:.4f}")
        if job.patience is not None:
            waited = 0 if loss < least else waited + 1
            if not waited:
                least, best = loss, copy.deepcopy(loop.model.state_dict())
            if waited >= job.patience:
                break
    if best:
        loop.model.load_state_dict(best)
    return Outcome(seconds, accuracy, device_mib(job))


if __name__ == "__main__":
    take_part(fit)
