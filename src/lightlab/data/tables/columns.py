"""What a column holds: numbers, or text."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from pandas.api.types import is_bool_dtype, is_numeric_dtype

from lightlab.data.rows import Rows
from lightlab.errors import DataError

#: What stands for a missing value in a column of numbers; in a column of text only the empty text does.
MISSING = frozenset({"", "na", "n/a", "nan", "null", "none", "?"})
BOOLEANS = {"true": "1", "false": "0"}
SPELLED = {cased: value for word, value in BOOLEANS.items() for cased in (word, word.capitalize(), word.upper())}
#: A column with some text is taken for misread numbers, and not for categories, from this share of numbers on.
MOSTLY = 0.5
#: A number has to stay one in single precision, which networks compute in, when a mean is subtracted from it and it is
#: divided by a spread: so it is at most this large, and what differs differs by no less than its inverse.
LARGEST = 1e37
#: A normalised number is at most this large, so that its square is a number, too.
FARTHEST = 1e18
#: From so many rows on texts can be seen to name rows.
ENOUGH_ROWS = 20
#: What columns are called whose different whole numbers name rows.
ID_NAME = re.compile(r"(?:^|_)id$|^id_|[a-z]I[dD]$|^index$|^unnamed", re.IGNORECASE)


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
        values: np.ndarray[Any, Any] = column.to_numpy(dtype=np.float64, na_value=np.nan)
        return Numbers(values, np.zeros(len(values), dtype=bool))
    if column.dtype == "str" and (fast := read_clean_texts(column)) is not None:
        return Numbers(fast, np.zeros(len(fast), dtype=bool))
    codes, distinct = pd.factorize(column)
    given = [text.strip() for text in pd.Series(distinct, dtype=object).astype(str)]
    missing = np.array([text.lower() in MISSING for text in given], dtype=bool)
    spelled = np.array([SPELLED.get(text, text) for text in given], dtype=object)
    spelled[missing] = None
    numbers: np.ndarray[Any, Any] = np.asarray(pd.to_numeric(spelled, errors="coerce"), dtype=np.float64)
    # The last place is for values that are missing, whose code is −1.
    values = np.append(numbers, np.nan)
    return Numbers(values[codes], np.append(np.isnan(numbers) & ~missing, False)[codes])


def read_clean_texts(column: pd.Series[Any]) -> np.ndarray[Any, Any] | None:
    """Return the numbers of a column of text that holds nothing else, without a Python object for each."""
    texts = pc.utf8_trim_whitespace(pa.array(column, type=pa.large_string()))
    missing = pc.is_in(pc.utf8_lower(texts), value_set=pa.array(sorted(MISSING), type=pa.large_string()))
    try:
        numbers = pc.cast(pc.if_else(missing, pa.scalar(None, pa.large_string()), texts), pa.float64())
    except pa.ArrowInvalid:
        return None
    return np.asarray(numbers.to_numpy(zero_copy_only=False), dtype=np.float64)


def is_numeric(column: pd.Series[Any]) -> bool:
    """Return whether a column has numbers, and nothing else."""
    numbers = read_numbers(column)
    return not numbers.text.any() and not np.isnan(numbers.values).all()


def is_boolean(column: pd.Series[Any]) -> bool:
    """Return whether a column has nothing but true and false, and missing values."""
    if is_numeric_dtype(column) or is_bool_dtype(column):
        return is_bool_dtype(column)
    given = pd.Series(column.dropna().unique(), dtype=object).astype(str).str.strip().str.lower()
    return bool(given.isin([*BOOLEANS, *MISSING]).all()) and bool(given.isin(BOOLEANS).any())


def misread(column: pd.Series[Any]) -> np.ndarray[Any, Any]:
    """Return where text stands in a column that is mostly numbers, or would be without ``1,000``'s comma, % or $."""
    numbers = read_numbers(column)
    known = ~np.isnan(numbers.values)
    if numbers.text.any():
        known |= ~np.isnan(read_numbers(column.astype(str).str.replace(r"[,%$€£\s]", "", regex=True)).values)
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
    known = values[~np.isnan(values)]
    if len(known):
        check_spread(rows, name, float(known.min()), float(known.max()), float(known.std()))


def check_spread(rows: Rows, name: str, low: float, high: float, spread: float) -> None:
    """Refuse numbers from ``low`` to ``high`` whose standard deviation is lost in single precision.

    Raises:
        DataError: they are too large for how little they differ, or differ by next to nothing.
    """
    check_difference(rows, f"column {name!r}", low, high)
    size = max(abs(low), abs(high))
    if 0 < spread < 1e-5 * size:
        raise DataError(
            f"Numbers differ by more than single precision rounds them. Received in column {name!r} of {rows.source}: "
            f"values of up to {size:g} with a standard deviation of {spread:g}. Subtract a constant from them first."
        )


def check_difference(rows: Rows, name: str, low: float, high: float) -> None:
    """Refuse numbers from ``low`` to ``high`` by whose spread single precision can't divide.

    Args:
        rows: they are from.
        name: of them, as in ``column 'age'``.
        low: the least.
        high: the largest.

    Raises:
        DataError: they differ by next to nothing.
    """
    if 0 < high - low < 1 / LARGEST:
        raise DataError(
            f"Numbers differ by at least {1 / LARGEST:g}, so that single precision can divide by their spread. "
            f"Received in {name} of {rows.source}: values from {low:g} to {high:g}. Multiply them by a constant "
            f"first."
        )


def names_rows(column: pd.Series[Any], name: str, numbers: Numbers) -> str:
    """Return why a column seems to name rows and not to describe them; nothing where it does not.

    Text that mostly differs from row to row does, and whole numbers that all differ in a column called like an id.
    """
    if not numbers.text.any():
        whole = np.isfinite(numbers.values).all() and bool((numbers.values % 1 == 0).all())
        is_id = ID_NAME.search(name) and whole and len(np.unique(numbers.values)) == len(column)
        return "whole numbers that all differ, called like an id" if is_id else ""
    known = column[column.notna() & (column != "")]
    distinct = known.nunique()
    return f"{distinct} different texts in {len(known)} rows" if 2 * distinct > len(known) >= ENOUGH_ROWS else ""
