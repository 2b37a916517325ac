"""What the sources share whose rows are those of a table: in CSV, TSV and Parquet files, or pandas' DataFrames."""

from __future__ import annotations

from functools import partial
from typing import Any, Literal, Self

import numpy as np
import pandas as pd
import pyarrow as pa
from pandas.api.types import is_complex_dtype, is_numeric_dtype

from lightlab.data.files import FileData, check_columns, target_names
from lightlab.data.rows import Rows
from lightlab.data.tables.read_table import TextForm, locate_row, read_table
from lightlab.errors import DataError


class FrameData(FileData):
    """The base of sources that read tables; `from_frame` takes pandas' DataFrames.

    Args:
        path: the file whose rows are split.
        target: the column to predict, or several of them.
        id_column: the column that says what rows are called in predictions; it is no input.
        separator: of values in CSV; by default a tab in .tsv files, and a comma elsewhere.
        decimal: what stands before a number's fraction in CSV, ``.`` or ``,``.
        encoding: of the text in CSV.
        options: those of `lightlab.data.files.FileData`.
    """

    def __init__(
        self,
        path: str | None = None,
        target: str | list[str] | None = None,
        id_column: str | None = None,
        separator: str | None = None,
        decimal: Literal[".", ","] = ".",
        encoding: str = "utf-8",
        **options: Any,
    ) -> None:
        super().__init__(path, **options)
        self.targets = target_names(target)
        self.id_column = id_column
        self.form = TextForm(separator, decimal, encoding)
        self.frames: dict[str, pd.DataFrame] = {}
        #: The columns that are read as text, though they may hold nothing but numbers.
        self.text: set[str] | Literal["all"] = "all"

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
    ) -> Self:
        """Return the data of DataFrames.

        Args:
            frame: whose rows are split.
            target: the column to predict, or several of them.
            train: in place of ``frame``, one for each split.
            val: likewise.
            test: likewise; beside ``frame``, one to test on instead of a share of ``frame``.
            predict: rows to predict.
            options: those of the class.
        """
        frames = {"all": frame, "train": train, "val": val, "test": test, "predict": predict}
        for table in frames.values():
            if not isinstance(table, pd.DataFrame | None):
                raise DataError(f"from_frame takes pandas' DataFrames. Received: {type(table).__name__}.")
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

    def load(self, stage: str) -> dict[str, Rows]:
        """Return the rows of each file; in the stage predict of ``predict_path`` alone, where there is one.

        Raises:
            DataError: a file that can't be read, or lacks a column that was named.
        """
        return {split: self._rows(split, path) for split, path in self.wanted(stage).items()}

    def needed_columns(self, split: str) -> list[str]:
        """Return the columns that the table of a split must have."""
        raise NotImplementedError

    def input_columns(self, table: pd.DataFrame) -> list[str]:
        """Return the columns of a table that are inputs."""
        raise NotImplementedError

    def _rows(self, split: str, path: str) -> Rows:
        table = self.frames[path] if path in self.frames else read_table(path, self.form, self.text)
        split_by = self.split.columns if split == "all" else []
        check_columns(table, path, [*self.needed_columns(split), *split_by, *filter(None, [self.id_column])])
        table = plain_types(table)
        if self.text != "all":  # what is text in the file to train on is text in those after it
            self.text |= {name for name in map(str, table) if not is_numeric_dtype(table[name])}
        has_targets = bool(self.targets) and all(name in table for name in self.targets)
        return Rows(
            table[self.input_columns(table)],
            table[self.targets].where(table[self.targets] != "") if has_targets else None,
            table[self.id_column].to_numpy() if self.id_column else np.arange(len(table)),
            path,
            self.id_column or "id",
            columns=table[split_by],
            locate=None if path in self.frames else partial(locate_row, path, self.form),
        )


def plain_types(table: pd.DataFrame) -> pd.DataFrame:
    """Return a table with pandas' own types in place of Arrow's, and of its older ones for text."""
    others = {
        str(name): pa.array(table[name], from_pandas=True).to_pandas().set_axis(table.index)
        for name in table
        if isinstance(table[name].dtype, pd.ArrowDtype | pd.StringDtype) and table[name].dtype != "str"
    }
    return table.assign(**others)


def check_values(rows: Rows) -> None:
    """Refuse columns of lists, structures, bytes and complex numbers.

    Raises:
        DataError: with the column.
    """
    table = rows.inputs if isinstance(rows.inputs, pd.DataFrame) else pd.DataFrame()
    for name in table:
        column = table[name]
        wrong = column[:0]
        if is_complex_dtype(column):
            wrong = column
        elif column.dtype == object:
            wrong = column[column.map(lambda value: isinstance(value, list | tuple | dict | set | bytes | np.ndarray))]
        if len(wrong):
            raise DataError(
                f"A column holds one number, text or date in each row. Received in column {name!r} of {rows.source}: "
                f"{wrong.iloc[0]!r}. Put it under data.ignore."
            )
