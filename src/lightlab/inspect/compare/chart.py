"""The curves of a comparison in one chart."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from lightlab.errors import RunError
from lightlab.files import write_bytes
from lightlab.inspect.compare.comparison import Comparison
from lightlab.inspect.compare.row import Row, better
from lightlab.inspect.figures.history import FEW, WIDE, epochs_of
from lightlab.inspect.figures.style import PALETTE, explain, label, make_panels, shorten, to_pdf, to_png, to_svg

#: Of the chart, in inches.
SIZE = (8.4, 4.6)
#: The colour of runs that are not among the best few.
OTHERS = "#BBBBBB"
#: Letters of a name.
LONGEST = 32


def draw_comparison(comparison: Comparison) -> Figure:
    """Return the watched metric of each run over the epochs, in full lines; that of the train split dashed.

    Of many runs the best have a colour, and the watched metric of the others is grey.

    Args:
        comparison: of the runs; those without an epoch are left out.
    """
    metric = comparison.monitor.split("/", 1)[-1]
    ranked = _rank(comparison.rows, comparison.monitor)
    named, others = ranked[: len(PALETTE)], ranked[len(PALETTE) :]
    figure, (axes,) = make_panels(size=SIZE)
    for row in reversed(others):
        _draw(axes, row, {comparison.monitor: "-"}, OTHERS)
    for row, colour in reversed(list(zip(named, PALETTE, strict=False))):  # the best lie on top
        _draw(axes, row, {f"train/{metric}": "--", comparison.monitor: "-"}, colour)
    _scale(axes)
    label(axes, comparison.monitor, "epoch", "" if comparison.monitor.startswith("train/") else "train dashed")
    names = [shorten(row.name, LONGEST) for row in named] + ([f"{len(others)} others"] if others else [])
    handles = [Line2D([], [], color=colour) for colour in (*PALETTE[: len(named)], OTHERS)[: len(names)]]
    falls = better(metric, comparison.rows) == "min"
    explain(axes, handles, names, "upper right" if falls else "lower right")
    return figure


def write_chart(figure: Figure, path: Path) -> None:
    """Write a chart as .png, .svg or .pdf, so that the file under its name is whole at every moment.

    Raises:
        RunError: it can't be written, what stood there before still does; or it has another ending.
    """
    forms: dict[str, Callable[[Figure], bytes]] = {
        ".png": to_png,
        ".svg": lambda drawn: to_svg(drawn).encode(),
        ".pdf": to_pdf,
    }
    form = forms.get(path.suffix.lower())
    if form is None:
        raise RunError(f"A chart is written as {', '.join(forms)}. Received: {path}.")
    write_bytes(form(figure), path, "chart")


def _rank(rows: Sequence[Row], metric: str) -> list[Row]:
    """Return the runs that have a curve, the best first."""
    known = [row for row in rows if np.isfinite(row.figures.get(metric, math.nan))]
    others = [row for row in rows if row not in known and row.epochs]
    most = better(metric, list(rows)) == "max"
    return sorted(known, key=lambda row: row.figures[metric], reverse=most) + others


def _draw(axes: Axes, row: Row, columns: Mapping[str, str], colour: str) -> None:
    """Draw columns of a run's history, each in its style of line."""
    history = row.run.history
    epochs = epochs_of(history)
    for column, dashes in columns.items():
        if column in history:
            values = history[column].to_numpy(float)
            seen = np.isfinite(values)
            few, width = seen.sum() <= FEW, 1.7 if dashes == "-" else 0.9
            marker = "o" if few and dashes == "-" else ""
            axes.plot(epochs[seen], values[seen], dashes, color=colour, linewidth=width, marker=marker, markersize=3)


def _scale(axes: Axes) -> None:
    """Choose the scales: whole epochs below, and at the left a logarithmic one for what falls or rises widely."""
    axes.xaxis.set_major_locator(MaxNLocator(8, integer=True))
    values = np.concatenate([np.asarray(line.get_ydata(), float) for line in axes.lines] or [np.ones(1)])
    if values.size and values.min() > 0 and values.max() > WIDE * values.min():
        axes.set_yscale("log")
