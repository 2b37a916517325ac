"""Gradients are averaged in memory that the processes of one machine share, instead of being sent from one to another.

torch's backend for CPUs, gloo, sends them through the system's network: of a small network, a step takes several times
as long. See "DDP Communication Hooks" in torch's documentation for where this comes in.
"""

from __future__ import annotations

import mmap
import os
import secrets
import select
import sys
import time
from collections.abc import Mapping
from contextlib import ExitStack, suppress
from typing import Any, NamedTuple

import torch
from lightning.pytorch import Trainer
from lightning.pytorch.strategies import DDPStrategy
from torch import Tensor, distributed
from torch.futures import Future
from torch.nn.parallel import DistributedDataParallel

from lightlab.processes import of_all_processes

#: Bytes that are averaged in one go: what a core's cache holds, and much more than what meeting costs.
PIECE = 2**20
#: Each process reads what all have written. With many of them, passing sums around as gloo does is less to read.
MOST_PROCESSES = 8
#: The longest that the system waits, in milliseconds.
LONGEST = 2**31 - 1
#: How a process is known by what it has written, in bytes.
TOKEN = 16


class Offer(NamedTuple):
    """What a process opens to the others, which find it in the system's table of processes.

    Attributes:
        pid: of the process.
        memory: its file, which has no name and lies in memory only: nothing is left of it when all have ended.
        inbox: a pipe in which the others say that they are there, each by its rank.
        token: the first bytes of the memory: who can't see this process may see another of its number.
    """

    pid: int
    memory: int
    inbox: int
    token: bytes

    @classmethod
    def make(cls, files: ExitStack) -> Offer:
        """Make this process' own.

        Args:
            files: closes them.

        Raises:
            OSError: the system has no such files, or no more of them.
        """
        memory = _closed_by(files, os.memfd_create("lightlab"))
        inbox, outbox = os.pipe()
        _closed_by(files, inbox)
        os.close(outbox)
        offer = cls(os.getpid(), memory, inbox, secrets.token_bytes(TOKEN))
        os.truncate(memory, 2 * PIECE)
        os.pwrite(memory, offer.token, 0)
        return offer

    def open_outbox(self) -> int:
        """Return the end of the pipe into which another process writes.

        Raises:
            OSError: the process is not seen from here.
        """
        return os.open(self._path(self.inbox), os.O_WRONLY)

    def look(self) -> Tensor:
        """Return the memory, as it is from now on.

        Raises:
            OSError: the process is not seen from here, or another one is.
            ValueError: another one is, whose file is shorter.
        """
        file = os.open(self._path(self.memory), os.O_RDWR)
        try:
            memory = mmap.mmap(file, 2 * PIECE)
        finally:
            os.close(file)
        if memory[:TOKEN] != self.token:
            raise ProcessLookupError(self.pid)
        return torch.frombuffer(memory, dtype=torch.uint8).view(2, PIECE)

    def _path(self, file: int) -> str:
        return f"/proc/{self.pid}/fd/{file}"


