"""The rules, in the order in which what they find matters."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

import pandas as pd

from lightlab.inspect.doctor.data import find_easier, find_leakage
from lightlab.inspect.doctor.diagnosis import Diagnosis, Finding
from lightlab.inspect.doctor.evidence import Evidence, UnknownError
from lightlab.inspect.doctor.learning import (
    GAP,
    comparable,
    find_no_better,
    find_overfitting,
    find_plateau,
    find_underfitting,
)
from lightlab.inspect.doctor.stability import find_dead_units, find_exploding, find_unstable, find_vanishing
from lightlab.inspect.evaluation.record import Evaluation
from lightlab.inspect.numbers import short

#: By illness; first what makes all figures worthless, then causes, then what follows from them.
RULES: dict[str, Callable[[Evidence], Finding | None]] = {
    "leakage suspected": find_leakage,
    "exploding gradients": find_exploding,
    "unstable": find_unstable,
    "dead units": find_dead_units,
    "vanishing gradients": find_vanishing,
    "underfitting": find_underfitting,
    "no better than the baseline": find_no_better,
    "overfitting": find_overfitting,
    "plateaued": find_plateau,
    "validation easier than training": find_easier,
}


def diagnose(history: pd.DataFrame, evaluation: Evaluation | None, config: Mapping[str, Any]) -> Diagnosis:
    """Return what is wrong with a run, and what to try; from its files alone, in milliseconds.

    Args:
        history: as in ``history.csv``; whatever is missing in it is not looked at.
        evaluation: ``None`` where training broke off.
        config: of the run.

    Example:
        >>> diagnose(pd.DataFrame(), None, {}).summary()
        'too little is known of this run for a verdict'
    """
    evidence = Evidence(history, evaluation, config)
    findings: list[Finding] = []
    checked: list[str] = []
    for illness, rule in RULES.items():
        with suppress(UnknownError):
            finding = rule(evidence)
            checked.append(illness)
            findings += [] if finding is None else [finding]
    return Diagnosis(tuple(findings), tuple(checked), _say_health(evidence))


def _say_health(evidence: Evidence) -> str:
    """Return the figures that a healthy run shows; nothing where training broke off."""
    try:
        train = evidence.train
    except UnknownError:
        return ""
    left = f"{train.best:.0%} of train"
    try:
        val = evidence.val
        best = short(val.loss(val.best))
    except UnknownError:
        return (
            f"train/loss {short(train.loss(train.best))} (left to learn: {left}); of validation rows nothing is known"
        )
    try:
        comparable(val)
    except UnknownError:
        return f"val/loss {best}, but {val.rows} validation rows are too few to tell much"
    chance = f", which may be chance on {val.rows} rows" if val.best - train.best > GAP else ""
    return f"val/loss {best} at best (left to learn: {left}, {val.best:.0%} of val{chance})"
