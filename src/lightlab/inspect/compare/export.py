"""A comparison as Markdown, CSV and JSON."""

from __future__ import annotations

import csv
import json
from io import StringIO
from typing import Any

from lightlab.inspect.compare.columns import Column, make_columns, make_repeat_columns
from lightlab.inspect.compare.comparison import Comparison
from lightlab.inspect.compare.row import Row
from lightlab.inspect.markdown import escape, table
from lightlab.inspect.numbers import finite


def as_markdown(comparison: Comparison) -> str:
    """Return tables in GitHub's Markdown, the best of a column bold; and below them what there is to say."""
    parts = [_table(make_columns(comparison))]
    if comparison.repeats:
        heading = "Mean ± standard deviation of runs that differ in nothing but seeds:"
        parts += [heading, _table(make_repeat_columns(comparison))]
    return "\n\n".join([*parts, *map(escape, comparison.notes)])


def _table(columns: list[Column]) -> str:
    rows = [[_bold(column, place) for column in columns] for place in range(len(columns[0].cells))]
    return table([escape(column.heading) for column in columns], rows, [column.numbers for column in columns])


def as_csv(comparison: Comparison) -> str:
    """Return a table with a line for each run: whole keys, and figures as they are."""
    rows = comparison.rows
    lines = [{**_facts(row), **_settings(comparison, place), **row.figures} for place, row in enumerate(rows)]
    names = dict.fromkeys([*_facts(rows[0]), *comparison.differences, *comparison.metrics])
    text = StringIO()
    writer = csv.DictWriter(text, names, lineterminator="\n")
    writer.writeheader()
    writer.writerows(lines)
    return text.getvalue().rstrip("\n")


def as_json(comparison: Comparison) -> str:
    """Return all there is; null stands for what is no number."""
    runs = [
        {
            **_facts(row),
            "settings": _settings(comparison, place),
            "metrics": row.figures,
            "best": [metric for metric, places in comparison.best.items() if place in places],
            "monitor": row.monitor,
            "mode": row.mode,
            "curve": row.curve,
        }
        for place, row in enumerate(comparison.rows)
    ]
    repeats = [
        {
            "runs": each.names,
            "settings": each.settings,
            "metrics": {name: {"mean": mean, "std": deviation} for name, (mean, deviation) in each.figures.items()},
        }
        for each in comparison.repeats
    ]
    found = {"runs": runs, "repeats": repeats, "notes": comparison.notes}
    return json.dumps(finite(found), indent=2, ensure_ascii=False, allow_nan=False)


def _facts(row: Row) -> dict[str, Any]:
    return {
        "run": str(row.run.path),
        "name": row.name,
        "problem": row.problem,
        "finished": row.finished,
        "best_epoch": row.best_epoch,
        "epochs": row.epochs,
        "seconds": row.seconds,
        "parameters": row.parameters,
        "verdict": row.verdict,
    }


def _settings(comparison: Comparison, place: int) -> dict[str, Any]:
    return {name: values[place] for name, values in comparison.differences.items()}


def _bold(column: Column, place: int) -> str:
    text = escape(column.cells[place])
    return f"**{text}**" if place in column.best else text
