"""Confusion matrices of a model card, and what is said of those that it has no room for."""

import pytest

from lightlab.inspect.evaluation import Calibration, Confusion, Evaluation, SplitRecord
from lightlab.inspect.report import matrices


@pytest.mark.parametrize(
    ("labels", "text"),
    [
        (12, ""),
        (13, "The confusion matrices of the first 12 of 13 labels:"),
        (21, "There are confusion matrices of at most 20 labels; these are 21."),
    ],
)
def test_labels(labels, text):
    """Of many labels the first have a table, and of very many, which have no matrix, none."""
    names = tuple(f"n{number}" for number in range(labels))
    confusions = tuple(Confusion(name, ("no", "yes"), ((1, 0), (0, 1))) for name in names if labels <= 20)
    record = SplitRecord(9, 0.5, confusions, calibration=Calibration((), (), (), 0.0))
    evaluation = Evaluation("any", (), names, "val/loss", "min", {"val": record}, {}, ())
    assert matrices.left_out(evaluation, record) == text
    assert matrices.shown(record) == list(confusions[:12])


def test_classes():
    """A matrix of more classes than a table has columns for is not shown, and that is said."""
    for count, is_shown in ((20, True), (21, False)):
        names = tuple(f"n{number}" for number in range(count))
        confusion = Confusion("", names, ((1,) * count,) * count)
        record = SplitRecord(9, 0.5, (confusion,))
        evaluation = Evaluation("any", names, ("kind",), "val/loss", "min", {"val": record}, {}, ())
        assert bool(matrices.shown(record)) == is_shown == (not matrices.left_out(evaluation, record))
