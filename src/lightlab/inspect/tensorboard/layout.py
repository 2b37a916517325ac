"""The custom charts: each metric with all splits in it, and what says how training goes."""

from __future__ import annotations

import re
from collections.abc import Iterable

from lightlab.training.options import TensorBoardOptions

#: For TensorBoard's `SummaryWriter.add_custom_scalars`: by category and title the kind of chart, and patterns of tags.
Layout = dict[str, dict[str, list[str | list[str]]]]

#: How training goes: the titles of charts, the option that each belongs to, and what it shows.
TRAINING = {
    "learning rate": ("learning_rate", ["learning_rate"]),
    "gradient norm": ("gradient_norm", ["gradient_norm", "gradient_norm_max"]),
    "penalty": ("penalty", ["penalty"]),
    "samples per second": ("throughput", ["samples_per_second"]),
    "seconds per epoch": ("throughput", ["epoch_seconds"]),
    "memory in MiB": ("memory", ["memory_mib"]),
}


def chart_layout(metrics: Iterable[str], options: TensorBoardOptions) -> Layout:
    """Return which charts there are, and what is in them.

    Args:
        metrics: names without a split: ``loss``, ``accuracy``, ….
        options: what is written at all.

    Example:
        >>> layout = chart_layout(["loss"], TensorBoardOptions(gradient_norm=False, throughput=False, memory=False))
        >>> layout["metrics"]
        {'loss': ['Multiline', ['^metrics/loss$']]}
        >>> list(layout["training"])
        ['learning rate', 'penalty']
    """
    layout: Layout = {}
    if options.curves:
        layout["metrics"] = {name: _chart(f"metrics/{name}") for name in metrics}
    training = {
        title: _chart(*(f"training/{name}" for name in names))
        for title, (option, names) in TRAINING.items()
        if getattr(options, option)
    }
    return {**layout, "training": training} if training else layout


def _chart(*tags: str) -> list[str | list[str]]:
    return ["Multiline", [f"^{re.escape(tag)}$" for tag in tags]]
