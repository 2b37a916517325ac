"""Which confusion matrices a model card has as tables, and what it says of the others."""

from __future__ import annotations

from lightlab.inspect.evaluation import Confusion, Evaluation, SplitRecord
from lightlab.inspect.evaluation.curves import MOST_CURVES

#: A table in Markdown has room for so many classes; and so many labels have a table each.
MOST_COLUMNS, MOST_TABLES = 20, 12


def shown(record: SplitRecord) -> list[Confusion]:
    """Return the confusion matrices that have a table."""
    return [each for each in record.confusions[:MOST_TABLES] if len(each.classes) <= MOST_COLUMNS]


def left_out(evaluation: Evaluation, record: SplitRecord) -> str:
    """Return a sentence about those that have none; nothing where all have one.

    Args:
        evaluation: what is kept of a run.
        record: of the split.
    """
    classes, labels = len(evaluation.classes), len(record.confusions)
    if classes > MOST_COLUMNS:
        return f"There is a confusion matrix of at most {MOST_COLUMNS} classes here; these are {classes}."
    if labels > MOST_TABLES:
        return f"The confusion matrices of the first {MOST_TABLES} of {labels} labels:"
    if record.calibration and not labels:
        return f"There are confusion matrices of at most {MOST_CURVES} labels; these are {len(evaluation.targets)}."
    return ""


def some_classes(names: tuple[str, ...]) -> str:
    """Return the names of classes, of many the first.

    >>> some_classes(("cat", "dog"))
    'cat, dog'
    """
    some = ", ".join(names[:MOST_COLUMNS])
    return some if len(names) <= MOST_COLUMNS else f"{some}, … ({len(names)} classes)"
