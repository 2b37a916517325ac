"""What a config's data holds, as plain data: what `lightlab data` prints, and gives to tools as JSON."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from lightlab.data.base import Data
from lightlab.data.files import FileData
from lightlab.data.rows import Rows, Stored
from lightlab.data.tables.columns import read_numbers
from lightlab.data.tables.dates import read_dates
from lightlab.data.tables.features import TableOptions, find_roles
from lightlab.data.targets import encode_target
from lightlab.data.texts.tokens import PADDING, UNKNOWN
from lightlab.data_spec import DataSpec, InputSpec
from lightlab.problems import TargetKind
from lightlab.registry import PROBLEMS

#: A sample has so many rows.
SAMPLE = 5
#: So many arrays, images or texts tell what they are like.
MEASURED = 1000
#: So many of the words that come most often are named.
TOP_WORDS = 10

Plain = dict[str, Any]


def describe(data: Data, spec: DataSpec, said: list[str]) -> Plain:
    """Return what is there, as dictionaries, lists, text and finite numbers.

    Figures of inputs are of the train split, as all that a model learns from data is; counts of classes and of
    missing values are of every split.

    Args:
        data: connected to a model or a problem.
        spec: what it returned.
        said: the lines that it printed.

    Example:
        >>> from lightlab import BundledData
        >>> data = BundledData("iris")
        >>> described = describe(data, data.connect("multiclass"), [])
        >>> described["target"]["counts"]["val"]
        {'setosa': 7, 'versicolor': 7, 'virginica': 8}
    """
    prefix = "problem: "
    reasons = [line.removeprefix(prefix) for line in said if line.startswith(prefix)]
    quiet = (prefix, "warning: ", "numeric: ", "boolean: ", "date: ", "categorical: ", "left out: ")
    return {
        "source": {"class": type(data).__name__, "from": _places(data)},
        "problem": {"name": spec.problem, "reason": reasons[0] if reasons else "as model.problem says"},
        "splits": describe_splits(data),
        "target": describe_target(data, spec),
        "inputs": describe_inputs(data, spec.input),
        "sample": take_sample(data),
        "notes": [line for line in said if not line.startswith(quiet)],
        "warnings": [str(finding) for finding in data.findings],
    }


def _places(data: Data) -> list[str]:
    """Return where rows come from."""
    if isinstance(data, FileData):
        return list(data.paths.values())
    return list(dict.fromkeys(rows.source for rows in data.rows.values()))


def describe_splits(data: Data) -> Plain:
    """Return for each split its rows, their share, and the SHA-256 of what they hold; ``None`` where not known."""
    counts, digests = data.counts, data.digests()
    known = [count for count in counts.values() if count is not None]
    total = sum(known) if len(known) == len(counts) else 0
    return {
        split: {
            "rows": count,
            "share": count / total if count is not None and total else None,
            "sha256": digests.get(split, {}).get("sha256"),
        }
        for split, count in counts.items()
    }


# The target


def describe_target(data: Data, spec: DataSpec) -> Plain:
    """Return the columns, and for each split the rows of each class, the rows with each label, or figures."""
    kind = PROBLEMS.get(spec.problem).target
    described: Plain = {"kind": kind, "columns": list(spec.target.columns)}
    encoded = {split: encode_known_targets(data, spec, split) for split in data.rows}
    if not any(len(targets) for targets in encoded.values() if targets is not None):
        return described | _known_to_spec(spec, kind)
    counts: Plain = {}
    figures: Plain = {name: {} for name in spec.target.columns}
    for split, targets in encoded.items():
        if targets is None:
            continue
        if kind == "class":
            sizes = targets.bincount(minlength=len(spec.target.classes)).tolist()
            counts[split] = dict(zip(spec.target.classes, sizes, strict=True))
        elif kind == "labels":
            counts[split] = dict(zip(spec.target.columns, targets.sum(0).int().tolist(), strict=True))
        else:
            for name, values in zip(spec.target.columns, targets.double().numpy().T, strict=True):
                figures[name][split] = number_figures(values, quartiles=True)
    return described | ({"figures": figures} if kind == "numbers" else {"counts": counts})


def encode_known_targets(data: Data, spec: DataSpec, split: str) -> Tensor | None:
    """Return a split's targets as a head takes them; ``None`` where they are not known."""
    rows, problem = data.rows[split], PROBLEMS.get(spec.problem)
    if split == "predict" or rows.targets is None:
        return None
    return encode_target(rows, spec.target, problem.target, problem, split)


