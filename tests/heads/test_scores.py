"""Scores are NaN where there is nothing to measure, and torchmetrics' own figures elsewhere."""

import math

import pytest
import torch
from torchmetrics import classification

from lightlab.heads import scores

LIKELY = torch.tensor([0.9, 0.2, 0.6, 0.4])
MIXED = torch.tensor([1, 0, 0, 1])
#: Rows of three labels: of the second all have it, of the third none.
MANY = torch.stack([LIKELY, LIKELY, LIKELY], 1)
LABELS = torch.tensor([[1, 1, 0], [0, 1, 0], [0, 1, 0], [1, 1, 0]])


def score(metric, predicted, target):
    """Return the score of some rows, given in two steps."""
    for rows in (slice(1), slice(1, None)):
        metric.update(predicted[rows], target[rows])
    return metric.compute()


@pytest.mark.parametrize("name", ["BinaryAUROC", "BinaryPrecision", "BinaryRecall", "BinaryF1Score"])
def test_two_classes(name):
    """Both classes occur: the figure is torchmetrics'."""
    own, theirs = (score(getattr(each, name)(), LIKELY, MIXED) for each in (scores, classification))
    assert torch.equal(own, theirs)


@pytest.mark.parametrize(
    ("name", "undefined"),
    [("BinaryAUROC", {0, 1}), ("BinaryPrecision", {0}), ("BinaryRecall", {0}), ("BinaryF1Score", {0})],
)
def test_one_class(name, undefined):
    """One class alone has no figure where it says nothing."""
    for target in (0, 1):
        found = float(score(getattr(scores, name)(), LIKELY, torch.full_like(MIXED, target)))
        assert math.isnan(found) == (target in undefined)


def test_no_row_is_taken_for_positive():
    """Precision is 0 where there are positive rows and none is found."""
    assert float(score(scores.BinaryPrecision(), torch.zeros(4), MIXED)) == 0


@pytest.mark.filterwarnings("ignore:No (negative|positive) samples in targets")  # as `EpochMetrics` does
def test_labels():
    """Averages are over the labels that have something to measure; NaN where none has."""
    auroc, f1 = scores.MultilabelAUROC, scores.MultilabelF1Macro
    assert torch.equal(score(auroc(3, average="none"), MANY, LABELS), score(scores.BinaryAUROC(), LIKELY, MIXED))
    each = score(scores.MultilabelF1Score(3, average="none"), MANY, LABELS)
    assert torch.equal(each.isnan(), torch.tensor([False, False, True]))
    assert torch.equal(score(f1(3, average="none"), MANY, LABELS), each[:2].mean())
    for metric in (auroc, f1):
        assert score(metric(3, average="none"), MANY, torch.zeros_like(LABELS)).isnan()


@pytest.mark.parametrize("scale", [1.0, 1e-6, 1e6])
def test_r2(scale):
    """It is the same in any unit; a quantity that does not vary is left out."""
    true = torch.tensor([[1.0, 5.0], [2.0, 5.0], [4.0, 5.0]]) * scale
    predicted = true + torch.tensor([[0.5], [0.0], [-0.5]]) * scale
    expected = 1 - 0.5 / float(((true[:, 0] / scale - 7 / 3) ** 2).sum())
    assert float(score(scores.R2Score(), predicted, true)) == pytest.approx(expected, rel=1e-3)
    assert score(scores.R2Score(), predicted[:, 1:], true[:, 1:]).isnan()


def test_r2_of_one_row():
    """One row does not vary."""
    metric = scores.R2Score()
    metric.update(torch.ones(1, 1), torch.zeros(1, 1))
    assert metric.compute().isnan()


def test_scores_begin_anew():
    """Nothing of the rows before is left after a reset."""
    metric = scores.R2Score()
    score(metric, torch.tensor([[1.0], [9.0]]), torch.tensor([[0.0], [9.0]]))
    metric.reset()
    assert score(metric, torch.ones(2, 1), torch.ones(2, 1)).isnan()
