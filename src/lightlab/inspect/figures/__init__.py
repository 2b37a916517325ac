"""Figures of what is kept of a run, drawn by matplotlib without its global state: fast enough to draw while training.

Each function takes plain records and returns a `matplotlib.figure.Figure`.
"""

from __future__ import annotations

from lightlab.inspect.figures.classes import (
    MOST_CURVES,
    draw_calibration,
    draw_confusion,
    draw_precision_recall,
    draw_roc,
)
from lightlab.inspect.figures.history import Chart, draw_history, metric_charts, training_charts
from lightlab.inspect.figures.numbers import draw_predictions, draw_residuals
from lightlab.inspect.figures.style import to_pixels, to_png, to_svg
from lightlab.inspect.figures.weights import draw_weights

__all__ = [
    "MOST_CURVES",
    "Chart",
    "draw_calibration",
    "draw_confusion",
    "draw_history",
    "draw_precision_recall",
    "draw_predictions",
    "draw_residuals",
    "draw_roc",
    "draw_weights",
    "metric_charts",
    "to_pixels",
    "to_png",
    "to_svg",
    "training_charts",
]
