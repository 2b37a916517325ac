"""Whether the data is such that figures mean what they seem to."""

from __future__ import annotations

import math

from lightlab.data.finding import DataFinding
from lightlab.inspect.doctor.diagnosis import Figures, Finding
from lightlab.inspect.doctor.evidence import Evidence
from lightlab.inspect.doctor.learning import CLEAR, comparable
from lightlab.inspect.numbers import short

#: Validation rows may have so much less left to learn than train rows. Healthy runs, dropout or not, have up to 0.07.
EASIER = 0.1
#: So many rows of a split may stand in train, too: iris has one twin in 22, which changes nothing.
SHARED = 0.1


def find_easier(evidence: Evidence) -> Finding | None:
    """Compare train and validation rows, dropout and augmentation off, with the best weights and with the last."""
    train, val = evidence.train, comparable(evidence.val)
    # Few rows that are all easy have a small error of their own, by chance: that of as many train rows counts, too.
    error = math.hypot(train.error, max(val.error, train.error * math.sqrt(train.rows / val.rows)))
    easier = min(train.best - val.best, train.last - val.last)
    if easier < max(EASIER, CLEAR * error):
        return None
    losses = train.loss(train.best), val.loss(val.best)
    text = f"with the same weights train rows cost {short(losses[0])} and validation rows {short(losses[1])} (left to "
    text += f"learn: {train.best:.0%} and {val.best:.0%}): their targets or inputs differ"
    figures: Figures = {"train_loss": losses[0], "val_loss": losses[1], "difference": easier, "error": error}
    advice = ("lightlab data, which compares the splits", "data.init_args.split, so that chance picks the rows")
    return Finding("validation easier than training", text, figures, advice)


def find_leakage(evidence: Evidence) -> Finding | None:
    """Take up what reading the data has found: columns that tell the target, and many rows in two splits."""
    said = evidence.evaluation.findings
    return _find_telling_columns(said) or _find_shared_rows(said)


def _find_telling_columns(said: tuple[DataFinding, ...]) -> Finding | None:
    found = [each for each in said if each.kind == "telling column"]
    if not found:
        return None
    columns = list(dict.fromkeys(each.name for each in found))
    text = f"column {columns[0]!r} tells the target {found[0].target!r} by itself"
    text += f", and so do {len(columns) - 1} more" if len(columns) > 1 else ""
    advice = f"data.init_args.ignore: [{', '.join(columns)}] (what is not known when a prediction is made)"
    return Finding("leakage suspected", text, {"column": columns[0], "columns": len(columns)}, (advice,))


def _find_shared_rows(said: tuple[DataFinding, ...]) -> Finding | None:
    for each in said:
        if each.kind == "shared rows" and each.rows > SHARED * each.of:
            split = each.name
            text = f"{each.rows} of {each.of} rows of {split} also stand in train, so {split} looks better than it is"
            figures: Figures = {"shared": each.rows, "rows": each.of, "split": split}
            advice = ("each row once", "data.init_args.split: {groups: COLUMN}, which keeps such rows together")
            return Finding("leakage suspected", text, figures, advice)
    return None
