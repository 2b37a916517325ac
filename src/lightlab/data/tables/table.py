"""Tables: CSV, TSV and Parquet files, and pandas' DataFrames."""

from __future__ import annotations

from typing import Any, Literal

import pandas as pd
from torch import Tensor

from lightlab.data.base import say
from lightlab.data.rows import Rows, Stored
from lightlab.data.tables.features import Embeddings, TableOptions, describe_fill, encode_table, learn_table
from lightlab.data.tables.frames import FrameData, check_values
from lightlab.data_spec import InputSpec


class TableData(FrameData):
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
        super().__init__(path, target, id_column, separator, decimal, encoding, **options)
        columns = {"numeric": numeric, "categorical": categorical, "dates": dates, "ignore": ignore}
        missing = {"missing_numbers": missing_numbers, "missing_categories": missing_categories}
        self.roles = TableOptions.parse("TableData", **columns, **missing, embeddings=embeddings)
        self.roles.check_roles(self.targets, id_column)
        self.text = {*self.roles.categorical, *self.roles.dates, *self.targets, *filter(None, [id_column])}

    def load(self, stage: str) -> dict[str, Rows]:
        """Return the rows of each file; in the stage predict of ``predict_path`` alone, where there is one.

        Raises:
            DataError: a file that can't be read, or lacks a column that was named; values that are no inputs.
        """
        splits = super().load(stage)
        for rows in splits.values():
            check_values(rows)
        return splits

    def adapt(self, spec: InputSpec) -> None:
        """Read as text what a trained model knows as text."""
        self.text = {*spec.categories, *spec.dates, *self.targets, *filter(None, [self.id_column])}

    def learn_input(self, rows: Rows) -> InputSpec:
        """Learn what the columns are and hold, and say it."""
        spec, roles = learn_table(rows, self.normalize, self.roles)
        for line in [*roles.describe(), *describe_fill(spec, self.roles)]:
            say(line)
        return spec

    def encode_input(self, rows: Rows, spec: InputSpec) -> Tensor | Stored:
        """Return numbers, and codes of categories, (rows, columns)."""
        return encode_table(rows, spec, self.roles.missing_categories)

    def needed_columns(self, split: str) -> list[str]:
        """Return the columns that the config names; rows to predict need only those that the model was trained on."""
        roles = self.roles
        named = [*self.targets, *roles.numeric, *roles.categorical, *roles.dates]
        return {"predict": [], "val": named, "test": named}.get(split, [*named, *roles.ignore])

    def input_columns(self, table: pd.DataFrame) -> list[str]:
        """Return the columns that are nothing else."""
        return self.roles.inputs(table.columns, [*self.targets, self.id_column, *self.split.columns])
