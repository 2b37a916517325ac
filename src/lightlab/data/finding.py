"""What was found in data, as plain data: it is said, goes into reports, and the doctor reads it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class DataFinding:
    """Something in the data that may spoil a training, or make its figures look too good.

    Attributes:
        kind: ``shared rows`` (of train, in another split), ``telling column`` (it tells the target by itself), or
            ``imbalance`` (of classes).
        text: what is said of it.
        name: the split, the column, or the class with the fewest rows.
        target: the column that a telling column tells.
        rows: how many rows it is about; all, where it is about a column.
        of: how many rows there are.
    """

    kind: Literal["shared rows", "telling column", "imbalance"]
    text: str
    name: str
    target: str = ""
    rows: int = 0
    of: int = 0

    def __str__(self) -> str:
        """Return what is said of it."""
        return self.text
