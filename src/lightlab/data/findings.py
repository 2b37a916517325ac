"""What is found in data that may spoil a training, or make its figures look too good; said, and never mended."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from lightlab.data.columns import read_numbers
from lightlab.data.rows import Rows

#: Two columns of numbers that follow from one another have a correlation of 1, up to rounding.
SAME = 1 - 1e-9
#: One class may have so many times the rows of another before it is said.
IMBALANCE = 10


def find_shared_rows(splits: Mapping[str, Rows], fingerprints: Mapping[str, np.ndarray[Any, Any]]) -> list[str]:
    """Return what is to be said of rows that stand in the train split and in another, inputs and targets alike."""
    if "train" not in fingerprints:
        return []
    known = pd.Series(np.arange(len(splits["train"])), index=fingerprints["train"])
    known = known[~known.index.duplicated()]
    found = []
    for split in ("val", "test"):
        if split not in fingerprints:
            continue
        shared = np.isin(fingerprints[split], fingerprints["train"])
        if shared.any():
            place = int(shared.argmax())
            twin = int(known[fingerprints[split][place]])
            found.append(
                f"{int(shared.sum())} of {len(shared)} rows of {split} also stand in train, so {split} looks better "
                f"than new data will. The first: {_place(splits[split], place)} is {_place(splits['train'], twin)}."
            )
    return found


def _place(rows: Rows, place: int) -> str:
    table = rows.columns if rows.columns is not None else rows.targets
    return f"row {rows.ids[place]}" if table is None else rows.where(table, place)


def find_leaks(rows: Rows) -> list[str]:
    """Return what is to be said of columns that tell the target by themselves."""
    if rows.targets is None or not isinstance(rows.inputs, pd.DataFrame) or len(rows) < 3:
        return []
    return [
        f"column {str(name)!r} tells the target {str(target)!r} by itself: if it is not known when a prediction is "
        f"made, put it under data.ignore."
        for target in rows.targets
        for name in rows.inputs
        if _tells(rows.inputs[name], rows.targets[target])
    ]


def _tells(column: pd.Series[Any], target: pd.Series[Any]) -> bool:
    """Return whether the values of two columns follow from one another, one by one or by a straight line."""
    values, wanted = (read_numbers(part) for part in (column, target))
    if not (values.text.any() or wanted.text.any() or np.isnan(values.values).any() or np.isnan(wanted.values).any()):
        spreads = values.values.std(), wanted.values.std()
        if min(spreads) > 0 and np.isfinite(spreads).all():
            together = np.corrcoef(values.values, wanted.values)[0, 1]
            if abs(together) > SAME:
                return True
    sizes = column.nunique(dropna=False), target.nunique(dropna=False)
    if sizes[0] != sizes[1] or not 1 < sizes[0] <= len(column) / 2:
        return False
    pairs = pd.DataFrame({"column": column.to_numpy(), "target": target.to_numpy()}).drop_duplicates()
    return len(pairs) == sizes[0]


def find_imbalance(classes: tuple[str, ...], counts: tuple[int, ...]) -> list[str]:
    """Return what is to be said of classes of which one has many times the rows of another."""
    if not classes or not counts or max(counts) < IMBALANCE * max(min(counts), 1):
        return []
    most, least = counts.index(max(counts)), counts.index(min(counts))
    return [
        f"class {classes[most]!r} has {max(counts)} rows in train and {classes[least]!r} {min(counts)}: see "
        f"model.head.class_weight: balanced, or data.balanced: true."
    ]
