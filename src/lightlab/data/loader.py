"""Whole batches by index: no Python for each sample, nothing padded, lost or doubled."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from lightlab.batch import Batch
from lightlab.data.rows import Stored
from lightlab.errors import CheckpointError, DataError

#: More workers than this on one machine seldom read faster.
MOST_WORKERS = 8


class RowOrder:
    """The order of the rows in an epoch: a function of seed and epoch, the same in every process.

    Args:
        rows: how many there are.
        seed: of the shuffling; ``None`` for the rows' own order.
        classes: the class of each row, (rows,): rows are then drawn with replacement, each class as often as any
            other. ``None`` to take each row once.
    """

    def __init__(self, rows: int, seed: int | None, classes: Tensor | None = None) -> None:
        self.rows = rows
        self.seed = seed
        self.epoch = 0
        self._chances = None if classes is None else (1 / classes.bincount().double())[classes].cumsum(0)

    def set_epoch(self, epoch: int) -> None:
        """Move to an epoch; Lightning calls it before each."""
        self.epoch = epoch

    def __call__(self) -> Tensor:
        """Return the places of the rows in order, (rows,)."""
        if self.seed is None:
            return torch.arange(self.rows)
        # A large odd factor keeps the streams of neighbouring seeds apart.
        generator = torch.Generator().manual_seed(self.seed * 1_000_003 + self.epoch)
        if self._chances is None:
            return torch.randperm(self.rows, generator=generator)
        # Not torch.multinomial, which takes 2²⁴ rows at most.
        drawn = torch.rand(self.rows, generator=generator, dtype=torch.float64) * self._chances[-1]
        return torch.searchsorted(self._chances, drawn, right=True).clamp_(max=self.rows - 1)


class BatchPlan:
    """Which rows one process has in each batch of an epoch.

    Args:
        order: of the rows.
        batch_size: rows of a step over all processes.
        rank: which process this is.
        world_size: how many there are.
        keep_short: whether a last batch of less than half the size stands by itself. In training its rows join the
            batch before it: a step on a few rows is noise, and batch norm can't learn from one.

    Raises:
        DataError: training with fewer rows in a step than processes.

    Attributes:
        start: the batch that the next epoch starts from, where training goes on in the middle of one.
    """

    def __init__(
        self,
        order: RowOrder,
        batch_size: int,
        rank: int = 0,
        world_size: int = 1,
        keep_short: bool = True,
    ) -> None:
        self.order = order
        self.rank = rank
        self.world_size = world_size
        self.batch_size = batch_size
        self.start = 0
        self.bounds = [*range(0, order.rows, batch_size), order.rows]
        if keep_short:
            return
        if order.rows < world_size or batch_size < world_size:
            raise DataError(
                f"Each process has a row of every step. Received: {order.rows} rows in batches of {batch_size} for "
                f"{world_size} processes. Bring more, or set data.batch_size."
            )
        # Batch norm can't learn from one row.
        least = max(batch_size / 2, 2 * world_size)
        if len(self.bounds) > 2 and self.bounds[-1] - self.bounds[-2] < least:
            del self.bounds[-2]

    def __len__(self) -> int:
        return len(self.bounds) - 1

    def __iter__(self) -> Iterator[tuple[Tensor, int]]:
        """Give the places of this process's rows of each batch, and how many rows all processes have in it."""
        order, first_batch, self.start = self.order(), self.start, 0
        for begin, end in pairwise(self.bounds[first_batch:]):
            total = end - begin
            first = begin + total * self.rank // self.world_size
            last = begin + total * (self.rank + 1) // self.world_size
            yield order[first:last], total


class BatchLoader:
    """Batches of rows, each process its share of every batch.

    Inputs in memory are batched here; those that are stored are read by worker processes ahead of time.

    Args:
        inputs: (rows, …).
        targets: (rows, …), or ``None``.
        plan: which rows make a batch.
        workers: how many processes read stored inputs.
        pin_memory: whether to have batches of stored inputs where a GPU takes them faster.
    """

    batch_sampler = None

    def __init__(
        self,
        inputs: Tensor | Stored,
        targets: Tensor | None,
        plan: BatchPlan,
        workers: int = 0,
        pin_memory: bool = False,
    ) -> None:
        self.plan = plan
        self._given = 0
        self._resumed: dict[str, Any] = {}
        self.sampler = plan.order  # where Lightning looks for set_epoch, as DataLoader has it
        self.samples = _Samples(inputs, targets)
        self._loader: DataLoader[Batch | DataError] | None = None
        if isinstance(inputs, Stored):
            self._loader = DataLoader(
                self.samples,
                sampler=plan,
                batch_size=None,
                num_workers=workers,
                pin_memory=pin_memory,
                persistent_workers=workers > 0,
            )

    def __len__(self) -> int:
        return len(self.plan)

    def __iter__(self) -> Iterator[Batch]:
        """Give the batches of an epoch; nothing is read before the first is asked for, when the epoch is set."""
        state, self._resumed = self._resumed, {}
        # The state at the end of an epoch is stored, too, and what follows it is another.
        same = state.get("epoch") == self.sampler.epoch
        if same:
            check_resumable(state, self.state_dict())
        self._given = self.plan.start = state["batches"] if same else 0
        for batch in self._loader or map(self.samples.__getitem__, self.plan):
            self._given += 1
            yield raised(batch)

    def state_dict(self) -> dict[str, int | None]:
        """Return how many batches of which epoch were given: Lightning keeps it in checkpoints."""
        order = self.sampler
        return {"batches": self._given, "epoch": order.epoch, "batch_size": self.plan.batch_size, "seed": order.seed}

    def load_state_dict(self, state: dict[str, int | None]) -> None:
        """Go on after so many batches of an epoch."""
        self._resumed = state


def raised(batch: Batch | DataError) -> Batch:
    """Return a batch; or raise what a worker process met, which torch would make text of, and of where it was raised.

    Raises:
        DataError: it is one.
    """
    if isinstance(batch, DataError):
        raise batch
    return batch


class _Samples(Dataset[Batch | DataError]):
    """Makes the batches of a plan."""

    def __init__(self, inputs: Tensor | Stored, targets: Tensor | None) -> None:
        self.inputs = inputs
        self.targets = targets

    def __getitem__(self, planned: tuple[Tensor, int]) -> Batch | DataError:
        places, total = planned
        # index_select costs half of what indexing does.
        targets = None if self.targets is None else self.targets.index_select(0, places)
        given = self.inputs
        try:
            inputs = given[places] if isinstance(given, Stored) else given.index_select(0, places)
        except DataError as error:
            return error
        return Batch(inputs, targets, places, total)


def check_resumable(state: Mapping[str, Any], own: Mapping[str, Any]) -> None:
    """Refuse to go on in the middle of an epoch whose rows came in other batches, or another order.

    Raises:
        CheckpointError: something that decides it is another than before.
    """
    differ = [name for name in own if name not in ("batches", "epoch") and state.get(name) != own[name]]
    if state["batches"] and differ:
        before, now = (", ".join(f"{name} {values.get(name)}" for name in differ) for values in (state, own))
        raise CheckpointError(
            f"In the middle of an epoch training goes on with the batches that it had: {before}. Received: {now}. Go "
            f"on as before, or from a checkpoint of the end of an epoch."
        )


def default_workers(processes: int) -> int:
    """Return how many workers suit each of so many training processes of this machine."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(MOST_WORKERS, cores // processes))
