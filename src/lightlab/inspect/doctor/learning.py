"""Whether a network learned too much of its train rows, or too little of what there is to learn."""

from __future__ import annotations

import math

import numpy as np

from lightlab.inspect.doctor.diagnosis import Figures, Finding
from lightlab.inspect.doctor.evidence import Evidence, Level, UnknownError
from lightlab.inspect.doctor.remedies import (
    augment,
    drop,
    drop_less,
    lower_rate,
    make_larger,
    make_smaller,
    more_data,
    normalise_inputs,
    normalise_layers,
    penalise,
    penalise_less,
    propose,
    raise_rate,
    schedule,
    stop_early,
    tell_more,
    train_longer,
)
from lightlab.inspect.limits import SUSPECT
from lightlab.inspect.numbers import short

#: With the last weights, validation rows may have so much more left to learn than train rows. Healthy runs have up to
#: 0.3, also where half of the target is noise; what was learned by heart has 0.5 to 2.
GAP = 0.4
#: Where the validation loss has risen by so much since the best weights, a smaller gap will do. Early stopping lets
#: every run go on past its best: healthy ones rise by up to 0.05.
RISE, GAP_WITH_RISE = 0.1, 0.15
#: A difference is no chance from so many standard errors on: with 2, one healthy run in 40 would be called ill.
CLEAR = 3.0
#: Where chance alone moves the share of a split by more than this, its rows are too few to compare splits by.
MOST_ERROR = 0.4
#: What has so little left to learn of its train rows has learned enough.
LEARNED = 0.1
#: The other learner does better from so much more accuracy or r2 on. On data that holds no more it is 0.1 worse to 0.06
#: better than a healthy network; where the network learned too little, it is 0.1 to 0.9 better.
BETTER = 0.08
#: With so much left nothing was learned: of noise, validation rows have 1.0 to 1.3.
NOTHING = 0.95
#: A loss still falls that lost such a part of its share from one third of the epochs to the next. Of healthy runs with
#: more than a tenth to learn one in ten is at 0.1 to 0.14; those that were cut short are at 0.16 to 0.6. Where another
#: learner shows that there is more to learn, less will do: what learned all that it can loses up to 0.05.
FALLING, FALLING_TO_MORE = 0.15, 0.08
#: A smoothed loss is flat while its share is so near its last level; a plateau is such a part of the epochs.
FLAT, PART = 0.02, 1 / 3
#: In fewer epochs there is no plateau.
FEW_EPOCHS = 6


def find_overfitting(evidence: Evidence) -> Finding | None:
    """Compare train and validation rows with the weights that training ended with."""
    train, val = evidence.train, comparable(evidence.val)
    gap, rise = val.last - train.last, val.last - val.best
    if gap < CLEAR * val.error or not (gap > GAP or (rise > RISE and gap > GAP_WITH_RISE)):
        return None
    figures: Figures = {"train_share": train.last, "val_share": val.last, "rise": rise, "error": val.error}
    curve = evidence.val_curve
    best = int(curve.epochs[curve.smooth().values.argmin()])
    lowest, last = short(val.loss(curve.lowest)), short(val.loss(curve.last))
    how = f"val/loss fell to {last} only"
    if best < evidence.epochs:
        figures |= {"best_epoch": best, "since_epoch": best + 1}
        way = f"rose from {lowest} to {last}" if rise > val.error else f"got no better than {lowest}"
        how = f"since epoch {best + 1} val/loss {way}"
    text = f"{how}, while train/loss fell to {short(evidence.column('train/loss').last)}"
    text += f" (left to learn: {train.last:.0%} of train, {val.last:.0%} of val)"
    advice = propose(evidence.setup, augment, drop, penalise, make_smaller, more_data, stop_early)
    return Finding("overfitting", text, figures, advice)


def find_underfitting(evidence: Evidence) -> Finding | None:
    """Say what was cut short, and what learned less of its train rows than can be learned."""
    if evidence.unlearned < LEARNED or _overfits(evidence):
        return None
    figures: Figures = {"train_share": evidence.unlearned}
    more = _more_to_learn(evidence, figures)
    falling = _say_fall(evidence, FALLING_TO_MORE if more else FALLING, figures)
    if not (more or falling):
        return None
    left = f"{evidence.unlearned:.0%} of what there is to learn of train rows is left"
    if falling:
        advice = propose(evidence.setup, train_longer, raise_rate, normalise_inputs, make_larger)
    else:
        remedies = (normalise_inputs, drop_less, penalise_less, make_larger, raise_rate, train_longer)
        advice = propose(evidence.setup, *remedies)
    return Finding("underfitting", "; ".join(filter(None, (falling, left, more))), figures, advice)


