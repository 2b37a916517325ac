"""Whole batches by index, from tensors in memory: no Python for each sample, nothing padded, lost or doubled."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from lightlab.batch import Batch


class RowOrder:
    """The order of the rows in an epoch: a function of seed and epoch, the same in every process.

    Args:
        rows: how many there are.
        seed: of the shuffling; ``None`` for the rows' own order.
    """

    def __init__(self, rows: int, seed: int | None) -> None:
        self.rows = rows
        self.seed = seed
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Move to an epoch; Lightning calls it before each."""
        self.epoch = epoch

    def __call__(self) -> Tensor:
        """Return the places of the rows in order, (rows,)."""
        if self.seed is None:
            return torch.arange(self.rows)
        # A large odd factor keeps the streams of neighbouring seeds apart.
        generator = torch.Generator().manual_seed(self.seed * 1_000_003 + self.epoch)
        return torch.randperm(self.rows, generator=generator)


class TensorLoader:
    """Batches of rows held in memory; each process gets its share of every batch.

    Args:
        inputs: (rows, …).
        targets: (rows, …), or ``None``.
        batch_size: rows of a step over all processes.
        seed: of the shuffling; ``None`` for the rows' own order.
        rank: which process this is.
        world_size: how many there are.
        keep_short: whether a last batch of less than half the size stands by itself. In training its rows join the
            batch before it: a step on a few rows is noise, and batch norm can't learn from one.
    """

    def __init__(
        self,
        inputs: Tensor,
        targets: Tensor | None,
        batch_size: int,
        seed: int | None,
        rank: int,
        world_size: int,
        keep_short: bool,
    ) -> None:
        self.inputs = inputs
        self.targets = targets
        self.batch_size = batch_size
        self.rank = rank
        self.world_size = world_size
        self.sampler = RowOrder(len(inputs), seed)  # where Lightning looks for set_epoch, as DataLoader has it
        self.batch_sampler = None
        self.bounds = [*range(0, len(inputs), batch_size), len(inputs)]
        short = len(self.bounds) > 2 and self.bounds[-1] - self.bounds[-2] < batch_size / 2
        if short and not keep_short:
            del self.bounds[-2]

    def __len__(self) -> int:
        return len(self.bounds) - 1

    def __iter__(self) -> Iterator[Batch]:
        order = self.sampler()
        for start, stop in zip(self.bounds, self.bounds[1:], strict=False):
            total = stop - start
            first, last = (start + total * edge // self.world_size for edge in (self.rank, self.rank + 1))
            places = order[first:last]
            targets = None if self.targets is None else self.targets[places]
            yield Batch(self.inputs[places], targets, places, total)
