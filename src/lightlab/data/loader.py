"""Whole batches by index: no Python for each sample, nothing padded, lost or doubled."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import islice, repeat
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from lightlab.batch import Batch
from lightlab.data.placing import CPU, say_workers, send, send_ahead
from lightlab.data.rows import Stored
from lightlab.errors import CheckpointError, DataError
from lightlab.interruption import leave_to_parent
from lightlab.processes import count_cores

#: More workers than this on one machine seldom read faster.
MOST_WORKERS = 8
#: Batches that are made at once, and their bytes: as many as caches hold.
MOST_BLOCK_BATCHES, MOST_BLOCK_BYTES = 32, 2**20


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
        self._batches = -(-order.rows // batch_size)
        if keep_short:
            return
        if order.rows < world_size or batch_size < world_size:
            raise DataError(
                f"Each process has a row of every step. Received: {order.rows} rows in batches of {batch_size} for "
                f"{world_size} processes. Bring more, or set data.batch_size."
            )
        # Batch norm can't learn from one row.
        least = max(batch_size / 2, 2 * world_size)
        if self._batches > 1 and order.rows - (self._batches - 1) * batch_size < least:
            self._batches -= 1

    def __len__(self) -> int:
        return self._batches

    @property
    def fewest_rows(self) -> int:
        """Rows that a process has at least in a batch."""
        last = self.order.rows - (self._batches - 1) * self.batch_size
        return (min(self.batch_size, last) if self._batches > 1 else last) // self.world_size

    def __iter__(self) -> Iterator[tuple[Tensor, int]]:
        """Give the places of this process's rows of each batch, and how many rows all processes have in it."""
        for places, own, totals in self.blocks(1, CPU):
            yield from zip(places.split_with_sizes(own), totals, strict=True)

    def blocks(self, batches: int, device: torch.device) -> Iterator[tuple[Tensor, list[int], list[int]]]:
        """Give the places of this process's rows of several batches at once, on a device where they are sent once.

        Args:
            batches: of a block, counted from the epoch's first on. The block is whole that has the batch ``start``.
            device: of the places.

        Yields:
            places of the rows, (rows,); for each batch, how many of them are its own; and how many all processes have.
        """
        first, self.start = self.start - self.start % batches, 0
        places = send(self._places(), device)
        share, last = self._share(self.batch_size), self._batches - 1
        while first < self._batches:
            stop = min(first + batches, self._batches)
            totals = [self.batch_size] * (stop - first)
            own = [len(share)] * (stop - first)
            if stop > last:
                totals[-1] = self.order.rows - last * self.batch_size
                own[-1] = len(self._share(totals[-1]))
            begin = first * len(share)
            yield places[begin : begin + sum(own)], own, totals
            first = stop

    def _places(self) -> Tensor:
        """Return the places of this process's rows of an epoch, batch after batch, (rows,)."""
        order = self.order()
        if self.world_size == 1:
            return order
        end = max(0, self._batches - 1) * self.batch_size
        equal, rest = order[:end], order[end:]
        share, short = self._share(self.batch_size), self._share(len(rest))
        own = equal.view(-1, self.batch_size)[:, share.start : share.stop]
        return torch.cat([own.flatten(), rest[short.start : short.stop]])

    def _share(self, total: int) -> range:
        """Return which rows of a batch are this process's."""
        return range(total * self.rank // self.world_size, total * (self.rank + 1) // self.world_size)


class BatchLoader:
    """Batches of rows, each process its share of every batch.

    Inputs in memory, the CPU's or a GPU's, are batched where they lie: several batches at once, as long as they are
    small, since a step on few rows takes no longer than what it costs to ask for them. Those that are stored are read
    by worker processes ahead of time. What is not on the device that computes is sent there ahead of time.

    Args:
        inputs: (rows, …).
        targets: (rows, …), or ``None``; on the inputs' device, if they are in memory.
        plan: which rows make a batch.
        workers: how many processes read stored inputs.
        device: where batches are brought.
    """

    batch_sampler = None

    def __init__(
        self,
        inputs: Tensor | Stored,
        targets: Tensor | None,
        plan: BatchPlan,
        workers: int = 0,
        device: torch.device = CPU,
    ) -> None:
        self.plan = plan
        self.inputs = inputs
        self.targets = targets
        self.device = device
        self.workers = workers
        self._given = 0
        self._resumed: dict[str, Any] = {}
        self.sampler = plan.order  # where Lightning looks for set_epoch, as DataLoader has it
        self._reader: DataLoader[Batch | DataError] | None = None
        if isinstance(inputs, Stored):
            self._reader = DataLoader(
                _Samples(inputs, targets),
                sampler=plan,
                batch_size=None,
                num_workers=workers,
                pin_memory=device.type == "cuda",
                persistent_workers=workers > 0,
                worker_init_fn=leave_to_parent,
                generator=torch.Generator(),  # not the training's, which would draw other numbers after a resumption
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
        batches = self._gather(self.inputs) if isinstance(self.inputs, Tensor) else map(raised, self._reader or ())
        for batch in send_ahead(batches, self.device) if self.sends else batches:
            self._given += 1
            yield batch

    @property
    def placement(self) -> str:
        """Where the rows are, in a few words."""
        if not isinstance(self.inputs, Tensor):
            return f"data on disk{say_workers(self.workers)}"
        if self.inputs.device != CPU:
            return "data on device"
        return "data in memory, pinned" if self.sends else "data in memory"

    @property
    def sends(self) -> bool:
        """Whether batches are made in memory that the device does not compute on."""
        return self.device != (self.inputs.device if isinstance(self.inputs, Tensor) else CPU)

    def _gather(self, inputs: Tensor) -> Iterator[Batch]:
        """Give batches of what is in memory."""
        batch_bytes = max(1, inputs[:1].nbytes) * self.plan.batch_size
        block = max(1, min(MOST_BLOCK_BATCHES, MOST_BLOCK_BYTES // batch_bytes))
        # In an epoch that goes on, a batch lies in memory as it would have in a whole one: rounding may depend on it.
        skipped = self.plan.start % block
        for places, own, totals in self.plan.blocks(block, inputs.device):
            # index_select costs half of what indexing does.
            parts = inputs.index_select(0, places).split_with_sizes(own)
            known = None if self.targets is None else self.targets.index_select(0, places).split_with_sizes(own)
            targets = repeat(None) if known is None else known
            yield from islice(map(Batch, parts, targets, places.split_with_sizes(own), totals), skipped, None)
            skipped = 0

    def recount(self, batches: int) -> None:
        """Note that so many batches of the epoch were trained on: one that was given may have been too large."""
        self._given = batches

    def state_dict(self) -> dict[str, int | None]:
        """Return how many batches of which epoch were given: Lightning keeps it in checkpoints."""
        order = self.sampler
        waits = self._resumed.get("epoch") == order.epoch  # to go on within the epoch
        given = self._resumed["batches"] if waits else self._given
        return {"batches": given, "epoch": order.epoch, "batch_size": self.plan.batch_size, "seed": order.seed}

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
    """Reads the batches of a plan."""

    def __init__(self, inputs: Stored, targets: Tensor | None) -> None:
        self.inputs = inputs
        self.targets = targets

    def __getitem__(self, planned: tuple[Tensor, int]) -> Batch | DataError:
        places, total = planned
        targets = None if self.targets is None else self.targets.index_select(0, places)
        try:
            return Batch(self.inputs[places], targets, places, total)
        except DataError as error:
            return error


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
    return max(1, min(MOST_WORKERS, count_cores() // processes))