def find_plateau(evidence: Evidence) -> Finding | None:
    """Say since when the train loss stands still, where there is more to learn."""
    curve = evidence.train_curve.smooth()
    if len(curve) < FEW_EPOCHS or evidence.unlearned < SUSPECT or _overfits(evidence):
        return None
    level = curve.last
    moving = np.flatnonzero(np.abs(curve.values - level) > FLAT)
    start = int(moving[-1]) + 1 if len(moving) else 0
    if len(curve) - start < PART * len(curve):
        return None
    figures: Figures = {"since_epoch": int(curve.epochs[start]), "train_share": level}
    more = _more_to_learn(evidence, figures)
    if not more:
        return None
    loss = short(evidence.train.loss(level))
    text = f"train/loss has stood at {loss} since epoch {figures['since_epoch']} of {evidence.epochs}; {more}"
    step = lower_rate if start else raise_rate
    advice = propose(evidence.setup, step, normalise_inputs, schedule, normalise_layers, make_larger)
    return Finding("plateaued", text, figures, advice)


def find_no_better(evidence: Evidence) -> Finding | None:
    """Compare the best weights with the best answer that does not look at the inputs."""
    try:
        name, level = "val", comparable(evidence.val)
        share = level.best
    except UnknownError:  # too few rows to choose weights by
        name, level = "train", comparable(evidence.train)
        share = evidence.unlearned
    if share < NOTHING:
        return None
    loss, constant = level.loss(share), level.loss(1.0)
    text = f"{name}/loss is {short(loss)} at best, and {short(constant)} for the best answer that ignores the inputs"
    figures: Figures = {"loss": loss, "constant": constant, "share": share}
    advice = propose(evidence.setup, normalise_inputs, tell_more, more_data)
    return Finding("no better than the baseline", text, figures, advice)


def _overfits(evidence: Evidence) -> bool:
    """Return whether what was learned holds for train rows only: then to learn more of them is no remedy."""
    try:
        return find_overfitting(evidence) is not None
    except UnknownError:
        return False


def comparable(level: Level) -> Level:
    """Return what is known of a split.

    Raises:
        UnknownError: its rows are too few to compare it with anything.
    """
    if level.error > MOST_ERROR:
        raise UnknownError
    return level


def _say_fall(evidence: Evidence, least: float, figures: Figures) -> str:
    """Return that the validation loss still fell in a training that its limit ended, if it did; with the figures.

    Args:
        evidence: of the run.
        least: such a part of its share was lost from the second to the last third of the training.
        figures: get those that are in the text.
    """
    try:
        name, curve, level = "val/loss", evidence.val_curve, evidence.val
    except UnknownError:
        name, curve, level = "train/loss", evidence.train_curve, evidence.train
    third = max(1, len(curve) // 3)
    if len(curve) < 2 or not evidence.reached_limit:
        return ""
    before, after = (float(np.median(part)) for part in (curve.values[-2 * third : -third], curve.values[-third:]))
    if after < LEARNED or before - after < least * before:
        return ""
    figures |= {"before": level.loss(before), "after": level.loss(after)}
    return f"{name} was still falling at the end, lately from {short(level.loss(before))} to {short(level.loss(after))}"


def _more_to_learn(evidence: Evidence, figures: Figures) -> str:
    """Return what shows that there is more to learn than the network did, if something does; with its figures."""
    try:
        reference = evidence.reference
    except UnknownError:
        return "next to nothing was learned" if evidence.unlearned > NOTHING else ""
    better = reference.score - reference.network
    if evidence.unlearned < SUSPECT or reference.score < BETTER or better < max(BETTER, 2 * _chance(evidence)):
        return ""
    figures |= {reference.name: reference.score, "network": reference.network}
    return f"{reference.name} reach {reference.metric} {reference.score:.2f}, the network {reference.network:.2f}"


def _chance(evidence: Evidence) -> float:
    """Return the standard error of the difference between two learners on the validation rows."""
    try:
        level, reference = evidence.val, evidence.reference
    except UnknownError:
        return 0.0
    if reference.metric != "accuracy":
        return level.error
    variances = [score * (1 - score) for score in (reference.score, reference.network)]
    return math.sqrt(max(0.0, sum(variances)) / max(1, level.rows))
