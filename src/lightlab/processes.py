"""Processes that train together."""

from __future__ import annotations

from typing import Any

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
