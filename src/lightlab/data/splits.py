"""Which rows are for training, validation and testing.

pandas, and scikit-learn, which cuts folds, are imported where they are used: they take a second.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import ceil
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
from pydantic import Field

from lightlab.errors import ConfigError, DataError, did_you_mean, sentences
from lightlab.specs import check_parameters

if TYPE_CHECKING:
    import pandas as pd

    from lightlab.data.rows import Places, Rows

SPLITS = ("train", "val", "test")
#: What people write for a split in a column.
SPELLINGS = {"train": "train", "training": "train", "val": "val", "valid": "val", "validation": "val", "dev": "val"}
SPELLINGS |= {"test": "test", "testing": "test"}
KEY = ("data", "split")
Share = Annotated[float, Field(ge=0, le=1)]


@dataclass(frozen=True)
class Split:
    """How rows are shared out.

    Attributes:
        shares: of train, validation and test; they add up to 1, and the last two may be 0.
        stratify: whether each split has the classes in the same proportions, where the target is of classes.
        groups: a column whose values are kept together: no value stands in two splits.
        time: a column by which rows are ordered: the oldest are for training, the latest for testing. Rows of the
            same time stay together.
        form: how the times are written, as for ``strptime``; by default numbers, or as in 2024-01-31.
        column: a column that says of each row which split it is for: train, val or test.
        folds: how many parts the rows are cut into, after the share of the test split; ``fold`` is for validation.
        fold: which part, from 0 on.
    """

    shares: tuple[Share, Share, Share] = (0.7, 0.15, 0.15)
    stratify: bool = True
    groups: str | None = None
    time: str | None = None
    form: str | None = None
    column: str | None = None
    folds: Annotated[int, Field(ge=2)] | None = None
    fold: Annotated[int, Field(ge=0)] = 0

    @property
    def columns(self) -> list[str]:
        """The columns that it asks for."""
        return [name for name in (self.groups, self.time, self.column) if name]

    def without_test(self) -> Split:
        """Return how to share out the rest where the rows to test on stand elsewhere."""
        train, val, _ = self.shares
        return replace(self, shares=(train / (train + val), val / (train + val), 0.0))


def parse_split(config: Any) -> Split:
    """Read how rows are shared out: three shares, or a mapping of what `Split` has.

    Raises:
        ConfigError: with every fault.
    """
    given = config if isinstance(config, Mapping) else {"shares": list(config)}
    if isinstance(given.get("shares", ()), list | tuple) and len(given.get("shares", SPLITS)) != len(SPLITS):
        raise ConfigError.at(KEY, f"split has three shares: train, validation, test. Received: {given['shares']}.")
    split = Split(**check_parameters(Split, given, KEY, name="split"))
    shares = split.shares
    if shares[0] == 0 or abs(sum(shares) - 1) > 1e-6:
        raise ConfigError.at(
            KEY,
            "split has three shares (train, validation, test) that add up to 1; the first is not 0. "
            f"Received: {list(shares)}.",
        )
    if len(split.columns) > 1:
        raise ConfigError.at(KEY, f"Rows are split by one column. Received: {', '.join(split.columns)}.")
    if split.column and split.folds:
        raise ConfigError.at(KEY, "Rows are split by a column or into folds. Received: both column and folds.")
    if split.fold and split.fold >= (split.folds or 1):
        last = f"0 to {split.folds - 1}" if split.folds else "0, as folds is not given"
        raise ConfigError.at((*KEY, "fold"), f"fold is one of the folds: {last}. Received: {split.fold}.")
    return split


def split_rows(rows: Rows, split: Split, seed: int, strata: np.ndarray[Any, Any] | None = None) -> dict[str, Places]:
    """Share out rows.

    Args:
        rows: all of them.
        split: how.
        seed: the same one gives the same splits.
        strata: the class of each row: each split then has the classes in the same proportions. Classes of fewer
            rows than there are splits go to the train split.

    Returns:
        for each split its places, sorted; a split without rows is left out.

    Raises:
        DataError: a split that was asked for is left with nothing, or a column can't be used.
    """
    strata = strata if split.stratify else None
    if split.column:
        parts = _by_column(rows, split.column)
    elif split.folds:
        parts = _into_folds(rows, split, split.folds, seed, strata)
    elif split.time:
        parts = _by_time(_times(rows, split.time, split.form), split.shares)
    elif split.groups:
        parts = _by_group(_column(rows, split.groups), split.shares, seed)
    else:
        parts = _at_random(np.arange(len(rows)), split.shares, seed, strata)
    for name, share in zip(SPLITS, split.shares, strict=True):
        wanted = name == "train" if split.column else share > 0 or (name == "val" and split.folds)
        if wanted and not len(parts[name]):
            how = f"by {split.columns[0]!r}" if split.columns else f"with a share of {share:g}"
            raise DataError(
                f"Every split that data.split asks for has rows. Received: {len(rows)} rows, of which the split {how} "
                f"leaves none for {name}. Bring more rows, or set that share to 0."
            )
    return {name: np.sort(places) for name, places in parts.items() if len(places)}


def _counts(rows: int, shares: tuple[float, float, float]) -> list[int]:
    val, test = (round(rows * share) for share in shares[1:])
    return [rows - val - test, val, test]


def _at_random(
    places: Places, shares: tuple[float, float, float], seed: int, strata: np.ndarray[Any, Any] | None
) -> dict[str, Places]:
    common, rare = places, places[:0]
    if strata is not None:
        _, codes, sizes = np.unique(strata, return_inverse=True, return_counts=True)
        is_common = sizes[codes] >= sum(share > 0 for share in shares)
        if is_common.any():
            common, rare, strata = places[is_common], places[~is_common], codes
        else:
            strata = None
    # Of all rows, but no more of the common ones than their share.
    val_rows, test_rows = (min(round(len(places) * share), ceil(len(common) * share)) for share in shares[1:])
    rest, test = _cut(common, test_rows, seed, strata)
    train, val = _cut(rest, val_rows, seed + 1, strata)
    return {"train": np.concatenate([train, rare]), "val": val, "test": test}


def _cut(places: Places, count: int, seed: int, strata: np.ndarray[Any, Any] | None) -> tuple[Places, Places]:
    """Take ``count`` of the places away at random: of each class its share, to the row above or below.

    Classes stand one after another, each in a random order, and places are taken at equal distances: systematic
    sampling with implicit stratification (Cochran 1977, ch. 8).
    """
    count = min(count, len(places))
    if not count:
        return places, places[:0]
    generator = np.random.default_rng(seed)
    order = generator.permutation(len(places))
    if strata is not None:
        order = order[np.argsort(strata[places[order]], kind="stable")]
    first = generator.integers(len(places))
    is_taken = np.zeros(len(places), dtype=bool)
    is_taken[order[(np.arange(count) * len(places) + first) // count]] = True
    return places[~is_taken], places[is_taken]


def _by_column(rows: Rows, name: str) -> dict[str, Places]:
    column = _column(rows, name)
    given = column.astype(str).str.strip().str.lower().map(SPELLINGS)
    if given.isna().any():
        place = int(given.isna().to_numpy().argmax())
        raise DataError(
            f"A column that says which split a row is for holds train, val or test. Received in column {name!r}: "
            f"{column.iloc[place]!r} at {rows.where(column, place)}, and so in {int(given.isna().sum())} rows."
        )
    return {split: np.flatnonzero((given == split).to_numpy()) for split in SPLITS}


def _by_time(times: np.ndarray[Any, Any], shares: tuple[float, float, float]) -> dict[str, Places]:
    """Cut rows in their order, each time at the change of time that comes nearest to the shares."""
    order = np.argsort(times, kind="stable")
    ordered = times[order]
    changes = np.array([0, *(np.flatnonzero(ordered[1:] != ordered[:-1]) + 1), len(times)])
    wanted = np.cumsum(_counts(len(times), shares))[:2]
    cuts = [int(changes[np.abs(changes - cut).argmin()]) for cut in wanted]
    return dict(zip(SPLITS, np.split(order, cuts), strict=True))


def _by_group(groups: pd.Series[Any], shares: tuple[float, float, float], seed: int) -> dict[str, Places]:
    """Give each group, the largest first, to the split that is furthest from its share."""
    codes = _codes(groups)
    sizes = np.bincount(codes)
    order = np.random.default_rng(seed).permutation(len(sizes))
    order = order[np.argsort(-sizes[order], kind="stable")]
    missing = np.array(shares) * len(groups)
    given = np.zeros(len(sizes), dtype=np.int64)
    for group in order:
        given[group] = missing.argmax()
        missing[given[group]] -= sizes[group]
    return {split: np.flatnonzero(given[codes] == number) for number, split in enumerate(SPLITS)}


def _into_folds(
    rows: Rows, split: Split, folds: int, seed: int, strata: np.ndarray[Any, Any] | None
) -> dict[str, Places]:
    """Take the test split away, which is the same for every fold, and cut the rest into folds."""
    shares = (1 - split.shares[2], 0.0, split.shares[2])
    groups = _codes(_column(rows, split.groups)) if split.groups else None
    times = _times(rows, split.time, split.form) if split.time else None
    if times is not None:
        parts = _by_time(times, shares)
    elif split.groups:
        parts = _by_group(_column(rows, split.groups), shares, seed)
    else:
        parts = _at_random(np.arange(len(rows)), shares, seed, strata)
    rest = parts["train"]
    try:
        if times is not None:
            cuts = _folds_in_time(times[rest], folds)
        else:
            of_rest = (None if values is None else values[rest] for values in (strata, groups))
            cuts = _folds_at_random(len(rest), folds, seed, *of_rest)
    except ValueError as cause:
        what = f"{len(np.unique(groups[rest]))} groups" if groups is not None else f"{len(rest)} rows"
        raise DataError(f"data.split.folds cuts rows or groups. {what} can't be cut into {folds}: {cause}") from cause
    train, val = cuts[split.fold]
    return {"train": rest[train], "val": rest[val], "test": parts["test"]}


def _folds_in_time(times: np.ndarray[Any, Any], folds: int) -> list[tuple[Places, Places]]:
    """Return for each fold the rows before it, and its own; rows of the same time stay together."""
    from sklearn.model_selection import TimeSeriesSplit

    distinct, codes = np.unique(times, return_inverse=True)
    cuts = TimeSeriesSplit(folds).split(distinct)
    return [(np.flatnonzero(np.isin(codes, train)), np.flatnonzero(np.isin(codes, val))) for train, val in cuts]


def _folds_at_random(
    rows: int, folds: int, seed: int, strata: np.ndarray[Any, Any] | None, groups: np.ndarray[Any, Any] | None
) -> list[tuple[Places, Places]]:
    """Return for each fold the other rows, and its own."""
    from sklearn.model_selection import GroupKFold, KFold, StratifiedGroupKFold, StratifiedKFold

    classes = None if strata is None else _codes(strata)
    if classes is not None and np.bincount(classes).min(initial=folds) < folds:
        classes = None  # too few rows for one of each class in each fold
    shuffled: dict[str, Any] = {"n_splits": folds, "shuffle": True, "random_state": seed}
    if groups is not None:
        cutter = GroupKFold(**shuffled) if classes is None else StratifiedGroupKFold(**shuffled)
    else:
        cutter = KFold(**shuffled) if classes is None else StratifiedKFold(**shuffled)
    return list(cutter.split(np.arange(rows), classes, groups))


def _codes(values: pd.Series[Any] | np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Return a number for each value, from 0 on in the order in which values first occur."""
    import pandas as pd

    return pd.factorize(values)[0]