def _known_to_spec(spec: DataSpec, kind: TargetKind) -> Plain:
    """Return what was learned of a train split whose rows are not at hand."""
    target = spec.target
    if kind == "numbers":
        pairs = zip(target.columns, target.mean, target.std, strict=True)
        return {"figures": {name: {"train": {"mean": mean, "std": std}} for name, mean, std in pairs}}
    return {"counts": {"train": dict(zip(target.classes or target.columns, target.counts, strict=True))}}


def number_figures(values: np.ndarray[Any, Any], quartiles: bool = False) -> Plain:
    """Return mean, standard deviation, least, median and largest of numbers, NaN aside; ``None`` of no numbers.

    >>> number_figures(np.array([1.0, 2.0, np.nan, 6.0]))["median"]
    2.0
    """
    known = values[~np.isnan(values)]
    low, quarter, middle, most, high = np.quantile(known, (0, 0.25, 0.5, 0.75, 1)) if len(known) else [np.nan] * 5
    mean, std = (known.mean(), known.std()) if len(known) else (np.nan, np.nan)
    figures = {"mean": mean, "std": std, "min": low, "q25": quarter, "median": middle, "q75": most, "max": high}
    return {name: plain(value) for name, value in figures.items() if quartiles or name not in ("q25", "q75")}


# Inputs


def describe_inputs(data: Data, spec: InputSpec) -> Plain:
    """Return what the inputs are like."""
    described: Plain = {"kind": spec.kind, "shape": list(spec.shape)}
    train = data.rows.get("train")
    if spec.kind == "table":
        return described | (describe_table(data, spec, train) if _has_table(train) else _table_of_spec(spec))
    if train is None or not len(train):
        return described | ({"vocabulary": len(spec.vocabulary)} if spec.kind == "text" else {})
    return described | (describe_text(data, spec) if spec.kind == "text" else describe_arrays(data, spec, train))


def _has_table(rows: Rows | None) -> bool:
    return rows is not None and isinstance(rows.inputs, pd.DataFrame) and len(rows) > 0


def _table_of_spec(spec: InputSpec) -> Plain:
    """Return the columns of a table whose rows are not at hand."""
    numbers = {
        name: {"kind": "numeric", "mean": mean, "std": std}
        for name, mean, std in zip(spec.columns, spec.offset, spec.scale, strict=True)
    }
    texts = {name: {"kind": "categorical", "values": len(values)} for name, values in spec.categories.items()}
    return {"columns": numbers | texts, "left_out": {}}


def describe_table(data: Data, spec: InputSpec, train: Rows | None) -> Plain:
    """Return kind, missing values and figures of each column, and why each of the others is left out."""
    assert train is not None
    roles = find_roles(train, getattr(data, "roles", TableOptions()))
    columns = {name: {"kind": kind, **_describe_column(data, spec, name, kind)} for name, kind in roles.kinds.items()}
    return {"columns": columns, "left_out": roles.left_out | _set_aside(data)}


def _set_aside(data: Data) -> dict[str, str]:
    """Return the columns that a config takes from the inputs, and for what."""
    roles = getattr(data, "roles", TableOptions())
    reasons = dict.fromkeys(roles.ignore, "data.ignore") | dict.fromkeys(data.split.columns, "data.split")
    name = getattr(data, "id_column", None)
    return reasons | ({name: "it names the rows: data.id_column"} if name else {})


def _describe_column(data: Data, spec: InputSpec, name: str, kind: str) -> Plain:
    tables = {split: rows for split, rows in data.rows.items() if split != "predict"}
    values = {split: _read_column(rows, spec, name, kind) for split, rows in tables.items()}
    missing = sum(int(pd.isna(part).sum()) for part in values.values())
    total = sum(map(len, values.values()))
    train = values["train"]
    described: Plain = {"missing": missing, "missing_share": missing / total}
    if kind in ("numeric", "boolean"):
        return described | number_figures(train.to_numpy())
    if kind == "date":
        return described | {"first": str(train.min()), "last": str(train.max())}
    known = train.value_counts()
    top = {str(value): int(count) for value, count in known[:1].items()}
    return described | {"values": len(known), "most_frequent": next(iter(top), None), "times": sum(top.values())}


