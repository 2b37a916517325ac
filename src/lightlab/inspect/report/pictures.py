"""The charts of a report, with what they show in words, for those who can't see them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import pandas as pd
from markupsafe import Markup
from matplotlib.figure import Figure

from lightlab.inspect import figures
from lightlab.inspect.evaluation import Confusion, Curve, Evaluation, LayerRecord, Residuals, SplitRecord
from lightlab.inspect.evaluation.left_out import say_left_out
from lightlab.inspect.figures import Chart
from lightlab.inspect.report.tables import number, percent

#: So many labels, or target columns, have charts of their own.
MOST = 12
CALIBRATION = (
    "On the dotted line a probability is what it says; below it the model is too sure. Larger dots have more rows. "
    "ECE is the expected calibration error."
)


@dataclass(frozen=True)
class Picture:
    """A chart.

    Attributes:
        svg: to stand in a page.
        words: what it shows.
        caption: what stands below it; empty where the title says all.
    """

    svg: Markup
    words: str
    caption: str = ""


def _picture(figure: Figure, words: str, caption: str = "") -> Picture:
    svg = Markup(figures.to_svg(figure, words))  # noqa: S704 - matplotlib escapes what it writes
    return Picture(svg, words, caption)


# Curves


def of_history(history: pd.DataFrame, charts: Iterable[Chart], best_epoch: int | None) -> list[Picture]:
    """Return a picture of each chart."""
    return [_picture(figures.draw_history(history, [chart], best_epoch), _say(history, chart)) for chart in charts]


def _say(history: pd.DataFrame, chart: Chart) -> str:
    lines = []
    for name, column in chart.lines.items():
        seen = history[column].dropna()
        if len(seen):
            lines.append(f"{name} from {number(float(seen.iloc[0]))} to {number(float(seen.iloc[-1]))}".strip())
    return f"{chart.title} over the epochs: {', '.join(lines) or 'nothing was measured'}."


# Evaluation


def of_split(name: str, record: SplitRecord) -> list[Picture]:
    """Return what there is of a split: confusion matrices, curves, calibration; or predictions and residuals.

    Args:
        name: of the split, for people.
        record: of the split.
    """
    drawn = [(figures.draw_confusion(each), _say_confusion(each), "") for each in record.confusions[:MOST]]
    if record.roc:
        drawn.append((figures.draw_roc(record.roc), f"ROC curves: {_say_areas(record.roc)}", _say_named(record.roc)))
    if record.precision_recall:
        words = f"precision-recall curves: {_say_areas(record.precision_recall)}"
        figure = figures.draw_precision_recall(record.precision_recall)
        drawn.append((figure, words, _say_named(record.precision_recall)))
    if record.calibration:
        words = f"calibration: expected calibration error {number(record.calibration.error)}"
        drawn.append((figures.draw_calibration(record.calibration), words, CALIBRATION))
    drawn += [picture for each in record.residuals[:MOST] for picture in _of_numbers(each)]
    return [_picture(figure, f"{name}, {words}.", caption) for figure, words, caption in drawn]


def left_out(evaluation: Evaluation, record: SplitRecord) -> str:
    """Return what is to be said of classes, labels or targets without charts."""
    return say_left_out(evaluation, record, MOST)


def _say_confusion(confusion: Confusion) -> str:
    right = sum(row[place] for place, row in enumerate(confusion.counts))
    rows = sum(map(sum, confusion.counts))
    title = f" of {confusion.title}" if confusion.title else ""
    return f"confusion matrix{title}: {right:,} of {rows:,} rows are right"


def _say_areas(curves: dict[str, Curve]) -> str:
    areas = [curve.area for curve in curves.values()]
    return f"areas of {len(areas)} from {number(min(areas))} to {number(max(areas))}"


def _say_named(curves: dict[str, Curve]) -> str:
    most = figures.MOST_CURVES
    return f"The {most} of {len(curves)} with the least area have a name." if len(curves) > most else ""


def _of_numbers(residuals: Residuals) -> Iterator[tuple[Figure, str, str]]:
    words = f"predicted against true {residuals.target}: {len(residuals.true):,} rows"
    yield figures.draw_predictions(residuals), words, "On the dotted line a prediction is right."
    spread = f"mean {number(residuals.mean)}, standard deviation {number(residuals.std)}"
    yield figures.draw_residuals(residuals), f"residuals of {residuals.target}: {spread}", ""


# Layers


def of_layers(layers: Sequence[LayerRecord]) -> list[Picture]:
    """Return the histograms of each layer's weights, before training and after."""
    return [
        _picture(figures.draw_weights([layer]), f"Weights of {layer.name} before and after training.", _facts(layer))
        for layer in layers
        if layer.after is not None
    ]


def _facts(layer: LayerRecord) -> str:
    facts = [f"{layer.parameters:,} parameters"]
    if layer.first_gradient is not None or layer.last_gradient is not None:
        facts.append(f"gradient / weights {number(layer.first_gradient)} → {number(layer.last_gradient)}")
    if layer.dead is not None:
        facts.append(f"dead units {percent(layer.dead)}")
    return ", ".join(facts)
