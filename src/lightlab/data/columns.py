"""What a column holds: numbers, or text. Files are read as text, so that what a value means never hangs on its file."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from pandas.api.types import is_bool_dtype, is_numeric_dtype

from lightlab.data.rows import Rows
from lightlab.errors import DataError

#: What stands for a missing value in a column of numbers; in a column of text only the empty text does.
MISSING = frozenset({"", "na", "n/a", "nan", "null", "none", "?"})
BOOLEANS = {"true": "1", "false": "0"}
#: A column with some text is taken for misread numbers, and not for categories, from this share of numbers on.
MOSTLY = 0.5


@dataclass(frozen=True)
class Numbers:
    """A column read as numbers.

    Attributes:
        values: the numbers, (rows,); NaN where there is none.
        text: where there is a value that is no number, (rows,).
    """

    values: np.ndarray[Any, Any]
    text: np.ndarray[Any, Any]


def read_numbers(column: pd.Series[Any]) -> Numbers:
    """Read a column as numbers; true and false are 1 and 0."""
    if is_numeric_dtype(column) or is_bool_dtype(column):
        values = column.to_numpy(dtype=np.float64, na_value=np.nan)
        return Numbers(values, np.zeros(len(values), dtype=bool))
    given = column.astype(object).where(column.notna(), "").astype(str).str.strip()
    missing = given.str.lower().isin(MISSING)
    numbers = pd.to_numeric(given.mask(missing).replace(_cased(BOOLEANS)), errors="coerce")
    values = numbers.to_numpy(dtype=np.float64, na_value=np.nan)
    return Numbers(values, (np.isnan(values) & ~missing.to_numpy()))


def _cased(words: dict[str, str]) -> dict[str, str]:
    return {spelled: value for word, value in words.items() for spelled in (word, word.capitalize(), word.upper())}


def is_numeric(column: pd.Series[Any]) -> bool:
    """Return whether a column has numbers, and nothing else but missing values."""
    numbers = read_numbers(column)
    return not numbers.text.any() and not np.isnan(numbers.values).all()


def misread(column: pd.Series[Any]) -> np.ndarray[Any, Any]:
    """Return where text stands in a column that is mostly numbers, or would be without ``1,000``'s comma, % or $."""
    numbers = read_numbers(column)
    known = ~np.isnan(numbers.values)
    if not known.any() and numbers.text.any():
        known = ~np.isnan(read_numbers(column.astype(str).str.replace(r"[,%$€£\s]", "", regex=True)).values)
    mostly = known.sum() > MOSTLY * (known | numbers.text).sum()
    return numbers.text if mostly else np.zeros_like(numbers.text)


def check_not_misread(rows: Rows, table: pd.DataFrame, name: str) -> None:
    """Refuse a column of text that is mostly numbers.

    Raises:
        DataError: with the first value that is none, and its place.
    """
    text = misread(table[name])
    if text.any():
        place = int(text.argmax())
        raise DataError(
            f"A column holds numbers or categories. Received in column {name!r}, which is mostly numbers: "
            f"{table[name].iloc[place]!r} at {rows.where(table, place)}, and {int(text.sum())} such in all. Mend the "
            f"file, or say what the column is: data.categorical, data.ignore or, for a target, model.problem."
        )


def check_precision(rows: Rows, name: str, values: np.ndarray[Any, Any]) -> None:
    """Refuse numbers whose differences are lost in single precision, which networks compute in.

    Raises:
        DataError: they are too large for how little they differ.
    """
    size, spread = float(np.abs(values).max(initial=0)), float(values.std()) if len(values) else 0.0
    if 0 < spread < 1e-5 * size:
        raise DataError(
            f"Numbers differ by more than single precision rounds them. Received in column {name!r} of {rows.source}: "
            f"values of up to {size:g} with a standard deviation of {spread:g}. Subtract a constant from them first."
        )


def names_rows(column: pd.Series[Any]) -> bool:
    """Return whether a column is text that differs in every row, with enough rows to tell."""
    return len(column) >= 20 and bool(column.is_unique) and not is_numeric(column) and not misread(column).any()
