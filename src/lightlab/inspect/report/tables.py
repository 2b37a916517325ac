"""The tables of a report, from plain records."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from lightlab.inspect.bars import draw_bars
from lightlab.inspect.evaluation import Confusion, LayerRecord, Mistake, Residuals, SampleLoss, SplitRecord
from lightlab.inspect.figures import metric_charts
from lightlab.inspect.numbers import figure, percentage
from lightlab.inspect.outcome import Outcome
from lightlab.inspect.summary import Summary

NONE = "–"
MOST_BARS = 30
SPLITS = {"train": "train", "val": "validation", "test": "test"}


@dataclass(frozen=True)
class Table:
    """A table as text.

    Attributes:
        heading: a name for each column.
        rows: the first cell of each is its name.
        text: how many columns, from the left on, hold text; the others hold numbers.
    """

    heading: Sequence[str]
    rows: Sequence[Sequence[str]]
    text: int = 1

    def __bool__(self) -> bool:
        return bool(self.rows)


def number(value: float | None) -> str:
    """Return a number in four digits, and a dash for what is none.

    >>> number(0.98154), number(151498.0), number(float("nan"))
    ('0.9815', '151,498', '–')
    """
    return figure(None if value is None or math.isnan(value) else value, NONE)


def percent(value: float | None) -> str:
    """Return a share.

    >>> percent(0.256)
    '25.6%'
    """
    return percentage(value, NONE)


# Figures


def metrics(outcome: Outcome | None, of_labels: bool = False) -> Table:
    """Return the final metrics of each split; those of single labels (``accuracy/cat``) have a table of their own."""
    splits = {"validation": outcome.validation, "test": outcome.test} if outcome else {}
    figures = {
        split: {name.split("/", 1)[1]: value for name, value in values.items()}
        for split, values in splits.items()
        if values
    }
    names = dict.fromkeys(name for values in figures.values() for name in values if ("/" in name) == of_labels)
    rows = [(name, *(number(values.get(name)) for values in figures.values())) for name in names]
    return Table(("metric", *figures), rows)


def samples(losses: Mapping[str, SampleLoss]) -> Table:
    """Return the losses of train and validation in evaluation mode, which can be held against each other."""
    heading = ("split", "rows", "loss, best weights", "loss, last weights", "loss of a constant answer")
    rows = [
        (SPLITS.get(split, split), f"{loss.rows:,}", number(loss.best), number(loss.last), number(loss.constant))
        for split, loss in losses.items()
    ]
    return Table(heading, rows)


def curves(history: pd.DataFrame, best_epoch: int | None) -> Table:
    """Return the curves of all metrics, each in a line."""
    rows = []
    for chart in metric_charts(history):
        for split, column in chart.lines.items():
            seen = history[history[column].notna()]
            best = seen.loc[seen["epoch"] == best_epoch, column]
            figures = [
                number(float(part.iloc[-1])) if len(part) else NONE for part in (seen[column][:1], best, seen[column])
            ]
            rows.append((f"{chart.title}, {split}", draw_bars(seen[column].tolist(), MOST_BARS), *figures))
    return Table(("metric", "curve", "first", "best epoch", "last"), rows, text=2)


# The network


def layers(summary: Summary | None) -> Table:
    """Return what the model is made of."""
    if summary is None:
        return Table((), ())
    rows = [
        (row.name, _shape(row.output_shape), f"{row.parameters:,}", NONE if row.flops is None else f"{row.flops:,}")
        for row in (*summary.layers, summary.total)
    ]
    return Table(("layer", "output shape", "parameters", "FLOPs a sample"), rows, text=2)


def _shape(shape: tuple[int, ...] | None) -> str:
    return NONE if shape is None else " × ".join(map(str, shape))


def training_of_layers(records: Iterable[LayerRecord]) -> Table:
    """Return how training went in each layer: its gradients against its weights, and units that give nothing."""
    heading = ("layer", "in the config", "gradient / weights, first epoch", "last epoch", "dead units")
    rows = [
        (layer.name, layer.key, number(layer.first_gradient), number(layer.last_gradient), percent(layer.dead))
        for layer in records
    ]
    return Table(heading, rows, text=2)


# Rows


def confused(record: SplitRecord) -> Table:
    """Return the pairs of classes that are taken for each other most often."""
    return Table(
        ("true", "predicted", "rows"), [(true, taken, f"{rows:,}") for true, taken, rows in record.confused], 2
    )


def confusion(matrix: Confusion) -> Table:
    """Return a confusion matrix: a line for each true class."""
    rows = [(name, *map(str, counts)) for name, counts in zip(matrix.classes, matrix.counts, strict=True)]
    return Table(("", *matrix.classes), rows)


def residuals(records: Iterable[Residuals]) -> Table:
    """Return how far off predictions are, for each target column."""
    rows = [(each.target, number(each.mean), number(each.std)) for each in records]
    return Table(("predicted − true", "mean", "standard deviation"), rows)


def mistakes(worst: Sequence[Mistake]) -> Table:
    """Return the worst mistakes, with what the rows hold."""
    columns = list(dict.fromkeys(column for mistake in worst for column in mistake.values))
    likely = any(mistake.probability is not None for mistake in worst)
    rows = [
        (
            *(mistake.row, mistake.true, mistake.predicted),
            *([percent(mistake.probability)] if likely else []),
            number(mistake.loss),
            *(mistake.values.get(column, NONE) for column in columns),
        )
        for mistake in worst
    ]
    heading = ("row", "true", "predicted", *(["probability"] if likely else []), "loss", *columns)
    return Table(heading, rows, text=3)


def data(splits: Mapping[str, Mapping[str, Any]]) -> Table:
    """Return rows and hash of each split."""
    rows = [
        (SPLITS.get(split, split), _count(facts.get("rows")), facts.get("sha256") or NONE)
        for split, facts in splits.items()
    ]
    return Table(("split", "rows", "SHA-256 of what they hold"), rows, text=3)


def _count(rows: int | None) -> str:
    return "not counted" if rows is None else f"{rows:,}"


def environment(facts: Mapping[str, Any]) -> Table:
    """Return versions and devices, a line each."""
    lines: dict[str, Any] = {}
    for name, value in facts.items():
        lines |= value if isinstance(value, Mapping) else {name.replace("_", " "): value}
    if lines.pop("git changed", False):
        lines["git commit"] = f"{lines.get('git commit')}, with changes that are not committed"
    rows = [
        (name, ", ".join(map(str, value)) if isinstance(value, list) else str(value)) for name, value in lines.items()
    ]
    return Table(("what", "version"), [(name, text) for name, text in rows if text not in ("", "None")], text=2)
