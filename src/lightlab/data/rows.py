"""Rows as a source gives them, before anything is learned from them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from torch import Tensor


@dataclass(frozen=True)
class Rows:
    """Some rows of a source.

    Attributes:
        inputs: a table of features, or a tensor (rows, …).
        targets: a table of the target columns; ``None`` where they are not known.
        ids: what people call each row: a number, or the value of an id column.
        source: where the rows come from, for messages.
        id_name: what ``ids`` is called in predictions.
        first_line: the line of the first row in its file, or 0 where there is no file.
    """

    inputs: pd.DataFrame | Tensor
    targets: pd.DataFrame | None
    ids: np.ndarray[Any, Any]
    source: str
    id_name: str = "id"
    first_line: int = 0

    def __len__(self) -> int:
        return len(self.inputs)

    def take(self, places: np.ndarray[Any, Any]) -> Rows:
        """Return the rows at these places."""
        inputs = self.inputs.iloc[places] if isinstance(self.inputs, pd.DataFrame) else self.inputs[places]
        targets = None if self.targets is None else self.targets.iloc[places]
        return Rows(inputs, targets, self.ids[places], self.source, self.id_name, self.first_line)

    def where(self, table: pd.DataFrame, place: int) -> str:
        """Return how to find the row at a place of a table that was taken from these rows."""
        label = table.index[place]
        return f"{self.source}:{label + self.first_line}" if self.first_line else f"{self.source}, row {label}"
