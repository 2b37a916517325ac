"""Whether gradients, units and steps are such that a network can learn at all."""

from __future__ import annotations

import math

import numpy as np

from lightlab.inspect.doctor.diagnosis import Figures, Finding
from lightlab.inspect.doctor.evidence import Evidence, UnknownError
from lightlab.inspect.doctor.learning import LEARNED
from lightlab.inspect.doctor.remedies import (
    clip,
    drop_less,
    go_around,
    initialise,
    leak,
    lower_rate,
    normalise_inputs,
    normalise_layers,
    propose,
    unsaturate,
    warm_up,
)
from lightlab.inspect.limits import DEAD_FAILED, DEAD_WARNED, EXPLODING, VANISHING, WILD
from lightlab.inspect.numbers import short

#: The train loss jumps where its share rises by so much, and by such a part of itself, from one epoch to the next. So
#: many jumps, in such a part of the epochs, are unstable: Adam with a hundred times its usual rate has 4 to 8 in 30; of
#: healthy runs those with much dropout or very few rows have up to 2 in 60, others none.
JUMP, JUMP_PART, JUMPS, JUMPS_PART = 0.05, 0.2, 3, 0.05
#: In a training that broke off, gradients or losses have exploded that are so many times their median before.
BROKEN = 1000.0


def find_exploding(evidence: Evidence) -> Finding | None:
    """Look for gradients many times the weights, and for a training that broke off since numbers overflowed."""
    text, figures = _say_large(_ratios(evidence)) if evidence.finished else _say_broken(evidence)
    if not text:
        return None
    advice = propose(evidence.setup, initialise, normalise_inputs, clip, lower_rate, normalise_layers, warm_up)
    return Finding("exploding gradients", text, figures, advice)


def _say_large(ratios: dict[str, float]) -> tuple[str, Figures]:
    """Return which gradients are many times their weights; nothing where none is."""
    large = [name for name, ratio in ratios.items() if ratio > EXPLODING]
    if not large:
        return "", {}
    worst = max(large, key=lambda name: ratios[name])
    text = f"in {len(large)} of {len(ratios)} layers, most at {worst}: {short(ratios[worst])} times its weights in the "
    return f"{text}first epoch", {"layer": worst, "ratio": ratios[worst], "layers": len(large)}


def _say_broken(evidence: Evidence) -> tuple[str, Figures]:
    """Return what overflowed in the last epoch of a training that broke off; nothing where nothing did."""
    epoch = evidence.epochs
    for name in ("train/loss", "gradient_norm", "gradient_norm_max"):
        values = evidence.measured(name)
        if not len(values):
            continue
        last, before = float(values[-1]), values[:-1][np.isfinite(values[:-1])]
        if not math.isfinite(last):
            return f"{name} was no finite number any more in epoch {epoch}", {"epoch": epoch}
        usual = float(np.median(before)) if len(before) else math.inf
        if last > BROKEN * usual > 0:
            text = f"{name} was {short(last)} in epoch {epoch}, {short(last / usual)} times its median before"
            return text, {"epoch": epoch, "last": last, "median": usual}
    return "", {}


def find_unstable(evidence: Evidence) -> Finding | None:
    """Look for epochs in which the train loss went up far."""
    curve = evidence.train_curve
    values = curve.values
    highest = int(values.argmax())
    rises = np.diff(values)
    jumps = int(((rises > JUMP) & (rises > JUMP_PART * values[:-1])).sum())
    if values[highest] > WILD:
        epoch = int(curve.epochs[highest])
        text = f"train/loss was {short(values[highest])} times that of a constant answer in epoch {epoch}"
        figures: Figures = {"epoch": epoch, "times_constant": float(values[highest])}
    elif jumps >= max(JUMPS, JUMPS_PART * len(curve)):
        place = int(rises.argmax())
        epoch = int(curve.epochs[place + 1])
        before, after = (evidence.train.loss(float(value)) for value in values[place : place + 2])
        text = f"train/loss jumped up in {jumps} of {len(curve)} epochs, in epoch {epoch} from {short(before)} to "
        text += short(after)
        figures = {"jumps": jumps, "epoch": epoch, "before": before, "after": after}
    else:
        return None
    advice = propose(
        evidence.setup, normalise_inputs, lower_rate, clip, warm_up, drop_less, initialise, normalise_layers
    )
    return Finding("unstable", text, figures, advice)


def find_dead_units(evidence: Evidence) -> Finding | None:
    """Look for layers of which many units are zero for all rows; half of one is no harm if enough was learned."""
    shares = {name: layer.dead for name, layer in evidence.layers.items() if layer.dead is not None}
    if not shares:
        raise UnknownError
    most = DEAD_WARNED if _to_learn(evidence) else DEAD_FAILED
    dead = {name: share for name, share in shares.items() if share > most}
    if not dead:
        return None
    worst = max(dead, key=lambda name: dead[name])
    text = f"{dead[worst]:.0%} of the units of {worst} are zero for all rows"
    text += f", and many of {len(dead) - 1} more" if len(dead) > 1 else ""
    advice = propose(evidence.setup, normalise_inputs, lower_rate, leak, initialise, normalise_layers)
    return Finding("dead units", text, {"layer": worst, "dead": dead[worst], "layers": len(dead)}, advice)


def find_vanishing(evidence: Evidence) -> Finding | None:
    """Look for layers whose gradient is next to nothing beside that of others, where there is still much to learn."""
    ratios = _ratios(evidence)
    largest = max(ratios.values())
    vanishing = {name: ratio for name, ratio in ratios.items() if ratio < VANISHING * largest}
    if not vanishing or largest > EXPLODING or not _to_learn(evidence):
        return None
    worst = min(vanishing, key=lambda name: vanishing[name])
    text = f"in {len(vanishing)} of {len(ratios)} layers, most at {worst}: {short(vanishing[worst])} of its weights in "
    text += f"the first epoch, {short(largest)} elsewhere"
    figures: Figures = {"layer": worst, "ratio": vanishing[worst], "largest": largest, "layers": len(vanishing)}
    advice = propose(evidence.setup, unsaturate, normalise_layers, initialise, go_around)
    return Finding("vanishing gradients", text, figures, advice)


def _ratios(evidence: Evidence) -> dict[str, float]:
    """Return each layer's gradient over its weights in the first epoch, the loss in what there is to learn.

    Raises:
        UnknownError: none was seen.
    """
    room = evidence.train.room
    seen = {name: layer.first_gradient for name, layer in evidence.layers.items()}
    ratios = {name: ratio / room for name, ratio in seen.items() if ratio is not None}
    if not ratios:
        raise UnknownError
    return ratios


def _to_learn(evidence: Evidence) -> bool:
    try:
        return evidence.unlearned > LEARNED
    except UnknownError:
        return True
