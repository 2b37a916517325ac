"""Tables: CSV, TSV and Parquet files, and pandas' DataFrames."""

from __future__ import annotations

from functools import partial
from typing import Any, Literal

import numpy as np
import pandas as pd
from torch import Tensor

from lightlab.data.base import say
from lightlab.data.features import Embeddings, TableOptions, encode_table, learn_table
from lightlab.data.files import FileData, check_columns, target_names, typed_target
from lightlab.data.read_table import TextForm, locate_row, read_table
from lightlab.data.rows import Rows, Stored
from lightlab.data_spec import InputSpec
from lightlab.errors import ConfigError, DataError
from lightlab.specs import check_parameters


class TableData(FileData):
    """Rows of a CSV, TSV or Parquet file; `from_frame` takes pandas' DataFrames.

    What each column is, is inferred from the train split and said: numbers and booleans are normalised; dates (as in
    2024-01-31) become days, year, day, and where they are in the year, week and day; other text is categories. Left
    out, and said to be, are columns that only name rows, and those that never change. Options override it.

    A missing number is the median of the train split, beside a feature that says so; a missing category is a
    category. A category that the train split lacks counts as none of those it has; these are counted and said.

    Args:
        path: the file whose rows are split.
        target: the column to predict, or several of them.
        numeric: columns of numbers; a text in one is then an error.
        categorical: columns of categories, though they be numbers.
        dates: columns of dates, and the form of each, as in ``{born: "%d/%m/%Y"}``.
        ignore: columns that are neither input nor target.
        id_column: the column that says what rows are called in predictions; it is no input.
        missing_numbers: ``median``, ``mean`` or ``error``.
        missing_categories: ``category`` or ``error``.
        embeddings: which categories become learned vectors and not one-hot features: those of more than 32 values
            (``auto``), ``all``, ``none``, or the length of the vector for each column, as in ``{city: 8}``.
        separator: of values in CSV; by default a tab in .tsv files, and a comma elsewhere.
        decimal: what stands before a number's fraction in CSV, ``.`` or ``,``.
        encoding: of the text in CSV.
        options: those of `lightlab.data.files.FileData`: files for each split, or to predict, and all its own.

    Raises:
        ConfigError: options that contradict each other.

    Example:
        >>> import pandas as pd
        >>> houses = pd.DataFrame({"area": range(50, 150), "city": ["Rome", "Oslo"] * 50, "price": range(100)})
        >>> data = TableData.from_frame(houses, "price", ignore=["city"])
        >>> spec = data.connect("regression")
        numeric: area
        warning: column 'area' tells the target 'price' by itself: if it is not known when a prediction is made, put ...
        >>> spec.input.columns, spec.input.shape
        (('area',), (1,))
    """

    def __init__(
        self,
        path: str | None = None,
        target: str | list[str] | None = None,
        numeric: list[str] | None = None,
        categorical: list[str] | None = None,
        dates: dict[str, str] | None = None,
        ignore: list[str] | None = None,
        id_column: str | None = None,
        missing_numbers: Literal["median", "mean", "error"] = "median",
        missing_categories: Literal["category", "error"] = "category",
        embeddings: Embeddings = "auto",
        separator: str | None = None,
        decimal: Literal[".", ","] = ".",
        encoding: str = "utf-8",
        **options: Any,
    ) -> None:
        super().__init__(path, **options)
        self.targets = target_names(target)
        self.id_column = id_column
        roles = {
            "numeric": numeric or [],
            "categorical": categorical or [],
            "dates": dates or {},
            "ignore": ignore or [],
            "missing_numbers": missing_numbers,
            "missing_categories": missing_categories,
            "embeddings": embeddings,
        }
        self.roles = TableOptions(**check_parameters(TableOptions, roles, ("data",), name="TableData"))
        self.form = TextForm(separator, decimal, encoding)
        self.frames: dict[str, pd.DataFrame] = {}
        self._check_names()

    @classmethod
    def from_frame(
        cls,
        frame: pd.DataFrame | None = None,
        target: str | list[str] | None = None,
        *,
        train: pd.DataFrame | None = None,
        val: pd.DataFrame | None = None,
        test: pd.DataFrame | None = None,
        predict: pd.DataFrame | None = None,
        **options: Any,
    ) -> TableData:
        """Return the data of DataFrames.

        Args:
            frame: whose rows are split.
            target: the column to predict, or several of them.
            train: in place of ``frame``, one for each split.
            val: likewise.
            test: likewise; beside ``frame``, one to test on instead of a share of ``frame``.
            predict: rows to predict.
            options: those of `TableData`.
        """
        frames = {"all": frame, "train": train, "val": val, "test": test, "predict": predict}
        given = {split: table.reset_index(drop=True) for split, table in frames.items() if table is not None}
        for split, table in given.items():
            table.columns = table.columns.map(str)
            if not table.columns.is_unique:
                name = table.columns[table.columns.duplicated()][0]
                raise DataError(
                    f"A column name stands once in a table. The DataFrame {split} has {name!r} more than once."
                )
        paths: dict[str, Any] = {"path" if split == "all" else f"{split}_path": f"DataFrame {split}" for split in given}
        data = cls(target=target, **paths, **options)
        data.frames = {f"DataFrame {split}": table for split, table in given.items()}
        return data

    def _check_names(self) -> None:
        """Refuse a column that is named for two things."""
        inputs = {*self.roles.numeric, *self.roles.categorical, *self.roles.dates}
        for role, names in (("target", self.targets), ("id_column", [self.id_column])):
            both = [name for name in names if name in inputs or name in self.roles.ignore]
            if both:
                other = "an input" if both[0] in inputs else "ignored"
                raise ConfigError.at(
                    ("data", role), f"A column has one role. Received: {both[0]!r}, which is {other}, too."
                )

    def load(self, stage: str) -> dict[str, Rows]:
        """Return the rows of each file; in the stage predict of ``predict_path`` alone, where there is one.

        Raises:
            DataError: a file that can't be read, or lacks a column that was named.
        """
        return {split: self._rows(split, path) for split, path in self.wanted(stage).items()}

    def learn_input(self, rows: Rows) -> InputSpec:
        """Learn what the columns are and hold, and say it."""
        spec, roles = learn_table(rows, self.normalize, self.roles)
        for line in roles.describe():
            say(line)
        for name in spec.indicators:
            place = spec.columns.index(name)
            say(f"filled: {name}, where it is missing, by the {self.roles.missing_numbers} {spec.fill[place]:g}")
        return spec

    def encode_input(self, rows: Rows, spec: InputSpec) -> Tensor | Stored:
        """Return numbers, and codes of categories, (rows, columns)."""
        return encode_table(rows, spec, self.roles.missing_categories)

    def _rows(self, split: str, path: str) -> Rows:
        table = self.frames[path] if path in self.frames else read_table(path, self.form)
        named = [*self.targets, *self.roles.ignore, *self.roles.numeric, *self.roles.categorical, *self.roles.dates]
        # Rows to predict need no more than what the model was trained on, and what they are called.
        check_columns(table, path, [*([] if split == "predict" else named), *filter(None, [self.id_column])])
        has_targets = bool(self.targets) and all(name in table for name in self.targets)
        left_out = {*self.targets, *self.roles.ignore, self.id_column, *self.split.columns} - {*self.roles.dates}
        return Rows(
            table[[name for name in table.columns if name not in left_out]],
            table[self.targets].apply(typed_target) if has_targets else None,
            table[self.id_column].to_numpy() if self.id_column else np.arange(len(table)),
            path,
            self.id_column or "id",
            columns=table,
            locate=None if path in self.frames else partial(locate_row, path, self.form),
        )
