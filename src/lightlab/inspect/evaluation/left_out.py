"""What is said of charts that are not drawn, since they would hold more than can be seen."""

from __future__ import annotations

from lightlab.inspect.evaluation.curves import MOST_CLASSES, MOST_CURVES
from lightlab.inspect.evaluation.record import Evaluation, SplitRecord


def say_left_out(evaluation: Evaluation, record: SplitRecord, most: int) -> str:
    """Return sentences about the charts that a split does not have; nothing where all are there.

    Args:
        evaluation: what is kept of a run.
        record: of the split.
        most: labels, or target columns, that have charts of their own.
    """
    classes, targets = len(evaluation.classes), len(evaluation.targets)
    said = []
    if classes > MOST_CLASSES:
        said.append(f"There is a confusion matrix of at most {MOST_CLASSES} classes; these are {classes}.")
    if classes > MOST_CURVES:
        said.append(f"There are ROC and precision-recall curves of at most {MOST_CURVES} classes; these are {classes}.")
    if not classes and not record.residuals and record.calibration and targets > MOST_CURVES:
        charts = "confusion matrices, ROC and precision-recall curves"
        said.append(f"There are {charts} of at most {MOST_CURVES} labels; these are {targets}.")
    several = targets if record.residuals else len(record.confusions)
    if several > most:
        said.append(f"The first {most} of {several} are shown.")
    return " ".join(said)
