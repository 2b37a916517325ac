"""Gradients of each layer on a real batch, and units that never answer."""

from __future__ import annotations

import math
from typing import Any

import torch

from lightlab.inspect.data_text import table
from lightlab.inspect.dead_units import watch_dead_units
from lightlab.inspect.limits import DEAD_FAILED, DEAD_WARNED, EXPLODING, VANISHING
from lightlab.inspect.names import name_modules
from lightlab.inspect.numbers import short
from lightlab.inspect.procedure.base import Result, Subject, Verdict, known_targets, quiet, row_losses, take_step
from lightlab.inspect.procedure.chance import find_chance
from lightlab.module import Model

#: Steps of Adam before gradients are looked at, so that kernels that start at zero on purpose, as the last of a
#: residual may, have let gradients through.
STEPS = 5
RATE = 1e-3


def check_gradients(subject: Subject) -> Result:
    """Measure each layer's gradient, relative to its weights and to what chance leaves to learn, and its dead units.

    The gradient is of the mean loss of the sample, dropout and noise off, after a few small steps; a layer is
    named by its place in the config.
    """
    model = quiet(subject.fresh())
    chance = find_chance(model.head, known_targets(subject.sample))
    if not chance.something_to_learn:
        return Result("skipped", "all targets looked at are the same: gradients would say nothing")
    optimizer = torch.optim.Adam(model.parameters(), RATE)
    for _ in range(STEPS):
        take_step(model, optimizer, subject.sample)
    optimizer.zero_grad()
    dead = _forward_and_backward(model, subject)
    ratios = {name: ratio / chance.room for name, ratio in _gradients(model).items()}
    figures: dict[str, Any] = {
        "gradients": {name: ratio if math.isfinite(ratio) else None for name, ratio in ratios.items()},
        "dead_units": dead,
    }
    lines = table([["layer", "gradient / weights"], *([name, f"{ratio:.2g}"] for name, ratio in ratios.items())])
    if dead:
        lines += "\n" + table([["activation", "dead units"], *([name, f"{part:.1%}"] for name, part in dead.items())])
    faults = _say_gradients(ratios)
    failed = bool(faults)
    worst = max(dead.values(), default=0.0)
    faults += [f"{share:.0%} of {name} is dead" for name, share in dead.items() if share > DEAD_WARNED]
    verdict: Verdict = "failed" if failed or worst > DEAD_FAILED else "warning" if faults else "ok"
    summary = f"{short(min(ratios.values()))} to {short(max(ratios.values()))} of the weights"
    summary += f", at most {worst:.0%} of units dead" if dead and not faults else ""
    return Result(verdict, "; ".join([summary, *faults]), figures, tuple(lines.splitlines()))


def _say_gradients(ratios: dict[str, float]) -> list[str]:
    """Return what is wrong with them: in each way of being wrong the worst, and of how many."""
    largest = max(ratios.values())
    exploding = {name: ratio for name, ratio in ratios.items() if not ratio <= EXPLODING}  # NaN, too
    if exploding:
        worst = max(exploding, key=lambda name: exploding[name])
        return [f"exploding in {_count(exploding, ratios)} at {worst}: {short(exploding[worst])} times its weights"]
    vanishing = {name: ratio for name, ratio in ratios.items() if ratio == 0 or ratio < VANISHING * largest}
    if not vanishing:
        return []
    worst = min(vanishing, key=lambda name: vanishing[name])
    return [
        f"vanishing in {_count(vanishing, ratios)} at {worst}: {short(vanishing[worst])}, {short(largest)} elsewhere"
    ]


def _count(found: dict[str, float], ratios: dict[str, float]) -> str:
    return f"{len(found)} of {len(ratios)} layers, most"


def _forward_and_backward(model: Model, subject: Subject) -> dict[str, float]:
    """Leave gradients in the weights, and return the share of dead units of each rectifier."""
    with watch_dead_units(model) as shares:
        row_losses(model, subject.sample).mean().backward()  # type: ignore[no-untyped-call]  # torch has no types here
    names = name_modules(model, list(shares))
    return {names[path]: share for path, share in shares.items()}


def _gradients(model: Model) -> dict[str, float]:
    """Return, for each module with parameters of its own, the norm of their gradient relative to theirs."""
    ratios: dict[str, float] = {}
    parts = {"preprocess": model.preprocess, "network": model.network, "head": model.head}  # in the order of their use
    for path, module in (pair for name, part in parts.items() for pair in part.named_modules(prefix=name)):
        own = [parameter for parameter in module.parameters(recurse=False) if parameter.requires_grad]
        if not own or all(parameter.grad is None for parameter in own):
            continue
        gradients = [parameter.grad.flatten() for parameter in own if parameter.grad is not None]
        weights = torch.cat([parameter.detach().flatten() for parameter in own])
        ratios[path] = (torch.cat(gradients).norm() / weights.norm().clamp(min=1e-12)).item()
    names = name_modules(model, list(ratios))
    return {names[path]: ratio for path, ratio in ratios.items()}
