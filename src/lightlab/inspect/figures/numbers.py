"""Charts of predicted numbers against true ones."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from lightlab.inspect.evaluation import Residuals
from lightlab.inspect.figures.style import BLUE, FAINT, ORANGE, explain, label, make_panels

#: So few points are drawn larger.
FEW = 100


def draw_predictions(residuals: Residuals) -> Figure:
    """Return predicted numbers against true ones, in the target's own units; right ones lie on the diagonal."""
    figure, (axes,) = make_panels()
    size = 24 if len(residuals.true) <= FEW else 9
    axes.scatter(residuals.true, residuals.predicted, s=size, color=BLUE, alpha=0.5, linewidths=0)
    ends = [*residuals.true, *residuals.predicted] or [0.0, 1.0]
    diagonal = [min(ends), max(ends)]
    axes.plot(diagonal, diagonal, color=FAINT, linewidth=1, linestyle=":")
    axes.locator_params(nbins=5)
    label(axes, f"predicted against true: {residuals.target}", "true", "predicted")
    return figure


def draw_residuals(residuals: Residuals) -> Figure:
    """Return the histogram of predicted − true, over all rows."""
    figure, (axes,) = make_panels()
    axes.stairs(np.array(residuals.histogram.counts), residuals.histogram.edges, fill=True, color=BLUE, alpha=0.75)
    axes.axvline(0, color=FAINT, linewidth=1, linestyle=":")
    mean = axes.axvline(residuals.mean, color=ORANGE, linewidth=1.2)
    axes.locator_params(axis="x", nbins=5)
    axes.yaxis.set_major_locator(MaxNLocator(5, integer=True))
    explain(axes, [mean], [f"mean {residuals.mean:.3g}, std {residuals.std:.3g}"])
    label(axes, f"residuals: {residuals.target}", "predicted − true", "rows")
    return figure