def _read_column(rows: Rows, spec: InputSpec, name: str, kind: str) -> pd.Series[Any]:
    """Return a column as numbers, dates or texts, with NaN, NaT or None where a value is missing."""
    assert isinstance(rows.inputs, pd.DataFrame)
    column = rows.inputs[name]
    if kind in ("numeric", "boolean"):
        return pd.Series(read_numbers(column).values)
    if kind == "date":
        return read_dates(rows, rows.inputs, name, spec.dates[name])
    return column.astype(object).where(column.notna() & (column.astype(str) != ""), None)


def describe_arrays(data: Data, spec: InputSpec, train: Rows) -> Plain:
    """Return type, range, and mean and standard deviation of each channel, of at most 1000 samples."""
    values = encode_some(data, train, spec, spread_places(len(train)))
    channels = values.double().transpose(0, 1).flatten(1)
    return {
        "dtype": str(values.dtype).removeprefix("torch."),
        "high": spec.high or None,
        "measured": len(values),
        "mean": channels.mean(1).tolist(),
        "std": channels.std(1, correction=0).tolist(),
        "min": channels.min().item(),
        "max": channels.max().item(),
    }


def spread_places(rows: int, most: int = MEASURED) -> np.ndarray[Any, np.dtype[np.int64]]:
    """Return at most so many places, evenly spread over so many rows."""
    return np.unique(np.linspace(0, rows - 1, min(rows, most)).astype(np.int64))


def encode_some(data: Data, rows: Rows, spec: InputSpec, places: np.ndarray[Any, Any]) -> Tensor:
    """Return the inputs at some places as the model takes them, read if they are stored, (places, *spec.shape)."""
    encoded: Tensor | Stored = data.encode_input(rows.take(places), spec)
    return encoded if isinstance(encoded, Tensor) else encoded[torch.arange(len(encoded))]


def describe_text(data: Data, spec: InputSpec) -> Plain:
    """Return vocabulary, length, the share of unknown words of each split, and the words that come most often."""
    counts = {}
    for split, rows in data.rows.items():
        codes = encode_some(data, rows, spec, spread_places(len(rows)))
        counts[split] = codes.flatten().bincount(minlength=len(spec.vocabulary))
        counts[split][PADDING] = 0
    known = counts["train"].clone()
    known[UNKNOWN] = 0
    top = known.topk(min(TOP_WORDS, len(known)))
    words = {spec.vocabulary[code]: count for count, code in zip(*map(Tensor.tolist, top), strict=True) if count}
    return {
        "tokens": spec.tokens,
        "vocabulary": len(spec.vocabulary),
        "measured": min(MEASURED, len(data.rows["train"])),
        "unknown": {
            split: (part[UNKNOWN] / part.sum()).item() if part.sum() else 0.0 for split, part in counts.items()
        },
        "most_frequent": words,
    }


# Rows


def take_sample(data: Data) -> Plain:
    """Return a few rows of the train split, drawn by the data's seed: for each column its values."""
    rows = data.rows.get("train")
    if rows is None or not len(rows):
        return {}
    places = np.random.default_rng(data.seed).choice(len(rows), min(SAMPLE, len(rows)), replace=False)
    drawn = rows.take(np.sort(places))
    parts: Plain = {drawn.id_name: drawn.ids}
    for table in (drawn.columns, drawn.inputs, drawn.targets):
        if isinstance(table, pd.DataFrame):
            parts |= {str(name): table[name] for name in table if str(name) not in parts}
    return {name: [plain(value) for value in values] for name, values in parts.items()}


def plain(value: Any) -> Any:
    """Return a value as JSON has it: a finite number, a truth value, text, or ``None`` where it is missing."""
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or value is pd.NaT or value is pd.NA or (isinstance(value, float) and not math.isfinite(value)):
        return None
    return value if isinstance(value, bool | int | float | str) else str(value)
