"""What is found in data that may spoil a training, or make its figures look too good; said, and never mended."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from lightlab.data.finding import DataFinding
from lightlab.data.rows import Fingerprints, Rows
from lightlab.data.tables.columns import read_numbers

#: Two columns of numbers that follow from one another have a correlation of 1, up to rounding.
SAME = 1 - 1e-9
#: The first rows tell of most columns that they have more values than the target.
HEAD = 10_000
#: One class may have so many times the rows of another before it is said.
IMBALANCE = 10


def find_shared_rows(splits: Mapping[str, Rows], prints: Mapping[str, Fingerprints]) -> list[DataFinding]:
    """Return what is to be said of rows that stand in the train split and in another.

    Rows of a table are the same if their targets are, too; an image is the same whatever is said of it.

    Args:
        splits: the rows of each.
        prints: their fingerprints.
    """
    if "train" not in splits:
        return []
    fingerprints = {
        split: prints[split] * np.uint64(31) + rows.target_fingerprints()
        if isinstance(rows.inputs, pd.DataFrame)
        else prints[split]
        for split, rows in splits.items()
    }
    train = fingerprints["train"]
    found = []
    for split in ("val", "test"):
        if split not in fingerprints:
            continue
        own = fingerprints[split]
        among = train[pd.Series(train).isin(own)]  # few, where a table of all that it has would be large
        shared = pd.Series(own).isin(among).to_numpy()
        if shared.any():
            place = int(shared.argmax())
            twin = int((train == own[place]).argmax())
            text = (
                f"{int(shared.sum())} of {len(shared)} rows of {split} also stand in train, so {split} looks better "
                f"than new data will. The first: {_place(splits[split], place)} is {_place(splits['train'], twin)}."
            )
            found.append(DataFinding("shared rows", text, split, rows=int(shared.sum()), of=len(shared)))
    return found


def _place(rows: Rows, place: int) -> str:
    table = rows.inputs if isinstance(rows.inputs, pd.DataFrame) else rows.targets
    return f"row {rows.ids[place]}" if table is None else rows.where(table, place)


def find_leaks(rows: Rows) -> list[DataFinding]:
    """Return what is to be said of columns that tell the target by themselves."""
    if rows.targets is None or not isinstance(rows.inputs, pd.DataFrame) or len(rows) < 3:
        return []
    found = []
    for target in rows.targets:
        wanted = rows.targets[target]
        numbers = _known_numbers(wanted)
        for name in rows.inputs:
            column = rows.inputs[name]
            if (numbers is not None and _is_line(column, numbers)) or _is_code(column, wanted):
                text = (
                    f"column {str(name)!r} tells the target {str(target)!r} by itself: if it is not known when a "
                    f"prediction is made, put it under data.ignore."
                )
                found.append(DataFinding("telling column", text, str(name), str(target), len(rows), len(rows)))
    return found


def _known_numbers(column: pd.Series[Any]) -> np.ndarray[Any, Any] | None:
    """Return a column of numbers without holes that are not all the same; ``None`` for others."""
    numbers = read_numbers(column)
    usable = not numbers.text.any() and np.isfinite(numbers.values).all() and np.ptp(numbers.values) > 0
    return numbers.values if usable else None


def _is_line(column: pd.Series[Any], target: np.ndarray[Any, Any]) -> bool:
    """Return whether a column follows from the target by a straight line."""
    values = _known_numbers(column)
    return values is not None and bool(abs(np.corrcoef(values, target)[0, 1]) > SAME)


def _is_code(column: pd.Series[Any], target: pd.Series[Any]) -> bool:
    """Return whether each value of a column stands for one of the target, and the other way round."""
    distinct = target.nunique(dropna=False)
    if not 1 < distinct <= len(column) / 2 or column.iloc[:HEAD].nunique(dropna=False) > distinct:
        return False
    pairs = pd.DataFrame({"column": column.to_numpy(), "target": target.to_numpy()}).drop_duplicates()
    return len(pairs) == distinct == column.nunique(dropna=False)


def find_imbalance(classes: tuple[str, ...], counts: tuple[int, ...]) -> list[DataFinding]:
    """Return what is to be said of classes of which one has many times the rows of another."""
    if not classes or not counts or max(counts) < IMBALANCE * max(min(counts), 1):
        return []
    most, least = counts.index(max(counts)), counts.index(min(counts))
    text = (
        f"class {classes[most]!r} has {max(counts)} rows in train and {classes[least]!r} {min(counts)}: see "
        f"model.head.class_weight: balanced, or data.balanced: true."
    )
    return [DataFinding("imbalance", text, classes[least], rows=min(counts), of=sum(counts))]
