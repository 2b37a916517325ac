"""Who reads which rows of a stream, and when: arithmetic alone, so that nothing is read to find out.

A split is a sequence of segments (row groups of Parquet, shards of images) with a known number of rows each. In an
epoch their order is drawn, and the rows are taken one segment after the other, from a drawn row on, around to it.
The ranks divide this sequence into equal parts, whatever the sizes of the segments, and each cuts its part into as
many batches as the others. A run of batches that fills the shuffle buffer is a block: its rows are shuffled among
its batches. The workers of a rank take runs of whole blocks, so what is in a batch does not hang on their number.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from lightlab.data.rows import Places
from lightlab.errors import DataError

#: Keeps the numbers drawn for the order of segments and those for the order in a block apart.
_OF_SEGMENTS, _OF_BLOCK = 0, 1


@dataclass(frozen=True)
class Span:
    """Rows of a segment, counted among those of the split.

    Attributes:
        segment: its number.
        first: of the rows.
        last: the row after the last.
    """

    segment: int
    first: int
    last: int


@dataclass(frozen=True)
class Turn:
    """Where the workers of a rank stand in an epoch.

    Attributes:
        worker: whose batch is next.
        starts: the next batch of each worker.
    """

    worker: int
    starts: tuple[int, ...]


class StreamPlan:
    """Which rows one rank has in each batch of an epoch.

    Args:
        sizes: rows of the split in each segment, (segments,).
        batch_size: rows of a step over all ranks; batches are equal, up to one row a rank, and none is larger; in
            training no rank has but one row of a batch, as far as others can take it in.
        seed: of the shuffling; ``None`` for the rows' own order, as evaluation has it. With a seed every rank has
            at least one row in each batch, for a step that learns from nothing is none.
        rank: which process this is.
        world_size: how many there are.
        buffer: rows over which a rank shuffles.

    Raises:
        DataError: there is nothing to train on for some rank.

    Example:
        >>> plan = StreamPlan([3, 4], batch_size=4)
        >>> len(plan), plan.spans(*plan.edges(1, 2))
        (2, [Span(segment=1, first=0, last=4)])
    """

    def __init__(
        self,
        sizes: Any,
        batch_size: int,
        seed: int | None = None,
        rank: int = 0,
        world_size: int = 1,
        buffer: int = 65_536,
    ) -> None:
        self.sizes = np.asarray(sizes, dtype=np.int64)
        self.rows = int(self.sizes.sum())
        #: Where each segment's rows begin in the split.
        self.starts = np.cumsum(self.sizes) - self.sizes
        self.batch_size = batch_size
        self.seed = seed
        self.rank = rank
        self.world_size = world_size
        self.epoch = 0
        edges = self.rows * np.arange(world_size + 1) // world_size
        self._begin, self._own = int(edges[rank]), np.diff(edges)
        most, least = int(self._own.max()), int(self._own.min())
        self._batches = -(-most * world_size // batch_size)
        if seed is not None:
            if not least:
                raise DataError(
                    f"Training needs a row for every process. Received: {self.rows} rows for {world_size} processes."
                )
            # Batch norm can't learn from one row.
            self._batches = max(1, min(self._batches, least // 2 if batch_size >= 2 * world_size else least))
        largest = -(-most // self._batches) if self._batches else 1
        #: Batches of a block.
        self.block = 1 if seed is None else max(1, buffer // largest)

    def __len__(self) -> int:
        return self._batches

    @property
    def fewest_rows(self) -> int:
        """Rows that a rank has at least in a batch."""
        return int(self._own.min()) // self._batches

    def set_epoch(self, epoch: int) -> None:
        """Move to an epoch; Lightning calls it before each."""
        self.epoch = epoch

    def edges(self, first: int, last: int) -> tuple[int, int]:
        """Return where the rows of some of this rank's batches begin and end in the epoch's sequence."""
        own = int(self._own[self.rank])
        return self._begin + own * first // self._batches, self._begin + own * last // self._batches

    def total(self, batch: int) -> int:
        """Return the rows of a batch over all ranks."""
        return int((self._own * (batch + 1) // self._batches - self._own * batch // self._batches).sum())

    def spans(self, begin: int, end: int) -> list[Span]:
        """Return the rows from one place to another of the epoch's sequence, in order."""
        order, offset = np.arange(len(self.sizes)), 0
        if self.seed is not None:
            generator = np.random.default_rng([self.seed, self.epoch, _OF_SEGMENTS])
            order, offset = generator.permutation(order), int(generator.integers(self.rows))
        begin, end = begin + offset, end + offset
        around = max(begin, self.rows)
        parts = (begin, min(end, self.rows)), (around - self.rows, end - self.rows)
        ends = np.cumsum(self.sizes[order])
        return [span for part in parts for span in self._spans(order, ends, *part)]

    def _spans(self, order: Places, ends: Places, begin: int, end: int) -> list[Span]:
        spans = []
        for number in range(int(np.searchsorted(ends, begin, side="right")), len(order)):
            segment = int(order[number])
            start = int(ends[number] - self.sizes[segment])
            if start >= end:
                break
            first, last = max(begin - start, 0), min(end - start, int(self.sizes[segment]))
            if first < last:
                spans.append(Span(segment, first, last))
        return spans

    def shuffle(self, block: int, rows: int) -> Places:
        """Return the order of a block's rows, (rows,)."""
        if self.seed is None:
            return np.arange(rows)
        return np.random.default_rng([self.seed, self.epoch, _OF_BLOCK, self.rank, block]).permutation(rows)

    def batches_of(self, worker: int, workers: int) -> range:
        """Return the batches that a worker makes: those of a run of whole blocks."""
        blocks = -(-self._batches // self.block)
        first, last = (blocks * edge // workers * self.block for edge in (worker, worker + 1))
        return range(first, min(last, self._batches))

    def turn(self, workers: int, given: int) -> Turn:
        """Return where the workers stand when so many batches were given, a batch of each in turn."""
        batches = [self.batches_of(worker, workers) for worker in range(workers)]
        counts = np.array([len(own) for own in batches])
        rounds = 0
        low, high = 0, int(counts.max()) + 1
        while high - low > 1:  # the most rounds that were made in full
            rounds = (low + high) // 2
            low, high = (rounds, high) if np.minimum(counts, rounds).sum() <= given else (low, rounds)
        made = np.minimum(counts, low)
        waiting = np.flatnonzero(counts > low)
        over = given - int(made.sum())
        made[waiting[:over]] += 1
        worker = int(waiting[over]) if over < len(waiting) else 0
        return Turn(worker, tuple(own.start + int(count) for own, count in zip(batches, made, strict=True)))
