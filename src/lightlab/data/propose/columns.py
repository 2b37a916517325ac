"""What the columns of a table look like: the target, dates, texts, names of rows; and how its file is written."""

from __future__ import annotations

import re
from codecs import BOM_UTF16_BE, BOM_UTF16_LE
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from lightlab.data.images.files import ENDINGS
from lightlab.data.rows import Rows, shorten
from lightlab.data.tables.columns import ID_NAME, MISSING, is_numeric, misread, names_rows, read_numbers
from lightlab.data.tables.dates import head_matches, looks_like_dates
from lightlab.data.tables.features import TableOptions, learn_table
from lightlab.data.tables.read_table import SEPARATORS, TextForm, read_table
from lightlab.errors import DataError

#: What people call what is to be predicted.
TARGET_NAMES = ("target", "label", "labels", "class", "y", "outcome", "output", "response", "result", "targets")
#: A column of texts with so many words on average is prose, and no category.
WORDS_OF_PROSE = 3
#: What all forms of dates look like.
NUMBERS_OF_A_DATE = r"\d+[/.-]\d+[/.-]\d+"
#: Those other than 2024-01-31 that are looked for.
DATE_FORMS = ("%d/%m/%Y", "%m/%d/%Y", "%d.%m.%Y", "%d-%m-%Y", "%Y/%m/%d", "%d/%m/%Y %H:%M", "%m/%d/%Y %H:%M")


def guess_target(table: pd.DataFrame) -> tuple[str, str]:
    """Return the column that is to be predicted, by the looks of it, and why.

    >>> guess_target(pd.DataFrame({"Label": ["a", "b"], "size": [1.0, 2.0]}))
    ('Label', 'by its name')
    """
    for wanted in TARGET_NAMES:
        for name in map(str, table.columns):
            if name.strip().casefold() == wanted:
                return name, "by its name"
    for name in reversed(list(map(str, table.columns))):
        if _could_be_target(table[name], name):
            return name, "the last column that could be one" if name != table.columns[-1] else "the last column"
    return str(table.columns[-1]), "the last column"


def _could_be_target(column: pd.Series[Any], name: str) -> bool:
    numbers = read_numbers(column)
    whole = not numbers.text.any() and ID_NAME.search(name)
    return not (column.nunique() < 2 or looks_like_dates(column) or whole or names_rows(column, name, numbers))


def find_prose(inputs: pd.DataFrame) -> str | None:
    """Return the one column of many different texts of several words, where no other column is an input; else nothing.

    >>> find_prose(pd.DataFrame({"id": range(20), "review": [f"film number {place} was good" for place in range(20)]}))
    'review'
    """
    varying = (name for name in map(str, inputs.columns) if inputs[name].nunique() > 1)
    names = list(islice((name for name in varying if not is_identifier(inputs[name], name)), 2))
    if len(names) != 1:
        return None
    texts = inputs[names[0]].dropna().astype(str)
    is_text = not is_numeric(inputs[names[0]]) and not looks_like_dates(inputs[names[0]])
    different = texts.nunique() > len(texts) / 2
    return names[0] if is_text and different and texts.str.count(r"\S+").mean() >= WORDS_OF_PROSE else None


def is_identifier(column: pd.Series[Any], name: str) -> bool:
    """Return whether a column's name and values say that it names the rows."""
    return (
        bool(ID_NAME.search(name)) and column.is_unique and not bool((column.isna() | (column.astype(str) == "")).any())
    )


