"""Tables: which columns are what, what is learned about them from the train split, and how they are encoded."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import combinations
from typing import Annotated, Any, Literal

import numpy as np
import pandas as pd
import torch
from lightning.pytorch.utilities import rank_zero_only
from pydantic import Field
from torch import Tensor

from lightlab import terminal
from lightlab.data.arrays.learn import statistics
from lightlab.data.rows import Rows, shorten
from lightlab.data.tables.columns import (
    BOOLEANS,
    FARTHEST,
    LARGEST,
    check_not_misread,
    check_precision,
    is_boolean,
    misread,
    names_rows,
    read_numbers,
)
from lightlab.data.tables.dates import ISO, check_form, date_parts, looks_like_dates, part_names, read_dates
from lightlab.data_spec import InputSpec, Normalize
from lightlab.errors import ConfigError, DataError, Fault, did_you_mean, sentences
from lightlab.specs import check_parameters

#: A text column with more different values than this is no category.
MOST_CATEGORIES = 1000
#: A whole number that is written with a fraction.
WHOLE = re.compile(r"-?\d+\.0+")
#: A category of more different values than this becomes a learned vector, and not one-hot features.
MOST_ONE_HOT = 32

#: Of columns that are alike so many are named, and the rest counted.
MOST_LISTED = 8

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
        for name, form in self.dates.items():
            check_form(name, form)

    @classmethod
    def parse(cls, source: str, **given: Any) -> TableOptions:
        """Check what a config gives a source; for ``None`` there are defaults.

        Raises:
            ConfigError: with every fault.
        """
        options = {name: value for name, value in given.items() if value is not None}
        return cls(**check_parameters(cls, options, ("data",), name=source))

    def inputs(self, columns: Iterable[str], others: Iterable[str | None]) -> list[str]:
        """Return the columns that are inputs: those that are named for nothing else, or as dates, too."""
        left_out = {*others, *self.ignore} - {*self.dates}
        return [name for name in columns if name not in left_out]

    def check_roles(self, targets: list[str], id_column: str | None) -> None:
        """Refuse columns that are named for two things, as inputs, targets, ids or what is ignored.

        Raises:
            ConfigError: with every such column.
        """
        roles: dict[str, Iterable[str | None]] = {
            "target": targets,
            "id_column": [id_column],
            "numeric": dict.fromkeys(self.numeric),
            "categorical": dict.fromkeys(self.categorical),
            "dates": self.dates,
            "ignore": dict.fromkeys(self.ignore),
        }
        faults = [
            Fault(("data", second), f"A column has one role. Received {name!r} under {first} and {second}.")
            for first, second in combinations(roles, 2)
            for name in roles[first]
            if name is not None and name in roles[second]
        ]
        if faults:
            raise ConfigError(faults)


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

    def leave_out_constant(self, name: str, shown: str) -> None:
        """Leave out a column that never changes; ``shown`` is its value as it is said."""
        del self.kinds[name]
        self.left_out[name] = f"the same in every row of the train split: {shown}"

    def check_any(self, source: str) -> None:
        """Refuse a table of which nothing is left.

        Raises:
            DataError: with the reasons.
        """
        if not self.kinds:
            reasons = "; ".join(list_first(f"{name}: {reason}" for name, reason in self.left_out.items()))
            raise DataError(
                sentences(f"Inputs have at least one column that varies. {source} has none beside the target.", reasons)
            )

    def describe(self) -> list[str]:
        """Return a line for each kind, and one for each of the first columns that are left out."""
        lines = []
        for kind in ("numeric", "boolean", "date", "categorical"):
            if names := self.named(kind):
                lines.append(f"{kind}: {_listed(names)}")
        return lines + [
            f"left out: {text}" for text in list_first(f"{name} ({why})" for name, why in self.left_out.items())
        ]


def find_roles(rows: Rows, options: TableOptions) -> Roles:
    """Return what each column is taken for, from what a config says and what the train split shows.

    Raises:
        DataError: a column that can't be told, or is no input at all.
    """
    table = _table(rows)
    roles = infer_roles(rows, options)
    for name in list(roles.kinds):
        shown = _constant(table[name])
        if shown is None and roles.kinds[name] in ("numeric", "boolean"):
            numbers = read_numbers(table[name])
            shown = "empty" if np.isnan(numbers.values).all() and not numbers.text.any() else None
        if shown is not None:
            roles.leave_out_constant(name, shown)
    roles.check_any(rows.source)
    return roles


def infer_roles(rows: Rows, options: TableOptions) -> Roles:
    """Return what each column is taken for, columns that never change among them.

    Raises:
        DataError: a column that can't be told.
    """
    table = _table(rows)
    roles = Roles()
    said = {"numeric": options.numeric, "date": options.dates, "categorical": options.categorical}
    known = {name: kind for kind, names in said.items() for name in names}
    ignored = frozenset(options.ignore)
    for name in map(str, table.columns):
        if name in ignored:
            continue
        kind = known.get(name) or _infer_kind(rows, table, name)
        if kind.startswith("left out: "):
            roles.left_out[name] = kind.removeprefix("left out: ")
        else:
            roles.kinds[name] = kind
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
    distinct = column.unique()
    if len(distinct) > 1 or len(column) < 2:
        return None
    value = distinct[0]
    if pd.isna(value) or value == "":
        return "empty"
    if isinstance(value, float):
        return f"{value:g}"
    return repr(value) if isinstance(value, str) else str(value)


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
    measures: dict[str, Measures] = {}
    for name, values in read_columns(rows, table, roles.named("numeric", "boolean"), dates):
        if name in roles.kinds:
            check_precision(rows, name, values)
        measured = measure(values, options)
        if name in roles.kinds or measured.low < measured.high:  # part of a date may never change
            measures[name] = measured
    return make_table_spec(measures, categories, dates, normalize, options), roles


@dataclass(frozen=True)
class Measures:
    """What is known of the numbers of a column of the train split.

    Attributes:
        mean: of those that are not missing, as is all the rest.
        std: their standard deviation.
        low: the least.
        high: the largest.
        missing: how many are missing.
        middle: what stands for a missing one.
    """

    mean: float
    std: float
    low: float
    high: float
    missing: int
    middle: float


def measure(values: np.ndarray[Any, Any], options: TableOptions) -> Measures:
    """Measure a column of numbers, (rows,), NaN where one is missing."""
    known = values[~np.isnan(values)]
    middle = np.median if options.missing_numbers == "median" else np.mean
    found = (float(each(known)) for each in (np.mean, np.std, np.min, np.max))
    mean, std, low, high = found
    return Measures(mean, std, low, high, len(values) - len(known), float(middle(known)))


def make_table_spec(
    measures: dict[str, Measures],
    categories: dict[str, tuple[str, ...]],
    dates: dict[str, str],
    normalize: Normalize,
    options: TableOptions,
) -> InputSpec:
    """Return how a table is encoded, filled in and normalised, from what was learned of its columns."""
    of_each = ("mean", "std", "low", "high")
    mean, std, low, high = (np.array([getattr(one, name) for one in measures.values()]) for name in of_each)
    offset, scale = statistics(mean, std, low, high, normalize)
    fills = options.missing_numbers != "error"
    return InputSpec(
        (len(measures) + len(categories),),
        offset,
        scale,
        tuple(measures),
        categories,
        kind="table",
        dates=dates,
        fill=tuple(one.middle for one in measures.values()) if fills else (),
        indicators=tuple(name for name, one in measures.items() if one.missing and fills),
        embeddings=_embedding_lengths(categories, options.embeddings),
    )


def encode_table(
    rows: Rows, spec: InputSpec, missing_categories: str = "category", said: set[str] | None = None
) -> Tensor:
    """Return a split's inputs, (rows, columns): numbers, NaN where one is missing, then codes of categories.

    Args:
        rows: of the split.
        spec: what was learned from the train split.
        missing_categories: whether a missing category is a ``category`` of its own, or an ``error``.
        said: columns of which nothing more is to be said; those of which something was are added. For rows that
            come in parts.

    Raises:
        DataError: a column that is missing, or holds something else than in training.
    """
    table = _table(rows)
    said = set() if said is None else said
    check_trained_columns(spec, list(map(str, table.columns)), rows.source)
    encoded = np.empty((len(table), len(spec.columns) + len(spec.categories)), dtype=np.float32)
    places = {name: place for place, name in enumerate(spec.columns)}
    indicated = frozenset(spec.indicators)
    for name, values in read_columns(rows, table, _direct(spec), spec.dates):
        if name not in places:
            continue
        missing = np.isnan(values)
        given = name if name in table else name.rsplit(".", 1)[0]
        if missing.any() and not spec.fill:
            refuse_missing(rows, table, given, missing)
        if missing.any() and name not in indicated and given not in said:
            said.add(given)
            _say(f"filled: {int(missing.sum())} of {len(rows)} rows of {rows.source} lack {given}, which training has")
        _check_near(rows, table, given, (values - spec.offset[places[name]]) / spec.scale[places[name]])
        encoded[:, places[name]] = values
    for place, (name, known) in enumerate(spec.categories.items(), start=len(spec.columns)):
        texts = category_texts(table[name])
        if missing_categories == "error":
            check_present(rows, table, name, texts)
        codes = pd.Index(known).get_indexer(pd.Index(texts))
        unknown = codes < 0
        if unknown.any() and name not in said:
            said.add(name)
            shown = ", ".join(repr(shorten(text)) for text in texts[unknown].unique()[:3])
            _say(
                f"unknown: {int(unknown.sum())} of {len(rows)} rows of {rows.source} have in {name} what training has "
                f"not: {shown}"
            )
        encoded[:, place] = codes
    return torch.from_numpy(encoded)


def _check_near(rows: Rows, table: pd.DataFrame, name: str, normalized: np.ndarray[Any, Any]) -> None:
    """Refuse numbers that are so far from those of the train split that networks can't compute with them.

    Raises:
        DataError: with the first place.
    """
    far = np.abs(normalized) > FARTHEST
    if far.any():
        place = int(far.argmax())
        raise DataError(
            f"Normalised numbers are at most {FARTHEST:g}, whose square single precision holds. Received in column "
            f"{name!r}: {table[name].iloc[place]} at {rows.where(table, place)}, normalised {normalized[place]:g}, and "
            f"so in {int(far.sum())} of {len(table)} rows. Mend the file, set data.normalize, or put the column under "
            f"data.ignore."
        )


def describe_fill(spec: InputSpec, options: TableOptions) -> list[str]:
    """Return a line for each of the first columns that lack numbers in training: what stands for them."""
    fill = dict(zip(spec.columns, spec.fill, strict=False))  # without fill there are no indicators
    how = f"where it is missing, by the {options.missing_numbers}"
    return [f"filled: {text}" for text in list_first(f"{name}, {how} {fill[name]:g}" for name in spec.indicators)]


def check_trained_columns(spec: InputSpec, known: list[str], source: str) -> list[str]:
    """Return the columns of a table that a model takes.

    Args:
        spec: what was learned from the train split.
        known: the table's columns.
        source: what it is called.

    Raises:
        DataError: the table lacks one.
    """
    names = [*_direct(spec), *spec.dates, *spec.categories]
    there = frozenset(known)
    for name in names:
        if name not in there:
            near = did_you_mean(name, known)
            raise DataError(sentences(f"The model was trained with a column {name!r}. {source} has none.", near))
    return names


def _direct(spec: InputSpec) -> list[str]:
    """Return the columns of numbers that are no part of a date."""
    parts = {part for name in spec.dates for part in part_names(name)}
    return [name for name in spec.columns if name not in parts]


def _table(rows: Rows) -> pd.DataFrame:
    if isinstance(rows.inputs, pd.DataFrame):
        return rows.inputs
    raise DataError(f"The model takes columns of a table. Received: arrays, from {rows.source}.")


def read_columns(
    rows: Rows, table: pd.DataFrame, numeric: list[str], dates: dict[str, str]
) -> Iterator[tuple[str, np.ndarray[Any, Any]]]:
    """Give the columns of numbers, and the parts of dates, with NaN where a value is missing.

    Raises:
        DataError: a value that is infinite, or no number or date, with its place.
    """
    for name in numeric:
        column = table[name]
        numbers = read_numbers(column)
        bad = numbers.text | (np.abs(numbers.values) > LARGEST)
        if bad.any():
            place = int(bad.argmax())
            value = column.iloc[place]
            raise DataError(
                f"A column of numbers has finite numbers of at most {LARGEST:g}, with which single precision can "
                f"compute. Received in column {name!r}: "
                f"{value if isinstance(value, float) else repr(value)} at {rows.where(table, place)}, and so in "
                f"{int(bad.sum())} of {len(table)} rows. Mend the file, or say what the column is: data.categorical or "
                f"data.ignore."
            )
        yield name, numbers.values
    for name, form in dates.items():
        if both := [part for part in part_names(name) if part in table]:
            raise DataError(
                f"A date {name!r} becomes columns such as {both[0]!r}. {rows.source} has a column of that name "
                f"already: put one of them under data.ignore."
            )
        yield from date_parts(name, read_dates(rows, table, name, form)).items()


def _learn_category(rows: Rows, table: pd.DataFrame, name: str, options: TableOptions) -> tuple[str, ...]:
    texts = category_texts(table[name])
    if options.missing_categories == "error":
        check_present(rows, table, name, texts)
    return sorted_categories(rows, name, texts.unique())


def sorted_categories(rows: Rows, name: str, texts: Iterable[str]) -> tuple[str, ...]:
    """Return the values of a column of categories, in order.

    Raises:
        DataError: there are too many.
    """
    values = tuple(sorted(texts))
    if len(values) > MOST_CATEGORIES:
        raise DataError(
            f"A column of categories has at most {MOST_CATEGORIES} different values. Received: {len(values)} in "
            f"column {name!r} of {rows.source}. Put it under data.ignore if it only names rows."
        )
    return values


def check_present(rows: Rows, table: pd.DataFrame, name: str, texts: pd.Series[Any]) -> None:
    """Refuse a column of categories without one somewhere.

    Raises:
        DataError: with the first place.
    """
    missing = (texts == "").to_numpy()
    if missing.any():
        refuse_missing(rows, table, name, missing)


def refuse_missing(rows: Rows, table: pd.DataFrame, name: str, missing: np.ndarray[Any, Any]) -> None:
    """Say where values are missing that must not be.

    Raises:
        DataError: with the first place.
    """
    place = int(missing.argmax())
    raise DataError(
        f"With data.missing_numbers or data.missing_categories set to error, every row has a value. Received in column "
        f"{name!r}: nothing at {rows.where(table, place)}, and so in {int(missing.sum())} of {len(table)} rows."
    )


def category_texts(column: pd.Series[Any]) -> pd.Series[Any]:
    """Return categories as text, the same for the same values in every form of file.

    Whole numbers have no point, booleans are true and false; a missing one is the empty text, a category of its own.
    """
    codes, distinct = pd.factorize(column)
    names = [_category(str(value)) for value in distinct.tolist()]
    # The last place is for values that are missing, whose code is −1.
    return pd.Series(np.array([*names, ""], dtype=object)[codes], index=column.index).astype(str)


def _category(text: str) -> str:
    if WHOLE.fullmatch(text):
        return text.split(".")[0]
    return text.lower() if text.lower() in BOOLEANS else text


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


def _listed(names: list[str]) -> str:
    return ", ".join(names[:MOST_LISTED]) + (f" and {len(names) - MOST_LISTED} more" if names[MOST_LISTED:] else "")


def list_first(texts: Iterable[str]) -> list[str]:
    """Return the first of many texts, and how many more there are: thousands of columns may be alike."""
    given = list(texts)
    return given[:MOST_LISTED] + ([f"{len(given) - MOST_LISTED} more columns"] if given[MOST_LISTED:] else [])


_say = rank_zero_only(terminal.say)
