"""Columns of dates, and the numbers that a network is given in their place."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Any

import numpy as np
import pandas as pd
from pandas.api.types import is_datetime64_any_dtype

from lightlab.data.rows import Rows
from lightlab.errors import ConfigError, DataError

#: Dates as 2024-01-31, with or without a time; other forms are named in `data.dates`, and never guessed.
ISO = "ISO8601"
HEAD = 1000
_LOOKS_LIKE_ISO = r"\d{4}-\d{2}-\d{2}(?:[T ]\d{2}:\d{2}.*)?"


def looks_like_dates(column: pd.Series[Any]) -> bool:
    """Return whether a column has dates, as such or as text in the form of ISO 8601, and nothing else."""
    if is_datetime64_any_dtype(column):
        return True
    if column.dtype != "str" and column.dtype != object:
        return False
    if not head_matches(column, rf"{_LOOKS_LIKE_ISO}\Z"):
        return False
    known = _texts(column).dropna()
    return len(known) > 0 and bool(known.str.fullmatch(_LOOKS_LIKE_ISO).all()) and not _parse(known, ISO).isna().any()


def head_matches(column: pd.Series[Any], pattern: str) -> bool:
    """Return whether texts of the first rows begin like a pattern: this tells most columns apart at their first value.

    pandas' functions of text are slow to call, which counts where there are thousands of columns.
    """
    begins = re.compile(pattern).match
    return all(begins(text) for value in column.iloc[:HEAD].dropna() if (text := str(value).strip()))


def read_dates(rows: Rows, table: pd.DataFrame, name: str, form: str) -> pd.Series[Any]:
    """Read a column of dates; NaT where one is missing.

    Args:
        rows: what the table was taken from, for messages.
        table: has the column.
        name: of the column.
        form: as for ``strptime``, or ``ISO8601``.

    Raises:
        DataError: a value that is no date of that form, with its place.
    """
    column = table[name]
    if is_datetime64_any_dtype(column):
        return column.dt.tz_convert(None) if isinstance(column.dtype, pd.DatetimeTZDtype) else column
    texts = _texts(column)
    dates = _parse(texts, form)
    bad = (dates.isna() & texts.notna()).to_numpy()
    if bad.any():
        place = int(bad.argmax())
        wanted = "as in 2024-01-31 or 2024-01-31T18:30" if form == ISO else f"of the form {form}"
        raise DataError(
            f"A column of dates holds dates {wanted}. Received in column {name!r}: {texts.iloc[place]!r} at "
            f"{rows.where(table, place)}, and so in {int(bad.sum())} of {len(table)} rows. Name the form in "
            f"data.dates, as in {{{name}: '%d/%m/%Y'}}."
        )
    return dates


#: What a date becomes.
PARTS = ("days", "year", "day", *(f"{part}_{way}" for part in ("month", "weekday", "time") for way in ("sin", "cos")))


def part_names(name: str) -> list[str]:
    """Return the columns of numbers that a column of dates becomes."""
    return [f"{name}.{part}" for part in PARTS]


def check_form(name: str, form: str) -> None:
    """Refuse a form of dates that there is not.

    Raises:
        ConfigError: with the form.
    """
    try:
        datetime.strptime("", form)
    except ValueError as cause:
        wrong = "does not match" not in str(cause)
    else:
        wrong = True  # the empty form
    if wrong and form != ISO:
        raise ConfigError.at(
            ("data", "dates", name), f"The form of dates is one of strptime's, such as '%d/%m/%Y'. Received: {form!r}."
        )


def date_parts(name: str, dates: pd.Series[Any]) -> dict[str, np.ndarray[Any, Any]]:
    """Return the numbers that stand for dates, (rows,) each, NaN where a date is missing.

    These are days since 1970, the year, and the day of the month; month, weekday and time of day go around in a
    circle, so each is a sine and a cosine.
    """
    part = dates.dt
    # By way of NumPy, since pandas' differences of dates end in 2262.
    seconds_since_1970 = dates.to_numpy(dtype="datetime64[s]").astype(np.int64)
    seconds = part.hour * 3600 + part.minute * 60 + part.second
    parts = {
        "days": pd.Series(seconds_since_1970 / 86_400).where(dates.notna().to_numpy()),
        "year": part.year,
        "day": part.day,
        **_circle("month", part.month - 1, 12),
        **_circle("weekday", part.day_of_week, 7),
        **_circle("time", seconds, 86_400),
    }
    return {f"{name}.{key}": values.to_numpy(dtype=np.float64, na_value=np.nan) for key, values in parts.items()}


def _circle(name: str, values: pd.Series[Any], period: int) -> dict[str, Any]:
    angles = values.astype(float) * (2 * np.pi / period)
    # Rounded, so that noon's sine is 0 and a part that never changes is seen to.
    return {f"{name}_sin": np.sin(angles).round(9), f"{name}_cos": np.cos(angles).round(9)}


def _texts(column: pd.Series[Any]) -> pd.Series[Any]:
    texts = column.astype(object).where(column.notna(), "").astype(str).str.strip()
    return texts.where(texts != "")


def _parse(texts: pd.Series[Any], form: str) -> pd.Series[Any]:
    dates = pd.to_datetime(texts, format=form, errors="coerce", utc=True)
    return dates.dt.tz_convert(None)