def find_faults(rows: Rows) -> dict[str, str]:
    """Return what is wrong with columns as inputs, for each with which something is.

    All are tried at once, and where that fails one half and the other, since of thousands of columns most are right.
    """
    inputs = rows.inputs
    assert isinstance(inputs, pd.DataFrame)
    varying = "varies"
    while varying in inputs:
        varying += "_"
    try:
        # A column may be left out, but not the only one.
        beside = pd.concat([inputs, pd.Series(np.arange(len(inputs)) % 2, inputs.index, name=varying)], axis=1)
        learn_table(replace(rows, inputs=beside), "none", TableOptions())
    except DataError as error:
        columns = len(inputs.columns)
        if columns == 1:
            return {str(inputs.columns[0]): _describe_fault(inputs.iloc[:, 0], error)}
        halves = inputs.iloc[:, : columns // 2], inputs.iloc[:, columns // 2 :]
        return {name: fault for half in halves for name, fault in find_faults(replace(rows, inputs=half)).items()}
    return {}


def _describe_fault(column: pd.Series[Any], error: DataError) -> str:
    text = misread(column)
    if not text.any():
        return str(error)
    shown = shorten(str(column.iloc[int(text.argmax())]))
    return (
        f"mostly numbers, but {int(text.sum())} are text, as {shown!r}. Write them as numbers, without %, signs of "
        f"money or separators of thousands, or name it under data.categorical"
    )


def find_image_column(table: pd.DataFrame, folder: Path) -> str | None:
    """Return the column that names image files, relative to a folder, of which the first is there."""
    for name in map(str, table.select_dtypes(exclude="number")):
        texts = table[name][table[name] != ""]
        if len(texts) and texts.str.lower().str.endswith(tuple(ENDINGS)).all() and (folder / texts.iloc[0]).is_file():
            return name
    return None


def find_date_forms(column: pd.Series[Any]) -> list[str]:
    """Return how dates may be written in a column of text, the likeliest first; not those as in 2024-01-31.

    >>> find_date_forms(pd.Series(["31/01/2024", "", "28/02/2024"]))
    ['%d/%m/%Y']
    """
    if column.dtype not in ("str", object) or not head_matches(column, NUMBERS_OF_A_DATE) or looks_like_dates(column):
        return []
    texts = column.dropna().astype(str).str.strip()
    texts = texts[texts != ""]
    if not len(texts) or not texts.str.contains(f"^{NUMBERS_OF_A_DATE}").all():
        return []
    return [form for form in DATE_FORMS if not pd.to_datetime(texts, format=form, errors="coerce").isna().any()]


def find_form(path: str) -> tuple[TextForm, dict[str, Any], dict[str, str]]:
    """Find out how a table of text is written: encoding, separator, and the sign before fractions."""
    options: dict[str, Any] = {}
    reasons: dict[str, str] = {}
    encoding = _find_encoding(path)
    if encoding != "utf-8":
        options["encoding"], reasons["encoding"] = encoding, "the file is not in UTF-8"
    form = TextForm(encoding=encoding)
    with open(path, encoding=encoding, errors="replace") as stream:  # who reads all of it says what is damaged
        header = re.sub(r'"[^"]*"', "", stream.readline())
    usual = form.separator_of(path)
    separator = max(SEPARATORS, key=header.count)
    if separator in header and separator != usual and header.count(separator) > header.count(usual):
        options["separator"], reasons["separator"] = separator, "what stands between values"
        form = replace(form, separator=separator)
    if form.separator_of(path) != ",":
        table = read_table(path, form)
        if any(_has_decimal_commas(values) for _, values in table.items()):
            options["decimal"], reasons["decimal"] = ",", "what stands before a number's fraction"
            form = replace(form, decimal=",")
    return form, options, reasons


def _has_decimal_commas(column: pd.Series[Any]) -> bool:
    """Return whether a column of text has numbers, and nothing else, and some of them with a comma."""
    if not column.str.contains(r"\d,\d").any():
        return False
    texts = column.str.strip()
    numbers = texts.str.fullmatch(r"[-+]?[\d.]*(,\d+)?") | texts.str.lower().isin(MISSING)
    return bool(numbers.all())


def _find_encoding(path: str) -> str:
    with open(path, "rb") as stream:
        if stream.read(2) in (BOM_UTF16_LE, BOM_UTF16_BE):
            return "utf-16"
    for encoding in ("utf-8", "cp1252"):
        try:
            with open(path, encoding=encoding) as stream:
                while stream.read(1 << 20):
                    pass
        except UnicodeDecodeError:
            continue
        return encoding
    return "latin-1"
