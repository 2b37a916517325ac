"""What is learned from the train split of a stream, part by part, in one pass and in bounded memory."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from lightlab.data.rows import Rows
from lightlab.data.tables.columns import check_spread, read_numbers
from lightlab.data.tables.dates import ISO, part_names
from lightlab.data.tables.features import (
    MOST_CATEGORIES,
    Measures,
    Roles,
    TableOptions,
    category_texts,
    check_present,
    infer_roles,
    make_table_spec,
    read_columns,
    refuse_missing,
    sorted_categories,
)
from lightlab.data.targets import class_names, known_targets, learn_target, typed_target, typed_targets
from lightlab.data_spec import InputSpec, Normalize, TargetSpec
from lightlab.errors import TargetError
from lightlab.problems import Problem

#: So many different targets are kept; a problem of classes has fewer.
MOST_DISTINCT = 50_000
#: So many numbers, of all columns together, are kept for medians; of more rows than this makes, a random part is.
KEPT_FOR_MEDIANS = 1_000_000


class Moments:
    """Mean, standard deviation, least and largest of numbers that come in parts.

    Parts are joined by Chan, Golub and LeVeque (1983), which loses nothing to how far the numbers are from 0.

    Example:
        >>> moments = Moments()
        >>> moments.update(np.array([1.0, 2.0, np.nan]))
        >>> moments.update(np.array([6.0]))
        >>> moments.count, moments.missing, moments.mean
        (3, 1, 3.0)
    """

    def __init__(self) -> None:
        self.count = self.missing = 0
        self.mean = self._squares = 0.0
        self.low, self.high = np.inf, -np.inf

    def update(self, values: np.ndarray[Any, Any]) -> None:
        """Add numbers, (rows,), NaN where one is missing."""
        known = values[~np.isnan(values)]
        self.missing += len(values) - len(known)
        if not len(known):
            return
        count, mean = self.count + len(known), float(known.mean())
        apart = mean - self.mean
        self._squares += float(((known - mean) ** 2).sum()) + apart**2 * self.count * len(known) / count
        self.mean += apart * len(known) / count
        self.count = count
        self.low, self.high = min(self.low, float(known.min())), max(self.high, float(known.max()))

    @property
    def std(self) -> float:
        """The standard deviation, of all numbers as the population."""
        return float(np.sqrt(self._squares / self.count)) if self.count else 0.0


class Medians:
    """The medians of columns that come in parts: exact up to a number of rows, then of a random part of them.

    Args:
        kept: numbers to keep, at most twice as many.
    """

    def __init__(self, kept: int = KEPT_FOR_MEDIANS) -> None:
        self.kept = kept
        self._generator = np.random.default_rng(0)
        self._draws = np.empty(0)
        self._values: np.ndarray[Any, Any] | None = None

    def update(self, columns: list[np.ndarray[Any, Any]]) -> None:
        """Add rows of each column, (rows,), NaN where a number is missing."""
        if not columns:
            return
        values = np.stack(columns, axis=1)
        draws = self._generator.random(len(values))
        self._draws = np.concatenate([self._draws, draws])
        self._values = values if self._values is None else np.concatenate([self._values, values])
        rows = max(1, self.kept // len(columns))
        if len(self._draws) > 2 * rows:  # those of the smallest draws are as random a part as any
            chosen = np.sort(np.argpartition(self._draws, rows)[:rows])
            self._draws, self._values = self._draws[chosen], self._values[chosen]

    def compute(self) -> list[float]:
        """Return the median of each column; NaN where none of its numbers is known."""
        columns = [] if self._values is None else list(self._values.T)
        known = [column[~np.isnan(column)] for column in columns]
        return [float(np.median(values)) if len(values) else np.nan for values in known]


class TableLearner:
    """Learns from the rows of a train split what `features.learn_table` does from a whole table.

    What a column is taken for shows in a sample of the rows; a column that turns out to be something else is an
    error. Statistics, categories and what is missing are those of all rows.

    Args:
        sample: rows of the train split.
        options: what the config says of the columns.
    """

    def __init__(self, sample: Rows, options: TableOptions) -> None:
        self.roles = infer_roles(sample, options)
        self.options = options
        self.source = sample
        self._dates = {name: options.dates.get(name, ISO) for name in self.roles.named("date")}
        self._numbers: dict[str, Moments] = {}
        self._medians = Medians()
        self._categories: dict[str, set[str]] = {name: set() for name in self.roles.named("categorical")}

    def update(self, rows: Rows) -> None:
        """Add rows.

        Raises:
            DataError: a value that does not fit what its column is taken for, with its place.
        """
        table = rows.inputs
        assert isinstance(table, pd.DataFrame)
        numeric = self.roles.named("numeric", "boolean")
        columns = dict(read_columns(rows, table, numeric, self._dates))
        for name, values in columns.items():
            self._numbers.setdefault(name, Moments()).update(values)
            if self.options.missing_numbers == "error" and np.isnan(values).any():
                refuse_missing(rows, table, name if name in table else name.rsplit(".", 1)[0], np.isnan(values))
        if self.options.missing_numbers == "median":
            self._medians.update(list(columns.values()))
        for name, known in self._categories.items():
            texts = category_texts(table[name])
            if self.options.missing_categories == "error":
                check_present(rows, table, name, texts)
            known.update(texts.unique())
            if len(known) > MOST_CATEGORIES:
                sorted_categories(rows, name, known)

    def learn(self, normalize: Normalize) -> tuple[InputSpec, Roles]:
        """Return how rows are encoded, filled in and normalised.

        Raises:
            DataError: a column can't be used.
        """
        for name in list(self.roles.kinds):
            if (shown := self._constant(name)) is not None:
                self.roles.leave_out_constant(name, shown)
        self.roles.check_any(self.source.source)
        medians = dict(zip(self._numbers, self._medians.compute(), strict=False))
        measures: dict[str, Measures] = {}
        dates = self._of_parts()
        for name, found in self._numbers.items():
            if name in self.roles.kinds:
                check_spread(self.source, name, found.low, found.high, found.std)
            elif dates.get(name) not in self.roles.kinds or found.low == found.high:
                continue
            middle = medians.get(name, found.mean)
            measures[name] = Measures(found.mean, found.std, found.low, found.high, found.missing, middle)
        categories = {
            name: sorted_categories(self.source, name, self._categories[name])
            for name in self.roles.named("categorical")
        }
        forms = {name: self._dates[name] for name in self.roles.named("date")}
        return make_table_spec(measures, categories, forms, normalize, self.options), self.roles

    def _of_parts(self) -> dict[str, str]:
        """Return the date that each column is a part of."""
        return {part: name for name in self._dates for part in part_names(name)}

    def _constant(self, name: str) -> str | None:
        if name in self._categories:
            values = self._categories[name]
            return None if len(values) > 1 else repr(next(iter(values))) if any(values) else "empty"
        dates = self._of_parts()
        parts = [found for part, found in self._numbers.items() if name in (part, dates.get(part))]
        if not parts[0].count:
            return "empty"
        varies = any(found.missing or found.low < found.high for found in parts)
        return None if varies else f"{parts[0].low:g}" if name in self._numbers else "one date"


class TargetLearner:
    """Learns from the targets of a train split what `targets.learn_target` does from all of them at once."""

    def __init__(self) -> None:
        self.rows = 0
        self._distinct: Rows | None = None
        self._counts: pd.Series[Any] | None = None
        self._numbers: list[Moments] = []
        self._sums: np.ndarray[Any, Any] | None = None

    def update(self, rows: Rows) -> None:
        """Add rows; of text, an empty one is missing.

        Raises:
            TargetError: a target is missing.
        """
        targets = known_targets(rows)
        self.rows += len(targets)
        columns = [read_numbers(targets[name]).values for name in targets]
        self._numbers = self._numbers or [Moments() for _ in columns]
        for moments, values in zip(self._numbers, columns, strict=True):
            moments.update(values)
        if len(columns) == 1 and self._complete:
            counts = targets.iloc[:, 0].value_counts()
            self._counts = counts if self._counts is None else self._counts.add(counts, fill_value=0)
        sums = np.array([np.nansum(values) for values in columns])
        self._sums = sums if self._sums is None else self._sums + sums
        if self._complete:
            known = targets if self._distinct is None else pd.concat([self._distinct.targets, targets])
            distinct = known.drop_duplicates()
            self._distinct = replace(rows, inputs=distinct[[]], targets=distinct, ids=distinct.index.to_numpy())

    @property
    def _complete(self) -> bool:
        return self._distinct is None or len(self._distinct) <= MOST_DISTINCT

    def distinct(self) -> Rows:
        """Return a row for each of the different targets; text that is nothing but numbers is numbers."""
        assert self._distinct is not None
        assert self._distinct.targets is not None
        return typed_targets(self._distinct)

    def learn(self, problem: Problem) -> TargetSpec:
        """Return what the target holds.

        Raises:
            TargetError: the target does not fit the problem.
        """
        rows = self.distinct()
        if problem.target == "class" and not self._complete:
            raise TargetError(
                f"A target of classes has at most {MOST_DISTINCT} different values. Received from {rows.source}: more."
            )
        spec = replace(learn_target(rows, problem), rows=self.rows)
        if problem.target == "numbers":
            for name, found in zip(spec.columns, self._numbers, strict=True):
                check_spread(rows, name, found.low, found.high, found.std)
            return replace(
                spec,
                mean=tuple(found.mean for found in self._numbers),
                std=tuple(found.std if found.std > 0 else 1.0 for found in self._numbers),
            )
        if self._counts is not None and len(spec.columns) == 1 and problem.target == "class":
            values = typed_target(pd.Series(self._counts.index))
            counts = pd.Series(self._counts.to_numpy()).groupby(class_names(values).to_numpy()).sum()
            return replace(spec, counts=tuple(int(counts[name]) for name in spec.classes))
        assert self._sums is not None
        return replace(spec, counts=tuple(int(total) for total in self._sums))
