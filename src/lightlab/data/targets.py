"""From the columns of a target to what a head takes, and the checks on the way."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import torch
from pandas.api.types import is_bool_dtype, is_float_dtype, is_numeric_dtype, is_object_dtype
from torch import Tensor

from lightlab.data.rows import Rows
from lightlab.data.tables.columns import LARGEST, check_precision, is_boolean, is_numeric, read_numbers
from lightlab.data_spec import TargetSpec
from lightlab.errors import Key, TargetError
from lightlab.problems import Problem, TargetKind

#: Whole numbers of at most this many different values are taken for classes.
MOST_INFERRED_CLASSES = 20
#: Whole numbers below this one are all different as floats.
MOST_EXACT = 2**53
#: Where a config says the problem.
PROBLEM_KEY: Key = ("model", "problem")


def infer_problem(targets: pd.DataFrame) -> tuple[str, str]:
    """Return the problem that a target looks like, and what makes it look so.

    One column of text, of booleans, or of at most 20 different whole numbers is for classes; other numbers are for
    regression. Several columns of 0 and 1 are labels, or one-hot classes where every row has exactly one 1.
    """
    if targets.shape[1] > 1:
        if not _is_zero_or_one(targets):
            return "regression", f"{targets.shape[1]} columns of numbers"
        if bool((targets.astype(float).sum(axis=1) == 1).all()):
            return "multiclass", "columns of 0 and 1, one 1 in each row"
        return "multilabel", "columns of 0 and 1"
    column = targets.iloc[:, 0]
    distinct = column.nunique()
    if is_numeric_dtype(column) and not is_bool_dtype(column):
        known = column.dropna()
        whole = not is_float_dtype(column) or bool((known % 1 == 0).all())
        # A float that is larger, or infinite, is measured or a slip, and names nothing.
        exact = not is_float_dtype(column) or bool((known.abs() < MOST_EXACT).all())
        if not whole or not exact or distinct > MOST_INFERRED_CLASSES:
            return "regression", "numbers" if whole or not exact else "numbers with fractions"
        kind = "whole numbers"
    else:
        kind = "booleans" if is_bool_dtype(column) else "texts"
    return ("binary" if distinct == 2 else "multiclass"), f"{distinct} different {kind}"


def typed_target(column: pd.Series[Any]) -> pd.Series[Any]:
    """Return a target column as numbers or booleans where it holds nothing else; else as text, missing where empty."""
    if isinstance(column.dtype, pd.CategoricalDtype):
        return column  # names, whatever they look like
    if not is_numeric(column):
        return column.where(column != "")
    values = read_numbers(column).values
    if is_boolean(column):
        return column.where(column != "") if np.isnan(values).any() else pd.Series(values == 1, index=column.index)
    if np.nanmax(np.abs(values)) >= MOST_EXACT and _are_digits(column[~np.isnan(values)]):
        return column.mask(np.isnan(values))  # which tells them apart
    return pd.Series(values, index=column.index)


def _are_digits(column: pd.Series[Any]) -> bool:
    """Return whether numbers are written as whole ones: 12 and -3, but neither 1e38 nor inf."""
    return not is_float_dtype(column) and bool(column.astype(str).str.strip().str.fullmatch(r"[+-]?\d+").all())


def named_classes(names: list[Any]) -> pd.Categorical[Any]:
    """Return classes that are names, whatever they look like; of whole numbers 2 comes before 10."""
    distinct = set(names)
    whole = all(name.isdecimal() for name in distinct)
    return pd.Categorical(
        names, categories=sorted(distinct, key=lambda name: (int(name), name) if whole else (0, name))
    )


def typed_targets(rows: Rows, classes: tuple[str, ...] = ()) -> Rows:
    """Return rows whose target columns are numbers or booleans where they hold nothing else.

    Args:
        rows: of a split, targets as they are written.
        classes: what the train split has; where these are texts, so are the targets of any other split, whichever
            values it happens to hold.
    """
    words = [name for name in classes if name not in ("true", "false")]
    if rows.targets is None or pd.to_numeric(pd.Series(words, dtype=object), errors="coerce").isna().any():
        return rows
    return replace(rows, targets=rows.targets.apply(typed_target))


def check_are_numbers(rows: Rows) -> None:
    """Refuse several targets of which one is text.

    Raises:
        TargetError: with the column.
    """
    targets = known_targets(rows)
    for name in targets:
        text = read_numbers(targets[name]).text
        if text.any():
            place = int(text.argmax())
            raise TargetError(
                f"Several targets are columns of numbers. Received in column {str(name)!r}: "
                f"{targets[name].iloc[place]!r} at {rows.where(targets, place)}. Name one column of classes."
            )


def learn_target(rows: Rows, problem: Problem) -> TargetSpec:
    """Learn from the train split what the target holds.

    Args:
        rows: of the train split.
        problem: says how targets are encoded.

    Raises:
        TargetError: the target does not fit the problem.
    """
    targets = known_targets(rows)
    columns = tuple(map(str, targets.columns))
    if problem.target == "numbers":
        numbers = _numbers(rows, targets, problem)
        for name, values in zip(columns, numbers.T, strict=True):
            check_precision(rows, name, values)
        std = numbers.std(axis=0)
        return TargetSpec(
            columns,
            mean=tuple(numbers.mean(axis=0).tolist()),
            std=tuple(np.where(std > 0, std, 1.0).tolist()),
            rows=len(rows),
        )
    if problem.target == "labels":
        labels = _numbers(rows, targets, problem)
        return TargetSpec(columns, counts=tuple(int(count) for count in labels.sum(axis=0)), rows=len(rows))
    if len(columns) > 1:
        return _learn_one_hot(rows, targets, problem, columns)
    _refuse_fractions(rows, targets, problem)
    texts = class_names(targets.iloc[:, 0])
    sizes = texts.value_counts()
    classes = _sorted_classes(targets.iloc[:, 0])
    if len(classes) < 2 or (problem.name == "binary" and len(classes) != 2):
        wanted = "exactly two classes" if problem.name == "binary" else "at least two classes"
        raise TargetError(
            f"Problem {problem.name} needs {wanted} in the train split. Received in column {columns[0]!r} of "
            f"{rows.source}: {len(classes)} ({_listed(classes)}). {_other_problem(targets, problem)}".rstrip(),
            about=PROBLEM_KEY,
        )
    return TargetSpec(columns, classes, tuple(int(sizes[name]) for name in classes), rows=len(rows))


def encode_target(rows: Rows, spec: TargetSpec, kind: TargetKind, problem: Problem, split: str) -> Tensor:
    """Return a split's targets as the head takes them.

    Args:
        rows: of the split.
        spec: what was learned from the train split.
        kind: how targets are encoded.
        problem: for messages.
        split: its name, for messages.

    Returns:
        codes (rows,) for classes; floats (rows, columns) otherwise.

    Raises:
        TargetError: a value that is missing, of another type, or of a class that the train split lacks.
    """
    targets = known_targets(rows)
    if kind != "class":
        return torch.from_numpy(_numbers(rows, targets, problem).astype(np.float32))
    if targets.shape[1] > 1:
        return torch.from_numpy(_one_hot(rows, targets, problem).argmax(axis=1))
    column = targets.iloc[:, 0]
    texts = class_names(column)
    codes = pd.Index(spec.classes).get_indexer(texts.cat.categories)[texts.cat.codes]
    unseen = codes < 0
    if unseen.any():
        found = texts[unseen].cat.remove_unused_categories().value_counts()
        raise TargetError(
            f"Every class of {split} is one that the model learns from the train split: {_listed(spec.classes)}. "
            f"Received in column {column.name!r}, first at {rows.where(targets, int(unseen.argmax()))}: "
            f"{', '.join(f'{name!r} ({count} rows)' for name, count in found[:5].items())}"
            f"{f' and {len(found) - 5} others' if len(found) > 5 else ''}."
        )
    return torch.from_numpy(codes.astype(np.int64))


def check_encoded(rows: Rows, encoded: Tensor, valid: Callable[[Tensor], Tensor], rule: str, split: str) -> None:
    """Hold encoded targets against what the head can learn.

    Args:
        rows: of the split.
        encoded: their targets.
        valid: returns which can be learned.
        rule: what ``valid`` asks, in words.
        split: its name, for messages.

    Raises:
        TargetError: with column, first value, where it stands, and how many there are.
    """
    wrong = ~valid(encoded)
    if not bool(wrong.any()):
        return
    targets = known_targets(rows)
    by_column = wrong if wrong.ndim == 2 else wrong[:, None]
    column = int(by_column.any(0).int().argmax())
    place = int(by_column[:, column].int().argmax())
    raise TargetError(
        f"{rule} Received in column {str(targets.columns[column])!r} of {split}: "
        f"{targets.iat[place, column]!s} at {rows.where(targets, place)}, and so in {int(by_column[:, column].sum())} "
        f"of {len(rows)} rows.",
        about=("model", "head"),
    )


def class_names(column: pd.Series[Any]) -> pd.Series[Any]:
    """Return each value as the name of its class, a category; whole numbers are written without a point."""
    # Named once for each distinct value; but among objects, True is the same as 1.
    codes, distinct = pd.factorize(column.astype(str) if is_object_dtype(column) else column, use_na_sentinel=False)
    names = pd.Series(distinct)
    if is_float_dtype(column):
        names = names.map(lambda value: str(int(value)) if value % 1 == 0 else str(value))
    names = names.astype(str).str.lower() if is_bool_dtype(column) else names.astype(str)
    places, categories = pd.factorize(names.astype(object))
    return pd.Series(pd.Categorical.from_codes(places[codes], categories), index=column.index)


def _sorted_classes(column: pd.Series[Any]) -> tuple[str, ...]:
    """Return the class names in the order of their values, so that 2 comes before 10."""
    values = column.drop_duplicates()
    try:
        values = values.sort_values()
    except TypeError:  # values of several types
        values = values.sort_values(key=lambda part: part.map(str))
    return tuple(dict.fromkeys(class_names(values)))  # 1 and '1' are one


def known_targets(rows: Rows) -> pd.DataFrame:
    """Return the target columns.

    Raises:
        TargetError: there are none, or a value is missing.
    """
    if rows.targets is None:
        raise TargetError(
            f"Training and evaluation need the target. {rows.source} is without it: set data.target.", ("data",)
        )
    missing = rows.targets.isna()
    if missing.to_numpy().any():
        column = missing.columns[int(missing.any().to_numpy().argmax())]
        place = int(missing[column].to_numpy().argmax())
        raise TargetError(
            f"A target has a value in every row. Missing in column {str(column)!r}: {int(missing[column].sum())} of "
            f"{len(rows)} rows, first at {rows.where(rows.targets, place)}."
        )
    return rows.targets


def _numbers(rows: Rows, targets: pd.DataFrame, problem: Problem) -> np.ndarray[Any, Any]:
    for name in targets:
        column = targets[name]
        bad = read_numbers(column).text
        if not bad.any():
            continue
        place = int(bad.argmax())
        raise TargetError(
            f"Problem {problem.name} needs numbers. Received in column {str(name)!r}: {column.iat[place]!r} at "
            f"{rows.where(targets, place)}, and so in {int(bad.sum())} of {len(rows)} rows. "
            f"{_other_problem(targets, problem)}".rstrip(),
            about=PROBLEM_KEY,
        )
    numbers = np.stack([read_numbers(targets[name]).values for name in targets], axis=1)
    bad = ~(np.abs(numbers) <= LARGEST)
    if bad.any():
        place, position = map(int, np.argwhere(bad)[0])
        raise TargetError(
            f"Targets are finite numbers of at most {LARGEST:g}, with which single precision can compute. Received in "
            f"column {str(targets.columns[position])!r}: {targets.iat[place, position]!s} at "
            f"{rows.where(targets, place)}, and so in {int(bad.any(axis=1).sum())} of {len(rows)} rows."
        )
    return numbers


def _refuse_fractions(rows: Rows, targets: pd.DataFrame, problem: Problem) -> None:
    """Refuse classes that are numbers with fractions, which are measured and not named.

    Raises:
        TargetError: with the first, where it stands, and how many there are.
    """
    column = targets.iloc[:, 0]
    if not is_float_dtype(column):
        return
    fractions = ((column % 1 != 0) | (column.abs() > LARGEST)).to_numpy()
    if fractions.any():
        place = int(fractions.argmax())
        raise TargetError(
            f"Classes are names or whole numbers. Received in column {str(column.name)!r}: {column.iloc[place]} at "
            f"{rows.where(targets, place)}, and so in {int(fractions.sum())} of {len(rows)} rows. Set model.problem to "
            f"regression, mend the file, or give the classes names.",
            about=PROBLEM_KEY,
        )


def _learn_one_hot(rows: Rows, targets: pd.DataFrame, problem: Problem, columns: tuple[str, ...]) -> TargetSpec:
    if problem.name == "binary":
        raise TargetError(
            f"Problem binary takes one column of classes. Received: {len(columns)} columns ({_listed(columns)}). "
            f"{_other_problem(targets, problem)}".rstrip(),
            about=PROBLEM_KEY,
        )
    values = _one_hot(rows, targets, problem)
    return TargetSpec(columns, columns, tuple(int(count) for count in values.sum(axis=0)), rows=len(rows))


def _one_hot(rows: Rows, targets: pd.DataFrame, problem: Problem) -> np.ndarray[Any, Any]:
    """Return columns of classes as numbers, (rows, classes).

    Raises:
        TargetError: a row that is not made of zeros and one 1.
    """
    values = _numbers(rows, targets, problem)
    wrong = ~((values == 1).sum(axis=1) == 1) | ~np.isin(values, (0, 1)).all(axis=1)
    if wrong.any():
        place = int(wrong.argmax())
        raise TargetError(
            f"Several columns of classes have one 1 in each row, and 0 elsewhere. Received at "
            f"{rows.where(targets, place)}: {', '.join(f'{value:g}' for value in values[place])} in "
            f"{_listed(list(map(str, targets.columns)))}, and so in {int(wrong.sum())} of {len(rows)} rows. "
            f"{_other_problem(targets, problem)}".rstrip(),
            about=PROBLEM_KEY,
        )
    return values


def _is_zero_or_one(targets: pd.DataFrame) -> bool:
    return all(is_numeric_dtype(targets[name]) and bool(targets[name].isin([0, 1]).all()) for name in targets)


def _other_problem(targets: pd.DataFrame, problem: Problem) -> str:
    looks_like, reason = infer_problem(targets)
    nothing = targets.shape[1] == 1 and targets.iloc[:, 0].nunique() < 2  # which no problem is about
    return "" if nothing or looks_like == problem.name else f"It looks like {looks_like} ({reason})."


def _listed(names: Sequence[str], most: int = 10) -> str:
    shown = ", ".join(map(repr, names[:most]))
    return f"{shown} and {len(names) - most} more" if len(names) > most else shown
