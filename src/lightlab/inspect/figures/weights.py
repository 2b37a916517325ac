"""Histograms of layers' weights, before and after training."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from lightlab.inspect.evaluation import Histogram, LayerRecord
from lightlab.inspect.figures.style import AFTER, BEFORE, explain, label, make_panels

#: Of one layer's, in inches: many stand on a page.
SIZE, MARGINS = (3.2, 1.8), (0.14, 0.28)


def draw_weights(layers: Sequence[LayerRecord], columns: int = 4) -> Figure:
    """Return a figure with the weights of each layer before and after training, as densities with equal peaks.

    Args:
        layers: those without weights are left out.
        columns: how many stand beside each other.
    """
    shown = [layer for layer in layers if layer.after is not None]
    figure, panels = make_panels(len(shown), columns, SIZE, MARGINS)
    for axes, layer in zip(panels, shown, strict=True):
        _draw(axes, layer)
    return figure


def _draw(axes: Axes, layer: LayerRecord) -> None:
    handles, names = [], []
    for name, histogram, colour in (("before", layer.before, BEFORE), ("after", layer.after, AFTER)):
        if histogram is not None:
            handles.append(
                axes.stairs(_heights(histogram), histogram.edges, fill=True, color=colour, alpha=0.55, linewidth=0)
            )
            names.append(name)
    axes.set(yticks=(), ylim=(0, 1.08))
    axes.locator_params(axis="x", nbins=4)
    label(axes, layer.name)
    explain(axes, handles, names)


def _heights(histogram: Histogram) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Return the density in each bin, over that in the fullest."""
    widths = np.maximum(np.diff(histogram.edges), np.finfo(float).tiny)
    density = np.array(histogram.counts, float) / widths
    return np.asarray(density / max(density.max(initial=0), np.finfo(float).tiny))
