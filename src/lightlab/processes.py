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


def count_cores() -> int:
    """Return how many cores this process has, before it keeps to a share of them."""
    if _whole:
        return len(_whole)
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def share_of_cores(place: int, processes: int) -> set[int]:
    """Return the cores that one of so many processes of this machine best keeps to, by its place among them.

    A message wakes threads of both sides several times; one that wakes on another core than it slept on waits for it,
    and finds nothing in that core's caches. So each process has cores of its own, whose numbers follow one another.

    Returns:
        cores by number; none for any of them where there are too few for the threads of each, or where the system is
        not Linux.
    """
    if sys.platform != "linux":
        return set()
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) // processes < torch.get_num_threads():
        return set()
    return set(cores[place * len(cores) // processes : (place + 1) * len(cores) // processes])


@contextmanager
def kept_to(cores: Collection[int]) -> Iterator[None]:
    """Have all threads of this process run on these cores only; on any as before, where none are given."""
    if not cores:
        yield
        return
    whole, before = os.sched_getaffinity(0), {thread: os.sched_getaffinity(thread) for thread in _threads()}
    _whole.update(whole)
    for thread in _threads():
        _keep(thread, cores)
    try:
        yield
    finally:
        _whole.clear()
        for thread in _threads():
            _keep(thread, before.get(thread, whole))


def _threads() -> list[int]:
    return [int(thread) for thread in os.listdir("/proc/self/task")]


def _keep(thread: int, cores: Collection[int]) -> None:
    with suppress(OSError):  # it has just ended, or this is forbidden
        os.sched_setaffinity(thread, cores)


#: The cores that this process had before it kept to some of them; empty where it does not.
_whole: set[int] = set()
