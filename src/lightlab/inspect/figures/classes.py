"""Charts of how well classes or labels are told apart."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure

from lightlab.inspect.evaluation import Calibration, Confusion, Curve
from lightlab.inspect.figures.style import (
    BLUE,
    DASHES,
    FAINT,
    GRID,
    INK,
    LETTERS,
    PALETTE,
    SMALL,
    SQUARE,
    explain,
    label,
    make_panels,
    shorten,
)

#: Up to so many classes, cells have figures; and so many names at most stand at a side.
MOST_FIGURES, MOST_NAMES = 12, 25
#: So few classes have a smaller matrix.
FEW = 2
#: Axes from 0 to 1; each tick more is a millisecond, at the end of every training.
UNIT: dict[str, Any] = {"xlim": (-0.02, 1.02), "ylim": (-0.02, 1.02), "xticks": (0, 0.5, 1), "yticks": (0, 0.5, 1)}
#: So many curves have a colour and stand in the legend.
MOST_CURVES = 10
#: Beyond so many others they are pixels, which make a smaller page.
MANY_LINES = 100
#: Letters of the name of a class.
LONGEST = 14
#: Of a confusion matrix, in inches: cells and title, a letter of a name, and what else stands at a side.
CELLS, LETTER, MARGIN = {"few": 2.4, "many": 3.6}, 0.075, 0.36


def draw_confusion(confusion: Confusion) -> Figure:
    """Return a confusion matrix: the colour of a cell is its share of the true class, its figure the rows."""
    counts = np.array(confusion.counts, float)
    shares = counts / np.maximum(counts.sum(1, keepdims=True), 1)
    names = [shorten(name, LONGEST) for name in confusion.classes]
    longest = max(map(len, names), default=0)
    cells = CELLS["few" if len(names) <= FEW else "many"]
    upright = longest * len(names) > cells / LETTER
    margins = MARGIN + longest * LETTER, MARGIN + (longest if upright else 2) * LETTER
    figure, (axes,) = make_panels(size=(margins[0] + cells, margins[1] + cells), margins=margins)
    axes.imshow(shares, cmap=matplotlib.colormaps["Blues"], vmin=0, vmax=1, aspect="auto", interpolation="none")
    places = range(0, len(names), max(-(-len(names) // MOST_NAMES), 1))
    shown = [names[place] for place in places]
    axes.set_yticks(places, shown, parse_math=False)
    axes.set_xticks(places, shown, parse_math=False, rotation=90 if upright else 0)
    axes.grid(False)
    axes.spines[:].set_visible(False)
    if len(names) <= MOST_FIGURES:
        _write_counts(axes, counts, shares)
    label(axes, f"confusion matrix{f': {confusion.title}' if confusion.title else ''}", "predicted", "true")
    return figure


def _write_counts(axes: Axes, counts: np.ndarray, shares: np.ndarray) -> None:
    size = LETTERS if len(counts) <= 8 else SMALL - 1
    for row, column in np.argwhere(counts):
        colour = "white" if shares[row, column] > 0.5 else INK
        axes.text(column, row, f"{counts[row, column]:.0f}", ha="center", va="center", fontsize=size, color=colour)


# Curves


def draw_roc(curves: Mapping[str, Curve]) -> Figure:
    """Return the ROC curves of classes or labels, with the area below each (AUROC)."""
    figure, (axes,) = make_panels(size=SQUARE)
    axes.plot([0, 1], [0, 1], color=FAINT, linewidth=1, linestyle=":")
    _draw_curves(axes, curves, "lower right")
    label(axes, "ROC curve (area)", "false positive rate", "true positive rate")
    return figure


def draw_precision_recall(curves: Mapping[str, Curve]) -> Figure:
    """Return the precision-recall curves of classes or labels, with the average precision of each."""
    figure, (axes,) = make_panels(size=SQUARE)
    _draw_curves(axes, curves, "lower left")
    label(axes, "precision-recall curve (average precision)", "recall", "precision")
    return figure


def _draw_curves(axes: Axes, curves: Mapping[str, Curve], where: str) -> None:
    """Draw all curves; where there are many, only those with the least area have a colour and a name."""
    ranked = sorted(curves.items(), key=lambda item: item[1].area)
    named, others = (
        (list(curves.items()), []) if len(ranked) <= MOST_CURVES else (ranked[:MOST_CURVES], ranked[MOST_CURVES:])
    )
    lines = [np.column_stack((curve.x, curve.y)) for _, curve in others]
    very_many = len(lines) > MANY_LINES
    axes.add_collection(LineCollection(lines, colors=GRID, linewidths=0.8, rasterized=very_many))
    handles, labels = [], []
    for place, (name, curve) in enumerate(named):
        dashes, colour = divmod(place, len(PALETTE))
        handles += axes.plot(curve.x, curve.y, color=PALETTE[colour], linestyle=DASHES[dashes], linewidth=1.5)
        labels.append(f"{curve.area:.3f}  {shorten(name, LONGEST)}")
    axes.set(**UNIT)
    explain(axes, handles, labels, where)


# Probabilities


def draw_calibration(calibration: Calibration) -> Figure:
    """Return a reliability diagram: how often the predicted class is right, against the probability it was given.

    The size of a dot tells how many rows a bin has.
    """
    figure, (axes,) = make_panels(size=SQUARE)
    axes.plot([0, 1], [0, 1], color=FAINT, linewidth=1, linestyle=":")
    most = max(calibration.rows, default=1)
    sizes = [12 + 48 * rows / most for rows in calibration.rows]
    (line,) = axes.plot(calibration.confidence, calibration.accuracy, color=BLUE, linewidth=1)
    axes.scatter(calibration.confidence, calibration.accuracy, s=sizes, color=BLUE, clip_on=False)
    axes.set(**UNIT)
    bins = f"{sum(calibration.rows):,} rows in {len(calibration.rows)} bins"
    explain(axes, [line], [f"ECE {calibration.error:.3f}, {bins}"])
    label(axes, "calibration", "probability of the predicted class", "share that is right")
    return figure