class SharedMemory:
    """Averages tensors over the processes of one machine; each has a part of memory that all can read.

    A part has two halves, which take turns: who has met all others for one piece knows that they have read the piece
    before it, and may write over that.

    Args:
        rank: of this process.
        parts: the memory of each process, by rank; of shape (2, `PIECE`), bytes.
        inbox: the pipe in which the others say that they are there, each by its rank.
        outboxes: those of the others, by rank.
        timeout: so long the others are waited for, in seconds.
        files: closes what is open.
    """

    def __init__(
        self,
        rank: int,
        parts: list[Tensor],
        inbox: int,
        outboxes: Mapping[int, int],
        timeout: float,
        files: ExitStack,
    ) -> None:
        self.rank = rank
        self._parts, self._inbox = parts, inbox
        self._timeout, self._files = timeout, files
        self._arrivals = [0] * len(parts)
        self._poll = select.poll()
        self._ranks = {outbox: rank for rank, outbox in outboxes.items()}
        for outbox in self._ranks:
            self._poll.register(outbox, 0)  # for an error: nobody reads it any more
        self._poll.register(inbox, select.POLLIN)  # looked at last: what a process said before it went is there then

    @classmethod
    def join(cls, timeout: float) -> SharedMemory | None:
        """Share memory with all processes, each of which must call this.

        Args:
            timeout: so long each waits for the others, in seconds.

        Returns:
            ``None``, in all of them, where one does not see another: in a container of its own, or as another user.
        """
        rank = distributed.get_rank()
        with ExitStack() as files:
            own, parts, outboxes = None, [], {}
            with suppress(OSError, AttributeError):  # many Pythons have no memfd_create, Linux or not
                own = Offer.make(files)
            offers: list[Offer | None] = of_all_processes(own)
            with suppress(OSError, ValueError):  # what is not seen, and what is too short to be this memory
                for other, offer in enumerate(offers):
                    if offer is None:
                        break
                    parts.append(offer.look())
                    if other != rank:
                        outboxes[other] = _closed_by(files, offer.open_outbox())
            sees_all = len(parts) == len(offers) == len(outboxes) + 1
            if not all(of_all_processes(sees_all)) or own is None:
                return None
            return cls(rank, parts, own.inbox, outboxes, timeout, files.pop_all())

    def average(self, values: Tensor) -> None:
        """Have values be their mean over all processes, to the same bits in each.

        Args:
            values: of one dimension and of the same length and dtype in all; changed.

        Raises:
            RuntimeError: another process has gone, or did not come along in time.
        """
        for piece in torch.split(values, PIECE // values.element_size()):
            half = self._arrivals[self.rank] % 2
            shared = [part[half].view(values.dtype)[: len(piece)] for part in self._parts]
            torch.div(piece, len(self._parts), out=shared[self.rank])  # before they are summed, as DDP does
            self._meet()
            torch.add(*shared[:2], out=piece)
            for other in shared[2:]:
                piece.add_(other)

    def average_bucket(self, bucket: Any) -> Future[Tensor]:
        """Average the gradients of one of DDP's buckets, as a communication hook does."""
        values = bucket.buffer()
        if values.is_sparse:  # of an embedding, in a bucket of its own; the same in all processes
            distributed.all_reduce(values.div_(len(self._parts)))
        else:
            self.average(values)
        averaged: Future[Tensor] = Future()
        averaged.set_result(values)
        return averaged

    def _meet(self) -> None:
        """Say that this process has written, and wait until all have."""
        for outbox, rank in self._ranks.items():
            try:
                os.write(outbox, bytes([self.rank]))
            except BrokenPipeError:
                raise _gone(rank) from None
        self._arrivals[self.rank] += 1
        turn, until = self._arrivals[self.rank], time.monotonic() + self._timeout
        while min(self._arrivals) < turn:
            left = max(0.0, until - time.monotonic())
            ready = dict(self._poll.poll(min(left * 1000, LONGEST)))
            if not ready:
                late = ", ".join(str(rank) for rank, count in enumerate(self._arrivals) if count < turn)
                raise RuntimeError(f"Timed out after {self._timeout:g} s of waiting for the gradients of rank {late}.")
            if ready.pop(self._inbox, 0):
                for rank in os.read(self._inbox, mmap.PAGESIZE):
                    self._arrivals[rank] += 1
            for outbox in ready:
                if self._arrivals[self._ranks[outbox]] < turn:
                    raise _gone(self._ranks[outbox])
                self._poll.unregister(outbox)  # it was there for the last time

    def close(self) -> None:
        """Leave the others; nothing can be averaged any more."""
        self._files.close()
        self._parts = []


def share_memory(trainer: Trainer) -> SharedMemory | None:
    """Have gradients averaged in shared memory, where some processes train on the CPU of one machine.

    Args:
        trainer: about to train; those of all processes must call this.

    Returns:
        what is to be closed when training ends; ``None`` where gradients go the way that torch sends them.
    """
    strategy: Any = trainer.strategy
    suits = (
        sys.platform == "linux"
        and type(strategy) is DDPStrategy
        and strategy.root_device.type == "cpu"
        and trainer.num_nodes == 1
        and 1 < trainer.world_size <= MOST_PROCESSES
        and isinstance(strategy.model, DistributedDataParallel)
        and not strategy.model._comm_hooks  # somebody's own
        and strategy.model.process_group is distributed.distributed_c10d._get_default_group()
        and distributed.get_backend() == "gloo"
    )
    if not suits:
        return None
    group: Any = strategy.model.process_group
    backend = group._get_backend(strategy.root_device)
    backend = getattr(backend, "wrapped_pg", backend)  # with TORCH_DISTRIBUTED_DEBUG
    memory = SharedMemory.join(backend.options._timeout.total_seconds())
    if memory is None:
        return None
    try:
        # DDP holds annotations against types, and they are texts here: a lambda has none.
        strategy.model.register_comm_hook(memory, lambda memory, bucket: memory.average_bucket(bucket))
    except RuntimeError:  # there is one of torch's own, which can't be seen
        memory.close()
        return None
    return memory


def _gone(rank: int) -> RuntimeError:
    return RuntimeError(f"rank {rank} has gone while gradients were averaged.")


def _closed_by(files: ExitStack, file: int) -> int:
    """Return a file that is closed with others."""
    files.callback(os.close, file)
    return file
