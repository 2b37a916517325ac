"""Figures from predictions and targets, held against scikit-learn's where it has them."""

import numpy as np
import pytest
import torch
from sklearn import metrics

from lightlab.inspect.evaluation.curves import (
    CALIBRATION_BINS,
    POINTS,
    calibrate,
    compare_numbers,
    confuse,
    find_confused,
    histogram,
    precision_recall,
    roc,
)


@pytest.fixture
def scored():
    """Scores of 500 rows, and whether they are of the class, which the scores tell in part."""
    generator = torch.Generator().manual_seed(0)
    scores = torch.rand(500, generator=generator)
    return scores, (torch.rand(500, generator=generator) < scores).long()


def test_roc_and_precision_recall_are_scikit_learns(scored):
    """Areas are scikit-learn's; no more points are kept than are drawn, the ends among them."""
    scores, holds = scored
    curve = roc(scores, holds)
    assert curve.area == pytest.approx(metrics.roc_auc_score(holds, scores), abs=1e-6)
    assert len(curve.x) == len(curve.y) == POINTS
    assert (curve.x[0], curve.y[0], curve.x[-1], curve.y[-1]) == (0, 0, 1, 1)
    curve = precision_recall(scores, holds)
    assert curve.area == pytest.approx(metrics.average_precision_score(holds, scores), abs=1e-6)
    assert {curve.x[0], curve.x[-1]} == {0, 1}


@pytest.mark.parametrize("draw", [roc, precision_recall])
def test_one_class_has_no_curve(draw):
    """Where all rows are of one class there is nothing to draw."""
    assert draw(torch.rand(5), torch.ones(5, dtype=torch.long)) is None


def test_confusion_is_scikit_learns():
    """Rows are true classes, columns predicted ones, those that never occur included."""
    true, predicted = torch.tensor([0, 1, 1, 2, 2, 2]), torch.tensor([0, 1, 0, 2, 0, 0])
    confusion = confuse("", ["a", "b", "c", "d"], true, predicted)
    assert np.array_equal(confusion.counts, metrics.confusion_matrix(true, predicted, labels=range(4)))
    assert find_confused(["a", "b", "c", "d"], true, predicted) == (("c", "a", 2), ("b", "a", 1))


def test_calibration_of_probabilities_that_hold():
    """Of probabilities that are the truth, few in a hundred are off; of those that promise too much, as many."""
    generator = torch.Generator().manual_seed(0)
    confidence = 0.5 + torch.rand(20_000, generator=generator) / 2
    right = torch.rand(20_000, generator=generator) < confidence
    honest = calibrate(confidence, right)
    assert honest.error < 0.02
    assert sum(honest.rows) == 20_000
    assert len(honest.rows) == CALIBRATION_BINS / 2  # the other half has no rows
    assert calibrate(torch.ones(1000), right[:1000]).error == pytest.approx(
        1 - float(right[:1000].float().mean()), abs=1e-6
    )


def test_residuals_in_their_own_units():
    """Mean and spread are of all rows, points of some of them."""
    true = torch.arange(5000.0)
    found = compare_numbers("price", true, true + 3)
    assert (found.mean, found.std) == (3.0, 0.0)
    assert len(found.true) == len(found.predicted) == 1000
    assert sum(found.histogram.counts) == 5000
    assert compare_numbers("price", true[:1], true[:1]).std == 0


def test_histogram_of_anything():
    """What is no number is left out; one value, and none at all, have a histogram, too."""
    assert sum(histogram(torch.tensor([1.0, torch.nan, 2.0, torch.inf])).counts) == 2
    assert sum(histogram(torch.full((7,), 3.0)).counts) == 7
    assert histogram(torch.tensor([torch.nan])).counts == (0,)
    values = torch.randn(1000, generator=torch.Generator().manual_seed(0))
    found = histogram(values)
    counts, edges = np.histogram(values.numpy(), 40)
    assert np.allclose(found.edges, edges)
    assert np.abs(np.array(found.counts) - counts).max() <= 1  # what lies on an edge
