"""Tables: which columns are what, what is learned about them from the train split, and how they are encoded."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

import numpy as np
import pandas as pd
import torch
from lightning.pytorch.utilities import rank_zero_only
from pydantic import Field
from torch import Tensor

from lightlab.data.columns import (
    check_not_misread,
    check_precision,
    is_boolean,
    misread,
    names_rows,
    read_numbers,
)
from lightlab.data.dates import ISO, date_parts, looks_like_dates, read_dates
from lightlab.data.inputs import statistics
from lightlab.data.rows import Rows
from lightlab.data_spec import InputSpec, Normalize
from lightlab.errors import ConfigError, DataError, did_you_mean, sentences

#: A text column with more different values than this is no category.
MOST_CATEGORIES = 1000
#: A category of more different values than this becomes a learned vector, and not one-hot features.
MOST_ONE_HOT = 32

Embeddings = Literal["auto", "all", "none"] | dict[str, Annotated[int, Field(gt=0)]]


@dataclass(frozen=True)
class TableOptions:
    """What a config says of a table's columns.

    Attributes:
        numeric: columns that hold numbers, whatever they look like.
        categorical: columns that hold categories, although they may be numbers.
        dates: columns that hold dates, and the form of each, as for ``strptime``.
        ignore: columns that are no input.
        missing_numbers: what stands for a missing number: the ``median`` or ``mean`` of the train split, beside a
            feature that says where it does; or ``error``.
        missing_categories: whether a missing category is a ``category`` of its own, or an ``error``.
        embeddings: which categories become learned vectors and not one-hot features: those of more than 32 values
            (``auto``), ``all``, ``none``, or a length for each column that does.
    """

    numeric: tuple[str, ...] = ()
    categorical: tuple[str, ...] = ()
    dates: dict[str, str] = field(default_factory=dict)
    ignore: tuple[str, ...] = ()
    missing_numbers: Literal["median", "mean", "error"] = "median"
    missing_categories: Literal["category", "error"] = "category"
    embeddings: Embeddings = "auto"

    def __post_init__(self) -> None:
        roles = {"numeric": self.numeric, "categorical": self.categorical, "dates": self.dates, "ignore": self.ignore}
        for role, names in roles.items():
            for other, others in roles.items():
                if role < other and (twice := set(names) & set(others)):
                    raise ConfigError.at(
                        ("data", role), f"A column has one role. Received {min(twice)!r} under {role} and {other}."
                    )


@dataclass
class Roles:
    """What the columns of a table are taken for.

    Attributes:
        kinds: of each column: numeric, boolean, date or categorical.
        left_out: why each of the other columns is no input.
    """

    kinds: dict[str, str] = field(default_factory=dict)
    left_out: dict[str, str] = field(default_factory=dict)

    def named(self, *kinds: str) -> list[str]:
        """Return the columns of these kinds, in their order."""
        return [name for name, kind in self.kinds.items() if kind in kinds]

    def describe(self) -> list[str]:
        """Return a line for each kind, and one for what is left out."""
        lines = []
        for kind in ("numeric", "boolean", "date", "categorical"):
            if names := self.named(kind):
                lines.append(f"{kind}: {_listed(names)}")
        return lines + [f"left out: {name} ({reason})" for name, reason in self.left_out.items()]


def find_roles(rows: Rows, options: TableOptions) -> Roles:
    """Return what each column is taken for, from what a config says and what the train split shows.

    Raises:
        DataError: a column that can't be told, or is no input at all.
    """
    table = _table(rows)
    roles = Roles()
    for name in map(str, table.columns):
        column = table[name]
        if name in options.ignore:
            continue
        if name in options.numeric or name in options.categorical or name in options.dates:
            kind = "numeric" if name in options.numeric else "date" if name in options.dates else "categorical"
        else:
            kind = _infer_kind(rows, table, name)
        if kind.startswith("left out: "):
            roles.left_out[name] = kind.removeprefix("left out: ")
        elif (shown := _constant(column)) is not None:
            roles.left_out[name] = f"the same in every row of the train split: {shown}"
        else:
            roles.kinds[name] = kind
    if not roles.kinds:
        reasons = "; ".join(f"{name}: {reason}" for name, reason in roles.left_out.items())
        raise DataError(
            sentences(
                f"Inputs have at least one column that varies. {rows.source} has none beside the target.", reasons
            )
        )
    return roles


def _infer_kind(rows: Rows, table: pd.DataFrame, name: str) -> str:
    column = table[name]
    if looks_like_dates(column):
        return "date"
    if isinstance(column.dtype, pd.CategoricalDtype):
        return "categorical"
    numbers = read_numbers(column)
    if reason := names_rows(column, name, numbers):
        # What is mostly numbers is misread, and better mended than left out.
        if misread(column).any():
            check_not_misread(rows, table, name)
        return f"left out: {reason}"
    if not numbers.text.any():
        return "boolean" if is_boolean(column) else "numeric"
    check_not_misread(rows, table, name)
    return "categorical"


def _constant(column: pd.Series[Any]) -> str | None:
    """Return the one value of a column that has no other, or what is to be said of one without any."""
    first = column.iloc[:1]
    if len(column) > 1 and bool((column.to_numpy() == first.to_numpy()[0]).all()):
        return repr(first.iloc[0]) if str(first.iloc[0]) else "empty"
    return "empty" if bool(column.isna().all()) else None


def learn_table(rows: Rows, normalize: Normalize, options: TableOptions) -> tuple[InputSpec, Roles]:
    """Learn from the train split how a table is encoded, filled in and normalised.

    Args:
        rows: of the train split.
        normalize: how numbers are normalised.
        options: what the config says of the columns.

    Raises:
        DataError: a column can't be used.
    """
    table = _table(rows)
    roles = find_roles(rows, options)
    categories = {name: _learn_category(rows, table, name, options) for name in roles.named("categorical")}
    dates = {name: options.dates.get(name, ISO) for name in roles.named("date")}
    columns: dict[str, np.ndarray[Any, Any]] = {}
    for name, values in _read_columns(rows, table, roles.named("numeric", "boolean"), dates):
        if name in roles.kinds:
            check_precision(rows, name, values)
        elif np.ptp(values[~np.isnan(values)]) == 0:  # part of a date that never changes
            continue
        columns[name] = values
    known = [values[~np.isnan(values)] for values in columns.values()]
    offset, scale = _statistics(known, normalize)
    holes = {name: int(np.isnan(values).sum()) for name, values in columns.items()}
    fill: tuple[float, ...] = ()
    if options.missing_numbers != "error":
        middle = np.median if options.missing_numbers == "median" else np.mean
        fill = tuple(float(middle(values)) for values in known)
    spec = InputSpec(
        (len(columns) + len(categories),),
        offset,
        scale,
        tuple(columns),
        categories,
        kind="table",
        dates=dates,
        fill=fill,
        indicators=tuple(name for name, count in holes.items() if count and fill),
        embeddings=_embedding_lengths(categories, options.embeddings),
    )
    return spec, roles


def encode_table(rows: Rows, spec: InputSpec, missing_categories: str = "category") -> Tensor:
    """Return a split's inputs, (rows, columns): numbers, NaN where one is missing, then codes of categories.

    Args:
        rows: of the split.
        spec: what was learned from the train split.
        missing_categories: whether a missing category is a ``category`` of its own, or an ``error``.

    Raises:
        DataError: a column that is missing, or holds something else than in training.
    """
    table = _table(rows)
    direct = [name for name in spec.columns if name.rsplit(".", 1)[0] not in spec.dates]
    for name in (*direct, *spec.dates, *spec.categories):
        if name not in table:
            near = did_you_mean(name, map(str, table.columns))
            raise DataError(sentences(f"The model was trained with a column {name!r}. {rows.source} has none.", near))
    encoded = np.empty((len(table), len(spec.columns) + len(spec.categories)), dtype=np.float32)
    places = {name: place for place, name in enumerate(spec.columns)}
    for name, values in _read_columns(rows, table, direct, spec.dates):
        if name not in places:
            continue
        missing = np.isnan(values)
        if missing.any() and not spec.fill:
            _refuse_missing(rows, table, name.rsplit(".", 1)[0] if name not in table else name, missing)
        if missing.any() and name not in spec.indicators:
            _say(f"filled: {int(missing.sum())} of {len(rows)} rows of {rows.source} lack {name}, which training has")
        encoded[:, places[name]] = values
    for place, (name, known) in enumerate(spec.categories.items(), start=len(spec.columns)):
        texts = _texts(table[name])
        if missing_categories == "error":
            _check_present(rows, table, name, texts)
        codes = pd.Categorical(texts, categories=list(known)).codes
        unknown = codes < 0
        if unknown.any():
            shown = ", ".join(map(repr, texts[unknown].unique()[:3]))
            _say(
                f"unknown: {int(unknown.sum())} of {len(rows)} rows of {rows.source} have in {name} what training has "
                f"not: {shown}"
            )
        encoded[:, place] = codes
    return torch.from_numpy(encoded)


def _table(rows: Rows) -> pd.DataFrame:
    if isinstance(rows.inputs, pd.DataFrame):
        return rows.inputs
    raise DataError(f"The model takes columns of a table. Received: arrays, from {rows.source}.")


def _read_columns(
    rows: Rows, table: pd.DataFrame, numeric: list[str], dates: dict[str, str]
) -> Iterator[tuple[str, np.ndarray[Any, Any]]]:
    """Give the columns of numbers, and the parts of dates, with NaN where a value is missing.

    Raises:
        DataError: a value that is infinite, or no number or date, with its place.
    """
    for name in numeric:
        column = table[name]
        numbers = read_numbers(column)
        bad = numbers.text | np.isinf(numbers.values)
        if bad.any():
            place = int(bad.argmax())
            value = column.iloc[place]
            raise DataError(
                f"A column of numbers has finite numbers. Received in column {name!r}: "
                f"{value if isinstance(value, float) else repr(value)} at {rows.where(table, place)}, and so in "
                f"{int(bad.sum())} of {len(table)} rows. Mend the file, or say what the column is: data.categorical or "
                f"data.ignore."
            )
        yield name, numbers.values
    for name, form in dates.items():
        yield from date_parts(name, read_dates(rows, table, name, form)).items()


def _learn_category(rows: Rows, table: pd.DataFrame, name: str, options: TableOptions) -> tuple[str, ...]:
    texts = _texts(table[name])
    if options.missing_categories == "error":
        _check_present(rows, table, name, texts)
    values = tuple(sorted(texts.unique()))
    if len(values) > MOST_CATEGORIES:
        raise DataError(
            f"A column of categories has at most {MOST_CATEGORIES} different values. Received: {len(values)} in "
            f"column {name!r} of {rows.source}. Put it under data.ignore if it only names rows."
        )
    return values


def _check_present(rows: Rows, table: pd.DataFrame, name: str, texts: pd.Series[Any]) -> None:
    missing = (texts == "").to_numpy()
    if missing.any():
        _refuse_missing(rows, table, name, missing)


def _refuse_missing(rows: Rows, table: pd.DataFrame, name: str, missing: np.ndarray[Any, Any]) -> None:
    place = int(missing.argmax())
    raise DataError(
        f"With data.missing_numbers or data.missing_categories set to error, every row has a value. Received in column "
        f"{name!r}: nothing at {rows.where(table, place)}, and so in {int(missing.sum())} of {len(table)} rows."
    )


def _texts(column: pd.Series[Any]) -> pd.Series[Any]:
    """Return categories as text; a missing one is the empty text, a category of its own."""
    if pd.api.types.is_float_dtype(column) and bool((column.dropna() % 1 == 0).all()):
        column = column.astype("Int64")  # whole numbers with holes are floats, and would be written with a point
    return column.astype(object).where(column.notna(), "").astype(str)


def _statistics(known: list[np.ndarray[Any, Any]], normalize: Normalize) -> tuple[tuple[float, ...], tuple[float, ...]]:
    measures: tuple[Callable[..., Any], ...] = (np.mean, np.std, np.min, np.max)
    mean, spread, low, high = (np.array([measure(values) for values in known]) for measure in measures)
    return statistics(mean, spread, low, high, normalize)


def _embedding_lengths(categories: dict[str, tuple[str, ...]], embeddings: Embeddings) -> dict[str, int]:
    """Return the length of the vectors of each category that has them.

    Where it is not given, it is fastai's rule of thumb, 1.6 · values^0.56.
    """
    if isinstance(embeddings, dict):
        for name in embeddings:
            if name not in categories:
                raise ConfigError.at(
                    ("data", "embeddings"),
                    sentences(
                        f"embeddings names columns of categories. Received: {name}.", did_you_mean(name, categories)
                    ),
                )
        return embeddings
    least = {"auto": MOST_ONE_HOT + 1, "all": 0, "none": MOST_CATEGORIES + 1}[embeddings]
    return {name: round(1.6 * len(values) ** 0.56) for name, values in categories.items() if len(values) >= least}


def _listed(names: list[str], most: int = 8) -> str:
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")


_say = rank_zero_only(print)