def _column(rows: Rows, name: str) -> pd.Series[Any]:
    """Return a column to split by.

    Raises:
        DataError: there is none, or it has missing values.
    """
    if rows.columns is None or name not in rows.columns:
        known = [] if rows.columns is None else list(map(str, rows.columns))
        there = f"There are: {', '.join(known)}." if known else "It has no columns to split by."
        raise DataError(
            sentences(f"data.split names a column. {rows.source} has no {name!r}.", did_you_mean(name, known) or there),
            about=name,
        )
    column = rows.columns[name]
    missing = (column.isna() | (column.astype(str) == "")).to_numpy()
    if missing.any():
        raise DataError(
            f"A column to split by has a value in every row. Missing in column {name!r}: {int(missing.sum())} rows, "
            f"first at {rows.where(column, int(missing.argmax()))}."
        )
    return column


def _times(rows: Rows, name: str, form: str | None) -> np.ndarray[Any, Any]:
    """Return a column as times, or numbers, that can be ordered."""
    import pandas as pd

    column = _column(rows, name)
    numbers = pd.to_numeric(column, errors="coerce")
    if form is None and not numbers.isna().any():
        return numbers.to_numpy()
    times = pd.to_datetime(column, errors="coerce", format=form or "ISO8601", utc=True)
    if times.isna().any():
        place = int(times.isna().to_numpy().argmax())
        wanted = f"of the form {form}" if form else "as in 2024-01-31"
        raise DataError(
            f"A column to split by time holds numbers or dates {wanted}. Received in column {name!r}: "
            f"{column.iloc[place]!r} at {rows.where(column, place)}. data.split.form names "
            f"another form, as in '%d/%m/%Y'."
        )
    return times.dt.tz_convert(None).to_numpy()
