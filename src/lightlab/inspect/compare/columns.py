"""The tables of a comparison: columns of short texts, for people."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from lightlab.inspect.bars import draw_bars
from lightlab.inspect.compare.comparison import Comparison
from lightlab.inspect.compare.differences import Differences, shorten_keys
from lightlab.inspect.compare.row import Row
from lightlab.inspect.tensorboard.hyperparameters import Plain

#: So many bars a curve has at most; and so many runs are named.
MOST_BARS, MOST_NAMES = 12, 3
NOTHING = "–"


@dataclass(frozen=True)
class Column:
    """A column of the table.

    Attributes:
        heading: what it is.
        cells: of each run.
        best: the places of the runs that are best.
        rank: where there is too little room, those with the highest rank are left out first; 0 for what is whole.
        numbers: whether cells are numbers.
    """

    heading: str
    cells: list[str]
    best: frozenset[int] = frozenset()
    rank: int = 0
    numbers: bool = True


def make_columns(comparison: Comparison) -> list[Column]:
    """Return the table of runs: what differs, metrics, how training went.

    Metrics of single labels or columns of the target are left out.
    """
    rows = comparison.rows
    metrics = [
        Column(
            metric,
            [write_figure(row.figures.get(metric)) for row in rows],
            frozenset(comparison.best[metric]),
            _rank(metric, comparison.monitor),
        )
        for metric in _shown_metrics(comparison)
    ]
    return [
        Column("run", [row.name for row in rows], numbers=False),
        *_settings(comparison.differences),
        *metrics,
        Column("best epoch", [_epochs(row) for row in rows], rank=4),
        Column("seconds", [f"{row.seconds:.1f}" for row in rows], rank=7),
        *_parameters(rows),
        Column("verdict", [_verdict(row) for row in rows], rank=1, numbers=False),
        Column("curve", [draw_bars(_curve(row, comparison.monitor), MOST_BARS) for row in rows], rank=5, numbers=False),
    ]


def make_repeat_columns(comparison: Comparison) -> list[Column]:
    """Return the table of repeats: what differs between them, and mean ± standard deviation of metrics."""
    repeats = comparison.repeats
    settings = {name: [each.settings[name] for each in repeats] for name in repeats[0].settings} if repeats else {}
    metrics = [
        Column(metric, [_spread(each.figures.get(metric)) for each in repeats], rank=_rank(metric, comparison.monitor))
        for metric in _shown_metrics(comparison)
    ]
    return [
        Column("runs", [enumerate_names(each.names) for each in repeats], numbers=False),
        Column("seeds", [str(len(each.names)) for each in repeats], rank=5),
        *_settings({name: values for name, values in settings.items() if any(one != values[0] for one in values)}),
        *metrics,
    ]


def _settings(differences: Differences) -> list[Column]:
    short = shorten_keys(list(differences))
    return [
        Column(short[name], [write_setting(value) for value in values], rank=2, numbers=_are_numbers(values))
        for name, values in differences.items()
    ]


def _shown_metrics(comparison: Comparison) -> list[str]:
    return [metric for metric in comparison.metrics if metric.count("/") == 1]


def _rank(metric: str, monitor: str) -> int:
    """Return 0 for the watched metric, 3 for the others' first kinds of the test split, 6 for what is left."""
    if metric == monitor:
        return 0
    return 3 if metric.startswith("test/") and not metric.endswith("/loss") else 6


def _epochs(row: Row) -> str:
    return NOTHING if row.best_epoch is None else f"{row.best_epoch} of {row.epochs}"


def _parameters(rows: Sequence[Row]) -> list[Column]:
    """Return the column of the number of parameters, where it is not the same in all runs."""
    counts = [row.parameters for row in rows]
    cells = [NOTHING if count is None else f"{count:,}" for count in counts]
    return [Column("parameters", cells, rank=7)] if len({*counts} - {None}) > 1 else []


def _verdict(row: Row) -> str:
    words = [] if row.finished else ["not finished"]
    return ", ".join([*words, *row.illnesses]) or ("healthy" if row.healthy else NOTHING)


def _curve(row: Row, monitor: str) -> Sequence[float]:
    return row.curve if row.monitor == monitor else ()


def _are_numbers(values: Sequence[Plain | None]) -> bool:
    return all(value is None or (isinstance(value, int | float) and not isinstance(value, bool)) for value in values)


# Cells


def write_setting(value: Plain | None) -> str:
    """Return a value of a config as YAML has it, on one line."""
    if value is None:
        return NOTHING
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return f"{value:g}"
    return " ".join("".join(letter if letter.isprintable() else " " for letter in str(value)).split())


def write_figure(value: float | None) -> str:
    """Return a metric in four digits.

    >>> write_figure(0.6), write_figure(12345.6), write_figure(0.00001234), write_figure(None)
    ('0.6000', '12,346', '1.234e-05', '–')
    """
    if value is None:
        return NOTHING
    return f"{value:,.0f}" if 1e3 <= abs(value) < 1e12 else f"{value:#.4g}"


def enumerate_names(names: Sequence[str], most: int = MOST_NAMES) -> str:
    """Return names, of many the first.

    >>> enumerate_names("abcdef", most=2)
    'a, b and 4 more'
    """
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def _spread(figures: tuple[float, float] | None) -> str:
    return NOTHING if figures is None else f"{write_figure(figures[0])} ± {figures[1]:.2g}"
