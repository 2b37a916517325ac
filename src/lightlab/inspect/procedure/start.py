"""What a model does before it has learned anything: predictions of the right form, and a loss near chance."""

from __future__ import annotations

import math
from typing import Any

import torch

from lightlab.inspect.limits import WILD, WILD_WARNED
from lightlab.inspect.numbers import short
from lightlab.inspect.procedure.base import Result, Subject, quiet, row_losses
from lightlab.inspect.procedure.chance import Chance, find_chance
from lightlab.registry import PROBLEMS

#: So many random rows are predicted.
ROWS = 16
#: How far probabilities may be from a sum of 1: single precision adds up to less over a thousand classes.
ROUNDING = 1e-3

#: Fresh weights that are at so small a share of chance know the answers: a loss that does not look at the targets.
TOO_GOOD = 0.25


def check_prediction(subject: Subject) -> Result:
    """Predict random tensors: a row for each, finite, and probabilities that sum to 1 where there are classes."""
    model = subject.fresh().eval()
    inputs = subject.random_rows(ROWS).inputs
    with torch.no_grad():
        logits = model(inputs)
    wanted = (len(inputs), model.head.linear.out_features)
    figures: dict[str, Any] = {"shape": list(logits.shape)}
    if tuple(logits.shape) != wanted:
        return Result("failed", f"the head gives {wanted}. Received: {tuple(logits.shape)}", figures)
    bad = int((~torch.isfinite(logits)).any(dim=1).sum())
    if bad:
        return Result("failed", f"outputs are finite numbers. {bad} of {len(inputs)} rows have others", figures)
    columns = model.head.decode(logits)
    uneven = {name: len(values) for name, values in columns.items() if len(values) != len(inputs)}
    if uneven:
        return Result("failed", f"a column has a value for each of {len(inputs)} rows. Received: {uneven}", figures)
    text = f"({len(inputs)}, {wanted[1]}), finite"
    classes = [f"probability_{name}" for name in model.head.target.classes]
    if classes and set(classes) <= columns.keys():
        sums = [sum(row) for row in zip(*(columns[name] for name in classes), strict=True)]
        furthest = max(sums, key=lambda total: abs(total - 1))
        figures["sum_of_probabilities"] = furthest
        if not abs(furthest - 1) <= ROUNDING:
            return Result("failed", f"probabilities sum to 1. Received: {furthest:.4f}", figures)
        text += ", probabilities sum to 1"
    return Result("ok", text, figures)


def check_start(subject: Subject) -> Result:
    """Compare the loss of fresh weights on training rows with what chance gives.

    Chance is, for classes and labels, all of them equally likely (ln C, ln 2), as the head gives it of zeros; for
    numbers the best constant answer, which costs the target's variance in the units of the loss. How far the loss is
    from it is measured from the head's floor, so that losses that can't reach zero or go below it are measured alike.
    """
    model = quiet(subject.fresh())
    with torch.no_grad():
        start = row_losses(model, subject.sample).mean().item()
    targets = subject.sample.targets
    assert targets is not None
    found = find_chance(model.head, targets)
    kind = PROBLEMS.get(subject.spec.problem).target
    chance = found.constant if kind == "numbers" else found.silent
    figures = {"loss": start, "chance": chance, "best_constant": found.constant, "floor": found.floor}
    text = f"{short(start)}, chance {short(chance)}{_name_chance(subject, found)}"
    if not math.isfinite(start):
        return Result("failed", f"the loss is a finite number. Received: {start}", figures)
    if chance - found.floor <= 1e-6 * max(1.0, abs(chance)):
        return Result("skipped", f"the {len(targets)} targets looked at are all the same: nothing to learn", figures)
    times = (start - found.floor) / (chance - found.floor)
    figures["times_chance"] = times
    if times > WILD_WARNED:
        why = f"{times:.3g} times it: look at the scale of inputs, targets and initial weights"
        return Result("failed" if times > WILD else "warning", f"{text}; {why}", figures)
    if times < TOO_GOOD:
        return Result("failed", f"{text}: fresh weights can't know the answers", figures)
    return Result("ok", text, figures)


def _name_chance(subject: Subject, chance: Chance) -> str:
    """Return the closed form that chance has, where it has one, or what it is."""
    spec = subject.spec
    kind = PROBLEMS.get(spec.problem).target
    if kind == "numbers":
        return " (the best constant answer)"
    outcomes = len(spec.target.classes) if kind == "class" else 2
    if math.isclose(chance.silent, math.log(outcomes), rel_tol=1e-3):
        return f" (ln {outcomes})"
    return " (nothing known)"
