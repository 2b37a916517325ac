"""From what a source gives as inputs to tensors, and what is learned about them from the train split."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import torch
from lightning.pytorch.utilities import rank_zero_only
from torch import Tensor

from lightlab.data.columns import check_not_misread, check_precision, is_numeric, read_numbers
from lightlab.data.rows import Rows
from lightlab.data_spec import InputSpec, Normalize
from lightlab.errors import DataError, did_you_mean, sentences

#: A text column with more different values than this is no category.
MOST_CATEGORIES = 1000


def learn_input(rows: Rows, normalize: Normalize, categorical: frozenset[str] = frozenset()) -> InputSpec:
    """Learn from the train split how inputs are encoded and normalised.

    Args:
        rows: of the train split.
        normalize: how numbers are normalised.
        categorical: columns of a table that hold categories although they are numbers.

    Raises:
        DataError: a column can't be used.
    """
    if isinstance(rows.inputs, Tensor):
        offset, scale = _statistics(rows.inputs.transpose(0, 1).flatten(1).double().numpy().T, normalize)
        return InputSpec(tuple(rows.inputs.shape[1:]), offset, scale)
    table = rows.inputs
    categories = {
        str(name): tuple(sorted(_texts(table[name]).unique()))
        for name in table
        if name in categorical or not is_numeric(table[name])
    }
    for name in categories.keys() - categorical:
        check_not_misread(rows, table, name)
    for name, values in categories.items():
        if len(values) > MOST_CATEGORIES:
            raise DataError(
                f"A column of categories has at most {MOST_CATEGORIES} different values. Received: {len(values)} in "
                f"column {name!r} of {rows.source}. Put it under data.ignore if it only names rows."
            )
    columns = tuple(str(name) for name in table if str(name) not in categories)
    if not columns and not categories:
        raise DataError(f"Inputs have at least one column. {rows.source} has none beside the target.")
    numbers = _numeric(rows, table, columns)
    for name, values in zip(columns, numbers.T, strict=True):
        check_precision(rows, name, values)
    offset, scale = _statistics(numbers, normalize)
    return InputSpec((len(columns) + len(categories),), offset, scale, columns, categories)


def encode_input(rows: Rows, spec: InputSpec) -> Tensor:
    """Return a split's inputs, (rows, *spec.shape).

    Args:
        rows: of the split.
        spec: what was learned from the train split.

    Raises:
        DataError: a column that is missing, or holds something else than in training.
    """
    if isinstance(rows.inputs, Tensor):
        if tuple(rows.inputs.shape[1:]) != spec.shape:
            raise DataError(
                f"Inputs are of shape {spec.shape}. Received from {rows.source}: {tuple(rows.inputs.shape[1:])}."
            )
        return rows.inputs
    table = rows.inputs
    for name in (*spec.columns, *spec.categories):
        if name not in table:
            near = did_you_mean(name, map(str, table.columns))
            raise DataError(sentences(f"The model was trained with a column {name!r}. {rows.source} has none.", near))
    parts = [_numeric(rows, table, spec.columns)]
    for name, values in spec.categories.items():
        texts = _texts(table[name])
        codes = texts.map({value: code for code, value in enumerate(values)})
        if codes.isna().any():
            _say_unknown(rows, name, texts[codes.isna()])
        parts.append(codes.fillna(-1).to_numpy(dtype=np.float64)[:, None])
    return torch.from_numpy(np.concatenate(parts, axis=1).astype(np.float32))


def _texts(column: pd.Series[Any]) -> pd.Series[Any]:
    """Return categories as text; a missing one is the empty text, a category of its own."""
    return column.astype(object).where(column.notna(), "").astype(str)


@rank_zero_only
def _say_unknown(rows: Rows, name: str, texts: pd.Series[Any]) -> None:
    """Say which categories a model does not know: they count as none of those it does."""
    shown = ", ".join(map(repr, texts.unique()[:3]))
    print(f"unknown: {len(texts)} of {len(rows)} rows of {rows.source} have in {name} what training has not: {shown}")


def _numeric(rows: Rows, table: pd.DataFrame, columns: tuple[str, ...]) -> np.ndarray[Any, Any]:
    """Return numeric columns, (rows, columns).

    Raises:
        DataError: a value that is missing, infinite or no number, with its place.
    """
    arrays = []
    for name in columns:
        column = table[name]
        values = read_numbers(column).values
        bad = ~np.isfinite(values)
        if bad.any():
            place = int(bad.argmax())
            value = column.iloc[place]
            received = "nothing" if pd.isna(value) or value == "" else repr(value) if isinstance(value, str) else value
            raise DataError(
                f"A column of numbers has a finite number in every row. Received in column {name!r}: {received} at "
                f"{rows.where(table, place)}, and so in {int(bad.sum())} of {len(table)} rows. Mend the file, or put "
                f"the column under data.ignore."
            )
        arrays.append(values)
    return np.stack(arrays, axis=1) if arrays else np.zeros((len(table), 0))


def _statistics(values: np.ndarray[Any, Any], normalize: Normalize) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return offset and scale of each column of (rows, columns); a constant column is only shifted."""
    if normalize == "standard":
        offset, scale = values.mean(axis=0), values.std(axis=0)
    elif normalize == "min_max":
        offset, scale = values.min(axis=0), np.ptp(values, axis=0)
    else:
        offset, scale = np.zeros(values.shape[1]), np.ones(values.shape[1])
    # What is left of a constant after rounding is no spread.
    constant = scale <= 1e-12 * np.maximum(np.abs(values).max(axis=0, initial=0), 1e-300)
    return tuple(offset.tolist()), tuple(np.where(constant, 1.0, scale).tolist())
