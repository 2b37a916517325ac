"""From predictions and targets to figures: pure functions, for each kind of problem."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torchmetrics.functional.classification import binary_precision_recall_curve, binary_roc

from lightlab.inspect.evaluation.record import Calibration, Confusion, Curve, Histogram, Residuals

#: A matrix of more classes is not drawn, and not kept; the pairs that are confused most often are.
MOST_CLASSES, MOST_PAIRS = 100, 20
#: Curves of more classes, and charts of more numbers, say nothing to the eye.
MOST_CURVES = 20
#: Points of a curve that are kept.
POINTS = 200
#: Bins of probabilities.
CALIBRATION_BINS = 10
#: Rows whose predicted and true numbers are kept, and bins of histograms.
SHOWN_ROWS, BINS = 1000, 40


def histogram(values: Tensor, bins: int = BINS) -> Histogram:
    """Return how often numbers occur, in bins of one width; those that are not finite are left out.

    >>> histogram(torch.tensor([0.0, 1.0, 1.0, 2.0]), bins=2)
    Histogram(edges=(0.0, 1.0, 2.0), counts=(1, 3))
    """
    known = values.detach().flatten().float()
    if not len(known) or not all(map(torch.isfinite, torch.aminmax(known))):  # or a copy is made in vain
        known = known[torch.isfinite(known)]
    if not len(known):
        return Histogram((0.0, 1.0), (0,))
    low, high = (float(value) for value in torch.aminmax(known))
    if low == high:
        low, high = low - 0.5, high + 0.5
    counts = torch.histc(known, bins, low, high)
    return Histogram(tuple(np.linspace(low, high, bins + 1).tolist()), tuple(counts.int().tolist()))


def confuse(title: str, classes: Sequence[str], true: Tensor, predicted: Tensor) -> Confusion:
    """Return how many rows of each class are taken for each.

    Args:
        title: the label that it is of; empty for a problem with one target.
        classes: the names.
        true: codes, (rows,).
        predicted: codes, (rows,).
    """
    count = len(classes)
    pairs = torch.bincount(true.long() * count + predicted.long(), minlength=count * count).reshape(count, count)
    return Confusion(title, tuple(classes), tuple(map(tuple, pairs.tolist())))


def find_confused(classes: Sequence[str], true: Tensor, predicted: Tensor) -> tuple[tuple[str, str, int], ...]:
    """Return true class, predicted class and rows of the pairs that are taken for each other most often."""
    wrong = true != predicted
    pairs, counts = torch.unique(torch.stack([true[wrong], predicted[wrong]]), dim=1, return_counts=True)
    order = counts.argsort(descending=True, stable=True)[:MOST_PAIRS].tolist()
    return tuple((classes[pairs[0, place]], classes[pairs[1, place]], int(counts[place])) for place in order)


def roc(scores: Tensor, holds: Tensor) -> Curve | None:
    """Return true over false positive rate; ``None`` where all rows are of one class.

    Args:
        scores: of a class, (rows,); the higher, the likelier.
        holds: whether a row is of the class, (rows,), 0 or 1.
    """
    if holds.min() == holds.max():
        return None
    false, true, _ = binary_roc(scores, holds.long(), validate_args=False)
    return Curve(_thin(false), _thin(true), float(torch.trapezoid(true, false)))


def precision_recall(scores: Tensor, holds: Tensor) -> Curve | None:
    """Return precision over recall, with the average precision; ``None`` where all rows are of one class.

    Args:
        scores: of a class, (rows,); the higher, the likelier.
        holds: whether a row is of the class, (rows,), 0 or 1.
    """
    if holds.min() == holds.max():
        return None
    precision, recall, _ = binary_precision_recall_curve(scores, holds.long(), validate_args=False)
    average = -((recall[1:] - recall[:-1]) * precision[:-1]).sum()
    return Curve(_thin(recall), _thin(precision), float(average))


def _thin(values: Tensor) -> tuple[float, ...]:
    """Return the first, the last and others in between, evenly: as many as are kept."""
    places = torch.linspace(0, len(values) - 1, min(len(values), POINTS)).round().long()
    return tuple(round(value, 6) for value in values[places].tolist())


def calibrate(confidence: Tensor, right: Tensor) -> Calibration:
    """Return how often predictions of each probability are right (Guo et al. 2017).

    Args:
        confidence: the probability of what was predicted, (rows,).
        right: whether it is true, (rows,).
    """
    places = (confidence * CALIBRATION_BINS).long().clamp(0, CALIBRATION_BINS - 1)
    rows = torch.bincount(places, minlength=CALIBRATION_BINS)
    filled = rows > 0

    def means(values: Tensor) -> Tensor:
        return torch.bincount(places, values.double(), CALIBRATION_BINS)[filled] / rows[filled]

    promised, held = means(confidence), means(right)
    error = ((promised - held).abs() * rows[filled]).sum() / rows.sum()
    return Calibration(tuple(promised.tolist()), tuple(held.tolist()), tuple(rows[filled].tolist()), float(error))


def compare_numbers(target: str, true: Tensor, predicted: Tensor) -> Residuals:
    """Return predicted numbers against true ones.

    Args:
        target: the column.
        true: (rows,), in the target's own units.
        predicted: likewise.
    """
    true, predicted = true.double(), predicted.double()
    differences = predicted - true
    places = torch.linspace(0, len(true) - 1, min(len(true), SHOWN_ROWS)).round().long()
    shown: list[Any] = [tuple(values[places].double().tolist()) for values in (true, predicted)]
    spread = float(differences.std()) if len(differences) > 1 else 0.0
    return Residuals(target, shown[0], shown[1], histogram(differences), float(differences.mean()), spread)
