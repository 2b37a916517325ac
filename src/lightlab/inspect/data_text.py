"""The description of data (`lightlab.inspect.data`) as text for people."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from lightlab.inspect.data import Plain
from lightlab.inspect.numbers import figure, percentage
from lightlab.inspect.outcome import align

#: A table has so many lines, and a cell so many characters; what is left out is counted, and is in the JSON.
MOST_LINES, MOST_CHARACTERS = 40, 24
_FIGURE = re.compile(r"[-+]?[\d,.]+(e[-+]\d+)?( \(.*%\))?|-")

Line = list[str]


def as_text(described: Plain) -> str:
    """Return what `lightlab data` prints, a paragraph for each thing.

    Args:
        described: what `lightlab.inspect.data.describe` returned.
    """
    parts = (_head, _splits, _target, _inputs, _sample, _remarks)
    return "\n\n".join(filter(None, (part(described) for part in parts)))


def _head(described: Plain) -> str:
    source, problem = described["source"], described["problem"]
    where = ", ".join(source["from"])
    lines = [("source", f"{source['class']}: {where}"), ("problem", f"{problem['name']}, {problem['reason']}")]
    if not problem["reason"].startswith("as "):
        lines[1] = ("problem", problem["reason"])
    return align(lines)


def _splits(described: Plain) -> str:
    lines = [["split", "rows", "share", "sha256"]]
    for split, facts in described["splits"].items():
        rows = "not counted" if facts["rows"] is None else f"{facts['rows']:,}"
        lines.append([split, rows, percentage(facts["share"]), (facts["sha256"] or "-")[:12]])
    return table(lines)


# The target


def _target(described: Plain) -> str:
    target = described["target"]
    names = _cut(", ".join(target["columns"]), 80)
    if "figures" in target:
        measures = list(next(iter(next(iter(target["figures"].values())).values())))
        lines = [["target", "split", *measures]]
        for name, splits in target["figures"].items():
            lines += [[_cut(name), split, *map(figure, facts.values())] for split, facts in splits.items()]
        return table(lines)
    splits = list(target["counts"])
    totals = {split: described["splits"][split]["rows"] for split in splits}
    what = "label" if target["kind"] == "labels" else "class"
    lines = [[what, *splits]]
    for name in next(iter(target["counts"].values())):
        counts = [(target["counts"][split][name], totals[split]) for split in splits]
        lines.append([_cut(name), *(f"{count:,}{_of(count, total)}" for count, total in counts)])
    return f"target: {names}\n{table(lines)}"


def _of(count: int, total: int | None) -> str:
    return f" ({count / total:.1%})" if total else ""


# Inputs


def _inputs(described: Plain) -> str:
    inputs = described["inputs"]
    render: dict[str, Callable[[Plain], str]] = {"table": _columns, "text": _text}
    return render.get(inputs["kind"], _arrays)(inputs)


def _columns(inputs: Plain) -> str:
    """Return a table for each kind of column, and one of what is left out."""
    columns = inputs["columns"]
    numbers = [["column", "kind", "missing", "mean", "std", "min", "median", "max"]]
    categories = [["column", "kind", "missing", "values", "most frequent"]]
    dates = [["column", "kind", "missing", "first", "last"]]
    for name, facts in columns.items():
        start = [_cut(name), facts["kind"], _missing(facts)]
        if facts["kind"] == "categorical":
            often = f"{_cut(str(facts.get('most_frequent')))} ({facts['times']:,})" if facts.get("times") else "-"
            categories.append([*start, f"{facts['values']:,}", often])
        elif facts["kind"] == "date":
            dates.append([*start, _day(facts["first"]), _day(facts["last"])])
        else:
            numbers.append([*start, *(figure(facts.get(measure)) for measure in numbers[0][3:])])
    out = [["left out", "why"], *([_cut(name), reason] for name, reason in inputs["left_out"].items())]
    heading = f"inputs: {len(columns)} columns (figures of train; missing of all splits)"
    tables = [table(part) for part in (numbers, categories, dates, out) if len(part) > 1]
    return f"{heading}\n" + "\n\n".join(tables)


def _missing(facts: Plain) -> str:
    count = facts.get("missing")
    return "-" if not count else f"{count:,} ({facts['missing_share']:.1%})"


def _day(text: str) -> str:
    return text.removesuffix(" 00:00:00")


def _arrays(inputs: Plain) -> str:
    shape = " × ".join(map(str, inputs["shape"]))
    if "dtype" not in inputs:
        return align([(f"{inputs['kind']}s", shape)])
    names = {1: ["grey"], 3: ["red", "green", "blue"], 4: ["red", "green", "blue", "alpha"]}
    count = len(inputs["mean"])
    channels = names.get(count, []) if inputs["kind"] == "image" else []
    channels = channels or [str(place) for place in range(count)]
    highest = f", of at most {figure(inputs['high'])}" if inputs["high"] else ""
    facts = [
        (f"{inputs['kind']}s", f"{shape}, {inputs['dtype']}"),
        (
            "values",
            f"{figure(inputs['min'])} to {figure(inputs['max'])}{highest} (in {inputs['measured']:,} rows of train)",
        ),
    ]
    lines = [
        [name, figure(mean), figure(std)]
        for name, mean, std in zip(channels, inputs["mean"], inputs["std"], strict=True)
    ]
    return f"{align(facts)}\n{table([['channel', 'mean', 'std'], *lines])}"


def _text(inputs: Plain) -> str:
    facts = [
        ("texts", f"{inputs['shape'][0]} {inputs.get('tokens', 'tokens')} long; vocabulary {inputs['vocabulary']:,}")
    ]
    if "unknown" in inputs:
        shares = ", ".join(f"{split} {share:.1%}" for split, share in inputs["unknown"].items())
        words = ", ".join(f"{word} {count:,}" for word, count in inputs["most_frequent"].items())
        facts += [("unknown", f"{shares} (share of {inputs['tokens']} that training has not)"), ("frequent", words)]
    return align(facts)


# Rows and remarks


def _sample(described: Plain) -> str:
    """Return a few rows, each as a column: tables are wider than screens."""
    sample = described["sample"]
    if not sample:
        return ""
    lines = [[_cut(name), *map(_value, values)] for name, values in sample.items()]
    return f"some rows of train\n{table(lines)}"


def _value(value: Any) -> str:
    if value is None or value == "":
        return "-"
    return figure(value) if isinstance(value, float) else _cut(str(value))


def _remarks(described: Plain) -> str:
    lines = [*described["notes"], *(f"warning: {warning}" for warning in described["warnings"])]
    if described.get("picture"):
        lines.append(f"images: {described['picture']}")
    return "\n".join(lines)


# Cells


def table(lines: list[Line], most: int = MOST_LINES) -> str:
    """Return aligned columns: figures to the right, text to the left.

    Args:
        lines: the first is the heading.
        most: how many lines are shown below it; how many more there are is said.

    Example:
        >>> print(table([["class", "rows"], ["cat", "9"], ["dog", "12"]]))
          class  rows
          cat       9
          dog      12
    """
    shown = lines[: most + 1]
    columns = list(zip(*shown, strict=True))
    widths = [max(map(len, column)) for column in columns]
    right = [all(map(_FIGURE.fullmatch, column[1:])) for column in columns]
    text = [
        "  ".join(
            cell.rjust(width) if to_right else cell.ljust(width)
            for cell, width, to_right in zip(line, widths, right, strict=True)
        )
        for line in shown
    ]
    left = len(lines) - len(shown)
    more = [f"and {left} more (all with --format json)"] if left else []
    return "\n".join(f"  {line}".rstrip() for line in [*text, *more])


def _cut(text: str, most: int = MOST_CHARACTERS) -> str:
    text = " ".join(text.split())
    return text if len(text) <= most else f"{text[: most - 1]}…"
