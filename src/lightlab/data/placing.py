"""Where a split's rows lie while a model computes, how batches get there, and how large they are."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from lightlab.batch import Batch
from lightlab.data.rows import Stored
from lightlab.data_spec import InputSpec

#: Inputs and targets of a split as the model takes them.
Encoded = tuple[Tensor | Stored, Tensor | None]
CPU = torch.device("cpu")
#: Of a GPU's free memory, splits take this share at the most: the rest is for what training needs.
RESIDENT_SHARE = 0.25
#: So many rows are assumed where they are not counted.
MANY = 1_000_000
#: Rows of a step of evaluation; with more, what a step costs beside its rows can't be seen any more.
MOST_EVAL_ROWS = 4096
#: Numbers of a layer's output in such a step. On a CPU more than some 4 MiB of them are slower: the CNN of the
#: benchmarks takes twice as long a row in batches of 256 as in batches of 128. On a GPU they are 512 MiB.
MOST_NUMBERS_CPU, MOST_NUMBERS_GPU = 2**20, 2**27
#: Channels that layers make of each number of an image or array, and features of each word.
CHANNELS = 64


@dataclass(frozen=True)
class Placement:
    """Where a process stands among those that train, and where it computes.

    Attributes:
        rank: which one it is.
        world_size: how many there are.
        on_node: how many of them are on this machine.
        device: it computes on.
    """

    rank: int = 0
    world_size: int = 1
    on_node: int = 1
    device: torch.device = CPU

    @property
    def target(self) -> torch.device:
        """Where batches are brought: to a GPU of NVIDIA's or AMD's; for any other device they stay on the CPU."""
        return self.device if self.device.type == "cuda" else CPU


def choose_resident(sizes: Mapping[str, int], free: int) -> frozenset[str]:
    """Return which splits are held on a device.

    >>> sorted(choose_resident({"train": 20, "val": 10, "test": 5}, free=100))
    ['test', 'train']

    Args:
        sizes: bytes of each split, the most important first.
        free: bytes that the device has left.
    """
    room = int(free * RESIDENT_SHARE)
    chosen = set()
    for split, size in sizes.items():
        if size <= room:
            chosen.add(split)
            room -= size
    return frozenset(chosen)


def hold(splits: Mapping[str, Encoded], device: torch.device, free: int) -> dict[str, Encoded]:
    """Return the splits that a device has room for, there; what is stored, or too large, is left out.

    Args:
        splits: the most important first.
        device: where they are held.
        free: bytes that it has left.
    """
    held = {split: (inputs, targets) for split, (inputs, targets) in splits.items() if isinstance(inputs, Tensor)}
    sizes = {split: sum(part.nbytes for part in parts if part is not None) for split, parts in held.items()}
    resident = choose_resident(sizes, free)
    return {
        split: (inputs.to(device), None if targets is None else targets.to(device))
        for split, (inputs, targets) in held.items()
        if split in resident
    }


def say_workers(workers: int) -> str:
    """Return how many processes read, as a part of a sentence.

    >>> say_workers(0), say_workers(1), say_workers(4)
    ('', ', 1 worker', ', 4 workers')
    """
    return f", {workers} worker{'s' if workers > 1 else ''}" if workers else ""


def choose_batch_size(rows: int) -> int:
    """Return the rows of a training step that suit so many rows of train: 16 to 512, for about thirty steps an epoch.

    >>> [choose_batch_size(rows) for rows in (100, 1000, 5000, 1_000_000)]
    [16, 32, 128, 512]
    """
    return min(max(2 ** int(math.log2(max(rows, 1) / 30 + 1e-9)) if rows >= 30 else 16, 16), 512)


def choose_eval_batch_size(batch_size: int, spec: InputSpec, place: Placement) -> int:
    """Return the rows of a step of evaluation, over all processes.

    It is the largest power of two times ``batch_size`` with which a step has few enough rows, and a layer's output,
    as far as the inputs tell it, few enough numbers; and ``batch_size`` where that is more already.

    Args:
        batch_size: of a training step.
        spec: of the inputs.
        place: of this process.
    """
    spread = CHANNELS if len(spec.shape) > 1 or spec.kind == "text" else 1
    numbers = MOST_NUMBERS_CPU if place.device.type == "cpu" else MOST_NUMBERS_GPU
    most = min(MOST_EVAL_ROWS, numbers // (math.prod(spec.shape) * spread)) * place.world_size
    return batch_size << max(0, (most // batch_size).bit_length() - 1)


def send(values: Tensor, device: torch.device) -> Tensor:
    """Return values on a device; a GPU reads them from pinned memory, and is not waited for."""
    if device.type == "cuda" and values.device.type == "cpu":
        values = values.pin_memory()
    return values.to(device, non_blocking=True)


def send_ahead(batches: Iterable[Batch], device: torch.device) -> Iterator[Batch]:
    """Give batches on a device, each sent while the device computes on the one before it.

    They are sent on a stream of their own. It first waits for all that is to be computed by then: so memory that a
    batch has left is not written to before the device is done with it.
    """
    module: Any = torch.get_device_module(device)
    stream = module.Stream()
    waiting: Batch | None = None
    for batch in batches:
        stream.wait_stream(module.current_stream())
        with module.stream(stream):
            sent = Batch._make(send(part, device) if isinstance(part, Tensor) else part for part in batch)
        if waiting is not None:
            yield waiting
        module.current_stream().wait_stream(stream)
        waiting = sent
    if waiting is not None:
        yield waiting
