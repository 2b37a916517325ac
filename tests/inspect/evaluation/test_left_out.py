"""Of charts that are not drawn it is said why."""

import pytest

from lightlab.inspect.evaluation import Calibration, Confusion, Evaluation, Histogram, Residuals, SplitRecord
from lightlab.inspect.evaluation.left_out import say_left_out

CALIBRATION = Calibration((), (), (), 0.0)


def names(count):
    """Return so many names."""
    return tuple(f"n{number}" for number in range(count))


def said(classes, targets, record, most=12):
    """Return what is said of a split."""
    evaluation = Evaluation("any", names(classes), names(targets), "val/loss", "min", {"val": record}, {}, ())
    return say_left_out(evaluation, record, most)


@pytest.mark.parametrize(
    ("classes", "text"),
    [
        (20, ""),
        (21, "There are ROC and precision-recall curves of at most 20 classes; these are 21."),
        (
            101,
            "There is a confusion matrix of at most 100 classes; these are 101. "
            "There are ROC and precision-recall curves of at most 20 classes; these are 101.",
        ),
    ],
)
def test_classes(classes, text):
    """Of many classes there are no curves, and of very many no matrix."""
    assert said(classes, 1, SplitRecord(9, 0.5, calibration=CALIBRATION)) == text


@pytest.mark.parametrize(
    ("labels", "text"),
    [
        (12, ""),
        (13, "The first 12 of 13 are shown."),
        (21, "There are confusion matrices, ROC and precision-recall curves of at most 20 labels; these are 21."),
    ],
)
def test_labels(labels, text):
    """Of many labels the first have charts, and of very many none."""
    confusions = tuple(Confusion(name, ("no", "yes"), ((1, 0), (0, 1))) for name in names(labels) if labels <= 20)
    assert said(0, labels, SplitRecord(9, 0.5, confusions, calibration=CALIBRATION)) == text


def test_numbers():
    """The first targets have charts; all of them are counted, not only those that are kept."""
    residuals = tuple(Residuals(name, (1.0,), (1.0,), Histogram((0.0, 1.0), (1,)), 0.0, 0.0) for name in names(20))
    assert said(0, 50, SplitRecord(9, 0.5, residuals=residuals)) == "The first 12 of 50 are shown."
    assert said(0, 50, SplitRecord(9, 0.5, residuals=residuals), 20) == "The first 20 of 50 are shown."
    assert said(0, 12, SplitRecord(9, 0.5, residuals=residuals[:12])) == ""


def test_heads_without_charts():
    """Nothing is said of a problem that has none."""
    assert said(0, 50, SplitRecord(9, 0.5)) == ""
