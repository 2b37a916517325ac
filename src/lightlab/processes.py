"""Processes that train together."""

from __future__ import annotations

import os
import sys
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import torch
from torch import distributed


def are_together() -> bool:
    """Return whether this process is one of those that torch has brought together."""
    return distributed.is_available() and distributed.is_initialized()


def of_all_processes(value: Any) -> list[Any]:
    """Return a value of each process, by rank; every process must call it.

    >>> of_all_processes("alone")
    ['alone']
    """
    if not are_together():
        return [value]
    values: list[Any] = [None] * distributed.get_world_size()
    distributed.all_gather_object(values, value)
    return values


def share_of_cores(place: int, processes: int) -> set[int]:
    """Return the cores that one of so many processes of this machine best keeps to, by its place among them.

    A message wakes threads of both sides several times; one that wakes on another core than it slept on waits for it,
    and finds nothing in that core's caches. So each process has cores of its own, side by side.

    Returns:
        cores by number; none where there are fewer than processes, or than this one's threads need, or where the system
        is not Linux.
    """
    if sys.platform != "linux":
        return set()
    cores = sorted(os.sched_getaffinity(0))
    share = cores[place * len(cores) // processes : (place + 1) * len(cores) // processes]
    return set(share) if len(share) >= torch.get_num_threads() else set()


@contextmanager
def kept_to(cores: Collection[int]) -> Iterator[None]:
    """Have all threads of this process run on these cores only; on any as before, where none are given."""
    before = os.sched_getaffinity(0) if cores else set()
    _keep_to(cores)
    try:
        yield
    finally:
        _keep_to(before)


def _keep_to(cores: Collection[int]) -> None:
    for thread in os.listdir("/proc/self/task") if cores else ():
        with suppress(OSError):  # it has just ended, or this is forbidden
            os.sched_setaffinity(int(thread), cores)
