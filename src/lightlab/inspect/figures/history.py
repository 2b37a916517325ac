"""Charts of a training's history."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

from lightlab.inspect.figures.style import FAINT, PURPLE, TRAIN, VALIDATION, explain, label, make_panels

#: A line that falls or rises by this factor is drawn over a logarithmic scale.
WIDE = 100
#: So few points are marked, as a line through them hides where they are.
FEW = 12


@dataclass(frozen=True)
class Chart:
    """Columns of a history that are drawn together.

    Attributes:
        title: what they are.
        lines: for the name of each line its column.
        from_zero: whether the scale starts at 0, where what counts is how much of something there is.
    """

    title: str
    lines: Mapping[str, str]
    from_zero: bool = False


def metric_charts(history: pd.DataFrame) -> list[Chart]:
    """Return a chart of train and validation for the loss and for each metric; none for those of single labels."""
    names = dict.fromkeys(
        column.split("/", 1)[1]
        for column in map(str, history)
        if column.startswith(("train/", "val/")) and column.count("/") == 1
    )
    splits = {"train": "train", "validation": "val"}
    charts = [
        Chart(name, {split: f"{prefix}/{name}" for split, prefix in splits.items() if f"{prefix}/{name}" in history})
        for name in names
        if name != "penalty"
    ]
    return sorted(charts, key=lambda chart: chart.title != "loss")


def training_charts(history: pd.DataFrame) -> list[Chart]:
    """Return the charts of how training went by itself: learning rate, gradients, speed and memory."""
    charts = [
        Chart("learning rate", {"": "learning_rate"}),
        Chart("gradient norm", {"mean": "gradient_norm", "largest": "gradient_norm_max"}),
        Chart("penalty (l1, l2)", {"": "train/penalty"}),
        Chart("samples a second", {"": "samples_per_second"}),
        Chart("seconds an epoch", {"": "epoch_seconds"}),
        Chart("memory (MiB)", {"": "memory_mib"}),
    ]
    present = [
        Chart(chart.title, {name: column for name, column in chart.lines.items() if column in history}, from_zero=True)
        for chart in charts
    ]
    return [chart for chart in present if any(history[column].notna().any() for column in chart.lines.values())]


def draw_history(
    history: pd.DataFrame, charts: Sequence[Chart], best_epoch: int | None = None, columns: int = 3
) -> Figure:
    """Return a figure with charts over the epochs.

    Args:
        history: as `lightlab.inspect.run.Run.history` has it.
        charts: what to draw.
        best_epoch: the one whose weights were kept, which is marked.
        columns: how many charts stand beside each other.
    """
    figure, panels = make_panels(len(charts), columns)
    epochs = epochs_of(history)
    for axes, chart in zip(panels, charts, strict=True):
        _draw(axes, history, epochs, chart, best_epoch)
    return figure


def epochs_of(history: pd.DataFrame) -> np.ndarray[Any, Any]:
    """Return where each row stands on the axis of epochs: a validation within an epoch stands between two."""
    epochs = history["epoch"].to_numpy(float)
    if "train/loss" not in history or "step" not in history:
        return epochs
    ends = history[history["train/loss"].notna()]
    if ends.empty:
        return epochs
    steps, at = [0.0, *ends["step"].astype(float)], [0.0, *ends["epoch"].astype(float)]
    return np.asarray(np.interp(history["step"].to_numpy(float), steps, at))


def _draw(
    axes: Axes, history: pd.DataFrame, epochs: np.ndarray[Any, Any], chart: Chart, best_epoch: int | None
) -> None:
    colours = {"train": TRAIN, "validation": VALIDATION, "largest": PURPLE}
    lines: list[Line2D] = []
    for name, column in chart.lines.items():
        values = history[column].to_numpy(float)
        seen = np.isfinite(values)
        marker = "o" if seen.sum() <= FEW else ""
        lines += axes.plot(
            epochs[seen], values[seen], color=colours.get(name, TRAIN), linewidth=1.5, marker=marker, markersize=3.5
        )
    names = list(chart.lines)
    if best_epoch is not None:
        lines.append(axes.axvline(best_epoch, color=FAINT, linewidth=1, linestyle=":"))
        names.append(f"best ({best_epoch})")
    _scale(axes, lines[: len(chart.lines)], chart.from_zero)
    label(axes, chart.title, "epoch")
    if names != [""]:
        shown = [place for place, name in enumerate(names) if name]
        explain(axes, [lines[place] for place in shown], [names[place] for place in shown])


def _scale(axes: Axes, lines: list[Line2D], from_zero: bool) -> None:
    """Choose the scales: whole epochs below, and at the left a logarithmic one for what falls or rises widely."""
    axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    values = np.concatenate([np.asarray(line.get_ydata(), float) for line in lines])
    if len(values) and values.min() > 0 and values.max() > WIDE * values.min():
        axes.set_yscale("log")
        axes.yaxis.set_major_locator(LogLocator(numticks=6))
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))  # no formulas: they are slow
        axes.yaxis.set_minor_formatter(NullFormatter())
    else:
        axes.yaxis.set_major_locator(MaxNLocator(5))
        if from_zero:
            axes.set_ylim(0, 1.1 * values.max(initial=0) or 1)
