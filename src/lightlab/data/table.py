"""Tables in CSV files."""

from __future__ import annotations

import csv
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from lightning.pytorch.utilities import rank_zero_only

from lightlab.data.base import Data
from lightlab.data.columns import is_numeric, names_rows, read_numbers
from lightlab.data.rows import Rows
from lightlab.errors import ConfigError, DataError, did_you_mean, sentences


class TableData(Data):
    """Rows of a CSV file with a header line.

    Columns of numbers and booleans are normalised; columns of text are categories, and become one feature a value
    that the train split has. A missing category is a category of its own; a missing number is an error. Text columns
    in which every row differs only name rows: they are left out, and this is said.

    Args:
        path: the file whose rows are split.
        target: the column to predict, or several of them.
        train_path: in place of ``path``, a file for each split.
        val_path: likewise.
        test_path: likewise; beside ``path``, a file to test on instead of a share of ``path``.
        predict_path: rows to predict, with or without the target.
        categorical: columns of numbers that are categories.
        ignore: columns that are neither input nor target.
        id_column: the column that says what rows are called in predictions; it is no input.
        options: those of `lightlab.data.base.Data`.

    Raises:
        ConfigError: options that contradict each other.
    """

    def __init__(
        self,
        path: str | None = None,
        target: str | list[str] | None = None,
        train_path: str | None = None,
        val_path: str | None = None,
        test_path: str | None = None,
        predict_path: str | None = None,
        categorical: list[str] | None = None,
        ignore: list[str] | None = None,
        id_column: str | None = None,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        twice = [name for name, count in Counter([target] if isinstance(target, str) else target).items() if count > 1]
        if twice:
            raise ConfigError.at(("data", "target"), f"A target is named once. Received {twice[0]!r} more than once.")
        if path and (train_path or val_path):
            raise ConfigError.at(("data",), "path is split by itself; train_path and val_path stand in its place.")
        self.paths = {"all": path, "train": train_path, "val": val_path, "test": test_path, "predict": predict_path}
        if not any(self.paths.values()):
            raise ConfigError.at(("data", "path"), "TableData needs the path of a CSV file. Received none.")
        self.targets = [target] if isinstance(target, str) else list(target or [])
        self.categorical = frozenset(categorical or ())
        self.ignore = list(ignore or [])
        self.id_column = id_column
        if path and test_path:
            train, val, _ = self.split
            self.split = (train / (train + val), val / (train + val), 0.0)

    def load(self, stage: str) -> dict[str, Rows]:
        """Return the rows of each file; in the stage predict of ``predict_path`` alone, where there is one.

        Raises:
            DataError: a file that can't be read, or lacks a column that was named.
        """
        to_predict = {"predict": self.paths["predict"]} if self.paths["predict"] else {}
        others = {split: path for split, path in self.paths.items() if split != "predict"}
        wanted = to_predict or others if stage == "predict" else others
        tables = {split: read_csv(path) for split, path in wanted.items() if path}
        return {split: self._rows(split, self.paths[split] or "", table) for split, table in tables.items()}

    def _rows(self, split: str, path: str, table: pd.DataFrame) -> Rows:
        # Rows to predict need no more than what the model was trained on, and what they are called.
        needed = [] if split == "predict" else [*self.targets, *self.ignore, *sorted(self.categorical)]
        for name in [*needed, *([self.id_column] if self.id_column else [])]:
            if name not in table:
                near = did_you_mean(name, table.columns) or f"There are: {', '.join(table.columns)}."
                raise DataError(sentences(f"{path} has no column {name!r}.", near))
        has_targets = bool(self.targets) and all(name in table for name in self.targets)
        targets = table[self.targets].apply(_typed) if has_targets else None
        ids = table[self.id_column].to_numpy() if self.id_column else np.arange(len(table))
        left_out = {*self.targets, *self.ignore, self.id_column}
        inputs = table[[name for name in table.columns if name not in left_out]]
        if split in ("all", "train"):
            inputs = inputs.drop(columns=_naming_columns(inputs, self.categorical))
        return Rows(inputs, targets, ids, path, self.id_column or "id", first_line=2)


def _naming_columns(inputs: pd.DataFrame, categorical: frozenset[str]) -> list[str]:
    """Return the text columns in which every row differs, and say that they are left out."""
    names = [name for name in inputs.columns if name not in categorical and names_rows(inputs[name])]
    if names:
        rank_zero_only(print)(f"left out: {', '.join(names)} (text that differs in every row names rows)")
    return names


def read_csv(path: str) -> pd.DataFrame:
    """Read a CSV file with a header line, every value as text.

    Raises:
        DataError: no such file, not text, no rows, lines of another length than the header, or a column name twice.
    """
    file = Path(path)
    if not file.is_file():
        what = "a folder" if file.is_dir() else "no such file"
        others = [] if file.is_dir() or not file.parent.is_dir() else [other.name for other in file.parent.glob("*")]
        near = did_you_mean(file.name, others)
        raise DataError(sentences(f"A table is read from a CSV file. Received: {path} ({what}).", near))
    try:
        with file.open(newline="", encoding="utf-8-sig") as stream:
            lines = csv.reader(stream)
            header = next(lines, [])
            _check_lines(path, header, lines)
        return pd.read_csv(file, encoding="utf-8-sig", dtype=str, keep_default_na=False)
    except UnicodeDecodeError as cause:
        raise DataError(f"A CSV file is text in UTF-8. Received: {path}: {cause}.") from cause
    except (OSError, csv.Error, pd.errors.ParserError) as cause:
        raise DataError(f"{path} can't be read as CSV: {cause}.") from cause


def _typed(column: pd.Series[Any]) -> pd.Series[Any]:
    """Return a target column as numbers where it holds nothing else; else as text, missing where it is empty."""
    if is_numeric(column) and not column.str.lower().isin(["true", "false"]).any():
        return pd.Series(read_numbers(column).values, index=column.index)
    return column.where(column != "")


def _check_lines(path: str, header: list[str], lines: Any) -> None:
    if not header:
        raise DataError(f"A CSV file starts with a line of column names. {path} is empty.")
    if len(header) == 1 and any(separator in header[0] for separator in ";\t|"):
        raise DataError(f"The values of a CSV file are separated by commas. Received in {path}:1: {header[0]!r}.")
    if "" in map(str.strip, header):
        place = [name.strip() for name in header].index("") + 1
        raise DataError(f"Every column of a CSV file has a name. In {path}:1 column {place} has none.")
    twice = [name for name, count in Counter(header).items() if count > 1]
    if twice:
        raise DataError(f"A column name stands once in a CSV file's header. {path}:1 has {twice[0]!r} more than once.")
    rows = 0
    for line in lines:
        if not line:
            continue
        rows += 1
        if len(line) != len(header):
            raise DataError(
                f"Every line has as many values as the header, {len(header)}. {path}:{lines.line_num} has {len(line)}."
            )
    if not rows:
        raise DataError(f"A CSV file has rows below its header. {path} has none.")
