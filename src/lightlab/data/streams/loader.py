"""Batches of rows that are read as they are needed, by this process or by workers."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader, IterableDataset, get_worker_info

from lightlab.batch import Batch
from lightlab.data.loader import check_resumable, raised
from lightlab.data.placing import CPU, say_workers, send_ahead
from lightlab.data.rows import Places, Rows
from lightlab.data.streams.plan import StreamPlan
from lightlab.data.streams.source import Part
from lightlab.data.targets import encode_target, typed_targets
from lightlab.data_spec import TargetSpec
from lightlab.errors import DataError
from lightlab.interruption import leave_to_parent
from lightlab.registry import PROBLEMS


@dataclass
class Encoder:
    """Makes of a source's rows what the model takes; it goes to worker processes.

    Attributes:
        inputs: encodes inputs.
        target: what was learned of the target; ``None`` where targets are not known.
        problem: its type.
        split: its name, for messages.
    """

    inputs: Callable[[Rows], Tensor]
    target: TargetSpec | None
    problem: str
    split: str

    def encode(self, rows: Rows) -> tuple[Tensor, Tensor | None]:
        """Return inputs and targets."""
        return self.inputs(rows), self.encode_targets(rows) if self.target else None

    def encode_targets(self, rows: Rows) -> Tensor:
        """Return the targets alone."""
        assert self.target is not None
        row = PROBLEMS.get(self.problem)
        rows = typed_targets(rows, self.target.classes)
        return encode_target(rows, self.target, row.target, row, self.split)


class Stream(IterableDataset[Batch]):
    """The batches of an epoch; in a worker process, those of the worker.

    A reader holds what its shuffle buffer takes, and the part of a segment that it reads.

    Args:
        part: the rows of the split.
        plan: which of them make a batch.
        encoder: of rows.

    Attributes:
        given: how many batches of the epoch were given already: they are not read.
    """

    def __init__(self, part: Part, plan: StreamPlan, encoder: Encoder) -> None:
        self.part = part
        self.plan = plan
        self.encoder = encoder
        self.given = 0

    def __iter__(self) -> Iterator[Batch]:
        """Give this worker's batches, those of whole blocks."""
        info = get_worker_info()
        worker, workers = (info.id, info.num_workers) if info else (0, 1)
        turn = self.plan.turn(workers, self.given)
        worker = (worker + turn.worker) % workers  # DataLoader asks its first worker first
        yield from self._batches(turn.starts[worker], self.plan.batches_of(worker, workers).stop)

    def _batches(self, start: int, stop: int) -> Iterator[Batch]:
        if start >= stop:
            return
        plan = self.plan
        first = start - start % plan.block
        read = _Reader(self.part.read(plan.spans(*plan.edges(first, stop))), self.encoder)
        for begin in range(first, stop, plan.block):
            batches = range(begin, min(begin + plan.block, stop))
            low, high = plan.edges(batches.start, batches.stop)
            inputs, targets, places = read.take(high - low)
            order = torch.from_numpy(plan.shuffle(begin // plan.block, high - low))
            for batch in batches[max(start - begin, 0) :]:
                own = order[slice(*(edge - low for edge in plan.edges(batch, batch + 1)))]
                yield Batch(inputs[own], None if targets is None else targets[own], places[own], plan.total(batch))


class _Reader:
    """Gives rows in blocks of other sizes than they are read in."""

    def __init__(self, parts: Iterator[tuple[Rows, Places]], encoder: Encoder) -> None:
        self._parts = parts
        self._encoder = encoder
        self._rest: tuple[Tensor, ...] | None = None
        self._empty: tuple[Tensor, ...] | None = None

    def take(self, rows: int) -> tuple[Tensor, Tensor | None, Tensor]:
        """Return inputs, targets and places of the next rows."""
        taken: list[tuple[Tensor, ...]] = []
        missing = rows
        while missing or not taken:
            values = self._rest if self._rest is not None else self._next()
            taken.append(tuple(value[:missing] for value in values))
            rest = tuple(value[missing:] for value in values)
            missing -= len(taken[-1][0])
            self._rest = rest if len(rest[0]) else None
            self._empty = tuple(value[:0] for value in values)
        parts = [torch.cat(values) if len(values) > 1 else values[0] for values in zip(*taken, strict=True)]
        return parts[0], parts[2] if len(parts) > 2 else None, parts[1]

    def _next(self) -> tuple[Tensor, ...]:
        """Return inputs, places and, where they are known, targets of the next part."""
        found = next(self._parts, None)
        if found is None:
            assert self._empty is not None
            return self._empty
        inputs, targets = self._encoder.encode(found[0])
        places = torch.from_numpy(found[1])
        return (inputs, places) if targets is None else (inputs, places, targets)


class StreamLoader:
    """Batches of a stream, read by worker processes ahead of time.

    Args:
        stream: gives the batches.
        workers: how many processes read; 0 for this one.
        device: where batches are brought.
    """

    batch_sampler = None

    def __init__(self, stream: Stream, workers: int = 0, device: torch.device = CPU) -> None:
        self.stream = stream
        self.sampler = stream.plan  # where Lightning looks for set_epoch
        self.workers = workers
        self.device = device
        self._given = 0
        self._resumed: dict[str, Any] | None = None

    def __len__(self) -> int:
        return len(self.stream.plan)

    def __iter__(self) -> Iterator[Batch]:
        """Give the batches of an epoch; nothing is read before the first is asked for, when the epoch is set."""
        state, self._resumed = self._resumed, None
        # At the end of an epoch its state is stored, too, and what follows is another.
        same = state is not None and state["epoch"] == self.stream.plan.epoch
        if state and same and state["batches"] < len(self):
            check_resumable(state, self.state_dict())
        self._given = state["batches"] if state and same else 0
        self.stream.given = self._given
        if self._given >= len(self):
            return
        for batch in read_ahead(self.stream, self.workers, self.device, self.stream.plan.epoch):
            self._given += 1
            yield batch

    @property
    def placement(self) -> str:
        """Where the rows are, in a few words."""
        return f"data on disk{say_workers(self.workers)}"

    def recount(self, batches: int) -> None:
        """Note that so many batches of the epoch were trained on: one that was given may have been too large."""
        self._given = batches

    def state_dict(self) -> dict[str, int | None]:
        """Return how many batches of which epoch were given, and what decides which rows they hold."""
        plan = self.stream.plan
        waits = self._resumed is not None and self._resumed["epoch"] == plan.epoch  # to go on within the epoch
        return {
            "batches": self._resumed["batches"] if self._resumed and waits else self._given,
            "epoch": plan.epoch,
            "batch_size": plan.batch_size,
            "seed": plan.seed,
            "block": plan.block,
            "processes": plan.world_size,
            "num_workers": self.workers,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on after so many batches of an epoch."""
        self._resumed = state


def read_ahead(stream: IterableDataset[Any], workers: int, device: torch.device, number: int) -> Iterator[Batch]:
    """Give a stream's batches, on a device.

    Args:
        stream: gives them.
        workers: how many processes read; 0 for this one.
        device: where they are brought.
        number: of the pass: workers seed their generators by it, and not by a number of the training's own.

    Raises:
        DataError: as it was raised, also in a worker process.
    """
    pinned = device != CPU
    options: Any = {"num_workers": workers, "pin_memory": pinned, "worker_init_fn": _begin_worker}
    options["generator"] = torch.Generator().manual_seed(number)
    batches = map(raised, DataLoader(_Carrier(stream), batch_size=None, **options))
    return send_ahead(batches, device) if pinned else batches


class _Carrier(IterableDataset[Any]):
    """Brings errors of data from a worker as they are; torch would make text of them, and of where they were raised."""

    def __init__(self, stream: IterableDataset[Any]) -> None:
        self.stream = stream

    def __iter__(self) -> Iterator[Any]:
        try:
            yield from self.stream
        except DataError as error:
            yield error


def _begin_worker(worker: int) -> None:
    """Leave alone what a worker shares with its parent: the garbage collector would write to all of it."""
    gc.freeze()
    leave_to_parent()
