"""Samples that are made one after the other: which process has which, and batches of them."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor
from torch.utils.data import IterableDataset

from lightlab.batch import Batch
from lightlab.data.placing import CPU, say_workers
from lightlab.data.rows import Rows
from lightlab.data.streams.loader import Encoder, read_ahead
from lightlab.errors import DataError, LightlabError, TargetError

#: A sample and its number in its pass.
Numbered = tuple[int, Any]


@dataclass
class Samples:
    """The samples of a split: what makes them, from the first on, in each pass.

    Attributes:
        maker: a function that returns something to iterate over, or what can be iterated over again and again.
        name: of it, for messages.
        split: which split they are for.
        arguments: the function is called with.
        with_targets: whether a sample is a pair of input and target.
        columns: the names of the target columns.
    """

    maker: Any
    name: str
    split: str
    arguments: dict[str, Any] = field(default_factory=dict)
    with_targets: bool = True
    columns: tuple[str, ...] = ("target",)

    def start(self, number: int) -> Iterator[Any]:
        """Start a pass.

        Args:
            number: of the pass, from 0 on; the function is given it, if it has a parameter ``epoch``.
        """
        count = 0
        try:
            made = self.maker
            if callable(made):
                known = {"epoch": number, "split": self.split}
                parameters = inspect.signature(made).parameters
                made = made(**{name: value for name, value in known.items() if name in parameters} | self.arguments)
            for sample in made:
                yield sample
                count += 1
        except LightlabError:
            raise
        except Exception as cause:  # whatever a function of one's own makes of it
            raise DataError(f"{self.name} raised {type(cause).__name__} at sample {count}: {cause}") from cause

    def rows(self, numbered: list[Numbered]) -> Rows:
        """Return samples as rows.

        Raises:
            DataError: one is no array, or of another shape than the first.
            TargetError: one is no pair of input and target.
        """
        inputs = [self._input(number, sample) for number, sample in numbered]
        for (number, _), given in zip(numbered, inputs, strict=True):
            if given.shape != inputs[0].shape:
                raise DataError(
                    f"The inputs of samples have one shape. Received from {self.name}: {tuple(inputs[0].shape)} in "
                    f"sample {numbered[0][0]}, {tuple(given.shape)} in sample {number}."
                )
        numbers = np.array([number for number, _ in numbered], dtype=np.int64)
        targets = self._targets(numbered) if self.with_targets else None
        return Rows(torch.stack(inputs), targets, numbers, self.name, locate=self._locate)

    def _locate(self, number: Any) -> str:
        return f"{self.name}, sample {number}"

    def _input(self, number: int, sample: Any) -> Tensor:
        pair = isinstance(sample, tuple | list) and len(sample) == 2
        if self.with_targets and not pair:
            raise TargetError(
                f"A sample of {self.split} is a pair of input and target. Received from {self.name}, sample {number}: "
                f"{type(sample).__name__}."
            )
        given = sample[0] if pair and (self.with_targets or isinstance(sample, tuple)) else sample
        try:
            values = given.detach() if isinstance(given, Tensor) else _as_tensor(given)
        except (TypeError, ValueError) as cause:
            raise DataError(
                f"The input of a sample is an array of numbers. Received from {self.name}, sample {number}: "
                f"{type(given).__name__}."
            ) from cause
        if not values.numel() or not values.ndim or values.is_complex():
            raise DataError(
                f"The input of a sample is an array of real numbers, and has some. Received from {self.name}, sample "
                f"{number}: {values.dtype} of shape {tuple(values.shape)}."
            )
        return values.float() if values.dtype in (torch.float64, torch.bool) else values

    def _targets(self, numbered: list[Numbered]) -> pd.DataFrame:
        values = [self._target(number, sample[1]) for number, sample in numbered]
        for (number, _), given in zip(numbered, values, strict=True):
            if len(given) != len(self.columns):
                raise TargetError(
                    f"The target of a sample has a value for each of data.target_names: {', '.join(self.columns)}. "
                    f"Received from {self.name}, sample {number}: {len(given)} values."
                )
        table = pd.DataFrame(values, columns=list(self.columns), index=[number for number, _ in numbered])
        return table.where(table != "")

    def _target(self, number: int, given: Any) -> list[Any]:
        """Return the values of a target.

        Raises:
            TargetError: they are no numbers or texts.
        """
        try:
            values = np.atleast_1d(np.asarray(given.detach().cpu() if isinstance(given, Tensor) else given))
        except (TypeError, ValueError):
            values = np.array([None])
        if values.ndim > 1 or values.dtype.kind not in "biufU":
            raise TargetError(
                f"The target of a sample is a number or text, or several. Received from {self.name}, sample {number}: "
                f"{given!r}."
            )
        return list(values.tolist())


def _as_tensor(given: Any) -> Tensor:
    values = np.asarray(given)
    return torch.as_tensor(values.astype(values.dtype.newbyteorder("="), order="C"))


@dataclass
class Share:
    """Which samples a rank has in each batch: global batch k is the samples from k·batch_size on.

    Attributes:
        batch_size: samples of a step over all ranks.
        rank: which process this is.
        world_size: how many there are.
        seed: of the shuffling, and of training; ``None`` for the samples' own order.
        buffer: samples among which is shuffled.
    """

    batch_size: int
    rank: int = 0
    world_size: int = 1
    seed: int | None = None
    buffer: int = 1

    def batches(self, samples: Iterable[Any], number: int) -> Iterator[list[Numbered]]:
        """Give the samples of each step over all ranks; a short last one joins the one before, in training.

        Raises:
            DataError: a step of a training has fewer samples than there are ranks.
        """
        ordered = self._order(enumerate(samples), number)
        waiting = list(islice(ordered, self.batch_size))
        training = self.seed is not None
        while waiting:
            following = list(islice(ordered, self.batch_size))
            # Batch norm can't learn from one row.
            least = min(self.batch_size, max(self.batch_size / 2, 2 * self.world_size))
            if training and following and len(following) < least:
                waiting, following = waiting + following, []
            if training and len(waiting) < self.world_size:
                raise DataError(
                    f"Each process has a sample of every step. Received: {len(waiting)} samples for {self.world_size} "
                    f"processes. Bring more, or set data.batch_size."
                )
            yield waiting
            waiting = following

    def own(self, batch: list[Numbered]) -> list[Numbered]:
        """Return this rank's samples of a step."""
        first, last = (len(batch) * edge // self.world_size for edge in (self.rank, self.rank + 1))
        return batch[first:last]

    def _order(self, samples: Iterator[Numbered], number: int) -> Iterator[Numbered]:
        """Shuffle within each block of so many samples as the buffer holds: the same in every process."""
        if self.seed is None or self.buffer == 1:
            yield from samples
            return
        block = 0
        while held := list(islice(samples, self.buffer)):
            order = np.random.default_rng([self.seed, number, block]).permutation(len(held))
            yield from (held[place] for place in order)
            block += 1


class SampleStream(IterableDataset[Batch]):
    """One rank's batches, from some batch of some pass on.

    Args:
        samples: of the split.
        share: which of them are this rank's.
        encoder: of rows.
        check: holds encoded targets against what a head can learn.
        chained: whether a pass is followed by the next.

    Attributes:
        number: of the pass that is next.
        skipped: batches from there on that are not given any more.
    """

    def __init__(
        self,
        samples: Samples,
        share: Share,
        encoder: Encoder,
        check: Callable[[Rows, Tensor], None],
        chained: bool = False,
    ) -> None:
        self.samples = samples
        self.share = share
        self.encoder = encoder
        self.check = check
        self.chained = chained
        self.number = 0
        self.skipped = 0

    def __iter__(self) -> Iterator[Batch]:
        """Give batches; what is skipped is made, and no more."""
        number, left_out = self.number, self.skipped
        while True:
            made = 0
            for batch in self.share.batches(self.samples.start(number), number):
                made += 1
                if left_out:
                    left_out -= 1
                else:
                    yield self._encode(batch)
            if not made:
                raise DataError(f"A stream has samples. {self.samples.name} gave none in pass {number + 1}.")
            if not self.chained:
                return
            number += 1

    def _encode(self, batch: list[Numbered]) -> Batch:
        own = self.share.own(batch)
        rows = self.samples.rows(own or batch[:1])
        inputs, targets = self.encoder.encode(rows)
        if targets is not None:
            self.check(rows, targets)
        kept = slice(None if own else 0)
        places = torch.from_numpy(rows.ids)
        return Batch(inputs[kept], None if targets is None else targets[kept], places[kept], len(batch))


class SampleLoader:
    """Batches of samples that are made as they are needed.

    Where the Trainer limits an epoch's batches, an epoch goes on where the one before stopped, and a pass is followed
    by the next; else an epoch is a pass.

    Args:
        stream: gives the batches.
        workers: 1 for a process that makes them ahead of time; 0 for this one.
        device: where batches are brought.
        begun: returns how many batches of the epoch were begun, where the Trainer reads ahead.
    """

    batch_sampler = None

    def __init__(
        self,
        stream: SampleStream,
        workers: int = 0,
        device: torch.device = CPU,
        begun: Callable[[], int] | None = None,
    ) -> None:
        self.stream = stream
        self.begun = begun
        self.workers = workers
        self.device = device
        self._batches: Iterator[Batch] | None = None
        self._given = 0

    def __iter__(self) -> Iterator[Batch]:
        """Give the batches of an epoch."""
        if self._batches is None or not self.stream.chained:
            self._given = self.stream.skipped
            self._batches = read_ahead(self.stream, self.workers, self.device, self.stream.number)
        for batch in self._batches:
            self._given += 1
            yield batch
        self._batches = None
        self._given = self.stream.skipped = 0
        self.stream.number += self.stream.share.seed is not None  # evaluation is the same each time

    @property
    def placement(self) -> str:
        """Where the samples are, in a few words."""
        return f"data made as it is needed{say_workers(self.workers)}"

    def state_dict(self) -> dict[str, int]:
        """Return which pass is going on or next, and how many batches from there on were trained on."""
        reads_ahead = self.begun and not self.stream.chained and self._batches is not None
        given = min(self._given, self.begun()) if self.begun and reads_ahead else self._given
        return {"pass": self.stream.number, "batches": given}

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Go on after so many batches of a pass: its samples are made again, and left out."""
        self.stream.number, self.stream.skipped = state["pass"], state["batches"]
        self._batches, self._given = None, self.stream.skipped
